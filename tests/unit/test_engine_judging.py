"""What a channel says becomes what is recorded: every word of its vocabulary."""

from __future__ import annotations

import pytest

from campana.channels.contract import Accepted
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

NOW = 1_800_000_000_000
RULE = RetryRule((60_000,), UncertainPolicy.GIVE_UP)
ONE = ClaimedDelivery(7, "+14165550123", None, 1, 3, 1)
CODE = DeliveryCode.SMS_TEMPORARY


@pytest.mark.parametrize(
    ("result", "status", "code", "retry_at", "ids"),
    [
        (Accepted(("a", "b")), Status.DELIVERING, DeliveryCode.OK, None, ("a", "b")),
        (Accepted(("a", "a", "b")), Status.DELIVERING, DeliveryCode.OK, None, ("a", "b")),
        (Accepted((), final=True), Status.SUCCESS, DeliveryCode.OK, None, ()),
        (Accepted(()), Status.DELIVERING, DeliveryCode.OK, None, ("nameless-7-1",)),
        (RefusedForNow(CODE), Status.WAITING_FOR_RETRY, CODE, NOW + 60_000, ()),
        (RefusedForGood(CODE), Status.PERMANENT_FAILURE, CODE, None, ()),
        (Uncertain(CODE), Status.PERMANENT_FAILURE, DeliveryCode.UNCERTAIN, None, ()),
    ],
)
def test_what_was_tried_is_judged(
    result: Accepted | SendError, status: Status, code: DeliveryCode, retry_at: int | None, ids: tuple[str, ...]
) -> None:
    verdicts = judge([ONE], [result], "main", RULE, NOW)
    (one,) = verdicts.judged
    assert (one.delivery, one.attempt, one.route, one.at) == (7, 1, "main", NOW)
    assert (one.change.status, one.change.code, one.change.retry_at) == (status, code, retry_at)
    assert one.change.consumes_attempt
    assert one.carrier_ids == ids
    assert verdicts.never_left == []


@pytest.mark.parametrize("error", [Throttled(CODE), Unreachable(CODE), Misconfigured(CODE), Withdrawn()])
def test_what_never_left_is_not_judged(error: SendError) -> None:
    verdicts = judge([ONE, ONE], [error, Accepted(("a",))], "main", RULE, NOW)
    assert verdicts.never_left == [error]
    assert len(verdicts.judged) == 1


def test_every_error_of_the_vocabulary_is_judged() -> None:
    kinds = SendError.__subclasses__()
    assert len(kinds) == 7
    for kind in kinds:
        error = kind() if kind is Withdrawn else kind(CODE)
        verdicts = judge([ONE], [error], "main", RULE, NOW)
        assert len(verdicts.judged) + len(verdicts.never_left) == 1


def test_the_carriers_own_words_are_kept() -> None:
    (one,) = judge([ONE], [RefusedForGood(CODE, "0x0000000b", "Invalid destination")], "main", RULE, NOW).judged
    assert (one.carrier_code, one.carrier_text) == ("0x0000000b", "Invalid destination")
