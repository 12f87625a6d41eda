"""How events are worded in JSON: every kind by its own name, batches that are always the same."""

from __future__ import annotations

import json

import pytest

from campana.bus.wording import balance_words, batch_id, batch_words, event_words, instant
from campana.domain.delivery import Medium, Status
from campana.domain.progress import NOBODY, Event, EventKind

AT = 1_796_050_800_123
CONTACT = "0190a1b2-0000-7000-8000-000000000001"
CHANGED = Event(
    7, EventKind.STATUS_CHANGED, AT, CONTACT, 'the "7"', Medium.EMAIL, Status.SENDING, Status.WAITING_FOR_RETRY, 3101
)


@pytest.mark.parametrize("kind", EventKind)
def test_every_kind_has_its_own_name(kind: EventKind) -> None:
    assert event_words(Event(1, kind, AT))["type"] == kind.type


def test_a_changed_status() -> None:
    assert event_words(CHANGED) == {
        "number": 7,
        "type": "contact.status_changed",
        "at": "2026-11-30T15:00:00.123Z",
        "data": {
            "contact": CONTACT,
            "reference": 'the "7"',
            "medium": "email",
            "previous": "sending",
            "status": "waiting_for_retry",
            "error_code": 3101,
        },
    }


def test_counters_name_every_status_of_every_medium() -> None:
    words = balance_words(NOBODY)
    assert words.keys() == {"contacts", "sms", "voice", "email"}
    assert all(words[medium].keys() == {status.name.lower() for status in Status} for medium in ("sms", "voice"))
    assert event_words(Event(1, EventKind.FINISHED, AT, balance=NOBODY))["data"] == {"balance": words}
    assert event_words(Event(1, EventKind.STARTED, AT))["data"] == {}


def test_a_batch_is_the_same_whenever_it_is_made() -> None:
    events = [Event(6, EventKind.PAUSED, AT - 5), CHANGED]
    body = batch_words("c", events)
    assert body == batch_words("c", list(events))
    told = json.loads(body)
    assert (told["type"], told["timestamp"]) == ("campaign.progress", "2026-11-30T15:00:00.123Z")
    assert (told["data"]["campaign"], told["data"]["first"], told["data"]["last"]) == ("c", 6, 7)
    assert told["data"]["events"] == [event_words(event) for event in events]
    assert batch_id("c", 6, 7) == "c.6-7"


@pytest.mark.parametrize(
    ("at", "said"),
    [(0, "1970-01-01T00:00:00.000Z"), (999, "1970-01-01T00:00:00.999Z"), (AT, "2026-11-30T15:00:00.123Z")],
)
def test_instants_are_exact_to_the_millisecond(at: int, said: str) -> None:
    assert instant(at) == said
