"""Owns the part of the store contract that says what one delivery waits for.

Must not know which database it is, nor any rule of waiting (domain/waiting.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from campana.domain.delivery import Medium, Status


@dataclass(frozen=True, slots=True)
class WaitRow:
    """A contact on a medium."""

    status: Status
    code: int
    due_at: int
    """Epoch milliseconds; nothing of it begins before."""
    dial: str | None
    """The destination as routes see it."""


NOWHERE = WaitRow(Status.DO_NOT_TRY, 0, 0, None)
"""A contact without a delivery on a medium."""


class Waits(Protocol):
    """What deliveries wait for."""

    async def find(self, campaign: int, guid: str, medium: Medium) -> WaitRow | None:
        """A contact on a medium; None where there is no such contact. May raise StoreUnavailable."""
