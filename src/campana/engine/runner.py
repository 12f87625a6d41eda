"""Owns the life of the river in one process: which bend starts when, and how all of it stops.

Must not know what a bend does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from campana.bus.contract import Bus, Hint, News
from campana.bus.endpoints import Outlet
from campana.channels.contract import Health, Route
from campana.channels.settings import RouteSettings
from campana.domain.delivery import Medium
from campana.domain.moment import MINUTE, Clock
from campana.domain.retry import RetryRule
from campana.engine.auditing import Auditor
from campana.engine.budgets import CommonPace
from campana.engine.claiming import Claimer
from campana.engine.duties import Duty
from campana.engine.gates import Gates
from campana.engine.membership import Membership
from campana.engine.options import EngineOptions, Tools, retry_rule
from campana.engine.planning import Planner
from campana.engine.publishing import Publisher
from campana.engine.receipts import Asker, Mailroom
from campana.engine.retention import Remover
from campana.engine.sending import Notices, Sender
from campana.engine.shares import Shares
from campana.engine.sweeping import Sweeper
from campana.engine.telling import Teller
from campana.engine.ways import FarRoute, Ways
from campana.storage.cluster import Cluster
from campana.storage.progress import Progress
from campana.storage.publications import Publications
from campana.storage.retention import Retention
from campana.storage.river import LateNews, Lease, Moved, River
from campana.storage.store import CampaignRow, Campaigns
from campana.storage.tables import NEVER

log = structlog.get_logger(__name__)

OVERDUE_DUTY_MS = MINUTE
"""How long one process asks about a route's overdue messages before others may."""

REMOVAL_DUTY_MS = MINUTE
"""How long after its last word the process that removes old data has that to itself."""

AUDIT_DUTY_MS = MINUTE
"""How long after its last word the process that audits has that to itself."""

RESTART_SECONDS = 1.0
"""How long a bend rests after a defect, before it goes on."""

LEAST_SECONDS = 0.5
"""For recording what the routes' goodbyes brought, even where that took the whole budget."""


class EngineStore(Protocol):
    """The parts of a store that the engine uses."""

    @property
    def campaigns(self) -> Campaigns: ...

    @property
    def river(self) -> River: ...

    @property
    def receipts(self) -> LateNews: ...

    @property
    def retention(self) -> Retention: ...

    @property
    def progress(self) -> Progress: ...

    @property
    def publications(self) -> Publications: ...


@dataclass(frozen=True, slots=True)
class Together:
    """What the engine of one process among several has: the others, and the routes that only they run."""

    cluster: Cluster
    membership: Membership
    far: Sequence[FarRoute] = ()


