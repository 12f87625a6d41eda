"""Owns what may be asked about deliveries: lists, one with its attempts, and what becomes of an uncertain one.

Must not know why one has not gone (progress.py), nor how they are stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from campana.bus.contract import Hint, News
from campana.domain.delivery import Medium, Status
from campana.domain.errors import MethodCode, MethodError
from campana.services.access import Action, find_campaign
from campana.services.principal import Principal
from campana.services.tools import Tools
from campana.storage.deliveries import Deliveries, DeliveryPage, DeliveryRow
from campana.storage.store import AttemptRow, Attempts, Campaigns, Cancelled


class DeliveriesStore(Protocol):
    """The part of the store that is asked about deliveries."""

    @property
    def campaigns(self) -> Campaigns: ...

    @property
    def attempts(self) -> Attempts: ...

    @property
    def deliveries(self) -> Deliveries: ...


@dataclass(frozen=True, slots=True)
class DeliveryQuery:
    """Which deliveries of a campaign are asked for; None is any."""

    medium: Medium | None = None
    status: Status | None = None
    after: int = 0
    """0, or what a page before said."""
    limit: int = 100


class DeliveryService:
    """Deliveries in campaigns that whoever asks may see. Used from one event loop."""

    def __init__(self, kept: DeliveriesStore, tools: Tools) -> None:
        self._campaigns = kept.campaigns
        self._attempts = kept.attempts
        self._deliveries = kept.deliveries
        self._clock = tools.clock
        self._bus = tools.bus

    async def page(self, who: Principal, campaign_guid: str, query: DeliveryQuery) -> DeliveryPage:
        """Some deliveries, by medium and in the order of adding. Raises 10 CampaignNotFound."""
        row = await find_campaign(self._campaigns, who, campaign_guid, Action.SEE)
        return await self._deliveries.page(row.number, query.medium, query.status, query.after, query.limit)

    async def one(
        self, who: Principal, campaign_guid: str, contact_guid: str, medium: Medium
    ) -> tuple[DeliveryRow, list[AttemptRow]]:
        """A contact's delivery on a medium, with its attempts as they were made.

        Raises, in this order, 10 CampaignNotFound, 20 ContactNotFound, 40 NotFound where it has none on the medium.
        """
        row = await find_campaign(self._campaigns, who, campaign_guid, Action.SEE)
        attempts = await self._attempts.of_contact(row.number, contact_guid)
        if attempts is None:
            raise MethodError(MethodCode.CONTACT_NOT_FOUND)
        found = await self._deliveries.one(row.number, contact_guid, medium)
        if found is None:
            raise MethodError(MethodCode.NOT_FOUND, "The contact has nothing on this medium.")
        return found, [attempt for attempt in attempts if attempt.medium is medium]

    async def decide(
        self, who: Principal, campaign_guid: str, contact_guid: str, medium: Medium, *, resend: bool
    ) -> None:
        """Say what becomes of an uncertain delivery that is held: it is sent again, or given up.

        Raises, in this order, 10 CampaignNotFound, 3 AccessDenied, 20 ContactNotFound, 40 NotFound, 42 InvalidRequest
        where it is not held, 13 CampaignEnded where it would be sent again and the campaign was cancelled.
        """
        row = await find_campaign(self._campaigns, who, campaign_guid, Action.CHANGE_CAMPAIGN)
        await self.one(who, campaign_guid, contact_guid, medium)
        try:
            decided = await self._deliveries.decide(row.number, contact_guid, medium, resend, self._clock())
        except Cancelled:
            raise MethodError(MethodCode.CAMPAIGN_ENDED, "The campaign was cancelled.") from None
        if not decided:
            raise MethodError(MethodCode.INVALID_REQUEST, "The delivery is not held: there is nothing to decide.")
        self._bus.tell(Hint(News.CONTACTS, row.number))
