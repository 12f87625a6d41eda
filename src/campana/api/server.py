"""Owns how uvicorn is set up for Campana's doors, and the limits that it does not have of its own.

Must not know what is behind the door.
"""

from __future__ import annotations

import asyncio
import fcntl
import termios
from array import array
from dataclasses import dataclass
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

PACE_BYTES = 16 * 1024
UNHURRIED = "campana.unhurried"
"""The scope has under this name what an application calls that takes a body of any length, and watches its pace itself:
the request then has no deadline."""


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """Seconds and bytes that a connection may take."""

    request_seconds: float = 60.0
    """From a request's first byte (or the connection's opening) to the end of its body."""
    stall_seconds: float = 60.0
    """In each such span a client must take at least PACE_BYTES of an answer that waits for it."""
    idle_seconds: int = 75
    """Between two requests of a connection."""
    head_bytes: int = 64 * 1024
    """Request line and headers."""


class _JoiningTransport:
    """A transport that keeps an answer's head back until its body's first piece, so that both leave in one write.

    uvicorn writes them one after the other, and each write costs a system call here and a wake-up there. Whatever else
    happens to the connection first (its closing, the answer's end without a body), the head leaves before it.
    """

    __slots__ = ("_head", "_transport", "_write", "is_closing", "pause_reading", "resume_reading")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._write = transport.write
        self._head = b""
        self.is_closing = transport.is_closing
        self.pause_reading = transport.pause_reading
        self.resume_reading = transport.resume_reading

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if self._head:
            data, self._head = self._head + data, b""
        elif data.startswith(b"HTTP/1.1 ") and not data.startswith(b"HTTP/1.1 1"):
            # Not an interim answer such as 100 Continue, for which the client waits.
            self._head = data
            return
        self._write(data)

    def flush(self) -> None:
        if self._head:
            self.write(b"")

    def close(self) -> None:
        self.flush()
        self._transport.close()


class LimitedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 protocol with limits on the time and size of a request and the time of its answer.

    What comes whole in one piece, as nearly every request does, costs no timer.
    """

    limits = ServerLimits()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._head_bytes = 0
        self._in_head = True
        self._pending = True
        self._unhurried = False
        self._stall: asyncio.TimerHandle | None = None
        joining = _JoiningTransport(transport)  # type: ignore[arg-type]  # it is a Transport, whatever asyncio says
        super().connection_made(joining)  # type: ignore[arg-type]  # it has all of a Transport that uvicorn uses
        self._deadline: asyncio.TimerHandle | None = self._after(self.limits.request_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._deadline, self._stall):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._pending = True
        super().data_received(data)
        if not self._pending or self.transport.is_closing():
            return
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > self.limits.head_bytes:
                self.send_400_response("The request's headers are too long.")
                return
        if self._deadline is None and not self._unhurried:
            self._deadline = self._after(self.limits.request_seconds)

    def on_message_begin(self) -> None:
        self._pending = self._in_head = True
        self._unhurried = False
        self._head_bytes = 0
        super().on_message_begin()
        self.scope[UNHURRIED] = self._lift_deadline  # type: ignore[literal-required]  # beyond what ASGI has

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._pending = self._unhurried = False
        self._end_deadline()
        super().on_message_complete()

    def _lift_deadline(self) -> None:
        if self._pending:
            self._unhurried = True
            self._end_deadline()

    def _end_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def on_response_complete(self) -> None:
        self.transport.flush()  # type: ignore[attr-defined]  # it is ours
        super().on_response_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._stall is None:
            self._watch_pace(self._unread_bytes())

    def resume_writing(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
        super().resume_writing()

    def _watch_pace(self, unread: int) -> None:
        self._stall = self.loop.call_later(self.limits.stall_seconds, self._check_pace, unread)

    def _check_pace(self, unread_before: int) -> None:
        unread = self._unread_bytes()
        if unread > unread_before - PACE_BYTES:
            self.transport.abort()
        else:
            self._watch_pace(unread)

    def _unread_bytes(self) -> int:
        """What waits here and in the kernel, whose buffer may hide a slow reader from the transport for minutes."""
        ours = self.transport.get_write_buffer_size()
        queued = array("i", [0])
        fcntl.ioctl(self.transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, queued)
        return ours + queued[0]

    def _after(self, seconds: float) -> asyncio.TimerHandle:
        return self.loop.call_later(seconds, self.transport.abort)


def protocol(limits: ServerLimits) -> type[LimitedProtocol]:
    """The protocol class with other limits."""
    return type("LimitedProtocol", (LimitedProtocol,), {"limits": limits})


def server_config(app: Any, limits: ServerLimits | None = None, **settings: Any) -> uvicorn.Config:
    """uvicorn's settings that the doors rely on; `settings` adds to them (host, port, ssl_certfile, ...).

    Proxy headers stay with the doors, which know the trusted proxies: uvicorn would believe any peer on this machine.
    """
    limits = limits or ServerLimits()
    return uvicorn.Config(
        app,
        http=protocol(limits),
        loop="uvloop",
        ws="none",
        lifespan="off",
        interface="asgi3",
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
        timeout_keep_alive=limits.idle_seconds,
        **settings,
    )
