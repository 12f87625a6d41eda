"""Reading replies off a stream, however it is cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campana.channels.email.opening import read_abilities
from campana.channels.email.replies import MalformedReply, Reply, ReplyReader

LINES = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=40)
REPLIES = st.tuples(st.integers(200, 599), st.lists(LINES, min_size=1, max_size=4))


def on_the_wire(code: int, lines: list[str], end: str = "\r\n") -> bytes:
    marked = [f"{code}-{line}" for line in lines[:-1]] + [f"{code} {lines[-1]}"]
    return "".join(line + end for line in marked).encode()


@given(
    said=st.lists(REPLIES, max_size=6),
    cuts=st.lists(st.integers(0, 400), max_size=8),
    end=st.sampled_from(["\r\n", "\n"]),
)
def test_replies_do_not_depend_on_how_the_stream_is_cut(
    said: list[tuple[int, list[str]]], cuts: list[int], end: str
) -> None:
    stream = b"".join(on_the_wire(code, lines, end) for code, lines in said)
    places = sorted({0, *(cut for cut in cuts if cut < len(stream)), len(stream)})
    reader = ReplyReader()
    heard: list[Reply] = []
    for begin, stop in pairwise(places):
        heard += reader.feed(stream[begin:stop])
    assert heard == [(code, "\n".join(lines)) for code, lines in said]
    assert reader.clean


TABLE: list[tuple[str, bytes, list[Reply]]] = [
    ("no text", b"250\r\n", [(250, "")]),
    ("no text, a blank", b"250 \r\n", [(250, "")]),
    ("lines of several codes: the last one counts", b"250-a\r\n251 b\r\n", [(251, "a\nb")]),
    ("not UTF-8", b"250 \xff\xfe\r\n", [(250, "��")]),
    ("unfinished", b"250-a\r\n250", []),
]


@pytest.mark.parametrize(("stream", "replies"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_table(stream: bytes, replies: list[Reply]) -> None:
    assert ReplyReader().feed(stream) == replies


@pytest.mark.parametrize(
    "stream",
    [
        b"hello\r\n",
        b"\r\n",
        b"25 ok\r\n",
        b"2500 ok\r\n",
        b"250xok\r\n",
        b"\x16\x03\x01\r\n",
        b"x" * 5000,
        b"250 " + b"x" * 5000 + b"\r\n",
        b"250-x\r\n" * 300,
    ],
    ids=lambda stream: repr(stream[:12]),
)
def test_what_is_no_reply(stream: bytes) -> None:
    with pytest.raises(MalformedReply):
        ReplyReader().feed(stream)


@given(st.binary(max_size=200))
def test_anything_is_a_reply_or_malformed(stream: bytes) -> None:
    reader = ReplyReader()
    try:
        replies = reader.feed(stream)
    except MalformedReply:
        return
    assert all(0 <= code <= 999 and isinstance(text, str) for code, text in replies)


def test_abilities() -> None:
    lines = ["relay.test at your service", "PIPELINING", "Size 1000", "STARTTLS", "AUTH plain"]
    abilities = read_abilities("\n".join([*lines, "AUTH login GSSAPI", "SMTPUTF8", "X-ODD thing"]))
    assert abilities.pipelining
    assert abilities.starttls
    assert abilities.smtputf8
    assert (abilities.size, abilities.declares_size) == (1000, True)
    assert abilities.auth == {"PLAIN", "LOGIN", "GSSAPI"}
    assert "X-ODD" in abilities.keywords


@pytest.mark.parametrize(
    ("line", "size"),
    [("SIZE", 0), ("SIZE 0", 0), ("SIZE x", 0), ("SIZE 5 6", 5), ("SIZE " + "9" * 30, 0), ("SIZE ²", 0)],
)
def test_size(line: str, size: int) -> None:
    abilities = read_abilities("relay.test\n" + line)
    assert abilities.size == size
    assert abilities.declares_size


def test_the_servers_name_is_no_ability() -> None:
    assert read_abilities("PIPELINING\nHELP").pipelining is False


@given(st.text())
def test_any_answer_to_ehlo_can_be_read(text: str) -> None:
    assert read_abilities(text).size >= 0
