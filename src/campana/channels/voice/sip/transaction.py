"""Owns client transactions: retransmission, time limits and the ACK to failures (RFC 3261, section 17.1; RFC 6026).

Must not know dialogs, or what a request is for.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from enum import Enum
from typing import Final

from campana.channels.voice.sip.contract import Timers
from campana.channels.voice.sip.flow import Flow
from campana.channels.voice.sip.message import Request, Response, render

MAGIC: Final = "z9hG4bK"
"""What branches begin with since RFC 3261 (section 8.1.1.7)."""

OnResponse = Callable[[Response], None]
OnFailure = Callable[[OSError], None]
"""TimeoutError (an OSError) where nothing came in time."""


class State(Enum):
    """Where a client transaction is. An INVITE's `calling` is called trying for others."""

    CALLING = "calling"
    PROCEEDING = "proceeding"
    ACCEPTED = "accepted"
    """A 2xx came; more of it, and others, may follow (RFC 6026)."""
    COMPLETED = "completed"
    DONE = "done"


def new_branch() -> str:
    """A branch that nobody can guess."""
    return MAGIC + secrets.token_hex(12)


def add_via(request: Request, flow: Flow, branch: str) -> None:
    """Say on top of the request where answers go: back to where it came from (RFC 3581)."""
    via = f"SIP/2.0/{flow.target.transport.value} {flow.sent_by};rport;branch={branch}"
    request.headers.prepend("Via", via)


class ClientTransaction:
    """A request that is not INVITE, on its way to its final response (section 17.1.2)."""

    def __init__(
        self, request: Request, flow: Flow, timers: Timers, listeners: tuple[OnResponse, OnFailure], branch: str = ""
    ) -> None:
        """Prepare a request without a Via. `branch` is given for a CANCEL alone: its INVITE's (section 9.1)."""
        self.branch = branch or new_branch()
        self.key = (self.branch, request.method)
        self.request = request
        self.flow = flow
        self.state = State.CALLING
        self.was_repeated = False
        self.on_done: Callable[[], None] | None = None
        self._timers = timers
        self._on_response, self._on_failure = listeners
        self._loop = asyncio.get_running_loop()
        self._resend: asyncio.TimerHandle | None = None
        self._limit: asyncio.TimerHandle | None = None
        self._pause = timers.t1
        add_via(request, flow, self.branch)
        self._octets = render(request)

    def start(self) -> None:
        """Send it. A flow that is closed is told of by the failure, a moment later."""
        now = self._loop.time()
        self._limit = self._loop.call_at(now + self._timers.transaction, self._time_out)
        if not self.flow.is_reliable:
            self._resend = self._loop.call_at(now + self._pause, self._send_again, now + self._pause)
        self._send(self._octets)

    def _send(self, octets: bytes) -> None:
        try:
            self.flow.send(octets)
        except OSError as error:
            self._loop.call_soon(self.broke, error)

    def _send_again(self, at: float) -> None:
        """Timers A and E. The next instant follows from the last one, not from when this call came."""
        self._pause = self._next_pause()
        self._resend = self._loop.call_at(at + self._pause, self._send_again, at + self._pause)
        self.was_repeated = True
        self._send(self._octets)

    @property
    def is_waiting(self) -> bool:
        """Whether somebody wants to hear of a response or its lack."""
        return self.state in (State.CALLING, State.PROCEEDING)

    def _next_pause(self) -> float:
        if self.state is State.PROCEEDING:
            return self._timers.t2
        return min(2 * self._pause, self._timers.t2)

    def heard(self, response: Response) -> None:
        """A response with our branch came."""
        if self.state is State.DONE or self.state is State.COMPLETED:
            return
        if response.status < 200:
            self.state = State.PROCEEDING
        else:
            self._complete(0.0 if self.flow.is_reliable else self._timers.t4)
        self._on_response(response)

    def _complete(self, linger: float) -> None:
        self.state = State.COMPLETED
        self._stop_sending()
        self.expire(linger)

    def broke(self, error: OSError) -> None:
        """The flow broke, or an ICMP error came. Whoever was heard of already may still answer over UDP."""
        concerned = self.state is State.CALLING or self.flow.is_reliable
        if self.is_waiting and concerned:
            tell = self._on_failure
            self.close()
            tell(error)

    def _time_out(self) -> None:
        waiting, tell = self.is_waiting, self._on_failure
        self.close()
        if waiting:
            tell(TimeoutError("no response in time"))

    def expire(self, seconds: float) -> None:
        """End in so many seconds, without telling anybody."""
        if self._limit is not None:
            self._limit.cancel()
        self._limit = self._loop.call_later(seconds, self.close)

    def close(self) -> None:
        """Forget everything: what comes now is a stray."""
        self.state = State.DONE
        self._stop_sending()
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None
        if self.on_done is not None:
            self.on_done()
            self.on_done = None
        # Whoever listens holds the transaction: without the circle, both are gone at once (process/call.py).
        self._on_response = self._on_failure = _nobody

    def _stop_sending(self) -> None:
        if self._resend is not None:
            self._resend.cancel()
            self._resend = None


