"""Where a campaign is, when it is finished, and what is to be told of it: the rules as tables."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from campana.domain.campaign import Campaign, EmailSettings, SmsSettings
from campana.domain.delivery import Medium, Status
from campana.domain.progress import (
    COUNTERS_EVERY,
    NOBODY,
    Balance,
    Course,
    EventKind,
    State,
    Told,
    is_finished,
    state_of,
    what_to_tell,
)
from campana.domain.schedule import window_of

NOON = 1_790_164_800_000  # 2026-09-23T12:00:00Z, a Wednesday
HOUR = 3_600_000
DAY = 24 * HOUR


def course(*, is_cancelled: bool = False, **changes: Any) -> Course:
    """A campaign that sends SMS from nine to five, from the 22nd to the 24th of September 2026, in UTC."""
    values: dict[str, Any] = {
        "guid": "",
        "sms": SmsSettings(True, "Campana", "Hello"),
        "active_from_date": datetime(2026, 9, 22),
        "active_to_date": datetime(2026, 9, 24),
        "active_from_time": datetime(2026, 1, 1, 9),
        "active_to_time": datetime(2026, 1, 1, 17),
    }
    campaign = Campaign(**(values | changes))
    return Course(campaign, window_of(campaign, "UTC"), is_cancelled)


def balance(**sms: int) -> Balance:
    """Contacts by their status on SMS; on the other media they have no destination."""
    contacts = sum(sms.values())
    others = tuple(contacts if status is Status.DO_NOT_TRY else 0 for status in Status)
    return Balance(contacts, (tuple(sms.get(status.name.lower(), 0) for status in Status), others, others))


def test_the_instants_are_what_they_are_called() -> None:
    assert datetime.fromtimestamp(NOON / 1_000, UTC).isoformat() == "2026-09-23T12:00:00+00:00"


@pytest.mark.parametrize(
    ("at", "changes", "finished", "state"),
    [
        (NOON, {}, False, State.RUNNING),
        (NOON, {}, True, State.FINISHED),
        (NOON, {"is_paused": True}, False, State.PAUSED),
        (NOON - 3 * DAY, {}, False, State.SCHEDULED),
        (NOON - 3 * DAY, {"is_paused": True}, False, State.PAUSED),
        (NOON + 8 * HOUR, {}, False, State.WAITING),
        (NOON + 3 * DAY, {}, False, State.ENDED),
        (NOON + 3 * DAY, {}, True, State.FINISHED),
        (NOON, {"is_cancelled": True}, True, State.CANCELLED),
    ],
)
def test_where_a_campaign_is(at: int, changes: dict[str, Any], finished: bool, state: State) -> None:
    assert state_of(course(**changes), at, finished=finished) is state


@pytest.mark.parametrize(
    ("at", "changes", "stands", "finished"),
    [
        (NOON, {}, {"success": 2, "permanent_failure": 1, "cancelled": 1, "do_not_try": 1}, True),
        (NOON, {}, {"success": 2, "pending": 1}, False),
        (NOON, {}, {"success": 2, "waiting_for_retry": 1}, False),
        (NOON, {}, {"success": 2, "delivering": 1}, False),
        (NOON, {}, {}, False),
        (NOON, {"is_paused": True}, {"pending": 1}, False),
        # A medium that is not enabled does not go out, whatever waits on it.
        (NOON, {"sms": None, "email": EmailSettings(True)}, {"pending": 5}, True),
        # After the end nothing begins any more; what is on its way still arrives.
        (NOON + 3 * DAY, {}, {"pending": 4}, True),
        (NOON + 3 * DAY, {}, {"pending": 4, "sending": 1}, False),
        (NOON + 3 * DAY, {}, {"delivering": 1}, False),
        (NOON + 3 * DAY, {}, {}, True),
        (NOON, {"is_cancelled": True, "sms": None}, {"pending": 1}, False),
        (NOON, {"is_cancelled": True}, {"cancelled": 1, "delivering": 1}, False),
        (NOON, {"is_cancelled": True}, {"cancelled": 3}, True),
        (NOON, {"is_cancelled": True}, {}, True),
    ],
)
def test_when_nothing_can_change_by_itself(
    at: int, changes: dict[str, Any], stands: dict[str, int], finished: bool
) -> None:
    assert is_finished(course(**changes), balance(**stands), at) is finished


OPEN = Told(started=True, opened=True)
SHUT = Told(started=True)


@pytest.mark.parametrize(
    ("at", "changes", "told", "stands", "kinds", "next_at"),
    [
        (NOON, {}, Told(), {}, [EventKind.WINDOW_OPENED, EventKind.STARTED], NOON + 5 * HOUR),
        (NOON, {"is_paused": True}, Told(), {}, [EventKind.WINDOW_OPENED], NOON + 5 * HOUR),
        (NOON, {}, OPEN, {"pending": 1}, [], NOON + 5 * HOUR),
        (NOON - 3 * DAY, {}, Told(), {"pending": 1}, [], NOON - DAY - 3 * HOUR),
        (NOON + 5 * HOUR, {}, OPEN, {"pending": 1}, [EventKind.WINDOW_CLOSED], NOON + 21 * HOUR),
        (
            NOON + 21 * HOUR,
            {},
            replace(OPEN, opened=False),
            {"pending": 1},
            [EventKind.WINDOW_OPENED],
            NOON + 29 * HOUR,
        ),
        (NOON, {}, OPEN, {"success": 1}, [EventKind.FINISHED], NOON + 5 * HOUR),
        (NOON, {}, replace(OPEN, finished=True), {"success": 1}, [], NOON + 5 * HOUR),
        (NOON + 3 * DAY, {}, OPEN, {"pending": 1}, [EventKind.WINDOW_CLOSED, EventKind.FINISHED], None),
        (NOON, {"is_cancelled": True}, OPEN, {"cancelled": 1}, [EventKind.WINDOW_CLOSED, EventKind.FINISHED], None),
        (NOON, {"is_cancelled": True}, Told(), {"delivering": 1}, [], None),
    ],
)
def test_what_is_told_and_when_to_look_again(
    at: int, changes: dict[str, Any], told: Told, stands: dict[str, int], kinds: list[EventKind], next_at: int | None
) -> None:
    telling = what_to_tell(course(**changes), told, balance(**stands), at)
    assert (list(telling.kinds), telling.next_at) == (kinds, next_at)


def test_counters_are_told_every_few_seconds_while_they_change() -> None:
    def telling(told: Told, at: int = NOON, **stands: int) -> tuple[list[EventKind], int | None]:
        found = what_to_tell(course(), told, balance(**stands), at)
        return list(found.kinds), found.next_at

    just_now = replace(OPEN, counted_at=NOON - 1_000, is_uncounted=True)
    assert telling(just_now, pending=1) == ([], NOON - 1_000 + COUNTERS_EVERY)
    assert telling(just_now, NOON + COUNTERS_EVERY, pending=1)[0] == [EventKind.COUNTERS]
    assert telling(replace(just_now, is_uncounted=False), NOON + COUNTERS_EVERY, pending=1)[0] == []
    # A clock that was set back keeps nothing from being told.
    assert telling(replace(just_now, counted_at=NOON + HOUR), pending=1)[0] == [EventKind.COUNTERS]
    # The end of a campaign brings its counters itself.
    assert telling(replace(just_now, counted_at=0), success=1)[0] == [EventKind.FINISHED]


def test_the_kinds_of_events_have_names_of_their_own() -> None:
    assert len({kind.type for kind in EventKind}) == len(EventKind)
    assert NOBODY.of(Medium.SMS, Status.PENDING) == 0
