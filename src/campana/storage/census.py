"""Owns how a campaign's counts are taken from its contacts and deliveries themselves, and compared with what was
folded.

Must not hold statements. Everything that is compared must come from one snapshot; what differs may be added to the
row of progress at any later time, since folding moves both alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from campana.domain.delivery import Medium, Status
from campana.storage.happenings import Folded, Happening, may_stray, no_tallies, strays_in
from campana.storage.tables import contact_id, delivery_id

COUNTED_AT_ONCE = 200_000
"""Contact numbers that one statement counts."""


def parts(contacts: int) -> Iterator[tuple[int, int]]:
    """Contact numbers in portions: after which, and up to which."""
    for after in range(0, contacts, COUNTED_AT_ONCE):
        yield after, min(contacts, after + COUNTED_AT_ONCE)


def contact_bounds(campaign: int, part: tuple[int, int]) -> dict[str, int]:
    """The parameters of a count of contacts."""
    return {"after": contact_id(campaign, part[0]), "upto": contact_id(campaign, part[1])}


def delivery_bounds(campaign: int, medium: Medium, part: tuple[int, int]) -> dict[str, int]:
    """The parameters of a count of deliveries."""
    after, upto = (delivery_id(campaign, medium, number) for number in part)
    return {"after": after, "upto": upto}


@dataclass(slots=True)
class Census:
    """What is counted: filled portion by portion."""

    contacts: int = 0
    """Those that are not deleted."""
    tallies: list[list[int]] = field(default_factory=no_tallies)
    """Of their deliveries; who has none on a medium is counted in `whole`."""
    strays: set[int] = field(default_factory=set)
    """Deliveries of deleted contacts which may still move."""

    def add(self, medium: Medium, statuses: Iterable[tuple[int, int]], deleted: Iterable[tuple[int, int]]) -> None:
        """Count deliveries on a medium: how many are in each status, those of deleted contacts included; and these,
        each with its status."""
        row = self.tallies[medium]
        for status, count in statuses:
            row[status] += count
        for delivery, status in deleted:
            row[status] -= 1
            if may_stray(medium, status):
                self.strays.add(delivery)

    @property
    def whole(self) -> list[list[int]]:
        """The counts by medium and status, each medium's of all contacts."""
        tallies = [list(row) for row in self.tallies]
        for row in tallies:
            row[Status.DO_NOT_TRY] += self.contacts - sum(row)
        return tallies


@dataclass(frozen=True, slots=True)
class Difference:
    """What a row of progress lacks, to be added to it."""

    contacts: int
    tallies: list[list[int]]
    strays: list[int]
    """Deliveries that nobody wrote down as strays."""


class Kept(Protocol):
    """The counts of a row of progress."""

    @property
    def contacts(self) -> int: ...

    @property
    def tallies(self) -> list[list[int]]: ...


@dataclass(frozen=True, slots=True)
class Folding:
    """What was folded so far and what was not, in the snapshot of a census."""

    contacts: int
    tallies: Sequence[Sequence[int]]
    happenings: Sequence[Happening]
    strays: frozenset[int]
    """Of the whole campaign."""

    @classmethod
    def of(cls, kept: Kept | None, happenings: Sequence[Happening], strays: Iterable[int]) -> Folding:
        """Of a campaign's row, where there is one."""
        contacts, tallies = (0, no_tallies()) if kept is None else (kept.contacts, kept.tallies)
        return cls(contacts, tallies, happenings, frozenset(strays))


def compare(census: Census, folding: Folding) -> Difference:
    """Tell what is to be added so that what was folded, with what was not, comes to what was counted."""
    missing = census.strays - folding.strays - strays_in(folding.happenings)
    expected = Folded(strays=sorted(folding.strays | missing)).take_all(folding.happenings)
    tallies = [
        [counted - kept - more for counted, kept, more in zip(*rows, strict=True)]
        for rows in zip(census.whole, folding.tallies, expected.tallies, strict=True)
    ]
    return Difference(census.contacts - folding.contacts - expected.contacts, tallies, sorted(missing))
