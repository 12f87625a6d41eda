"""Owns what is told of a campaign's progress: the kinds of events, and the balance of its contacts by status.

Must not know how events are kept, who reads them or how they travel.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum

import msgspec

from campana.domain.delivery import FINAL, Medium, Status


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

    def is_final(self, media: Iterable[Medium]) -> bool:
        """Whether nothing is left to be done on any of the media."""
        done = {Status.DO_NOT_TRY, *FINAL}
        return all(self.among(medium, done) == self.contacts for medium in media)


NOBODY = Balance(0, ((0,) * len(Status),) * len(Medium))
"""The balance of a campaign without contacts."""
