"""Owns the sharing of work among those who wait for it: what comes while one run is under way goes with the next.

Must not know what the work is. It is how small writes share a commit, and how equal reads share an answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, TypeVar

from campana.storage.store import StoreUnavailable

T = TypeVar("T")
A = TypeVar("A")

MOST_AT_ONCE = 2_000
MOST_WAITING = 50_000


class Gathering(Generic[T, A]):
    """Calls `work` with all items that wait, one call at a time. Used in one event loop.

    `work` answers each item in order; an exception instance among the answers is raised for its item alone. What
    `work` itself raises is raised for every item of the call.
    """

    def __init__(self, work: Callable[[Sequence[T]], Awaitable[Sequence[A | Exception]]]) -> None:
        self._work = work
        self._waiting: list[tuple[T, asyncio.Future[A]]] = []
        self._task: asyncio.Task[None] | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits and nothing runs."""
        return self._task is None

    async def put(self, item: T) -> A:
        """Have the item in the next call of `work`; its answer. Raises StoreUnavailable where too much waits."""
        if len(self._waiting) >= MOST_WAITING:
            raise StoreUnavailable("the store has too much to write")
        answer: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answer))
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        return await answer

    async def finish(self) -> None:
        """Wait until nothing is under way."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            while self._waiting:
                orders, self._waiting = self._waiting[:MOST_AT_ONCE], self._waiting[MOST_AT_ONCE:]
                try:
                    answers = await self._work([item for item, _ in orders])
                except Exception as error:
                    answers = [error] * len(orders)
                for (_, future), answer in zip(orders, answers, strict=True):
                    _resolve(future, answer)
        finally:
            self._task = None


class SharedReads:
    """Reads that are the same for many who ask at once, such as a session's row.

    Who asks while such a read is under way gets the answer of the next one, never of the one that began before: so
    everybody sees what they wrote. The answer must be one that nobody changes.
    """

    def __init__(self) -> None:
        self._of_key: dict[Hashable, Gathering[None, object]] = {}

    async def read(self, key: Hashable, read: Callable[[], Awaitable[A]]) -> A:
        """The answer of a `read` that begins from now on; `key` says what is asked."""
        gathering = self._of_key.get(key)
        if gathering is None:

            async def for_all(items: Sequence[None]) -> list[object]:
                return [await read()] * len(items)

            gathering = self._of_key[key] = Gathering(for_all)
        try:
            answer: A = await gathering.put(None)  # type: ignore[assignment]  # the key tells the type
        finally:
            if gathering.is_idle:
                self._of_key.pop(key, None)
        return answer


def _resolve(future: asyncio.Future[A], answer: A | Exception) -> None:
    if future.cancelled():
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)
