"""Bend 4: owns carrying a lease out: portion by portion, each marked before it leaves and recorded after.

Must not know tables or wires. It takes a lease; what became of it stands in the database when it returns.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import structlog

from campana.channels.contract import Parcel, Permit, Result
from campana.channels.errors import RefusedForNow, SendError, Throttled, Withdrawn
from campana.domain.delivery import Medium
from campana.domain.moment import Clock
from campana.domain.outcome import DeliveryCode
from campana.domain.retry import RetryRule
from campana.engine.gates import Gate, Gates, Passage
from campana.engine.limits import Way
from campana.engine.options import EngineOptions, retry_rule
from campana.engine.recording import Verdicts, judge
from campana.engine.rendering import Renderer
from campana.engine.ways import Choice, Ways
from campana.storage.river import ClaimedDelivery, Judged, Lease, LeaseLost, River, Step
from campana.storage.store import StoreUnavailable
from campana.telemetry import Metrics

T = TypeVar("T")

log = structlog.get_logger(__name__)

ROUTE_DOWN_MS = 1_000
THROTTLED_MS = 200
LONGEST_PAUSE = 2.0
"""Seconds between tries of a store that cannot answer."""


@dataclass(frozen=True, slots=True)
class Notices:
    """Whom the bend tells: that a lane uses a route, that no route that fits a chunk is up here, that a lane goes by
    routes of other processes alone, that a campaign's chunk waits again until an instant, that something of a campaign
    goes again at an instant."""

    lane_uses: Callable[[int, Medium, Way], None]
    stranded: Callable[[int, Medium], None]
    goes_elsewhere: Callable[[int, Medium], None]
    given_back: Callable[[int, int], None]
    goes_again: Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class _Portion:
    """Deliveries of a lease that have the same choice of a route."""

    lease: Lease
    choice: Choice


@dataclass(slots=True)
class _Course:
    """A lease on its way over one route."""

    lease: Lease
    way: Way
    passage: Passage
    rule: RetryRule
    judged: list[Judged]
    """What became of the last portion, and is not written yet."""
    waits_ms: int = 0


class Sender:
    """Carries leases out."""

    def __init__(self, river: River, gates: Gates, ways: Ways, options: EngineOptions, clock: Clock) -> None:
        self._river = river
        self._gates = gates
        self._ways = ways
        self._options = options
        self._clock = clock
        self._renderer = Renderer(river)
        self.carried: dict[int, Lease] = {}
        """Leases that are to be kept alive, by chunk. One whose carrying failed leaves it, so that it lapses."""

    async def carry(self, lease: Lease, notices: Notices, metrics: Metrics) -> None:
        """Carry a lease out to its end; one that was lost is left to its new owner."""
        self.carried[lease.chunk] = lease
        try:
            gate = await self._persist(partial(self._gates.enter, lease.campaign, lease.medium))
            try:
                portions = await self._sort(lease)
                if all(portion.choice.is_elsewhere for portion in portions):
                    notices.goes_elsewhere(lease.campaign, lease.medium)
                self.carried.update((portion.lease.chunk, portion.lease) for portion in portions)
                # Side by side: a slow route must not hold up what goes by another.
                await asyncio.gather(*(self._see_through(portion, gate, notices, metrics) for portion in portions))
            finally:
                self._gates.leave(lease.campaign, lease.medium)
        except LeaseLost:
            log.warning("lease.lost", chunk=lease.chunk, campaign=lease.campaign)
        finally:
            self.carried.pop(lease.chunk, None)

    async def _see_through(self, portion: _Portion, gate: Gate, notices: Notices, metrics: Metrics) -> None:
        """Carry a portion out, whatever happens to its siblings."""
        try:
            await self._carry_portion(portion, gate, notices, metrics)
        except LeaseLost:
            log.warning("lease.lost", chunk=portion.lease.chunk, campaign=portion.lease.campaign)
        except Exception:
            log.exception("lease.defect", chunk=portion.lease.chunk, campaign=portion.lease.campaign)
        finally:
            self.carried.pop(portion.lease.chunk, None)

    async def _sort(self, lease: Lease) -> list[_Portion]:
        """Choose each delivery's route. Nearly always that is one route for all; else the lease is split."""
        found = await self._persist(partial(self._gates.look, lease.campaign))
        account = found[0].account_id if found else ""
        for_all = self._ways.for_all(lease.medium, account)
        if for_all is not None:
            return [_Portion(lease, Choice(for_all))]
        choices: dict[tuple[str, bool, bool], Choice] = {}
        groups: dict[tuple[str, bool, bool], list[ClaimedDelivery]] = {}
        for delivery in lease.deliveries:
            choice = self._ways.choose(lease.medium, account, delivery.dial)
            key = (choice.way.name if choice.way else "", choice.is_elsewhere, choice.is_down)
            choices[key] = choice
            groups.setdefault(key, []).append(delivery)
        leases = (
            [lease]
            if len(groups) == 1
            else await self._persist(partial(self._river.split, lease, list(groups.values())))
        )
        return [_Portion(one, choice) for one, choice in zip(leases, choices.values(), strict=True)]

    async def _carry_portion(self, portion: _Portion, gate: Gate, notices: Notices, metrics: Metrics) -> None:
        lease, choice, way = portion.lease, portion.choice, portion.choice.way
        found = await self._persist(partial(self._gates.look, lease.campaign))
        if choice.is_down or choice.is_elsewhere:
            notices.stranded(lease.chunk, lease.medium)
        if found is None or choice.is_down:
            await self._release(lease, [], ROUTE_DOWN_MS, notices)
            return
        if choice.is_elsewhere:
            # Others may have it at once.
            await self._release(lease, [], 0, notices)
            return
        rule = retry_rule(self._options, found[0], lease.medium)
        if way is None:
            no_route: list[Result] = [RefusedForNow(DeliveryCode.NO_ROUTE) for _ in lease.deliveries]
            verdicts = judge(lease.deliveries, no_route, "", rule, self._clock())
            self._count(lease, verdicts.judged, metrics)
            await self._release(lease, verdicts.judged, 0, notices)
            return
        notices.lane_uses(lease.campaign, lease.medium, way)
        way.leases += 1
        try:
            course = _Course(lease, way, Passage(gate, gate.revision, lease), rule, [])
            await self._drain(course, notices, metrics)
            await self._release(lease, course.judged, course.waits_ms, notices)
        finally:
            way.leases -= 1

    async def _drain(self, course: _Course, notices: Notices, metrics: Metrics) -> None:
        """Send portion after portion until all have left, or nothing more may leave."""
        lease, way = course.lease, course.way
        done = 0
        while done < len(lease.deliveries):
            if course.judged and way.makes_wait(self._clock()):
                # What is known stays unwritten no longer than writing takes.
                await self._step(course, (), notices)
            wanted = min(self._options.flush_size, len(lease.deliveries) - done)
            grant = await way.grant(wanted, course.passage, self._clock)
            if grant is None:
                return
            portion = lease.deliveries[done : done + grant.count]
            try:
                withdrawn = await self._step(course, portion, notices)
                leaving = [one for one in portion if one.id not in withdrawn]
                verdicts = await self._send(course, leaving, grant.permit, metrics)
                grant.hold(verdicts.judged)
            finally:
                grant.close()
            course.judged = verdicts.judged
            self._count(lease, verdicts.judged, metrics)
            done += len(portion)
            if verdicts.never_left:
                course.waits_ms = self._after(way, verdicts.never_left)
                return

    async def _step(self, course: _Course, upcoming: Sequence[ClaimedDelivery], notices: Notices) -> frozenset[int]:
        """Record what is judged and move the mark; tell what of the upcoming must not leave after all."""
        step = Step(course.lease, course.judged, [delivery.id for delivery in upcoming], self._clock())
        withdrawn = await self._persist(partial(self._river.step, step))
        _tell(step, notices)
        course.judged = []
        return withdrawn

    async def _send(
        self, course: _Course, deliveries: Sequence[ClaimedDelivery], permit: Permit, metrics: Metrics
    ) -> Verdicts:
        rendered = await self._persist(partial(self._renderer.render, course.lease, course.way, deliveries))
        parcels = [one for one in rendered if isinstance(one, Parcel)]
        started = time.perf_counter()
        sent = iter(await course.way.route.send(parcels, permit) if parcels else ())
        metrics.send_seconds.observe(course.way.name, seconds=time.perf_counter() - started)
        metrics.attempts_sent.add(course.lease.medium, course.way.name, by=len(parcels))
        results = [one if isinstance(one, SendError) else next(sent) for one in rendered]
        return judge(deliveries, results, course.way.name, course.rule, self._clock())

    def _after(self, way: Way, never_left: Sequence[SendError]) -> int:
        """Tell how long the rest of a chunk waits, by the first reason for which something did not leave."""
        if any(isinstance(error, Throttled) for error in never_left):
            way.slow_down(self._clock())
            return THROTTLED_MS
        if all(isinstance(error, Withdrawn) for error in never_left):
            return 0
        return ROUTE_DOWN_MS

    def _count(self, lease: Lease, judged: Sequence[Judged], metrics: Metrics) -> None:
        counts: dict[int, int] = {}
        for one in judged:
            counts[one.change.code] = counts.get(one.change.code, 0) + 1
        for code, count in counts.items():
            metrics.outcomes.add(lease.medium, int(code), by=count)

    async def _release(self, lease: Lease, judged: Sequence[Judged], waits_ms: int, notices: Notices) -> None:
        opens_at = self._clock() + waits_ms if waits_ms else 0
        step = Step(lease, judged, (), self._clock())
        waits_again = await self._persist(partial(self._river.release, step, opens_at))
        _tell(step, notices)
        if waits_again:
            notices.given_back(lease.campaign, opens_at)

    async def _persist(self, write: Callable[[], Awaitable[T]]) -> T:
        """Write, however long the store takes to come back: what has left must be told. Raises LeaseLost."""
        pause = 0.05
        while True:
            try:
                return await write()
            except StoreUnavailable as error:
                log.warning("recording.store_unavailable", reason=str(error))
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)


def _tell(step: Step, notices: Notices) -> None:
    """Say when what was recorded goes again. Not before it is recorded: who looks then must find it."""
    for one in step.judged:
        if one.change.retry_at is not None:
            notices.goes_again(step.lease.campaign, one.change.retry_at)
