"""Owns the sound of one call: where it goes, what is played, and which keys are heard.

Must not know other calls, nor when a packet is due: the studio's beat asks for each.
"""

from __future__ import annotations

import asyncio
import base64
import errno
import ipaddress
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Protocol

from campana.channels.voice.media import rtcp
from campana.channels.voice.media.dtmf import KeyEar
from campana.channels.voice.media.laws import OCTETS_PER_MS, PAYLOAD_TYPES, SILENCE, Law
from campana.channels.voice.media.pacing import BEAT
from campana.channels.voice.media.ports import Pair
from campana.channels.voice.media.rtp import FRAME, LARGEST, MARKER, parse
from campana.channels.voice.sip.sdp import MediaAnswer

STEP: Final = int(BEAT * 1_000) * OCTETS_PER_MS
"""Steps of the timestamp in a beat."""

_SPOKEN: Final = frozenset({*PAYLOAD_TYPES.values(), 13})
"""Payload types by which sound is known: both laws, and comfort noise (RFC 3389), which some send first."""
_REFUSES_FOR: Final = round(2 / BEAT)
"""Beats for which an ICMP error holds: many hosts send one a second at most."""
_STALE: Final = 64
"""Packets that may wait in a socket from before it knew whom to hear."""


class Stage(Protocol):
    """What a stream needs of its studio."""

    @property
    def number(self) -> int:
        """Of the beat that comes next."""

    def enter(self, stream: Stream) -> None:
        """Read its sockets, and send its reports, from now on."""

    def speak(self, stream: Stream) -> None:
        """Have it send a packet every 20 ms from now on."""

    def hush(self, stream: Stream) -> None:
        """Have it send none."""

    def leave(self, stream: Stream) -> None:
        """Forget it, and close its sockets."""


