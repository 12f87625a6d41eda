"""Owns how failed log-ins lock a door: so many in a row within a span lock their key for the same span.

Must not know what a key stands for, nor how a log-in is judged.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from campana.domain.errors import MethodCode, MethodError
from campana.domain.moment import Clock
from campana.storage.store import Failures, Sessions

REMEMBERED_KEYS = 10_000


class Turns:
    """One at a time under each key; so no burst of guesses is judged before the first of them is counted."""

    def __init__(self) -> None:
        self._waiting: dict[bytes, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def take(self, key: bytes) -> AsyncIterator[None]:
        """Wait for the turn and hold it."""
        lock, waiting = self._waiting.get(key, (asyncio.Lock(), 0))
        self._waiting[key] = (lock, waiting + 1)
        try:
            async with lock:
                yield
        finally:
            lock, waiting = self._waiting.pop(key)
            if waiting > 1:
                self._waiting[key] = (lock, waiting - 1)


class Lockout:
    """Counts failures under keys of 32 bytes.

    The store keeps the count, the first failure and the lock, so that a restart forgives nothing. The moments of
    the failures between are kept in memory, so that the span slides; after a restart they count as the first.
    """

    def __init__(
        self, sessions: Sessions, limit: int, span: int, clock: Clock, remembered: int = REMEMBERED_KEYS
    ) -> None:
        self._remembered = remembered
        self._sessions = sessions
        self._limit = limit
        self._span = span
        self._clock = clock
        self._moments: OrderedDict[bytes, list[int]] = OrderedDict()
        self._turns = Turns()

    async def check(self, key: bytes) -> None:
        """Raises 4 TooManyAttempts while the key is locked."""
        failures = await self._sessions.failures(key)
        if failures is not None and self._clock() < failures.locked_until:
            raise MethodError(MethodCode.TOO_MANY_ATTEMPTS)

    async def fail(self, key: bytes) -> None:
        """Count one more failure; the last that is allowed locks."""
        async with self._turns.take(key):
            failures = await self._sessions.failures(key)
            now = self._clock()
            if failures is not None and now < failures.locked_until:
                return  # judged together with the one that locked it
            moments = self._recent(key, failures, now)
            moments.append(now)
            locked_until = now + self._span if len(moments) >= self._limit else 0
            await self._sessions.set_failures(key, Failures(len(moments), moments[0], locked_until))

    async def succeed(self, key: bytes) -> None:
        """Start the count again."""
        self._moments.pop(key, None)
        if await self._sessions.failures(key) is not None:
            await self._sessions.set_failures(key, None)

    def _recent(self, key: bytes, failures: Failures | None, now: int) -> list[int]:
        """The moments of the failures within the span, remembered as the list that is returned."""
        known = self._moments.get(key, [])
        if failures is None or failures.locked_until:
            known = []
        elif len(known) < failures.count:
            known = [failures.first_at] * (failures.count - len(known)) + known
        recent = [moment for moment in known if moment > now - self._span]
        self._moments[key] = recent
        self._moments.move_to_end(key)
        if len(self._moments) > self._remembered:
            self._moments.popitem(last=False)
        return recent
