"""RTP headers: what leaves is what the RFC draws, and whatever comes is read or refused, never more."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campana.channels.voice.media.rtp import HEADER, MARKER, PLAIN, parse

PLAIN_HEADER = bytes.fromhex("80 08 1234 00000140 cafebabe")


def test_a_header_is_what_the_rfc_draws() -> None:
    assert HEADER.pack(PLAIN, 8, 0x1234, 320, 0xCAFEBABE) == PLAIN_HEADER


def test_every_part_of_a_packet_is_read() -> None:
    packet = parse(bytes.fromhex("80 e5 ffff fffffff0 00000001") + b"\x05\x8a\x03\x20")
    assert packet is not None
    assert packet[:5] == (101, True, 0xFFFF, 0xFFFFFFF0, 1)
    assert bytes(packet.payload) == b"\x05\x8a\x03\x20"


@pytest.mark.parametrize(
    ("why", "packet", "payload"),
    [
        ("nothing behind the header", PLAIN_HEADER, b""),
        ("contributing sources", b"\x82" + PLAIN_HEADER[1:] + bytes(8) + b"sound", b"sound"),
        ("an extension", b"\x90" + PLAIN_HEADER[1:] + b"\xbe\xde\x00\x02" + bytes(8) + b"sound", b"sound"),
        ("an empty extension", b"\x90" + PLAIN_HEADER[1:] + b"\xbe\xde\x00\x00sound", b"sound"),
        ("padding", b"\xa0" + PLAIN_HEADER[1:] + b"sound\x00\x00\x03", b"sound"),
        ("all of them", b"\xb1" + PLAIN_HEADER[1:] + bytes(4) + b"\0\0\0\1" + bytes(4) + b"sound\x01", b"sound"),
        ("padding all through", b"\xa0" + PLAIN_HEADER[1:] + b"\x00\x02", b""),
    ],
)
def test_what_stands_around_the_payload_is_taken_off(why: str, packet: bytes, payload: bytes) -> None:
    found = parse(packet)
    assert found is not None, why
    assert bytes(found.payload) == payload


@pytest.mark.parametrize(
    ("why", "packet"),
    [
        ("empty", b""),
        ("one octet short", PLAIN_HEADER[:-1]),
        ("version 0, as STUN's", b"\x00" + PLAIN_HEADER[1:]),
        ("version 1", b"\x40" + PLAIN_HEADER[1:]),
        ("version 3", b"\xc0" + PLAIN_HEADER[1:]),
        ("more sources than octets", b"\x8f" + PLAIN_HEADER[1:] + bytes(56)),
        ("an extension cut in its head", b"\x90" + PLAIN_HEADER[1:] + b"\xbe\xde"),
        ("an extension longer than the packet", b"\x90" + PLAIN_HEADER[1:] + b"\xbe\xde\xff\xff" + bytes(100)),
        ("padding of nothing", b"\xa0" + PLAIN_HEADER[1:] + b"sound\x00"),
        ("padding into the header", b"\xa0" + PLAIN_HEADER[1:] + b"sound\x07"),
    ],
)
def test_what_cannot_be_is_refused(why: str, packet: bytes) -> None:
    assert parse(packet) is None, why


@given(st.binary(max_size=200))
def test_nothing_that_comes_raises(data: bytes) -> None:
    packet = parse(data)
    if packet is not None:
        assert bytes(packet.payload) in data
        assert packet.sequence == int.from_bytes(data[2:4], "big")


@given(
    st.integers(0, 127),
    st.booleans(),
    st.integers(0, 0xFFFF),
    st.integers(0, 0xFFFFFFFF),
    st.integers(0, 0xFFFFFFFF),
    st.binary(max_size=50),
)
def test_what_was_packed_is_read_again(
    kind: int, marker: bool, sequence: int, timestamp: int, ssrc: int, payload: bytes
) -> None:
    head = HEADER.pack(PLAIN, kind | MARKER * marker, sequence, timestamp, ssrc)
    assert parse(head + payload) == (kind, marker, sequence, timestamp, ssrc, payload)
