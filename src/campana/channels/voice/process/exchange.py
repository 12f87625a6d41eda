"""Owns all calls of a media process: how many there may be, how fast they are set up, and how they end together.

Must not know what happens in a call.
"""

from __future__ import annotations

import asyncio
from typing import Final

from campana.channels.voice.process.call import Call, Equipment
from campana.channels.voice.process.frames import Dial, Settled, Settling

SETUP_INTERVAL: Final = 0.02
"""Seconds between the preparations of two calls: a burst of them would make the sound of the others late."""
FAREWELL_INTERVAL: Final = 0.005
"""Seconds between two calls that are hung up because all are, for the same reason."""
FAREWELL_SPREAD: Final = 1.0
"""Seconds over which all of them are spread at most."""


class Exchange:
    """The calls of a process, by the main process's numbers."""

    def __init__(self, equipment: Equipment) -> None:
        self._equipment = equipment
        self._loop = asyncio.get_running_loop()
        self._calls: dict[int, Call] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._next_setup = 0.0
        self._idle = asyncio.Event()
        self._idle.set()
        self._hurried = asyncio.Event()
        self._closed = False

    @property
    def count(self) -> int:
        """Calls that are being prepared or are up."""
        return len(self._calls)

    def dial(self, dial: Dial) -> None:
        """Begin a call as soon as it is its turn."""
        if self._closed:
            self._equipment.tell(Settled(dial.call, Settling.WITHDRAWN))
        elif len(self._calls) >= self._equipment.settings.calls or dial.call in self._calls:
            self._equipment.tell(Settled(dial.call, Settling.THROTTLED, None, "All lines of the route are in use."))
        else:
            self._idle.clear()
            call = self._calls[dial.call] = Call(dial, self._equipment, self._over)
            task = asyncio.create_task(self._place(call))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def answer(self, number: int, go: bool) -> None:
        """The main process says whether a prepared call may leave."""
        call = self._calls.get(number)
        if call is not None:
            call.answer(go)

    async def finish(self, grace: float, farewell: float) -> None:
        """Take no more calls; hang up those that are left after `grace` seconds, and wait `farewell` for their ends.

        Calls that the other side does not let end are told of as they are.
        """
        self._closed = True
        await self._wait_grace(grace)
        calls = list(self._calls.values())
        interval = min(FAREWELL_INTERVAL, FAREWELL_SPREAD / max(1, len(calls)))
        for call in calls:
            call.give_up()
            await asyncio.sleep(interval)
        await self._wait_idle(farewell)
        for call in list(self._calls.values()):
            call.abandon()

    def hurry(self) -> None:
        """Let no grace go on."""
        self._hurried.set()

    async def _place(self, call: Call) -> None:
        now = self._loop.time()
        self._next_setup = max(now, self._next_setup) + SETUP_INTERVAL
        if self._next_setup - now > SETUP_INTERVAL:
            await asyncio.sleep(self._next_setup - now - SETUP_INTERVAL)
        await call.place()

    async def _wait_grace(self, seconds: float) -> None:
        waiting = [asyncio.create_task(event.wait()) for event in (self._idle, self._hurried)]
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for one in waiting:
            one.cancel()

    async def _wait_idle(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            return

    def _over(self, call: Call) -> None:
        self._calls.pop(call.number, None)
        if not self._calls:
            self._idle.set()
