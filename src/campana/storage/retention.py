"""Owns the contract of retention: what the engine asks of a database to have old data removed.

Must not know how long anything is kept. What is removed goes in small transactions, so that nobody waits for them;
each may be the last for now, and the next call goes on from there. Every method may raise StoreUnavailable.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from campana.storage.store import CampaignRow


class Retention(Protocol):
    """Removing what nobody may ask for any more."""

    async def campaigns(self, after: int, limit: int) -> list[CampaignRow]:
        """Campaigns of all accounts that are not deleted, with numbers above `after`, in their order."""

    async def delete(self, campaign: CampaignRow, at: int) -> bool:
        """Delete a campaign, as its user would; False where it is not any more as it was read."""

    async def expired(self, deleted_before: int, after: int, limit: int) -> list[int]:
        """Numbers above `after` of campaigns that were deleted before an instant (epoch milliseconds), in their order;
        none of which something is still being cancelled or sent."""

    def remove(self, campaign: int) -> AsyncIterator[int]:
        """Remove everything of a deleted campaign and at last its row; after each transaction, how many rows that took.

        Ends early where another process is at it, or something of it is still being sent. The newest campaign's row
        stays until there is a newer one, so that no campaign is ever given its number.
        """

    def remove_handovers(self) -> AsyncIterator[int]:
        """Remove what carriers took of deliveries that are gone; after each transaction, how many rows that took."""

    def remove_incoming(self, before: int) -> AsyncIterator[int]:
        """Remove messages that people sent before an instant, but for the newest, so that no other is given its id;
        after each transaction, how many rows that took."""
