"""Owns the pace of a route that several processes use: what this one may send of what all may.

Must not know the rule (domain/sharing.py), nor how a message is sent. What was granted and has left is told with the
next question, or a moment later.
"""

from __future__ import annotations

import asyncio
from functools import partial

import structlog

from campana.domain.moment import Clock
from campana.domain.sharing import Answer, Ask, RouteState, pace
from campana.storage.cluster import Cluster
from campana.storage.store import StoreUnavailable

log = structlog.get_logger(__name__)

TELL_SECONDS = 0.05
"""How long to wait for a question with which to tell what has left."""


class CommonPace:
    """A route's pace among several processes. Whoever is granted messages tells of each what became of it."""

    def __init__(self, cluster: Cluster, route: str, rate: float, owner: str, clock: Clock) -> None:
        self._cluster = cluster
        self._route = route
        self._rate = rate
        self._owner = owner
        self._clock = clock
        self._left: dict[int, int] = {}
        self._unspent = 0
        self._throttled = False
        self._turn = asyncio.Lock()
        self._telling: asyncio.Task[None] | None = None

    async def grant(self, wanted: int) -> Answer:
        """Ask for up to `wanted` messages. Raises StoreUnavailable; then nothing is granted."""
        async with self._turn:
            return await self._ask(wanted)

    def left(self, count: int, now: int) -> None:
        """Note that granted messages leave at `now`."""
        self._left[now] = self._left.get(now, 0) + count

    def moved(self, at: int, now: int) -> None:
        """Note that what was told to leave at `at` leaves at `now`, or its rest does."""
        self.left(-1, at)
        self.left(1, now)

    def give_back(self, unused: int) -> None:
        """A grant has ended, and so many of its messages did not leave: all of it is told soon."""
        self._unspent += unused
        self._tell_soon()

    def slow_down(self) -> None:
        """The carrier throttled us: everybody's pace is halved."""
        self._throttled = True
        self._tell_soon()

    async def close(self) -> None:
        """Tell what is untold."""
        if self._telling is not None:
            self._telling.cancel()
        try:
            await self._tell()
        except StoreUnavailable as error:
            log.warning("limits.store_unavailable", route=self._route, reason=str(error))

    async def _ask(self, wanted: int) -> Answer:
        left, self._left = self._left, {}
        unspent, self._unspent = self._unspent, 0
        throttled, self._throttled = self._throttled, False
        ask = Ask(self._owner, wanted, tuple(sorted(left.items())), unspent, throttled)
        try:
            return await self._cluster.share(self._route, partial(_pace, self._rate, ask))
        except BaseException:
            for at, count in left.items():
                self.left(count, at)
            self._unspent += unspent
            self._throttled |= throttled
            raise

    def _tell_soon(self) -> None:
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._tell_later())

    async def _tell_later(self) -> None:
        await asyncio.sleep(TELL_SECONDS)
        while True:
            try:
                return await self._tell()
            except StoreUnavailable as error:
                # Until it is told, what was granted counts for us, and after a while as sent.
                log.warning("limits.store_unavailable", route=self._route, reason=str(error))
                await asyncio.sleep(1)

    async def _tell(self) -> None:
        async with self._turn:
            if self._left or self._unspent or self._throttled:
                await self._ask(0)


def _pace(rate: float, ask: Ask, state: RouteState, now: int) -> Answer:
    return pace(state, rate, ask, now)
