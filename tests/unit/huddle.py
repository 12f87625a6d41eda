"""A cluster in memory, for tests of what the engine makes of one: several processes on one clock that stands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from engine_kit import HandClock

from campana.domain.sharing import RouteState, forget
from campana.storage.cluster import Change, Member, T
from campana.storage.store import StoreUnavailable

PATIENCE = 10.0


class Huddle:
    """Members, duties and routes' states, as a database would keep them."""

    def __init__(self, clock: HandClock) -> None:
        self._clock = clock
        self.is_away = False
        self.said: dict[str, tuple[Member, int]] = {}
        self.duties: dict[str, tuple[str, int]] = {}
        self.states: dict[str, RouteState] = {}
        self.changes = 0
        self.oldest = "0001"
        self._asked = asyncio.Event()

    async def clock(self) -> int:
        self._ask()
        return self._clock()

    async def beat(self, member: Member, lasts_ms: int) -> list[Member]:
        self._ask()
        self.said[member.owner] = (member, self._clock() + lasts_ms)
        return [one for _, (one, until) in sorted(self.said.items()) if until > self._clock()]

    async def oldest_code(self) -> str:
        self._ask()
        return self.oldest

    async def dead(self) -> list[str]:
        self._ask()
        return sorted(owner for owner, (_, until) in self.said.items() if until <= self._clock())

    async def bury(self, owner: str) -> None:
        self._ask()
        self.said.pop(owner, None)
        self.duties = {name: duty for name, duty in self.duties.items() if duty[0] != owner}
        for state in self.states.values():
            forget(state, owner, self._clock())

    async def hold(self, duty: str, owner: str, lasts_ms: int) -> bool:
        self._ask()
        has, until = self.duties.get(duty, (owner, 0))
        if has != owner and until > self._clock():
            return False
        self.duties[duty] = (owner, self._clock() + lasts_ms)
        return True

    async def share(self, route: str, change: Change[T]) -> T:
        self._ask()
        self.changes += 1
        return change(self.states.setdefault(route, RouteState()), self._clock())

    async def until(self, happened: Callable[[], bool]) -> None:
        """Wait for what comes of somebody's asking."""
        async with asyncio.timeout(PATIENCE):
            while not happened():
                self._asked.clear()
                await self._asked.wait()

    def _ask(self) -> None:
        asyncio.get_running_loop().call_soon(self._asked.set)
        if self.is_away:
            raise StoreUnavailable("away")
