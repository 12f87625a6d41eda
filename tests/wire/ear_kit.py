"""Owns the ear of a telephone: two UDP ports that keep the RTP they hear, put it in order, and can press keys.

Must not use Campana's own RTP: RFC 3550 and RFC 4733 are read here once more, from the text.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from sipp_kit import SOON

HEADER = struct.Struct("!BBHII")
EVENTS = "0123456789*#ABCD"


@dataclass(frozen=True)
class Packet:
    """One RTP packet (RFC 3550, section 5.1)."""

    at: float
    """Seconds of the loop's clock."""
    kind: int
    marker: bool
    number: int
    stamp: int
    source: int
    payload: bytes


@dataclass
class Ear:
    """What a telephone hears."""

    port: int
    packets: list[Packet] = field(default_factory=list)
    reports: list[bytes] = field(default_factory=list)
    """RTCP, a datagram each."""
    peer: tuple[str, int] | None = None
    """Where the sound comes from."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    sender: asyncio.DatagramTransport | None = None
    _stamp: int = field(default_factory=lambda: random.randrange(1 << 30))
    _number: int = field(default_factory=lambda: random.randrange(1 << 15))

    async def until(self, met: Callable[[], bool]) -> None:
        """Wait until something is so; looked at with every packet."""
        async with asyncio.timeout(SOON):
            while not met():
                self.changed.clear()
                await self.changed.wait()

    def sound(self) -> bytes:
        """All G.711 that was heard, in the order of its timestamps. A gap is nothing."""
        return b"".join(packet.payload for packet in sorted(self.packets, key=lambda packet: packet.number))

    def kinds(self) -> set[int]:
        """The payload numbers heard."""
        return {packet.kind for packet in self.packets}

    def send(self, datagram: bytes) -> None:
        """Send anything to where the sound comes from."""
        assert self.sender is not None
        assert self.peer is not None
        self.sender.sendto(datagram, self.peer)

    def press(self, key: str, kind: int = 101, ms: int = 80, ends_only: bool = False) -> None:
        """Press a key: one event of RFC 4733 in packets of 20 ms, its end told three times (section 2.5.1.4)."""
        event, self._stamp = EVENTS.index(key), self._stamp + 8 * (ms + 200)
        lengths = [] if ends_only else [(160 * n, 0) for n in range(1, ms // 20)]
        for place, (length, end) in enumerate([*lengths, *[(8 * ms, 0x80)] * 3]):
            self._number += 1
            marker = 0x80 if place == 0 else 0
            head = HEADER.pack(0x80, kind | marker, self._number & 0xFFFF, self._stamp & 0xFFFFFFFF, 0x0EA40EA4)
            self.send(head + struct.pack("!BBH", event, end | 10, length))

    def speak(self, payload: bytes, kind: int = 8) -> None:
        """Say 20 ms."""
        self._number, self._stamp = self._number + 1, self._stamp + 160
        self.send(HEADER.pack(0x80, kind, self._number & 0xFFFF, self._stamp & 0xFFFFFFFF, 0x0EA40EA4) + payload)


class _Listening(asyncio.DatagramProtocol):
    def __init__(self, ear: Ear, control: bool) -> None:
        self.ear, self.control = ear, control
        self.loop = asyncio.get_running_loop()

    def datagram_received(self, data: bytes, address: tuple[str | int, ...]) -> None:
        if self.control:
            self.ear.reports.append(data)
        else:
            _, kind, number, stamp, source = HEADER.unpack_from(data)
            packet = Packet(self.loop.time(), kind & 0x7F, bool(kind & 0x80), number, stamp, source, data[12:])
            self.ear.packets.append(packet)
            self.ear.peer = (str(address[0]), int(address[1]))
        self.ear.changed.set()


def _pair(host: str) -> tuple[socket.socket, socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for _ in range(100):
        sound = socket.socket(family, socket.SOCK_DGRAM)
        sound.bind((host, 0))
        port = sound.getsockname()[1]
        control = socket.socket(family, socket.SOCK_DGRAM)
        with contextlib.suppress(OSError, OverflowError):
            if port % 2 == 0:
                control.bind((host, port + 1))
                return sound, control
        sound.close()
        control.close()
    raise OSError("no pair of ports is free")


@contextlib.asynccontextmanager
async def ear(host: str = "127.0.0.1") -> AsyncIterator[Ear]:
    """Listen at a free pair of ports: sound at the even one, RTCP at the next."""
    loop = asyncio.get_running_loop()
    sound, control = _pair(host)
    listener = Ear(sound.getsockname()[1])
    transport, _ = await loop.create_datagram_endpoint(lambda: _Listening(listener, False), sock=sound)
    other, _ = await loop.create_datagram_endpoint(lambda: _Listening(listener, True), sock=control)
    listener.sender = transport
    try:
        yield listener
    finally:
        transport.close()
        other.close()
