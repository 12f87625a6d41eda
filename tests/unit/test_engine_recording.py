"""Judging: what a channel said becomes attempts to be recorded, or deliveries that wait again."""

from __future__ import annotations

import pytest

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
from campana.domain.campaign import UncertainPolicy
from campana.domain.delivery import Status
from campana.domain.outcome import DeliveryCode
from campana.domain.retry import RetryRule
from campana.engine.recording import judge
from campana.storage.river import ClaimedDelivery

AT = 1_000_000
GIVE_UP = RetryRule((60_000,), UncertainPolicy.GIVE_UP)
BUSY, REFUSED = DeliveryCode.SMS_TEMPORARY, DeliveryCode.SMS_REFUSED
DELIVERING, SUCCESS = Status.DELIVERING, Status.SUCCESS
AGAIN, FAILED = Status.WAITING_FOR_RETRY, Status.PERMANENT_FAILURE


def delivery(number: int = 1, attempt: int = 1, left: int = 3) -> ClaimedDelivery:
    return ClaimedDelivery(number, "+14165600001", None, attempt, left, 1)


JUDGED: list[tuple[Result, Status, DeliveryCode, tuple[str, ...], int | None]] = [
    (Accepted(("id-1",)), DELIVERING, DeliveryCode.OK, ("id-1",), None),
    (Accepted(("a", "b", "c")), DELIVERING, DeliveryCode.OK, ("a", "b", "c"), None),
    (Accepted((), True, "250 2.0.0", "OK"), SUCCESS, DeliveryCode.OK, (), None),
    (Accepted(("id-1",), True), SUCCESS, DeliveryCode.OK, ("id-1",), None),
    # A carrier that names no id can never be heard of again: accepted is all that will be known.
    (Accepted(()), SUCCESS, DeliveryCode.OK, (), None),
    (RefusedForNow(BUSY, "0x08", "System error"), AGAIN, BUSY, (), AT + 60_000),
    (RefusedForGood(REFUSED, "0x45", "No"), FAILED, REFUSED, (), None),
    (Uncertain(DeliveryCode.UNCERTAIN, None, "No answer"), FAILED, DeliveryCode.UNCERTAIN, (), None),
]


@pytest.mark.parametrize(("result", "status", "code", "ids", "again"), JUDGED)
def test_what_is_recorded(
    result: Result, status: Status, code: DeliveryCode, ids: tuple[str, ...], again: int | None
) -> None:
    verdicts = judge([delivery(7, attempt=2)], [result], "main", GIVE_UP, AT)
    assert verdicts.never_left == []
    (one,) = verdicts.judged
    assert (one.delivery, one.attempt, one.route, one.at) == (7, 2, "main", AT)
    assert (one.change.status, one.change.code, one.change.retry_at) == (status, code, again)
    assert one.change.consumes_attempt
    assert one.carrier_ids == ids
    assert (one.carrier_code, one.carrier_text) == (result.carrier_code, result.carrier_text)


@pytest.mark.parametrize(
    "error",
    [
        Throttled(DeliveryCode.SMS_THROTTLED),
        Unreachable(DeliveryCode.SMS_UNREACHABLE),
        Misconfigured(DeliveryCode.SMS_MISCONFIGURED),
        Withdrawn(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_never_left_is_not_recorded(error: SendError) -> None:
    results: list[Result] = [Accepted(("a",)), error, Accepted(("c",))]
    verdicts = judge([delivery(number) for number in (1, 2, 3)], results, "main", GIVE_UP, AT)
    assert [one.delivery for one in verdicts.judged] == [1, 3]
    assert verdicts.never_left == [error]


def test_every_error_of_the_vocabulary_is_judged() -> None:
    kinds = SendError.__subclasses__()
    assert len(kinds) == 7
    for kind in kinds:
        error = kind() if kind is Withdrawn else kind(BUSY)
        verdicts = judge([delivery()], [error], "main", GIVE_UP, AT)
        assert len(verdicts.judged) + len(verdicts.never_left) == 1


def test_a_result_for_every_delivery() -> None:
    with pytest.raises(ValueError):
        judge([delivery()], [], "main", GIVE_UP, AT)
