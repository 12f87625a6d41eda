"""Owns the lexical forms of the contract's simple types: what a text must look like, and how a value is written.

Must not know of elements, messages or who asked. Source: XML Schema Part 2 (second edition), section 3.2, and
Microsoft's serialization of Guid.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from campana.domain.ids import parse_guid

NOT_SET = "0001-01-01T00:00:00"
"""What a .NET client, whose DateTime cannot be null, sends and expects for a date that is not set."""

_NOT_SET = datetime.fromisoformat(NOT_SET)
_BLANKS = " \t\r\n"
_INT = re.compile(r"[+-]?[0-9]{1,40}", re.ASCII)
_CANONICAL_GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)
_NO_GUID = "00000000-0000-0000-0000-000000000000"
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_DATE_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})T([0-9]{2}):([0-9]{2}:[0-9]{2})(?:\.([0-9]{1,40}))?"
    r"(?:Z|[+-](?:0[0-9]|1[0-3]):[0-5][0-9]|[+-]14:00)?",
    re.ASCII,
)


def integer(text: str) -> int:
    """An xs:int: decimal digits with an optional sign, within 32 bits. Raises ValueError for anything else."""
    if len(text) < 10 and text.isascii() and text.isdigit():  # nearly always, and much quicker
        return int(text)
    text = text.strip(_BLANKS)
    if _INT.fullmatch(text) is None:
        raise ValueError("must be an integer in decimal digits")
    value = int(text)
    if not -(1 << 31) <= value < 1 << 31:
        raise ValueError("must be an integer of 32 bits")
    return value


def boolean(text: str) -> bool:
    """An xs:boolean: true, false, 1 or 0. Raises ValueError for anything else."""
    value = _BOOLEANS.get(text.strip(_BLANKS))
    if value is None:
        raise ValueError("must be true, false, 1 or 0")
    return value


def guid(text: str) -> str:
    """A Guid in lower case with hyphens; empty for the zero Guid and for blank text, which mean not given.

    Any case and braces are accepted (domain/ids.py). Raises ValueError for anything else.
    """
    if _CANONICAL_GUID.fullmatch(text) is not None and text != _NO_GUID:
        return text
    try:
        return parse_guid(text)
    except ValueError:
        raise ValueError("must be a Guid such as 01234567-89ab-cdef-0123-456789abcdef") from None


def wall_clock(text: str) -> datetime | None:
    """An xs:dateTime as the clock on the wall that it shows: a zone is accepted and dropped, the hour kept.

    24:00:00 is the first instant of the next day. Fractions of a second beyond the sixth digit are dropped.
    0001-01-01T00:00:00 means not set: None. Raises ValueError for anything else, an empty text included.
    """
    found = _DATE_TIME.fullmatch(text.strip(_BLANKS))
    if found is None:
        raise ValueError("must be a dateTime such as 2026-11-23T08:00:00")
    day, hour, rest, fraction = found.groups()
    micros = (fraction or "").ljust(6, "0")[:6]
    midnight_after = hour == "24" and rest == "00:00" and not (fraction or "0").strip("0")
    try:
        value = datetime.fromisoformat(f"{day}T{'00' if midnight_after else hour}:{rest}.{micros}")
        if midnight_after:
            value += timedelta(days=1)
    except (ValueError, OverflowError):
        raise ValueError("must be a date and time that exist, of the years 0001 to 9999") from None
    return None if value == _NOT_SET else value


def write_wall_clock(value: datetime | None) -> str:
    """A wall-clock value without a zone; NOT_SET for None."""
    return NOT_SET if value is None else value.isoformat()


def write_instant(milliseconds: int) -> str:
    """An instant, given in epoch milliseconds, in UTC with Z."""
    value = datetime.fromtimestamp(milliseconds // 1000, UTC).replace(microsecond=milliseconds % 1000 * 1000)
    return value.isoformat(timespec="milliseconds" if value.microsecond else "seconds").replace("+00:00", "Z")


def write_boolean(value: bool) -> str:
    """As XML Schema's canonical form has it."""
    return "true" if value else "false"


# --- text --------------------------------------------------------------------------------------------------------

_SPECIAL = re.compile("[&<>\r\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"}


def _escape(found: re.Match[str]) -> str:
    return _ESCAPES.get(found[0], "\ufffd")


def escape(text: str) -> str:
    """A text as the content of an element.

    A carriage return becomes a character reference, since XML would read it as a line feed (XML 1.0, section 2.11);
    characters that XML 1.0 forbids (section 2.2) become U+FFFD.
    """
    return _SPECIAL.sub(_escape, text)


def is_plain(text: str) -> bool:
    """Tell quickly whether `escape` would change nothing; False may also mean "not quickly to be told"."""
    return text.isprintable() and "&" not in text and "<" not in text and ">" not in text
