"""Owns the calls that are one request each: where each goes, what it takes, and what it answers.

Must not know how a request travels, nor what is done where it fails.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal
from urllib.parse import quote

import msgspec

from campana.client.binding import Call, call, pages
from campana.client.errors import no_such_thing
from campana.client.keeping import json_headers
from campana.client.models import (
    ApiKey,
    Attempt,
    Balance,
    Campaign,
    CampaignDraft,
    Contact,
    Delivery,
    Events,
    Import,
    Medium,
    NewContact,
    Page,
    Refusal,
    Route,
    Session,
    Status,
)
from campana.client.steps import Request

MOST = "1000"
"""Items on a page, at most."""


def path(*parts: str) -> str:
    """The path of these parts, each of which may hold anything. Raises NotFound for what would lead elsewhere."""
    if not {"", ".", ".."}.isdisjoint(parts):
        raise no_such_thing()
    return "/" + "/".join(quote(part, safe="") for part in parts)


def _query(**given: Any) -> Mapping[str, str]:
    return {name: str(value) for name, value in given.items() if value is not None}


def _version(version: int | None) -> Mapping[str, str]:
    return {} if version is None else {"if-match": f'"{version}"'}


@call
def who_am_i() -> Call[Session]:
    """Tell whose key or session it is, and for what it may be used."""
    return Call(Session, Request("GET", "/sessions/current"))


@call
def create_api_key(
    name: str,
    scopes: Sequence[str],
    *,
    expires_at: datetime | None = None,
    per_minute: int | None = None,
    key: str | None = None,
) -> Call[ApiKey]:
    """Make a key that asks in the user's name, within scopes such as campaigns:read; it is told only here.

    `expires_at` has a time zone; `per_minute` is how many requests it may make. Raises Invalid, NotAllowed.
    """
    wanted = {"name": name, "scopes": list(scopes), "expires_at": expires_at, "per_minute": per_minute}
    body = msgspec.json.encode({name: value for name, value in wanted.items() if value is not None})
    return Call(ApiKey, Request("POST", "/api-keys", headers=json_headers(key), body=body))


@pages
def list_api_keys() -> Call[Page[ApiKey]]:
    """Hand out the keys that the user may know of, without what makes them keys."""
    return Call(Page[ApiKey], Request("GET", "/api-keys", _query(limit=MOST)))


@call
def revoke_api_key(id: str) -> Call[None]:
    """Have a key be good for nothing from now on. Raises NotFound."""
    return Call(None, Request("DELETE", path("api-keys", id)))


@pages
def list_routes() -> Call[Page[Route]]:
    """Tell every route, and how it is."""
    return Call(Page[Route], Request("GET", "/routes"))


# --- campaigns ---------------------------------------------------------------------------------------------------


@call
def create_campaign(draft: CampaignDraft, *, key: str | None = None) -> Call[Campaign]:
    """Make a campaign; as it is kept. Raises Invalid, Conflict."""
    request = Request("POST", "/campaigns", headers=json_headers(key), body=msgspec.json.encode(draft))
    return Call(Campaign, request)


@pages
def list_campaigns(
    *, state: str | None = None, name: str | None = None, sort: Literal["created_at", "-created_at"] | None = None
) -> Call[Page[Campaign]]:
    """Hand out campaigns: those in one of some states (`running,waiting`), those with `name` in their name."""
    return Call(Page[Campaign], Request("GET", "/campaigns", _query(state=state, name=name, sort=sort, limit=MOST)))


@call
def get_campaign(campaign: str) -> Call[Campaign]:
    """Tell a campaign by its id. Raises NotFound."""
    return Call(Campaign, Request("GET", path("campaigns", campaign)))


@call
def change_campaign(campaign: str, change: CampaignDraft, *, version: int | None = None) -> Call[Campaign]:
    """Change what `change` says and leave all else; as it is kept. With the `version` that was read, somebody else's
    change meanwhile raises VersionMismatch. Raises Invalid, NotFound."""
    headers = {"content-type": "application/merge-patch+json", **_version(version)}
    request = Request("PATCH", path("campaigns", campaign), headers=headers, body=msgspec.json.encode(change))
    return Call(Campaign, request)


@call
def delete_campaign(campaign: str, *, version: int | None = None) -> Call[None]:
    """Delete a campaign with everything of it. Raises NotFound, VersionMismatch."""
    return Call(None, Request("DELETE", path("campaigns", campaign), headers=_version(version)))


@call
def pause_campaign(campaign: str, *, key: str | None = None) -> Call[Campaign]:
    """Have nothing more sent until it is resumed. Raises NotFound, Conflict."""
    return _said("pause", campaign, key)


@call
def resume_campaign(campaign: str, *, key: str | None = None) -> Call[Campaign]:
    """Go on after a pause. Raises NotFound, Conflict."""
    return _said("resume", campaign, key)


@call
def cancel_campaign(campaign: str, *, key: str | None = None) -> Call[Campaign]:
    """End it for good; what is under way comes to its end. Raises NotFound, Conflict."""
    return _said("cancel", campaign, key)


def _said(word: str, campaign: str, key: str | None) -> Call[Campaign]:
    headers = {name: value for name, value in json_headers(key).items() if name != "content-type"}
    return Call(Campaign, Request("POST", path("campaigns", campaign, word), headers=headers))


@call
def get_balance(campaign: str) -> Call[Balance]:
    """Tell how many contacts are in each status on each medium. Raises NotFound."""
    return Call(Balance, Request("GET", path("campaigns", campaign, "balance")))


# --- contacts ----------------------------------------------------------------------------------------------------


@call
def add_contact(campaign: str, contact: NewContact, *, key: str | None = None) -> Call[Contact]:
    """Add a contact; as it is kept. Raises Invalid, Conflict, NotFound."""
    headers, body = json_headers(key), msgspec.json.encode(contact)
    return Call(Contact, Request("POST", path("campaigns", campaign, "contacts"), headers=headers, body=body))


@pages
def list_contacts(campaign: str, *, reference: str | None = None) -> Call[Page[Contact]]:
    """Hand out the contacts of a campaign, or those with the client's own `reference`. Raises NotFound."""
    query = _query(reference=reference, limit=MOST)
    return Call(Page[Contact], Request("GET", path("campaigns", campaign, "contacts"), query))


