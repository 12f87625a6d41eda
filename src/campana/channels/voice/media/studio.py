"""Owns all streams of a process: their ports, the beat at which each sends, and reading what comes for them.

Must not know calls: whoever opens a stream says where it goes and what it plays.
"""

from __future__ import annotations

import asyncio
import secrets
import select
import socket
from contextlib import suppress
from typing import Final, NamedTuple

from campana.channels.voice.addresses import family_of, source_address
from campana.channels.voice.media import rtcp
from campana.channels.voice.media.clips import Clips
from campana.channels.voice.media.pacing import BEAT, PHASES, Pacer
from campana.channels.voice.media.ports import PortRange
from campana.channels.voice.media.rtp import FRAME, HEADER, LARGEST, MARKER, PLAIN
from campana.channels.voice.media.stream import STEP, Stream

_REPORT_BEATS: Final = int(rtcp.INTERVAL / BEAT)
_MOST_READY: Final = 4_096
"""Sockets looked at in a beat: the next one looks at others."""

_pack_header = HEADER.pack


class MediaFigures(NamedTuple):
    """How the pace was kept, since last asked."""

    streams: int
    """Connected now."""
    late_p99: float
    """Milliseconds from the deadline of a beat until its packets had left."""
    late_most: float
    packets_sent: int
    packets_heard: int
    packets_refused: int
    """That the kernel did not take, its buffers being full, or that nobody was there for (ICMP)."""


