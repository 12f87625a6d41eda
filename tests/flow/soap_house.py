"""A house behind the SOAP door, kept in memory, and a real server in front of it, for the door's own flow tests.

`MemoryHouse` stands at the seam of the services: what it answers is simple and settled; what it was asked can be
read. The rules of campaigns and contacts are tested where they live.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
from served import Served, served

from campana.api.http import HttpFront
from campana.api.server import ServerLimits
from campana.api.soap.app import SoapApp, SoapOptions
from campana.domain.campaign import Campaign
from campana.domain.contact import Communication, Contact
from campana.domain.errors import MethodCode, MethodError
from campana.storage.store import StoreUnavailable

CREATED = 1_795_443_652_500
"""2026-11-23T14:20:52.5Z"""
PAGE = 500


@dataclass
class Sessions:
    """One account, `acme`, with one user, `ann`, whose password is `open sesame`."""

    open_tokens: set[str] = field(default_factory=set)
    resumed: list[tuple[str, bool]] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)

    async def open(self, account_id: str, username: str, password: str, source: str) -> str:
        self.sources.append(source)
        if (account_id, username, password) != ("acme", "ann", "open sesame"):
            raise MethodError(MethodCode.INVALID_CREDENTIALS)
        token = uuid.uuid4().hex
        self.open_tokens.add(token)
        return token

    async def close(self, token: str) -> None:
        self._check(token)
        self.open_tokens.discard(token)

    async def resume(self, token: str, *, agent: bool = False) -> str:
        self._check(token)
        self.resumed.append((token, agent))
        return "ann"

    def _check(self, token: str) -> None:
        if token not in self.open_tokens:
            raise MethodError(MethodCode.INVALID_SESSION)


@dataclass
class Campaigns:
    kept: dict[str, Campaign] = field(default_factory=dict)

    async def listing(self, who: str) -> list[str]:
        return list(self.kept)

    async def active(self, who: str) -> list[Campaign]:
        return list(self.kept.values())

    async def add(self, who: str, campaign: Campaign) -> str:
        if not campaign.name:
            raise MethodError(MethodCode.INVALID_CAMPAIGN, "The ShortName must not be blank — give it a name.")
        guid = campaign.guid or str(uuid.uuid4())
        if guid in self.kept:
            raise MethodError(MethodCode.CAMPAIGN_ALREADY_EXISTS)
        self.kept[guid] = replace(campaign, guid=guid, created_at=CREATED)
        return guid

    async def get(self, who: str, guid: str) -> Campaign:
        if guid not in self.kept:
            raise MethodError(MethodCode.CAMPAIGN_NOT_FOUND)
        return self.kept[guid]

    async def update(self, who: str, campaign: Campaign) -> None:
        await self.get(who, campaign.guid)
        self.kept[campaign.guid] = replace(campaign, created_at=CREATED)

    async def delete(self, who: str, guid: str) -> None:
        await self.get(who, guid)
        del self.kept[guid]


@dataclass(eq=False, repr=False)
class Contacts:
    """`fail_after` breaks lists off after so many pages; `extra_lines` makes those of contacts longer than memory."""

    campaigns: Campaigns
    kept: dict[tuple[str, str], Contact] = field(default_factory=dict)
    fail_after: int | None = None
    failure: Exception = field(default_factory=StoreUnavailable)
    closed: threading.Event = field(default_factory=threading.Event)
    extra_lines: int = 0

    async def guids(self, who: str, campaign_guid: str) -> AsyncIterator[list[str]]:
        await self.campaigns.get(who, campaign_guid)
        return self._pages([contact.guid for contact in self._of(campaign_guid)])

    async def lines(self, who: str, campaign_guid: str) -> AsyncIterator[list[list[str | int | None]]]:
        await self.campaigns.get(who, campaign_guid)
        return self._pages([line_of(contact) for contact in self._of(campaign_guid)])

    async def add(self, who: str, contact: Contact) -> str:
        await self.campaigns.get(who, contact.campaign)
        guid = contact.guid or str(uuid.uuid4())
        if (contact.campaign, guid) in self.kept:
            raise MethodError(MethodCode.CONTACT_ALREADY_EXISTS)
        self.kept[contact.campaign, guid] = msgspec.structs.replace(contact, guid=guid)
        return guid

    async def update(self, who: str, contact: Contact) -> None:
        if (contact.campaign, contact.guid) not in self.kept:
            raise MethodError(MethodCode.CONTACT_NOT_FOUND)
        self.kept[contact.campaign, contact.guid] = contact

    async def delete(self, who: str, campaign_guid: str, contact_guid: str) -> None:
        if self.kept.pop((campaign_guid, contact_guid), None) is None:
            raise MethodError(MethodCode.CONTACT_NOT_FOUND)

    def _of(self, campaign: str) -> list[Contact]:
        return [contact for (home, _), contact in self.kept.items() if home == campaign]

    async def _pages(self, items: list[Any]) -> AsyncIterator[list[Any]]:
        try:
            for number, start in enumerate(range(0, len(items), PAGE)):
                if number == self.fail_after:
                    raise self.failure
                yield items[start : start + PAGE]
            for _ in range(0, self.extra_lines, PAGE):
                yield [EXTRA_LINE] * PAGE
        finally:
            self.closed.set()


EXTRA_LINE: list[str | int | None] = ["0" * 8 + "-0000-0000-0000-" + "1" * 12, "+14165550111", None, 1, 0, 3]
EXTRA_LINE += [None, None, 0, 0, 0, "a@example.test", "Bonjour", 1, 0, 3]


def line_of(contact: Contact) -> list[str | int | None]:
    """The contact as the store gives it: 16 flat values."""
    line: list[str | int | None] = [contact.guid]
    for medium in (contact.sms, contact.voice, contact.email):
        if medium is None:
            line += [None, None, 0, 0, 0]
        else:
            line += [medium.destination, medium.text, int(bool(medium.destination)), 0, medium.attempts_left]
    return line


class MemoryHouse:
    """All services, in memory; shaped as campana.services.house.Services."""

    def __init__(self) -> None:
        self.sessions = Sessions()
        self.campaigns = Campaigns()
        self.contacts = Contacts(self.campaigns)

    def fill(self, campaign: str, contacts: int) -> None:
        """Add a campaign with so many contacts, quickly."""
        self.campaigns.kept[campaign] = Campaign(guid=campaign, name="filled", created_at=CREATED)
        for number in range(contacts):
            guid = str(uuid.UUID(int=number + 1))
            sms = Communication(destination=f"+1416{number:07d}", attempts_left=3)
            self.contacts.kept[campaign, guid] = Contact(guid, campaign, sms=sms)


class Door(Served):
    """The SOAP door, open."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/OutboundNotifications.svc"


def front_of(house: Any, options: SoapOptions | None = None) -> HttpFront:
    """The application, as the server runs it."""
    return HttpFront(
        SoapApp(house, options or SoapOptions()),
        readiness=lambda: (True, {"store": "up"}),
        metrics=lambda: b"# metrics\n",
    )


@contextmanager
def open_door(
    house: AbstractAsyncContextManager[Any],
    options: SoapOptions | None = None,
    limits: ServerLimits | None = None,
    **settings: Any,
) -> Iterator[Door]:
    """Serve a house on a free port. The house is entered in the door's thread."""
    with served(Door(), house, lambda behind: front_of(behind, options), limits, **settings) as door:
        yield door


def memory_house() -> AbstractAsyncContextManager[MemoryHouse]:
    """A house in memory, to be entered."""
    return nullcontext(MemoryHouse())
