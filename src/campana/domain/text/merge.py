"""Owns merge fields: how a text names them, and how values take their place.

Must not know whose values they are, nor on which medium the text goes out. `{{name}}` takes a value, and of
`{{name|words}}` the words stand where there is none; `{{!` stands for two braces. Everything else in braces is text.
Reading takes one pass, and merged text is not merged again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from campana.domain.person import FIELD_NAME, FIELD_NAME_MAX, Person, field_key

OPEN = "{{"
"""A text without it has no merge fields."""
# Possessive throughout, so that braces which nobody closes cost one pass: nothing is tried a second time.
_SLOT = re.compile(rf"\{{\{{(?:(!)|[ \t\r\n]*+({FIELD_NAME})[ \t\r\n]*+(?:\|([^{{}}]*+))?\}}\}})")

BUILT_IN: Mapping[str, str] = {
    "fullname": "name",
    "name": "name",
    "reference": "reference",
    "externalrefno": "reference",
}
"""What may be taken of a person besides their fields, unless they have a field of that name."""


class Slot(NamedTuple):
    """A place in a text that a value takes."""

    key: str
    default: str | None
    """None where a value is a must."""


class Unmergeable(ValueError):
    """A value is missing, or the text would be too long. The sentence names no value."""


@dataclass(frozen=True)
class Template:
    """A text with slots: a piece before each slot, and one after the last."""

    pieces: tuple[str, ...]
    slots: tuple[Slot, ...]

    @cached_property
    def required(self) -> frozenset[str]:
        """The keys of which a value must be there."""
        return frozenset(slot.key for slot in self.slots if slot.default is None)

    def merge(self, values: Mapping[str, str], most: int, quote: Callable[[str], str] | None = None) -> str:
        """The text with values in the slots, of at most so many characters.

        Values are quoted, defaults are not: they are the words of whoever wrote the text. Raises Unmergeable.
        """
        parts = [self.pieces[0]]
        for filling, piece in zip(self.fill(values, quote), self.pieces[1:], strict=True):
            parts += (filling, piece)
        if sum(map(len, parts)) > most:
            raise Unmergeable(f"With its fields, the text has more than {most} characters.")
        return "".join(parts)

    def fill(self, values: Mapping[str, str], quote: Callable[[str], str] | None = None) -> list[str]:
        """What stands in each slot. Raises Unmergeable."""
        filled = []
        for key, default in self.slots:
            value = values.get(key)
            if value:
                filled.append(quote(value) if quote else value)
            elif default is not None:
                filled.append(default)
            else:
                raise Unmergeable(f"The field {key} is missing.")
        return filled


def parse_template(text: str) -> Template | None:
    """Read a text; None where it says the same to everybody."""
    if OPEN not in text:
        return None
    pieces: list[str] = []
    slots: list[Slot] = []
    current: list[str] = []
    end = 0
    for match in _SLOT.finditer(text):
        literal, name, default = match.groups()
        if name is not None and len(name) > FIELD_NAME_MAX:
            continue
        current.append(text[end : match.start()])
        end = match.end()
        if literal:
            current.append(OPEN)
            continue
        pieces.append("".join(current))
        current = []
        slots.append(Slot(field_key(name), default))
    if not end:
        return None
    current.append(text[end:])
    pieces.append("".join(current))
    return Template(tuple(pieces), tuple(slots))


def values_of(person: Person) -> dict[str, str]:
    """What texts may take of a person, by key."""
    values = {key: text for key, member in BUILT_IN.items() if (text := getattr(person, member))}
    values.update((field_key(name), value) for name, value in person.fields.items())
    return values
