"""Owns what the columns of a list are: the classic header, names of our own, what the sender maps, and merge fields.

Must not know the rows. A refusal is MethodError 42 InvalidRequest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from campana.domain.delivery import Medium
from campana.domain.errors import MethodCode, MethodError
from campana.domain.person import check_field_name, field_key

COLUMNS_MAX = 200
IGNORED = "-"
FIELD = "field."
MEDIUM_ROLES = {Medium.SMS: "sms", Medium.VOICE: "voice", Medium.EMAIL: "email"}
ROLES = frozenset(
    {"id", "name", "reference", "fields"}
    | {role + member for role in MEDIUM_ROLES.values() for member in ("", ".text", ".attempts")}
)
"""What a column may be, besides a merge field (`field.NAME`) and ignored (`-`)."""
_BY_NAME = {
    **{role: role for role in ROLES},
    "fullname": "name",
    "full name": "name",
    "externalrefno": "reference",
    "phone": "voice",
    "e-mail": "email",
}
"""What a column is by its name, without case."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What each column of a list is."""

    names: tuple[str, ...]
    """As the header has them."""
    places: Mapping[str, int] = field(default_factory=dict)
    """By role."""
    fields: tuple[tuple[int, str], ...] = ()
    """Merge fields: place and name."""
    unnamed: tuple[int, ...] = ()
    """Columns without a name, which must be blank."""

    def name_of(self, role: str) -> str | None:
        """How the list calls the column with a role, or the nearest thing that it has."""
        for one in (role, role.partition(".")[0]):
            if one in self.places:
                return self.names[self.places[one]]
        return None


def layout_of(header: Sequence[str], given: Mapping[str, str]) -> Layout:
    """What the columns of a header are; `given` says it of some, by name or `#number`, without case."""
    if len(header) > COLUMNS_MAX:
        raise _refuse(f"The list must not have more than {COLUMNS_MAX} columns.")
    mapped = {name.strip().casefold(): role.strip() for name, role in given.items()}
    used: set[str] = set()
    places: dict[str, int] = {}
    fields: list[tuple[int, str]] = []
    unnamed: list[int] = []
    for place, written in enumerate(header):
        name = written.strip()
        role = _role(name, place, mapped, used)
        if role == IGNORED:
            continue
        if not role:
            unnamed.append(place)
        elif role.startswith(FIELD):
            fields.append((place, role.removeprefix(FIELD)))
        elif role in places:
            raise _refuse(f"Columns {places[role] + 1} and {place + 1} of the list are both {role}.")
        else:
            places[role] = place
    _check(mapped, used, fields, places)
    return Layout(tuple(name.strip() for name in header), places, tuple(fields), tuple(unnamed))


def json_roles(given: Mapping[str, str]) -> dict[str, str]:
    """What the keys of objects are, by name without case; others are merge fields."""
    return {**_BY_NAME, **{name.strip().casefold(): _checked_role(role.strip()) for name, role in given.items()}}


def parse_map(text: str) -> dict[str, str]:
    """Read `COLUMN:ROLE,COLUMN:ROLE`. Raises MethodError 42."""
    given: dict[str, str] = {}
    for part in text.split(",") if text.strip() else ():
        name, colon, role = part.rpartition(":")
        if not colon or not name.strip() or not role.strip():
            raise _refuse("map must be COLUMN:FIELD, several separated by commas.", "map")
        given[name] = role
    return given


def _role(name: str, place: int, mapped: Mapping[str, str], used: set[str]) -> str:
    for key in (f"#{place + 1}", name.casefold()):
        if key in mapped:
            used.add(key)
            return _checked_role(mapped[key])
    if not name:
        return ""
    known = _BY_NAME.get(name.casefold())
    return known or FIELD + _field_name(name, f"Column {place + 1} of the list")


def _checked_role(role: str) -> str:
    if role.startswith(FIELD):
        return FIELD + _field_name(role.removeprefix(FIELD), "A field in map")
    lower = role.casefold()
    lower = _BY_NAME.get(lower, lower)
    if lower != IGNORED and lower not in ROLES:
        known = ", ".join(sorted(ROLES))
        raise _refuse(f"map must make a column one of {known}, field.NAME, or - to leave it out.", "map")
    return lower


def _field_name(name: str, what: str) -> str:
    try:
        return check_field_name(name)
    except ValueError as error:
        rule = f"{what} must be a known one, or a merge field with a name {error}; map may say what it is."
        raise _refuse(rule) from None


def _check(
    mapped: Mapping[str, str], used: set[str], fields: Sequence[tuple[int, str]], places: Mapping[str, int]
) -> None:
    if mapped.keys() - used:
        raise _refuse("map names a column that the list does not have.", "map")
    keys = [field_key(name) for _, name in fields]
    if len(set(keys)) < len(keys):
        raise _refuse("Two columns of the list are the same merge field.")
    if not places.keys() & set(MEDIUM_ROLES.values()):
        raise _refuse("The list must have a header with a column for SMS, voice (Phone) or email; map may say which.")


def _refuse(sentence: str, field_name: str | None = None) -> MethodError:
    return MethodError(MethodCode.INVALID_REQUEST, sentence, field=field_name)
