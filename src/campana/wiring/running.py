"""Owns the life of a process: in which order its parts start, and how all of it stops.

Must not know how a part is made (house.py), nor hold rules.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from campana.api.soap.app import PATH
from campana.config import ConfigError, Settings
from campana.engine.guard import Guard
from campana.services.house import Services
from campana.storage.store import StoreUnavailable
from campana.telemetry import configure_logging
from campana.wiring import doors, parts
from campana.wiring.house import House, built
from campana.wiring.roles import Pins, Role
from campana.wiring.stores import only_server

log = structlog.get_logger(__name__)

SWITCH_SECONDS = 0.0005
"""How long a thread may keep Python's lock while others wait. The writer's thread needs it for microseconds at a time;
with the standard 5 ms, a busy event loop would make each of its statements wait that long."""

HOUSEKEEPING_SECONDS = 300.0


async def serve(settings: Settings, announce: Callable[[str], None], stop: asyncio.Event | None = None) -> None:
    """Run all of Campana in this process; see `run`."""
    await run(settings, Role.SERVE, Pins(), announce, stop)


async def run(
    settings: Settings, role: Role, pins: Pins, announce: Callable[[str], None], stop: asyncio.Event | None = None
) -> None:
    """Run a process until SIGTERM, SIGINT or `stop`, which the signals set; `announce` is told once it is at work.

    Raises StoreUnavailable where the database cannot be used or another server has it, OSError where an address
    cannot be listened on, ConfigError where the settings do not fit the role, or HTTPS could not be served,
    InstanceLost where the database is not the one any more on which it ran.
    """
    configure_logging(settings.log.level, settings.log.format)
    sys.setswitchinterval(SWITCH_SECONDS)
    _check(settings, role, pins)
    near = [route for route in settings.routes if role.has_engine and pins.holds(route)]
    speech = parts.build_speech(settings)
    with only_server(settings):
        async with built(settings, role, pins, speech) as house, parts.speaking(speech, near):
            await _Life(house).lead(announce, stop or asyncio.Event())
    log.info("campana.stopped")


def _check(settings: Settings, role: Role, pins: Pins) -> None:
    """What is commonly wrong, before anything is opened."""
    if role is not Role.SERVE and not settings.database.is_postgresql:
        rule = f"`campana {role.value}` shares the database with other processes, so that it should be postgresql://"
        raise ConfigError([f"database.url: {rule}"])
    pins.check(settings)
    doors.check_tls(settings)


class _Life:
    """A process from its first part's start to its last part's stop."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._tasks: list[asyncio.Task[None]] = []
        self._membership: asyncio.Task[None] | None = None
        self._serving: asyncio.Task[None] | None = None
        self._guarding: asyncio.Task[None] | None = None

    async def lead(self, announce: Callable[[str], None], stop: asyncio.Event) -> None:
        """Start, be at work until `stop` is set, and stop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await self._start()
        if self._house.guard is not None:
            self._guarding = asyncio.create_task(self._guard(self._house.guard, stop))
        if self._serving is None or not self._serving.done():
            # What is there now stays: the collector need not look at it again and again.
            gc.collect()
            gc.freeze()
            gc.set_threshold(20_000, 20, 50)
            announce(self._sentence())
            await self._until(stop)
        log.info("campana.stopping")
        await self._stop(self._house.settings.server.shutdown_seconds)
        for task in (self._serving, self._guarding):
            if task is not None and task.done() and not task.cancelled():
                task.result()

    async def _start(self) -> None:
        house = self._house
        free = house.guard is None or await house.guard.enter()
        if house.company is not None:
            await house.company.membership.beat({})
            self._join(bury=False)
            self._spawn("clock", house.company.clock.keep())
        if free:
            await self._begin()
        if house.role.has_doors:
            self._spawn("housekeeping", _keep_house(house.services))
            self._spawn("sessions", house.services.sessions.keep_uses())
        if house.server is not None and house.listening is not None:
            self._serving = asyncio.create_task(house.server.serve([house.listening]))
            while not (house.server.started or self._serving.done()):  # noqa: ASYNC110  # an attribute alone says so
                await asyncio.sleep(0.01)

    async def _begin(self) -> None:
        """Let the river flow, where this process has a part of it."""
        house = self._house
        # The engine last: nothing is sent where the rest cannot run.
        if house.listener is not None:
            # Several workers on one machine may share the address.
            await house.listener.start(reuse_port=house.company is not None)
        if house.engine is not None:
            self._join(bury=True)
            await house.engine.start()

    def _join(self, *, bury: bool) -> None:
        """Be a member from now on, and where asked for, one that settles what dead ones have left."""
        house = self._house
        if house.company is None:
            return
        if self._membership is not None:
            self._membership.cancel()
        burial = house.engine.bury if bury and house.engine is not None else None
        beating = house.company.membership.beat_for_ever(lambda: house.routes, burial)
        self._membership = self._spawn("membership", beating)

    async def _guard(self, guard: Guard, stop: asyncio.Event) -> None:
        """Begin once nothing holds the database, and see that it stays the same. Raises InstanceLost."""
        if guard.held is not None:
            if not await guard.wait_until_free(stop):
                return
            await self._begin()
        await guard.watch()

    async def _until(self, stop: asyncio.Event) -> None:
        stopping = asyncio.create_task(stop.wait())
        waited: set[asyncio.Task[Any]] = {stopping}
        waited |= {task for task in (self._serving, self._guarding) if task is not None}
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()

    async def _stop(self, budget: float) -> None:
        """Doors and listener first, so that nothing new comes in; then the engine; what is left closes by itself."""
        house = self._house
        if self._guarding is not None:
            self._guarding.cancel()
            await asyncio.wait({self._guarding})
        house.services.progress.end_watching()
        if house.server is not None and self._serving is not None:
            house.server.should_exit = True
            await asyncio.wait({self._serving}, timeout=budget / 2)
        if house.listener is not None:
            await house.listener.stop()
        if house.engine is not None:
            await house.engine.stop(budget / 2)
        if house.guard is not None:
            await house.guard.leave()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if house.company is not None:
            await house.company.membership.leave()

    def _spawn(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.append(task)
        return task

    def _sentence(self) -> str:
        house = self._house
        if house.listening is None:
            return "Campana's worker is at work."
        if not house.role.has_doors:
            return (
                f"Campana's worker is at work, and tells of itself at {doors.address_of(house.listening, 'http', '/')}"
            )
        scheme = "https" if house.settings.server.tls_certificate else "http"
        return f"Campana is listening on {doors.address_of(house.listening, scheme, PATH)}"


async def _keep_house(services: Services) -> None:
    while True:
        await asyncio.sleep(HOUSEKEEPING_SECONDS)
        try:
            await services.sessions.purge()
            await services.answers.purge()
        except StoreUnavailable as error:
            log.warning("housekeeping.store_unavailable", reason=str(error))
        except Exception:
            log.exception("housekeeping.defect")
