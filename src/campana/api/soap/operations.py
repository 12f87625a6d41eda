"""Owns the thirteen operations: which service each asks, and with which of its arguments.

Must not know of XML, SOAP or HTTP, nor who may do what. What is refused comes as MethodError.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from campana.api.soap.bindings import SessionAnswer
from campana.domain.campaign import Campaign
from campana.domain.contact import Contact
from campana.domain.errors import MethodCode, MethodError
from campana.services.house import Services
from campana.services.principal import Principal

Arguments = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Asking:
    """What a call carries besides its arguments: whether it is made for an agent, and from which address."""

    services: Services
    agent: bool
    source: str


async def _who(asking: Asking, given: Arguments) -> Principal:
    return await asking.services.sessions.resume(given.get("sessionId") or "", agent=asking.agent)


def _campaign(given: Arguments) -> Campaign:
    campaign: Campaign | None = given.get("campaign")
    if campaign is None:
        raise MethodError(MethodCode.INVALID_CAMPAIGN, "The campaign is missing.", field="campaign")
    return campaign


def _contact(given: Arguments) -> Contact:
    contact: Contact | None = given.get("contact")
    if contact is None:
        raise MethodError(MethodCode.INVALID_CONTACT, "The contact is missing.", field="contact")
    return contact


# --- sessions ----------------------------------------------------------------------------------------------------


async def _open_session(asking: Asking, given: Arguments) -> SessionAnswer:
    account, username, password = (given.get(name) or "" for name in ("accountId", "username", "password"))
    token = await asking.services.sessions.open(account, username, password, asking.source)
    return SessionAnswer(MethodCode.SUCCESS.value, "", token)


async def _close_session(asking: Asking, given: Arguments) -> SessionAnswer:
    await asking.services.sessions.close(given.get("sessionId") or "")
    return SessionAnswer(MethodCode.SUCCESS.value, "")


# --- campaigns ---------------------------------------------------------------------------------------------------


async def _list_campaigns(asking: Asking, given: Arguments) -> list[str]:
    return await asking.services.campaigns.listing(await _who(asking, given))


async def _get_campaigns(asking: Asking, given: Arguments) -> list[Campaign]:
    return await asking.services.campaigns.active(await _who(asking, given))


async def _add_campaign(asking: Asking, given: Arguments) -> None:
    who = await _who(asking, given)
    await asking.services.campaigns.add(who, _campaign(given))


async def _get_campaign(asking: Asking, given: Arguments) -> Campaign:
    who = await _who(asking, given)
    return await asking.services.campaigns.get(who, given.get("campaignId", ""))


async def _update_campaign(asking: Asking, given: Arguments) -> None:
    who = await _who(asking, given)
    await asking.services.campaigns.update(who, _campaign(given))


async def _delete_campaign(asking: Asking, given: Arguments) -> None:
    who = await _who(asking, given)
    await asking.services.campaigns.delete(who, given.get("campaignId", ""))


# --- contacts ----------------------------------------------------------------------------------------------------


async def _list_contacts(asking: Asking, given: Arguments) -> object:
    who = await _who(asking, given)
    return await asking.services.contacts.guids(who, given.get("campaignId", ""))


async def _get_contacts(asking: Asking, given: Arguments) -> object:
    who = await _who(asking, given)
    return await asking.services.contacts.lines(who, given.get("campaignId", ""))


async def _add_contact(asking: Asking, given: Arguments) -> None:
    who = await _who(asking, given)
    await asking.services.contacts.add(who, _contact(given))


async def _update_contact(asking: Asking, given: Arguments) -> None:
    who = await _who(asking, given)
    await asking.services.contacts.update(who, _contact(given))


async def _delete_contact(asking: Asking, given: Arguments) -> None:
    who = await _who(asking, given)
    await asking.services.contacts.delete(who, given.get("campaignId", ""), given.get("contactId", ""))


OPERATIONS: dict[str, Callable[[Asking, Arguments], Awaitable[object]]] = {
    "OpenAPISession": _open_session,
    "CloseAPISession": _close_session,
    "GetCampaignListing": _list_campaigns,
    "GetCampaigns": _get_campaigns,
    "AddCampaign": _add_campaign,
    "GetCampaign": _get_campaign,
    "UpdateCampaign": _update_campaign,
    "DeleteCampaign": _delete_campaign,
    "GetCampaignContactsListing": _list_contacts,
    "GetCampaignContacts": _get_contacts,
    "AddCampaignContact": _add_contact,
    "UpdateCampaignContact": _update_contact,
    "DeleteCampaignContact": _delete_contact,
}
"""By the name of the operation in the WSDL. Methods that answer an int give None here: success.

Lists of campaigns come whole; lists of contacts, which have any length, come as iterators of pages.
"""
