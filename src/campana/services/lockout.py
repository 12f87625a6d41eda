"""Owns how failed log-ins lock a door: so many in a row within a span lock their key for the same span.

Must not know what a key stands for, nor how a log-in is judged.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from campana.domain.errors import MethodCode, MethodError
from campana.domain.moment import Clock
from campana.storage.store import Failures, Sessions

MOST_MOMENTS = 100
"""Failures whose moments are kept apart; of more, the two that are closest count as at the later one."""


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
    """Counts failures under keys of 32 bytes. The store keeps them, so that no restart and no other process forgives
    any.

    Several processes may judge log-ins of a key at the same moment. Whichever is counted once the key is locked gets
    the answer of a locked key, be it right or wrong: so no more guesses are answered than the limit allows.
    """

    def __init__(self, sessions: Sessions, limit: int, span: int, clock: Clock) -> None:
        self._sessions = sessions
        self._limit = limit
        self._span = span
        self._clock = clock
        # Those of one process need not hold several connections while they wait for each other.
        self._turns = Turns()

    async def check(self, key: bytes) -> None:
        """Raises 4 TooManyAttempts while the key is locked."""
        self._demand_open(await self._sessions.failures(key))

    async def fail(self, key: bytes) -> None:
        """Count one more failure; the last that is allowed locks.

        Raises 4 TooManyAttempts where the key is locked by now.
        """
        async with self._turns.take(key):
            await self._sessions.judge_failures(key, self._with_one_more)

    async def succeed(self, key: bytes) -> None:
        """Start the count again. Raises 4 TooManyAttempts where the key is locked by now."""
        if await self._sessions.failures(key) is not None:
            async with self._turns.take(key):
                await self._sessions.judge_failures(key, self._with_none)

    def _demand_open(self, failures: Failures | None) -> None:
        if failures is not None and self._clock() < failures.locked_until:
            raise MethodError(MethodCode.TOO_MANY_ATTEMPTS)

    def _with_none(self, failures: Failures | None) -> None:
        self._demand_open(failures)

    def _with_one_more(self, failures: Failures | None) -> Failures:
        self._demand_open(failures)
        now = self._clock()
        known = () if failures is None or failures.locked_until else failures.moments
        recent = [(at, many) for at, many in known if at > now - self._span]
        counted = Failures(_bounded(sorted([*recent, (now, 1)])))
        return Failures(counted.moments, now + self._span if counted.count >= self._limit else 0)


def _bounded(moments: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """At most so many moments: the two that are closest become the later one, which counts for longer, never less."""
    if len(moments) > MOST_MOMENTS:
        after = min(range(1, len(moments)), key=lambda place: moments[place][0] - moments[place - 1][0])
        (_, many), (at, more) = moments[after - 1 : after + 1]
        moments[after - 1 : after + 1] = [(at, many + more)]
    return tuple(moments)
