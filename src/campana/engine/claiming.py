"""Bend 2: owns which chunk is leased next, and how many at a time.

Must not know how a lease is carried out. It takes chunks that wait and yields leases to its carrier.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from campana.bus.contract import Hint, News
from campana.domain.delivery import Medium
from campana.domain.moment import Clock
from campana.engine.alarm import Alarm
from campana.engine.limits import Way, Ways
from campana.engine.options import EngineOptions
from campana.engine.planning import Planner
from campana.engine.stranded import Stranded
from campana.storage.river import ClaimQuery, Lease, River
from campana.storage.store import StoreUnavailable
from campana.telemetry import Metrics

log = structlog.get_logger(__name__)

Carrier = Callable[[Lease], Awaitable[None]]
"""Carries a lease out to its end; never raises."""

PAUSE_MS = 1_000
"""How long to wait before asking a store again that could not answer."""

REMEMBERED = 10_000
"""Lanes of which is kept by which routes they go."""


class Claimer:
    """Leases chunks for as long as routes have room, each lease in a task of its own."""

    def __init__(self, river: River, ways: Ways, planner: Planner, options: EngineOptions, clock: Clock) -> None:
        self._river = river
        self._ways = ways
        self._planner = planner
        self._options = options
        self._clock = clock
        self._alarm = Alarm(clock, options.watch_ms)
        self._tasks: dict[asyncio.Task[None], Medium] = {}
        self._used: dict[tuple[int, Medium], set[str]] = {}
        self._stranded = Stranded(ways)

    def hear(self, hint: Hint) -> None:
        """A route came up, or a campaign may send again."""
        if hint.news is News.ROUTE:
            self._stranded.look()
        if hint.news is not News.CONTACTS:
            self._alarm.ring()

    def ring(self) -> None:
        """Chunks were cut, or a lease has ended."""
        self._alarm.ring()

    def remind(self, at: int) -> None:
        """A chunk may be claimed from that instant on."""
        self._alarm.set(at)

    def used(self, campaign: int, medium: Medium, way: Way) -> None:
        """A lane's deliveries go by this route: when it is full, the lane is passed over."""
        self._used.setdefault((campaign, medium), set()).add(way.name)
        if len(self._used) > REMEMBERED:
            self._used.pop(next(iter(self._used)))

    def stranded(self, chunk: int, medium: Medium) -> None:
        """No route that fits a chunk is up: it is passed over for a while."""
        self._alarm.set(self._stranded.add(chunk, medium, self._clock()))

    async def run(self, carrier: Carrier, metrics: Metrics) -> None:
        """Claim for ever; to be cancelled. Leases that are under way go on: see `finish`."""
        while True:
            try:
                await self._claim_all(carrier, metrics)
            except StoreUnavailable as error:
                log.warning("claiming.store_unavailable", reason=str(error))
                self._alarm.set(self._clock() + PAUSE_MS)
            await self._alarm.wait()

    async def finish(self, budget: float) -> bool:
        """Wait until all leases have ended, at most `budget` seconds; tell whether they have."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=budget)
        return not self._tasks

    async def _claim_all(self, carrier: Carrier, metrics: Metrics) -> None:
        while media := self._media_with_room():
            now = self._clock()
            lanes, chunks = tuple(self._full_lanes()), tuple(self._stranded.chunks(now))
            query = ClaimQuery(self._options.owner, media, now, now + self._options.lease_ms, lanes, chunks)
            claiming = asyncio.ensure_future(self._river.claim(query))
            try:
                lease = await asyncio.shield(claiming)
            except asyncio.CancelledError:
                # Where we stop meanwhile, the lease is there all the same: it is given back like the others.
                self._begin(await claiming, carrier, metrics)
                raise
            if lease is None:
                return
            self._begin(lease, carrier, metrics)

    def _begin(self, lease: Lease | None, carrier: Carrier, metrics: Metrics) -> None:
        if lease is None:
            return
        metrics.deliveries_claimed.add(lease.medium, by=len(lease.deliveries))
        self._planner.served(lease.campaign, lease.turn)
        task = asyncio.create_task(self._carry(carrier, lease), name=f"lease-{lease.chunk}")
        self._tasks[task] = lease.medium
        metrics.chunks_open.set(to=len(self._tasks))
        task.add_done_callback(lambda done: self._ended(done, metrics))

    async def _carry(self, carrier: Carrier, lease: Lease) -> None:
        await carrier(lease)

    def _ended(self, task: asyncio.Task[None], metrics: Metrics) -> None:
        del self._tasks[task]
        metrics.chunks_open.set(to=len(self._tasks))
        if not task.cancelled() and task.exception() is not None:
            log.error("lease.defect", exc_info=task.exception())
        self._alarm.ring()

    def _media_with_room(self) -> tuple[Medium, ...]:
        running = list(self._tasks.values())
        return tuple(
            medium
            for medium in Medium
            if running.count(medium) < sum(self._most(way) for way in self._ways.of(medium) if way.is_up)
        )

    def _most(self, way: Way) -> int:
        return way.most_leases(self._options.leases_per_route)

    def _full_lanes(self) -> list[tuple[int, int]]:
        """Lanes all of whose routes have as many leases as they may have."""
        full = {way.name for way in self._ways.all if way.leases >= self._most(way)}
        if not full:
            return []
        return [(campaign, int(medium)) for (campaign, medium), names in self._used.items() if names <= full]
