"""Bend 2: owns which chunk is leased next, and how many at a time.

Must not know how a lease is carried out. It takes chunks that wait and yields leases to its carrier.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from campana.bus.contract import Bus, Hint, News
from campana.domain.delivery import Medium
from campana.domain.moment import Clock
from campana.engine.alarm import Alarm
from campana.engine.limits import Way
from campana.engine.options import EngineOptions
from campana.engine.stranded import Stranded
from campana.engine.ways import Ways
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

ELSEWHERE_MS = 10_000
"""How long a lane that goes by routes of other processes is passed over, before it is looked at again."""

_WORTH_A_LOOK = frozenset({News.WORK, News.CAMPAIGN, News.ROUTE, News.MISSED})
"""What may mean that there is something to claim which could not be claimed before."""


class Claimer:
    """Leases chunks for as long as routes have room, each lease in a task of its own."""

    def __init__(self, river: River, ways: Ways, bus: Bus, options: EngineOptions, clock: Clock) -> None:
        self._river = river
        self._ways = ways
        self._bus = bus
        self._options = options
        self._clock = clock
        self._alarm = Alarm(clock, options.watch_ms)
        self._tasks: dict[asyncio.Task[None], Medium] = {}
        self._used: dict[tuple[int, Medium], set[str]] = {}
        self._stranded = Stranded(ways)
        self._elsewhere: dict[tuple[int, Medium], int] = {}

    def hear(self, hint: Hint) -> None:
        """A route came up, a campaign may send again, or chunks wait."""
        if hint.news is News.ROUTE:
            self._stranded.look()
        if hint.news in _WORTH_A_LOOK:
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
        """No route that fits a chunk is up here: it is passed over for a while."""
        self._alarm.set(self._stranded.add(chunk, medium, self._clock()))

    def goes_elsewhere(self, campaign: int, medium: Medium) -> None:
        """A lane goes by routes of other processes: it is passed over for a while."""
        until = self._clock() + ELSEWHERE_MS
        self._elsewhere.pop((campaign, medium), None)
        self._elsewhere[campaign, medium] = until
        self._alarm.set(until)
        if len(self._elsewhere) > REMEMBERED:
            self._elsewhere.pop(next(iter(self._elsewhere)))

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
            lanes = (*self._full_lanes(), *self._lanes_elsewhere(now))
            chunks = tuple(self._stranded.chunks(now))
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
        # The planner may be in another process.
        self._bus.tell(Hint(News.CLAIMED, lease.campaign, lease.turn))
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

    def _lanes_elsewhere(self, now: int) -> list[tuple[int, int]]:
        """Lanes that are left to other processes. Where the clock was set back, none is for longer than it was to."""
        passed = [lane for lane, until in self._elsewhere.items() if not now < until <= now + ELSEWHERE_MS]
        for lane in passed:
            del self._elsewhere[lane]
        return [(campaign, int(medium)) for campaign, medium in self._elsewhere]

    def _full_lanes(self) -> list[tuple[int, int]]:
        """Lanes all of whose routes have as many leases as they may have."""
        full = {way.name for way in self._ways.all if way.leases >= self._most(way)}
        if not full:
            return []
        return [(campaign, int(medium)) for (campaign, medium), names in self._used.items() if names <= full]
