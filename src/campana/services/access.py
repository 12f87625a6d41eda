"""Owns who sees a campaign and which role may do what: two tables and one question.

Must not know how a user proved who they are. The public version of the tables is docs/error-codes.md.
"""

from __future__ import annotations

from enum import Enum

from campana.domain.campaign import Sharing
from campana.domain.errors import MethodCode, MethodError
from campana.services.principal import Principal, Role
from campana.storage.store import CampaignRow, Campaigns


class Action(Enum):
    """What a user may want of campaigns and contacts."""

    SEE = "see"
    """A campaign, its contacts, and how they stand."""
    ADD_CAMPAIGN = "add a campaign"
    CHANGE_CAMPAIGN = "change the campaign"
    DELETE_CAMPAIGN = "delete the campaign"
    ADD_CONTACT = "add contacts"
    CHANGE_CONTACT = "change contacts"
    DELETE_CONTACT = "delete contacts"


MAY: dict[str, frozenset[Action]] = {
    Role.ADMIN: frozenset(Action),
    Role.OPERATOR: frozenset(Action),
    Role.API: frozenset(Action),
    Role.AGENT: frozenset({Action.SEE, Action.ADD_CONTACT, Action.CHANGE_CONTACT}),
}
"""What each role may do to campaigns that it sees. An agent corrects contacts, but takes nobody out."""

SHARED_BY_DEFAULT: dict[str, Sharing] = {
    Role.ADMIN: Sharing.PRIVATE,
    Role.OPERATOR: Sharing.PRIVATE,
    Role.API: Sharing.ALL,
    Role.AGENT: Sharing.PRIVATE,
}
"""With whom a new campaign is shared, by its creator's role, where the door has no field to say it."""


def sees(who: Principal, row: CampaignRow) -> bool:
    """Tell whether the user may know of a campaign of their account."""
    user = who.user
    if user.role == Role.ADMIN or user.number == row.owner:
        return True
    sharing = row.campaign.sharing
    if sharing is Sharing.ALL:
        return True
    name = user.name.casefold()
    return sharing is Sharing.SOME and any(shared.casefold() == name for shared in row.campaign.shared_with)


def demand(who: Principal, action: Action) -> None:
    """Raise 3 AccessDenied where the user's role may not do it."""
    if action not in MAY.get(who.user.role, frozenset()):
        raise MethodError(MethodCode.ACCESS_DENIED, f"The role {who.user.role} may not {action.value}.")


async def find_campaign(campaigns: Campaigns, who: Principal, guid: str, action: Action) -> CampaignRow:
    """Find a campaign to do something with.

    `guid` is canonical. Raises 10 CampaignNotFound where the user may not know of it, then 3 AccessDenied where the
    role may not do it. A campaign of another account is never even read.
    """
    row = await campaigns.find(who.user.account.number, guid)
    if row is None or not sees(who, row):
        raise MethodError(MethodCode.CAMPAIGN_NOT_FOUND)
    demand(who, action)
    return row
