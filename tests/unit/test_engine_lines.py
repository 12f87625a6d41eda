"""The lines of a route: never more calls than there are, in the order of asking, and none ever lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from engine_kit import HandClock, Shelf, StandingRoute, campaign_row, lease, ways
from hypothesis import given
from hypothesis import strategies as st

from campana.domain.delivery import Medium, Status
from campana.domain.outcome import Change, DeliveryCode
from campana.engine.gates import Gate, Gates, Passage
from campana.engine.limits import Grant, Way
from campana.engine.lines import Lines
from campana.engine.reach import expected_rate
from campana.storage.river import Judged

SMS, VOICE = Medium.SMS, Medium.VOICE
DELIVERING = Change(Status.DELIVERING, DeliveryCode.OK, True)


async def passage(number: int = 1) -> Passage:
    gate = await Gates(Shelf(campaign_row(number)), HandClock()).enter(number, SMS)
    return Passage(gate, gate.revision, lease())


def shut(gate: Gate) -> None:
    gate.stopped = True
    gate.shut.set()


async def turns(count: int = 3) -> None:
    """Let the others go on."""
    for _ in range(count):
        await asyncio.sleep(0)


async def soon(task: asyncio.Task[Any]) -> Any:
    return await asyncio.wait_for(task, 5)


async def test_no_more_than_there_are() -> None:
    lines, ours = Lines(2), await passage()
    assert [await lines.take(ours), await lines.take(ours)] == [True, True]
    third = asyncio.create_task(lines.take(ours))
    await turns()
    assert (third.done(), lines.free) == (False, 0)
    lines.hold("a")
    await turns()
    assert not third.done(), "it is a call's now"
    lines.over("a")
    assert await soon(third)
    assert lines.free == 0


Event = Callable[[Lines], None]


@pytest.mark.parametrize(
    "events",
    [
        [lambda lines: lines.give_back()],
        [lambda lines: lines.hold("a"), lambda lines: lines.over("a")],
        [lambda lines: lines.over("a"), lambda lines: lines.hold("a")],
        [lambda lines: lines.over("a"), lambda lines: lines.over("a"), lambda lines: lines.hold("a")],
        [lambda lines: lines.hold("a"), lambda lines: lines.over("a"), lambda lines: lines.over("a")],
        [lambda lines: lines.over("nobody's"), lambda lines: lines.hold("a"), lambda lines: lines.over("a")],
    ],
    ids=["no call", "a call", "over before it was known", "told twice before", "told twice after", "somebody else's"],
)
async def test_a_line_comes_back_once(events: list[Event]) -> None:
    lines, ours = Lines(1), await passage()
    for _ in range(3):
        assert await lines.take(ours)
        assert lines.free == 0
        for event in events:
            event(lines)
        assert lines.free == 1


async def test_a_call_of_another_time_frees_nothing() -> None:
    lines, ours = Lines(1), await passage()
    lines.over("a")
    assert await lines.take(ours)
    lines.hold("a")
    assert lines.free == 0, "what was over before anything was taken is not waited for"


async def test_the_first_who_asked_is_the_first_who_goes() -> None:
    lines, ours = Lines(1), await passage()
    assert await lines.take(ours)
    served: list[int] = []

    async def ask(who: int) -> None:
        assert await lines.take(ours)
        served.append(who)
        await turns(1)
        lines.give_back()

    asking = [asyncio.create_task(ask(who)) for who in range(5)]
    await turns()
    lines.give_back()
    # Who comes now does not get ahead of those who wait.
    late = asyncio.create_task(ask(5))
    await asyncio.gather(*asking, late)
    assert served == [0, 1, 2, 3, 4, 5]
    assert lines.free == 1


async def test_who_waits_goes_when_the_gate_shuts_and_the_next_gets_the_line() -> None:
    lines, ours, theirs = Lines(1), await passage(1), await passage(2)
    assert await lines.take(ours)
    first, second = asyncio.create_task(lines.take(ours)), asyncio.create_task(lines.take(theirs))
    await turns()
    shut(ours.gate)
    assert await soon(first) is False, "though nothing is free"
    lines.give_back()
    assert await soon(second) is True
    assert lines.free == 0


async def test_a_line_that_comes_as_the_gate_shuts_is_passed_on() -> None:
    lines, ours, theirs = Lines(1), await passage(1), await passage(2)
    assert await lines.take(ours)
    first, second = asyncio.create_task(lines.take(ours)), asyncio.create_task(lines.take(theirs))
    await turns()
    lines.give_back()
    shut(ours.gate)
    assert (await soon(first), await soon(second)) == (False, True)
    assert lines.free == 0


async def test_who_is_cancelled_takes_no_line_along() -> None:
    lines, ours = Lines(1), await passage()
    assert await lines.take(ours)
    waiting = [asyncio.create_task(lines.take(ours)) for _ in range(3)]
    await turns()
    waiting[1].cancel()
    lines.give_back()
    waiting[0].cancel()
    for one in waiting[:2]:
        with suppress(asyncio.CancelledError):
            await one
    assert await soon(waiting[2])
    lines.give_back()
    assert lines.free == 1


async def test_an_edit_is_noticed_by_who_waits() -> None:
    lines, ours = Lines(1), await passage()
    assert await lines.take(ours)
    waiting = asyncio.create_task(lines.take(ours))
    await turns()
    ours.gate.revision += 1
    assert await soon(waiting) is False


async def test_a_passage_that_was_lost_before_takes_nothing() -> None:
    lines, ours = Lines(1), await passage()
    shut(ours.gate)
    assert await lines.take(ours) is False
    assert lines.free == 1


@given(st.lists(st.tuples(st.sampled_from(["take", "hold", "give back", "over"]), st.integers(0, 9)), max_size=60))
def test_lines_are_never_more_than_there_are_nor_lost(story: list[tuple[str, int]]) -> None:
    """Against a model: how many are taken, and which calls are up."""

    async def live() -> None:
        lines, ours, most = Lines(3), await passage(), 3
        taken, up, told = 0, set[str](), set[str]()
        for event, number in story:
            call = f"call-{number}"
            if event == "take" and taken + len(up) < most:
                assert await lines.take(ours)
                taken += 1
            elif event == "hold" and taken and call not in up:
                lines.hold(call)
                taken -= 1
                if call in told:
                    told.remove(call)
                else:
                    up.add(call)
            elif event == "give back" and taken:
                lines.give_back()
                taken -= 1
            elif event == "over":
                lines.over(call)
                if call in up:
                    up.remove(call)
                elif taken:
                    told.add(call)
                    assert len(told) <= 10
            if not taken:
                told.clear()
            if len(told) > 2 * most:
                return
            assert lines.free == most - taken - len(up)

    asyncio.run(live())


# --- a route with lines ----------------------------------------------------------------------------------------


def way_of(**changes: Any) -> Way:
    return ways((StandingRoute("trunk", VOICE), changes)).all[0]


def took(call: str) -> list[Judged]:
    return [Judged(1, 1, DELIVERING, "trunk", 0, (call,))]


async def granted(way: Way, ours: Passage) -> Grant:
    grant = await way.grant(100, ours, HandClock())
    assert grant is not None
    return grant


async def test_a_grant_is_one_call_and_its_line() -> None:
    way, ours = way_of(calls=2, rate=50), await passage()
    assert way.lines is not None
    first, second = await granted(way, ours), await granted(way, ours)
    assert (first.count, way.lines.free, way.makes_wait(HandClock()())) == (1, 0, True)
    first.hold(took("a"))
    second.hold([])
    for grant in (first, first, second):
        grant.close()
    assert way.lines.free == 1, "one is a call's, the other came back"
    way.lines.over("a")
    assert way.lines.free == 2


async def test_who_waits_for_a_line_does_not_keep_the_pace_from_others() -> None:
    way, ours = way_of(calls=1, rate=50), await passage()
    grant = await granted(way, ours)
    waiting = asyncio.create_task(way.grant(1, ours, HandClock()))
    await turns()
    assert not way.turn.locked()
    grant.close()
    assert await soon(waiting) is not None


async def test_a_line_is_given_back_where_the_pace_comes_to_nothing() -> None:
    way, ours, clock = way_of(calls=2, rate=1), await passage(), HandClock()
    assert way.lines is not None
    assert await way.grant(1, ours, clock) is not None
    waiting = asyncio.create_task(way.grant(1, ours, clock))
    await turns()
    assert way.lines.free == 0
    shut(ours.gate)
    assert await soon(waiting) is None
    assert way.lines.free == 1


# calls, rate -> leases where others have 6, calls a second
CARRIES = [
    ({"calls": 30}, 12, 1.5),
    ({"calls": 1}, 1, 0.05),
    ({"calls": 4, "rate": 50}, 4, 0.2),
    ({"calls": 2_000, "rate": 50}, 60, 50),
    ({"calls": 2_000, "rate": None}, 60, 100),
    ({"calls": 2_000, "rate": 0.5}, 6, 0.5),
]


@pytest.mark.parametrize(("settings", "leases", "rate"), CARRIES)
def test_what_a_route_of_calls_carries(settings: dict[str, Any], leases: int, rate: float) -> None:
    way = way_of(**settings)
    assert (way.most_leases(6), expected_rate(way.settings)) == (leases, rate)
    all_ways = ways((StandingRoute("trunk", VOICE), settings))
    assert all_ways.rate_of_a_lease(VOICE, "acme", 6) == pytest.approx(rate / leases)
