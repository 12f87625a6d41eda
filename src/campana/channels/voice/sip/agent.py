"""Owns the SIP side of a process: who gets which message, calls that are placed, and saying goodbye at the end.

Must not know sound, scripts, or how octets travel.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from campana.channels.voice.settings import VoiceRouteSettings
from campana.channels.voice.sip.answering import acknowledged, answer_stranger, answer_within, reply
from campana.channels.voice.sip.contract import Invitation, LegEnded, LegEvents, Locator, Timers
from campana.channels.voice.sip.flow import Flow, Transports
from campana.channels.voice.sip.leg import OutgoingLeg
from campana.channels.voice.sip.message import Request, Response, SipSyntaxError, parse, render, tag_of
from campana.channels.voice.sip.problem import Problem
from campana.channels.voice.sip.replying import received_from
from campana.channels.voice.sip.stack import Stack
from campana.channels.voice.sip.watching import TellState, Watch

STRANGERS_PER_SECOND: Final = 100
"""Requests outside of any dialog that are answered, at most; the others are left unanswered."""

HANG_UPS_AT_ONCE: Final = 25
HANG_UP_PAUSE: Final = 0.05
"""Seconds between so many: a trunk that gets thousands of requests at once loses some of them."""

_log = structlog.get_logger(__name__)


class Agent:
    """The user agent of one route. It hears the transports as their Receiver, and is given them by `use`."""

    def __init__(
        self, settings: VoiceRouteSettings, locator: Locator, tell_state: TellState, timers: Timers | None = None
    ) -> None:
        self._stack = Stack(settings, locator, timers or Timers())
        self._watch = Watch(self._stack, tell_state)
        self._legs: set[OutgoingLeg] = set()
        self._secret = secrets.token_bytes(16)
        self._strangers_left = float(STRANGERS_PER_SECOND)
        self._counted_at = 0.0
        self.unreadable = 0
        """Messages that were not SIP."""

    def use(self, transports: Transports) -> None:
        """Send over these transports."""
        self._stack.transports = transports

    async def start(self) -> None:
        """Watch the trunk from now on, and tell how it is. Returns at once."""
        self._watch.start()

    def place(self, invitation: Invitation, events: LegEvents, may_leave: Callable[[], Awaitable[bool]]) -> OutgoingLeg:
        """Place a call. `may_leave` is awaited right before the INVITE goes to a host, each time for a further one."""
        leg = OutgoingLeg(self._stack, invitation, events, may_leave)
        leg.on_over = self._over
        self._legs.add(leg)
        leg.start()
        return leg

    def _over(self, leg: OutgoingLeg, ended: LegEnded) -> None:
        self._legs.discard(leg)
        if ended.problem is Problem.AUTHENTICATION:
            self._watch.refused()
        elif ended.problem in (Problem.TRANSPORT, Problem.TIMEOUT):
            self._watch.doubt()

    @property
    def remembered(self) -> int:
        """Calls, dialogs and transactions that are kept at the moment. It goes back to 0 once all is said."""
        return len(self._legs) + len(self._stack.conversations) + len(self._stack.transactions)

    async def check(self) -> tuple[bool, list[tuple[str, str]], str]:
        """Ask the trunk once, and register where that is configured: whether all is well, facts, and what is not."""
        found = await self._watch.ping()
        facts, problem = list(found.facts), found.problem
        if self._stack.settings.register_every and not problem:
            registered, _ = await self._watch.register(self._stack.settings.register_every)
            facts += registered.facts
            problem = registered.problem
        return not problem, facts, problem

    async def stop(self, seconds: float = 2.0) -> None:
        """Hang up what is left, wait for the farewells so many seconds at most, and take the registration back."""
        for count, leg in enumerate(list(self._legs), 1):
            leg.hang_up()
            if count % HANG_UPS_AT_ONCE == 0:
                await asyncio.sleep(HANG_UP_PAUSE)
        try:
            async with asyncio.timeout(seconds):
                await self._watch.stop()
                await self._stack.quiet(seconds)
        except TimeoutError:
            _log.info("voice.farewell_cut_short", route=self._stack.settings.name)
        await self._stack.close()
        # One more turn of the loop, in which the calls tell their end.
        await asyncio.sleep(0)

    # --- what comes in -------------------------------------------------------------------------------------------

    def received(self, flow: Flow, message: bytes) -> None:
        """One whole message came. What is not SIP is counted and left alone."""
        try:
            parsed = parse(message)
            if isinstance(parsed, Response):
                self._stack.transactions.heard(parsed)
            else:
                self._asked(flow, parsed)
        except SipSyntaxError as error:
            self.unreadable += 1
            _log.debug("voice.not_sip", rule=str(error))
        except Exception:  # a defect that one message shows must not cost the other calls their connection
            _log.exception("voice.sip_defect", route=self._stack.settings.name)

    def lost(self, flow: Flow, error: OSError) -> None:
        """A connection broke, or an ICMP error came."""
        self._stack.transactions.broke(flow, error)

    def _asked(self, flow: Flow, request: Request) -> None:
        headers = request.headers
        ours, theirs = tag_of(headers.get("To") or ""), tag_of(headers.get("From") or "")
        conversation = self._stack.conversations.get((headers.get("Call-ID") or "", ours, theirs))
        if request.method == "ACK":
            served = self._stack.transactions.served(request)
            if served is not None:
                served.acknowledge()
            if conversation is not None:
                acknowledged(conversation, request)
            return
        received_from(request, flow.target)
        if request.method == "CANCEL":
            # A re-INVITE was answered at once: there is nothing left to cancel (section 9.2).
            known = self._stack.transactions.served(request)
            self._tell(
                flow, reply(request, 200, ours) if known is not None else answer_stranger(request, self._tag(request))
            )
        elif conversation is None:
            self._tell_stranger(flow, request)
        else:
            server = self._stack.transactions.serve(request, flow)
            if server is not None:
                answer_within(conversation, server, flow)

    def _tell_stranger(self, flow: Flow, request: Request) -> None:
        """Answer without keeping anything (section 8.2.7): the same request gets the same answer again."""
        if not self._stack.transactions.came_again(request) and self._has_patience():
            self._tell(flow, answer_stranger(request, self._tag(request)))

    def _tell(self, flow: Flow, response: Response) -> None:
        try:
            flow.send(render(response))
        except OSError:
            return  # whoever asked will ask again

    def _tag(self, request: Request) -> str:
        seed = f"{request.headers.get('Call-ID')} {request.headers.get('From')} {request.headers.get('CSeq')}"
        return hashlib.blake2b(seed.encode("utf-8", "replace"), key=self._secret, digest_size=8).hexdigest()

    def _has_patience(self) -> bool:
        now = asyncio.get_running_loop().time()
        refill = (now - self._counted_at) * STRANGERS_PER_SECOND
        self._strangers_left = min(float(STRANGERS_PER_SECOND), self._strangers_left + refill)
        self._counted_at = now
        if self._strangers_left < 1:
            return False
        self._strangers_left -= 1
        return True
