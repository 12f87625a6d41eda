"""Owns the part of the store contract for deliveries as people look at them: lists, a single one, and what an operator
says of one that is held.

Must not know which database it is. Instants are epoch milliseconds. Every method may raise StoreUnavailable.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from campana.domain.delivery import Medium, Status
from campana.domain.outcome import DeliveryCode
from campana.storage.tables import CONTACT_BITS, NEVER, contact_id, delivery_id, medium_of

PASSED_AT_ONCE = 20_000
"""Deliveries that are looked at for one page."""

ANY_STATUS = -1


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


class Deliveries(Protocol):
    """Deliveries of contacts that are not deleted."""

    async def page(
        self, campaign: int, medium: Medium | None, status: Status | None, after: int, limit: int
    ) -> DeliveryPage:
        """Deliveries of a campaign, on a medium and in a status or on any and in any, at most `limit`.

        `after` is 0 or what a page before said. At most PASSED_AT_ONCE deliveries are read, by key."""

    async def one(self, campaign: int, guid: str, medium: Medium) -> DeliveryRow | None:
        """A contact's delivery on a medium; None where there is none."""

    async def decide(self, campaign: int, guid: str, medium: Medium, resend: bool, now: int) -> bool:
        """An operator's word on an uncertain delivery that is held: to be sent again now, for which it has one attempt
        at least, or to be given up. False where it is not held. Raises Cancelled where it is to be sent again and its
        campaign was cancelled."""


def delivery_row(medium: Medium, columns: Iterable[Any]) -> DeliveryRow:
    """A delivery of its columns: guid, reference, status, last error, attempts left, tries, due moment, destination."""
    guid, reference, status, last_error, attempts_left, tries, due_at, destination = columns
    due = due_at if status == Status.WAITING_FOR_RETRY and due_at < NEVER else None
    return DeliveryRow(str(guid), reference, medium, Status(status), last_error, attempts_left, tries, due, destination)


@dataclass(slots=True)
class Paging:
    """A page that is filled little by little: at first as many deliveries are looked at as are asked for, then ever
    more, since most of them may be passed over."""

    campaign: int
    medium: Medium | None
    status: Status | None
    after: int
    limit: int
    rows: list[DeliveryRow] = field(default_factory=list)
    _reach: int = 0
    _passed: int = 0
    _is_done: bool = False

    @property
    def is_filled(self) -> bool:
        """Whether nothing more is to be looked at."""
        return self._is_done or len(self.rows) >= self.limit or self._passed >= PASSED_AT_ONCE

    def bounds(self) -> dict[str, int]:
        """The parameters of the next look."""
        self._reach = min(max(self.limit, 4 * self._reach), PASSED_AT_ONCE - self._passed)
        first = delivery_id(self.campaign, min(Medium) if self.medium is None else self.medium, 0)
        last = delivery_id(self.campaign, max(Medium) if self.medium is None else self.medium, (1 << CONTACT_BITS) - 1)
        return {"after": max(first, self.after), "upto": last, "reach": self._reach}

    def which(self) -> dict[str, int]:
        """What is asked for, besides."""
        status = ANY_STATUS if self.status is None else int(self.status)
        return {"base": contact_id(self.campaign, 0), "status": status, "most": self.limit - len(self.rows)}

    def take(self, rows: Sequence[Sequence[Any]], passed: Sequence[int | None]) -> None:
        """Take rows, each with its id first; `passed` is how many deliveries were looked at, and the last of them."""
        self.rows += [delivery_row(medium_of(id), columns) for id, *columns in rows]
        count, reached = passed
        self._passed += count or 0
        if len(self.rows) >= self.limit:
            self.after = rows[-1][0]
        elif reached is not None:
            self.after = reached
        self._is_done = len(self.rows) < self.limit and count != self._reach

    def page(self) -> DeliveryPage:
        """What was found."""
        return DeliveryPage(self.rows, None if self._is_done else self.after)
