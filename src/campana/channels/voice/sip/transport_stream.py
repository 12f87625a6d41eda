"""Owns one SIP connection over TCP or TLS, whoever opened it.

Must not know messages beyond where each ends, nor which other connections there are.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import ssl
from typing import Final, Protocol, cast

from campana.channels.voice.settings import VoiceRouteSettings
from campana.channels.voice.sip.flow import Receiver, Target
from campana.channels.voice.sip.framing import Framer
from campana.channels.voice.sip.uri import Transport

MOST_UNSENT: Final = 1 << 20
"""Octets that may wait for a peer that does not read; then the connection is broken."""
SILENT_MS: Final = 10_000
"""How long sent octets may stay unacknowledged before the connection counts as broken (TCP_USER_TIMEOUT)."""


def tls_context(settings: VoiceRouteSettings) -> ssl.SSLContext:
    """Return the context for the route's connections. Raises ValueError naming the setting.

    The peer must bear the name that led to it (RFC 5922, section 7.1) as a DNS name or address of its certificate;
    SIP URIs in certificates are not looked at.
    """
    try:
        context = ssl.create_default_context(cafile=settings.tls_ca)
    except (OSError, ssl.SSLError) as error:
        raise ValueError(f"tls_ca: the file cannot be used ({error.strerror or 'not PEM'})") from None
    if not settings.tls_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class Keeper(Protocol):
    """Who keeps the connections of a route."""

    def warn(self, event: str, rule: str) -> None:
        """Log what others do wrong, now and then: they can do it as often as they like."""

    def name_us(self, flow: StreamFlow) -> str:
        """Host and port by which the other side reaches us."""

    def stream_ended(self, flow: StreamFlow) -> None:
        """The connection is gone; the receiver hears of it next."""


class StreamFlow(asyncio.Protocol):
    """One connection. Without a target, it is one that the other side opened."""

    is_reliable = True

    def __init__(self, receiver: Receiver, keeper: Keeper, target: Target | None = None) -> None:
        self.target = target or Target(Transport.TCP, "", 0, "")
        self.sent_by = ""
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.last_heard = 0.0
        """When anything came last, by the loop's clock."""
        self._receiver = receiver
        self._keeper = keeper
        self._framer = Framer()
        self._transport: asyncio.Transport | None = None
        self._error: OSError | None = None
        self._farewell = False

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent."""
        return self._transport is not None and not self._transport.is_closing() and not self.ended.done()

    @property
    def local(self) -> tuple[str, int]:
        """Our address and port."""
        return self._name("sockname")

    @property
    def cipher(self) -> str:
        """Version and cipher of TLS, for people; blank without TLS."""
        found = self._transport.get_extra_info("cipher") if self._transport is not None else None
        return f"{found[1]}, {found[0]}" if found else ""

    def send(self, message: bytes) -> None:
        """Send one message. Raises OSError where the connection is closed or its peer has stopped reading."""
        if self._transport is None or not self.is_open:
            raise self.problem()
        if self._transport.get_write_buffer_size() > MOST_UNSENT:
            self._break(OSError(errno.ETIMEDOUT, "the other side does not read"))
            raise self.problem()
        self._transport.write(message)

    def close(self) -> None:
        """Close after what was written has been sent. The receiver hears nothing of it."""
        self._farewell = True
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once. The receiver hears nothing of it."""
        self._farewell = True
        if self._transport is not None:
            self._transport.abort()

    def problem(self) -> OSError:
        """Why it is not open."""
        return self._error or OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))

    def _name(self, which: str) -> tuple[str, int]:
        # None where the connection is gone already.
        found = self._transport.get_extra_info(which) if self._transport is not None else None
        address, port, *_ = found or ("", 0)
        return str(address), int(port)

    # --- its life ------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands, its TLS included."""
        self._transport = cast("asyncio.Transport", transport)
        if self._farewell:
            self._transport.abort()
            return
        connection = transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENT_MS)
        self.last_heard = asyncio.get_running_loop().time()
        if not self.target.address:
            address, port = self._name("peername")
            self.target = Target(Transport.TCP, address, port, address)
        self.sent_by = self._keeper.name_us(self)

    def data_received(self, data: bytes) -> None:
        """Cut what came into messages and pass them on."""
        self.last_heard = asyncio.get_running_loop().time()
        for message in self._framer.feed(data):
            self._receiver.received(self, message)
        if self._framer.broken and not self._farewell:
            self._keeper.warn("sip.garbage", self._framer.broken)
            self._break(OSError(errno.EPROTO, f"the other side does not speak SIP: {self._framer.broken}"))

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone: tell those who use it."""
        if not self.ended.done():
            self.ended.set_result(None)
        self._keeper.stream_ended(self)
        if self._farewell:
            return
        if self._error is None:
            closed = OSError(errno.ECONNRESET, "the other side closed the connection")
            self._error = exc if isinstance(exc, OSError) else closed
        self._receiver.lost(self, self._error)

    def _break(self, error: OSError) -> None:
        self._error = error
        if self._transport is not None:
            self._transport.abort()
