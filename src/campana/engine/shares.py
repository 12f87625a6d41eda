"""Owns this process's part of what is counted of each route: its lines and its connections.

Must not know the rule of sharing (domain/sharing.py), nor what a line or a connection is used for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from campana.bus.contract import Bus, Hint, News
from campana.domain.moment import SECOND
from campana.domain.sharing import Allotment, RouteState, Wish, allot_connections, allot_lines
from campana.engine.alarm import Alarm
from campana.engine.limits import Way
from campana.engine.membership import Membership
from campana.engine.options import Tools
from campana.engine.ways import Ways
from campana.storage.cluster import Cluster
from campana.storage.store import StoreUnavailable

log = structlog.get_logger(__name__)

EVERY_MS = SECOND
"""How often a part is looked at, in case a hint was lost."""
PATIENCE_MS = 15 * SECOND
"""How long a process keeps connections by which it does not come through, where others might."""

Rule = Callable[[RouteState, int, Wish, int], Allotment]


@dataclass(slots=True)
class _Trying:
    """Since when a route has not been up here, and until when its connections are left to others."""

    down_since: int | None = None
    yields_until: int = 0


class Shares:
    """Asks for lines and connections as they are wanted, and gives back what is not."""

    def __init__(self, cluster: Cluster, membership: Membership, ways: Ways, bus: Bus, tools: Tools) -> None:
        self._cluster = cluster
        self._membership = membership
        self._ways = ways
        self._bus = bus
        self._metrics = tools.metrics
        self._clock = tools.clock
        self._alarm = Alarm(tools.clock, EVERY_MS)
        self._allowed: dict[str, int] = {}
        """Connections that each route may have here: more than it has, while it needs fewer or cannot connect."""
        self._trying: dict[str, _Trying] = {}
        self._lacking: set[tuple[str, str]] = set()
        self._lives = 0
        """How often this process may have been taken for dead: what was asked in a life before is of no use."""
        membership.revived = self._begin_again
        for way in ways.all:
            if way.lines is not None:
                way.lines.moved = self._alarm.ring
        self._let_go()

    def hear(self, hint: Hint) -> None:
        """Others gave something back, or lack it; or a route came or went here."""
        if hint.news in (News.SHARES, News.ROUTE, News.MISSED):
            self._alarm.ring()

    async def keep(self) -> None:
        """Go on for ever; to be cancelled."""
        while True:
            await self.settle()
            await self._alarm.wait()

    async def settle(self) -> None:
        """Look at every route once."""
        for way in self._ways.all:
            try:
                if way.lines is not None:
                    await self._settle_lines(way)
                if way.settings.most_connections:
                    await self._settle_connections(way)
            except StoreUnavailable as error:
                log.warning("limits.store_unavailable", route=way.name, reason=str(error))

    def _begin_again(self) -> None:
        """Others may have taken this process for dead: let everything go, and ask for it anew."""
        self._lives += 1
        self._let_go()
        self._alarm.ring()

    def _let_go(self) -> None:
        """Use nothing before it is known to be ours: not at the start, and not where others may have it by now."""
        for way in self._ways.all:
            if way.lines is not None:
                way.lines.allow(0)
            if way.settings.most_connections:
                self._allow(way, 0)

    async def _settle_lines(self, way: Way) -> None:
        lines = way.lines
        assert lines is not None
        # While the answer is on its way, no more are given out: it may be fewer.
        wish = Wish(self._membership.owner, lines.used, lines.wanted)
        lines.allow(lines.used)
        lines.allow(await self._ask(way, "lines", allot_lines, lines.most, wish))

    async def _settle_connections(self, way: Way) -> None:
        most, route = way.settings.most_connections, way.route
        if self._membership.has_lapsed():
            # It may have come to this before it could say that it lives.
            self._allow(way, 0)
        wanted, life = 0 if self._yields(way) else most, self._lives
        # What it may open at any moment, also while the answer is on its way, is as good as used.
        used = max(route.connections, self._allowed.get(way.name, 0))
        wish = Wish(self._membership.owner, used, wanted)
        may = await self._ask(way, "connections", allot_connections, most, wish)
        if life == self._lives:
            self._allow(way, may)

    def _allow(self, way: Way, connections: int) -> None:
        self._allowed[way.name] = connections
        way.route.allow(connections)

    async def _ask(self, way: Way, kind: str, rule: Rule, most: int, wish: Wish) -> int:
        allotment = await self._cluster.share(way.name, lambda state, now: rule(state, most, wish, now))
        self._metrics.route_share.set(way.name, kind, to=allotment.may)
        lacks = allotment.may < wish.wanted
        is_new = lacks and (way.name, kind) not in self._lacking
        if lacks:
            self._lacking.add((way.name, kind))
        else:
            self._lacking.discard((way.name, kind))
        if is_new or (allotment.others_short and allotment.may <= wish.used):
            self._bus.tell(Hint(News.SHARES))
        return allotment.may

    def _yields(self, way: Way) -> bool:
        """Whether this process leaves a route's connections to others for a while: it does not come through itself."""
        now, trying = self._clock(), self._trying.setdefault(way.name, _Trying())
        if now < trying.yields_until:
            return True
        if way.is_up or not self._allowed.get(way.name):
            trying.down_since = None
        elif trying.down_since is None:
            trying.down_since = now
        elif now - trying.down_since >= PATIENCE_MS and self._membership.runs_elsewhere(way.name):
            trying.down_since, trying.yields_until = None, now + PATIENCE_MS
            return True
        return False
