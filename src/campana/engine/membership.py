"""Owns this process's place among those that share the database: that it lives, who else does, and who has died.

Must not know what the others do. What it knows of them is a second old.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

import structlog

from campana.domain.moment import SECOND, Clock
from campana.storage.cluster import Cluster, Member
from campana.storage.store import StoreUnavailable, UpgradeRefused
from campana.telemetry import Metrics

log = structlog.get_logger(__name__)

BEAT_SECONDS = 1.0
UP = "up"
"""How a member says that it can send by a route."""

Burial = Callable[[str], Awaitable[None]]
"""Settles what a dead process has left, before it is forgotten. It may be asked again of the same one."""


class Membership:
    """Says that this process lives, and knows who else does. Times in milliseconds."""

    def __init__(self, cluster: Cluster, me: Member, lasts_ms: int, metrics: Metrics, clock: Clock) -> None:
        self._cluster = cluster
        self._me = me
        self._lasts = lasts_ms
        self._metrics = metrics
        self._clock = clock
        self._said_at = 0
        self.members: list[Member] = [me]
        """All that live, itself included."""
        self.revived: Callable[[], None] = _nobody
        """Called before it says that it lives though others may have taken it for dead."""

    @property
    def owner(self) -> str:
        """This process's name."""
        return self._me.owner

    @property
    def is_current(self) -> bool:
        """Whether the database has lately heard that this process lives."""
        return self._clock() <= self._said_at + CURRENT_MS

    def has_lapsed(self) -> bool:
        """Whether others may take this process for dead, since it could not say that it lives."""
        return self._clock() > self._said_at + self._lasts

    def is_up_elsewhere(self, route: str) -> bool:
        """Whether another process can send by a route."""
        return any(one.routes.get(route) == UP for one in self.members if one.owner != self.owner)

    def up_elsewhere(self) -> list[str]:
        """The routes by which other processes can send."""
        others = [one.routes for one in self.members if one.owner != self.owner]
        return sorted({name for routes in others for name, health in routes.items() if health == UP})

    def runs_elsewhere(self, route: str) -> bool:
        """Whether another process has a route, up or not."""
        return any(route in one.routes for one in self.members if one.owner != self.owner)

    def sharers(self, route: str) -> int:
        """How many processes can send by a route, at least 1."""
        return max(1, sum(one.routes.get(route) == UP for one in self.members))

    async def beat(self, routes: Mapping[str, str]) -> None:
        """Say once that it lives, and how its routes are. Raises StoreUnavailable; and UpgradeRefused where its program
        does not fit the tables any more, so that it lapses and sends nothing."""
        said_at = self._clock()
        if self.has_lapsed():
            self.revived()
        self.members = await self._cluster.beat(replace(self._me, routes=routes), self._lasts)
        # In this order: who is about to take away what older programs need sees it, or is seen here.
        oldest = await self._cluster.oldest_code()
        if oldest > self._me.code:
            raise UpgradeRefused(
                f"the database was upgraded for a newer version: it needs a program that knows revision {oldest}, and "
                f"this one knows none after {self._me.code}"
            )
        self._said_at = said_at
        roles = [one.role for one in self.members]
        for role in ROLES:
            self._metrics.members.set(role, to=roles.count(role))

    async def beat_for_ever(self, routes: Callable[[], Mapping[str, str]], bury: Burial | None) -> None:
        """Go on saying so, and bury those that do not any more (none where `bury` is None); to be cancelled."""
        burying: asyncio.Task[None] | None = None
        try:
            while True:
                try:
                    await self.beat(routes())
                except StoreUnavailable as error:
                    log.warning("membership.store_unavailable", reason=str(error))
                # Beside it: who buries others for long would be taken for dead meanwhile.
                if bury is not None and (burying is None or burying.done()):
                    burying = asyncio.create_task(self._bury_dead(bury))
                await asyncio.sleep(BEAT_SECONDS)
        finally:
            if burying is not None:
                burying.cancel()

    async def leave(self) -> None:
        """Tell the others that it is going, so that they need not wait for its death."""
        try:
            async with asyncio.timeout(LEAVE_SECONDS):
                await self._cluster.bury(self.owner)
        except (StoreUnavailable, TimeoutError) as error:
            log.warning("membership.store_unavailable", reason=str(error))

    async def _bury_dead(self, bury: Burial) -> None:
        try:
            for owner in await self._cluster.dead():
                if owner == self.owner:
                    # It stood still and was late, and has just said that it lives.
                    continue
                log.warning("membership.process_died", owner=owner)
                await bury(owner)
                # One that only stood still may have come back meanwhile: what it has now is its own.
                if owner in await self._cluster.dead():
                    await self._cluster.bury(owner)
        except StoreUnavailable as error:
            log.warning("membership.store_unavailable", reason=str(error))
        except Exception:
            log.exception("membership.defect")


def _nobody() -> None:
    """Nobody minds."""


ROLES = ("serve", "api", "worker")
CURRENT_MS = 4 * SECOND
LEAVE_SECONDS = 2.0
LEAST_LIFE_MS = 5 * SECOND
"""A process is not taken for dead sooner, however short its leases are."""
