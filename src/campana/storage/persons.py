"""Owns how who a contact is becomes columns, and a contact with its media one value, on any database.

Must not know which database it is, nor hold statements.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from campana.domain.contact import MediumState
from campana.domain.delivery import Medium
from campana.domain.person import Person, packed_fields, person_of
from campana.storage.store import ContactDetails, Unbegun
from campana.storage.tables import CONTACT_BITS, contact_id, delivery_id, number_of

_OF_CONTACT = 6
_OF_MEDIUM = 5


def person_columns(person: Person | None) -> tuple[str | None, str | None, str | None]:
    """Name, reference and fields as they are written. Only who nothing could be said of has no fields at all."""
    if person is None:
        return None, None, None
    return person.name or None, person.reference or None, packed_fields(person.fields)


def details_of(columns: Sequence[Any]) -> ContactDetails:
    """A contact of its id, guid, moment of adding, name, reference and fields, and for each medium destination, text,
    status, last error and attempts left (all None where it has no delivery there)."""
    id_, guid, created_at, *person = columns[:_OF_CONTACT]
    media = []
    for medium in Medium:
        start = _OF_CONTACT + medium * _OF_MEDIUM
        of_medium = columns[start : start + _OF_MEDIUM]
        if of_medium[2] is not None:
            media.append(MediumState(medium, *of_medium))
    return ContactDetails(number_of(id_), str(guid), created_at, person_of(*person), tuple(media))


def media_distances(campaign: int) -> dict[str, int]:
    """How far from a contact's id the ids of its deliveries are, as the statements on details name them."""
    base = contact_id(campaign, 0)
    return {f"to_{medium.name.lower()}": delivery_id(campaign, medium, 0) - base for medium in Medium}


def details_range(campaign: int, after: int, limit: int) -> dict[str, int]:
    """What the statement on details is asked for contacts with numbers above `after`."""
    upto = contact_id(campaign, (1 << CONTACT_BITS) - 1)
    return {"after": contact_id(campaign, after), "upto": upto, "most": limit, **media_distances(campaign)}


def unbegun_range(campaign: int, medium: Medium, after: int, limit: int) -> dict[str, int]:
    """What the statement on contacts that have not begun is asked for those after a contact's id."""
    upto = contact_id(campaign, (1 << CONTACT_BITS) - 1)
    to_medium = delivery_id(campaign, medium, 0) - contact_id(campaign, 0)
    return {"after": after, "upto": upto, "most": limit, "to_medium": to_medium}


def unbegun_of(rows: Iterable[Sequence[Any]]) -> list[Unbegun]:
    """Those of a page of contacts that have not begun."""
    return [
        Unbegun(str(guid), person_of(name, reference, fields), bool(has_own_text))
        for _, guid, name, reference, fields, has_own_text, has_yet_to in rows
        if has_yet_to
    ]
