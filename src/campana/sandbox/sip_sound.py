"""Owns the sound of the sandbox's telephones: RTP out at an even beat, and recording what comes in.

Must not know SIP or fates. What comes is put in order by its timestamps and judged: payload types, gaps.
"""

from __future__ import annotations

import asyncio
import secrets
import select
import struct
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from campana.channels.voice.media.dtmf import KEYS
from campana.channels.voice.media.g711 import decode
from campana.channels.voice.media.laws import OCTETS_PER_MS, SILENCE, Law
from campana.channels.voice.media.pacing import BEAT, PHASES, Pacer
from campana.channels.voice.media.ports import PortRange
from campana.channels.voice.media.rtp import FRAME, HEADER, LARGEST, MARKER, PLAIN, parse
from campana.channels.voice.sip.sdp import MediaAnswer
from campana.sandbox.sip_phones import PhoneCall

PORTS: Final = (20_000, 29_998)
"""Below the ports that the kernel gives out by itself."""
LONGEST_HEARD: Final = 300 * 1_000 * OCTETS_PER_MS
"""Octets of a call that are kept at most: five minutes."""
PRESS_FRAMES: Final = 5
"""A key is down for 100 ms."""

_STEP: Final = int(BEAT * 1_000) * OCTETS_PER_MS
_END_PACKETS: Final = 3
_PRESS_PAUSE: Final = 5
"""Frames of silence after each key."""
_EVENT: Final = struct.Struct(">BBH")
_END_BIT, _VOLUME = 0x80, 10
_QUIET_BELOW: Final = 300
"""Of 32,768: samples that nobody would call sound."""
_JUMP: Final = 60_000 * OCTETS_PER_MS
"""A timestamp this far from the one due belongs to another stream of time."""
_WRAP: Final = 1 << 32
_MOST_READY: Final = 4_096

_QUIET: Final[dict[Law, bytes]] = {
    law: bytes(octet for octet, sample in enumerate(decode(bytes(range(256)), law)) if abs(int(sample)) < _QUIET_BELOW)
    for law in SILENCE
}


class Handset:
    """The sound of one call: silence is sent until something is to be said."""

    def __init__(self, sounds: Sounds, call: PhoneCall, address: str) -> None:
        self._sounds = sounds
        self.call = call
        self.pair = sounds.ports.open(address)
        self.listens = True
        """Whether what comes is recorded."""
        self.on_text: Callable[[], None] | None = None
        """Called once, by the loop, when the first sound that is not silence has come."""
        self.destination: tuple[str, int] | None = None
        self.answer: MediaAnswer | None = None
        self.phase: list[Handset] | None = None
        self.clip: bytes | None = None
        self.position = 0
        self._on_end: Callable[[], None] | None = None
        self._frames: deque[tuple[bytes, bool]] = deque()
        """Telephone-events to send, each with whether it begins a key; blank is a frame of silence."""
        self._event_at = 0
        self._silence = b""
        self._sequence = secrets.randbits(15)
        self._base = secrets.randbits(32)
        self._ssrc = secrets.randbits(32)
        self._marker = MARKER
        self._first: int | None = None
        self._due = 0
        self._last_at = 0.0

    @property
    def local(self) -> tuple[str, int]:
        """Address and port for the SDP."""
        return self.pair.address, self.pair.port

    # --- speaking ----------------------------------------------------------------------------------------------------

    def connect(self, answer: MediaAnswer) -> None:
        """Send to where the answer says; again for every further one."""
        self.answer = answer
        self.call.law = answer.law
        self._silence = SILENCE[answer.law] * FRAME
        self.destination = None if answer.held else (answer.address, answer.port)
        self._sounds.enter(self)

    def say(self, clip: bytes, on_end: Callable[[], None]) -> None:
        """Say octets of the call's law once; `on_end` is called by the loop when all have left."""
        self.clip, self.position, self._on_end = clip, 0, on_end

    def hush(self) -> None:
        """Stop saying anything."""
        self.clip = self._on_end = None

    def press(self, key: str) -> bool:
        """Press a key (RFC 4733); False where telephone-events were not agreed on."""
        if self.answer is None or self._payload_of_events() is None:
            return False
        event = KEYS.index(key)
        for frame in range(1, PRESS_FRAMES + 1):
            self._frames.append((_EVENT.pack(event, _VOLUME, frame * FRAME), frame == 1))
        end = _EVENT.pack(event, _END_BIT | _VOLUME, PRESS_FRAMES * FRAME)
        self._frames.extend(((end, False),) * _END_PACKETS)
        self._frames.extend(((b"", False),) * _PRESS_PAUSE)
        return True

    def _payload_of_events(self) -> int | None:
        return min(self.answer.dtmf_payloads, default=None) if self.answer else None

    def send(self, number: int) -> None:
        """Send one packet, the one of this beat."""
        if self.destination is None or self.answer is None:
            return
        timestamp = self._base + number * _STEP & 0xFFFFFFFF
        kind, payload = self.answer.payload, self._silence
        if self._frames:
            frame, begins = self._frames.popleft()
            if frame:
                kind, payload = self._payload_of_events() or 0, frame
                self._event_at = timestamp if begins else self._event_at
                timestamp = self._event_at
                self._marker = MARKER if begins else 0
        elif self.clip is not None:
            payload = self._next_of_clip(self.clip)
        head = HEADER.pack(PLAIN, kind | self._marker, self._sequence, timestamp, self._ssrc)
        self._sequence = self._sequence + 1 & 0xFFFF
        self._marker = 0
        with suppress(OSError):
            self.pair.rtp.sendto(head + payload, self.destination)

    def _next_of_clip(self, clip: bytes) -> bytes:
        payload = clip[self.position : self.position + FRAME]
        self.position += FRAME
        if self.position >= len(clip):
            self.clip = None
            if self._on_end is not None:
                asyncio.get_running_loop().call_soon(self._on_end)
        return payload + self._silence[len(payload) :]

    # --- listening ---------------------------------------------------------------------------------------------------

    def hear(self, data: memoryview, now: float) -> None:
        """Take one packet of RTP."""
        packet = parse(data)
        if packet is None or self.answer is None:
            self._sounds.complain(self.call, "a packet that is not RTP came, or one before the answer")
            return
        if packet.payload_type != self.answer.payload:
            if packet.payload_type not in self.answer.dtmf_payloads:
                self._sounds.complain(self.call, f"payload type {packet.payload_type} was not agreed on")
            return
        call = self.call
        call.packets += 1
        if self._last_at:
            call.longest_gap_ms = max(call.longest_gap_ms, (now - self._last_at) * 1_000)
        self._last_at = now
        if self.listens:
            self._record(packet.timestamp, packet.payload)

    def _record(self, timestamp: int, payload: memoryview) -> None:
        call = self.call
        if self._first is None:
            self._first = timestamp
        offset = (timestamp - self._first) % _WRAP
        if call.text_at is None and self.answer is not None and _has_sound(payload, self.answer.law):
            call.text_at = asyncio.get_running_loop().time()
            if self.on_text is not None:
                asyncio.get_running_loop().call_soon(self.on_text)
        if offset == self._due:
            self._due += len(payload)
        elif 0 < (offset - self._due) % _WRAP < _JUMP:
            self._sounds.note_loss(call, offset - self._due)
            self._due = offset + len(payload)
        elif (self._due - offset) % _WRAP < _JUMP:
            # It came late, or twice.
            call.heard_octets += len(payload)
            if offset + len(payload) <= len(call.heard):
                call.heard[offset : offset + len(payload)] = payload
            return
        else:
            self._first = (timestamp - self._due) % _WRAP
            offset, self._due = self._due, self._due + len(payload)
        call.heard_octets += len(payload)
        if self._sounds.records and self._due <= LONGEST_HEARD and self.answer is not None:
            call.heard += SILENCE[self.answer.law] * (offset - len(call.heard))
            call.heard += payload

    def drain(self) -> None:
        """Take what is in the socket still."""
        now = time.monotonic()
        buffer = bytearray(LARGEST)
        with suppress(OSError):
            while True:
                size = self.pair.rtp.recv_into(buffer)
                self.hear(memoryview(buffer)[:size], now)

    def close(self) -> None:
        """Give the ports back."""
        self.hush()
        self._sounds.leave(self)


