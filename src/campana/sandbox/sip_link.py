"""Owns how the sandbox's SIP carrier is reached: connections with their framing, and its UDP socket.

Must not know what a message says.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, cast

from campana.channels.voice.sip.framing import Framer, datagram_message

if TYPE_CHECKING:
    from campana.sandbox.sip import SipSimulator

RECEIVE_BUFFER: Final = 4 << 20
"""Octets: hundreds of callers may start at once."""


class SipLink(asyncio.Protocol):
    """A caller's connection."""

    is_reliable = True

    def __init__(self, carrier: SipSimulator) -> None:
        self._carrier = carrier
        self._framer = Framer()
        self.source = ("", 0)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A caller connected."""
        self._transport = cast("asyncio.Transport", transport)
        self.source = transport.get_extra_info("peername")[:2]
        self._carrier.came(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The caller's connection is gone; its calls are not, by that alone."""
        self._carrier.went(self)

    def cut(self) -> None:
        """Cut the connection without a word."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        for message in self._framer.feed(data):
            self._carrier.received(self, message)
        if self._framer.broken:
            self._carrier.complain(f"a connection was broken: {self._framer.broken}")
            self._transport.close()

    def send(self, message: bytes, place: tuple[str, int]) -> None:
        """Send one message over the connection."""
        if not self._transport.is_closing():
            self._transport.write(message)


class SipSocket(asyncio.DatagramProtocol):
    """The UDP socket."""

    def __init__(self, carrier: SipSimulator) -> None:
        self._carrier = carrier

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is bound."""
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        """Take what came."""
        message = datagram_message(data)
        if message is not None:
            self._carrier.received(SipPeer(self, addr[:2]), message)

    def send(self, message: bytes, place: tuple[str, int]) -> None:
        """Send one datagram."""
        if not self._transport.is_closing():
            self._transport.sendto(message, place)

    def close(self) -> None:
        """Close the socket."""
        self._transport.close()


class SipPeer:
    """The UDP socket with the address that a datagram came from."""

    is_reliable = False
    __slots__ = ("_socket", "source")

    def __init__(self, socket: SipSocket, source: tuple[str, int]) -> None:
        self._socket = socket
        self.source = source

    def send(self, message: bytes, place: tuple[str, int]) -> None:
        """Send one datagram."""
        self._socket.send(message, place)
