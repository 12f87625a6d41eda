"""Bend 8a: owns that what happened to campaigns is numbered soon, and that what only the clock says of them is told.

Must not know who reads it. It folds what happened, and tells that a campaign started, that its window opened or closed,
that it finished, and how it counts.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Awaitable, Callable, Sequence

import structlog

from campana.bus.contract import Bus, Hint, News
from campana.domain.moment import SECOND
from campana.domain.progress import Course, EventKind, Told, what_to_tell
from campana.domain.schedule import next_opening
from campana.engine.alarm import Alarm
from campana.engine.duties import Duty
from campana.engine.gates import Gates
from campana.engine.options import Tools
from campana.storage.progress import Progress, Standing
from campana.storage.retention import Retention
from campana.storage.store import CampaignRow, StoreUnavailable

log = structlog.get_logger(__name__)

LEAST_MS = 200
"""Between two rounds: what happens meanwhile is gathered, for readers and for the database."""
IDLE_MS = SECOND
"""How often is looked for what happened without a hint."""
AT_ONCE = 100
"""Campaigns that are looked at in one round of each kind, those with happenings and those that were called."""
TOGETHER = 4
"""Folds at a time: they leave the store's connections to deliveries."""
FOLDS = 20
"""Of one campaign in one round; the rest waits for the next, so that no campaign keeps others waiting."""
RESCANS = 20
"""Every campaign is looked at after so many times the engine's usual time of looking through everything, should a hint
have been lost."""

HasEvents = Callable[[CampaignRow, bool], None]
"""Told of a campaign that may have new events; and whether it was changed, or a person asks for it to go on."""


