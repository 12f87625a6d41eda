"""Bend 5: owns turning what a channel said into judged attempts: the one place where its errors are caught.

Must not know how attempts are stored. It takes results and yields what the store records.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from campana.channels.contract import Accepted, Result
from campana.channels.errors import (
    Misconfigured,
    RefusedForGood,
    RefusedForNow,
    SendError,
    Throttled,
    Uncertain,
    Unreachable,
    Withdrawn,
)
from campana.domain.delivery import Status
from campana.domain.outcome import Change, DeliveryCode
from campana.domain.retry import Fate, RetryRule, Tried, decide
from campana.storage.river import ClaimedDelivery, Judged

_FATES: dict[type[SendError], Fate] = {
    Throttled: Fate.NEVER_LEFT,
    Unreachable: Fate.NEVER_LEFT,
    Misconfigured: Fate.NEVER_LEFT,
    Withdrawn: Fate.NEVER_LEFT,
    RefusedForNow: Fate.FAILED_FOR_NOW,
    RefusedForGood: Fate.FAILED_FOR_GOOD,
    Uncertain: Fate.UNCERTAIN,
}

_DELIVERING = Change(Status.DELIVERING, DeliveryCode.OK, consumes_attempt=True)
_SUCCESS = Change(Status.SUCCESS, DeliveryCode.OK, consumes_attempt=True)


@dataclass(slots=True)
class Verdicts:
    """What a flush came to."""

    judged: list[Judged]
    never_left: list[SendError]


def judge(
    deliveries: Sequence[ClaimedDelivery], results: Sequence[Result], route: str, rule: RetryRule, at: int
) -> Verdicts:
    """Judge each delivery's result. What provably never left is not judged: it waits again."""
    judged: list[Judged] = []
    never_left: list[SendError] = []
    for delivery, result in zip(deliveries, results, strict=True):
        if isinstance(result, Accepted):
            change = _SUCCESS if result.final else _DELIVERING
            ids = result.carrier_ids or _nameless(delivery, result)
            if len(ids) > 1:
                # A carrier that gives all segments one id tells of them once.
                ids = tuple(dict.fromkeys(ids))
        else:
            fate = _FATES[type(result)]
            if fate is Fate.NEVER_LEFT:
                never_left.append(result)
                continue
            ids = ()
            change = decide(fate, result.code, Tried(delivery.attempt, delivery.attempts_left, at), rule)
        judged.append(
            Judged(
                delivery.id,
                delivery.attempt,
                change,
                route,
                at,
                ids,
                result.carrier_code,
                result.carrier_text,
            )
        )
    return Verdicts(judged, never_left)


def _nameless(delivery: ClaimedDelivery, result: Accepted) -> tuple[str, ...]:
    """What is to be heard of again is waited for under a name of ours where the carrier gave none."""
    return () if result.final else (f"nameless-{delivery.id}-{delivery.attempt}",)
