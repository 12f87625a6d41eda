"""Gates: whether an attempt of a campaign may begin at this very moment, and who hears when it may not any more."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from engine_kit import START, HandClock, Shelf, campaign_row, lease

from campana.bus.contract import Hint, News
from campana.domain.campaign import EmailSettings, SmsSettings
from campana.domain.delivery import Medium
from campana.domain.moment import DAY, MINUTE
from campana.domain.schedule import window_of
from campana.engine.gates import MARGIN_MS, SHUT, Gates, Opening, Passage, opening_of
from campana.storage.store import StoreUnavailable
from campana.storage.tables import NEVER

MIDNIGHT = START - START % DAY
HOUR = 60 * MINUTE


def clock_time(hour: int, minute: int = 0) -> datetime:
    return datetime(1, 1, 1, hour, minute)


TODAY = datetime(2026, 9, 21)
SMS = Medium.SMS
OFF = SmsSettings(False, "Campana", "Hello")

OPENINGS: list[tuple[str, dict[str, Any], Medium, Opening]] = [
    ("always", {}, SMS, Opening(START, NEVER)),
    ("always, the other medium", {}, Medium.EMAIL, Opening(START, NEVER)),
    ("paused", {"is_paused": True}, SMS, SHUT),
    ("the medium is off", {"sms": OFF}, SMS, SHUT),
    ("the other medium is off", {"sms": OFF}, Medium.EMAIL, Opening(START, NEVER)),
    ("no such medium", {}, Medium.VOICE, SHUT),
    (
        "within today's hours",
        {"active_from_time": clock_time(9), "active_to_time": clock_time(17)},
        SMS,
        Opening(START, MIDNIGHT + 17 * HOUR),
    ),
    (
        "before today's hours",
        {"active_from_time": clock_time(15), "active_to_time": clock_time(17)},
        SMS,
        Opening(MIDNIGHT + 15 * HOUR, MIDNIGHT + 17 * HOUR),
    ),
    (
        "after today's hours",
        {"active_from_time": clock_time(9), "active_to_time": clock_time(10)},
        SMS,
        Opening(MIDNIGHT + DAY + 9 * HOUR, MIDNIGHT + DAY + 10 * HOUR),
    ),
    ("the last day", {"active_to_date": TODAY}, SMS, Opening(START, MIDNIGHT + DAY)),
    ("ended", {"active_to_date": datetime(2026, 9, 20)}, SMS, SHUT),
    ("not before tomorrow", {"active_from_date": datetime(2026, 9, 22)}, SMS, Opening(MIDNIGHT + DAY, NEVER)),
    (
        "in the campaign's zone",
        {"active_from_time": clock_time(9), "active_to_time": clock_time(17), "time_zone": "Asia/Tokyo"},
        SMS,
        Opening(MIDNIGHT + DAY, MIDNIGHT + DAY + 8 * HOUR),
    ),
]


@pytest.mark.parametrize(("label", "changes", "medium", "expected"), OPENINGS, ids=[row[0] for row in OPENINGS])
def test_when_a_lane_may_send(label: str, changes: dict[str, Any], medium: Medium, expected: Opening) -> None:
    row = campaign_row(**changes)
    assert opening_of(row, window_of(row.campaign, row.zone), medium, START) == expected


def test_a_deleted_campaign_never_opens() -> None:
    row = replace(campaign_row(), deleted_at=START)
    assert opening_of(row, window_of(row.campaign, row.zone), SMS, START) == SHUT


async def test_a_gate_follows_the_clock_to_the_millisecond() -> None:
    clock = HandClock()
    shelf = Shelf(campaign_row(active_from_time=clock_time(15), active_to_time=clock_time(17)))
    gate = await Gates(shelf, clock).enter(1, SMS)
    opens, closes = MIDNIGHT + 15 * HOUR, MIDNIGHT + 17 * HOUR
    for now, expected in [(opens - 1, False), (opens, True), (closes - 1, True), (closes, False)]:
        clock.now = now
        assert gate.permit() is expected


async def test_a_pause_shuts_the_gate_of_its_campaign_alone() -> None:
    shelf = Shelf(campaign_row(1), campaign_row(2))
    gates = Gates(shelf, HandClock())
    ours, others = await gates.enter(1, SMS), await gates.enter(2, SMS)
    shelf.put(campaign_row(1, is_paused=True))
    assert ours.permit(), "it answers from memory"
    assert gates.concerns(Hint(News.CAMPAIGN, 1))
    await gates.refresh(1)
    assert not ours.permit()
    assert ours.shut.is_set()
    assert others.permit()
    assert not others.shut.is_set()
    shelf.put(campaign_row(1))
    await gates.refresh()
    assert ours.permit()
    assert not ours.shut.is_set()


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        (Hint(News.CAMPAIGN, 1), True),
        (Hint(News.CAMPAIGN, 2), False),
        (Hint(News.CONTACTS, 1), False),
        (Hint(News.ROUTE), False),
    ],
)
async def test_which_hints_move_a_gate(hint: Hint, expected: bool) -> None:
    gates = Gates(Shelf(campaign_row()), HandClock())
    assert not gates.concerns(hint)
    await gates.enter(1, SMS)
    assert gates.concerns(hint) is expected


async def test_a_gate_is_shared_and_lasts_as_long_as_its_leases() -> None:
    gates = Gates(Shelf(campaign_row()), HandClock())
    first, second = await gates.enter(1, SMS), await gates.enter(1, SMS)
    assert first is second
    assert await gates.enter(1, Medium.EMAIL) is not first
    gates.leave(1, SMS)
    assert await gates.enter(1, SMS) is first
    gates.leave(1, SMS)
    gates.leave(1, SMS)
    assert await gates.enter(1, SMS) is not first


async def test_a_store_that_is_away_leaves_no_gate_behind() -> None:
    shelf = Shelf(campaign_row())
    gates = Gates(shelf, HandClock())
    shelf.is_away = True
    with pytest.raises(StoreUnavailable):
        await gates.enter(1, SMS)
    assert not gates.concerns(Hint(News.CAMPAIGN, 1))
    shelf.is_away = False
    assert (await gates.enter(1, SMS)).users == 1


async def test_stopping_shuts_every_gate_for_good() -> None:
    gates = Gates(Shelf(campaign_row()), HandClock())
    before = await gates.enter(1, SMS)
    gates.stop()
    await gates.refresh()
    after = await gates.enter(1, Medium.EMAIL)
    assert not before.permit()
    assert before.shut.is_set()
    assert not after.permit()


async def test_a_campaign_that_is_not_there_is_shut() -> None:
    gates = Gates(Shelf(), HandClock())
    assert await gates.look(7) is None
    assert not (await gates.enter(7, SMS)).permit()


async def test_who_waits_at_a_gate_hears_at_once_that_it_shuts() -> None:
    shelf = Shelf(campaign_row())
    gates = Gates(shelf, HandClock())
    gate = await gates.enter(1, SMS)
    waiting = asyncio.create_task(gate.wait(3_600))
    await asyncio.sleep(0)
    shelf.put(campaign_row(is_paused=True))
    await gates.refresh(1)
    await asyncio.wait_for(waiting, 5)


async def test_a_gate_that_opened_by_the_clock_lets_wait() -> None:
    clock = HandClock()
    gate = await Gates(Shelf(campaign_row(active_from_time=clock_time(15))), clock).enter(1, SMS)
    assert gate.shut.is_set()
    clock.now = MIDNIGHT + 15 * HOUR
    waiting = asyncio.create_task(gate.wait(3_600))
    await asyncio.sleep(0)
    assert not waiting.done(), "it would spin"
    waiting.cancel()


async def test_a_passage_ends_with_what_the_campaign_said() -> None:
    shelf = Shelf(campaign_row())
    gates = Gates(shelf, HandClock())
    gate = await gates.enter(1, SMS)
    old = Passage(gate, gate.revision, lease())
    assert old.permit()
    shelf.put(campaign_row(email=EmailSettings(True, "news@example.com", "Other", "<p>Other</p>")))
    await gates.refresh(1)
    assert gate.permit()
    assert not old.permit()
    assert Passage(gate, gate.revision, lease()).permit()
    short = Passage(gate, gate.revision, lease(until=START + MARGIN_MS + 1))
    assert short.permit()
    short.lease.until = START + MARGIN_MS
    assert not short.permit(), "somebody else may have it"
