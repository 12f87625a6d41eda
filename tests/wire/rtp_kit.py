"""The far side of one call: two sockets that note what comes, and can say anything; what the tests of RTP share."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

from campana.channels.voice.media.stream import Stream
from campana.channels.voice.media.studio import Studio
from campana.channels.voice.sip.sdp import MediaAnswer

PORTS = (16_384, 32_767)
PATIENCE = 5.0
DTMF = 101


class Sound(NamedTuple):
    """One RTP packet as it came."""

    marker: bool
    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes
    at: float


class Phone:
    """Two ports of its own: one for RTP, one for RTCP."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.address = address
        self.rtp, self.rtcp = (socket.socket(family, socket.SOCK_DGRAM) for _ in range(2))
        for one in (self.rtp, self.rtcp):
            one.bind((address, 0))
            one.setblocking(False)

    def answer(self, law: str = "PCMA", *, held: bool = False, address: str | None = None) -> MediaAnswer:
        """What the SDP of this phone would say."""
        return MediaAnswer(
            address or self.address,
            self.rtp.getsockname()[1],
            law,
            {"PCMU": 0, "PCMA": 8}[law],
            frozenset({DTMF, 96}),
            20,
            (self.address, self.rtcp.getsockname()[1]),
            held,
        )

    async def hear(self, count: int) -> list[Sound]:
        """The next packets."""
        return [await self._next() for _ in range(count)]

    async def hear_until(self, wanted: Callable[[Sound], bool]) -> list[Sound]:
        """The next packets, up to one that is wanted."""
        found = [await self._next()]
        while not wanted(found[-1]):
            found.append(await self._next())
        return found

    async def _next(self) -> Sound:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(PATIENCE):
            data = await loop.sock_recv(self.rtp, 2_048)
        first, second, sequence, timestamp, ssrc = struct.unpack_from(">BBHII", data)
        assert first == 0x80
        return Sound(bool(second & 0x80), second & 0x7F, sequence, timestamp, ssrc, data[12:], loop.time())

    async def hear_report(self) -> bytes:
        """The next RTCP packet."""
        async with asyncio.timeout(PATIENCE):
            return await asyncio.get_running_loop().sock_recv(self.rtcp, 2_048)

    def waiting(self) -> list[bytes]:
        """What has come and was not heard yet."""
        found = []
        try:
            while True:
                found.append(self.rtp.recv(2_048))
        except BlockingIOError:
            return found

    def say(self, data: bytes, stream: Stream) -> None:
        """Send a datagram to where the stream hears."""
        self.rtp.sendto(data, stream.pair.rtp.getsockname())

    def press(self, key: int, timestamp: int, stream: Stream, payload_type: int = DTMF) -> None:
        """One packet of a key."""
        head = struct.pack(">BBHII", 0x80, 0x80 | payload_type, 1, timestamp, 0xBEEF)
        self.say(head + struct.pack(">BBH", key, 0x8A, 800), stream)

    def close(self) -> None:
        self.rtp.close()
        self.rtcp.close()


class Digits:
    """Keys that a stream told of, and waiting for them."""

    def __init__(self, stream: Stream) -> None:
        self.queue: asyncio.Queue[str] = asyncio.Queue()
        stream.on_digit = lambda key, ms: self.queue.put_nowait(key)

    async def next(self) -> str:
        async with asyncio.timeout(PATIENCE):
            return await self.queue.get()


class Call(NamedTuple):
    """A studio with one stream, and who is to hear it."""

    studio: Studio
    stream: Stream
    phone: Phone
    digits: Digits


@asynccontextmanager
async def call(address: str = "127.0.0.1", *, symmetric: bool = False) -> AsyncIterator[Call]:
    """A call that is not connected yet."""
    studio, phone = Studio(PORTS, symmetric=symmetric), Phone(address)
    try:
        stream = studio.open(address)
        yield Call(studio, stream, phone, Digits(stream))
    finally:
        studio.close()
        phone.close()
