"""Owns the clock of processes on several machines: the database's, as each machine's own clock runs beside it.

Must not decide anything by the time.
"""

from __future__ import annotations

import asyncio

import structlog

from campana.domain.moment import SECOND, Clock
from campana.storage.cluster import Cluster
from campana.storage.store import StoreUnavailable

log = structlog.get_logger(__name__)

EVERY_SECONDS = 5.0
LONGEST_TRIP = 100
"""Milliseconds that an answer may take and still be believed to the half of that."""
WORTH_TELLING = SECOND
"""A machine's clock that is off by more is told of: its windows would have been kept by it."""


class DatabaseClock:
    """Epoch milliseconds by the database's clock. Set it before it is read."""

    def __init__(self, cluster: Cluster, own: Clock) -> None:
        self._cluster = cluster
        self._own = own
        self._ahead = 0

    def __call__(self) -> int:
        return self._own() + self._ahead

    async def set(self) -> None:
        """Look how far the database's clock is ahead. Raises StoreUnavailable."""
        asked = self._own()
        theirs = await self._cluster.clock()
        trip = self._own() - asked
        if not 0 <= trip <= LONGEST_TRIP:
            return
        ahead = theirs - (asked + trip // 2)
        if abs(ahead - self._ahead) > max(WORTH_TELLING, trip):
            log.warning("clock.differs", milliseconds=ahead)
        # Less than the answer took is no difference: the clock must not tremble.
        if abs(ahead - self._ahead) > trip:
            self._ahead = ahead

    async def keep(self) -> None:
        """Look again and again; to be cancelled."""
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            try:
                await self.set()
            except StoreUnavailable as error:
                log.warning("clock.store_unavailable", reason=str(error))
