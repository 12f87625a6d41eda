"""Owns the RTCP that a stream sends: sender reports with a name, and the goodbye (RFC 3550, section 6).

Must not know sockets or clocks: times are given.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

INTERVAL: Final = 5.0
"""Seconds between reports (RFC 3550, section 6.2: the least for a session of two)."""

_SENDER_REPORT, _DESCRIPTION, _BYE = 200, 202, 203
_REPORT: Final = struct.Struct(">BBHIIIIII")
_CHUNK: Final = struct.Struct(">BBHIBB")
_LEAVING: Final = struct.Struct(">BBHI")
_CNAME: Final = 1
_NTP_EPOCH: Final = 2_208_988_800
"""Seconds from 1900 to 1970."""


class Sent(NamedTuple):
    """What a stream has sent so far."""

    ssrc: int
    timestamp: int
    """RTP's time at the moment of the report."""
    packets: int
    octets: int
    """Of payload."""


def report(sent: Sent, cname: bytes, now: float, leaving: bool = False) -> bytes:
    """A compound packet: sender report and CNAME, and BYE where the stream ends. `now` is in epoch seconds.

    There are no reception reports in it: nothing is made of what is heard but keys, so nothing is counted of it.
    """
    seconds = int(now)
    compound = _REPORT.pack(
        0x80,
        _SENDER_REPORT,
        _REPORT.size // 4 - 1,
        sent.ssrc,
        seconds + _NTP_EPOCH & 0xFFFFFFFF,
        int((now - seconds) * (1 << 32)) & 0xFFFFFFFF,
        sent.timestamp & 0xFFFFFFFF,
        sent.packets & 0xFFFFFFFF,
        sent.octets & 0xFFFFFFFF,
    )
    # The items end with at least one zero octet, and fill 32 bits (section 6.5).
    length = _CHUNK.size + len(cname)
    padding = 4 - length % 4
    words = (length + padding) // 4 - 1
    compound += _CHUNK.pack(0x81, _DESCRIPTION, words, sent.ssrc, _CNAME, len(cname)) + cname + bytes(padding)
    return compound + _LEAVING.pack(0x81, _BYE, 1, sent.ssrc) if leaving else compound