class Teller:
    """Folds and tells, about five times a second where something happens. Of several processes one does."""

    def __init__(
        self,
        progress: Progress,
        campaigns: Retention,
        gates: Gates,
        *,
        bus: Bus,
        duty: Duty,
        tools: Tools,
        rescan_ms: int,
    ) -> None:
        self._rescan_ms = RESCANS * rescan_ms
        self._progress = progress
        self._campaigns = campaigns
        self._gates = gates
        self._bus = bus
        self._duty = duty
        self._clock = tools.clock
        self._metrics = tools.metrics
        self._alarm = Alarm(tools.clock, IDLE_MS)
        self._on_duty = False
        self._look_at_all = 0
        """When every campaign is to be looked at next."""
        self._called: dict[int, bool] = {}
        """Campaigns to look at; and whether they were changed."""
        self._reminders: list[tuple[int, int]] = []
        self._reminded: dict[int, int] = {}
        self._numbers: dict[int, int] = {}
        """The last event of campaigns that were looked at lately."""

    def hear(self, hint: Hint) -> None:
        """A campaign changed, or something happened to it."""
        if hint.news is News.MISSED:
            self._look_at_all = 0
            self._alarm.ring()
        elif hint.news in (News.CAMPAIGN, News.PROGRESS, News.CONTACTS, News.CLAIMED) and self._on_duty:
            if hint.news is News.PROGRESS and hint.at and hint.at == self._numbers.get(hint.number):
                return  # it was said here
            changed = hint.news is News.CAMPAIGN or (hint.news is News.PROGRESS and not hint.at)
            self._called[hint.number] = self._called.get(hint.number, False) or changed
            self._alarm.ring()

    async def run(self, has_events: HasEvents) -> None:
        """Tell for ever, and tell `has_events` of campaigns that may have new ones; to be cancelled."""
        while True:
            try:
                if await self._is_on_duty():
                    await self.round(has_events)
            except StoreUnavailable as error:
                log.warning("telling.store_unavailable", reason=str(error))
                self._look_at_all = 0
                await asyncio.sleep(IDLE_MS / 1_000)
            await asyncio.sleep(LEAST_MS / 1_000)
            if not self._called:
                await self._alarm.wait()

    async def round(self, has_events: HasEvents) -> None:
        """Fold what happened, and look at some campaigns that may have something to tell."""
        now = self._clock()
        await self._call_all(now)
        waiting = await self._progress.waiting(AT_ONCE)
        await _together([self._fold(number, now) for number in waiting])
        if waiting:
            self._alarm.ring()
        due = self._next(now)
        for number in waiting:
            due.setdefault(number, False)
        standings = await self._progress.standings(list(due)) if due else {}
        for number, standing in standings.items():
            found = await self._gates.look(number)
            if found is not None and found[0].deleted_at is None:
                row, window = found
                course = Course(row.campaign, window, row.cancelled_at is not None)
                told = await self._tell(number, course, standing, now)
                self._note(number, standing, told)
                has_events(row, due[number])

    async def _is_on_duty(self) -> bool:
        held = await self._duty.held()
        if held and not self._on_duty:
            log.info("telling.begun")
            self._look_at_all = 0
        if not held:
            self._called.clear()
        self._on_duty = held
        return held

    async def _call_all(self, now: int) -> None:
        """Call every campaign from time to time, so that none of its moments is missed."""
        if now < self._look_at_all <= now + self._rescan_ms:
            return
        self._look_at_all = now + self._rescan_ms
        after = 0
        while rows := await self._campaigns.campaigns(after, AT_ONCE):
            for row in rows:
                self._called.setdefault(row.number, False)
            after = rows[-1].number

    async def _fold(self, number: int, now: int) -> None:
        for _ in range(FOLDS):
            if not await self._progress.fold(number, now):
                return

    def _next(self, now: int) -> dict[int, bool]:
        """Campaigns that were called, or whose moment has come."""
        while self._reminders and self._reminders[0][0] <= now:
            at, number = heapq.heappop(self._reminders)
            if self._reminded.get(number) == at:
                del self._reminded[number]
                self._called.setdefault(number, False)
        return {number: self._called.pop(number) for number in list(self._called)[:AT_ONCE]}

    async def _tell(self, number: int, course: Course, standing: Standing, now: int) -> int:
        """Tell what is to be told of a campaign; how many events that made."""
        told = Told(
            started=standing.started_at is not None,
            opened=standing.is_open,
            finished=standing.finished_at is not None,
            counted_at=standing.counted_at,
            is_uncounted=standing.is_uncounted,
        )
        telling = what_to_tell(course, told, standing.balance, now)
        events = 0
        if telling.kinds:
            # Telling folds what has happened meanwhile, which may be the end of the campaign: look again.
            self._called.setdefault(number, False)
        for kind in telling.kinds:
            has_ended = kind is EventKind.FINISHED and next_opening(course.window, now) is None
            events += await self._progress.tell(number, kind, now, has_ended=has_ended)
        if telling.next_at is not None and self._reminded.get(number) != telling.next_at:
            self._reminded[number] = telling.next_at
            heapq.heappush(self._reminders, (telling.next_at, number))
            self._alarm.set(telling.next_at)
        return events

    def _note(self, number: int, standing: Standing, told: int) -> None:
        """Count new events, and have other processes know of them."""
        before, last = self._numbers.pop(number, None), standing.number + told
        self._numbers[number] = last
        if len(self._numbers) > _REMEMBERED:
            self._numbers.pop(next(iter(self._numbers)))
        if last != before:
            self._metrics.progress_events.add(by=last - before if before is not None and last > before else 0)
            self._bus.tell(Hint(News.PROGRESS, number, last))


async def _together(work: Sequence[Awaitable[None]]) -> None:
    """Do some things, a few at a time. Raises what one of them has raised, once all have ended."""
    room = asyncio.Semaphore(TOGETHER)

    async def one(each: Awaitable[None]) -> None:
        async with room:
            await each

    for ended in await asyncio.gather(*map(one, work), return_exceptions=True):
        if isinstance(ended, BaseException):
            raise ended


_REMEMBERED = 10_000
