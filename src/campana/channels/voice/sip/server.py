"""Owns server transactions: a request of the other side is acted on once, and answered again when it comes again.

Must not know what a request asks for. (RFC 3261, section 17.2.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from campana.channels.voice.sip.contract import Timers
from campana.channels.voice.sip.flow import Flow
from campana.channels.voice.sip.headers import parse_via
from campana.channels.voice.sip.message import Request, Response, cseq_of, render

Key = tuple[str, str, int | None, str, int, str]


def key_of(request: Request) -> Key:
    """What tells a server transaction from others (section 17.2.3); an ACK has its INVITE's.

    With Call-ID and CSeq, so that it holds for elder peers too, whose branches tell nothing.
    """
    via = parse_via(request.headers.get("Via") or "")
    number, method = cseq_of(request)
    call_id = request.headers.get("Call-ID") or ""
    return via.branch, via.host, via.port, call_id, number, "INVITE" if method == "ACK" else method


class ServerTransaction:
    """One request of the other side. An INVITE's answer is repeated until its ACK comes."""

    def __init__(self, request: Request, flow: Flow, timers: Timers, on_done: Callable[[], None]) -> None:
        self.request = request
        self.on_unacknowledged: Callable[[], None] | None = None
        self._flow = flow
        self._timers = timers
        self._on_done = on_done
        self._loop = asyncio.get_running_loop()
        self._octets: bytes | None = None
        self._limit: asyncio.TimerHandle | None = None
        self._resend: asyncio.TimerHandle | None = None

    def respond(self, response: Response) -> None:
        """Send the final response."""
        self._octets = render(response)
        is_invite = self.request.method == "INVITE"
        now = self._loop.time()
        if is_invite and (not self._flow.is_reliable or response.status < 300):
            # A 2xx is repeated over reliable transports too: a proxy between may use another (section 13.3.1.4).
            first = now + self._timers.t1
            self._resend = self._loop.call_at(first, self._send_again, first, self._timers.t1)
        linger = 0.0 if self._flow.is_reliable and not is_invite else self._timers.transaction
        self._limit = self._loop.call_at(now + linger, self._expire)
        self._send()

    def came_again(self) -> None:
        """The request came again: so does the response."""
        self._send()

    def acknowledge(self) -> None:
        """The ACK came: the response is not repeated any more."""
        if self._resend is not None:
            self._resend.cancel()
            self._resend = None

    def close(self) -> None:
        """Forget it."""
        self.acknowledge()
        if self._limit is not None:
            self._limit.cancel()
        self._on_done()

    def _send_again(self, at: float, pause: float) -> None:
        pause = min(2 * pause, self._timers.t2)
        self._resend = self._loop.call_at(at + pause, self._send_again, at + pause, pause)
        self._send()

    def _send(self) -> None:
        if self._octets is None:
            return
        try:
            self._flow.send(self._octets)
        except OSError:
            return  # whoever asked will ask again, over another connection

    def _expire(self) -> None:
        unheard = self._resend is not None
        self.close()
        if unheard and self.on_unacknowledged is not None:
            self.on_unacknowledged()
