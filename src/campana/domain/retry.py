"""Owns the decision what an outcome does to its delivery: the next status, and when it may go again.

Must not know how an attempt was made, nor read the clock. Pure: everything comes in, one value comes out.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from campana.domain.campaign import UncertainPolicy
from campana.domain.delivery import Status
from campana.domain.outcome import DELIVERY_ERRORS, Change, Class, DeliveryCode


class Fate(Enum):
    """What became of an attempt, as far as the retry rule cares."""

    SUCCEEDED = "succeeded"
    HANDED_OVER = "handed over"
    """The carrier has it and will tell."""
    FAILED_FOR_NOW = "failed for now"
    FAILED_FOR_GOOD = "failed for good"
    UNCERTAIN = "uncertain"
    NEVER_LEFT = "never left"
    """Provably not sent: no attempt is used up and no time is lost."""


@dataclass(frozen=True, slots=True)
class RetryRule:
    """How a delivery goes again: delays in milliseconds after the first, second, ... attempt (the last one
    repeats), and what to do when an outcome is unknown."""

    delays: tuple[int, ...]
    uncertain: UncertainPolicy

    def delay_after(self, attempt: int) -> int:
        """Milliseconds to wait after the `attempt`-th attempt (1 for the first)."""
        return self.delays[min(max(attempt, 1), len(self.delays)) - 1] if self.delays else 0


@dataclass(frozen=True, slots=True)
class Tried:
    """An attempt that was judged: its number, and the attempts that were left before it."""

    attempt: int
    attempts_left: int
    at: int
    """Epoch milliseconds of the judgement; retries count from here, never from earlier."""


def decide(fate: Fate, code: DeliveryCode, tried: Tried, rule: RetryRule) -> Change:
    """Tell what an outcome does to its delivery.

    Retries follow the rule's delays and stop when no attempt is left; `UNCERTAIN` follows the campaign's policy.
    """
    if fate is Fate.SUCCEEDED:
        return Change(Status.SUCCESS, DeliveryCode.OK, consumes_attempt=True)
    if fate is Fate.HANDED_OVER:
        return Change(Status.DELIVERING, DeliveryCode.OK, consumes_attempt=True)
    if fate is Fate.NEVER_LEFT:
        return Change(Status.PENDING, code, consumes_attempt=False, retry_at=tried.at)
    if fate is Fate.FAILED_FOR_GOOD:
        return Change(Status.PERMANENT_FAILURE, code, consumes_attempt=True)
    if fate is Fate.UNCERTAIN:
        return _decide_uncertain(code, tried, rule)
    return _again(code, tried, tried.at + rule.delay_after(tried.attempt))


def decide_receipt(delivered: bool, code: DeliveryCode, tried: Tried, rule: RetryRule) -> Change:
    """Tell what final news of an attempt does to its delivery.

    `tried.attempts_left` is what is left now: the attempt was paid for when it was handed over.
    """
    if delivered:
        return Change(Status.SUCCESS, DeliveryCode.OK, consumes_attempt=False)
    if DELIVERY_ERRORS[code].kind is Class.FINAL or tried.attempts_left <= 0:
        return Change(Status.PERMANENT_FAILURE, code, consumes_attempt=False)
    return Change(
        Status.WAITING_FOR_RETRY,
        code,
        consumes_attempt=False,
        retry_at=tried.at + rule.delay_after(tried.attempt),
    )


UNCERTAIN_CODES = frozenset({DeliveryCode.UNCERTAIN, DeliveryCode.SMS_RECEIPT_MISSING})
"""What late news says where nobody knows what became of an attempt."""


def decide_missing_receipt(code: DeliveryCode, tried: Tried, rule: RetryRule) -> Change:
    """Tell what to do when the carrier took a message and nobody can tell what became of it: it is uncertain.

    `code` is one of UNCERTAIN_CODES. An SMS whose receipt is missing has been waited for long enough and may go again
    at once; a call may have ended just now, and goes again after the rule's delay.
    """
    if rule.uncertain is UncertainPolicy.HOLD:
        return Change(Status.WAITING_FOR_RETRY, DeliveryCode.UNCERTAIN_HELD, consumes_attempt=False)
    if rule.uncertain is UncertainPolicy.RESEND and tried.attempts_left > 0:
        wait = 0 if code is DeliveryCode.SMS_RECEIPT_MISSING else rule.delay_after(tried.attempt)
        return Change(Status.WAITING_FOR_RETRY, code, consumes_attempt=False, retry_at=tried.at + wait)
    return Change(Status.PERMANENT_FAILURE, code, consumes_attempt=False)


def _decide_uncertain(code: DeliveryCode, tried: Tried, rule: RetryRule) -> Change:
    if rule.uncertain is UncertainPolicy.HOLD:
        return Change(Status.WAITING_FOR_RETRY, DeliveryCode.UNCERTAIN_HELD, consumes_attempt=True)
    if rule.uncertain is UncertainPolicy.GIVE_UP:
        return Change(Status.PERMANENT_FAILURE, DeliveryCode.UNCERTAIN, consumes_attempt=True)
    return _again(code, tried, tried.at + rule.delay_after(tried.attempt))


def _again(code: DeliveryCode, tried: Tried, at: int) -> Change:
    if tried.attempts_left <= 1:
        return Change(Status.PERMANENT_FAILURE, code, consumes_attempt=True)
    return Change(Status.WAITING_FOR_RETRY, code, consumes_attempt=True, retry_at=at)
