"""How SIP messages are cut out of streams and datagrams, whole or damaged."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campana.channels.voice.sip.framing import LARGEST, Framer, datagram_message


def message(number: int = 1, body: bytes = b"") -> bytes:
    return b"OPTIONS sip:x SIP/2.0\r\nCSeq: %d OPTIONS\r\nContent-Length: %d\r\n\r\n" % (number, len(body)) + body


STREAMS = [
    ("one", message(), [message()]),
    ("two at once", message(1) + message(2, b"abc"), [message(1), message(2, b"abc")]),
    ("keep-alives between", b"\r\n\r\n" + message() + b"\r\n\r\n\r\n" + message(2), [message(), message(2)]),
    ("compact length", b"BYE sip:x SIP/2.0\r\nl : 3\r\n\r\nabc" + message(), [
        b"BYE sip:x SIP/2.0\r\nl : 3\r\n\r\nabc", message()]),
    ("folded length", b"SIP/2.0 200 OK\r\nCONTENT-LENGTH:\r\n  2\r\n\r\nab", [
        b"SIP/2.0 200 OK\r\nCONTENT-LENGTH:\r\n  2\r\n\r\nab"]),
    ("no length", b"SIP/2.0 100 \r\n\r\n" + message(), [b"SIP/2.0 100 \r\n\r\n", message()]),
    ("a length that is part of another name", b"SIP/2.0 200 OK\r\nX-l: 9\r\nl: 0\r\n\r\n", [
        b"SIP/2.0 200 OK\r\nX-l: 9\r\nl: 0\r\n\r\n"]),
    ("the same length twice", b"SIP/2.0 200 OK\r\nl: 1\r\nContent-Length: 01\r\n\r\na", [
        b"SIP/2.0 200 OK\r\nl: 1\r\nContent-Length: 01\r\n\r\na"]),
    ("not yet whole", message(1, b"abc")[:-1], []),
]  # fmt: skip


@pytest.mark.parametrize("step", [1, 7, 100_000])
@pytest.mark.parametrize(("stream", "wanted"), [row[1:] for row in STREAMS], ids=[row[0] for row in STREAMS])
def test_messages_are_cut_from_a_stream_however_it_comes(stream, wanted, step):
    framer = Framer()
    found = [each for at in range(0, len(stream), step) for each in framer.feed(stream[at : at + step])]
    assert (found, framer.broken) == (wanted, "")


GARBAGE = [
    ("no SIP", b"GET / HTTP/1.1\r\n\r\n", "first line"),
    ("TLS where none is", b"\x16\x03\x01\x02\x00\x01\x00\r\n", "first line"),
    ("a line without end", b"A" * 5_000, "first line"),
    ("a head without end", b"SIP/2.0 200 OK\r\n" + b"X: y\r\n" * 12_000, "head"),
    ("a body too long", b"SIP/2.0 200 OK\r\nl: 65536\r\n\r\n", "octets"),
    ("a body far too long", b"SIP/2.0 200 OK\r\nl: 9999999999\r\n\r\n", "octets"),
    ("two lengths", b"SIP/2.0 200 OK\r\nl: 1\r\nContent-Length: 2\r\n\r\nab", "one number"),
    ("a length below nothing", b"SIP/2.0 200 OK\r\nl: -5\r\n\r\n", "one number"),
    ("a length beyond counting", b"SIP/2.0 200 OK\r\nContent-Length: 99999999999999\r\n\r\n", "one number"),
    ("a length and no length", b"SIP/2.0 200 OK\r\nl: 0\r\nl: x\r\n\r\n", "one number"),
    ("a blank length", b"SIP/2.0 200 OK\r\nl:\r\n\r\n", "one number"),
]


@pytest.mark.parametrize(("stream", "rule"), [row[1:] for row in GARBAGE], ids=[row[0] for row in GARBAGE])
def test_a_stream_that_is_no_sip_is_broken_by_its_rule(stream, rule):
    framer = Framer()
    assert framer.feed(message() + stream) == [message()]
    assert rule in framer.broken
    assert framer.feed(message()) == []


@given(st.lists(st.binary(max_size=50) | st.just(message(1, b"abc")), max_size=20))
def test_whatever_comes_a_framer_gives_messages_or_breaks(chunks):
    framer = Framer()
    for chunk in chunks:
        for found in framer.feed(chunk):
            assert len(found) <= LARGEST
            assert b"\r\n\r\n" in found


@pytest.mark.parametrize(
    ("datagram", "wanted"),
    [(b"", None), (b"\r\n", None), (b"\r\n\r\n", None), (b"\0", None), (b"\0\0\0\0", None), (b"\r\nx y", b"x y")],
)
def test_keep_alives_in_datagrams_are_no_messages(datagram, wanted):
    assert datagram_message(datagram) == wanted
