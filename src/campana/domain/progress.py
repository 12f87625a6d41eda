"""Owns what is told of a campaign's progress: the kinds of events, the balance of its contacts by status, and which of
it is to be told when.

Must not know how events are kept, who reads them or how they travel.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum

import msgspec

from campana.domain.campaign import Campaign, media_enabled
from campana.domain.delivery import IN_PROGRESS, WAITING, Medium, Status
from campana.domain.moment import SECOND
from campana.domain.schedule import Window, closes_at, first_opening, is_open, next_opening

COUNTERS_EVERY = 5 * SECOND
"""The counters of a campaign are told no more often."""


class EventKind(IntEnum):
    """What happened. The numbers are stored and never change; the names are the `type` of an event."""

    STATUS_CHANGED = 1
    COUNTERS = 2
    STARTED = 3
    PAUSED = 4
    RESUMED = 5
    WINDOW_OPENED = 6
    WINDOW_CLOSED = 7
    FINISHED = 8
    CANCELLED = 9

    @property
    def type(self) -> str:
        """The name that events carry, for example `campaign.started`."""
        return EVENT_TYPES[self]


EVENT_TYPES: Mapping[EventKind, str] = {
    EventKind.STATUS_CHANGED: "contact.status_changed",
    EventKind.COUNTERS: "campaign.counters",
    EventKind.STARTED: "campaign.started",
    EventKind.PAUSED: "campaign.paused",
    EventKind.RESUMED: "campaign.resumed",
    EventKind.WINDOW_OPENED: "campaign.window_opened",
    EventKind.WINDOW_CLOSED: "campaign.window_closed",
    EventKind.FINISHED: "campaign.finished",
    EventKind.CANCELLED: "campaign.cancelled",
}


class Event(msgspec.Struct, frozen=True, gc=False):
    """One thing that happened to a campaign. Numbers count from 1 in each campaign, without gaps."""

    number: int
    kind: EventKind
    at: int
    """Epoch milliseconds."""
    contact: str | None = None
    """A changed status: the contact's guid ..."""
    reference: str | None = None
    """... the client's own reference for it ..."""
    medium: Medium | None = None
    was: Status | None = None
    status: Status | None = None
    code: int = 0
    """... and its LastDeliveryErrorCode from then on."""
    balance: Balance | None = None
    """Counters, and the end of a campaign: how it stood."""


@dataclass(frozen=True, slots=True)
class Balance:
    """How many contacts of a campaign are in each status, on each medium. Each row sums up to `contacts`."""

    contacts: int
    tallies: tuple[tuple[int, ...], ...]
    """By medium, then by status. A contact without a delivery on a medium counts as DO_NOT_TRY."""

    def of(self, medium: Medium, status: Status) -> int:
        """How many contacts are in a status on a medium."""
        return self.tallies[medium][status]

    def among(self, medium: Medium, statuses: Iterable[Status]) -> int:
        """How many contacts are in one of some statuses on a medium."""
        return sum(self.tallies[medium][status] for status in statuses)

    def is_settled(self, media: Iterable[Medium]) -> bool:
        """Whether nothing can still change by itself: nothing is on its way, and nothing waits on any of the media on
        which it may go."""
        on_its_way = any(self.among(medium, IN_PROGRESS) for medium in Medium)
        return not on_its_way and not any(self.among(medium, WAITING) for medium in media)


NOBODY = Balance(0, ((0,) * len(Status),) * len(Medium))
"""The balance of a campaign without contacts."""


class State(StrEnum):
    """Where a campaign is at an instant."""

    SCHEDULED = "scheduled"
    """Its first window has not opened yet."""
    RUNNING = "running"
    """Attempts may begin."""
    WAITING = "waiting"
    """Between two of its windows."""
    PAUSED = "paused"
    FINISHED = "finished"
    """Nothing of it can still change by itself."""
    ENDED = "ended"
    """Its last window has closed, and something of it is still on its way."""
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Course:
    """What decides how a campaign goes on."""

    campaign: Campaign
    window: Window
    is_cancelled: bool = False


def is_finished(course: Course, balance: Balance, at: int) -> bool:
    """Tell whether nothing of a campaign can still change by itself.

    That is so where nothing is on its way, and nothing waits on an enabled medium; of a cancelled one, on any. After
    the end of its last window what waits is not begun any more, so that only what is on its way counts. Without
    contacts a campaign is not finished before its end, as it has not begun.
    """
    if course.is_cancelled:
        return balance.is_settled(Medium)
    if next_opening(course.window, at) is None:
        return balance.is_settled(())
    return balance.contacts > 0 and balance.is_settled(media_enabled(course.campaign))


def state_of(course: Course, at: int, *, finished: bool) -> State:
    """Tell where a campaign is; `finished` is what `is_finished` says, or was told of it."""
    if course.is_cancelled:
        return State.CANCELLED
    if finished:
        return State.FINISHED
    if next_opening(course.window, at) is None:
        return State.ENDED
    if course.campaign.is_paused:
        return State.PAUSED
    if is_open(course.window, at):
        return State.RUNNING
    first = first_opening(course.window)
    return State.SCHEDULED if first is not None and first > at else State.WAITING


@dataclass(frozen=True, slots=True)
class Told:
    """What was told of a campaign by now."""

    started: bool = False
    opened: bool = False
    """Its window was last told to be open."""
    finished: bool = False
    counted_at: int = 0
    """When counters were last told (epoch milliseconds)."""
    is_uncounted: bool = False
    """Whether they have changed since."""


@dataclass(frozen=True, slots=True)
class Telling:
    """What is to be told of a campaign now, in this order, and when there may be more to tell by the clock alone."""

    kinds: tuple[EventKind, ...]
    next_at: int | None


def what_to_tell(course: Course, told: Told, balance: Balance, now: int) -> Telling:
    """Compare how a campaign stands with what was told of it.

    It has *started* when its window is open for the first time and it is not paused, contacts or none. Counters are
    told every few seconds while they change; the end of a campaign tells them itself.
    """
    kinds: list[EventKind] = []
    opened = is_open(course.window, now) and not course.is_cancelled
    if opened != told.opened:
        kinds.append(EventKind.WINDOW_OPENED if opened else EventKind.WINDOW_CLOSED)
    if opened and not told.started and not course.campaign.is_paused:
        kinds.append(EventKind.STARTED)
    moments = [_next_edge(course, opened, now)]
    if is_finished(course, balance, now) and not told.finished:
        kinds.append(EventKind.FINISHED)
    elif told.is_uncounted:
        if not now - COUNTERS_EVERY < told.counted_at <= now:
            kinds.append(EventKind.COUNTERS)
        else:
            moments.append(told.counted_at + COUNTERS_EVERY)
    return Telling(tuple(kinds), min((at for at in moments if at is not None), default=None))


def _next_edge(course: Course, opened: bool, now: int) -> int | None:
    if course.is_cancelled:
        return None
    return closes_at(course.window, now) if opened else next_opening(course.window, now)
