"""Owns the life of the river in one process: which bend starts when, and how all of it stops.

Must not know what a bend does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from campana.bus.contract import Bus, Hint
from campana.channels.contract import Health, Route
from campana.channels.settings import RouteSettings
from campana.domain.delivery import Medium
from campana.domain.moment import Clock
from campana.domain.retry import RetryRule
from campana.engine.claiming import Claimer
from campana.engine.gates import Gates
from campana.engine.limits import Ways
from campana.engine.options import EngineOptions, retry_rule
from campana.engine.planning import Planner
from campana.engine.receipts import Asker, Mailroom
from campana.engine.sending import Notices, Sender
from campana.engine.sweeping import Sweeper
from campana.storage.river import LateNews, Lease, Moved, River
from campana.storage.store import CampaignRow, Campaigns
from campana.telemetry import Metrics

log = structlog.get_logger(__name__)

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


@dataclass(frozen=True, slots=True)
class Tools:
    """What the engine measures time and itself with."""

    clock: Clock
    metrics: Metrics


class Engine:
    """The river. `start` it in a running loop; `stop` it once."""

    def __init__(
        self,
        store: EngineStore,
        routes: Sequence[tuple[Route, RouteSettings]],
        bus: Bus,
        options: EngineOptions,
        tools: Tools,
    ) -> None:
        self._bus = bus
        self._options = options
        self._metrics = tools.metrics
        clock = tools.clock
        self._ways = Ways(routes)
        self._gates = Gates(store.campaigns, clock)
        self._planner = Planner(store.river, self._gates, self._ways, options, clock)
        self._claimer = Claimer(store.river, self._ways, self._planner, options, clock)
        self._sender = Sender(store.river, self._gates, self._ways, options, clock)
        self._sweeper = Sweeper(store.river, self._rule, options, tools.metrics, clock)
        self.mailroom = Mailroom(store.receipts, self._rule, bus, tools.metrics, clock)
        self.mailroom.lines = self._ways.lines
        self._asker = Asker(store.river, store.receipts, self._ways, self.mailroom, clock)
        self._notices = Notices(self._claimer.used, self._claimer.stranded, self._given_back, self._planner.remind)
        self._tasks: list[asyncio.Task[None]] = []
        self._refreshing: set[asyncio.Task[None]] = set()
        self._end_listening = bus.listen(self._hear)

    async def start(self) -> None:
        """Clear up after a dead process, start the routes, then let the river flow."""
        if self._options.exclusive:
            self._goes_again(await self._sweeper.take_over())
            await self._asker.settle_dead_calls(self._rule)
        for way in self._ways.all:
            await way.route.start(self.mailroom)
        self._spawn("planning", lambda: self._planner.run(self._claimer.ring))
        self._spawn("claiming", lambda: self._claimer.run(self._carry, self._metrics))
        self._spawn("leases", lambda: self._sweeper.keep_leases(self._sender.carried, self._goes_again))
        self._spawn("deletions", self._sweeper.cancel_deleted)
        self._spawn("early-receipts", self.mailroom.settle_for_ever)
        self._spawn("overdue-receipts", lambda: self._asker.ask_for_ever(self._rule))
        self._spawn("watching", self._watch)

    async def stop(self, budget: float) -> None:
        """No new chunks; what is in flight is recorded; routes say goodbye. Within `budget` seconds."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + budget
        self._end_listening()
        # First the gates, so that a chunk that is just being claimed goes back at once.
        self._gates.stop()
        keep = {"leases"}
        await self._end([task for task in self._tasks if task.get_name() not in keep])
        await self._claimer.finish(budget * 0.7)
        left = max(0.1, (deadline - loop.time()) * 0.8)
        await asyncio.gather(*(way.route.stop(left) for way in self._ways.all), return_exceptions=True)
        # A route that has stopped has told of everything: what came with the goodbye is to be recorded as well.
        if not await self._claimer.finish(max(LEAST_SECONDS, deadline - loop.time())):
            log.warning("engine.stopped_with_leases")
        await self._end(self._tasks)

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
        self._planner.remind(campaign, 0)
        self._claimer.remind(opens_at)

    def _rule(self, campaign: CampaignRow, medium: Medium) -> RetryRule:
        return retry_rule(self._options, campaign, medium)

    def _goes_again(self, moved: list[Moved]) -> None:
        for one in moved:
            self._planner.remind(one.campaign, 0)

    def _hear(self, hint: Hint) -> None:
        self._planner.hear(hint)
        self._claimer.hear(hint)
        self._sweeper.hear(hint)
        if self._gates.concerns(hint):
            task = asyncio.ensure_future(self._gates.refresh(hint.number))
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


async def _lasting(name: str, bend: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a bend for ever: a defect is logged, and the bend goes on after a rest."""
    while True:
        try:
            await bend()
        except Exception:
            log.exception("engine.defect", bend=name)
        await asyncio.sleep(RESTART_SECONDS)
