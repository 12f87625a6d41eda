"""Owns what a client says of a person besides destinations: full name, reference and fields, within their limits.

Must not know a campaign, nor what texts make of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec

from campana.domain.errors import MethodCode, MethodError
from campana.domain.text.characters import is_blank, is_keepable

NAME_MAX = 200
REFERENCE_MAX = 200
FIELDS_MAX = 100
FIELD_NAME_MAX = 64
FIELD_VALUE_MAX = 2_000
FIELDS_BYTES_MAX = 16 * 1024
"""Of all fields of a contact together, as they are kept."""

FIELD_NAME = r"[\w.\-]++(?: ++[\w.\-]++)*+"
"""What a field's name is: letters, digits, `_`, `-` and `.`, with blanks inside."""
_FIELD_NAME = re.compile(FIELD_NAME)


class Person(msgspec.Struct, frozen=True):
    """Who a contact is to its client. Blank is not given."""

    name: str = ""
    """Full name."""
    reference: str = ""
    """The client's own reference; any number of contacts may have the same."""
    fields: Mapping[str, str] = {}
    """What texts may take of the contact, by name."""


NOBODY = Person()

_encode = msgspec.json.Encoder().encode
_encode_lines = msgspec.json.Encoder().encode_lines
_decode = msgspec.json.Decoder(dict[str, str]).decode


def field_key(name: str) -> str:
    """By what a field is found, however its name is written: without case, and each run of blanks as one."""
    return " ".join(name.split()).casefold()


def check_person(person: Person) -> Person:
    """Check a person and give it back as it is to be kept: without blanks around names and without blank values.

    Raises MethodError 22 InvalidContact, with the field Name, Reference or Fields.
    """
    _check_text("Name", person.name, NAME_MAX)
    _check_text("Reference", person.reference, REFERENCE_MAX)
    fields = _checked(person.fields) if person.fields else person.fields
    return Person(person.name.strip(), person.reference.strip(), fields)


def check_field_name(name: str) -> str:
    """Check a field's name; without blanks around it. Raises ValueError with a rule."""
    name = name.strip()
    if len(name) > FIELD_NAME_MAX or _FIELD_NAME.fullmatch(name) is None:
        raise ValueError(f"of at most {FIELD_NAME_MAX} letters, digits, _, - and ., with blanks inside")
    return name


def packed_fields(fields: Mapping[str, str]) -> str:
    """Fields as they are kept."""
    return _encode(fields).decode() if fields else "{}"


def packed_all(fields: Sequence[Mapping[str, str]]) -> list[str]:
    """The fields of many as they are kept, several times as fast as one by one."""
    return _encode_lines(fields).decode().split("\n")[:-1]


def person_of(name: str | None, reference: str | None, fields: str | None) -> Person | None:
    """A person as it was kept; None for a contact that came where nothing could be said of it."""
    if fields is None:
        return None
    return Person(name or "", reference or "", _decode(fields) if fields != "{}" else {})


def _checked(fields: Mapping[str, str]) -> dict[str, str]:
    if len(fields) > FIELDS_MAX:
        raise _refuse("Fields", f"must not be more than {FIELDS_MAX}.")
    kept: dict[str, str] = {}
    seen: set[str] = set()
    for name, value in fields.items():
        try:
            checked = check_field_name(name)
        except ValueError as error:
            raise _refuse("Fields", f"must have names {error}.") from None
        key = field_key(checked)
        if key in seen:
            raise _refuse("Fields", "must not have two names that differ in case or blanks alone.")
        seen.add(key)
        if len(value) > FIELD_VALUE_MAX:
            raise _refuse("Fields", f"must not have a value of more than {FIELD_VALUE_MAX} characters.")
        if not is_keepable(value):
            raise _refuse("Fields", "must not hold NUL or unpaired surrogates.")
        if not is_blank(value):
            kept[checked] = value
    if len(_encode(kept)) > FIELDS_BYTES_MAX:
        raise _refuse("Fields", f"must not have more than {FIELDS_BYTES_MAX} bytes together.")
    return kept


def _check_text(field: str, text: str, most: int) -> None:
    if len(text) > most:
        raise _refuse(field, f"must not have more than {most} characters.")
    if not is_keepable(text):
        raise _refuse(field, "must not hold NUL or unpaired surrogates.")


def _refuse(field: str, rule: str) -> MethodError:
    return MethodError(MethodCode.INVALID_CONTACT, f"{field} {rule}", field=field)
