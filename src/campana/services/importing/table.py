"""Owns the rules for a table of rows: they are checked column by column, and most pass so.

Must not know how rows are read or stored. A row that does not pass as one of many is taken alone (single.py), which
says why, or takes it after all: so nothing is refused here, and nothing is let in that would not be let in alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any

from campana.domain.campaign import SUBJECT_MAX
from campana.domain.contact import DESTINATION_MAX, SMS_SURELY_FITS, media_without_text, usual_attempts
from campana.domain.delivery import Medium
from campana.domain.destination import dial_phone, normalise_email
from campana.domain.errors import MethodError
from campana.domain.ids import parse_guid
from campana.domain.merging import MERGED_MAX
from campana.domain.person import (
    FIELD_VALUE_MAX,
    FIELDS_BYTES_MAX,
    NAME_MAX,
    REFERENCE_MAX,
    field_key,
    packed_all,
    packed_fields,
)
from campana.domain.text.characters import is_keepable
from campana.domain.text.merge import BUILT_IN
from campana.services.importing.accepted import Checked, MediumChecked, each_of
from campana.services.importing.columns import MEDIUM_ROLES
from campana.services.importing.single import Single

_QUOTED = 6
"""Characters that one may become in html."""


@dataclass(frozen=True, slots=True)
class Usual:
    """What holds for every row of a list."""

    attempts: Mapping[Medium, int]
    """Of who gives none."""
    silent: frozenset[Medium]
    """Media on which everybody has to bring a text."""
    fields: Sequence[tuple[int, str, str]]
    """Merge fields: place, name and key."""

    @classmethod
    def of(cls, single: Single) -> Usual:
        """What holds in the list that is taken by `single`."""
        terms = single.terms
        attempts = {one: usual_attempts(one, terms.campaign, terms.default_attempts) for one in Medium}
        fields = [(place, name, field_key(name)) for place, name in single.layout.fields]
        return cls(attempts, media_without_text(terms.campaign), fields)


class Table:
    """Rows of a table on their way, column by column; `alone` are the places of those that are taken one by one."""

    def __init__(self, single: Single, usual: Usual, rows: Sequence[list[str]], numbers: Sequence[int]) -> None:
        self._single = single
        self._usual = usual
        self._layout = single.layout
        self._terms = single.terms
        self._rows = rows
        self._numbers = numbers
        self._columns = list(zip(*rows, strict=True))
        self._alone: set[int] = set()

    def into(self, checked: Checked) -> None:
        """Check them all."""
        size = len(self._rows)
        guids = self._guids()
        names, references = self._texts("name", NAME_MAX), self._texts("reference", REFERENCE_MAX)
        fields = self._fields_of_all()
        media = {medium: self._medium(medium) for medium in Medium}
        self._demand_media(media)
        self._demand_fields(media)
        keep = [True] * size
        for place in sorted(self._alone):
            keep[place] = self._take_alone(checked, place, (guids, names, references, fields), media)
        self._set_aside_the_blank(keep, (names, references), fields, media)
        everybody = all(keep)

        def kept(column: list[Any]) -> list[Any]:
            return column if everybody else list(compress(column, keep))

        more = Checked(kept(list(self._numbers)), kept(guids), kept(names), kept(references), kept(fields), refusals=[])
        for medium, one in media.items():
            more.media[medium] = MediumChecked(kept(one.dials), None if one.each is None else kept(one.each))
        checked.refusals.sort(key=lambda one: one.row)
        checked.add(more, self._usual.attempts)

    def _cells(self, role: str) -> Sequence[str] | None:
        place = self._layout.places.get(role)
        return None if place is None else self._columns[place]

    def _guids(self) -> list[str]:
        cells = self._cells("id")
        if cells is None:
            return [""] * len(self._rows)
        guids = []
        for place, cell in enumerate(cells):
            try:
                guids.append(parse_guid(cell))
            except ValueError:
                guids.append("")
                self._alone.add(place)
        return guids

    def _texts(self, role: str, most: int) -> list[str | None]:
        cells = self._cells(role)
        if cells is None:
            return [None] * len(self._rows)
        self._look_at(cells, most)
        return [cell.strip() or None for cell in cells]

    def _look_at(self, cells: Sequence[str], most: int) -> None:
        """Set aside those that are too long or hold what cannot be kept."""
        if max(map(len, cells)) > most or not is_keepable("".join(cells)):
            self._alone.update(place for place, cell in enumerate(cells) if len(cell) > most or not is_keepable(cell))

    def _fields_of_all(self) -> list[str]:
        columns = [(name, self._columns[place]) for place, name, _ in self._usual.fields]
        for _, cells in columns:
            self._look_at(cells, FIELD_VALUE_MAX)
        if "fields" in self._layout.places or self._layout.unnamed:
            self._alone.update(range(len(self._rows)))
        if not columns:
            return ["{}"] * len(self._rows)
        names = [name for name, _ in columns]
        whole = not any("" in cells or any(map(str.isspace, cells)) for _, cells in columns)
        rows = zip(*(cells for _, cells in columns), strict=True)
        if whole:
            packed = packed_all([dict(zip(names, cells, strict=True)) for cells in rows])
        else:
            packed = packed_all(
                [
                    {name: cell for name, cell in zip(names, cells, strict=True) if cell and not cell.isspace()}
                    for cells in rows
                ]
            )
        if max(map(len, packed)) * 4 > FIELDS_BYTES_MAX:
            for place, one in enumerate(packed):
                if len(one.encode("utf-8", "replace")) > FIELDS_BYTES_MAX:
                    self._alone.add(place)
        return packed

    def _medium(self, medium: Medium) -> MediumChecked:
        role, size = MEDIUM_ROLES[medium], len(self._rows)
        for member in (".text", ".attempts"):
            cells = self._cells(role + member)
            if cells is not None:
                self._alone.update(place for place, cell in enumerate(cells) if cell and not cell.isspace())
        cells = self._cells(role)
        if cells is None:
            return MediumChecked([None] * size)
        dials: list[str | None] = []
        region, differ = self._terms.region, False
        for place, cell in enumerate(cells):
            if not cell:
                dials.append(None)
                continue
            try:
                dial = normalise_email(cell) if medium is Medium.EMAIL else dial_phone(cell, region)
            except ValueError:
                self._alone.add(place)
                dials.append(None)
                continue
            dials.append(dial)
            if dial != cell:
                differ = True
                if len(cell) > DESTINATION_MAX:
                    self._alone.add(place)
        checked = MediumChecked(dials)
        if differ:
            attempts = self._usual.attempts[medium]
            checked.each = [
                None if dial is None else (cell, None, attempts) for cell, dial in zip(cells, dials, strict=True)
            ]
        return checked

    def _demand_media(self, media: Mapping[Medium, MediumChecked]) -> None:
        for medium in self._single.required:
            self._alone.update(place for place, dial in enumerate(media[medium].dials) if dial is None)
        for medium in self._usual.silent:
            self._alone.update(place for place, dial in enumerate(media[medium].dials) if dial is not None)

    def _demand_fields(self, media: Mapping[Medium, MediumChecked]) -> None:
        """Set aside those who may lack what a text takes, or with whom it may be too long."""
        texts = self._terms.texts
        cells = {key: self._columns[place] for place, _, key in self._usual.fields}
        for key, role in BUILT_IN.items():
            place = self._layout.places.get(role)
            if place is not None:
                cells.setdefault(key, self._columns[place])
        longest = {key: max(map(len, column)) for key, column in cells.items()}
        for medium in texts.media:
            for template in texts.of(medium):
                reached = [place for place, dial in enumerate(media[medium].dials) if dial is not None]
                filled = (max(longest.get(slot.key, 0), len(slot.default or "")) for slot in template.slots)
                length = sum(map(len, template.pieces)) + sum(filled) * (_QUOTED if medium is Medium.EMAIL else 1)
                surely_fits = length <= (SMS_SURELY_FITS if medium is Medium.SMS else MERGED_MAX[medium])
                if template is texts.subject:
                    surely_fits = length <= SUBJECT_MAX
                if not surely_fits or not "".join(template.pieces).strip() or not template.required <= cells.keys():
                    self._alone.update(reached)
                    continue
                for key in template.required:
                    column = cells[key]
                    self._alone.update(place for place in reached if not column[place].strip())

    def _take_alone(
        self, checked: Checked, place: int, columns: tuple[list[Any], ...], media: Mapping[Medium, MediumChecked]
    ) -> bool:
        """Take one row by the functions of the domain; whether it was admitted."""
        try:
            contact = self._single.of_table(self._rows[place])
            taken = self._single.admit(contact)
        except MethodError as error:
            checked.refusals.append(self._single.refused(self._numbers[place], error))
            return False
        if taken is None:
            return False
        admitted, person = taken
        values = (contact.guid, person.name or None, person.reference or None, packed_fields(person.fields))
        for column, value in zip(columns, values, strict=True):
            column[place] = value
        of_medium = {one.medium: one for one in admitted}
        for medium, of_all in media.items():
            one = of_medium.get(medium)
            if of_all.each is None and one is not None:
                of_all.each = each_of(of_all, self._usual.attempts[medium])
            of_all.dials[place] = one.dial if one else None
            if of_all.each is not None:
                of_all.each[place] = (one.destination, one.text, one.attempts_left) if one else None
        return True

    def _set_aside_the_blank(
        self,
        keep: list[bool],
        texts: tuple[list[str | None], ...],
        fields: Sequence[str],
        media: Mapping[Medium, MediumChecked],
    ) -> None:
        """A row in which nothing is said of anybody is none."""
        for place, packed in enumerate(fields):
            if packed != "{}" or any(text[place] for text in texts):
                continue
            if not any(_says(one, place) for one in media.values()):
                keep[place] = False


def _says(column: MediumChecked, place: int) -> bool:
    return column.dials[place] is not None or (column.each is not None and column.each[place] is not None)
