"""The planner's order: who is cut next, so that nobody waits long behind another; and when it looks again."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import datetime
from typing import Any

import pytest
from engine_kit import START, Bed, HandClock, Shelf, Silt, StandingRoute, campaign_row, options, ways

from campana.bus.contract import Hint, News
from campana.domain.campaign import VoiceSettings
from campana.domain.delivery import Medium
from campana.domain.moment import DAY, MINUTE
from campana.engine.duties import Duty
from campana.engine.gates import Gates
from campana.engine.options import Tools
from campana.engine.planning import Planner
from campana.engine.ways import Ways
from campana.storage.river import Cut
from campana.storage.store import CampaignRow
from campana.storage.tables import NEVER
from campana.telemetry import Metrics

HOUR = 60 * MINUTE
MIDNIGHT = START - START % DAY
TEN_TO_FOUR: dict[str, Any] = {
    "active_from_time": datetime(1, 1, 1, 10),
    "active_to_time": datetime(1, 1, 1, 16),
}


class Works:
    """A planner on lanes in memory, and a worker that claims one chunk after the other."""

    def __init__(self, rows: list[CampaignRow], lanes: list[Silt], all_ways: Ways | None = None) -> None:
        self.clock = HandClock()
        self.shelf = Shelf(*rows)
        self.bed = Bed(*lanes)
        all_ways = all_ways or ways((StandingRoute("one"), {}))
        self.planner = planner_of(self, all_ways)

    async def plan(self) -> None:
        """Look until there is nothing to be done."""
        while await self.planner.round():
            pass

    async def serve(self, chunks: int) -> list[Cut]:
        """Claim so many chunks, planning after each."""
        served: list[Cut] = []
        await self.plan()
        while len(served) < chunks and (cut := self.bed.claim()):
            served.append(cut)
            self.planner.hear(Hint(News.CLAIMED, cut.campaign, cut.turn))
            await self.plan()
        return served


def planner_of(works: Works, all_ways: Ways) -> Planner:
    """The planner of a process that is alone."""
    clock = works.clock
    duty, tools = Duty(None, "planning", "test", clock), Tools(clock, Metrics())
    return Planner(works.bed, Gates(works.shelf, clock), all_ways, options(), duty=duty, tools=tools)


async def test_no_more_chunks_wait_than_may() -> None:
    works = Works([campaign_row()], [Silt(1, 1, fresh=10_000)])
    await works.plan()
    assert [cut.limit for cut in works.bed.cuts] == [500, 500]
    await works.serve(1)
    assert len(works.bed.cuts) == 3


async def test_every_chunk_is_cut_and_in_order() -> None:
    works = Works([campaign_row()], [Silt(1, 1, fresh=1_700)])
    served = await works.serve(100)
    assert len(served) == 4
    assert [cut.turn for cut in served] == sorted(cut.turn for cut in served)


async def test_what_is_due_goes_before_what_is_fresh() -> None:
    works = Works([campaign_row()], [Silt(1, 1, fresh=10, due=[START - 1, START, START + 1])])
    await works.plan()
    lane = works.bed.lanes_[0]
    assert (lane.due, lane.fresh, len(lane.chunks)) == ([START + 1], 0, 2)


async def test_a_small_campaign_waits_behind_a_few_chunks_of_a_large_one() -> None:
    lanes = [Silt(1, 1, fresh=1_000_000), Silt(2, 2)]
    works = Works([campaign_row(1, 1), campaign_row(2, 2)], lanes)
    await works.serve(40)
    lanes[1].fresh = 10
    works.planner.hear(Hint(News.CONTACTS, 2))
    after = await works.serve(10)
    assert [cut.campaign for cut in after].index(2) <= 2


async def test_a_small_campaign_of_the_same_account_waits_hardly_longer() -> None:
    lanes = [Silt(1, 1, fresh=1_000_000), Silt(2, 1)]
    works = Works([campaign_row(1, 1), campaign_row(2, 1)], lanes)
    await works.serve(40)
    lanes[1].fresh = 10
    works.planner.hear(Hint(News.CONTACTS, 2))
    after = await works.serve(10)
    assert [cut.campaign for cut in after].index(2) <= 3


@pytest.mark.parametrize("accounts", [2, 5])
async def test_accounts_share_alike_however_many_campaigns_each_has(accounts: int) -> None:
    rows, lanes = [], []
    for number in range(1, 2 * accounts):
        account = number if number < accounts else accounts
        rows.append(campaign_row(number, account))
        lanes.append(Silt(number, account, fresh=10**9))
    works = Works(rows, lanes)
    served = await works.serve(60 * accounts)
    by_account = Counter(lanes[cut.campaign - 1].account for cut in served[20:])
    assert max(by_account.values()) - min(by_account.values()) <= 6


async def test_campaigns_of_an_account_share_alike() -> None:
    works = Works([campaign_row(n) for n in (1, 2, 3)], [Silt(n, 1, fresh=10**9) for n in (1, 2, 3)])
    served = await works.serve(90)
    counts = Counter(cut.campaign for cut in served)
    assert max(counts.values()) - min(counts.values()) <= 2


async def test_who_was_idle_gets_no_credit_for_it() -> None:
    lanes = [Silt(1, 1, fresh=10**9), Silt(2, 2)]
    works = Works([campaign_row(1, 1), campaign_row(2, 2)], lanes)
    await works.serve(200)
    lanes[1].fresh = 10**9
    works.planner.hear(Hint(News.CONTACTS, 2))
    counts = Counter(cut.campaign for cut in await works.serve(40))
    assert abs(counts[1] - counts[2]) <= 4


async def test_turns_outlive_a_restart() -> None:
    lanes = [Silt(1, 1, fresh=10**6)]
    works = Works([campaign_row()], lanes)
    last = (await works.serve(100))[-1].turn
    again = Works([campaign_row()], lanes)
    again.clock.now += 1_000
    lanes[0].chunks.clear()
    planner = planner_of(again, ways())
    await planner.round()
    assert again.bed.cuts[0].turn > last


# --- sizes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rate", "expected"), [(None, 500), (1_000, 500), (300, 500), (60, 100), (6, 10), (0.05, 1)])
async def test_what_a_route_carries_is_no_more_than_seconds_of_its_work(rate: float | None, expected: int) -> None:
    works = Works([campaign_row()], [Silt(1, 1, fresh=10_000)], ways((StandingRoute("one"), {"rate": rate})))
    await works.plan()
    assert works.bed.cuts[0].limit == expected


VOICE = VoiceSettings(True, 30_000, None, None, "Hello", None, 1, 3, 15)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [({"calls": 30}, 1), ({"calls": 1}, 1), ({"calls": 2_000, "rate": 50}, 8), ({"calls": 2_000, "rate": 1}, 1)],
)
async def test_of_calls_too(settings: dict[str, Any], expected: int) -> None:
    """A line is busy for some 20 seconds; all leases of a route together hold what it does in 10."""
    lane = Silt(1, 1, fresh=10_000, medium=Medium.VOICE)
    trunk = ways((StandingRoute("trunk", Medium.VOICE), settings))
    works = Works([campaign_row(voice=VOICE)], [lane], trunk)
    await works.plan()
    assert works.bed.cuts[0].limit == expected


# --- windows -----------------------------------------------------------------------------------------------------


async def test_a_chunk_carries_its_window() -> None:
    works = Works([campaign_row(**TEN_TO_FOUR)], [Silt(1, 1, fresh=10)])
    await works.plan()
    assert [(cut.opens_at, cut.closes_at) for cut in works.bed.cuts] == [(START, MIDNIGHT + 16 * HOUR)]


@pytest.mark.parametrize(
    "changes",
    [{"is_paused": True}, {"active_from_date": datetime(2026, 9, 22)}, {"active_to_date": datetime(2026, 9, 20)}],
    ids=["paused", "tomorrow", "ended"],
)
async def test_nothing_is_cut_outside_the_window(changes: dict[str, Any]) -> None:
    works = Works([campaign_row(**changes)], [Silt(1, 1, fresh=10)])
    assert await works.planner.round() is False
    assert works.bed.cuts == []


# What is changed; how chunks of an open window are then gated (None: not at all).
MOVES = [
    ({}, None),
    ({"is_paused": True}, (NEVER, NEVER)),
    (TEN_TO_FOUR, (0, MIDNIGHT + 16 * HOUR)),
    ({"active_from_date": datetime(2026, 9, 22)}, (MIDNIGHT + DAY, NEVER)),
    ({"active_to_date": datetime(2026, 9, 20)}, (NEVER, NEVER)),
]


@pytest.mark.parametrize(("changes", "expected"), MOVES)
async def test_chunks_that_wait_follow_the_window(changes: dict[str, Any], expected: tuple[int, int] | None) -> None:
    works = Works([campaign_row()], [Silt(1, 1, fresh=10_000)])
    await works.plan()
    works.shelf.put(campaign_row(**changes))
    works.planner.hear(Hint(News.CAMPAIGN, 1))
    assert await works.planner.round() is (expected is not None), "who claims is told"
    assert [(opens, closes) for _, _, opens, closes in works.bed.gated] == ([] if expected is None else [expected])
    works.planner.hear(Hint(News.CAMPAIGN, 1))
    assert await works.planner.round() is False, "once is enough"


async def test_a_resumed_campaign_is_claimable_again() -> None:
    works = Works([campaign_row()], [Silt(1, 1, fresh=10_000)])
    await works.plan()
    for changes in ({"is_paused": True}, {}):
        works.shelf.put(campaign_row(**changes))
        works.planner.hear(Hint(News.CAMPAIGN, 1))
        await works.planner.round()
    assert works.bed.gated[-1][2:] == (0, NEVER)


async def test_a_chunk_given_back_after_an_edit_is_not_left_in_the_old_window() -> None:
    works = Works([campaign_row(**TEN_TO_FOUR)], [Silt(1, 1, fresh=10_000)])
    await works.plan()
    leased = works.bed.claim()
    assert leased is not None
    works.shelf.put(campaign_row())
    works.planner.hear(Hint(News.CAMPAIGN, 1))
    await works.plan()
    works.bed.lanes_[0].chunks.append(leased)
    works.planner.hear(Hint(News.DUE, 1, 0))
    await works.planner.round()
    assert {cut.closes_at for cut in works.bed.lanes_[0].chunks} == {NEVER}


async def test_a_chunk_that_rests_for_a_moment_is_left_in_peace() -> None:
    works = Works([campaign_row()], [Silt(1, 1, chunks=[Cut(1, works_medium(), 5, 1, START + 1_000, NEVER)])])
    assert await works.planner.round() is False
    assert works.bed.gated == []


async def test_whoever_is_called_waits_behind_a_few_however_many_there_are() -> None:
    works = Works([campaign_row(one, one) for one in range(1, 201)], [Silt(one, one, fresh=1) for one in range(1, 201)])
    await works.planner.round()
    assert [cut.campaign for cut in works.bed.cuts] == list(range(1, 51))
    works.planner.hear(Hint(News.CONTACTS, 200))
    await works.plan()
    cut = [cut.campaign for cut in works.bed.cuts]
    assert sorted(cut) == list(range(1, 201))
    assert cut.index(200) <= 101


def works_medium() -> Any:
    return Silt(1, 1).medium


# --- when it looks again -----------------------------------------------------------------------------------------


async def runs(works: Works) -> tuple[asyncio.Task[None], asyncio.Event]:
    """The planner at work, and the event that it has cut something."""
    cut = asyncio.Event()
    return asyncio.create_task(works.planner.run(cut.set)), cut


async def test_it_wakes_for_a_hint() -> None:
    works = Works([campaign_row()], [Silt(1, 1)])
    task, cut = await runs(works)
    await asyncio.sleep(0)
    works.bed.lanes_[0].fresh = 1
    works.planner.hear(Hint(News.CONTACTS, 1))
    await asyncio.wait_for(cut.wait(), 5)
    task.cancel()


async def test_a_hint_about_a_route_wakes_nobody() -> None:
    works = Works([campaign_row()], [Silt(1, 1)])
    await works.planner.round()
    works.planner.hear(Hint(News.ROUTE))
    works.bed.lanes_[0].fresh = 1
    assert await works.planner.round() is False


async def test_it_looks_at_a_retry_when_that_is_due() -> None:
    works = Works([campaign_row()], [Silt(1, 1, due=[START + 60_000])])
    assert await works.planner.round() is False
    works.clock.now = START + 29_999
    assert await works.planner.round() is False
    works.clock.now = START + 60_000
    assert await works.planner.round() is True


async def test_it_looks_at_a_campaign_when_its_window_opens() -> None:
    works = Works([campaign_row(active_from_time=datetime(1, 1, 1, 15))], [Silt(1, 1, fresh=1)])
    await works.planner.round()
    works.clock.now = MIDNIGHT + 15 * HOUR - 1
    assert await works.planner.round() is False
    works.clock.now += 1
    assert await works.planner.round() is True


async def test_a_lost_hint_costs_a_rescan() -> None:
    works = Works([campaign_row()], [Silt(1, 1)])
    await works.planner.round()
    works.bed.lanes_[0].fresh = 1
    assert await works.planner.round() is False
    works.clock.now += 30_000
    assert await works.planner.round() is True


async def test_a_store_that_was_away_is_asked_for_everything_again() -> None:
    works = Works([campaign_row()], [Silt(1, 1, fresh=1)])
    works.bed.is_away = True
    task, cut = await runs(works)
    await asyncio.sleep(0.01)
    assert not cut.is_set()
    works.bed.is_away = False
    works.clock.now += 1_000
    works.planner.hear(Hint(News.CAMPAIGN, 99))
    await asyncio.wait_for(cut.wait(), 5)
    task.cancel()
