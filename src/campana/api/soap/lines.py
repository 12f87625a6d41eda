"""Owns the fast way out for contacts: from the store's flat lines to elements, a page at a time.

Must not know of requests, or of any other type. Contacts are the one answer that may be long. Their elements are `%`
templates, joined from the WSDL's tables at start: one for each pattern of nulls that occurs in a list, so that a
line costs one look-up and one formatting. A page is searched once for characters to escape, not value by value.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from operator import itemgetter

from campana.api.soap.bindings import BINDINGS
from campana.api.soap.schema import Kind, ObjectType, Schema
from campana.api.soap.values import escape, is_plain
from campana.storage.store import ContactLine

CONTACT = "OutboundNotificationContactInfo"

_BASES = {"guid": 0, "sms": 1, "voice": 6, "email": 11}
_PLACES = {"destination": 0, "text": 1, "status": 2, "last_error": 3, "attempts_left": 4}
"""Where the fields of a contact, and those of its media relative to them, stand in a ContactLine."""

_TEXTS = (1, 2, 6, 7, 11, 12)
"""The places of what people wrote, or None."""

_texts = itemgetter(*_TEXTS)

_Nulls = tuple[bool, bool, bool, bool, bool, bool]
"""Which values at _TEXTS are null."""


@dataclass(frozen=True, slots=True)
class _Slot:
    """The element of one value: its place in a ContactLine (None: the campaign's guid), and its form where null."""

    name: str
    place: int | None
    null: str

    def template(self, campaign: str, null: bool) -> str:
        if self.place is None:
            return f"<a:{self.name}>{campaign}</a:{self.name}>"
        # %.0s takes the value and writes nothing of it.
        return f"{self.null}%.0s" if null else f"<a:{self.name}>%s</a:{self.name}>"


class _Templates(dict[_Nulls, str]):
    """The templates of one list, each made when its pattern of nulls is first met; there are at most 64."""

    def __init__(self, parts: list[str | _Slot], campaign: str) -> None:
        super().__init__()
        self._parts = parts
        self._campaign = campaign

    def __missing__(self, nulls: _Nulls) -> str:
        null = dict(zip(_TEXTS, nulls, strict=True))
        made = "".join(
            part if isinstance(part, str) else part.template(self._campaign, null.get(part.place or 0, False))
            for part in self._parts
        )
        self[nulls] = made
        return made


class ContactPages:
    """Writes the pages of one list of contacts."""

    __slots__ = ("_pick", "_templates")

    def __init__(self, parts: list[str | _Slot], campaign: str) -> None:
        places = [part.place for part in parts if isinstance(part, _Slot) and part.place is not None]
        self._pick: itemgetter[tuple[str | int | None, ...]] = itemgetter(*places)
        self._templates = _Templates(parts, campaign)

    def write(self, page: list[ContactLine]) -> str:
        """The elements of a page of contacts."""
        if not is_plain("".join(filter(None, chain.from_iterable(map(_texts, page))))):
            page = [_escaped(line) for line in page]
        pick, templates = self._pick, self._templates
        return "".join(
            [
                templates[
                    line[1] is None,
                    line[2] is None,
                    line[6] is None,
                    line[7] is None,
                    line[11] is None,
                    line[12] is None,
                ]
                % pick(line)
                for line in page
            ]
        )


class ContactLines:
    """The tables for lists of contacts, made once."""

    def __init__(self, schema: Schema) -> None:
        self._parts = _parts(schema, schema.types[CONTACT], None)

    def of(self, campaign: str) -> ContactPages:
        """The writer of the contacts of one campaign, given its canonical guid."""
        return ContactPages(self._parts, campaign)


def _parts(schema: Schema, of_type: ObjectType, base: int | None) -> list[str | _Slot]:
    """The element of a type: text, and slots for values. `base` is where a medium begins; None for the contact."""
    fields = BINDINGS[of_type.name].fields
    parts: list[str | _Slot] = []
    for member in of_type.members:
        field = fields[member.name]
        if member.kind is Kind.OBJECT:
            inner = _parts(schema, schema.types[member.type or ""], _BASES[field])
            parts += [f"<a:{member.name}>", *inner, f"</a:{member.name}>"]
        elif base is None:
            parts.append(_Slot(member.name, None if field == "campaign" else _BASES[field], ""))
        else:
            # A medium that was left out has no destination rather than an unknown one.
            empty = f"<a:{member.name}></a:{member.name}>"
            null = empty if field == "destination" else f'<a:{member.name} i:nil="true"/>'
            parts.append(_Slot(member.name, base + _PLACES[field], null))
    if base is None:
        return [f"<a:{of_type.name}>", *parts, f"</a:{of_type.name}>"]
    return parts


def _escaped(line: ContactLine) -> ContactLine:
    line = list(line)
    for place in _TEXTS:
        text = line[place]
        if isinstance(text, str):
            line[place] = escape(text)
    return line
