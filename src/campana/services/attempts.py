"""Owns what may be asked about attempts: all of a campaign's, and a contact's.

Must not know how they are worded, nor how they are stored.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from campana.domain.errors import MethodCode, MethodError
from campana.services.access import Action, find_campaign
from campana.services.principal import Principal
from campana.storage.store import AttemptPage, AttemptRow, Attempts, Campaigns


class AttemptService:
    """Attempts in campaigns that whoever asks may see. Used from one event loop."""

    def __init__(self, campaigns: Campaigns, attempts: Attempts) -> None:
        self._campaigns = campaigns
        self._attempts = attempts

    async def of_campaign(self, who: Principal, campaign_guid: str) -> AsyncIterator[list[AttemptRow]]:
        """A campaign's attempts, page by page: by medium, then in the order of adding the contacts.

        What is refused is refused before the first page: 10 CampaignNotFound.
        """
        row = await find_campaign(self._campaigns, who, campaign_guid, Action.SEE)
        return self._attempts.pages(row.number)

    async def page(self, who: Principal, campaign_guid: str, after: tuple[int, int], limit: int) -> AttemptPage:
        """Some attempts of a campaign in that order. Raises 10 CampaignNotFound."""
        row = await find_campaign(self._campaigns, who, campaign_guid, Action.SEE)
        return await self._attempts.page(row.number, after, limit)

    async def of_contact(self, who: Principal, campaign_guid: str, contact_guid: str) -> list[AttemptRow]:
        """A contact's attempts: by medium, then as they were made.

        Raises, in this order, 10 CampaignNotFound, 20 ContactNotFound.
        """
        row = await find_campaign(self._campaigns, who, campaign_guid, Action.SEE)
        found = await self._attempts.of_contact(row.number, contact_guid)
        if found is None:
            raise MethodError(MethodCode.CONTACT_NOT_FOUND)
        return found
