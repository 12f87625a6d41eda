"""Owns how what is told of progress is worded in JSON, the same wherever it is read: endpoints, REST, streams.

Must not know who reads it, nor how it travels.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from campana.domain.delivery import Medium, Status
from campana.domain.progress import Balance, Event

_encode = msgspec.json.Encoder().encode

_STATUSES = tuple(status.name.lower() for status in Status)
_MEDIA = tuple(medium.name.lower() for medium in Medium)


def instant(at: int) -> str:
    """Epoch milliseconds as RFC 3339 in UTC, with milliseconds and Z."""
    return datetime.fromtimestamp(at // 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{at % 1_000:03}Z"


def balance_words(balance: Balance) -> dict[str, Any]:
    """How many contacts there are, and of each medium how many are in each status."""
    tallies = (dict(zip(_STATUSES, of_medium, strict=True)) for of_medium in balance.tallies)
    return {"contacts": balance.contacts, **dict(zip(_MEDIA, tallies, strict=True))}


def event_words(event: Event) -> dict[str, Any]:
    """One event."""
    return {"number": event.number, "type": event.kind.type, "at": instant(event.at), "data": _data(event)}


def batch_words(campaign: str, events: Sequence[Event]) -> str:
    """A batch of events of a campaign (its guid) for an endpoint, as JSON; always the same of the same events."""
    first, last = events[0].number, events[-1].number
    data = {"campaign": campaign, "first": first, "last": last, "events": [event_words(event) for event in events]}
    return _encode({"type": "campaign.progress", "timestamp": instant(events[-1].at), "data": data}).decode()


def batch_id(campaign: str, created_at: int, first: int, last: int) -> str:
    """By what a receiver knows a batch that comes again. A campaign that is deleted and added anew under its id counts
    from 1 again: the moment of its creation (epoch milliseconds) tells the two apart."""
    return f"{campaign}.{created_at}.{first}-{last}"


def _data(event: Event) -> dict[str, Any]:
    if event.medium is not None and event.was is not None and event.status is not None:
        return {
            "contact": event.contact,
            "reference": event.reference,
            "medium": _MEDIA[event.medium],
            "previous": _STATUSES[event.was],
            "status": _STATUSES[event.status],
            "error_code": event.code,
        }
    return {} if event.balance is None else {"balance": balance_words(event.balance)}
