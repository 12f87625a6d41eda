"""Owns what may be asked about campaigns: which are active, adding, reading, replacing and deleting one.

Must not know how a door words them, nor how they are stored.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace

from campana.bus.contract import Hint, News
from campana.domain.campaign import Campaign, check_campaign
from campana.domain.errors import MethodCode, MethodError
from campana.domain.ids import UUID7_RANDOM_BYTES, uuid7
from campana.domain.schedule import ends_at, window_of
from campana.services.access import SHARED_BY_DEFAULT, Action, demand, find_campaign, sees
from campana.services.merging import demand_fields_of_all
from campana.services.principal import Principal
from campana.services.tools import Tools
from campana.storage.store import CampaignRow, Campaigns, Conflict, Contacts, Full

REMEMBERED_ENDS = 10_000


@dataclass(frozen=True, slots=True)
class CampaignOptions:
    """What the configuration says of campaigns."""

    most_per_account: int = 0
    """0 is without limit."""
    allow_private_endpoints: bool = False


class Ends:
    """Tells whether campaigns have ended; each campaign's end is worked out once per version of it."""

    def __init__(self) -> None:
        self._ends: dict[tuple[int, int, str], int | None] = {}

    def has_ended(self, row: CampaignRow, at: int) -> bool:
        """Tell whether the campaign's last window has passed at an instant, or it was cancelled."""
        if row.cancelled_at is not None:
            return True
        key = (row.number, row.version, row.zone)
        if key not in self._ends:
            if len(self._ends) >= REMEMBERED_ENDS:
                self._ends.clear()
            self._ends[key] = ends_at(window_of(row.campaign, row.zone))
        end = self._ends[key]
        return end is not None and at >= end


class CampaignService:
    """Campaigns of the account of whoever asks. Used from one event loop."""

    def __init__(
        self, campaigns: Campaigns, contacts: Contacts, tools: Tools, options: CampaignOptions, ends: Ends
    ) -> None:
        self._campaigns = campaigns
        self._contacts = contacts
        self._clock = tools.clock
        self._bus = tools.bus
        self._options = options
        self._ends = ends

    async def listing(self, who: Principal) -> list[str]:
        """The ids of the active campaigns that the user sees, oldest first."""
        return [row.campaign.guid for row in await self._active(who)]

    async def active(self, who: Principal) -> list[Campaign]:
        """The active campaigns that the user sees, oldest first: not deleted and not past their end."""
        return [row.campaign for row in await self._active(who)]

    async def add(self, who: Principal, campaign: Campaign, *, whole: bool = False) -> str:
        """Add a campaign and return its id: the one given, or a new UUIDv7 where `guid` is empty.

        `whole` is True from a door that can say with whom it is shared; otherwise the creator's role decides.
        Raises, in this order, 3 AccessDenied, 12 InvalidCampaign, 11 CampaignAlreadyExists, 30 LimitExceeded.
        """
        demand(who, Action.ADD_CAMPAIGN)
        now = self._clock()
        kept = replace(
            campaign,
            guid=campaign.guid or uuid7(now, secrets.token_bytes(UUID7_RANDOM_BYTES)),
            sharing=campaign.sharing if whole else SHARED_BY_DEFAULT[who.role],
            merges=whole,
        )
        check_campaign(kept, allow_private_endpoints=self._options.allow_private_endpoints)
        most = self._options.most_per_account
        try:
            row = await self._campaigns.add(who.account.number, who.user.number, kept, now, most)
        except Conflict:
            raise MethodError(MethodCode.CAMPAIGN_ALREADY_EXISTS) from None
        except Full:
            said = "The account has as many campaigns as it may have."
            raise MethodError(MethodCode.LIMIT_EXCEEDED, said) from None
        self._bus.tell(Hint(News.CAMPAIGN, row.number))
        return kept.guid

    async def get(self, who: Principal, guid: str) -> Campaign:
        """A campaign, also one that has ended. Raises 10 CampaignNotFound."""
        return (await find_campaign(self._campaigns, who, guid, Action.SEE)).campaign

    async def update(self, who: Principal, campaign: Campaign, *, whole: bool = False) -> None:
        """Replace a campaign; its id, creator and date of creation stay.

        `whole` is True from a door that can say what SOAP cannot; otherwise those fields stay as they are, for a
        client that does not know of them must not reset them. Raises, in this order, 10 CampaignNotFound,
        3 AccessDenied, 12 InvalidCampaign.
        """
        row = await find_campaign(self._campaigns, who, campaign.guid, Action.CHANGE_CAMPAIGN)
        kept = replace(campaign, merges=True) if whole else _with_what_soap_cannot_say(campaign, row.campaign)
        check_campaign(kept, allow_private_endpoints=self._options.allow_private_endpoints)
        await demand_fields_of_all(self._contacts, row, kept)
        if await self._campaigns.replace(row.number, kept, self._clock()) is None:
            raise MethodError(MethodCode.CAMPAIGN_NOT_FOUND)
        self._bus.tell(Hint(News.CAMPAIGN, row.number))

    async def delete(self, who: Principal, guid: str) -> None:
        """Delete a campaign. Raises, in this order, 10 CampaignNotFound, 3 AccessDenied."""
        row = await find_campaign(self._campaigns, who, guid, Action.DELETE_CAMPAIGN)
        if not await self._campaigns.delete(row.number, self._clock()):
            raise MethodError(MethodCode.CAMPAIGN_NOT_FOUND)
        self._bus.tell(Hint(News.CAMPAIGN, row.number))

    async def _active(self, who: Principal) -> list[CampaignRow]:
        now = self._clock()
        rows = await self._campaigns.list(who.account.number)
        return [row for row in rows if sees(who, row) and not self._ends.has_ended(row, now)]


def _with_what_soap_cannot_say(new: Campaign, old: Campaign) -> Campaign:
    return replace(
        new,
        time_zone=old.time_zone,
        days=old.days,
        quiet_from=old.quiet_from,
        quiet_to=old.quiet_to,
        sms_uncertain=old.sms_uncertain,
        voice_uncertain=old.voice_uncertain,
        voice_success=old.voice_success,
        acknowledge_keys=old.acknowledge_keys,
        email_uncertain=old.email_uncertain,
        sharing=old.sharing,
        shared_with=old.shared_with,
        merges=old.merges,
    )
