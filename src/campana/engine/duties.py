"""Owns whether this process has a duty that one process has for all, such as planning.

Must not know what the duty is. It is no lock: for a moment two may believe to have it, so that what is done by it must
be safe to be done twice.
"""

from __future__ import annotations

from campana.domain.moment import SECOND, Clock
from campana.storage.cluster import Cluster

LASTS_MS = 4 * SECOND
"""So long after its last word the duty of a dead process is free for others."""
TRY_MS = SECOND
"""How often one that another has is asked for."""


class Duty:
    """One duty, as this process sees it. Without a cluster it is always this process's."""

    def __init__(self, cluster: Cluster | None, name: str, owner: str, clock: Clock, lasts_ms: int = LASTS_MS) -> None:
        self._cluster = cluster
        self._name = name
        self._owner = owner
        self._clock = clock
        self._lasts = lasts_ms
        self._until = 0
        self._ask_at = 0

    async def held(self) -> bool:
        """Whether this process has it now; asks for it, or for more time, where due. Raises StoreUnavailable."""
        if self._cluster is None:
            return True
        now = self._clock()
        # A clock that was set back must not keep it from asking.
        if now < self._ask_at <= now + self._lasts:
            return now < self._until
        held = await self._cluster.hold(self._name, self._owner, self._lasts)
        self._until = now + self._lasts if held else 0
        self._ask_at = now + (self._lasts // 3 if held else TRY_MS)
        return held

    @property
    def ask_at(self) -> int | None:
        """When to ask again whether it is held (epoch milliseconds); None where that changes nothing."""
        return None if self._cluster is None else self._ask_at
