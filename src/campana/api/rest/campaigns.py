"""Owns campaigns as resources: listing, adding, reading, replacing, patching, deleting; pausing, resuming, cancelling.

Must not know what a campaign needs, nor how one is written (campaign_shapes.py).
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta

from campana.api.rest.campaign_shapes import (
    EXAMPLE,
    CampaignBody,
    CampaignShown,
    Facts,
    campaign_of,
    demand_known_members,
    demand_own_id,
    merge_patch,
    shown,
)
from campana.api.rest.cursors import read_cursor, write_cursor
from campana.api.rest.operation import JSON, Answer, Call, Operations, Says
from campana.api.rest.reading import read_value
from campana.api.rest.shapes import Cursor, Limit
from campana.api.rest.tags import Tag, VersionMismatch, demand_match, is_known, tag_of
from campana.domain.errors import MethodCode, MethodError
from campana.domain.progress import State
from campana.services.access import SHARED_BY_DEFAULT
from campana.services.campaigns import CampaignQuery, Seen
from campana.services.scopes import Scope

operation = Operations("Campaigns")

TRIES = 10
"""Of a patch that is bound to no version, where others change the campaign at the same time."""

MERGE_PATCH = "application/merge-patch+json"

_NOT_FOUND = (MethodCode.CAMPAIGN_NOT_FOUND,)
_CHANGED = (MethodCode.CAMPAIGN_NOT_FOUND, MethodCode.INVALID_CAMPAIGN, MethodCode.VERSION_MISMATCH)


class CampaignsQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Which campaigns are asked for."""

    limit: Limit = 100
    cursor: Cursor = ""
    state: Annotated[
        str,
        Meta(
            max_length=100,
            pattern="^(scheduled|running|waiting|paused|finished|ended|cancelled)"
            "(,(scheduled|running|waiting|paused|finished|ended|cancelled))*$",
            description="Only those in one of these states, separated by commas.",
            examples=["running,waiting"],
        ),
    ] = ""
    name: Annotated[str, Meta(max_length=200, description="Only those whose name has this in it, without case.")] = ""
    active: Annotated[
        bool, Meta(description="Only those whose last window has not passed, as `GetCampaigns` of SOAP lists them.")
    ] = False
    sort: Annotated[Literal["created_at", "-created_at"], Meta(description="The oldest, or the newest first.")] = (
        "created_at"
    )


class Campaigns(msgspec.Struct, frozen=True):
    """A page of campaigns."""

    items: list[CampaignShown]
    next: Annotated[
        str | None,
        Meta(description="The cursor of the next page; null at the end. A page may be short and still have one."),
    ]


def _shown(seen: Seen) -> CampaignShown:
    row = seen.row
    return shown(row.campaign, Facts(seen.state, row.version, row.owner_name, row.cancelled_at))


def _tag(seen: Seen) -> Tag:
    """What stands for a campaign as it is shown: its version, and its state, which changes without one."""
    return Tag(str(seen.row.version), seen.state.value)


def _answer(seen: Seen, status: int | None = None, **headers: str) -> Answer[CampaignShown]:
    return Answer(_shown(seen), status, {"etag": tag_of(_tag(seen)), **headers})


@operation("GET", "/campaigns", Says(scope=Scope.CAMPAIGNS_READ))
async def list_campaigns(call: Call[None, CampaignsQuery]) -> Answer[Campaigns]:
    """List the campaigns that the user sees.

    Filters look at each campaign in turn: a page for which too many were passed over is short, and has a `next`.
    """
    asked = call.query
    kind = f"campaigns {asked.sort} {asked.state} {asked.name} {asked.active}"
    (after,) = read_cursor(asked.cursor, kind, int) or (0,)
    query = CampaignQuery(
        after=after,
        limit=asked.limit,
        newest_first=asked.sort == "-created_at",
        states=frozenset(State(name) for name in asked.state.split(",") if name),
        name=asked.name,
        only_active=asked.active,
    )
    found, more = await call.services.campaigns.page(call.who, query)
    return Answer(Campaigns([_shown(seen) for seen in found], None if more is None else write_cursor(kind, more)))


@operation(
    "POST",
    "/campaigns",
    Says(
        scope=Scope.CAMPAIGNS_WRITE,
        status=201,
        refuses=(MethodCode.INVALID_CAMPAIGN, MethodCode.CAMPAIGN_ALREADY_EXISTS, MethodCode.LIMIT_EXCEEDED),
        broken=MethodCode.INVALID_CAMPAIGN,
        example=EXAMPLE,
    ),
)
async def add_campaign(call: Call[CampaignBody, None]) -> Answer[CampaignShown]:
    """Add a campaign.

    It goes out as soon as its window is open and it has contacts: add it `paused` to look at it first.
    """
    given = "" if call.body.id is UNSET else call.body.id.lower()
    campaign = campaign_of(call.body, given or call.new_id, SHARED_BY_DEFAULT[call.who.role])
    try:
        guid = await call.services.campaigns.add(call.who, campaign, whole=True)
    except MethodError as error:
        made_before = call.again and not given and error.code is MethodCode.CAMPAIGN_ALREADY_EXISTS
        if not made_before:
            raise
        guid = call.new_id
    seen = await call.services.campaigns.look(call.who, guid)
    return _answer(seen, location=f"{call.base}/campaigns/{guid}")


