"""Owns doing to the processes what the plan says, and noting what was done to whom, and how long it took.

Must not know what it leads to: the balance shows that.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable
from dataclasses import replace
from random import Random
from typing import Final, Protocol

from campana.sandbox.drill_plan import Blow, Event, Incident, Role
from campana.sandbox.drill_processes import DidNotStart, Process, State
from campana.sandbox.drill_proxy import Proxy
from campana.sandbox.drill_town import Town
from campana.sandbox.simulator import wall_clock

LOOK_SECONDS: Final = 0.02
STALLED_SECONDS: Final = 60.0
"""Where nothing has arrived for so long, nothing is waited for any more."""
PAGE_SECONDS: Final = 0.5
TAKEN_OVER_WITHIN: Final = 30.0
MOST_STARTS: Final = 5

_PLANS: Final = b"\ncampana_planner 1"


class Listener(Protocol):
    """Who is told what happens, as it does."""

    def struck(self, blow: Blow, whom: str, arrived: int) -> None:
        """Something is done to somebody, when so many messages have arrived."""

    def back(self, event: Event) -> None:
        """Whoever was struck is back."""


class Troublemaker:
    """Carries a plan out. `events` is what has happened so far."""

    def __init__(
        self, town: Town, frozen_seconds: float, proxy: Proxy | None, *, dice: Random, listener: Listener
    ) -> None:
        self.events: list[Event] = []
        self._listener = listener
        self._town = town
        self._frozen_seconds = frozen_seconds
        self._proxy = proxy
        self._dice = dice

    async def carry_out(self, plan: Iterable[Incident], total: int) -> bool:
        """Do what is planned as messages arrive, `total` in all; False where they stopped arriving before.

        Raises DidNotStart.
        """
        blows: list[asyncio.Task[None]] = []
        try:
            for incident in plan:
                if not await self._until_arrived(incident.share * total):
                    return False
                await asyncio.sleep(incident.delay)
                if incident.blow is Blow.CUT:
                    self._cut(incident)
                    continue
                victim = await self._victim(incident.role)
                # Until it is back, others may be hit, too.
                victim.state = State.DOWN
                blow = self._freeze if incident.blow is Blow.FREEZE else self._kill
                blows.append(asyncio.create_task(blow(incident, victim)))
            await asyncio.gather(*blows)
            return True
        finally:
            for task in blows:
                task.cancel()

    async def _until_arrived(self, count: float) -> bool:
        before, since = self._town.arrived(), time.monotonic()
        while before < count:
            await asyncio.sleep(LOOK_SECONDS)
            now = self._town.arrived()
            if now > before:
                before, since = now, time.monotonic()
            elif time.monotonic() - since > STALLED_SECONDS:
                return False
        return True

    async def _victim(self, role: Role) -> Process:
        """A process of the role that runs, as soon as there is one."""
        while True:
            if role is Role.PLANNER:
                planner = await self._planner()
                up = [] if planner is None else [planner]
            else:
                up = [process for process in self._town.of(role) if process.state is State.UP]
            if up:
                return self._dice.choice(up)
            await asyncio.sleep(LOOK_SECONDS)

    async def _planner(self) -> Process | None:
        """The process that plans, by what it says of itself; None where none says so."""
        for process in self._town.of(Role.WORKER):
            if process.state is State.UP and await _plans(self._town.pages[process.name]):
                return process
        return None

    async def _kill(self, incident: Incident, victim: Process) -> None:
        strike = self._strike(incident, victim)
        await victim.kill()
        taking_over = asyncio.create_task(self._taken_over(incident))
        await _start(victim)
        self._back(replace(strike, ended=wall_clock(), taken_over_ms=await taking_over))

    async def _freeze(self, incident: Incident, victim: Process) -> None:
        strike = self._strike(incident, victim)
        victim.freeze()
        taking_over = asyncio.create_task(self._taken_over(incident))
        await asyncio.sleep(self._frozen_seconds)
        victim.thaw()
        self._back(replace(strike, ended=wall_clock(), taken_over_ms=await taking_over))

    def _cut(self, incident: Incident) -> None:
        now, arrived = wall_clock(), self._town.arrived()
        count = 0 if self._proxy is None else self._proxy.cut()
        whom = f"{count} connections"
        self.events.append(Event(incident.blow, incident.role, whom, now, now, arrived))
        self._listener.struck(incident.blow, whom, arrived)

    def _strike(self, incident: Incident, victim: Process) -> Event:
        """Tell what is about to be done."""
        now, arrived = wall_clock(), self._town.arrived()
        whom = f"{victim.name} (planner)" if incident.role is Role.PLANNER else victim.name
        self._listener.struck(incident.blow, whom, arrived)
        return Event(incident.blow, incident.role, whom, now, now, arrived)

    def _back(self, event: Event) -> None:
        self.events.append(event)
        self._listener.back(event)

    async def _taken_over(self, incident: Incident) -> int | None:
        """Milliseconds until somebody plans again; None where that is no matter, or took too long."""
        if incident.role is not Role.PLANNER:
            return None
        began = time.monotonic()
        while time.monotonic() - began < TAKEN_OVER_WITHIN:
            if await self._planner() is not None:
                return round((time.monotonic() - began) * 1_000)
            await asyncio.sleep(LOOK_SECONDS)
        return None


async def _start(process: Process) -> None:
    """Start a process, again where it ends at once, as a supervisor does: the database may just be cut off."""
    for _ in range(MOST_STARTS - 1):
        with contextlib.suppress(DidNotStart):
            await process.start()
            return
    await process.start()


async def _plans(port: int) -> bool:
    """Whether a process says on its page of metrics that it plans."""
    try:
        async with asyncio.timeout(PAGE_SECONDS):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
                return _PLANS in await reader.read(-1)
            finally:
                writer.close()
    except OSError:
        return False
