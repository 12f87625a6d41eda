"""Owns the way of rows through the rules: tables many at a time, objects one by one.

Must not know the rules, nor how rows are read or stored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from campana.domain.errors import MethodError
from campana.domain.person import packed_fields
from campana.services.importing.accepted import Checked, refusal
from campana.services.importing.columns import Layout
from campana.services.importing.records import Broken, Row
from campana.services.importing.single import Single, Terms
from campana.services.importing.table import Table, Usual


class Checker:
    """Checks rows of one list."""

    def __init__(self, terms: Terms, layout: Layout | None = None, roles: Mapping[str, str] | None = None) -> None:
        """`layout` of a table; of objects `roles`, which say what their keys are."""
        self._single = Single(terms, layout or Layout(()), roles or {})
        self._usual = Usual.of(self._single)
        self.attempts = self._usual.attempts

    def check(self, rows: Sequence[Row], first: int) -> Checked:
        """Check rows, the first of which has this number."""
        checked = Checked()
        table: list[list[str]] = []
        numbers: list[int] = []
        width = len(self._single.layout.names)
        for number, row in enumerate(rows, first):
            if isinstance(row, list):
                if len(row) != width:
                    rule = f"must have {width} columns, as the header has."
                    checked.refusals.append(refusal(number, rule))
                elif any(row):
                    table.append(row)
                    numbers.append(number)
            elif isinstance(row, Broken):
                checked.refusals.append(refusal(number, row.rule))
            else:
                self._take(checked, row, number)
        if table:
            Table(self._single, self._usual, table, numbers).into(checked)
        return checked

    def _take(self, checked: Checked, row: Mapping[str, Any], number: int) -> None:
        try:
            contact = self._single.of_object(row)
            taken = self._single.admit(contact)
        except MethodError as error:
            checked.refusals.append(self._single.refused(number, error))
            return
        if taken is None:
            return
        admitted, person = taken
        checked.rows.append(number)
        checked.guids.append(contact.guid)
        checked.names.append(person.name or None)
        checked.references.append(person.reference or None)
        checked.fields.append(packed_fields(person.fields))
        of_medium = {one.medium: one for one in admitted}
        for medium, column in checked.media.items():
            if column.each is None:
                column.each = []
            one = of_medium.get(medium)
            column.dials.append(one.dial if one else None)
            column.each.append((one.destination, one.text, one.attempts_left) if one else None)
