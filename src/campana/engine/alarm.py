"""Owns waiting: for a hint, for a moment, or for a while, whichever comes first.

Must not know what is waited for. Loops of the engine sleep in an Alarm; whoever has news for them rings it.
"""

from __future__ import annotations

import asyncio
import heapq

from campana.domain.moment import Clock


class Alarm:
    """Wakes one loop at hints and at set moments. A moved clock is noticed within `longest_ms`."""

    def __init__(self, clock: Clock, longest_ms: int) -> None:
        self._clock = clock
        self._longest = longest_ms
        self._rung = asyncio.Event()
        self._moments: list[int] = []
        self._known: set[int] = set()

    def ring(self) -> None:
        """Wake the loop now."""
        self._rung.set()

    def set(self, at: int) -> None:
        """Wake the loop at an instant (epoch milliseconds)."""
        if at in self._known or (self._moments and self._moments[0] <= at <= self._moments[0] + 1):
            return
        self._known.add(at)
        heapq.heappush(self._moments, at)
        if self._moments[0] == at:
            self._rung.set()

    async def wait(self) -> None:
        """Sleep until the alarm rings or the next set moment has come."""
        now = self._clock()
        if self._pass(now):
            self._rung.set()
        until = min(self._moments[0] - now, self._longest) if self._moments else self._longest
        try:
            async with asyncio.timeout(until / 1_000):
                await self._rung.wait()
        except TimeoutError:
            pass
        self._rung.clear()
        self._pass(self._clock())

    def _pass(self, now: int) -> bool:
        """Forget the moments that have come; tell whether there were any."""
        passed = False
        while self._moments and self._moments[0] <= now:
            self._known.discard(heapq.heappop(self._moments))
            passed = True
        return passed