class InviteTransaction(ClientTransaction):
    """An INVITE on its way to its final response, and the time after (section 17.1.1; RFC 6026, section 7.2)."""

    is_abandoned = False
    _ack: bytes | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether somebody wants to hear of a response or its lack."""
        return super().is_waiting and not self.is_abandoned

    def _next_pause(self) -> float:
        return 2 * self._pause

    def heard(self, response: Response) -> None:
        """A response with our branch came. Every 2xx is passed on: its ACK is the dialog's to send."""
        if self.state is State.DONE:
            return
        if response.status < 200:
            self._proceed(response)
        elif response.status < 300:
            if self.state is not State.COMPLETED:
                self._accept()
                self._on_response(response)
        elif self.state is not State.ACCEPTED:
            self._refuse(response)

    def _proceed(self, response: Response) -> None:
        if self.state is State.CALLING:
            self.state = State.PROCEEDING
            self._stop_sending()
            if self._limit is not None and not self.is_abandoned:
                self._limit.cancel()
        if self.state is State.PROCEEDING:
            self._on_response(response)

    def _accept(self) -> None:
        if self.state is not State.ACCEPTED:
            self.state = State.ACCEPTED
            self._stop_sending()
            self.expire(self._timers.transaction)

    def _refuse(self, response: Response) -> None:
        """A failure: its ACK goes out before anybody hears of it, and again for each that comes again."""
        first = self.state is not State.COMPLETED
        if first:
            self._ack = render(ack_to_failure(self.request, response))
            self._complete(0.0 if self.flow.is_reliable else self._timers.transaction)
        if self._ack is not None:
            self._send(self._ack)
        if first:
            self._on_response(response)

    def broke(self, error: OSError) -> None:
        """The flow broke, or an ICMP error came. The INVITE may have arrived all the same."""
        concerned = self.state is State.CALLING or self.flow.is_reliable
        if self.is_waiting and concerned:
            self.abandon()
            self._on_failure(error)

    def _time_out(self) -> None:
        """Timer B. The INVITE may have arrived all the same."""
        self.abandon()
        self._on_failure(TimeoutError("no response in time"))

    def abandon(self) -> None:
        """Send no more; what still comes is passed on for a while, since somebody may answer."""
        if self.is_waiting:
            self.is_abandoned = True
            self._stop_sending()
            self.expire(self._timers.late)


def _nobody(_: object) -> None:
    """Who listens to a transaction that is over."""


def ack_to_failure(invite: Request, response: Response) -> Request:
    """The ACK to a failure: the INVITE's branch and route, the response's To (section 17.1.1.3)."""
    ack = _follower(invite, "ACK")
    ack.headers.add("To", response.headers.get("To") or "")
    return ack


def cancel_of(invite: Request) -> Request:
    """The CANCEL of an INVITE, without its Via (section 9.1)."""
    cancel = _follower(invite, "CANCEL")
    cancel.headers.add("To", invite.headers.get("To") or "")
    cancel.headers.remove("Via")
    return cancel


def _follower(invite: Request, method: str) -> Request:
    request = Request(method, invite.uri)
    request.headers.add("Via", invite.headers.get("Via") or "")
    for name in ("Route", "Authorization", "Proxy-Authorization"):
        for value in invite.headers.all(name):
            request.headers.add(name, value)
    for name in ("From", "Call-ID"):
        request.headers.add(name, invite.headers.get(name) or "")
    number = (invite.headers.get("CSeq") or "").partition(" ")[0]
    request.headers.add("CSeq", f"{number} {method}")
    request.headers.add("Max-Forwards", "70")
    return request
