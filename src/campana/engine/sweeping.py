"""Bend 7: owns what is cleared up behind others: lapsed leases, ended campaigns, idle sessions' room.

Must not know how anything is sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

import structlog

from campana.bus.contract import Hint, News
from campana.domain.delivery import Medium
from campana.domain.moment import Clock
from campana.engine.alarm import Alarm
from campana.engine.options import EngineOptions
from campana.storage.river import Lease, Moved, River, Rules
from campana.storage.store import StoreUnavailable
from campana.storage.tables import NEVER
from campana.telemetry import Metrics

log = structlog.get_logger(__name__)


class Sweeper:
    """Keeps this process's leases alive and ends those of dead ones."""

    def __init__(self, river: River, rules: Rules, options: EngineOptions, metrics: Metrics, clock: Clock) -> None:
        self._river = river
        self._rules = rules
        self._options = options
        self._metrics = metrics
        self._clock = clock
        self._endings = asyncio.Event()
        self._endings.set()
        self._alarm = Alarm(clock, options.lease_ms // 3)

    def hear(self, hint: Hint) -> None:
        """A campaign may have been deleted or cancelled."""
        if hint.news in (News.CAMPAIGN, News.MISSED):
            self._endings.set()

    async def take_over(self) -> list[Moved]:
        """At the start, where no other process can be alive: end whatever a dead one left."""
        return self._note(await self._river.sweep(NEVER, self._rules, self._clock()))

    async def keep_leases(self, carried: Mapping[int, Lease], told: Callable[[list[Moved]], None]) -> None:
        """Extend our leases (`carried`, by chunk), then end lapsed ones: three times in a lease's life.

        Ours come first: a process that was frozen wakes up with all its tasks at once, and must not take what its
        own senders are about to record for abandoned. To be cancelled.
        """
        while True:
            try:
                now = self._clock()
                await self._extend(list(carried.values()), now + self._options.lease_ms)
                told(self._note(await self._river.sweep(now, self._rules, now)))
                await self._measure(now)
            except StoreUnavailable as error:
                log.warning("sweeping.store_unavailable", reason=str(error))
            await self._alarm.wait()

    async def _extend(self, leases: Sequence[Lease], until: int) -> None:
        epochs = {lease.chunk: lease.epoch for lease in leases}
        kept = await self._river.heartbeat(self._options.owner, epochs, until)
        for lease in leases:
            # One that is lost sends no more; one that has ended meanwhile does not mind.
            lease.until = until if lease.chunk in kept else 0

    async def cancel_rest(self) -> None:
        """Cancel what waits of deleted and cancelled campaigns, portion by portion; to be cancelled."""
        while True:
            try:
                more = True
                while more:
                    more = await self._river.sweep_over(self._clock())
            except StoreUnavailable as error:
                log.warning("sweeping.store_unavailable", reason=str(error))
            try:
                async with asyncio.timeout(self._options.rescan_ms / 1_000):
                    await self._endings.wait()
            except TimeoutError:
                pass
            self._endings.clear()

    async def _measure(self, now: int) -> None:
        oldest = await self._river.oldest_due(now)
        for medium in Medium:
            self._metrics.queue_oldest_seconds.set(medium, to=max(0, now - oldest.get(medium, now)) / 1_000)

    def _note(self, moved: list[Moved]) -> list[Moved]:
        for one in moved:
            self._metrics.outcomes.add(one.medium, int(one.code))
        if moved:
            log.warning("sweeping.uncertain", deliveries=len(moved))
        return moved
