"""Owns one call from the wish to place it to its end: hosts in turn, deadlines, challenges, redirections, hanging up.

Must not know sound, scripts, or what an ending means to a delivery.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from campana.channels.voice.sip.attempt import Attempt
from campana.channels.voice.sip.contract import Invitation, LegEnded, LegEvents
from campana.channels.voice.sip.conversation import Conversation
from campana.channels.voice.sip.digest import Tries
from campana.channels.voice.sip.flow import Flow
from campana.channels.voice.sip.inviting import Inviting
from campana.channels.voice.sip.itinerary import Itinerary, Stop
from campana.channels.voice.sip.message import Request, Response
from campana.channels.voice.sip.problem import Problem
from campana.channels.voice.sip.reasons import told_in
from campana.channels.voice.sip.stack import Stack
from campana.domain.call import HungUpBy

PERSON: Final = frozenset({486, 600, 603, 607})
"""Final responses that a person (or their phone) gives; all others are the network's."""

MayLeave = Callable[[], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one INVITE. `conversation` is set where it was answered."""

    response: Response | None = None
    problem: Problem | None = None
    words: str = ""
    conversation: Conversation | None = None
    rang: bool = False


class OutgoingLeg:
    """One call. It begins by itself, and tells its end once."""

    def __init__(self, stack: Stack, invitation: Invitation, events: LegEvents, may_leave: MayLeave) -> None:
        self.call_id = invitation.call_id
        self.on_over: Callable[[OutgoingLeg, LegEnded], None] | None = None
        self._stack = stack
        self._events = events
        self._may_leave = may_leave
        self._dial_seconds = invitation.dial_ms / 1000
        self._credentials = stack.credentials()
        self._inviting = Inviting(stack.settings, invitation)
        self._itinerary = Itinerary(stack, self._inviting)
        self._attempt: Attempt | None = None
        self._turn: asyncio.Future[Verdict] | None = None
        self._conversation: Conversation | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._patience: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._gave_up = False
        self._why: Problem | None = None
        """Why we gave it up, where we did."""
        self._may_have_arrived = False
        self._is_over = False

    def start(self) -> None:
        """Begin; everything else follows."""
        self._stack.spawn(self._place())

    @property
    def is_answered(self) -> bool:
        """Whether it was answered and is not over."""
        return self._conversation is not None and not self._is_over

    def hang_up(self) -> None:
        """End it as its state wants; `ended` follows."""
        if self._conversation is not None:
            self._conversation.hang_up()
            self._end(LegEnded(HungUpBy.US, 200, "", None, None))
        else:
            self._give_up(None)

    # --- placing -------------------------------------------------------------------------------------------------

    async def _place(self) -> None:
        """Visit one stop after the other, until one of them decides the call."""
        verdict = Verdict(problem=Problem.TRANSPORT, words="no host of the trunk could be found")
        try:
            await self._itinerary.prepare()
            while not self._gave_up and (stop := await self._itinerary.next_stop()) is not None:
                verdict = await self._visit(stop)
                if self._gave_up or not self._itinerary.goes_on(verdict.response, verdict.problem, verdict.rang):
                    break
        finally:
            self._settle(verdict)

    async def _visit(self, stop: Stop) -> Verdict:
        """Send the INVITE to one host; sent again there as long as it asks for credentials that we have."""
        locator, timers = self._stack.locator, self._stack.timers
        try:
            async with asyncio.timeout(timers.host if stop.has_next else 4 * timers.host):
                flow = await self._stack.flow(stop.target)
            self._inviting.offer_to(flow.target)
        except OSError as error:
            locator.failed(stop.target)
            return Verdict(problem=Problem.TRANSPORT, words=_words(error))
        if not self._gave_up and not await self._may_leave():
            self._give_up(Problem.WITHDRAWN)
        tries = Tries()
        while not self._gave_up:
            verdict = await self._try(self._inviting.request(stop.uri, flow, self._credentials), flow, stop.has_next)
            response = verdict.response
            if response is None or response.status not in (401, 407):
                return verdict
            if not self._credentials.learn(response, tries):
                return Verdict(response, Problem.AUTHENTICATION)
            self._inviting.count()
        return Verdict()

    async def _try(self, request: Request, flow: Flow, has_next: bool) -> Verdict:
        """One INVITE, from its leaving to what decides it."""
        self._turn = self._loop.create_future()
        self._attempt = attempt = Attempt(self._stack, request, flow, self._credentials, self)
        attempt.start()
        try:
            now = self._loop.time()
            if self._deadline is None:
                self._deadline = self._loop.call_at(now + self._dial_seconds, self._dial_timed_out)
                self._events.sent()
            if has_next:
                self._patience = self._loop.call_at(now + self._stack.timers.host, self._lose_patience)
            return await self._turn
        except BaseException:
            # The INVITE is on its way all the same, whatever went wrong here.
            self._may_have_arrived = True
            attempt.abandon()
            raise
        finally:
            self._attempt = None
            self._stop_waiting()

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _decide(self, verdict: Verdict) -> None:
        if self._turn is not None and not self._turn.done():
            self._turn.set_result(verdict)

    def _settle(self, verdict: Verdict) -> None:
        """The placing is over. Answered calls go on."""
        if self._deadline is not None:
            self._deadline.cancel()
        response, rang = verdict.response, verdict.rang
        if self._is_over or verdict.conversation is not None:
            return
        status = response.status if response is not None else None
        if status is not None and status >= 300:
            self._events.responded(status)
        told = told_in(response) if response is not None else None
        reason = (told.text if told is not None else "") or (response.reason if response is not None else verdict.words)
        problem, by = verdict.problem, HungUpBy.NETWORK
        if self._gave_up:
            problem, by = self._why, HungUpBy.NETWORK if self._why is Problem.TIMEOUT else HungUpBy.US
            if problem is None and self._deadline is None:
                problem = Problem.WITHDRAWN
        elif status in PERSON or (rang and status == 480):
            by = HungUpBy.CALLEE
        cause = told.cause if told is not None else None
        self._end(LegEnded(by, status, reason, cause, problem, self._may_have_arrived))

    # --- giving up -----------------------------------------------------------------------------------------------

    def _lose_patience(self) -> None:
        """The host said nothing, and there is another one."""
        attempt = self._attempt
        if attempt is not None and not attempt.was_heard and not self._gave_up:
            self._stack.locator.failed(attempt.flow.target)
            self._may_have_arrived = True
            attempt.abandon()
            self._decide(Verdict(problem=Problem.TIMEOUT, words="the host gave no response"))

    def _dial_timed_out(self) -> None:
        attempt = self._attempt
        if attempt is not None and attempt.was_heard:
            self._give_up(Problem.NO_ANSWER)
            return
        self._give_up(Problem.TIMEOUT)
        if attempt is not None:
            self._stack.locator.failed(attempt.flow.target)
            self._forsake()

    def _give_up(self, why: Problem | None) -> None:
        """Take the call back: CANCEL, and a while for the final response."""
        if self._gave_up or self._is_over or self._conversation is not None:
            return
        self._gave_up, self._why = True, why
        if self._attempt is not None:
            self._attempt.cancel()
            self._stop_waiting()
            self._patience = self._loop.call_later(self._stack.timers.host, self._forsake)

    def _forsake(self) -> None:
        """No final response in time: the rest is the attempt's own affair."""
        if self._attempt is not None:
            self._attempt.abandon()
        self._decide(Verdict(rang=self._attempt.rang if self._attempt is not None else False))

    # --- what the attempt tells ----------------------------------------------------------------------------------

    def progressed(self, attempt: Attempt, response: Response) -> None:
        """A provisional response came."""
        self._stack.locator.worked(attempt.flow.target)
        if self._is_over:
            return
        self._events.responded(response.status)
        if response.body and response.status > 100 and not self._gave_up:
            self._events.early_media(response.body)

    def picked_up(self, attempt: Attempt, conversation: Conversation, response: Response) -> None:
        """Somebody answered; perhaps too late."""
        if self._gave_up or self._is_over:
            conversation.talker = None
            conversation.hang_up()
            self._decide(Verdict(response, rang=attempt.rang))
            return
        self._conversation = conversation
        self._stack.locator.worked(attempt.flow.target)
        self._events.responded(response.status)
        self._decide(Verdict(response, conversation=conversation))
        self._events.answered(response.body or conversation.early_sdp)

    def refused(self, attempt: Attempt, response: Response) -> None:
        """A final response above 2xx came."""
        if response.status == 503:
            self._stack.locator.failed(attempt.flow.target)
        else:
            self._stack.locator.worked(attempt.flow.target)
        self._decide(Verdict(response, rang=attempt.rang))

    def failed(self, attempt: Attempt, error: OSError) -> None:
        """Nothing came in time, or the way broke."""
        self._stack.locator.failed(attempt.flow.target)
        problem = Problem.TIMEOUT if isinstance(error, TimeoutError) else Problem.TRANSPORT
        self._may_have_arrived |= problem is Problem.TIMEOUT or attempt.may_have_arrived
        # A host that was heard of may have rung somebody: nobody else is asked then.
        self._decide(Verdict(problem=problem, words=_words(error), rang=attempt.was_heard))

    # --- what the dialog tells -----------------------------------------------------------------------------------

    def hung_up(self, conversation: Conversation, request: Request) -> None:
        """Their BYE came."""
        told = told_in(request)
        text, cause = (told.text, told.cause) if told is not None else ("", None)
        if conversation is self._conversation:
            self._end(LegEnded(HungUpBy.CALLEE, 200, text, cause, None))
        elif self._conversation is None:
            # Their answer was lost, or they gave up before any: whatever else rings is cancelled.
            self._end(LegEnded(HungUpBy.CALLEE, None, text, cause, None))
            self._forsake()

    def vanished(self, conversation: Conversation) -> None:
        """They do not acknowledge what we answer."""
        if conversation is self._conversation:
            self._end(LegEnded(HungUpBy.NETWORK, 200, "no ACK came", None, None))

    def pressed(self, conversation: Conversation, key: str, ms: int) -> None:
        """A key was told by INFO."""
        if conversation is self._conversation and not self._is_over:
            self._events.digit(key, ms)

    def reoffered(self, conversation: Conversation, offer: bytes) -> bytes | None:
        """They offer sound anew."""
        del conversation
        return None if self._is_over else self._events.reoffered(offer)

    def reanswered(self, conversation: Conversation, answer: bytes) -> None:
        """Their answer to an offer that they asked for."""
        if conversation is self._conversation and not self._is_over:
            self._events.reanswered(answer)

    def _end(self, ended: LegEnded) -> None:
        if self._is_over:
            return
        self._is_over = True
        if self.on_over is not None:
            self.on_over(self, ended)
        self._loop.call_soon(self._events.ended, ended)


def _words(error: OSError) -> str:
    """What an error says, without addresses of ours."""
    return "no answer in time" if isinstance(error, TimeoutError) else (error.strerror or type(error).__name__)
