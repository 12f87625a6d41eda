"""Owns what may be asked about campaigns: which are active, adding, reading, replacing and deleting one.

Must not know how a door words them, nor how they are stored.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from campana.bus.contract import Hint, News
from campana.domain.campaign import Campaign, check_campaign
from campana.domain.errors import MethodCode, MethodError
from campana.domain.ids import UUID7_RANDOM_BYTES, uuid7
from campana.domain.progress import NOBODY, Course, State, is_finished, state_of
from campana.domain.schedule import ends_at, window_of
from campana.services.access import SHARED_BY_DEFAULT, Action, demand, find_campaign, sees
from campana.services.merging import demand_fields_of_all
from campana.services.principal import Principal
from campana.services.tools import Tools
from campana.storage.progress import Progress, Standing
from campana.storage.store import CampaignRow, Campaigns, Conflict, Contacts, Full, Stale

REMEMBERED_ENDS = 10_000

ROWS_AT_ONCE = 50
MOST_LOOKED_AT = 1_000
"""Campaigns that one page may pass over."""
MOST_CHARACTERS = 4_000_000
"""Of the texts of a page, about: one campaign may say a million."""


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


class CampaignsStore(Protocol):
    """The part of the store that is asked about campaigns."""

    @property
    def campaigns(self) -> Campaigns: ...

    @property
    def contacts(self) -> Contacts: ...

    @property
    def progress(self) -> Progress: ...


@dataclass(frozen=True, slots=True)
class CampaignQuery:
    """Which campaigns are asked for, in the order in which they were added or the other way round."""

    after: int = 0
    """Numbers from the one after this on; 0 is from the first."""
    limit: int = 100
    newest_first: bool = False
    states: frozenset[State] = frozenset()
    """Empty: any."""
    name: str = ""
    """What the name has in it, without case."""
    only_active: bool = False
    """Whether those whose last window has passed are left out."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A campaign, and where it is right now."""

    row: CampaignRow
    state: State