@operation("GET", "/campaigns/{campaign}", Says(scope=Scope.CAMPAIGNS_READ, refuses=_NOT_FOUND, versioned=True))
async def get_campaign(call: Call[None, None]) -> Answer[CampaignShown | None]:
    """Read a campaign.

    Its ETag stands for its version and its state. With If-None-Match, what has not changed is answered 304.
    """
    seen = await call.services.campaigns.look(call.who, call.guid("campaign"))
    if is_known(call.condition("if-none-match"), _tag(seen)):
        return Answer(None, 304, {"etag": tag_of(_tag(seen))})
    return Answer(_shown(seen), None, {"etag": tag_of(_tag(seen))})


@operation(
    "PUT",
    "/campaigns/{campaign}",
    Says(
        scope=Scope.CAMPAIGNS_WRITE,
        refuses=_CHANGED,
        versioned=True,
        broken=MethodCode.INVALID_CAMPAIGN,
        example=EXAMPLE,
    ),
)
async def replace_campaign(call: Call[CampaignBody, None]) -> Answer[CampaignShown]:
    """Replace a campaign.

    What is left out has its default. Changes reach contacts that have not begun on the medium. With If-Match, only
    the version that was read is replaced: 412 where it has changed since. A change of state alone does not count.
    """
    return await _replace(call, call.body)


@operation(
    "PATCH",
    "/campaigns/{campaign}",
    Says(
        scope=Scope.CAMPAIGNS_WRITE,
        refuses=_CHANGED,
        versioned=True,
        takes=(MERGE_PATCH, JSON),
        body_like=CampaignBody,
        example={"name": "Reminder, again", "sms": {"text": "Hello"}},
    ),
)
async def change_campaign(call: Call[dict[str, Any], None]) -> Answer[CampaignShown]:
    """Change a campaign in part.

    A JSON merge patch (RFC 7396): members that are given replace, null puts a member back to its default, objects are
    merged. The outcome keeps the rules of a whole campaign. Nothing is lost to a change that comes at the same time.
    """
    for _ in range(TRIES):
        with contextlib.suppress(VersionMismatch):
            return await _replace(call, None)
        if call.condition("if-match") is not None:
            break
    raise VersionMismatch


async def _replace(call: Call[Any, None], body: CampaignBody | None) -> Answer[CampaignShown]:
    """Replace a campaign by a body, or, where that is None, by what the patch makes of it as it is."""
    campaigns, guid = call.services.campaigns, call.guid("campaign")
    before = await campaigns.look(call.who, guid)
    demand_match(call.condition("if-match"), _tag(before))
    if body is None:
        demand_known_members(call.body)
        target = msgspec.to_builtins(_shown(before))
        body = read_value(merge_patch(target, call.body), CampaignBody, MethodCode.INVALID_CAMPAIGN)
    demand_own_id(body, guid)
    sharing = before.row.campaign.sharing if call.request.method == "PATCH" else SHARED_BY_DEFAULT[call.who.role]
    campaign = replace(campaign_of(body, guid, sharing), created_at=before.row.campaign.created_at)
    bound = call.condition("if-match") not in (None, "*") or call.request.method == "PATCH"
    try:
        await campaigns.update(call.who, campaign, whole=True, version=before.row.version if bound else None)
    except MethodError as error:
        raise (VersionMismatch() if error.code is MethodCode.VERSION_MISMATCH else error) from None
    return _answer(await campaigns.look(call.who, guid))


@operation(
    "DELETE",
    "/campaigns/{campaign}",
    Says(
        scope=Scope.CAMPAIGNS_WRITE,
        status=204,
        refuses=(MethodCode.CAMPAIGN_NOT_FOUND, MethodCode.VERSION_MISMATCH),
        versioned=True,
    ),
)
async def delete_campaign(call: Call[None, None]) -> Answer[None]:
    """Delete a campaign.

    It is gone from every answer at once. What waits is cancelled, what is in progress finishes.
    """
    guid = call.guid("campaign")
    if call.condition("if-match") is not None:
        demand_match(call.condition("if-match"), _tag(await call.services.campaigns.look(call.who, guid)))
    await call.services.campaigns.delete(call.who, guid)
    return Answer(None)


_STEERED = Says(scope=Scope.CAMPAIGNS_WRITE, refuses=(MethodCode.CAMPAIGN_NOT_FOUND, MethodCode.CAMPAIGN_ENDED))


@operation("POST", "/campaigns/{campaign}/pause", _STEERED)
async def pause_campaign(call: Call[None, None]) -> Answer[CampaignShown]:
    """Pause a campaign.

    No attempt begins until it is resumed; what is in progress finishes. One that is paused stays so. One that was
    cancelled: 13.
    """
    return _answer(await call.services.campaigns.pause(call.who, call.guid("campaign")))


@operation("POST", "/campaigns/{campaign}/resume", _STEERED)
async def resume_campaign(call: Call[None, None]) -> Answer[CampaignShown]:
    """Resume a campaign that is paused.

    One that is not paused stays so. One that was cancelled: 13.
    """
    return _answer(await call.services.campaigns.resume(call.who, call.guid("campaign")))


@operation("POST", "/campaigns/{campaign}/cancel", Says(scope=Scope.CAMPAIGNS_WRITE, refuses=_NOT_FOUND))
async def cancel_campaign(call: Call[None, None]) -> Answer[CampaignShown]:
    """Cancel a campaign for good.

    What waits is cancelled, what is in progress finishes, and no contact is added any more. It can still be read.
    """
    return _answer(await call.services.campaigns.cancel(call.who, call.guid("campaign")))
