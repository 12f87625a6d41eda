"""RTCP as it leaves, read by a reader of its own that knows RFC 3550 alone."""

from __future__ import annotations

import struct

import pytest

from campana.channels.voice.media import rtcp

SENT = rtcp.Sent(ssrc=0xCAFEBABE, timestamp=0x1_0000_0140, packets=1_000, octets=160_000)


def split(compound: bytes) -> list[tuple[int, int, bytes]]:
    """Packets of a compound: count, type, what follows. Each says how many words it has (section 6.4.1)."""
    packets = []
    while compound:
        first, kind, words = struct.unpack_from(">BBH", compound)
        assert first >> 6 == 2
        assert not first & 0x20
        size = 4 * (words + 1)
        assert size <= len(compound)
        packets.append((first & 0x1F, kind, compound[4:size]))
        compound = compound[size:]
    return packets


def test_a_report_says_what_was_sent_and_when() -> None:
    (count, kind, body), *_ = split(rtcp.report(SENT, b"name", 1_000_000_000.25))
    ssrc, seconds, fraction, timestamp, packets, octets = struct.unpack(">IIIIII", body)
    assert (count, kind, ssrc) == (0, 200, 0xCAFEBABE)
    # 1970 is 70 years and 17 leap days after 1900.
    assert seconds == 1_000_000_000 + (70 * 365 + 17) * 86_400
    assert fraction == 1 << 30
    assert (timestamp, packets, octets) == (0x140, 1_000, 160_000)


@pytest.mark.parametrize("length", range(1, 18))
def test_the_name_is_ended_by_a_zero_and_fills_words(length: int) -> None:
    name = bytes(range(65, 65 + length))
    _, (count, kind, body) = split(rtcp.report(SENT, name, 0.0))
    assert (count, kind) == (1, 202)
    assert body[:4] == bytes.fromhex("cafebabe")
    assert body[4:6] == bytes([1, length])
    assert body[6 : 6 + length] == name
    rest = body[6 + length :]
    assert rest == bytes(len(rest))
    assert 1 <= len(rest) <= 4


def test_the_last_report_says_goodbye() -> None:
    packets = split(rtcp.report(SENT, b"name", 0.0, leaving=True))
    assert [kind for _, kind, _ in packets] == [200, 202, 203]
    assert packets[-1] == (1, 203, bytes.fromhex("cafebabe"))


@pytest.mark.parametrize("now", [0.0, 1_795_000_000.999_999_9, 2_085_978_496.0, 4_000_000_000.5])
def test_times_of_any_year_fit(now: float) -> None:
    """From February 2036 on, the seconds begin anew (RFC 5905, section 6)."""
    body = split(rtcp.report(SENT, b"name", now))[0][2]
    assert int.from_bytes(body[4:8], "big") == (int(now) + 2_208_988_800) % (1 << 32)


def test_counts_begin_anew_where_they_do_not_fit() -> None:
    body = split(rtcp.report(rtcp.Sent(1, 2, (1 << 32) + 3, (1 << 32) + 4), b"name", 0.0))[0][2]
    assert struct.unpack(">II", body[16:]) == (3, 4)