@call
def get_contact(campaign: str, contact: str) -> Call[Contact]:
    """Tell a contact, and how it stands. Raises NotFound."""
    return Call(Contact, Request("GET", path("campaigns", campaign, "contacts", contact)))


@call
def change_contact(campaign: str, contact: str, new: NewContact) -> Call[Contact]:
    """Put another contact in its place, under its id; as it is kept. Raises Invalid, Conflict, NotFound."""
    headers, body = {"content-type": "application/json"}, msgspec.json.encode(new)
    return Call(Contact, Request("PUT", path("campaigns", campaign, "contacts", contact), headers=headers, body=body))


@call
def delete_contact(campaign: str, contact: str) -> Call[None]:
    """Take a contact out of a campaign. Raises NotFound, Conflict."""
    return Call(None, Request("DELETE", path("campaigns", campaign, "contacts", contact)))


@pages
def list_deliveries(
    campaign: str, *, medium: Medium | None = None, status: Status | None = None
) -> Call[Page[Delivery]]:
    """Hand out the deliveries of a campaign: a contact on one medium each. Raises NotFound."""
    query = _query(medium=medium, status=status, limit=MOST)
    return Call(Page[Delivery], Request("GET", path("campaigns", campaign, "deliveries"), query))


@call
def get_delivery(campaign: str, contact: str, medium: Medium) -> Call[Delivery]:
    """Tell a delivery with its attempts, and what it waits for. Raises NotFound."""
    return Call(Delivery, Request("GET", path("campaigns", campaign, "contacts", contact, "deliveries", medium)))


@call
def decide_delivery(
    campaign: str, contact: str, medium: Medium, decision: Literal["resend", "give_up"], *, key: str | None = None
) -> Call[Delivery]:
    """Say what becomes of an uncertain delivery that is held. Raises NotFound, Invalid, Conflict."""
    place = path("campaigns", campaign, "contacts", contact, "deliveries", medium, "decide")
    body = msgspec.json.encode({"decision": decision})
    return Call(Delivery, Request("POST", place, headers=json_headers(key), body=body))


@pages
def list_attempts(campaign: str) -> Call[Page[Attempt]]:
    """Hand out every attempt at the contacts of a campaign. Raises NotFound."""
    return Call(Page[Attempt], Request("GET", path("campaigns", campaign, "attempts"), _query(limit=MOST)))


# --- imports -----------------------------------------------------------------------------------------------------


@pages
def list_imports(campaign: str) -> Call[Page[Import]]:
    """Hand out the imports of a campaign. Raises NotFound."""
    return Call(Page[Import], Request("GET", path("campaigns", campaign, "imports")))


@call
def get_import(number: str) -> Call[Import]:
    """Tell how an import stands. Raises NotFound."""
    return Call(Import, Request("GET", path("imports", number)))


@pages
def list_refusals(number: str) -> Call[Page[Refusal]]:
    """Hand out the rows that an import refused, in order; of many, the first ten thousand. Raises NotFound."""
    return Call(Page[Refusal], Request("GET", path("imports", number, "refusals"), _query(limit=MOST)))


def events_after(campaign: str, after: int) -> Call[Events]:
    """A page of the events with a higher number than `after`."""
    return Call(Events, Request("GET", path("campaigns", campaign, "events"), _query(after=after, limit=MOST)))
