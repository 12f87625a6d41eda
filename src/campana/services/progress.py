"""Owns what may be asked about how a campaign goes on: its balance, its events, why a delivery waits, its endpoint.

Must not know how a door words them, nor how they are stored.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from campana.bus.contract import Bus, Hint, News
from campana.domain.delivery import Medium
from campana.domain.errors import MethodCode, MethodError
from campana.domain.moment import Clock
from campana.domain.progress import Balance, Course, Event, State, is_finished, state_of
from campana.domain.schedule import window_of
from campana.domain.waiting import Reach, Waiter, Why, why
from campana.services.access import Action, find_campaign
from campana.services.principal import Principal
from campana.services.tools import Tools
from campana.storage.progress import Progress, Standing
from campana.storage.publications import Publication, Publications
from campana.storage.store import CampaignRow, Campaigns
from campana.storage.waits import Waits

LOOK_SECONDS = 1.0
"""How often a watcher looks for events of which no hint came."""
QUIET_SECONDS = 15.0
"""A watcher that has nothing to tell says so as often; and as often it makes sure that it still may watch."""
WATCH_SECONDS = 1_800.0
"""How long a watcher watches, whatever comes: a session may have ended meanwhile."""
MOST_WATCHERS = 500
MOST_WATCHERS_OF_ACCOUNT = 100
EVENTS_AT_ONCE = 500
FOLDS = 3
"""Folds before a reader's answer at most: where others fold too, one finds nothing to do."""

Admit = Callable[[], Awaitable[Principal]]
"""Makes sure that whoever watches still may come in, and tells who it is. Raises MethodError."""

Reaches = Callable[[Medium, str, str], Reach]
"""How the routes are to a destination on a medium, of an account (its id)."""


def nobody_knows(medium: Medium, account: str, destination: str) -> Reach:
    """The view of a process that knows of no route."""
    return Reach.NONE


@dataclass(frozen=True, slots=True)
class Position:
    """Where a campaign is."""

    balance: Balance
    state: State
    finished: bool


@dataclass(frozen=True, slots=True)
class Report:
    """A campaign and how it stands, of one moment."""

    row: CampaignRow
    standing: Standing
    position: Position
    at: int
    """Epoch milliseconds."""


@dataclass(frozen=True, slots=True)
class PublicationState:
    """How the endpoint of a campaign is told."""

    endpoint: str
    """Blank where the campaign has none."""
    last: int
    """The number of the last event that there is."""
    told: Publication | None
    """None where nothing was told yet."""

    @property
    def behind(self) -> int:
        """How many events it has not taken."""
        return self.last - (self.told.sent if self.told is not None else 0)


@dataclass(frozen=True, slots=True)
class ProgressStores:
    """The parts of the store that are asked."""

    campaigns: Campaigns
    progress: Progress
    publications: Publications
    waits: Waits


