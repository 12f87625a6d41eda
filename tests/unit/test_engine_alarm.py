"""The alarm in which loops sleep: a hint, a moment, or a while, whichever comes first."""

from __future__ import annotations

import asyncio
import tracemalloc

from engine_kit import START, HandClock

from campana.engine.alarm import Alarm


async def sleeping(alarm: Alarm) -> asyncio.Task[None]:
    """A loop that has gone to sleep."""
    task = asyncio.create_task(alarm.wait())
    await asyncio.sleep(0)
    return task


async def test_a_ring_wakes() -> None:
    alarm = Alarm(HandClock(), 3_600_000)
    task = await sleeping(alarm)
    assert not task.done()
    alarm.ring()
    await asyncio.wait_for(task, 5)


async def test_a_ring_before_the_sleep_is_not_lost() -> None:
    alarm = Alarm(HandClock(), 3_600_000)
    alarm.ring()
    alarm.ring()
    await asyncio.wait_for(alarm.wait(), 5)
    task = await sleeping(alarm)
    assert not task.done(), "two rings are one"
    task.cancel()


async def test_a_moment_that_has_come_does_not_let_sleep() -> None:
    clock = HandClock()
    alarm = Alarm(clock, 3_600_000)
    alarm.set(START + 1_000_000)
    alarm.set(START + 2_000_000)
    clock.now += 2_000_000
    await asyncio.wait_for(alarm.wait(), 5)
    task = await sleeping(alarm)
    assert not task.done(), "moments that have come are gone"
    task.cancel()


async def test_an_earlier_moment_wakes_who_sleeps_for_a_later_one() -> None:
    clock = HandClock()
    alarm = Alarm(clock, 3_600_000)
    alarm.set(START + 2_000_000)
    task = await sleeping(alarm)
    alarm.set(START + 10)
    await asyncio.wait_for(task, 5)
    clock.now += 10
    await asyncio.wait_for(alarm.wait(), 5)


async def test_a_later_moment_wakes_nobody() -> None:
    alarm = Alarm(HandClock(), 3_600_000)
    alarm.set(START + 1_000_000)
    alarm.ring()
    await alarm.wait()
    task = await sleeping(alarm)
    alarm.set(START + 2_000_000)
    await asyncio.sleep(0)
    assert not task.done()
    task.cancel()


async def test_it_never_sleeps_longer_than_it_may() -> None:
    await asyncio.wait_for(Alarm(HandClock(), 20).wait(), 5)


async def test_a_moment_that_is_set_again_and_again_takes_room_once() -> None:
    """The close of a window is set anew whenever something before it has come."""
    clock = HandClock()
    alarm = Alarm(clock, 3_600_000)
    far = START + 36_000_000
    tracemalloc.start()
    try:
        for _ in range(20_000):
            clock.now += 10
            alarm.set(clock.now)
            alarm.set(far)
            await alarm.wait()
            await asyncio.sleep(0)  # the loop clears away its timers meanwhile
        assert tracemalloc.get_traced_memory()[0] < 50_000
    finally:
        tracemalloc.stop()
