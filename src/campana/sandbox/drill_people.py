"""Owns who the drill's contacts are: each number's id and destinations, none of which meets a magic fate.

Must not know what is sent to them.
"""

from __future__ import annotations

import re
from typing import Final

from campana.domain.delivery import Medium

_FIRST_PHONE: Final = 14_165_600_000
_DESTINATION: Final = re.compile(r"\+(?P<phone>[0-9]{11})|person-(?P<inbox>[0-9]+)@example\.com")


def guid_of(number: int) -> str:
    """The Id of a contact."""
    return f"00000000-0000-4000-8000-{number:012d}"


def number_of(guid: str | None) -> int:
    """Which contact has an Id."""
    return int((guid or "").rpartition("-")[2])


def phone(number: int) -> str:
    """A contact's telephone, for SMS and calls."""
    return f"+{_FIRST_PHONE + number}"


def inbox(number: int) -> str:
    """A contact's mailbox."""
    return f"person-{number}@example.com"


def number_of_destination(text: str) -> int | None:
    """Which contact has a telephone or a mailbox; None where it is nobody's."""
    found = _DESTINATION.fullmatch(text)
    if found is None:
        return None
    return int(found["inbox"]) if found["inbox"] else int(found["phone"]) - _FIRST_PHONE


def destination(medium: Medium, number: int) -> str:
    """A contact's destination on a medium."""
    return inbox(number) if medium is Medium.EMAIL else phone(number)
