"""One process among several: its membership, its duties, its part of what routes allow."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from engine_kit import START, HandClock, Shelf, StandingRoute, campaign_row, lease, settings_of
from huddle import Huddle

from campana.bus.contract import News
from campana.bus.local import LocalBus
from campana.channels.contract import Health
from campana.domain.delivery import Medium
from campana.domain.sharing import GRANT_MS
from campana.engine.budgets import CommonPace
from campana.engine.duties import LASTS_MS, TRY_MS, Duty
from campana.engine.gates import Gates, Passage
from campana.engine.limits import Grant, Way
from campana.engine.membership import Membership
from campana.engine.options import Tools
from campana.engine.runner import mark_of
from campana.engine.shares import PATIENCE_MS, Shares
from campana.engine.ways import FarRoute, Ways
from campana.storage.cluster import Member
from campana.storage.store import StoreUnavailable, UpgradeRefused
from campana.telemetry import Metrics

SMS, VOICE, EMAIL = Medium.SMS, Medium.VOICE, Medium.EMAIL
LASTS = 30_000


class Process:
    """A process of a huddle, with its routes."""

    def __init__(
        self, huddle: Huddle, clock: HandClock, name: str, *routes: tuple[StandingRoute, dict[str, Any]]
    ) -> None:
        self.clock, self.name = clock, name
        self.routes = {route.name: route for route, _ in routes}
        self.bus, metrics = LocalBus(), Metrics()
        self.heard: list[News] = []
        self.bus.listen(lambda hint: self.heard.append(hint.news))
        self.membership = Membership(huddle, Member(name, "worker", "host", "0003", START), LASTS, metrics, clock)
        with_settings = [(route, settings_of(route, changes)) for route, changes in routes]
        self.ways = Ways(with_settings, others=self.membership)
        self.shares = Shares(huddle, self.membership, self.ways, self.bus, Tools(clock, metrics))

    async def beat(self) -> None:
        await self.membership.beat({name: route.state.health.value for name, route in self.routes.items()})

    def allowed(self, route: str) -> int:
        """Connections that the process may have."""
        return self.routes[route].connections


def sms(name: str = "sms", health: Health = Health.UP) -> StandingRoute:
    return StandingRoute(name, SMS, health)


class QuietRoute(StandingRoute):
    """It has none of the connections that it may have: it has nothing to send, or waits before it tries again."""

    allowed = 0

    def allow(self, connections: int) -> None:
        self.allowed = connections


async def quiet_processes(binds: int) -> tuple[Huddle, HandClock, list[Process], list[QuietRoute]]:
    clock, routes = HandClock(), [QuietRoute("sms") for _ in range(2)]
    huddle = Huddle(clock)
    both = [Process(huddle, clock, name, (route, {"binds": binds})) for name, route in zip("ab", routes, strict=True)]
    for one in (*both, both[0]):
        await one.beat()
    return huddle, clock, both, routes


async def processes(count: int, **settings: Any) -> tuple[Huddle, HandClock, list[Process]]:
    """Processes that all have one SMS route and have said so."""
    clock = HandClock()
    huddle = Huddle(clock)
    all_of_them = [Process(huddle, clock, f"host-{place}-{place:08x}", (sms(), settings)) for place in range(count)]
    for one in all_of_them:
        await one.beat()
    await all_of_them[0].beat()
    return huddle, clock, all_of_them


# --- membership and duties ---------------------------------------------------------------------------------------


async def test_who_else_can_send_by_a_route() -> None:
    _, _, (one, other) = await processes(2)
    other.routes["sms"].state.health = Health.DOWN
    assert (one.membership.is_up_elsewhere("sms"), one.membership.sharers("sms")) == (True, 2)
    await other.beat()
    await one.beat()
    assert (one.membership.is_up_elsewhere("sms"), one.membership.sharers("sms")) == (False, 1)
    assert (one.membership.runs_elsewhere("sms"), one.membership.runs_elsewhere("mail")) == (True, False)


async def test_a_process_knows_when_others_take_it_for_dead() -> None:
    huddle, clock, (one,) = await processes(1)
    huddle.is_away = True
    clock.now += LASTS
    with pytest.raises(StoreUnavailable):
        await one.beat()
    assert (one.membership.is_current, one.membership.has_lapsed()) == (False, False)
    clock.now += 1
    assert one.membership.has_lapsed()
    huddle.is_away = False
    await one.beat()
    assert (one.membership.is_current, one.membership.has_lapsed()) == (True, False)


async def test_a_process_whose_program_does_not_fit_the_tables_any_more_lapses() -> None:
    """It was frozen while what it needs was taken away: it says that it lives, and hears that it must not go on."""
    huddle, clock, (one,) = await processes(1)
    huddle.oldest = "0004"
    clock.now += LASTS + 1
    with pytest.raises(UpgradeRefused, match="needs a program that knows revision 0004, and this one knows none"):
        await one.beat()
    assert one.membership.has_lapsed()
    assert one.name in huddle.said


async def test_the_dead_are_buried_once_their_calls_are_settled() -> None:
    huddle, clock, (one, other) = await processes(2)
    clock.now += LASTS
    settled: list[str] = []
    refused = asyncio.Event()

    async def bury(owner: str) -> None:
        if not settled:
            settled.append("tried")
            refused.set()
            raise StoreUnavailable("away")
        settled.append(mark_of(owner))

    beating = asyncio.create_task(one.membership.beat_for_ever(dict, bury))
    await refused.wait()
    assert other.name in huddle.said, "its calls are not settled yet"
    await huddle.until(lambda: other.name not in huddle.said)
    beating.cancel()
    assert settled == ["tried", "00000001"]


async def test_a_duty_is_taken_over_when_its_process_says_no_more() -> None:
    clock = HandClock()
    huddle = Huddle(clock)
    one, other = Duty(huddle, "planning", "a", clock), Duty(huddle, "planning", "b", clock)
    assert (await one.held(), await other.held()) == (True, False)
    clock.now += TRY_MS
    assert (await one.held(), await other.held()) == (True, False)
    clock.now = START + LASTS_MS
    # The first was kept waiting: it must not believe that it still has it.
    assert await other.held() is True
    assert await one.held() is False
    clock.now -= 3_600_000
    assert await other.held() is True, "a clock that was set back keeps nobody from asking"


async def test_a_duty_of_a_process_that_is_alone() -> None:
    duty = Duty(None, "planning", "a", HandClock())
    assert (await duty.held(), duty.ask_at) == (True, None)


# --- connections -------------------------------------------------------------------------------------------------


async def settle(some: list[Process], rounds: int = 3) -> list[int]:
    """Have all look at their shares some times; the connections of each."""
    for _ in range(rounds):
        for one in some:
            await one.shares.settle()
    return [one.allowed("sms") for one in some]


async def test_nothing_is_connected_before_it_is_known_to_be_ours() -> None:
    huddle, _, (one,) = await processes(1, binds=4)
    assert one.allowed("sms") == 0
    assert await settle([one]) == [4]
    assert huddle.states["sms"].connections[one.name].held == 4


async def test_connections_are_divided_and_go_to_others_when_a_process_dies() -> None:
    huddle, _, some = await processes(3, binds=4)
    assert sorted(await settle(some)) == [1, 1, 2]
    await huddle.bury(some[0].name)
    assert await settle(some[1:]) == [2, 2]


async def test_who_stood_still_lets_its_connections_go_before_it_says_that_it_lives() -> None:
    """Others may have them by now: both together would be more than the carrier allows."""
    huddle, clock, (one, other) = await processes(2, binds=4)
    assert await settle([one, other]) == [2, 2]
    clock.now += LASTS + 1
    await other.beat()
    await huddle.bury(one.name)
    assert await settle([other]) == [4]
    await one.beat()
    assert one.allowed("sms") == 0
    assert sum(await settle([one, other], rounds=1)) <= 4
    assert await settle([one, other]) == [2, 2]


async def test_what_may_still_be_opened_is_given_back_only_when_it_may_not_any_more() -> None:
    """It could be opened while the answer is on its way that says that others have it."""
    huddle, _, (one, other) = await processes(2, binds=2)
    allowed: list[int] = []
    one.routes["sms"].allow = allowed.append  # it opens nothing
    await settle([one], rounds=2)
    assert allowed[-1] == huddle.states["sms"].connections[one.name].held == 2
    await settle([other], rounds=1)
    await settle([one], rounds=1)
    assert (allowed[-1], huddle.states["sms"].connections[one.name].held) == (1, 2)
    assert await settle([other], rounds=1) == [0]
    await settle([one], rounds=1)
    assert (allowed[-1], huddle.states["sms"].connections[one.name].held) == (1, 1)
    assert await settle([other], rounds=1) == [1]


async def test_who_comes_back_while_it_is_being_buried_keeps_what_it_has() -> None:
    huddle, clock, (one, other) = await processes(2, binds=2)
    clock.now += LASTS
    done = asyncio.Event()

    async def bury(_: str) -> None:
        await other.beat()
        assert await settle([other]) == [2]
        done.set()

    beating = asyncio.create_task(one.membership.beat_for_ever(dict, bury))
    await done.wait()
    assert other.name in huddle.said
    assert huddle.states["sms"].connections[other.name].held == 2
    beating.cancel()


async def test_who_buries_others_for_long_says_all_the_while_that_it_lives() -> None:
    huddle, clock, (one, other) = await processes(2)
    clock.now += LASTS
    asked = asyncio.Event()

    async def bury(_: str) -> None:
        asked.set()
        await asyncio.Event().wait()

    beating = asyncio.create_task(one.membership.beat_for_ever(dict, bury))
    await asked.wait()
    clock.now += LASTS
    async with asyncio.timeout(5):
        await huddle.until(lambda: huddle.said[one.name][1] > clock.now)
    assert other.name in huddle.said, "it is not buried yet"
    beating.cancel()


async def test_the_only_connection_stays_where_it_is() -> None:
    _, _, some = await processes(3, binds=1)
    assert await settle(some[1:]) == [1, 0]
    assert await settle(some) == [0, 1, 0]


async def test_who_does_not_come_through_leaves_its_connections_to_others_for_a_while() -> None:
    _, clock, (one, other) = await processes(2, binds=1)
    assert await settle([one, other]) == [1, 0]
    one.routes["sms"].state.health = Health.DOWN
    assert await settle([one, other]) == [1, 0]
    clock.now += PATIENCE_MS
    assert await settle([one, other]) == [0, 1]
    clock.now += PATIENCE_MS + 1
    assert await settle([one, other]) == [0, 1]


async def test_who_only_now_and_then_has_a_connection_does_not_come_through_either() -> None:
    _, clock, (one, other), routes = await quiet_processes(binds=1)
    await settle([one, other])
    routes[0].state.health = Health.DOWN
    await settle([one, other])
    assert [route.allowed for route in routes] == [1, 0]
    clock.now += PATIENCE_MS
    await settle([one, other])
    assert [route.allowed for route in routes] == [0, 1]


async def test_what_may_be_opened_at_any_moment_goes_to_nobody_else_before_it_is_given_up() -> None:
    huddle, _, (one, other), routes = await quiet_processes(binds=4)
    await one.shares.settle()
    await other.shares.settle()
    await one.shares.settle()
    assert huddle.states["sms"].connections["a"].held == 4, "it had four until the answer came"
    await other.shares.settle()
    assert [route.allowed for route in routes] == [2, 0]
    await settle([one, other])
    assert [route.allowed for route in routes] == [2, 2]


async def test_alone_it_keeps_trying() -> None:
    _, clock, (one,) = await processes(1, binds=1)
    await settle([one])
    one.routes["sms"].state.health = Health.DOWN
    await settle([one])
    clock.now += PATIENCE_MS
    assert await settle([one]) == [1]


async def test_a_process_that_is_taken_for_dead_connects_to_nobody() -> None:
    huddle, clock, (one,) = await processes(1, binds=2)
    await settle([one])
    huddle.is_away = True
    assert await settle([one]) == [2]
    clock.now += LASTS + 1
    assert await settle([one]) == [0]


async def test_others_hear_of_what_is_lacked_and_given_back_once() -> None:
    _, _, (one, other) = await processes(2, binds=2)
    await one.shares.settle()
    await other.shares.settle()
    assert other.heard.count(News.SHARES) == 1, "it lacks some"
    await other.shares.settle()
    assert other.heard.count(News.SHARES) == 1, "and says so once"
    await one.shares.settle()
    assert one.heard.count(News.SHARES) == 1, "it gave back what the other lacks"
    assert await settle([other, one]) == [1, 1]


# --- lines -------------------------------------------------------------------------------------------------------


async def passage_of(clock: HandClock) -> Passage:
    gate = await Gates(Shelf(campaign_row()), clock).enter(1, SMS)
    return Passage(gate, gate.revision, lease())


async def test_lines_come_as_they_are_wanted_and_go_when_calls_are_over() -> None:
    clock = HandClock()
    huddle = Huddle(clock)
    one, other = (Process(huddle, clock, name, (StandingRoute("trunk", VOICE), {"calls": 2})) for name in "ab")
    ours, passage = one.ways.lines["trunk"], await passage_of(clock)
    waiting = [asyncio.create_task(ours.take(passage)) for _ in range(2)]
    await asyncio.sleep(0)
    assert (ours.used, ours.wanted) == (0, 2)
    await one.shares.settle()
    assert await asyncio.gather(*waiting) == [True, True]
    ours.hold("call-1")
    ours.hold("call-2")

    theirs = other.ways.lines["trunk"]
    third = asyncio.create_task(theirs.take(passage))
    await asyncio.sleep(0)
    await other.shares.settle()
    assert not third.done(), "all are in use"
    ours.over("call-1")
    await other.shares.settle()
    assert not third.done(), "it has not been given back yet"
    await one.shares.settle()
    await other.shares.settle()
    assert await third is True
    assert sum(one.held for one in huddle.states["trunk"].lines.values()) == 2


async def test_no_line_is_given_out_while_the_answer_is_on_its_way() -> None:
    clock = HandClock()
    huddle = Huddle(clock)
    one = Process(huddle, clock, "a", (StandingRoute("trunk", VOICE), {"calls": 3}))
    lines, passage = one.ways.lines["trunk"], await passage_of(clock)
    taking = asyncio.create_task(lines.take(passage))
    await asyncio.sleep(0)
    await one.shares.settle()
    assert await taking is True
    lines.give_back()
    huddle.is_away = True
    await one.shares.settle()
    assert lines.free == 0, "what the store did with the question is not known"


# --- rate --------------------------------------------------------------------------------------------------------


def common(huddle: Huddle, clock: HandClock, owner: str = "a", rate: float = 10) -> CommonPace:
    return CommonPace(huddle, "sms", rate, owner, clock)


async def granted(pace: CommonPace, clock: HandClock, wanted: int = 1) -> Grant:
    answer = await pace.grant(wanted)
    assert answer.granted
    return Grant(answer.granted, await passage_of(clock), pace, clock, answer.lapses_at)


async def test_what_has_left_is_told_soon() -> None:
    clock = HandClock()
    huddle = Huddle(clock)
    pace = common(huddle, clock)
    grant = await granted(pace, clock)
    assert grant.permit()
    grant.close()
    await huddle.until(lambda: huddle.changes == 2)
    state = huddle.states["sms"]
    assert (state.pending, state.pace.departures) == ({}, [(START, 1)])


async def test_what_did_not_leave_is_given_back() -> None:
    clock = HandClock()
    huddle = Huddle(clock)
    pace = common(huddle, clock)
    (await granted(pace, clock)).close()
    await pace.close()
    assert (huddle.states["sms"].pending, huddle.states["sms"].pace.departures) == ({}, [])


async def test_what_could_not_be_told_is_told_later() -> None:
    clock = HandClock()
    huddle = Huddle(clock)
    pace = common(huddle, clock)
    grant = await granted(pace, clock)
    assert grant.permit()
    huddle.is_away = True
    grant.close()
    with pytest.raises(StoreUnavailable):
        await pace.grant(1)
    huddle.is_away = False
    await pace.grant(0)
    assert huddle.states["sms"].pace.departures == [(START, 1)]


async def test_a_grant_lapses() -> None:
    clock = HandClock()
    grant = await granted(common(Huddle(clock), clock), clock)
    clock.now += GRANT_MS
    assert not grant.permit(), "others take it for sent by now"


async def test_all_slow_down_with_the_one_that_was_throttled() -> None:
    clock = HandClock()
    huddle = Huddle(clock)
    one, other = common(huddle, clock, "a"), common(huddle, clock, "b")
    one.slow_down()
    await one.close()
    assert (await other.grant(1)).granted == 0


async def test_a_way_waits_for_its_part_of_the_common_pace() -> None:
    clock = HandClock()
    huddle = Huddle(clock)
    (way,) = Ways([(sms(), settings_of(sms(), {"rate": 1}))]).all
    way.common = common(huddle, clock, rate=1)
    assert way.makes_wait(clock())
    first = await way.grant(5, await passage_of(clock), clock)
    assert first is not None
    assert first.count == 1
    waiting = asyncio.create_task(way.grant(1, await passage_of(clock), clock))
    await huddle.until(lambda: huddle.changes >= 2)
    first.close()
    clock.now += 2_000
    async with asyncio.timeout(10):
        second = await waiting
    assert second is not None


# --- routes of other processes -----------------------------------------------------------------------------------


class Told:
    """What is known of other processes, as a test says it."""

    def __init__(self, *up: str) -> None:
        self.up = up

    def is_up_elsewhere(self, route: str) -> bool:
        return route in self.up

    def sharers(self, route: str) -> int:
        return 4


HERE, THERE = ("here", 100, {}), ("there", 200, {})
# Routes as (name, priority, settings) here and elsewhere, those up elsewhere, and the choice for +44.
CHOICES: list[tuple[list[Any], list[Any], set[str], tuple[str | None, bool, bool]]] = [
    ([HERE], [THERE], {"there"}, ("here", False, False)),
    ([HERE], [("there", 50, {})], {"there"}, (None, True, False)),
    ([HERE], [("there", 50, {})], set(), ("here", False, False)),
    ([HERE], [("there", 50, {"destinations": ("+1",)})], {"there"}, ("here", False, False)),
    ([], [THERE], {"there"}, (None, True, False)),
    ([], [THERE], set(), (None, False, True)),
    ([], [("there", 1, {"accounts": ("other",)})], {"there"}, (None, False, False)),
]


@pytest.mark.parametrize(("near", "far", "up", "expected"), CHOICES)
def test_the_first_that_fits_and_is_up_anywhere(
    near: list[Any], far: list[Any], up: set[str], expected: tuple[str | None, bool, bool]
) -> None:
    def made(name: str, priority: int, changes: dict[str, Any]) -> tuple[StandingRoute, Any]:
        route = sms(name)
        return route, settings_of(route, {"priority": priority, **changes})

    distant = [FarRoute(made(*one)[1], SMS) for one in far]
    ways = Ways([made(*one) for one in near], distant, Told(*up))
    choice = ways.choose(SMS, "acme", "+447700900123")
    assert (choice.way and choice.way.name, choice.is_elsewhere, choice.is_down) == expected
    for_all = ways.for_all(SMS, "acme")
    assert for_all is None or for_all is choice.way
    assert ways.names == {name for name, _, _ in [*near, *far]}


def test_a_lease_carries_less_where_many_share_the_route() -> None:
    route = sms()
    ways = Ways(
        [(route, settings_of(route, {"rate": 240}))], [FarRoute(settings_of(sms("far"), {"rate": 48}), SMS)], Told()
    )
    assert ways.rate_of_a_lease(SMS, "acme", 6) == 10
    assert (ways.workers_of(SMS), ways.workers_of(EMAIL)) == (4, 1)


def test_a_way_of_ones_own_is_not_common() -> None:
    (way,) = Ways([(sms(), settings_of(sms(), {"rate": 5}))]).all
    assert isinstance(way, Way)
    assert way.common is None