class Stream:
    """One call's sound, made before the INVITE so that its ports are in the offer.

    After `connect` a packet of 20 ms leaves every 20 ms, whatever the answer's ptime: silence while nothing is played.
    Only what comes from the address and port of the answer is heard; where the studio is symmetric, the first packet
    that looks right decides instead, once an answer, and sound goes to where it came from (RFC 4961).
    """

    __slots__ = (
        "_closed", "_cname", "_destination", "_ear", "_latched", "_loop", "_on_end", "_peer", "_play", "_rtcp_to",
        "_stage", "_symmetric", "base", "clip", "keys", "kind", "law", "local", "on_digit", "pair", "payload",
        "phase", "position", "read", "refused_at", "reporting", "sent", "sequence", "silence", "size", "ssrc",
        "was_heard", "write",
    )  # fmt: skip

    def __init__(self, pair: Pair, local: tuple[str, int], stage: Stage, symmetric: bool) -> None:
        self.pair = pair
        self.local = local
        """Address and port for the SDP."""
        self.law: Law | None = None
        """What clips must be of; None before `connect`."""
        self.on_digit: Callable[[str, int], None] | None = None
        """Called once a pressed key: which, and the milliseconds it was down as far as known by then."""
        self._stage = stage
        self._symmetric = symmetric
        self._loop = asyncio.get_running_loop()
        self._ear = KeyEar()
        self._destination: tuple[str, int] | None = None
        self._rtcp_to: tuple[str, int] | None = None
        self._peer: Any = None
        self._latched = False
        self._closed = False
        self._on_end: Callable[[], None] | None = None
        self._play = 0
        # RFC 7022, section 4.2: a name for this call alone.
        self._cname = base64.b64encode(secrets.token_bytes(12))
        # What follows is read and written by the studio, at each beat without a call where that can be spared.
        self.phase: list[Stream] | None = None
        self.reporting: list[Stream] | None = None
        self.clip: bytes | None = None
        self.position = self.size = 0
        self.silence = b""
        self.payload = self.kind = 0
        self.keys: frozenset[int] = frozenset()
        self.sent = 0
        self.was_heard = False
        self.refused_at: int | None = None
        """The last beat at which ICMP said that nobody is there."""
        self.sequence = secrets.randbits(15)
        self.base = secrets.randbits(32)
        self.ssrc = secrets.randbits(32)
        self.write: Callable[[bytes], int] = pair.rtp.send
        self.read: Callable[[bytearray], int] = pair.rtp.recv_into

    # --- where it goes -------------------------------------------------------------------------------------------

    def connect(self, answer: MediaAnswer) -> None:
        """Send to where the answer says, or pause where it says hold. Called again for each further answer.

        Raises OSError where that cannot be: not an address, none of our family, a port or group that nobody has.
        """
        if self._closed:
            return
        address = _checked(answer.address, answer.port)
        is_hold = address.is_unspecified
        is_new = self._destination is None
        if not is_hold and self._destination != (answer.address, answer.port):
            self._aim((answer.address, answer.port))
        self.law = answer.law
        self.silence = SILENCE[answer.law] * FRAME
        self.payload = answer.payload
        self.kind = answer.payload | MARKER
        self.keys = answer.dtmf_payloads
        self._rtcp_to = None
        with suppress(OSError):
            if not _checked(*answer.rtcp).is_unspecified:
                self._rtcp_to = answer.rtcp
        if is_new and not is_hold:
            self._stage.enter(self)
        self.hold(answer.held or is_hold)

    def hold(self, held: bool) -> None:
        """Stop sending, or go on; what was being played waits where it is, and keys are heard all the same."""
        if self._closed or self._destination is None:
            return
        if held:
            self._stage.hush(self)
        else:
            self._stage.speak(self)

    def _aim(self, destination: tuple[str, int]) -> None:
        rtp = self.pair.rtp
        if self._symmetric:
            self._peer, self._latched = destination, False
            self.write, self.read = self._write_to_peer, self._read_from_peer
        else:
            # From here on the kernel itself drops what comes from elsewhere; what already waits is dropped here.
            rtp.connect(destination)
            with suppress(BlockingIOError):
                for _ in range(_STALE):
                    rtp.recv(LARGEST)
        self._destination = destination

    def _write_to_peer(self, packet: bytes) -> int:
        return self.pair.rtp.sendto(packet, self._peer)

    def _read_from_peer(self, buffer: bytearray) -> int:
        size, source = self.pair.rtp.recvfrom_into(buffer)
        if not self._latched:
            packet = parse(memoryview(buffer)[:size])
            if packet is None or packet.payload_type not in _SPOKEN | self.keys:
                return 0
            self._peer, self._latched = source, True
        return size if source == self._peer else 0

    # --- what is played ------------------------------------------------------------------------------------------

    def play(self, clip: bytes, on_end: Callable[[], None]) -> None:
        """Play octets of `law`, in place of anything that is being played: that one's `on_end` is never called.

        `on_end` is called once the last packet has left, unless the play was stopped or the stream closed by then.
        """
        self._play += 1
        self._on_end = on_end
        self.position, self.size = 0, len(clip)
        self.clip = clip
        self.kind = self.payload | MARKER

    def stop_playing(self) -> int:
        """Stop, and return how many octets of the current or last play have left."""
        self._play += 1
        self._on_end = self.clip = None
        return min(self.position, self.size)

    @property
    def nobody_listens(self) -> bool:
        """Whether what is played reaches nobody: its packets are refused, and none ever came from there."""
        refused_at = self.refused_at
        return not self.was_heard and refused_at is not None and self._stage.number - refused_at < _REFUSES_FOR

    @property
    def played_ms(self) -> int:
        """Milliseconds of the current or last play that have left."""
        return min(self.position, self.size) // OCTETS_PER_MS

    def last_frame(self, payload: bytes) -> bytes:
        """Called by the beat at the last piece of a clip: that piece, filled up with silence."""
        self.clip = None
        self._loop.call_soon(self._played, self._play)
        return payload + self.silence[len(payload) :]

    def _played(self, play: int) -> None:
        on_end = self._on_end
        if play == self._play and on_end is not None and not self._closed:
            self._on_end = None
            on_end()

    # --- what is heard -------------------------------------------------------------------------------------------

    def hear_key(self, data: memoryview) -> None:
        """Called by the beat for each packet of telephone-event."""
        packet = parse(data)
        press = self._ear.hear(packet) if packet is not None else None
        if press is not None:
            self._loop.call_soon(self._pressed, *press)

    def _pressed(self, key: str, ms: int) -> None:
        if self.on_digit is not None and not self._closed:
            self.on_digit(key, ms)

    # --- RTCP, and the end ---------------------------------------------------------------------------------------

    def report(self, leaving: bool = False) -> None:
        """Send a sender report, where there is somebody to send it to. What becomes of it does not matter."""
        if self._rtcp_to is None or self._destination is None:
            return
        timestamp = self.base + self._stage.number * STEP
        sent = rtcp.Sent(self.ssrc, timestamp, self.sent, self.sent * FRAME)
        with suppress(OSError):
            self.pair.rtcp.sendto(rtcp.report(sent, self._cname, time.time(), leaving), self._rtcp_to)

    def close(self) -> None:
        """Say goodbye, and give the ports back. Nothing is called any more."""
        if not self._closed:
            self.report(leaving=True)
            self._closed = True
            self.clip = self._on_end = self.on_digit = None
            self._stage.leave(self)


def _checked(address: str, port: int) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The address, which may be the zero one. Raises OSError where none can be sent to: a name would be looked up."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError as error:
        raise OSError(errno.EINVAL, "the answer's address is not an IP address") from error
    if found.is_multicast or not 0 < port < 65_536:
        raise OSError(errno.EINVAL, "the answer's address is one of a group, or its port none")
    return found
