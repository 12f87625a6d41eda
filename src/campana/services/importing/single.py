"""Owns the rules for a row taken alone: what is to be stored of it, or why it is refused, in the words of its list.

Must not know how rows are read or stored. The rules are the domain's for adding a contact; besides, every medium that
the campaign requires is demanded of everybody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from campana.domain.campaign import Campaign
from campana.domain.contact import WIRES, Admitted, Contact, admit, demand_required, media_required
from campana.domain.delivery import Medium
from campana.domain.errors import MethodCode, MethodError
from campana.domain.merging import MergeTexts, check_merge, reached_by
from campana.domain.person import NOBODY, Person, check_person
from campana.services.importing.columns import FIELD, Layout
from campana.services.importing.objects import from_object
from campana.storage.imports import Refusal

_MEDIA = {wire: medium.name.lower() for medium, wire in WIRES.items()}
_MEMBERS = {"Destination": "", "TextToSendOverwrite": ".text", "RetryCount": ".attempts"}


@dataclass(frozen=True, slots=True)
class Terms:
    """What rows are held to."""

    campaign: Campaign
    texts: MergeTexts
    region: str
    default_attempts: Mapping[Medium, int]


class Single:
    """Takes rows of one list, one by one."""

    def __init__(self, terms: Terms, layout: Layout, roles: Mapping[str, str]) -> None:
        self.terms = terms
        self.layout = layout
        self.required = media_required(terms.campaign)
        self._roles = roles

    def admit(self, contact: Contact) -> tuple[tuple[Admitted, ...], Person] | None:
        """What is to be stored of a contact; None where nothing is said of anybody. Raises MethodError."""
        terms = self.terms
        admitted = admit(contact, terms.campaign, terms.region, default_attempts=terms.default_attempts)
        person = check_person(contact.person or NOBODY)
        if not admitted and person == NOBODY:
            return None
        check_merge(reached_by(admitted), terms.texts, person)
        if self.required:
            demand_required(admitted, terms.campaign)
        return admitted, person

    def of_object(self, row: Mapping[str, Any]) -> Contact:
        """An object as a contact. Raises MethodError."""
        return from_object(row, self._roles)

    def of_table(self, row: Sequence[str]) -> Contact:
        """A row of a table as a contact. Raises MethodError."""
        layout = self.layout
        if any(row[place] and not row[place].isspace() for place in layout.unnamed):
            raise MethodError(MethodCode.INVALID_REQUEST, "A column without a name must be blank.")
        given: dict[str, Any] = {role: row[place] for role, place in layout.places.items()}
        given |= {FIELD + name: row[place] for place, name in layout.fields}
        return from_object(given, {})

    def refused(self, number: int, error: MethodError) -> Refusal:
        """A refusal in the words of the list."""
        role, rule = _role_of(error.field), error.sentence
        column = (self.layout.name_of(role) or role) if role else None
        if error.field and column:
            rule = rule.replace(error.field, column)
        return Refusal(number, column, int(error.code), rule)


def _role_of(field_name: str | None) -> str | None:
    """Which column a field of the contract is."""
    wire, _, member = (field_name or "").partition(".")
    if wire in _MEDIA:
        return _MEDIA[wire] + _MEMBERS.get(member, "")
    return wire[:1].lower() + wire[1:] or None
