"""Owns the transactions of the sandbox's SIP carrier: answering each request once, and saying again what may be lost.

Must not know calls or fates. It is written for the answering side alone (RFC 3261, sections 13.3.1.4, 17.1.2, 17.2).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from campana.channels.voice.sip.headers import parse_via
from campana.channels.voice.sip.message import Request, Response, render, response_to

SIP_PORT: Final = 5_060
REASONS: Final = {
    100: "Trying",
    180: "Ringing",
    183: "Session Progress",
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    407: "Proxy Authentication Required",
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    482: "Loop Detected",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    500: "Server Internal Error",
    503: "Service Unavailable",
    603: "Decline",
}

_BLANK_RPORT = re.compile(r";[ \t]*rport[ \t]*(?=;|$)", re.IGNORECASE)


class Way(Protocol):
    """Where a request came from, and what answers go back by."""

    is_reliable: bool
    """A connection: nothing is lost on it."""
    source: tuple[str, int]
    """Address and port of the other end."""

    def send(self, message: bytes, place: tuple[str, int]) -> None:
        """Send one message: over the connection, or over UDP to `place`. What cannot be sent is lost."""


@dataclass(frozen=True, slots=True)
class Timers:
    """Section 17.1.1.1: T1 and T2 in seconds."""

    t1: float = 0.5
    t2: float = 4.0

    @property
    def patience(self) -> float:
        """How long anything is waited for: 64 times T1."""
        return 64 * self.t1


class Persistence:
    """Sends the same again after T1, 2 T1, ... T2, until stopped; gives up after 64 T1."""

    def __init__(self, send: Callable[[], None] | None, timers: Timers, given_up: Callable[[], None]) -> None:
        """`send` None only waits."""
        self._loop = asyncio.get_running_loop()
        self._send = send
        self._timers = timers
        self._given_up = given_up
        self._pause = timers.t1
        self._end = self._loop.call_later(timers.patience, self._give_up)
        self._next = self._loop.call_later(self._pause, self._again) if send is not None else None

    def stop(self) -> None:
        """What was waited for has come."""
        self._end.cancel()
        if self._next is not None:
            self._next.cancel()

    def _again(self) -> None:
        if self._send is not None:
            self._send()
        self._pause = min(2 * self._pause, self._timers.t2)
        self._next = self._loop.call_later(self._pause, self._again)

    def _give_up(self) -> None:
        self.stop()
        self._given_up()


class ServerTransaction:
    """One request and what is answered to it."""

    def __init__(self, way: Way, request: Request, timers: Timers) -> None:
        self.way = way
        self.request = request
        self.status = 0
        """The last response's; 0 before there was one."""
        self.is_acknowledged = False
        """An INVITE's: its final response got its ACK."""
        self._timers = timers
        self._place = stamp_via(request, way.source)
        self._last = b""
        self._persistence: Persistence | None = None

    def respond(self, response: Response, unacknowledged: Callable[[], None] = lambda: None) -> None:
        """Answer. A final response to an INVITE is said again until its ACK comes, or `unacknowledged` is called."""
        if self.status >= 200:
            return
        self.status = response.status
        self._last = render(response)
        self._send()
        if self.request.method == "INVITE" and self.status >= 200:
            # A 2xx is repeated over connections too, since proxies may go on over UDP (section 13.3.1.4).
            repeats = self.status < 300 or not self.way.is_reliable
            self._persistence = Persistence(self._send if repeats else None, self._timers, unacknowledged)

    def answer(self, status: int, tag: str = "", unacknowledged: Callable[[], None] = lambda: None) -> None:
        """Answer with a status alone."""
        self.respond(response_to(self.request, status, REASONS[status], tag), unacknowledged)

    def repeated(self) -> None:
        """The request came again: so does the answer, but a 2xx to an INVITE, which comes again by itself."""
        if self._last and not (self.request.method == "INVITE" and 200 <= self.status < 300):
            self._send()

    def acknowledge(self) -> None:
        """The ACK has come."""
        self.is_acknowledged = True
        self.close()

    def close(self) -> None:
        """Say nothing again."""
        if self._persistence is not None:
            self._persistence.stop()

    def _send(self) -> None:
        self.way.send(self._last, self._place)


class ClientTransaction:
    """One request of a telephone, which is no INVITE: said again until it is answered (section 17.1.2)."""

    def __init__(self, way: Way, place: tuple[str, int], request: Request, timers: Timers) -> None:
        self.request = request
        self.answered: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        """The final response's status; 0 where none came."""
        self._way, self._place, self._data = way, place, render(request)
        self._send()
        self._persistence = Persistence(None if way.is_reliable else self._send, timers, lambda: self._settle(0))

    def respond(self, response: Response) -> None:
        """A response came."""
        if response.status >= 200:
            self._settle(response.status)

    def close(self) -> None:
        """Give up."""
        self._settle(0)

    def _send(self) -> None:
        self._way.send(self._data, self._place)

    def _settle(self, status: int) -> None:
        self._persistence.stop()
        if not self.answered.done():
            self.answered.set_result(status)


def stamp_via(request: Request, source: tuple[str, int]) -> tuple[str, int]:
    """Note in the first Via where a request came from, and return where answers go to over UDP.

    Section 18.2.1 and 18.2.2, and RFC 3581: `rport` asks for the port that the request came from.
    """
    first, *others = request.headers.all("Via")
    via = parse_via(first)
    address, port = source
    if "rport" in via.parameters:
        first = _BLANK_RPORT.sub(f";rport={port}", first, count=1) + f";received={address}"
    else:
        port = via.port or SIP_PORT
        if via.host != address:
            first += f";received={address}"
    request.headers.remove("Via")
    for value in (first, *others):
        request.headers.add("Via", value)
    return address, port
