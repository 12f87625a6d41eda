"""Owns how one row, given by what its values are, becomes a contact of the domain.

Must not know the rules of contacts, but for the types of values. A refusal is MethodError 22 with the field as the
contract names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from campana.domain.contact import WIRES, Communication, Contact
from campana.domain.errors import MethodCode, MethodError
from campana.domain.ids import parse_guid
from campana.domain.person import Person, field_key
from campana.services.importing.columns import FIELD, IGNORED, ROLES

_WIRES = {medium.name.lower(): wire for medium, wire in WIRES.items()}
_MEMBERS = {"destination": "", "text": ".text", "attempts_left": ".attempts"}
_IGNORED_MEMBERS = frozenset({"status", "status_code", "error_code"})
"""How a medium stands, in a list that was exported."""
_ATTEMPTS_DIGITS = 3


def from_object(row: Mapping[str, Any], roles: Mapping[str, str]) -> Contact:
    """A contact of a row's values by key; `roles` says what keys are, others are roles or merge fields themselves.

    A medium may be its destination alone, or an object of destination, text and attempts_left; `fields` an object, or
    one as JSON. Raises MethodError.
    """
    given: dict[str, Any] = {}
    fields = _Fields()
    for key, value in row.items():
        role = roles.get(key.strip().casefold()) or _own_role(key)
        if role == IGNORED:
            continue
        if role.startswith(FIELD):
            fields.add(role.removeprefix(FIELD), value)
        elif role in _WIRES and isinstance(value, dict):
            for member, inner in value.items():
                if member in _IGNORED_MEMBERS:
                    continue
                if member not in _MEMBERS:
                    raise _refuse(_WIRES[role], "must have no other members than destination, text and attempts_left.")
                _set(given, role + _MEMBERS[member], inner)
        else:
            _set(given, role, value)
    for name, value in _own_fields(given.get("fields")).items():
        fields.add(name, value)
    media = {role: _medium(given, role) for role in _WIRES}
    person = Person(_text(given, "name"), _text(given, "reference"), fields.values)
    return Contact(_guid(_text(given, "id")), "", media["sms"], media["voice"], media["email"], person)


def _own_role(key: str) -> str:
    return key if key in ROLES or key.startswith(FIELD) else FIELD + key


def _set(given: dict[str, Any], role: str, value: Any) -> None:
    if role in given:
        raise _refuse(role.partition(".")[0].capitalize(), "must be given once.")
    given[role] = value


class _Fields:
    """Fields as they are gathered. However many a row has, each is looked at once."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self._keys: set[str] = set()

    def add(self, name: str, value: Any) -> None:
        if isinstance(value, bool) or (value is not None and not isinstance(value, (str, int, float))):
            raise _refuse("Fields", "must have texts or numbers as values.")
        key = field_key(name)
        if key in self._keys:
            raise _refuse("Fields", "must not have two names that differ in case or blanks alone.")
        self._keys.add(key)
        self.values[name] = "" if value is None else str(value)


def _own_fields(value: Any) -> Mapping[str, Any]:
    if value is None or value == "":
        return {}
    if isinstance(value, str):
        try:
            value = msgspec.json.decode(value)
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            value = None
    if not isinstance(value, dict):
        raise _refuse("Fields", "must be a JSON object.")
    return value


def _medium(given: Mapping[str, Any], role: str) -> Communication | None:
    destination, text = _text(given, role), _text(given, f"{role}.text")
    attempts = given.get(f"{role}.attempts")
    if not destination and not text and attempts in (None, "", 0):
        return None
    return Communication(destination, text or None, attempts_left=_attempts(attempts, role))


def _text(given: Mapping[str, Any], role: str) -> str:
    value = given.get(role)
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        medium, dot, _ = role.partition(".")
        wire = _WIRES.get(medium)
        field = f"{wire}.{'TextToSendOverwrite' if dot else 'Destination'}" if wire else role.capitalize()
        raise _refuse(field, "must be a text.")
    return str(value)


def _attempts(value: Any, role: str) -> int:
    text = "" if value is None else str(value).strip()
    if isinstance(value, bool) or (text and not (text.isascii() and text.isdigit() and len(text) <= _ATTEMPTS_DIGITS)):
        raise _refuse(f"{_WIRES[role]}.RetryCount", "must be a whole number between 0 and 255.")
    return int(text or 0)


def _guid(text: str) -> str:
    try:
        return parse_guid(text)
    except ValueError as error:
        raise _refuse("Id", f"is refused. {error}") from None


def _refuse(field: str, rule: str) -> MethodError:
    return MethodError(MethodCode.INVALID_CONTACT, f"{field} {rule}", field=field)
