"""Owns the part of the store contract for deliveries as people look at them: lists, one with where it waits, and an
operator's word on one that is held.

Must not know which database it is. Instants are epoch milliseconds. Every method may raise StoreUnavailable.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from campana.domain.delivery import Medium, Status
from campana.domain.outcome import DeliveryCode
from campana.storage.tables import CONTACT_BITS, NEVER, delivery_id, medium_of

PASSED_AT_ONCE = 20_000
"""Deliveries that are looked at for one page."""

ANY_STATUS = -1

_decode_ids = msgspec.json.Decoder(list[int]).decode


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """A contact on one medium."""

    contact: str
    """The contact's guid ..."""
    reference: str | None
    """... and the client's own reference for it."""
    medium: Medium
    status: Status
    last_error: int
    """A LastDeliveryErrorCode."""
    attempts_left: int
    tries: int
    """How many attempts were ever made."""
    due_at: int | None
    """Before which it is not tried again; None where there is no such moment, as in most statuses."""
    destination: str
    """As the client gave it."""

    @property
    def is_held(self) -> bool:
        """Whether it is uncertain and waits for an operator's word."""
        waits = self.status is Status.WAITING_FOR_RETRY and self.due_at is None
        return waits and self.last_error == DeliveryCode.UNCERTAIN_HELD


@dataclass(frozen=True, slots=True)
class DeliveryPage:
    """Some deliveries in the order of medium and adding."""

    rows: list[DeliveryRow]
    after: int | None
    """From where to go on; None where that were all. A short page, even an empty one, may have others after it."""


@dataclass(frozen=True, slots=True)
class DeliveryPlace:
    """Where a delivery waits."""

    is_planned: bool
    """Whether the planner has come to it once."""
    listed_at: int | None
    """The moment at which it is to be planned on its own: a retry, or what starts again after an edit."""
    opens_at: int | None
    """The chunk in which it waits for somebody to claim it may be claimed from then ..."""
    closes_at: int | None
    """... until then. Both None where it is in no such chunk; NEVER where that moment does not come."""


class Deliveries(Protocol):
    """Deliveries of contacts that are not deleted."""

    async def page(
        self, campaign: int, medium: Medium | None, status: Status | None, after: int, limit: int
    ) -> DeliveryPage:
        """Deliveries of a campaign, on a medium and in a status or on any and in any, at most `limit`.

        `after` is 0 or what a page before said. At most PASSED_AT_ONCE deliveries are read, by key."""

    async def one(self, campaign: int, guid: str, medium: Medium) -> tuple[DeliveryRow, DeliveryPlace] | None:
        """A contact's delivery on a medium, and where it waits; None where there is none."""

    async def decide(self, campaign: int, guid: str, medium: Medium, resend: bool, now: int) -> bool:
        """An operator's word on an uncertain delivery that is held: to be sent again now, for which it has one attempt
        at least, or to be given up. False where it is not held. Raises Cancelled where it is to be sent again and its
        campaign was cancelled."""


def delivery_row(medium: Medium, columns: Iterable[Any]) -> DeliveryRow:
    """A delivery of its columns: guid, reference, status, last error, attempts left, tries, due moment, destination."""
    guid, reference, status, last_error, attempts_left, tries, due_at, destination = columns
    due = due_at if status == Status.WAITING_FOR_RETRY and due_at < NEVER else None
    return DeliveryRow(str(guid), reference, medium, Status(status), last_error, attempts_left, tries, due, destination)


def page_bounds(campaign: int, medium: Medium | None, after: int) -> dict[str, int]:
    """Between which ids a page looks."""
    first = delivery_id(campaign, min(Medium) if medium is None else medium, 0)
    last = delivery_id(campaign, max(Medium) if medium is None else medium, (1 << CONTACT_BITS) - 1)
    return {"after": max(first, after), "upto": last}


def page_of(rows: Sequence[Sequence[Any]], limit: int, passed: Sequence[int | None]) -> DeliveryPage:
    """A page of rows, each with its id first; `passed` is how many deliveries were looked at, and the last of them,
    where they were fewer than asked for."""
    made = [delivery_row(medium_of(id), columns) for id, *columns in rows]
    if len(rows) == limit:
        return DeliveryPage(made, rows[-1][0] if rows else None)
    count, reached = passed
    return DeliveryPage(made, reached if count == PASSED_AT_ONCE else None)


def place_of(delivery: int, is_planned: object, listed_at: int | None, unclaimed: Iterable[Any]) -> DeliveryPlace:
    """Where a delivery waits; `unclaimed` are chunks around it: ids, opening and closing."""
    for ids, opens_at, closes_at in unclaimed:
        if ids is None or delivery in _decode_ids(ids):
            return DeliveryPlace(bool(is_planned), listed_at, opens_at, closes_at)
    return DeliveryPlace(bool(is_planned), listed_at, None, None)
