"""Owns the calls that are in a media process's hands, as the main process knows them, until each has one end.

Must not know SIP or sound, nor what an end does to a delivery.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from campana.channels.contract import Accepted, Permit, Result
from campana.channels.errors import Misconfigured, Throttled, Uncertain, Unreachable, Withdrawn
from campana.channels.voice.process.frames import Ended, Settled, Settling
from campana.domain.call import CallPlan, CallReport
from campana.domain.moment import Clock
from campana.domain.outcome import DeliveryCode, Receipt, ReceiptState
from campana.domain.verdict import judge_call

log = structlog.get_logger(__name__)


class ClipGone(Exception):
    """The file of the text was cleared away between speaking and dialling: it is to be spoken again."""


@dataclass(slots=True)
class Entry:
    """One call from Dial to its end."""

    number: int
    call_id: str
    """The mark of this process, and what tells the call from its others. The Call-ID of its INVITE."""
    plan: CallPlan
    permit: Permit
    settled: asyncio.Future[Result] = field(default_factory=asyncio.Future)
    may_have_left: bool = False

    @property
    def is_accepted(self) -> bool:
        """Whether an end of it is owed. Whatever else a call is settled as takes it out of the ledger."""
        return self.settled.done()


class Ledger:
    """Calls by number. Each entry ends by a result that was not Accepted, or by exactly one receipt."""

    def __init__(self, route: str, clock: Clock, post: Callable[[Receipt], None]) -> None:
        self._route = route
        self._clock = clock
        self._post = post
        self._numbers = itertools.count(1)
        self._entries: dict[int, Entry] = {}
        self._up: set[str] = set()

    def __len__(self) -> int:
        return len(self._entries)

    def open(self, call_id: str, plan: CallPlan, permit: Permit) -> Entry:
        """Enter a call that is about to be dialled."""
        entry = Entry(next(self._numbers), call_id, plan, permit)
        self._entries[entry.number] = entry
        return entry

    def is_up(self, call_id: str) -> bool:
        """Whether a call was accepted and has not ended yet."""
        return call_id in self._up

    def may_leave(self, number: int) -> bool:
        """Answer Ready. One that was accepted goes to the next host of the trunk as the same attempt."""
        entry = self._entries.get(number)
        if entry is None:
            return False
        if entry.is_accepted:
            return True
        leaves = entry.permit()
        entry.may_have_left |= leaves
        return leaves

    def settle(self, frame: Settled) -> None:
        """Note how handing over ended."""
        entry = self._entries.get(frame.call)
        if entry is None or entry.settled.done():
            return
        if frame.how is Settling.ACCEPTED:
            self._up.add(entry.call_id)
            entry.settled.set_result(Accepted((entry.call_id,), False, frame.carrier_code, frame.carrier_text))
            return
        del self._entries[frame.call]
        if frame.how is Settling.NO_CLIP:
            entry.settled.set_exception(ClipGone())
        else:
            entry.settled.set_result(_failure(frame))

    def end(self, frame: Ended) -> None:
        """Note the end of an accepted call, and post its receipt."""
        entry = self._entries.get(frame.call)
        if entry is None or not entry.is_accepted:
            log.warning("voice.end_of_unknown_call", route=self._route)
            return
        del self._entries[frame.call]
        self._up.discard(entry.call_id)
        state, code = judge_call(frame.report, frame.unanswered, entry.plan)
        self._post(
            Receipt(
                route=self._route,
                state=state,
                code=code,
                at=self._clock(),
                carrier_ids=(entry.call_id,),
                carrier_code=carrier_code(frame.report),
                carrier_text=frame.report.reason or None,
                call=frame.report,
            )
        )

    def lose(self, reason: str) -> None:
        """The media process is gone: tell of every call what can be said of it."""
        entries, self._entries = self._entries, {}
        self._up.clear()
        for entry in entries.values():
            if entry.is_accepted:
                self._post(self._lost(entry, reason))
            elif entry.may_have_left:
                entry.settled.set_result(Uncertain(DeliveryCode.UNCERTAIN, None, reason))
            else:
                entry.settled.set_result(Unreachable(DeliveryCode.VOICE_UNREACHABLE, None, reason))

    def give_up(self, entry: Entry) -> Result:
        """Wait no longer for how handing over ends; what is heard of the call from now on concerns nobody."""
        self._entries.pop(entry.number, None)
        if entry.settled.done():
            return entry.settled.result()
        entry.settled.cancel()
        if entry.may_have_left:
            return Uncertain(DeliveryCode.UNCERTAIN, None, "The media process did not tell what became of the call.")
        return Unreachable(DeliveryCode.VOICE_UNREACHABLE, None, "The media process did not dial in time.")

    def _lost(self, entry: Entry, reason: str) -> Receipt:
        return Receipt(
            route=self._route,
            state=ReceiptState.FAILED,
            code=DeliveryCode.UNCERTAIN,
            at=self._clock(),
            carrier_ids=(entry.call_id,),
            carrier_text=reason,
        )


def carrier_code(report: CallReport) -> str | None:
    """The carrier's codes of a call as one text, for example `486 Q.850;cause=17`."""
    status = "" if report.sip_status is None else str(report.sip_status)
    cause = "" if report.q850 is None else f"Q.850;cause={report.q850}"
    return " ".join(part for part in (status, cause) if part) or None


_FAILURES: dict[Settling, tuple[type[Unreachable | Misconfigured | Throttled], DeliveryCode]] = {
    Settling.UNREACHABLE: (Unreachable, DeliveryCode.VOICE_UNREACHABLE),
    Settling.MISCONFIGURED: (Misconfigured, DeliveryCode.VOICE_MISCONFIGURED),
    Settling.THROTTLED: (Throttled, DeliveryCode.VOICE_CONGESTED),
}


def _failure(frame: Settled) -> Result:
    if frame.how is Settling.WITHDRAWN:
        return Withdrawn()
    kind, code = _FAILURES[frame.how]
    return kind(code, frame.carrier_code, frame.carrier_text)
