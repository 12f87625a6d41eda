"""Owns the restore guard of one process: nothing begins on a database that may be a copy, and nothing goes on there.

Must not judge (domain/instance.py), nor know what is held: who starts the river asks first.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass

import structlog

from campana.domain.instance import (
    Doubt,
    Found,
    Instance,
    Memory,
    Self,
    disowned,
    judge,
    judge_running,
    memory_of,
    risen,
)
from campana.storage.beside import MemoryFile
from campana.storage.instance import Instances
from campana.storage.store import StoreUnavailable
from campana.telemetry import Metrics

log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0
"""How often a held process looks whether an operator has spoken."""

LEAVE_SECONDS = 3.0
"""For the last word of a process that stops; without it, a little less is remembered."""


class InstanceLost(Exception):
    """The database is not the one any more on which this process ran, so that it must not go on."""


@dataclass(frozen=True, slots=True)
class GuardOptions:
    """Who guards, and how often it looks."""

    who: Self
    beat_seconds: float
    """How often the epoch rises: what was sent since is what a restored backup could send again unnoticed, and only
    where it takes the very place of a database that was killed. Each time is a durable commit."""


class Guard:
    """Says whether this process may work on its database. Used in one event loop, one call at a time."""

    def __init__(self, instances: Instances, file: MemoryFile, options: GuardOptions, metrics: Metrics) -> None:
        self._instances = instances
        self._file = file
        self._options = options
        self._metrics = metrics
        self._memory: Memory | None = None
        self._doubt: Doubt | None = None
        self._remembers = True

    @property
    def held(self) -> str | None:
        """Why nothing is sent, as a clause for a person; None where nothing holds it."""
        return None if self._doubt is None else self._doubt.value

    async def enter(self) -> bool:
        """Look at the database, and begin on it where it is the one that goes on. False: it is held.

        Raises StoreUnavailable.
        """
        memory, who = await self._file.read(), self._options.who
        found = await self._instances.change(lambda found: _decide(found, judge(found, memory, who), who))
        if isinstance(found, Doubt):
            if found is not self._doubt:
                log.warning("instance.held", reason=found.value)
            self._set(found)
            return False
        self._set(None)
        log.info("instance.runs", instance=found.id, epoch=found.epoch, label=found.label)
        await self._remember(found)
        return True

    async def wait_until_free(self, stop: asyncio.Event) -> bool:
        """Look again and again until an operator has said which database it is; False where `stop` came first."""
        while not stop.is_set():
            try:
                if await self.enter():
                    return True
            except StoreUnavailable as error:
                log.warning("instance.store_unavailable", reason=str(error))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), LOOK_SECONDS)
        return False

    async def beat(self) -> None:
        """Raise the epoch. Raises InstanceLost where the database is not what it was, or StoreUnavailable."""
        memory, who = self._memory, self._options.who
        assert memory is not None  # it has entered
        found = await self._instances.change(lambda found: _decide(found, judge_running(found, memory, who), who))
        if isinstance(found, Doubt):
            self._set(found)
            log.error("instance.lost", reason=found.value)
            raise InstanceLost(f"this is not the database any more on which Campana ran: {found.value}")
        await self._remember(found)

    async def watch(self) -> None:
        """Raise the epoch for ever, to be cancelled. Raises InstanceLost: the process has to stop."""
        while True:
            await asyncio.sleep(self._options.beat_seconds)
            try:
                await self.beat()
            except StoreUnavailable as error:
                log.warning("instance.store_unavailable", reason=str(error))

    async def leave(self) -> None:
        """Raise the epoch a last time, so that whatever was copied before is known to be older."""
        if self._memory is None or self._doubt is not None:
            return
        try:
            async with asyncio.timeout(LEAVE_SECONDS):
                await self.beat()
        except (StoreUnavailable, InstanceLost, TimeoutError) as error:
            log.warning("instance.left_without_word", reason=str(error) or type(error).__name__)

    def _set(self, doubt: Doubt | None) -> None:
        self._doubt = doubt
        self._metrics.held.set(to=float(doubt is not None))

    async def _remember(self, instance: Instance) -> None:
        self._memory = memory_of(instance, self._options.who)
        try:
            await self._file.write(self._memory)
        except OSError as error:
            if self._remembers:
                log.warning("instance.not_remembered", reason=str(error))
            self._remembers = False
        else:
            self._remembers = True


def _decide(found: Found, doubt: Doubt | None, who: Self) -> tuple[Instance | None, Instance | Doubt]:
    """How a database is to stand after a look at it, and what the one who looked is told."""
    if doubt is None:
        new = risen(found, who)
        return new, new
    if doubt is not Doubt.WENT_BACK:
        return None, doubt
    # What one process knows, all are to know.
    told = disowned(found.instance)
    return (None if told == found.instance else told), doubt
