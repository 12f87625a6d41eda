"""Owns what a hint is and what a bus promises.

Must not know what anybody does with a hint.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Protocol

import msgspec


class News(Enum):
    """What changed."""

    CAMPAIGN = "campaign"
    """A campaign was added, replaced, paused, resumed or deleted."""
    CONTACTS = "contacts"
    """A campaign has contacts to plan: added, or edited so that they start again."""
    ROUTE = "route"
    """A route of this process went up or down: no other process is told."""
    WORK = "work"
    """Chunks wait to be claimed."""
    CLAIMED = "claimed"
    """A chunk of a campaign was claimed: `at` is its turn."""
    DUE = "due"
    """Something of a campaign falls due at the instant `at`."""
    PROGRESS = "progress"
    """A campaign has events up to the number `at`; 0: its endpoint is to be told again."""
    SHARES = "shares"
    """A process gave back, or lacks, part of a route."""
    MISSED = "missed"
    """Hints may have been lost: look at everything. The bus itself says so."""


class Hint(msgspec.Struct, frozen=True):
    """Something changed. `number` is the campaign's internal number, 0 where it is not about a campaign."""

    news: News
    number: int = 0
    at: int = 0
    """What `news` says of it; 0 where it says nothing."""


class Bus(Protocol):
    """Carries hints. Losing one costs latency, never work."""

    def tell(self, hint: Hint) -> None:
        """Pass a hint on to every listener; quick, never raises."""

    def listen(self, listener: Callable[[Hint], None]) -> Callable[[], None]:
        """Call `listener` for each hint, in the event loop; returns the function that ends it."""
