"""Calls in the river: so many at a time and so many a second, tried again when the campaign says, never twice by
mistake. The route is a fake at the channel's contract; the store is real, and the clock can be moved."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from calls_kit import NEVER_ENDS, Trunk, voice_campaign
from river_kit import MovedClock, River, flowing, phone

from campana.channels.contract import Health
from campana.channels.errors import Misconfigured, RefusedForNow, Throttled, Uncertain, Unreachable
from campana.domain.campaign import Campaign, UncertainPolicy
from campana.domain.delivery import Medium, Status
from campana.domain.moment import MINUTE
from campana.domain.outcome import DeliveryCode, Receipt, ReceiptState
from campana.storage.store import AttemptRow

VOICE = Medium.VOICE
OK, BUSY, UNCERTAIN = DeliveryCode.OK, DeliveryCode.VOICE_BUSY, DeliveryCode.UNCERTAIN


def phones(count: int, first: int = 0) -> list[str]:
    return [phone(first + number) for number in range(count)]


async def attempts(river: River, campaign: Campaign) -> list[AttemptRow]:
    pages = river.store.attempts.pages(await river.number(campaign))
    return [one async for page in pages for one in page]


# --- lines and pace --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lasts", [0.0, 0.01, 0.2], ids=["over before send answers", "short", "long"])
async def test_never_more_calls_than_lines_and_all_are_made(tmp_path: Path, lasts: float) -> None:
    trunk = Trunk(MovedClock(), setup=0.02, lasts=lasts)
    async with flowing(tmp_path, [], built=[trunk.settings(calls=5)]) as river:
        campaign = await river.add(voice_campaign())
        await river.fill(campaign, phones(60), VOICE)
        await river.until_statuses(campaign, {4: 60}, VOICE)
        assert trunk.most_up <= 5
        assert Counter(call.destination for call in trunk.placed) == Counter(phones(60))
        assert [(one.attempt, one.call is not None) for one in await attempts(river, campaign)] == [(1, True)] * 60


async def test_a_free_line_is_used_at_once(tmp_path: Path) -> None:
    """With every line busy, each end lets one more leave, and only one."""
    trunk = Trunk(MovedClock(), lasts=NEVER_ENDS)
    async with flowing(tmp_path, [], built=[trunk.settings(calls=3)]) as river:
        campaign = await river.add(voice_campaign())
        await river.fill(campaign, phones(10), VOICE)
        await trunk.until(lambda: len(trunk.placed) == 3)
        await river.until(lambda: _delivering(river, campaign, 3))
        for more in range(4, 11):
            started = asyncio.get_running_loop().time()
            await trunk.end(next(iter(trunk.up)), OK)
            await trunk.until(lambda wanted=more: len(trunk.placed) == wanted)
            assert asyncio.get_running_loop().time() - started < 0.9, "not only when somebody looks again"
        assert trunk.most_up == 3


async def _delivering(river: River, campaign: Campaign, count: int) -> bool:
    return (await river.statuses(campaign, VOICE))[3] == count


async def test_two_trunks_have_lines_each(tmp_path: Path) -> None:
    clock = MovedClock()
    one, two = Trunk(clock, lasts=0.05, name="one"), Trunk(clock, lasts=0.05, name="two")
    built = [one.settings(calls=2, destinations=["+14165600"]), two.settings(calls=4)]
    async with flowing(tmp_path, [], built=built) as river:
        campaign = await river.add(voice_campaign())
        others = [f"+1613{5_600_000 + number}" for number in range(40)]
        await river.fill(campaign, [number for pair in zip(phones(40), others, strict=True) for number in pair], VOICE)
        await river.until_statuses(campaign, {4: 80}, VOICE)
        assert (len(one.placed), len(two.placed)) == (40, 40)
        assert one.most_up <= 2
        assert two.most_up <= 4


@pytest.mark.xdist_group("quiet")
@pytest.mark.parametrize(("calls", "lasts"), [(2_000, 20.0), (100, 1.0)], ids=["many lines", "short calls"])
async def test_a_trunk_that_is_slow_to_answer_is_called_as_fast_as_it_may(
    tmp_path: Path, calls: int, lasts: float
) -> None:
    """It answers an INVITE after 0.9 s: then some 50 calls are being set up at a time."""
    trunk = Trunk(MovedClock(), setup=0.9, lasts=lasts)
    async with flowing(tmp_path, [], built=[trunk.settings(calls=calls, rate=50)]) as river:
        campaign = await river.add(voice_campaign())
        await river.fill(campaign, phones(2_000), VOICE)
        await trunk.until(lambda: len(trunk.placed) >= 200, 30)
        times = sorted(call.at for call in trunk.placed)
        await river.delete(campaign)
    used = 199 / (times[199] - times[0]) * 1_000 / 50
    print(f"{used:.1%} of the rate used")
    assert used >= 0.9
    assert max(bisect_left(times, at + 1_000) - place for place, at in enumerate(times)) <= 50


@pytest.mark.xdist_group("quiet")
async def test_a_small_campaign_is_not_far_behind_a_big_one_on_30_lines(tmp_path: Path) -> None:
    trunk = Trunk(MovedClock(), lasts=0.2)
    async with flowing(tmp_path, [], built=[trunk.settings(calls=30)]) as river:
        big = await river.add(voice_campaign())
        await river.fill(big, phones(5_000), VOICE)
        await trunk.until(lambda: len(trunk.placed) > 60)
        already = len(trunk.placed)
        small = await river.add(voice_campaign(), "other")
        await river.fill(small, phones(5, first=90_000), VOICE, "other")
        ours = set(phones(5, first=90_000))
        await trunk.until(lambda: ours <= {call.destination for call in trunk.placed[already:]})
        behind = len(trunk.placed) - already - 5
        print(f"{behind} calls of the big one went before")
        await river.delete(big)
    assert behind <= 120, "two times what all of the route's leases hold, and who comes in between"


# --- pauses, and what never left -------------------------------------------------------------------------------


async def test_who_waits_for_a_line_goes_back_when_the_campaign_is_paused(tmp_path: Path) -> None:
    trunk = Trunk(MovedClock(), lasts=NEVER_ENDS)
    async with flowing(tmp_path, [], built=[trunk.settings(calls=2)]) as river:
        campaign = await river.add(voice_campaign())
        await river.fill(campaign, phones(6), VOICE)
        await trunk.until(lambda: len(trunk.placed) == 2)
        await river.replace(replace(campaign, is_paused=True))
        await river.until_statuses(campaign, {3: 2, 1: 4}, VOICE)
        await trunk.end(next(iter(trunk.up)), OK)
        await river.until_statuses(campaign, {4: 1, 3: 1, 1: 4}, VOICE)
        assert len(trunk.placed) == 2


@pytest.mark.parametrize(
    "error",
    [Unreachable(DeliveryCode.VOICE_UNREACHABLE), Misconfigured(DeliveryCode.VOICE_MISCONFIGURED)],
    ids=["unreachable", "misconfigured"],
)
async def test_what_never_left_waits_and_uses_no_attempt(tmp_path: Path, error: Any) -> None:
    clock = MovedClock()
    trunk = Trunk(clock, refuses=error)
    async with flowing(tmp_path, [], built=[trunk.settings(calls=5)], clock=clock) as river:
        campaign = await river.add(voice_campaign(max_attempts=1))
        number = await river.fill(campaign, phones(8), VOICE)
        await trunk.until(lambda: trunk.asked >= 5)
        await river.until_statuses(campaign, {1: 8}, VOICE)
        assert trunk.asked <= 10, "it is not tried again and again meanwhile"
        trunk.refuses = None
        await river.move_clock(1_500, number)
        await river.until_statuses(campaign, {4: 8}, VOICE)
        assert {line.left for line in await river.lines(campaign, VOICE)} == {2}
        assert len(trunk.placed) == 8
        assert trunk.most_up <= 5


async def test_a_route_that_is_down_has_its_chunks_wait(tmp_path: Path) -> None:
    trunk = Trunk(MovedClock())
    trunk.state.health = Health.DOWN
    async with flowing(tmp_path, [], built=[trunk.settings(calls=5)]) as river:
        campaign = await river.add(voice_campaign())
        await river.fill(campaign, phones(8), VOICE)
        await asyncio.sleep(0.3)
        assert await river.statuses(campaign, VOICE) == Counter({1: 8})
        assert trunk.asked == 0
        trunk.state.health = Health.UP
        river.engine.mailroom.route_changed("trunk")
        await river.until_statuses(campaign, {4: 8}, VOICE)


REFUSALS = [
    (RefusedForNow(DeliveryCode.VOICE_SPEECH_UNAVAILABLE), {6: 4}, 321, 12),
    (Uncertain(UNCERTAIN), {6: 4}, 106, 4),
]


@pytest.mark.parametrize(("error", "statuses", "code", "asked"), REFUSALS, ids=["refused", "uncertain"])
async def test_what_no_call_came_of_gives_its_line_back(
    tmp_path: Path, error: Any, statuses: dict[int, int], code: int, asked: int
) -> None:
    trunk = Trunk(MovedClock(), refuses=error)
    async with flowing(tmp_path, [], built=[trunk.settings(calls=1)]) as river:
        campaign = await river.add(voice_campaign())
        await river.fill(campaign, phones(4), VOICE)
        await river.until_statuses(campaign, statuses, VOICE)
        assert {line.error for line in await river.lines(campaign, VOICE)} == {code}
        assert trunk.asked == asked


async def test_a_trunk_that_throttles_slows_the_route_down(tmp_path: Path) -> None:
    trunk = Trunk(MovedClock(), refuses=Throttled(DeliveryCode.VOICE_CONGESTED))
    async with flowing(tmp_path, [], built=[trunk.settings(calls=5)]) as river:
        campaign = await river.add(voice_campaign())
        await river.fill(campaign, phones(5), VOICE)
        await trunk.until(lambda: trunk.asked >= 5)
        trunk.refuses = None
        await river.until_statuses(campaign, {4: 5}, VOICE)
        assert {line.left for line in await river.lines(campaign, VOICE)} == {2}


# --- going again -----------------------------------------------------------------------------------------------


async def test_never_two_attempts_closer_than_the_interval(tmp_path: Path) -> None:
    """It counts from the end of a call, however long that was."""
    clock = MovedClock()
    trunk = Trunk(clock, lasts=NEVER_ENDS)
    async with flowing(tmp_path, [], built=[trunk.settings(calls=5)], clock=clock) as river:
        campaign = await river.add(voice_campaign(retry_minutes=15))
        number = await river.number(campaign)
        await river.contact(campaign, voice=phone(1), attempts=3)
        for attempt in (1, 2, 3):
            await trunk.until(lambda wanted=attempt: len(trunk.placed) == wanted)
            await river.until_statuses(campaign, {3: 1}, VOICE)
            await river.move_clock(2 * MINUTE, number)
            ended = clock()
            await trunk.end(trunk.placed[-1].id, BUSY)
            if attempt == 3:
                break
            await river.until_statuses(campaign, {5: 1}, VOICE)
            await river.move_clock(15 * MINUTE - (clock() - ended) - 500, number)
            await asyncio.sleep(0.1)
            assert len(trunk.placed) == attempt, "half a second is still to go"
            assert await river.statuses(campaign, VOICE) == Counter({5: 1})
            await trunk.until(lambda wanted=attempt: len(trunk.placed) == wanted + 1)
            assert trunk.placed[-1].at - ended >= 15 * MINUTE
        await river.until_statuses(campaign, {6: 1}, VOICE)
        (line,) = await river.lines(campaign, VOICE)
        assert (line.error, line.left) == (BUSY, 0)
        assert [one.attempt for one in await attempts(river, campaign)] == [1, 2, 3]


async def test_an_attempt_that_falls_due_outside_the_window_waits_for_the_next(tmp_path: Path) -> None:
    clock = MovedClock()
    clock.forward(_until_noon(clock()))
    trunk = Trunk(clock, ends=lambda call: BUSY if call.attempt == 1 else OK)
    async with flowing(tmp_path, [], built=[trunk.settings(calls=5)], clock=clock) as river:
        hours = {"active_from_time": datetime(1, 1, 1, 11), "active_to_time": datetime(1, 1, 1, 13)}
        campaign = await river.add(voice_campaign(retry_minutes=90, **hours))
        number = await river.number(campaign)
        await river.contact(campaign, voice=phone(1), attempts=3)
        await river.until_statuses(campaign, {5: 1}, VOICE)
        await river.move_clock(91 * MINUTE, number)
        await asyncio.sleep(0.2)
        assert len(trunk.placed) == 1, "13:31 is outside"
        await river.move_clock(20 * 60 * MINUTE, number)
        await asyncio.sleep(0.2)
        assert len(trunk.placed) == 1, "09:31 as well"
        await river.move_clock(90 * MINUTE, number)
        await river.until_statuses(campaign, {4: 1}, VOICE)
        assert datetime.fromtimestamp(trunk.placed[1].at / 1_000, UTC).hour == 11


async def test_no_call_begins_after_the_window_closes_and_one_that_began_goes_on(tmp_path: Path) -> None:
    """Also of those that wait for a line just then."""
    clock = MovedClock()
    clock.forward(_until_noon(clock()))
    trunk = Trunk(clock, lasts=NEVER_ENDS)
    async with flowing(tmp_path, [], built=[trunk.settings(calls=1)], clock=clock) as river:
        hours = {"active_from_time": datetime(1, 1, 1, 11), "active_to_time": datetime(1, 1, 1, 13)}
        campaign = await river.add(voice_campaign(**hours))
        number = await river.number(campaign)
        await river.fill(campaign, phones(3), VOICE)
        await trunk.until(lambda: len(trunk.placed) == 1)
        await river.until(lambda: _delivering(river, campaign, 1))
        await river.move_clock(60 * MINUTE, number)
        await river.until_statuses(campaign, {3: 1, 1: 2}, VOICE)
        await trunk.end(trunk.placed[0].id, OK)
        await river.until_statuses(campaign, {4: 1, 1: 2}, VOICE)
        await asyncio.sleep(0.2)
        assert len(trunk.placed) == 1
        await river.move_clock(22 * 60 * MINUTE, number)
        await trunk.until(lambda: len(trunk.placed) == 2)
        assert datetime.fromtimestamp(trunk.placed[1].at / 1_000, UTC).hour == 11


def _until_noon(now: int) -> int:
    noon = datetime.fromtimestamp(now / 1_000, UTC).replace(hour=12, minute=0, second=0, microsecond=0)
    return int(noon.timestamp() * 1_000) - now


async def test_every_attempt_has_the_same_origination(tmp_path: Path) -> None:
    """Also where the campaign was edited in between; who has not begun gets what it says now."""
    clock = MovedClock()
    trunk = Trunk(clock, ends=lambda call: BUSY if call.attempt == 1 else OK)
    async with flowing(tmp_path, [], built=[trunk.settings(calls=5)], clock=clock) as river:
        campaign = await river.add(voice_campaign(retry_minutes=5, calling_name="Clinic"))
        number = await river.number(campaign)
        await river.contact(campaign, voice=phone(1))
        await river.until_statuses(campaign, {5: 1}, VOICE)
        assert campaign.voice is not None
        other = replace(campaign.voice, calling_number="+14165550199", calling_name="Other")
        await river.replace(replace(campaign, voice=other))
        await river.contact(campaign, voice=phone(2))
        await river.until_statuses(campaign, {5: 2}, VOICE)
        await river.move_clock(6 * MINUTE, number)
        await river.until_statuses(campaign, {4: 2}, VOICE)
    told = {
        (call.destination, call.attempt): (call.content.source, call.content.call and call.content.call.calling_name)
        for call in trunk.placed
    }
    was, now = ("+14165550100", "Clinic"), ("+14165550199", "Other")
    assert told == {(phone(1), 1): was, (phone(1), 2): was, (phone(2), 1): now, (phone(2), 2): now}


# --- what nobody knows -----------------------------------------------------------------------------------------

POLICIES = [(UncertainPolicy.GIVE_UP, 6, 106, 1), (UncertainPolicy.HOLD, 5, 107, 1), (UncertainPolicy.RESEND, 4, 0, 2)]


@pytest.mark.parametrize(("policy", "status", "code", "calls"), POLICIES)
async def test_a_call_of_which_the_route_knows_nothing_goes_by_the_policy(
    tmp_path: Path, policy: UncertainPolicy, status: int, code: int, calls: int
) -> None:
    trunk = Trunk(MovedClock(), ends=lambda call: UNCERTAIN if call.attempt == 1 else OK)
    async with flowing(tmp_path, [], built=[trunk.settings(calls=1)]) as river:
        campaign = await river.add(voice_campaign(voice_uncertain=policy))
        await river.contact(campaign, voice=phone(1))
        await river.until_statuses(campaign, {status: 1}, VOICE)
        (line,) = await river.lines(campaign, VOICE)
        assert (line.error, len(trunk.placed)) == (code, calls)
        await river.contact(campaign, voice=phone(2))
        await trunk.until(lambda: trunk.placed[-1].destination == phone(2))


async def test_a_call_whose_end_is_never_told_frees_its_line_one_day(tmp_path: Path) -> None:
    clock = MovedClock()
    trunk = Trunk(clock, lasts=NEVER_ENDS)
    async with flowing(tmp_path, [], built=[trunk.settings(calls=1)], clock=clock) as river:
        campaign = await river.add(voice_campaign())
        number = await river.fill(campaign, phones(2), VOICE)
        await trunk.until(lambda: len(trunk.placed) == 1)
        await river.until(lambda: _delivering(river, campaign, 1))
        trunk.lose()
        trunk.lasts = 0.0
        await river.move_clock(15 * MINUTE, number)
        engine = river.engine
        await engine._asker.ask(engine._ways.all[0], 780_000, engine._rule)
        await river.until_statuses(campaign, {6: 1, 4: 1}, VOICE)
        assert sorted(line.error for line in await river.lines(campaign, VOICE)) == [0, 106]


async def test_calls_of_a_process_that_died_are_settled_at_the_start(tmp_path: Path) -> None:
    """And none of them is placed again under the usual policy, while those that had not begun are."""
    clock = MovedClock()
    dead = Trunk(clock, lasts=NEVER_ENDS)
    async with flowing(tmp_path, [], built=[dead.settings(calls=4)], clock=clock) as river:
        campaign = await river.add(voice_campaign())
        await river.fill(campaign, phones(10), VOICE)
        await dead.until(lambda: len(dead.placed) == 4)
        await river.until(lambda: _delivering(river, campaign, 4))
    alive = Trunk(clock)
    async with flowing(tmp_path, [], built=[alive.settings(calls=4)], clock=clock) as river:
        await river.until_statuses(campaign, {6: 4, 4: 6}, VOICE)
        rows = await attempts(river, campaign)
        assert Counter((one.status, one.code) for one in rows) == {
            (Status.PERMANENT_FAILURE, UNCERTAIN): 4,
            (Status.SUCCESS, OK): 6,
        }
    called = Counter(call.destination for call in dead.placed + alive.placed)
    assert called == Counter(phones(10))


async def test_what_a_dead_process_had_heard_of_counts(tmp_path: Path) -> None:
    """A call's end that was kept before its send was recorded is not uncertain."""
    clock = MovedClock()
    dead = Trunk(clock, lasts=NEVER_ENDS)
    async with flowing(tmp_path, [], built=[dead.settings(calls=4)], clock=clock) as river:
        campaign = await river.add(voice_campaign())
        await river.fill(campaign, phones(1), VOICE)
        await river.until(lambda: _delivering(river, campaign, 1))
        (call,) = dead.placed
        # As it is left where the process dies before it looks again.
        told = Receipt("trunk", ReceiptState.DELIVERED, OK, clock(), (call.id,))
        early = msgspec.json.encode(told).decode()
        await river.store._database.write(
            lambda connection: (
                connection.execute(
                    "INSERT INTO early_receipts (route, carrier_id, at, body) VALUES ('trunk', ?, 1, ?)",
                    (call.id, early),
                ).rowcount
            )
        )
    async with flowing(tmp_path, [], built=[Trunk(clock).settings(calls=4)], clock=clock) as river:
        await river.until_statuses(campaign, {4: 1}, VOICE)


async def test_calls_of_a_route_that_is_gone_are_settled_at_the_start_too(tmp_path: Path) -> None:
    clock = MovedClock()
    first = Trunk(clock, lasts=NEVER_ENDS, name="other")
    async with flowing(tmp_path, [], built=[first.settings(calls=4)], clock=clock) as river:
        campaign = await river.add(voice_campaign())
        await river.fill(campaign, phones(1), VOICE)
        await river.until(lambda: _delivering(river, campaign, 1))
    async with flowing(tmp_path, [], built=[Trunk(clock).settings(calls=4)], clock=clock) as river:
        assert await river.statuses(campaign, VOICE) == Counter({6: 1})
        assert {line.error for line in await river.lines(campaign, VOICE)} == {UNCERTAIN}