class Engine:
    """The river. `start` it in a running loop; `stop` it once."""

    def __init__(
        self,
        store: EngineStore,
        routes: Sequence[tuple[Route, RouteSettings]],
        bus: Bus,
        options: EngineOptions,
        tools: Tools,
        *,
        together: Together | None = None,
        outlet: Outlet | None = None,
    ) -> None:
        """Without `together`, no other process works on the store: whatever is leased at the start was left by a dead
        one. Without `outlet`, no endpoint is told anything."""
        self._bus = bus
        self._options = options
        self._metrics = tools.metrics
        clock = tools.clock
        self._together = together
        self._ways = _ways(routes, together, options, clock)
        self._gates = Gates(store.campaigns, clock)
        cluster = None if together is None else together.cluster
        duty = Duty(cluster, "planning", options.owner, clock)
        self._planner = Planner(store.river, self._gates, self._ways, options, duty=duty, tools=tools)
        self._claimer = Claimer(store.river, self._ways, bus, options, clock)
        self._sender = Sender(store.river, self._gates, self._ways, options, clock)
        self._sweeper = Sweeper(store.river, self._rule, options, tools.metrics, clock)
        self.mailroom = Mailroom(store.receipts, self._rule, bus, tools.metrics, clock)
        self.mailroom.lines = self._ways.lines

        def duty_of(route: str) -> Duty:
            return Duty(cluster, f"overdue:{route}", options.owner, clock, OVERDUE_DUTY_MS)

        removal = Duty(cluster, "retention", options.owner, clock, REMOVAL_DUTY_MS)
        self._remover = Remover(store.retention, bus, options.retention, duty=removal, clock=clock)
        self._asker = Asker(store.river, store.receipts, self._ways, self.mailroom, duty_of=duty_of, clock=clock)
        publishing = Duty(cluster, "publishing", options.owner, clock)
        self._teller = Teller(
            store.progress,
            store.retention,
            self._gates,
            bus=bus,
            duty=publishing,
            tools=tools,
            rescan_ms=options.rescan_ms,
        )
        self._publisher = (
            None
            if outlet is None
            else Publisher(store.publications, store.progress, store.campaigns, outlet, duty=publishing, tools=tools)
        )
        auditing = Duty(cluster, "auditing", options.owner, clock, AUDIT_DUTY_MS)
        self._auditor = Auditor(store.progress, bus, auditing, tools)
        self._notices = Notices(
            self._claimer.used, self._claimer.stranded, self._claimer.goes_elsewhere, self._given_back, self._due
        )
        self._shares = (
            None if together is None else Shares(together.cluster, together.membership, self._ways, bus, tools)
        )
        self._tasks: list[asyncio.Task[None]] = []
        self._refreshing: set[asyncio.Task[None]] = set()
        self._end_listening = bus.listen(self._hear)

    async def start(self) -> None:
        """Clear up after a dead process, start the routes, then let the river flow."""
        if self._together is None:
            self._goes_again(await self._sweeper.take_over())
            await self._asker.settle_dead_calls(self._rule)
        if self._shares is not None:
            await self._shares.settle()
            self._spawn("shares", self._shares.keep)
        for way in self._ways.all:
            await way.route.start(self.mailroom)
        self._spawn("planning", lambda: self._planner.run(lambda: self._bus.tell(Hint(News.WORK))))
        self._spawn("claiming", lambda: self._claimer.run(self._carry, self._metrics))
        self._spawn("leases", lambda: self._sweeper.keep_leases(self._sender.carried, self._goes_again))
        self._spawn("deletions", self._sweeper.cancel_rest)
        self._spawn("early-receipts", self.mailroom.settle_for_ever)
        self._spawn("overdue-receipts", lambda: self._asker.ask_for_ever(self._rule))
        self._spawn("retention", self._remover.remove_for_ever)
        self._spawn("watching", self._watch)
        self._spawn("auditing", self._auditor.audit_for_ever)
        if self._publisher is None:
            self._spawn("telling", lambda: self._teller.run(lambda row, changed: None))
        else:
            publisher = self._publisher
            self._spawn("telling", lambda: self._teller.run(publisher.call))
            self._spawn("publishing", publisher.run)

    async def stop(self, budget: float) -> None:
        """No new chunks; what is in flight is recorded; routes say goodbye. Within `budget` seconds."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + budget
        self._end_listening()
        # First the gates, so that a chunk that is just being claimed goes back at once.
        self._gates.stop()
        keep = {"leases", "shares"}
        await self._end([task for task in self._tasks if task.get_name() not in keep])
        await self._claimer.finish(budget * 0.7)
        left = max(0.1, (deadline - loop.time()) * 0.8)
        await asyncio.gather(*(way.route.stop(left) for way in self._ways.all), return_exceptions=True)
        # A route that has stopped has told of everything: what came with the goodbye is to be recorded as well.
        if not await self._claimer.finish(max(LEAST_SECONDS, deadline - loop.time())):
            log.warning("engine.stopped_with_leases")
        await self._end(self._tasks)
        for way in self._ways.all:
            if way.common is not None:
                await way.common.close()

    async def bury(self, owner: str) -> None:
        """Settle what a dead process has left but its leases, which end by themselves. Raises StoreUnavailable."""
        await self._asker.settle_calls_of(mark_of(owner), self._rule)

    def health(self) -> dict[str, str]:
        """The health of each route, for others."""
        return {way.name: way.route.state.health.value for way in self._ways.all}

    def routes(self) -> dict[str, dict[str, str]]:
        """How each route is: health and reason."""
        return {
            way.name: {"health": way.route.state.health.value, "reason": way.route.state.reason}
            for way in self._ways.all
        }

    async def _carry(self, lease: Lease) -> None:
        await self._sender.carry(lease, self._notices, self._metrics)

    def _given_back(self, campaign: int, opens_at: int) -> None:
        """A chunk waits again: perhaps in another window than the one with which it was cut."""
        self._due(campaign, 0)
        self._claimer.remind(opens_at)
        if not opens_at:
            self._bus.tell(Hint(News.WORK))

    def _due(self, campaign: int, at: int) -> None:
        if at < NEVER:
            self._bus.tell(Hint(News.DUE, campaign, at))

    def _rule(self, campaign: CampaignRow, medium: Medium) -> RetryRule:
        return retry_rule(self._options, campaign, medium)

    def _goes_again(self, moved: list[Moved]) -> None:
        for campaign in {one.campaign for one in moved}:
            self._due(campaign, 0)

    def _hear(self, hint: Hint) -> None:
        self._planner.hear(hint)
        self._claimer.hear(hint)
        self._sweeper.hear(hint)
        self._teller.hear(hint)
        if self._shares is not None:
            self._shares.hear(hint)
        if self._gates.concerns(hint):
            task = asyncio.ensure_future(self._gates.refresh(hint.number or None))
            self._refreshing.add(task)
            task.add_done_callback(self._refreshing.discard)

    async def _watch(self) -> None:
        """Look at what is being sent every second, should a hint have been lost; to be cancelled."""
        while True:
            await self._gates.refresh()
            for way in self._ways.all:
                self._metrics.route_up.set(way.name, to=float(way.route.state.health is Health.UP))
                for figure, value in way.route.state.figures.items():
                    self._metrics.route_figure.set(way.name, figure, to=value)
            await asyncio.sleep(self._options.watch_ms / 1_000)

    def _spawn(self, name: str, bend: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._tasks.append(asyncio.create_task(_lasting(name, bend), name=name))

    async def _end(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def mark_of(owner: str) -> str:
    """The mark of a process with which the ids of its calls begin: the last part of its name."""
    return owner.rpartition("-")[2]


def _ways(
    routes: Sequence[tuple[Route, RouteSettings]], together: Together | None, options: EngineOptions, clock: Clock
) -> Ways:
    if together is None:
        return Ways(routes)
    ways = Ways(routes, together.far, together.membership)
    for way in ways.all:
        if way.settings.rate is not None:
            way.common = CommonPace(together.cluster, way.name, way.settings.rate, options.owner, clock)
    return ways


async def _lasting(name: str, bend: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a bend for ever: a defect is logged, and the bend goes on after a rest."""
    while True:
        try:
            await bend()
        except Exception:
            log.exception("engine.defect", bend=name)
        await asyncio.sleep(RESTART_SECONDS)
