"""Owns the shape of RTP packets (RFC 3550, section 5.1): the header of those that leave, reading those that come.

Must not know sockets, or what a payload means.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

HEADER: Final = struct.Struct(">BBHII")
"""Version and flags, marker and payload type, sequence number, timestamp, SSRC."""
PLAIN: Final = 0x80
"""First octet of every packet of ours: version 2, no padding, no extension, no contributing sources."""
MARKER: Final = 0x80
"""In the second octet: this packet begins a talkspurt (RFC 3551, section 4.1), or an event (RFC 4733)."""

FRAME_MS: Final = 20
FRAME: Final = 160
"""Octets of G.711, and steps of the timestamp, in a packet of 20 ms."""
LARGEST: Final = 2_048
"""Octets of a datagram that are looked at."""

_PADDING, _EXTENSION, _SOURCES = 0x20, 0x10, 0x0F


class Packet(NamedTuple):
    """One packet as it came."""

    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    payload: memoryview


def parse(data: bytes | bytearray | memoryview) -> Packet | None:
    """Read a packet; None where it is not RTP version 2, or its parts are longer than it is. Never raises."""
    view = memoryview(data)
    if len(view) < HEADER.size:
        return None
    flags, kind, sequence, timestamp, ssrc = HEADER.unpack_from(view)
    start, end = HEADER.size + 4 * (flags & _SOURCES), len(view)
    if flags & _EXTENSION:
        if start + 4 > end:
            return None
        start += 4 + 4 * int.from_bytes(view[start + 2 : start + 4], "big")
    if flags & _PADDING:
        # The last octet counts the padding, itself included: 0 cannot be.
        end = end - view[-1] if view[-1] else 0
    if flags >> 6 != 2 or start > end:
        return None
    return Packet(kind & 0x7F, bool(kind & MARKER), sequence, timestamp, ssrc, view[start:end])
