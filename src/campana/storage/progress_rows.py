"""Owns how a campaign's progress is kept in its row, and what folding, telling and auditing make of that.

Must not hold statements, nor know which database it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from campana.domain.delivery import Medium, Status
from campana.domain.progress import Balance, Event, EventKind
from campana.storage.census import Difference
from campana.storage.happenings import EventColumns, Folded, ids_of, no_tallies
from campana.storage.progress import Repair, Standing
from campana.storage.tables import campaign_of, contact_id, number_of

PROGRESS_COLUMNS = (
    "number",
    "contacts",
    "tallies",
    "started_at",
    "finished_at",
    "is_open",
    "counted_at",
    "is_uncounted",
    "audited_at",
)
"""Columns of a row of progress but its key, as ProgressRow has them."""

EVENT_ROWS_AT_ONCE = 64
"""Rows of events that are read in one go: each may stand for hundreds."""

_Tallies = list[list[int]]
_encode = msgspec.json.Encoder().encode
_decode_tallies = msgspec.json.Decoder(_Tallies).decode
_decode_balance = msgspec.json.Decoder(Balance).decode


@dataclass(frozen=True, slots=True)
class Prospects:
    """What a campaign's row says of whether anything is left to be done."""

    media: tuple[Medium, ...]
    """On which something that waits may go: those that are enabled; of a cancelled campaign all, until its sweep is
    through."""

    @classmethod
    def of(cls, media: int, cancelled_at: int | None) -> Prospects:
        """Of a campaign's columns."""
        return cls(tuple(one for one in Medium if cancelled_at is not None or media >> one & 1))


@dataclass(slots=True)
class ProgressRow:
    """A row of progress, to be changed and written back."""

    number: int
    contacts: int
    tallies: _Tallies
    started_at: int | None
    finished_at: int | None
    is_open: int
    counted_at: int
    is_uncounted: int
    audited_at: int

    @classmethod
    def of(cls, columns: Iterable[Any]) -> ProgressRow:
        """Of PROGRESS_COLUMNS."""
        number, contacts, tallies, *rest = columns
        return cls(number, contacts, _decode_tallies(tallies), *rest)

    @property
    def balance(self) -> Balance:
        """The counts."""
        return Balance(self.contacts, tuple(tuple(row) for row in self.tallies))

    @property
    def columns(self) -> tuple[Any, ...]:
        """The row as it is written, in the order of PROGRESS_COLUMNS."""
        told = (self.started_at, self.finished_at, self.is_open, self.counted_at, self.is_uncounted, self.audited_at)
        return (self.number, self.contacts, _encode(self.tallies).decode(), *told)

    def apply(self, folded: Folded, course: Prospects) -> None:
        """Count what was folded."""
        self.number = folded.number
        self.add(folded.contacts, folded.tallies)
        self.is_uncounted |= folded.is_counted
        if self.finished_at is not None and folded.has_opened:
            self._reopen(course)

    def repair(self, campaign: int, difference: Difference, course: Prospects) -> list[Repair]:
        """Set right what differs; what that was."""
        repairs = [
            Repair(campaign, Medium(medium), Status(status), by)
            for medium, row in enumerate(difference.tallies)
            for status, by in enumerate(row)
            if by
        ]
        if difference.contacts:
            repairs.insert(0, Repair(campaign, None, None, difference.contacts))
        if repairs:
            self.add(difference.contacts, difference.tallies)
            self.is_uncounted = 1
            self._reopen(course)
        return repairs

    def tell(self, kind: EventKind, at: int, course: Prospects, *, has_ended: bool) -> EventColumns | None:
        """Tell what was not told yet: its event. None where there is nothing to tell. Raises ValueError for what is not
        told but happens."""
        body: str | None = None
        if kind is EventKind.STARTED and self.started_at is None:
            self.started_at = at
        elif kind is EventKind.WINDOW_OPENED and not self.is_open:
            self.is_open = 1
        elif kind is EventKind.WINDOW_CLOSED and self.is_open:
            self.is_open = 0
        elif kind is EventKind.COUNTERS and self.is_uncounted:
            self.counted_at, self.is_uncounted = at, 0
            body = _encode(self.balance).decode()
        elif kind is EventKind.FINISHED and self.finished_at is None and self._is_settled(course, has_ended):
            self.finished_at = at
            body = _encode(self.balance).decode()
        elif kind in (EventKind.STATUS_CHANGED, EventKind.PAUSED, EventKind.RESUMED, EventKind.CANCELLED):
            raise ValueError(f"{kind.type} is written down by what makes it true")
        else:
            return None
        self.number += 1
        return (self.number, at, int(kind), None, None, None, None, None, None, None, 1, body)

    def standing(self, folded: Folded) -> Standing:
        """How the campaign stands, with what was not yet folded."""
        now = ProgressRow.of(self.columns)
        now.add(folded.contacts, folded.tallies)
        return Standing(
            balance=now.balance,
            number=self.number,
            started_at=self.started_at,
            finished_at=self.finished_at,
            is_open=bool(self.is_open),
            counted_at=self.counted_at,
            is_uncounted=bool(self.is_uncounted) or folded.is_counted,
        )

    def _is_settled(self, course: Prospects, has_ended: bool) -> bool:
        return self.balance.is_settled(() if has_ended else course.media)

    def _reopen(self, course: Prospects) -> None:
        if not self._is_settled(course, has_ended=False):
            self.finished_at = None

    def add(self, contacts: int, tallies: _Tallies) -> None:
        """Count so many more."""
        self.contacts += contacts
        for row, more in zip(self.tallies, tallies, strict=True):
            for status, by in enumerate(more):
                row[status] += by


