"""Owns all ways of a process to its SIP peers: a UDP socket for each IP version, and connections that are kept.

Must not know messages or transactions, nor look names up.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from typing import Final

import structlog

from campana.channels.voice.addresses import family_of
from campana.channels.voice.settings import VoiceRouteSettings
from campana.channels.voice.sip.flow import Flow, Receiver, Target
from campana.channels.voice.sip.own_address import OwnAddress
from campana.channels.voice.sip.transport_stream import StreamFlow, tls_context
from campana.channels.voice.sip.transport_udp import UdpSocket
from campana.channels.voice.sip.uri import Transport, parse_trunk

CONNECT_SECONDS: Final = 5.0
FAREWELL_SECONDS: Final = 1.0
"""How long closing may take until what was written is sent."""
WARNINGS_APART: Final = 60.0
"""Seconds between two warnings of one kind about what others do."""
MOST_CALLERS: Final = 64
"""Connections that others opened to us; then the one that was silent longest is closed."""

_log = structlog.get_logger(__name__)


async def open_transports(settings: VoiceRouteSettings, receiver: Receiver) -> NetworkTransports:
    """Return the transports of a route; sockets are opened as targets want them.

    Raises ValueError, naming the setting, where the certificates to trust cannot be read.
    """
    uris = [*settings.trunks, *([parse_trunk(settings.proxy)] if settings.proxy else [])]
    tls = tls_context(settings) if any(uri.transport is Transport.TLS for uri in uris) else None
    return NetworkTransports(settings, receiver, tls)


class NetworkTransports:
    """All flows of a process, over real sockets."""

    def __init__(
        self,
        settings: VoiceRouteSettings,
        receiver: Receiver,
        tls: ssl.SSLContext | None = None,
        connect_seconds: float = CONNECT_SECONDS,
    ) -> None:
        self._settings = settings
        self._receiver = receiver
        self._tls = tls
        self._connect_seconds = connect_seconds
        self._own = OwnAddress.of(settings)
        self._loop = asyncio.get_running_loop()
        self._udp: dict[socket.AddressFamily, UdpSocket] = {}
        self._listeners: dict[socket.AddressFamily, tuple[asyncio.Server, int]] = {}
        self._listening = asyncio.Lock()
        self._streams: dict[Target, StreamFlow] = {}
        self._connecting: dict[Target, asyncio.Task[StreamFlow]] = {}
        self._callers: dict[StreamFlow, None] = {}
        self._warned: dict[str, tuple[float, int]] = {}
        """When each kind of warning was given last, and how often it was not since."""
        self._closed = False

    async def flow(self, target: Target) -> Flow:
        """The flow to a target; a connection is made where there is none. Raises OSError, ssl.SSLError included."""
        if self._closed:
            raise OSError(errno.ESHUTDOWN, os.strerror(errno.ESHUTDOWN))
        if target.transport is Transport.UDP:
            return self._datagrams(family_of(target.address)).flow(target)
        return self._open_stream(target) or await self._connected(target)

    async def close(self) -> None:
        """Close everything; what was written is sent before, for a moment."""
        self._closed = True
        for task in self._connecting.values():
            task.cancel()
        for server, _ in self._listeners.values():
            server.close()
        streams = [*self._streams.values(), *self._callers]
        for stream in streams:
            stream.close()
        if streams:
            await asyncio.wait([stream.ended for stream in streams], timeout=FAREWELL_SECONDS)
        for stream in streams:
            stream.abort()
        for datagrams in self._udp.values():
            datagrams.close()

    # --- UDP -----------------------------------------------------------------------------------------------------

    def _datagrams(self, family: socket.AddressFamily) -> UdpSocket:
        found = self._udp.get(family)
        if found is None:
            found = self._udp[family] = UdpSocket(family, self._own, self._receiver)
        return found

    # --- connections that we open --------------------------------------------------------------------------------

    def _open_stream(self, target: Target) -> StreamFlow | None:
        """An open connection that will do: the target's own, or one to the same place where no name is to be checked.

        The latter is how requests within a dialog find the connection of its first one, and the one that the other
        side opened.
        """
        found = self._streams.get(target)
        if found is not None and found.is_open:
            return found
        if target.transport is Transport.TLS and target.name != target.address:
            return None
        place = (target.transport, target.address, target.port)
        for stream in (*self._streams.values(), *self._callers):
            known = stream.target
            if stream.is_open and (known.transport, known.address, known.port) == place:
                return stream
        return None

    async def _connected(self, target: Target) -> StreamFlow:
        """Connect, once for all who want to."""
        task = self._connecting.get(target)
        if task is None:
            task = self._connecting[target] = asyncio.create_task(self._connect(target))
            task.add_done_callback(lambda done: self._connecting.pop(target, None))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            waiting = asyncio.current_task()
            if self._closed and task.cancelled() and waiting is not None and not waiting.cancelling():
                raise OSError(errno.ESHUTDOWN, os.strerror(errno.ESHUTDOWN)) from None
            raise

    async def _connect(self, target: Target) -> StreamFlow:
        family = family_of(target.address)
        tls = self._tls_context() if target.transport is Transport.TLS else None
        if tls is None:
            await self._listen(family)
        bound = self._own.bound(family)
        stream = StreamFlow(self._receiver, self, target)
        try:
            async with asyncio.timeout(self._connect_seconds):
                await self._loop.create_connection(
                    lambda: stream,
                    target.address,
                    target.port,
                    ssl=tls,
                    server_hostname=target.name if tls is not None else None,
                    local_addr=(bound, 0) if bound else None,
                )
        except TimeoutError:
            raise OSError(errno.ETIMEDOUT, "connecting took too long") from None
        except ValueError as error:
            if isinstance(error, OSError):
                raise
            raise OSError(errno.EINVAL, "the name cannot stand in a certificate") from None
        if not stream.is_open:
            raise stream.problem()
        self._streams[target] = stream
        return stream

    def _tls_context(self) -> ssl.SSLContext:
        if self._tls is None:
            try:
                self._tls = tls_context(self._settings)
            except ValueError as error:
                raise OSError(errno.EINVAL, str(error)) from None
        return self._tls

    # --- what connections ask (Keeper) ---------------------------------------------------------------------------

    def stream_ended(self, flow: StreamFlow) -> None:
        """Forget a connection."""
        self._callers.pop(flow, None)
        if self._streams.get(flow.target) is flow:
            del self._streams[flow.target]

    def warn(self, event: str, rule: str) -> None:
        """Log what others do wrong, now and then, and how often it was passed over."""
        now = self._loop.time()
        last, passed_over = self._warned.get(event, (now - WARNINGS_APART, 0))
        if now - last < WARNINGS_APART:
            self._warned[event] = last, passed_over + 1
            return
        self._warned[event] = now, 0
        _log.warning(event, route=self._settings.name, rule=rule, passed_over=passed_over)

    def name_us(self, flow: StreamFlow) -> str:
        """Where we listen; over TLS, where we do not, the connection's own port: it is known to the other side."""
        address, port = flow.local
        listener = self._listeners.get(family_of(address))
        return self._own.sent_by(address, port if flow.cipher or listener is None else listener[1])

    # --- connections that others open ----------------------------------------------------------------------------

    async def _listen(self, family: socket.AddressFamily) -> None:
        """Listen for requests over TCP that do not come on a connection of ours (RFC 3261, section 18.1.1).

        At the port of UDP where it is free. Raises OSError where a configured port is taken.
        """
        async with self._listening:
            if family in self._listeners:
                return
            bound, port = self._own.bound(family), self._datagrams(family).port
            try:
                server = await self._loop.create_server(self._called, bound or None, port, family=family)
            except OSError:
                if self._own.port:
                    raise
                server = await self._loop.create_server(self._called, bound or None, 0, family=family)
            self._listeners[family] = server, server.sockets[0].getsockname()[1]

    def _called(self) -> StreamFlow:
        if len(self._callers) >= MOST_CALLERS:
            longest_silent = min(self._callers, key=lambda stream: stream.last_heard)
            del self._callers[longest_silent]
            longest_silent.abort()
            self.warn("sip.connections_many", f"at most {MOST_CALLERS}")
        stream = StreamFlow(self._receiver, self)
        stream.last_heard = self._loop.time()
        self._callers[stream] = None
        return stream
