"""The counting of failures and the taking of turns, where the tests of sessions do not reach."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from itertools import accumulate
from pathlib import Path

import pytest
from services_kit import START, Kit, open_kit

from campana.domain.errors import MethodError
from campana.domain.moment import MINUTE, SECOND
from campana.services.lockout import MOST_MOMENTS, Lockout, Turns


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    async with open_kit(tmp_path) as opened:
        yield opened


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


async def locks_after(lockout: Lockout, failures: int) -> bool:
    for _ in range(failures):
        await lockout.fail(key(1))
    try:
        await lockout.check(key(1))
    except MethodError:
        return True
    return False


@pytest.mark.parametrize(("limit", "failures", "locked"), [(1, 0, False), (1, 1, True), (3, 2, False), (3, 3, True)])
async def test_the_last_failure_that_is_allowed_locks(kit: Kit, limit: int, failures: int, locked: bool) -> None:
    assert await locks_after(Lockout(kit.store.sessions, limit, MINUTE, kit.clock), failures) is locked


async def test_failures_at_the_same_moment_are_all_counted(kit: Kit) -> None:
    lockout = Lockout(kit.store.sessions, 100, MINUTE, kit.clock)
    await asyncio.gather(*(lockout.fail(key(1)) for _ in range(40)))
    counted = await kit.store.sessions.failures(key(1))
    assert counted is not None
    assert (counted.count, counted.first_at, counted.locked_until) == (40, kit.clock.now, 0)


async def test_a_failure_of_a_locked_key_does_not_unlock_it(kit: Kit) -> None:
    lockout = Lockout(kit.store.sessions, 2, MINUTE, kit.clock)
    for _ in range(2):
        await lockout.fail(key(1))
    kit.clock.pass_(MINUTE - 1)
    for judged_meanwhile in (lockout.fail, lockout.succeed, lockout.check):
        with pytest.raises(MethodError, match="TooManyAttempts"):
            await judged_meanwhile(key(1))
    kit.clock.pass_(1)
    await lockout.check(key(1))


async def test_the_span_slides_whoever_counts(kit: Kit) -> None:
    """Each failure counts for a span from when it happened, also one that another process counted."""
    processes = [Lockout(kit.store.sessions, 4, MINUTE, kit.clock) for _ in range(3)]
    for turn, gap in enumerate([0, 20, 20, 20, 20, 19]):  # seconds; the last three and this one are within a minute
        kit.clock.pass_(gap * SECOND)
        for process in processes:
            await process.check(key(1))
        await processes[turn % 3].fail(key(1))
    for process in processes:
        with pytest.raises(MethodError, match="TooManyAttempts"):
            await process.check(key(1))


async def test_moments_that_are_kept_are_bounded_and_count_for_longer_never_less(kit: Kit) -> None:
    lockout = Lockout(kit.store.sessions, 1_000, MINUTE, kit.clock)
    gaps = [5, 3, 100, 1] * (MOST_MOMENTS // 2)
    for gap in gaps:
        kit.clock.pass_(gap)
        await lockout.fail(key(1))
    kept = await kit.store.sessions.failures(key(1))
    assert kept is not None
    assert (len(kept.moments), kept.count) == (MOST_MOMENTS, len(gaps))
    assert kept.moments[-1][0] == kit.clock.now
    happened = list(accumulate(gaps, initial=START))[1:]
    for at in range(START, kit.clock.now, 50):
        counted = sum(many for moment, many in kept.moments if moment > at)
        assert sum(moment > at for moment in happened) <= counted <= sum(moment > at - 10 for moment in happened)


async def test_failures_that_an_earlier_version_counted_are_counted_on(kit: Kit, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "campana.db") as connection:
        row = (key(1), 2, kit.clock.now - 1, 0)
        connection.execute("INSERT INTO failures (key, count, first_at, locked_until) VALUES (?, ?, ?, ?)", row)
    lockout = Lockout(kit.store.sessions, 3, MINUTE, kit.clock)
    await lockout.fail(key(1))
    with pytest.raises(MethodError, match="TooManyAttempts"):
        await lockout.check(key(1))


async def test_a_success_of_an_unknown_key_writes_nothing(kit: Kit) -> None:
    lockout = Lockout(kit.store.sessions, 3, MINUTE, kit.clock)
    await lockout.succeed(key(1))
    assert await kit.store.sessions.failures(key(1)) is None


async def test_turns_are_taken_one_by_one_under_a_key_and_freely_under_others() -> None:
    turns, inside, most = Turns(), {b"a": 0, b"b": 0}, {b"a": 0, b"b": 0}
    meeting = asyncio.Barrier(2)

    async def work(name: bytes) -> None:
        async with turns.take(name):
            inside[name] += 1
            most[name] = max(most[name], inside[name])
            await meeting.wait()  # only ever passed by one of each key at the same time
            inside[name] -= 1

    await asyncio.wait_for(asyncio.gather(*(work(name) for name in (b"a", b"b") for _ in range(10))), 30)
    assert most == {b"a": 1, b"b": 1}
    assert turns._waiting == {}


async def test_who_gives_up_waiting_leaves_nothing_behind() -> None:
    turns = Turns()
    entered, leave = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        async with turns.take(b"a"):
            entered.set()
            await leave.wait()

    holding = asyncio.create_task(hold())
    await entered.wait()
    waiting = asyncio.create_task(hold())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    leave.set()
    await holding
    assert turns._waiting == {}
    await asyncio.wait_for(hold(), 30)
