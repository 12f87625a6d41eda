"""The retry rule as tables: every fate, under every policy, with every number of attempts left that matters."""

from __future__ import annotations

from itertools import product

import pytest

from campana.domain.campaign import UncertainPolicy
from campana.domain.delivery import Status, may_move
from campana.domain.outcome import DELIVERY_ERRORS, Change, Class, DeliveryCode
from campana.domain.retry import (
    Fate,
    RetryRule,
    Tried,
    decide,
    decide_missing_receipt,
    decide_receipt,
)

HOLD, RESEND, GIVE_UP = UncertainPolicy.HOLD, UncertainPolicy.RESEND, UncertainPolicy.GIVE_UP
PENDING, DELIVERING, SUCCESS = Status.PENDING, Status.DELIVERING, Status.SUCCESS
WAITING, FAILED = Status.WAITING_FOR_RETRY, Status.PERMANENT_FAILURE
OK, BUSY, REFUSED = DeliveryCode.OK, DeliveryCode.SMS_TEMPORARY, DeliveryCode.SMS_REFUSED
UNCERTAIN, HELD, MISSING = DeliveryCode.UNCERTAIN, DeliveryCode.UNCERTAIN_HELD, DeliveryCode.SMS_RECEIPT_MISSING
EVERY = tuple(UncertainPolicy)

AT = 1_000_000
DELAYS = (60_000, 300_000)
"""After the first attempt, and after every later one."""

# fate, policies, what it says -> status, code, is an attempt used up; then what the last attempt of all comes to,
# and when it goes again: N never by itself, A at once, D after the delay.
FATES = [
    (Fate.SUCCEEDED, EVERY, OK, (SUCCESS, OK, True), (SUCCESS, OK, True), "N"),
    (Fate.HANDED_OVER, EVERY, OK, (DELIVERING, OK, True), (DELIVERING, OK, True), "N"),
    (Fate.FAILED_FOR_NOW, EVERY, BUSY, (WAITING, BUSY, True), (FAILED, BUSY, True), "D"),
    (Fate.FAILED_FOR_GOOD, EVERY, REFUSED, (FAILED, REFUSED, True), (FAILED, REFUSED, True), "N"),
    (Fate.NEVER_LEFT, EVERY, BUSY, (PENDING, BUSY, False), (PENDING, BUSY, False), "A"),
    (Fate.UNCERTAIN, (GIVE_UP,), UNCERTAIN, (FAILED, UNCERTAIN, True), (FAILED, UNCERTAIN, True), "N"),
    (Fate.UNCERTAIN, (HOLD,), UNCERTAIN, (WAITING, HELD, True), (WAITING, HELD, True), "N"),
    (Fate.UNCERTAIN, (RESEND,), UNCERTAIN, (WAITING, UNCERTAIN, True), (FAILED, UNCERTAIN, True), "D"),
]
CASES = [
    (fate, policy, code, attempt, left, last if left == 1 else more, when)
    for fate, policies, code, more, last, when in FATES
    for policy, (attempt, left) in product(policies, [(1, 255), (1, 3), (2, 2), (3, 1), (1, 1), (9, 4)])
]


def moment(when: str, attempt: int, status: Status) -> int | None:
    """When it goes again."""
    if when == "A":
        return AT
    return AT + DELAYS[min(attempt, 2) - 1] if when == "D" and status is WAITING else None


@pytest.mark.parametrize(("fate", "policy", "code", "attempt", "left", "expected", "when"), CASES)
def test_what_an_outcome_does(
    fate: Fate,
    policy: UncertainPolicy,
    code: DeliveryCode,
    attempt: int,
    left: int,
    expected: tuple[Status, DeliveryCode, bool],
    when: str,
) -> None:
    change = decide(fate, code, Tried(attempt, left, AT), RetryRule(DELAYS, policy))
    assert change == Change(*expected, retry_at=moment(when, attempt, expected[0]))
    assert may_move(Status.SENDING, change.status)


def test_the_table_has_every_fate_under_every_policy() -> None:
    assert {(fate, policy) for fate, policy, *_ in CASES} == set(product(Fate, UncertainPolicy))


# the policy, attempts left after the one that nobody tells of -> status, code, goes again
MISSING_RECEIPTS = [
    (GIVE_UP, 3, FAILED, MISSING, False),
    (GIVE_UP, 0, FAILED, MISSING, False),
    (HOLD, 3, WAITING, HELD, False),
    (HOLD, 0, WAITING, HELD, False),
    (RESEND, 3, WAITING, MISSING, True),
    (RESEND, 1, WAITING, MISSING, True),
    (RESEND, 0, FAILED, MISSING, False),
]


@pytest.mark.parametrize("kind", [MISSING, DeliveryCode.UNCERTAIN], ids=["SMS", "call"])
@pytest.mark.parametrize(("policy", "left", "status", "code", "again"), MISSING_RECEIPTS)
def test_what_a_missing_receipt_does(
    kind: DeliveryCode, policy: UncertainPolicy, left: int, status: Status, code: DeliveryCode, again: bool
) -> None:
    """An SMS goes again at once, a call not before its interval."""
    change = decide_missing_receipt(kind, Tried(2, left, AT), RetryRule(DELAYS, policy))
    at = AT if kind is MISSING else AT + DELAYS[1]
    told = kind if code is MISSING else code
    assert change == Change(status, told, consumes_attempt=False, retry_at=at if again else None)
    assert may_move(Status.DELIVERING, change.status)


@pytest.mark.parametrize(("attempt", "left"), [(1, 2), (1, 0), (3, 1)])
@pytest.mark.parametrize("policy", UncertainPolicy)
def test_a_delivered_receipt_is_the_end(policy: UncertainPolicy, attempt: int, left: int) -> None:
    change = decide_receipt(True, OK, Tried(attempt, left, AT), RetryRule(DELAYS, policy))
    assert change == Change(SUCCESS, OK, consumes_attempt=False)


@pytest.mark.parametrize("left", [0, 1, 254])
@pytest.mark.parametrize("code", [code for code in DeliveryCode if code is not OK])
def test_a_failed_receipt_goes_by_the_class_of_its_code(code: DeliveryCode, left: int) -> None:
    change = decide_receipt(False, code, Tried(1, left, AT), RetryRule(DELAYS, GIVE_UP))
    if DELIVERY_ERRORS[code].kind is Class.RETRY and left:
        assert change == Change(WAITING, code, consumes_attempt=False, retry_at=AT + DELAYS[0])
    else:
        assert change == Change(FAILED, code, consumes_attempt=False)
    assert may_move(Status.DELIVERING, change.status)


@pytest.mark.parametrize(
    ("delays", "attempt", "expected"),
    [
        ((60, 300), 1, 60),
        ((60, 300), 2, 300),
        ((60, 300), 3, 300),
        ((60, 300), 255, 300),
        ((60, 300), 0, 60),
        ((60,), 7, 60),
        ((0,), 1, 0),
        ((), 1, 0),
    ],
)
def test_the_last_delay_repeats(delays: tuple[int, ...], attempt: int, expected: int) -> None:
    assert RetryRule(delays, HOLD).delay_after(attempt) == expected