def _has_sound(payload: memoryview, law: Law) -> bool:
    return bool(bytes(payload).translate(None, _QUIET[law]))


class Sounds:
    """The sound of all telephones, by one beat. To be made within the running loop."""

    def __init__(self, records: bool, complain: Callable[[PhoneCall, str], None]) -> None:
        self.records = records
        """Whether what is heard is kept."""
        self.complain = complain
        self.ports = PortRange(*PORTS)
        self.lost_octets = 0
        self._pacer = Pacer(self._beat, lambda: None, asyncio.get_running_loop())
        self._phases: list[list[Handset]] = [[] for _ in range(PHASES)]
        self._sockets: dict[int, tuple[Handset, Any]] = {}
        """The handset of each RTP socket; of RTCP sockets too, with the socket."""
        self._poll = select.epoll()
        self._buffer = bytearray(LARGEST)
        self._view = memoryview(self._buffer)

    def open(self, call: PhoneCall, address: str) -> Handset:
        """A handset with ports at an address of ours. Raises OSError where none is free."""
        return Handset(self, call, address)

    def note_loss(self, call: PhoneCall, octets: int) -> None:
        """Sound of a call has not come, or comes late."""
        self.lost_octets += octets

    def enter(self, handset: Handset) -> None:
        """Send and read for it from now on."""
        if handset.phase is not None:
            return
        handset.phase = min(self._phases, key=len)
        handset.phase.append(handset)
        for one, control in ((handset.pair.rtp, None), (handset.pair.rtcp, handset.pair.rtcp)):
            self._sockets[one.fileno()] = (handset, control)
            self._poll.register(one, select.EPOLLIN)
        self._pacer.start()

    def leave(self, handset: Handset) -> None:
        """Forget it, and close its sockets."""
        if handset.phase is not None:
            handset.phase.remove(handset)
            handset.phase = None
            # Closing the sockets takes them out of the poll.
            del self._sockets[handset.pair.rtp.fileno()], self._sockets[handset.pair.rtcp.fileno()]
        self.ports.close(handset.pair)
        if not self._sockets:
            self._pacer.stop()

    def close(self) -> None:
        """Beat no more."""
        self._pacer.stop()
        self._poll.close()

    def _beat(self, number: int) -> None:
        for handset in self._phases[number % PHASES]:
            handset.send(number)
        now = time.monotonic()
        for descriptor, _ in self._poll.poll(0, _MOST_READY):
            handset, control = self._sockets[descriptor]
            with suppress(OSError):
                if control is not None:
                    control.recv_into(self._buffer)
                    handset.call.reports += 1
                else:
                    size = handset.pair.rtp.recv_into(self._buffer)
                    handset.hear(self._view[:size], now)