class ProgressService:
    """Progress of campaigns that whoever asks may see. Used from one event loop."""

    def __init__(
        self, stores: ProgressStores, tools: Tools, reaches: Reaches = nobody_knows, quiet: float = QUIET_SECONDS
    ) -> None:
        """`quiet` is in seconds."""
        self._quiet = quiet
        self._campaigns = stores.campaigns
        self._progress = stores.progress
        self._publications = stores.publications
        self._waits = stores.waits
        self._reaches = reaches
        self._clock: Clock = tools.clock
        self._bus: Bus = tools.bus
        self._watchers: Counter[int] = Counter()
        """Streams of events that are open, by account ..."""
        self._woken: set[asyncio.Event] = set()
        """... and what wakes each."""
        self._is_over = False

    async def balance(self, who: Principal, guid: str) -> Position:
        """How many contacts are in each status, right now. Raises 10 CampaignNotFound."""
        row = await find_campaign(self._campaigns, who, guid, Action.SEE)
        return self._position(row, await self._standing(row))

    async def report(self, who: Principal, guid: str) -> Report:
        """A campaign and how it stands. Raises 10 CampaignNotFound."""
        row = await find_campaign(self._campaigns, who, guid, Action.SEE)
        standing = await self._standing(row)
        return Report(row, standing, self._position(row, standing), self._clock())

    def _position(self, row: CampaignRow, standing: Standing) -> Position:
        """Where a campaign is, of its row and its standing."""
        now, course = self._clock(), _course(row)
        finished = is_finished(course, standing.balance, now)
        return Position(standing.balance, state_of(course, now, finished=finished), finished)

    async def events(self, who: Principal, guid: str, after: int, limit: int) -> list[Event]:
        """Events with numbers above `after`, at most `limit`, in their order. Raises 10 CampaignNotFound."""
        row = await find_campaign(self._campaigns, who, guid, Action.SEE)
        return await self._events(row.number, after, limit)

    async def watch(self, who: Principal, guid: str, after: int, admit: Admit) -> AsyncIterator[list[Event]]:
        """Events with numbers above `after` as they come, in order; an empty list now and then, where none come. The
        first comes at once.

        It ends soon after `admit` refuses, or the campaign may not be seen any more, however much is to be told; and
        after a while, for who has more to see comes again. What is
        refused is refused before the first events: 10 CampaignNotFound, 31 RateLimited where too many watch.
        """
        row = await find_campaign(self._campaigns, who, guid, Action.SEE)
        account = row.account
        if self._watchers.total() >= MOST_WATCHERS or self._watchers[account] >= MOST_WATCHERS_OF_ACCOUNT:
            raise MethodError(MethodCode.RATE_LIMITED, "There are as many streams of events as there may be.")
        return self._watch(admit, row, after)

    def end_watching(self) -> None:
        """End every stream of events, since the process stops; its readers come again and go on elsewhere."""
        self._is_over = True
        for woken in self._woken:
            woken.set()

    async def why(self, who: Principal, campaign_guid: str, contact_guid: str, medium: Medium) -> Why:
        """The rule that holds a delivery back, and the next moment at which it may go.

        Raises, in this order, 10 CampaignNotFound, 20 ContactNotFound.
        """
        row = await find_campaign(self._campaigns, who, campaign_guid, Action.SEE)
        found = await self._waits.find(row.number, contact_guid, medium)
        if found is None:
            raise MethodError(MethodCode.CONTACT_NOT_FOUND)
        reach = self._reaches(medium, row.account_id, found.dial or "")
        return why(_course(row), Waiter(medium, found.status, found.code, found.due_at), reach, self._clock())

    async def publication(self, who: Principal, guid: str) -> PublicationState:
        """How the campaign's endpoint is told. Raises 10 CampaignNotFound."""
        row = await find_campaign(self._campaigns, who, guid, Action.SEE)
        return await self._publication(row)

    async def retry(self, who: Principal, guid: str) -> PublicationState:
        """Have the endpoint told again now, also where it was given up: from where it stood.

        Raises, in this order, 10 CampaignNotFound, 3 AccessDenied, 40 NotFound where the campaign has no endpoint.
        """
        row = await find_campaign(self._campaigns, who, guid, Action.CHANGE_CAMPAIGN)
        if not row.campaign.progress_endpoint:
            raise MethodError(MethodCode.NOT_FOUND, "The campaign has no progress endpoint.")
        await self._publications.retry(row.number)
        self._bus.tell(Hint(News.PROGRESS, row.number))
        return await self._publication(row)

    async def _publication(self, row: CampaignRow) -> PublicationState:
        standing = await self._standing(row)
        endpoint = row.campaign.progress_endpoint or ""
        return PublicationState(endpoint, standing.number, await self._publications.find(row.number))

    async def _standing(self, row: CampaignRow) -> Standing:
        standing = (await self._progress.standings([row.number])).get(row.number)
        if standing is None:
            raise MethodError(MethodCode.CAMPAIGN_NOT_FOUND)
        return standing

    async def _events(self, number: int, after: int, limit: int) -> list[Event]:
        """What is there, once what happened has been numbered: also where no engine is at work."""
        events = await self._progress.events(number, after, limit)
        if len(events) >= limit:
            return events
        for _ in range(FOLDS):
            if not await self._progress.fold(number, self._clock()):
                break
        known = len(events)
        events = await self._progress.events(number, after, limit)
        if len(events) > known:
            # Whoever tells of campaigns is to look at what was numbered here.
            self._bus.tell(Hint(News.PROGRESS, number, events[-1].number))
        return events

    async def _watch(self, admit: Admit, row: CampaignRow, after: int) -> AsyncIterator[list[Event]]:
        woken, clock = asyncio.Event(), asyncio.get_running_loop().time
        admitted = clock()

        def hear(hint: Hint) -> None:
            if hint.news is News.MISSED or (hint.news is News.PROGRESS and hint.number == row.number):
                woken.set()

        end = self._bus.listen(hear)
        self._watchers[row.account] += 1
        self._woken.add(woken)
        try:
            async for events in self._new_events(row.number, after, woken):
                yield events
                if clock() - admitted >= self._quiet:
                    # It may have been deleted, its user disabled or their rights others now.
                    await find_campaign(self._campaigns, await admit(), row.campaign.guid, Action.SEE)
                    admitted = clock()
        except MethodError:
            return
        finally:
            self._watchers[row.account] -= 1
            self._woken.discard(woken)
            end()

    async def _new_events(self, number: int, after: int, woken: asyncio.Event) -> AsyncIterator[list[Event]]:
        """Events as they come, and an empty list where there is nothing to tell for a while; for WATCH_SECONDS."""
        clock = asyncio.get_running_loop().time
        began = clock()
        said = began - self._quiet
        while not self._is_over and clock() - began < WATCH_SECONDS:
            woken.clear()
            events = await self._events(number, after, EVENTS_AT_ONCE)
            if events:
                after = events[-1].number
            if events or clock() - said >= self._quiet:
                said = clock()
                yield events
            if len(events) < EVENTS_AT_ONCE and not self._is_over:
                await _happens(woken, LOOK_SECONDS)


def _course(row: CampaignRow) -> Course:
    return Course(row.campaign, window_of(row.campaign, row.zone), row.cancelled_at is not None)


async def _happens(event: asyncio.Event, seconds: float) -> None:
    """Wait for an event for a while."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
