"""Owns the part of the store contract for progress: what happened is counted and numbered, read again, and audited.

Must not know which database it is. What happens is written down by the very transactions that make it true, as
*happenings*; folding counts and numbers them, in a transaction of its own, so that those transactions never wait for
one another. Instants are epoch milliseconds. Every method may raise StoreUnavailable.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from campana.domain.delivery import Medium, Status
from campana.domain.progress import Balance, Event, EventKind


@dataclass(frozen=True, slots=True)
class Standing:
    """How a campaign stands."""

    balance: Balance
    number: int
    """Of the last event."""
    started_at: int | None
    finished_at: int | None
    """None while something of it can still change by itself."""
    is_open: bool
    """Whether its window was last told to be open."""
    counted_at: int
    """When counters were last told."""
    is_uncounted: bool
    """Whether they have changed since."""


@dataclass(frozen=True, slots=True)
class Repair:
    """A count that was wrong, and by how much it was set right."""

    campaign: int
    medium: Medium | None
    """None: the number of contacts."""
    status: Status | None
    difference: int


class Progress(Protocol):
    """How campaigns go on."""

    async def fold(self, campaign: int, now: int) -> bool:
        """Count and number some of what happened to a campaign; True where there may be more.

        Numbers follow the order in which things happened to each delivery, have no gaps and never change. Any number
        of processes may fold at once.
        """

    async def waiting(self, limit: int) -> list[int]:
        """Some campaigns with happenings that wait to be folded."""

    async def standings(self, campaigns: Collection[int]) -> dict[int, Standing]:
        """How campaigns stand right now, what is not yet folded included: a snapshot of each, in constant time as
        long as somebody folds. A deleted or unknown one is left out."""

    async def events(self, campaign: int, after: int, limit: int) -> list[Event]:
        """Events with numbers above `after`, at most `limit`, in their order. Only what was folded has a number."""

    async def tell(self, campaign: int, kind: EventKind, at: int, *, has_ended: bool = False) -> bool:
        """Tell that a campaign started, finished, that its window opened or closed, or how it counts (COUNTERS), where
        that was not told yet; False where it was, or where the campaign is gone. What was not yet folded is folded
        before it, so that counters are those of the moment.

        FINISHED is told only where, in the same transaction, nothing is on its way on any medium and nothing waits on
        an enabled one (on any, where the campaign was cancelled; nothing is asked of what waits where it `has_ended`).
        It is taken back (`finished_at`) by the next fold that finds something new to be done. Raises ValueError for a
        kind that is written down by what makes it true: STATUS_CHANGED, PAUSED, RESUMED, CANCELLED."""

    async def audit(self, campaign: int, now: int) -> list[Repair]:
        """Compare the counts of a campaign with its deliveries, in one snapshot, and set right what differs. It reads
        every delivery: for the background."""

    async def unaudited(self, before: int, limit: int) -> list[int]:
        """Campaigns, not deleted, that were last audited before an instant, unless they were finished and nothing was
        counted since. Also those of an earlier version that were never counted."""
