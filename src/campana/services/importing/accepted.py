"""Owns what became of rows: contacts column by column, and refusals.

Must not know the rules, nor how either is stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from campana.domain.delivery import Medium
from campana.domain.errors import MethodCode
from campana.storage.imports import MediumColumns, Refusal


@dataclass(slots=True)
class MediumChecked:
    """One medium of the contacts that were admitted; see MediumColumns."""

    dials: list[str | None]
    each: list[tuple[str, str | None, int] | None] | None = None


@dataclass(slots=True)
class Checked:
    """What became of rows: contacts column by column, and refusals. `guids` are blank where one is to be made."""

    rows: list[int] = field(default_factory=list)
    guids: list[str] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)
    references: list[str | None] = field(default_factory=list)
    fields: list[str] = field(default_factory=list)
    media: dict[Medium, MediumChecked] = field(default_factory=lambda: {one: MediumChecked([]) for one in Medium})
    refusals: list[Refusal] = field(default_factory=list)

    def columns(self, attempts: Mapping[Medium, int]) -> list[MediumColumns]:
        """The media that are used."""
        return [
            MediumColumns(medium, one.dials, attempts[medium], one.each)
            for medium, one in self.media.items()
            if one.each is not None or any(one.dials)
        ]

    def limit(self, most: int, rule: str) -> None:
        """Keep so many contacts, and refuse the rest with 30."""
        for row in self.rows[most:]:
            self.refusals.append(Refusal(row, None, int(MethodCode.LIMIT_EXCEEDED), rule))
        for column in (self.rows, self.guids, self.names, self.references, self.fields):
            del column[most:]
        for medium in self.media.values():
            del medium.dials[most:]
            if medium.each is not None:
                del medium.each[most:]

    def add(self, more: Checked, attempts: Mapping[Medium, int]) -> None:
        """Append what became of the rows after these."""
        for medium, theirs in more.media.items():
            ours = self.media[medium]
            if theirs.each is not None or ours.each is not None:
                ours.each = [*each_of(ours, attempts[medium]), *each_of(theirs, attempts[medium])]
            ours.dials += theirs.dials
        self.rows += more.rows
        self.guids += more.guids
        self.names += more.names
        self.references += more.references
        self.fields += more.fields
        self.refusals += more.refusals


def each_of(column: MediumChecked, attempts: int) -> list[tuple[str, str | None, int] | None]:
    """Destination, text and attempts of each contact, also where they are what they usually are."""
    if column.each is not None:
        return column.each
    return [None if dial is None else (dial, None, attempts) for dial in column.dials]


def refusal(row: int, rule: str) -> Refusal:
    """A row that is refused as a whole."""
    return Refusal(row, None, int(MethodCode.INVALID_REQUEST), f"The row {rule}")
