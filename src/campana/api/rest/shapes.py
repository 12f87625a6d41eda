"""Owns the shapes that several nouns share: ids, moments, names of media and statuses, lists in pages.

Must not know any noun. Every limit stands in a type, so that it is checked, documented and tested alike.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec
from msgspec import Meta

from campana.domain.delivery import Medium, Status
from campana.domain.errors import MethodCode, MethodError
from campana.domain.moment import rfc3339

T = TypeVar("T")

GUID_PATTERN = "^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$"

Id = Annotated[
    str,
    Meta(
        pattern=GUID_PATTERN,
        description="A GUID.",
        examples=["0190a1b2-0000-7000-8000-000000000001"],
        extra_json_schema={"format": "uuid"},
    ),
]
Moment = Annotated[
    str,
    Meta(
        description="An instant in UTC (RFC 3339), to the millisecond.",
        examples=["2026-11-28T09:30:00.000Z"],
        extra_json_schema={"format": "date-time"},
    ),
]
MediumName = Literal["sms", "voice", "email"]
StatusName = Literal[
    "do_not_try",
    "pending",
    "sending",
    "delivering",
    "success",
    "waiting_for_retry",
    "permanent_failure",
    "cancelled",
]

ScopeName = Literal[
    "campaigns:read", "campaigns:write", "contacts:read", "contacts:write", "events:read", "account:admin"
]

Limit = Annotated[int, Meta(ge=1, le=1_000, description="How many items a page has at most.")]
Cursor = Annotated[
    str, Meta(max_length=100, description="Where the page begins: `next` of the page before it, as it was.")
]


class Paging(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Which page of a list is asked for."""

    limit: Limit = 100
    cursor: Cursor = ""


class Page(msgspec.Struct, Generic[T], frozen=True):
    """A page of a list."""

    items: list[T]
    next: Annotated[
        str | None,
        Meta(description="The cursor of the next page; null at the end. A page may be short and still have one."),
    ] = None


def moment(at: int) -> str:
    """Epoch milliseconds as RFC 3339 in UTC, with milliseconds and Z."""
    return rfc3339(at)


def instant(text: str, field: str) -> int:
    """Epoch milliseconds of an RFC 3339 instant, in any zone. Raises 42 InvalidRequest with the field."""
    try:
        at = msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        at = None
    if at is None or at.tzinfo is None:
        said = f"{field} should be an instant with its zone (RFC 3339), such as 2026-11-28T09:30:00.000Z."
        raise MethodError(MethodCode.INVALID_REQUEST, said, field=field)
    return int(at.timestamp() * 1_000)


def moment_or_none(at: int | None) -> str | None:
    """The same of an instant that may not have come."""
    return None if at is None else moment(at)


def medium_name(medium: Medium) -> Any:
    """What a medium is called."""
    return medium.name.lower()


def medium_of(name: str) -> Medium:
    """The medium of a name."""
    return Medium[name.upper()]


def status_name(status: int) -> Any:
    """What a status is called."""
    return Status(status).name.lower()


def status_of(name: str) -> Status:
    """The status of a name."""
    return Status[name.upper()]
