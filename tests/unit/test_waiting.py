"""Why a delivery has not gone yet: the rules as a table."""

from __future__ import annotations

from typing import Any

import pytest
from test_progress_rules import DAY, HOUR, NOON, course

from campana.domain.campaign import EmailSettings
from campana.domain.delivery import Medium, Status
from campana.domain.outcome import DeliveryCode
from campana.domain.waiting import Reach, Rule, Waiter, Why, why

PENDING = {"status": Status.PENDING}
RETRY = {"status": Status.WAITING_FOR_RETRY, "code": 1_301}


@pytest.mark.parametrize(
    ("at", "about", "waiter", "reach", "told"),
    [
        (NOON, {}, {"status": Status.DO_NOT_TRY}, Reach.UP, Why(Rule.NO_DESTINATION)),
        (NOON, {}, {"status": Status.SUCCESS}, Reach.UP, Why(Rule.DONE)),
        (NOON, {"is_cancelled": True}, {"status": Status.CANCELLED}, Reach.UP, Why(Rule.DONE)),
        (NOON, {"is_paused": True}, {"status": Status.SENDING}, Reach.UP, Why(Rule.IN_PROGRESS)),
        (NOON, {}, {"status": Status.DELIVERING}, Reach.DOWN, Why(Rule.IN_PROGRESS)),
        (NOON, {"is_cancelled": True}, PENDING, Reach.UP, Why(Rule.CANCELLED)),
        (NOON, {"sms": None, "email": EmailSettings(True)}, PENDING, Reach.UP, Why(Rule.MEDIUM_DISABLED)),
        (
            NOON,
            {},
            {"status": Status.WAITING_FOR_RETRY, "code": DeliveryCode.UNCERTAIN_HELD, "due_at": 1 << 62},
            Reach.UP,
            Why(Rule.UNCERTAIN),
        ),
        (NOON + 3 * DAY, {"is_paused": True}, PENDING, Reach.UP, Why(Rule.ENDED)),
        (NOON, {"is_paused": True}, PENDING, Reach.DOWN, Why(Rule.PAUSED)),
        (NOON, {}, PENDING, Reach.NONE, Why(Rule.NO_ROUTE)),
        (NOON + 6 * HOUR, {}, PENDING, Reach.NONE, Why(Rule.NO_ROUTE, NOON + 21 * HOUR)),
        (NOON + 6 * HOUR, {}, PENDING, Reach.UP, Why(Rule.WINDOW, NOON + 21 * HOUR)),
        (NOON - 3 * DAY, {}, PENDING, Reach.DOWN, Why(Rule.WINDOW, NOON - DAY - 3 * HOUR)),
        (NOON, {}, RETRY | {"due_at": NOON + HOUR}, Reach.DOWN, Why(Rule.RETRY_TIMER, NOON + HOUR)),
        # Of a timer and a window, the one that lets go last.
        (NOON, {}, RETRY | {"due_at": NOON + 6 * HOUR}, Reach.UP, Why(Rule.WINDOW, NOON + 21 * HOUR)),
        (NOON + 6 * HOUR, {}, RETRY | {"due_at": NOON + 22 * HOUR}, Reach.UP, Why(Rule.RETRY_TIMER, NOON + 22 * HOUR)),
        (NOON, {}, RETRY | {"due_at": NOON + 3 * DAY}, Reach.UP, Why(Rule.ENDED)),
        (NOON, {}, RETRY | {"due_at": NOON - HOUR}, Reach.DOWN, Why(Rule.ROUTE_DOWN)),
        (NOON, {}, PENDING, Reach.UP, Why(Rule.LIMIT)),
    ],
)
def test_the_first_rule_that_holds_it_back(
    at: int, about: dict[str, Any], waiter: dict[str, Any], reach: Reach, told: Why
) -> None:
    assert why(course(**about), Waiter(Medium.SMS, **waiter), reach, at) == told