def first_row(at: int, counted: Difference | None = None) -> ProgressRow:
    """The row of a new campaign, or of one of an earlier version, of which nothing was told so far."""
    row = ProgressRow(0, 0, no_tallies(), None, None, 0, 0, 0, at)
    if counted is not None:
        row.add(counted.contacts, counted.tallies)
        row.is_uncounted = 1
    return row


def row_values(row: ProgressRow, prefix: str = "") -> dict[str, Any]:
    """A row as the parameters of a statement."""
    return {f"{prefix}{name}": value for name, value in zip(PROGRESS_COLUMNS, row.columns, strict=True)}


@dataclass(slots=True)
class Telling:
    """Events that are gathered from their rows, as many as were asked for."""

    after: int
    limit: int
    told: list[Told] = field(default_factory=list)
    count: int = 0

    def take(self, rows: Sequence[tuple[Any, ...]]) -> bool:
        """Take the next rows; True where more of them are needed and may be there."""
        for row in rows:
            if self.count >= self.limit:
                break
            if row[0] + row[10] <= self.after + 1:
                continue
            some = Told.of(row, self.after, self.limit - self.count)
            self.told.append(some)
            self.count += some.count
            self.after = some.first + some.count - 1
        return self.count < self.limit and len(rows) == EVENT_ROWS_AT_ONCE

    @property
    def contacts(self) -> list[int]:
        """The ids of the contacts that are named, in rising order."""
        return sorted({contact_of(one) for some in self.told for one in some.deliveries})

    def events(self, names: Iterable[Iterable[Any]]) -> list[Event]:
        """The events, with contacts' ids, guids and references."""
        known = {id: (str(guid), reference) for id, guid, reference in names}
        return [event for some in self.told for event in some.events(known)]


@dataclass(frozen=True, slots=True)
class Told:
    """Some of the events for which a row stands."""

    row: tuple[Any, ...]
    """EventColumns."""
    first: int
    """Their first number."""
    deliveries: Sequence[int]
    """Those of a changed status, else none."""

    @classmethod
    def of(cls, row: tuple[Any, ...], after: int, most: int) -> Told:
        """Those with numbers above `after`, at most so many."""
        number, *_, first, last, ids, size, _ = row
        skip = max(0, after + 1 - number)
        named: Sequence[int] = () if first is None or last is None else ids_of(first, last, ids)[skip : skip + most]
        return cls(row, number + min(skip, size - 1), named)

    @property
    def count(self) -> int:
        """How many they are."""
        return len(self.deliveries) or 1

    def events(self, names: dict[int, tuple[str, str | None]]) -> list[Event]:
        """They, with contacts' guids and references by id. A contact that is not known is left blank."""
        _, at, kind, medium, was, status, code, _, _, _, _, body = self.row
        if medium is None or was is None or status is None:
            balance = _decode_balance(body) if body else None
            return [Event(self.first, EventKind(kind), at, balance=balance)]
        on, before, then = Medium(medium), Status(was), Status(status)
        events = []
        for number, delivery in enumerate(self.deliveries, self.first):
            guid, reference = names.get(contact_of(delivery), ("", None))
            events.append(Event(number, EventKind.STATUS_CHANGED, at, guid, reference, on, before, then, code or 0))
        return events


def contact_of(delivery: int) -> int:
    """The id of the contact to which a delivery belongs."""
    return contact_id(campaign_of(delivery), number_of(delivery))
