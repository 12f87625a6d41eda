"""Owns what may be asked about the contacts of a campaign: listing, adding, replacing and deleting them.

Must not know how a door words them, nor how they are stored. Adding is a hot path: nothing here is worked out twice.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

from campana.bus.contract import Hint, News
from campana.domain.contact import Contact, admit, plan_edit
from campana.domain.delivery import Medium
from campana.domain.errors import MethodCode, MethodError
from campana.domain.ids import UUID7_RANDOM_BYTES, uuid7
from campana.domain.merging import check_merge, demand_fields, reached_by
from campana.domain.person import check_person
from campana.services.access import Action, find_campaign
from campana.services.campaigns import Ends
from campana.services.merging import Texts
from campana.services.principal import Principal
from campana.services.tools import Tools
from campana.storage.store import Campaigns, Cancelled, Conflict, ContactDetails, ContactLine, Contacts, NewContact


@dataclass(frozen=True, slots=True)
class ContactOptions:
    """What the configuration says of contacts."""

    most_per_campaign: int = 0
    """0 is without limit."""
    default_attempts: Mapping[Medium, int] = field(default_factory=lambda: {Medium.SMS: 3, Medium.EMAIL: 3})
    """Attempts where a contact gives none; voice has the campaign's."""


class ContactService:
    """Contacts of campaigns that whoever asks may see. Used from one event loop."""

    def __init__(
        self, campaigns: Campaigns, contacts: Contacts, tools: Tools, options: ContactOptions, ends: Ends
    ) -> None:
        self._campaigns = campaigns
        self._contacts = contacts
        self._clock = tools.clock
        self._bus = tools.bus
        self._accepted = tools.metrics.contacts_accepted
        self._options = options
        self._ends = ends
        self._texts = Texts()

    async def guids(self, who: Principal, campaign_guid: str) -> AsyncIterator[list[str]]:
        """The ids of a campaign's contacts in the order of adding, page by page.

        What is refused is refused before the first page: 10 CampaignNotFound.
        """
        row = await find_campaign(self._campaigns, who, campaign_guid, Action.SEE)
        return self._contacts.guids(row.number)

    async def lines(self, who: Principal, campaign_guid: str) -> AsyncIterator[list[ContactLine]]:
        """A campaign's contacts in the order of adding, page by page, as flat lines.

        What is refused is refused before the first page: 10 CampaignNotFound.
        """
        row = await find_campaign(self._campaigns, who, campaign_guid, Action.SEE)
        return self._contacts.pages(row.number, row.campaign.guid)

    async def details(
        self, who: Principal, campaign_guid: str, after: int, limit: int, reference: str | None = None
    ) -> list[ContactDetails]:
        """A campaign's contacts with numbers above `after`, at most `limit`, in the order of adding; those with a
        reference alone where one is given. Raises 10 CampaignNotFound."""
        row = await find_campaign(self._campaigns, who, campaign_guid, Action.SEE)
        return await self._contacts.details(row.number, after, limit, reference)

    async def one(self, who: Principal, campaign_guid: str, contact_guid: str) -> ContactDetails:
        """A contact. Raises, in this order, 10 CampaignNotFound, 20 ContactNotFound."""
        row = await find_campaign(self._campaigns, who, campaign_guid, Action.SEE)
        found = await self._contacts.one(row.number, contact_guid)
        if found is None:
            raise MethodError(MethodCode.CONTACT_NOT_FOUND)
        return found

    async def add(self, who: Principal, contact: Contact) -> str:
        """Add a contact and return its id: the one given, or a new UUIDv7 where `guid` is empty.

        Raises, in this order, 10 CampaignNotFound, 3 AccessDenied, 13 CampaignEnded, then what `admit` refuses
        (24 AddingContactsNotAllowed, 22 InvalidContact, 25 RequiredMediumMissing), 22 where a text takes what it lacks,
        30 LimitExceeded, 21 ContactAlreadyExists. The limit may be passed by those that are added at the same moment.
        """
        row = await find_campaign(self._campaigns, who, contact.campaign, Action.ADD_CONTACT)
        now = self._clock()
        if self._ends.has_ended(row, now):
            raise MethodError(MethodCode.CAMPAIGN_ENDED)
        options = self._options
        media = admit(
            contact, row.campaign, who.account.region, default_attempts=options.default_attempts, agent=who.agent
        )
        person = None if contact.person is None else check_person(contact.person)
        check_merge(reached_by(media), self._texts.of(row), person)
        if options.most_per_campaign and row.contacts >= options.most_per_campaign:
            raise MethodError(MethodCode.LIMIT_EXCEEDED, "The campaign has as many contacts as it may have.")
        guid = contact.guid or uuid7(now, secrets.token_bytes(UUID7_RANDOM_BYTES))
        try:
            await self._contacts.add(NewContact(row.number, guid, media, person), now)
        except Conflict:
            raise MethodError(MethodCode.CONTACT_ALREADY_EXISTS) from None
        except LookupError:
            raise MethodError(MethodCode.CAMPAIGN_NOT_FOUND) from None
        except Cancelled:
            raise MethodError(MethodCode.CAMPAIGN_ENDED) from None
        self._bus.tell(Hint(News.CONTACTS, row.number))
        for medium in media:
            if medium.dial is not None:
                self._accepted.add(medium.medium)
        return guid

    async def update(self, who: Principal, contact: Contact) -> None:
        """Replace a contact.

        Raises, in this order, 10 CampaignNotFound, 3 AccessDenied, then what `plan_edit` refuses (22 InvalidContact,
        25 RequiredMediumMissing), 20 ContactNotFound, 23 ContactInProgress, 22 where a text takes what it lacks. An
        ended campaign's contacts may be replaced; 13 CampaignEnded where something would begin of one that was
        cancelled.
        """
        row = await find_campaign(self._campaigns, who, contact.campaign, Action.CHANGE_CONTACT)
        plan = plan_edit(
            contact,
            row.campaign,
            who.account.region,
            default_attempts=self._options.default_attempts,
            agent=who.agent,
        )
        person = None if contact.person is None else check_person(contact.person)
        plan = demand_fields(plan, contact, self._texts.of(row))
        try:
            found = await self._contacts.edit(row.number, contact.guid, plan, self._clock(), person)
        except Cancelled:
            raise MethodError(MethodCode.CAMPAIGN_ENDED) from None
        if not found:
            raise MethodError(MethodCode.CONTACT_NOT_FOUND)
        self._bus.tell(Hint(News.CONTACTS, row.number))

    async def delete(self, who: Principal, campaign_guid: str, contact_guid: str) -> None:
        """Delete a contact. Raises, in this order, 10 CampaignNotFound, 3 AccessDenied, 20 ContactNotFound."""
        row = await find_campaign(self._campaigns, who, campaign_guid, Action.DELETE_CONTACT)
        if not await self._contacts.delete(row.number, contact_guid, self._clock()):
            raise MethodError(MethodCode.CONTACT_NOT_FOUND)
        self._bus.tell(Hint(News.CONTACTS, row.number))
