"""Owns hearing pressed keys in RTP: telephone-events (RFC 4733), each press once.

Must not know sockets, payload numbers, or what a key means.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from campana.channels.voice.media.laws import OCTETS_PER_MS
from campana.channels.voice.media.rtp import Packet

KEYS: Final = "0123456789*#ABCD"
"""Events 0 to 15 (RFC 4733, table 7): what a telephone can press."""

_END: Final = 0x80
_REMEMBERED: Final = 16
"""Presses back, of which late packets are still known: a press lasts 40 ms at the very least."""
_SLACK: Final = 30 * OCTETS_PER_MS
"""How far a timestamp may lie behind the last duration and belong to the same press: less than the 40 ms that
people and diallers pause at least (ITU-T Q.24)."""
_WRAP: Final = 0xFFFFFFFF


class KeyEar:
    """Tells presses from the packets of one stream. Never raises, and keeps a bounded memory."""

    __slots__ = ("_duration", "_ended", "_key", "_seen", "_source", "_timestamp")

    def __init__(self) -> None:
        self._source: int | None = None
        self._seen: deque[tuple[int, int]] = deque(maxlen=_REMEMBERED)
        self._key = -1
        self._timestamp = 0
        self._duration = 0
        self._ended = True

    def hear(self, packet: Packet) -> tuple[str, int] | None:
        """Take a packet of telephone-event; return a key and how many milliseconds it was down, once a press.

        A press is told of at its first packet that arrives, whichever that is, so the duration is the one known by
        then. All packets of a press bear the timestamp of its beginning (section 2.2.1), its three last ones too. A
        press too long for the field goes on under a new timestamp (section 2.5.1.3), and some gateways raise it with
        every packet: while no end was heard and no marker says otherwise, that is the same press.
        """
        if len(packet.payload) < 4:
            return None
        key, flags = packet.payload[0], packet.payload[1]
        duration = packet.payload[2] << 8 | packet.payload[3]
        if key >= len(KEYS):
            return None
        if packet.ssrc != self._source:
            self._source = packet.ssrc
            self._seen.clear()
            self._ended = True
        press = (packet.timestamp, key)
        is_new = press not in self._seen
        if is_new:
            is_new = packet.marker or not self._goes_on(key, packet.timestamp)
            self._seen.append(press)
        elif press != (self._timestamp, self._key):
            return None
        self._key, self._timestamp, self._duration = key, packet.timestamp, duration
        self._ended = bool(flags & _END)
        return (KEYS[key], duration // OCTETS_PER_MS) if is_new else None

    def _goes_on(self, key: int, timestamp: int) -> bool:
        since = timestamp - self._timestamp & _WRAP
        return key == self._key and not self._ended and since <= self._duration + _SLACK