class Studio:
    """All sound of a process, by one beat. To be made within the running loop."""

    def __init__(
        self, ports: tuple[int, int], local_address: str = "", public_address: str = "", symmetric: bool = False
    ) -> None:
        self._ports = PortRange(*ports)
        self._local_address = local_address
        self._public_address = public_address
        self._symmetric = symmetric
        self._clips = Clips()
        self._pacer = Pacer(self.beat, self._skipped, asyncio.get_running_loop())
        self._phases: list[list[Stream]] = [[] for _ in range(PHASES)]
        self._reports: list[list[Stream]] = [[] for _ in range(_REPORT_BEATS)]
        self._open: set[Stream] = set()
        self._rtp: dict[int, Stream] = {}
        self._rtcp: dict[int, socket.socket] = {}
        self._poll = select.epoll()
        self._buffer = bytearray(LARGEST)
        self._view = memoryview(self._buffer)
        self._sent = self._heard = self._refused = 0

    def open(self, towards: str) -> Stream:
        """A stream with ports of its own, of the address that is configured or else leads to `towards` (an address).

        Raises OSError where no port is free, or nothing leads there.
        """
        address = self._address_towards(towards)
        pair = self._ports.open(address)
        public = self._public_address
        shown = public if public and family_of(public) == family_of(address) else address
        stream = Stream(pair, (shown, pair.port), self, self._symmetric)
        self._open.add(stream)
        return stream

    def leads(self, stream: Stream, towards: str) -> bool:
        """Whether a stream is what `open` would make for that address. Raises OSError where nothing leads there."""
        return stream.pair.address == self._address_towards(towards)

    def _address_towards(self, towards: str) -> str:
        address = self._local_address
        if address and family_of(address) == family_of(towards):
            return address
        return source_address(towards)

    async def clip(self, path: str) -> bytes:
        """The octets of a file, shared by all who play it. Raises OSError."""
        return await self._clips.get(path)

    def figures(self) -> MediaFigures:
        """How the pace was kept since last asked."""
        late = self._pacer.lateness()
        found = MediaFigures(len(self._rtp), *late, self._sent, self._heard, self._refused)
        self._sent = self._heard = self._refused = 0
        return found

    def close(self) -> None:
        """Close every stream."""
        for stream in list(self._open):
            stream.close()
        self._poll.close()

    # --- what streams ask for (stream.Stage) ---------------------------------------------------------------------

    @property
    def number(self) -> int:
        """Of the beat that comes next."""
        return self._pacer.number

    def enter(self, stream: Stream) -> None:
        """Read its sockets, and send its reports, from now on."""
        rtp, control = stream.pair.rtp, stream.pair.rtcp
        self._rtp[rtp.fileno()] = stream
        self._rtcp[control.fileno()] = control
        self._poll.register(rtp, select.EPOLLIN)
        self._poll.register(control, select.EPOLLIN)
        # The first report leaves after half the time, more or less (RFC 3550, section 6.3.1), so that calls answered
        # at once do not report at once ever after.
        first = _REPORT_BEATS // 4 + secrets.randbelow(_REPORT_BEATS // 2)
        stream.reporting = self._reports[(self.number + first) % _REPORT_BEATS]
        stream.reporting.append(stream)
        self._pacer.start()

    def speak(self, stream: Stream) -> None:
        """Have it send a packet every 20 ms from now on, in the phase that has the fewest."""
        if stream.phase is None:
            stream.kind = stream.payload | MARKER
            stream.phase = min(self._phases, key=len)
            stream.phase.append(stream)

    def hush(self, stream: Stream) -> None:
        """Have it send none."""
        if stream.phase is not None:
            stream.phase.remove(stream)
            stream.phase = None

    def leave(self, stream: Stream) -> None:
        """Forget it, and close its sockets."""
        self.hush(stream)
        if stream.reporting is not None:
            stream.reporting.remove(stream)
            # Closing the sockets takes them out of the poll.
            del self._rtp[stream.pair.rtp.fileno()], self._rtcp[stream.pair.rtcp.fileno()]
        self._ports.close(stream.pair)
        self._open.discard(stream)
        if not self._rtp:
            self._pacer.stop()

    # --- the beat ------------------------------------------------------------------------------------------------

    def beat(self, number: int) -> None:
        """Called by the pacer every 5 ms: send a quarter of the packets, and read what has come."""
        self._send(number)
        for stream in self._reports[number % _REPORT_BEATS]:
            stream.report()
        self._hear()

    def _send(self, number: int) -> None:
        """Send one packet of every stream of the phase: some 25,000 times a second with 500 calls."""
        streams = self._phases[number % PHASES]
        step, refused = number * STEP, 0
        for stream in streams:
            clip = stream.clip
            if clip is None:
                payload = stream.silence
            else:
                position = stream.position
                payload = clip[position : position + FRAME]
                stream.position = position = position + FRAME
                if position >= stream.size:
                    payload = stream.last_frame(payload)
            sequence = stream.sequence
            head = _pack_header(PLAIN, stream.kind, sequence, stream.base + step & 0xFFFFFFFF, stream.ssrc)
            try:
                stream.write(head + payload)
            except OSError:
                refused += 1
                stream.refused_at = number
            stream.sequence = sequence + 1 & 0xFFFF
            stream.sent += 1
            stream.kind = stream.payload
        self._sent += len(streams) - refused
        self._refused += refused

    def _hear(self) -> None:
        """Read one packet of every socket that has one, no further than its payload type unless it is a key's.

        A socket that has more is ready at the next beat still: 200 packets a second, four times what is due.
        """
        streams, buffer = self._rtp, self._buffer
        heard = 0
        for descriptor, _ in self._poll.poll(0, _MOST_READY):
            stream = streams.get(descriptor)
            if stream is None:
                self._hear_report(descriptor)
                continue
            try:
                size = stream.read(buffer)
            except OSError:
                # ICMP: nobody is there, or not yet. What was sent is lost; signalling says what is to be done.
                self._refused += 1
                stream.refused_at = self.number
                continue
            if size > HEADER.size:
                heard += 1
                stream.was_heard = True
                if buffer[1] & 0x7F in stream.keys:
                    stream.hear_key(self._view[:size])
        self._heard += heard

    def _hear_report(self, descriptor: int) -> None:
        """Take RTCP out of its socket. Nothing is done with it: there is nothing to adapt."""
        with suppress(OSError):
            self._rtcp[descriptor].recv_into(self._buffer)

    def _skipped(self) -> None:
        for phase in self._phases:
            for stream in phase:
                stream.kind = stream.payload | MARKER
