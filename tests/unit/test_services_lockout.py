"""The counting of failures and the taking of turns, where the tests of sessions do not reach."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from services_kit import Kit, open_kit

from campana.domain.errors import MethodError
from campana.domain.moment import MINUTE
from campana.services.lockout import Lockout, Turns


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
    for _ in range(5):
        await lockout.fail(key(1))
    with pytest.raises(MethodError, match="TooManyAttempts"):
        await lockout.check(key(1))


async def test_what_is_remembered_is_bounded_and_the_store_keeps_the_count(kit: Kit) -> None:
    lockout = Lockout(kit.store.sessions, 3, MINUTE, kit.clock, remembered=4)
    for _ in range(2):
        for number in range(20):
            await lockout.fail(key(number))
    assert len(lockout._moments) == 4
    await lockout.fail(key(0))
    with pytest.raises(MethodError, match="TooManyAttempts"):
        await lockout.check(key(0))


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
