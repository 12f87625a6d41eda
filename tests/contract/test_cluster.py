"""What processes on one PostgreSQL know of each other: who lives, who has a duty, what they use of a route."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from campana.domain.sharing import REST_MS, Ask, RouteState, Wish, allot_lines, pace
from campana.storage.cluster import Member
from tests.contract import postgres_kit
from tests.contract.conftest import NOW
from tests.contract.postgres_cluster import Cluster, clustered

LONG, OVER = 60_000, -1
"""A life that lasts, and one that is over as it begins."""


@pytest.fixture
async def cluster(postgres: postgres_kit.Server, postgres_database: str) -> AsyncIterator[Cluster]:
    async with clustered(postgres, postgres_database) as cluster:
        yield cluster


def member(owner: str, role: str = "worker", **routes: str) -> Member:
    return Member(owner, role, "host", "0003", NOW, routes)


def noted(state: RouteState, now: int) -> RouteState:
    return state


async def test_members_are_those_who_said_lately_that_they_live(cluster: Cluster) -> None:
    one, other = (world.store.cluster for world in (await cluster.open(), await cluster.open()))
    first, second = member("a", "api"), member("b", sms="up", mail="down")
    assert await one.beat(first, LONG) == [first]
    assert await other.beat(second, LONG) == [first, second]
    changed = replace(second, routes={"sms": "down"})
    assert await other.beat(changed, LONG) == [first, changed]
    assert await other.beat(second, OVER) == [first, second], "who speaks lives"
    assert await one.beat(first, LONG) == [first]
    assert await one.dead() == ["b"]
    await one.bury("b")
    assert await one.dead() == []
    # It stood still, and was not dead at all.
    assert await other.beat(second, LONG) == [first, second]


async def test_one_at_a_time_has_a_duty(cluster: Cluster) -> None:
    one, other = (world.store.cluster for world in (await cluster.open(), await cluster.open()))
    both = await asyncio.gather(one.hold("planning", "a", LONG), other.hold("planning", "b", LONG))
    assert sorted(both) == [False, True]
    owner, loser = ("a", "b") if both[0] else ("b", "a")
    assert await one.hold("planning", owner, LONG) is True
    assert await other.hold("overdue:sms", loser, LONG) is True
    assert await one.hold("planning", owner, OVER) is True
    assert await other.hold("planning", loser, LONG) is True, "the other's time was over"
    assert await one.hold("planning", owner, LONG) is False
    await other.bury(loser)
    assert await one.hold("planning", owner, LONG) is True


async def test_the_clock_is_the_databases(cluster: Cluster) -> None:
    world = await cluster.open()
    before = await cluster.meddler.fetchval("SELECT extract(epoch FROM clock_timestamp()) * 1000")
    told = await world.store.cluster.clock()
    after = await cluster.meddler.fetchval("SELECT extract(epoch FROM clock_timestamp()) * 1000")
    assert int(before) <= told <= after + 1, "to the millisecond, rounded"


async def test_changes_of_a_route_come_one_after_the_other(cluster: Cluster) -> None:
    clusters = [(await cluster.open()).store.cluster for _ in range(4)]

    def one_more(state: RouteState, now: int) -> int:
        held, _ = state.pending.get("all", (0, 0))
        state.pending["all"] = (held + 1, now)
        return held

    answers = await asyncio.gather(*(one.share("sms", one_more) for one in clusters * 10))
    assert sorted(answers) == list(range(40))


async def test_a_change_that_fails_changes_nothing(cluster: Cluster) -> None:
    one = (await cluster.open()).store.cluster

    def broken(state: RouteState, now: int) -> None:
        state.pending["a"] = (1, 1)
        raise ZeroDivisionError

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await one.share("sms", broken)
        assert (await one.share("sms", noted)).pending == {}


async def test_a_new_route_begins_at_once_and_one_whose_state_was_lost_rests(cluster: Cluster) -> None:
    one = (await cluster.open()).store.cluster
    now = await one.clock()
    ask = Ask("a", 5)
    assert (await one.share("sms", lambda state, at: pace(state, 1_000, ask, at))).granted == 5
    # What a crash of the server does to an unlogged table.
    await cluster.meddler.execute("TRUNCATE route_states")
    answer = await one.share("sms", lambda state, at: pace(state, 1_000, ask, at))
    assert (answer.granted, answer.next_at >= now + REST_MS) == (0, True)
    assert (await one.share("sms", noted)).rests_until == answer.next_at
    assert (await one.share("other", noted)).rests_until == 0


async def test_the_state_of_routes_is_not_logged(cluster: Cluster) -> None:
    await cluster.open()
    kinds = await cluster.meddler.fetch("SELECT relname FROM pg_class WHERE relkind = 'r' AND relpersistence = 'u'")
    assert [row[0] for row in kinds] == ["route_states"]


async def test_what_the_dead_used_of_routes_is_free(cluster: Cluster) -> None:
    one = (await cluster.open()).store.cluster
    for route in ("sms", "trunk"):
        await one.share(route, lambda state, now: allot_lines(state, 10, Wish("dead", 4, 4), now))
        await one.share(route, lambda state, now: allot_lines(state, 10, Wish("alive", 2, 2), now))
    await one.beat(member("dead"), OVER)
    await one.bury("dead")
    for route in ("sms", "trunk"):
        assert list((await one.share(route, noted)).lines) == ["alive"]
