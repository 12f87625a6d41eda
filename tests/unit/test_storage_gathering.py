"""Work that is shared among those who wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from campana.storage.postgres.gathering import MOST_AT_ONCE, MOST_WAITING, Gathering, SharedReads
from campana.storage.store import Conflict, StoreUnavailable


class Gate:
    """Work that tells what it was called with, and ends when it may."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.open = asyncio.Event()
        self.called = asyncio.Event()

    async def work(self, items: Sequence[int]) -> list[int | Exception]:
        self.calls.append(list(items))
        self.called.set()
        await self.open.wait()
        return [Conflict("odd") if item % 2 else item * 10 for item in items]


async def put(gathering: Gathering[int, int], *items: int) -> list[asyncio.Task[int]]:
    """Have items wait; they do when this returns."""
    tasks = [asyncio.create_task(gathering.put(item)) for item in items]
    await asyncio.sleep(0)
    return tasks


async def test_what_comes_while_one_call_runs_shares_the_next() -> None:
    gate = Gate()
    gathering = Gathering(gate.work)
    first = await put(gathering, 2)
    await gate.called.wait()
    rest = await put(gathering, 4, 6, 7)
    assert not gathering.is_idle
    gate.open.set()
    answers = await asyncio.gather(*first, *rest, return_exceptions=True)
    assert gate.calls == [[2], [4, 6, 7]]
    assert answers[:3] == [20, 40, 60]
    assert isinstance(answers[3], Conflict)
    await gathering.finish()
    assert gathering.is_idle


async def test_what_the_work_raises_is_told_to_all_and_the_next_call_goes_on() -> None:
    calls: list[int] = []

    async def fail_once(items: Sequence[int]) -> list[int]:
        calls.append(len(items))
        if len(calls) == 1:
            raise StoreUnavailable("gone")
        return list(items)

    gathering = Gathering(fail_once)
    answers = await asyncio.gather(*await put(gathering, 1, 2, 3), return_exceptions=True)
    assert [type(answer) for answer in answers] == [StoreUnavailable] * 3
    assert await gathering.put(4) == 4
    assert calls == [3, 1]


async def test_who_went_away_takes_nobody_along() -> None:
    gate = Gate()
    gathering = Gathering(gate.work)
    gone, stays = await put(gathering, 2, 4)
    await gate.called.wait()
    gone.cancel()
    gate.open.set()
    assert await stays == 40
    with pytest.raises(asyncio.CancelledError):
        await gone


async def test_a_call_has_its_limit_and_so_has_the_queue() -> None:
    gate = Gate()
    gathering = Gathering(gate.work)
    first = await put(gathering, 0)
    await gate.called.wait()
    waiting = await put(gathering, *range(0, 2 * MOST_WAITING, 2))
    with pytest.raises(StoreUnavailable):
        await gathering.put(1)
    gate.open.set()
    await asyncio.gather(*first, *waiting)
    assert max(len(call) for call in gate.calls) == MOST_AT_ONCE


async def test_a_read_is_shared_by_those_who_asked_before_it_began() -> None:
    reads, begun, may_end = SharedReads(), 0, asyncio.Event()

    async def read() -> int:
        nonlocal begun
        begun += 1
        mine = begun
        await may_end.wait()
        return mine

    tasks = []
    for _ in range(4):
        tasks.append(asyncio.create_task(reads.read("session", read)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    other = asyncio.create_task(reads.read("another", read))
    await asyncio.sleep(0)
    may_end.set()
    # The first read had begun when the others asked: they may have written since, and get one that began later.
    assert await asyncio.gather(*tasks) == [1, 3, 3, 3]
    assert await other == 2
    assert await reads.read("session", read) == 4


async def test_a_read_that_fails_fails_for_those_who_shared_it_alone() -> None:
    reads = SharedReads()

    async def fail() -> int:
        raise StoreUnavailable("gone")

    async def read() -> int:
        return 7

    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await reads.read("session", fail)
    assert await reads.read("session", read) == 7