class CampaignService:
    """Campaigns of the account of whoever asks. Used from one event loop."""

    def __init__(self, kept: CampaignsStore, tools: Tools, options: CampaignOptions, ends: Ends) -> None:
        self._campaigns = kept.campaigns
        self._contacts = kept.contacts
        self._progress = kept.progress
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

    async def update(
        self, who: Principal, campaign: Campaign, *, whole: bool = False, version: int | None = None
    ) -> None:
        """Replace a campaign; its id, creator and date of creation stay.

        `whole` is True from a door that can say what SOAP cannot; otherwise those fields stay as they are, for a
        client that does not know of them must not reset them. Where a `version` is given (to who can say all), that one
        alone is replaced.
        Raises, in this order, 10 CampaignNotFound, 3 AccessDenied, 12 InvalidCampaign, 43 VersionMismatch.
        """
        while not await self._update(who, campaign, whole=whole, version=version):
            pass

    async def _update(self, who: Principal, campaign: Campaign, *, whole: bool, version: int | None) -> bool:
        """Replace a campaign; False where another change came in between, of which the client cannot know."""
        row = await find_campaign(self._campaigns, who, campaign.guid, Action.CHANGE_CAMPAIGN)
        kept = replace(campaign, merges=True) if whole else _with_what_soap_cannot_say(campaign, row.campaign)
        check_campaign(kept, allow_private_endpoints=self._options.allow_private_endpoints)
        await demand_fields_of_all(self._contacts, row, kept)
        # What stays as it is has to be as it is when it is written.
        bound = version if whole else row.version
        try:
            replaced = await self._campaigns.replace(row.number, kept, self._clock(), bound)
        except Stale:
            if not whole:
                return False
            raise MethodError(MethodCode.VERSION_MISMATCH) from None
        if replaced is None:
            raise MethodError(MethodCode.CAMPAIGN_NOT_FOUND)
        self._bus.tell(Hint(News.CAMPAIGN, row.number))
        return True

    async def look(self, who: Principal, guid: str) -> Seen:
        """A campaign, with where it is right now. Raises 10 CampaignNotFound."""
        row = await find_campaign(self._campaigns, who, guid, Action.SEE)
        (seen,) = await self._seen([row])
        return seen

    async def page(self, who: Principal, query: CampaignQuery) -> tuple[list[Seen], int | None]:
        """Some of the campaigns that the user sees, and after which number to go on; None where there are no more.

        It looks at so many campaigns and characters and then stops, with what it has found by then.
        """
        found: list[Seen] = []
        after, looked_at, characters = query.after, 0, 0
        while looked_at < MOST_LOOKED_AT:
            rows = await self._campaigns.page(who.account.number, after, ROWS_AT_ONCE, newest_first=query.newest_first)
            for seen in await self._seen([row for row in rows if sees(who, row) and self._fits(row, query)]):
                if query.states and seen.state not in query.states:
                    continue
                found.append(seen)
                characters += _characters(seen.row.campaign)
                if len(found) >= query.limit or characters >= MOST_CHARACTERS:
                    return found, seen.row.number
            if len(rows) < ROWS_AT_ONCE:
                return found, None
            after = rows[-1].number
            looked_at += len(rows)
        return found, after

    async def pause(self, who: Principal, guid: str) -> Seen:
        """Let no attempt begin until it is resumed. Raises, in this order, 10 CampaignNotFound, 3 AccessDenied,
        13 CampaignEnded where it was cancelled."""
        return await self._set_paused(who, guid, paused=True)

    async def resume(self, who: Principal, guid: str) -> Seen:
        """Let attempts begin again. Raises what `pause` raises."""
        return await self._set_paused(who, guid, paused=False)

    async def cancel(self, who: Principal, guid: str) -> Seen:
        """End it for good: what waits is cancelled. Once more changes nothing.

        Raises, in this order, 10 CampaignNotFound, 3 AccessDenied.
        """
        row = await find_campaign(self._campaigns, who, guid, Action.CHANGE_CAMPAIGN)
        if row.cancelled_at is None:
            if await self._campaigns.cancel(row.number, self._clock()) is None:
                raise MethodError(MethodCode.CAMPAIGN_NOT_FOUND)
            self._bus.tell(Hint(News.CAMPAIGN, row.number))
        return await self.look(who, guid)

    async def delete(self, who: Principal, guid: str) -> None:
        """Delete a campaign. Raises, in this order, 10 CampaignNotFound, 3 AccessDenied."""
        row = await find_campaign(self._campaigns, who, guid, Action.DELETE_CAMPAIGN)
        if not await self._campaigns.delete(row.number, self._clock()):
            raise MethodError(MethodCode.CAMPAIGN_NOT_FOUND)
        self._bus.tell(Hint(News.CAMPAIGN, row.number))

    async def _set_paused(self, who: Principal, guid: str, *, paused: bool) -> Seen:
        while True:
            row = await find_campaign(self._campaigns, who, guid, Action.CHANGE_CAMPAIGN)
            if row.cancelled_at is not None:
                raise MethodError(MethodCode.CAMPAIGN_ENDED, "The campaign was cancelled.")
            if row.campaign.is_paused is paused:
                return await self.look(who, guid)
            changed = replace(row.campaign, is_paused=paused)
            # Whoever changes it at the same moment has come first; it is paused as it is then.
            with contextlib.suppress(Stale):
                if await self._campaigns.replace(row.number, changed, self._clock(), row.version) is None:
                    raise MethodError(MethodCode.CAMPAIGN_NOT_FOUND)
                self._bus.tell(Hint(News.CAMPAIGN, row.number))

    async def _seen(self, rows: Sequence[CampaignRow]) -> list[Seen]:
        """Campaigns with where they are right now."""
        now = self._clock()
        standings = await self._progress.standings([row.number for row in rows]) if rows else {}
        return [Seen(row, _state(row, standings.get(row.number), now)) for row in rows]

    def _fits(self, row: CampaignRow, query: CampaignQuery) -> bool:
        named = query.name.casefold() in (row.campaign.name or "").casefold()
        return named and not (query.only_active and self._ends.has_ended(row, self._clock()))

    async def _active(self, who: Principal) -> list[CampaignRow]:
        now = self._clock()
        rows = await self._campaigns.list(who.account.number)
        return [row for row in rows if sees(who, row) and not self._ends.has_ended(row, now)]


def _state(row: CampaignRow, standing: Standing | None, now: int) -> State:
    course = Course(row.campaign, window_of(row.campaign, row.zone), row.cancelled_at is not None)
    balance = NOBODY if standing is None else standing.balance
    return state_of(course, now, finished=is_finished(course, balance, now))


def _characters(campaign: Campaign) -> int:
    texts = (
        campaign.sms and campaign.sms.text,
        campaign.voice and campaign.voice.text,
        campaign.email and campaign.email.html,
    )
    return sum(len(text or "") for text in texts)


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
