"""Owns the store contract: what services and engine may ask of a database, in the words of the domain.

Must not know which database it is. Instants are epoch milliseconds (UTC). Every method that changes something is
durable when it returns. Every method may raise StoreUnavailable; then nothing was changed, or, where the
connection died during the commit, the caller cannot know and asks again (all changes are safe to repeat).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import msgspec

from campana.domain.call import CallReport
from campana.domain.campaign import Campaign
from campana.domain.contact import Admitted, EditPlanner, MediumState
from campana.domain.delivery import Medium, Status
from campana.domain.person import Person


class StoreUnavailable(Exception):
    """The database cannot be used right now; it is safe to try again."""


class UpgradeRefused(StoreUnavailable):
    """A program, this one or one that is at work, does not fit what the tables are or were to become."""


@dataclass(frozen=True, slots=True)
class Watch:
    """Who is told how a store fares: in any thread, and quick."""

    committed: Callable[[float], None] = lambda seconds: None
    """A transaction took so many seconds."""
    unavailable: Callable[[], None] = lambda: None
    """The database could not be used."""


UNWATCHED = Watch()


class Conflict(Exception):
    """What was to be added exists already."""


class Cancelled(Exception):
    """The campaign was cancelled: nothing of it begins any more."""


class Full(Exception):
    """There are as many as there may be."""


class Stale(Exception):
    """What was to be changed is not any more what it was when it was read."""


# --- accounts, users, sessions ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AccountRow:
    """A tenant. `number` is internal and never leaves Campana; `id` is the accountId of the contract."""

    number: int
    id: str
    time_zone: str
    region: str
    """Default region of phone numbers, ISO 3166-1 alpha-2."""
    created_at: int


@dataclass(frozen=True, slots=True)
class UserRow:
    """A user of an account. `role` is one of admin, operator, api, agent."""

    number: int
    account: AccountRow
    name: str
    role: str
    password_hash: str
    created_at: int
    disabled_at: int | None = None
    """Since when the user may not come in."""


@dataclass(frozen=True, slots=True)
class SessionRow:
    """An open session with its user."""

    user: UserRow
    opened_at: int
    last_used_at: int


@dataclass(frozen=True, slots=True)
class Failures:
    """Failed log-ins in a row under one key (a hash of account+user, or of a source address)."""

    moments: tuple[tuple[int, int], ...]
    """When they happened, oldest first: an instant, and how many count as of it. Never empty."""
    locked_until: int = 0

    @property
    def count(self) -> int:
        """How many they are."""
        return sum(many for _, many in self.moments)

    @property
    def first_at(self) -> int:
        """When the first of them happened."""
        return self.moments[0][0]


ADMIN = "admin"
"""The role without which nobody of an account could change its users."""


class Change(Enum):
    """What became of a change of a user."""

    DONE = "done"
    GONE = "gone"
    """There is no such user."""
    LAST_ADMIN = "last admin"
    """Refused: nobody else of the account is an admin who may come in."""


FailureJudge = Callable[[Failures | None], Failures | None]
"""Says what is kept under a key from now on, of what was. None is nothing."""


class Accounts(Protocol):
    """Accounts and users."""

    async def add_account(self, id: str, time_zone: str, region: str, at: int) -> AccountRow:
        """Raises Conflict where the id (compared without case) is in use."""

    async def find_account(self, id: str) -> AccountRow | None: ...

    async def list_accounts(self) -> list[AccountRow]: ...

    async def add_user(self, account: int, name: str, role: str, password_hash: str, at: int) -> UserRow:
        """Raises Conflict where the account has a user of this name (compared without case)."""

    async def find_user(self, account_id: str, name: str) -> UserRow | None:
        """Both compared without case."""

    async def list_users(self, account: int) -> list[UserRow]: ...

    async def set_password(self, user: int, password_hash: str) -> None:
        """Also ends every session of the user."""

    async def set_account(self, account: int, time_zone: str, region: str) -> AccountRow | None:
        """Change what holds for all of an account; campaigns and contacts that are there follow a new zone, and keep
        their numbers as they were dialled. None where there is no such account."""

    async def change_user(self, user: int, role: str, disabled_at: int | None) -> Change:
        """Give a user a role, and disable or enable it. Whoever is disabled loses every session. LAST_ADMIN where
        the account would be without an admin that may come in."""

    async def delete_user(self, user: int, heir: int) -> Change:
        """Remove a user with its sessions and keys; its campaigns become the heir's. LAST_ADMIN as above."""

    async def rehash(self, user: int, old_hash: str, new_hash: str) -> None:
        """Keep the same password under a newer hash; sessions go on. Does nothing where `old_hash` is not current."""


class Sessions(Protocol):
    """Open sessions, by the SHA-256 of their token; and the failures that lock a door."""

    async def open(self, token_hash: bytes, user: int, password_hash: str, at: int) -> bool:
        """Keep a new session. False where `password_hash`, which was verified, is not the user's any more: nothing that
        ends sessions for a new password misses this one."""

    async def find(self, token_hash: bytes) -> SessionRow | None: ...

    async def touch(self, uses: Sequence[tuple[bytes, int]]) -> None:
        """Note when sessions were used, each named once, in one transaction; never moves last_used_at back."""

    async def close(self, token_hash: bytes) -> bool:
        """True where there was such a session."""

    async def purge(self, unused_since: int, failed_since: int) -> int:
        """Remove sessions last used before an instant; returns how many.

        Also forgets failures that began before another one and lock nothing since: first_at and locked_until both
        lie before it. Otherwise made-up names would fill the table.
        """

    async def failures(self, key: bytes) -> Failures | None: ...

    async def judge_failures(self, key: bytes, judge: FailureJudge) -> None:
        """Keep under a key what `judge` makes of what is kept there. One judgement at a time, whichever process asks.

        What `judge` raises changes nothing and comes through. It may run several times, and in the store's thread: it
        must be quick and pure.
        """


# --- campaigns and contacts ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CampaignRow:
    """A campaign that is kept: the client's values, and where it stands in the database.

    `number` is internal; delivery ids carry it. `revision` counts changes of content; `version` every change.
    `zone` is the zone that applies (the campaign's or the account's).
    """

    number: int
    account: int
    owner: int
    """User number of the creator."""
    owner_role: str
    revision: int
    version: int
    zone: str
    campaign: Campaign
    deleted_at: int | None = None
    account_id: str = ""
    """The account's id in the contract."""
    contacts: int = 0
    """How many contacts were ever added, as of the last commit (it changes without a new `version`)."""
    cancelled_at: int | None = None
    owner_name: str = ""
    """The creator's name."""

    @property
    def is_over(self) -> bool:
        """Whether it was deleted or cancelled: what is in progress finishes, and nothing begins or goes again."""
        return self.deleted_at is not None or self.cancelled_at is not None


class Campaigns(Protocol):
    """Campaigns of an account. Deleted ones are invisible here, but to the engine's find_number."""

    async def add(self, account: int, owner: int, campaign: Campaign, at: int, most: int = 0) -> CampaignRow:
        """Raises Conflict where a campaign of the account that is not deleted has this guid, then Full where `most` are
        not deleted, ended ones included; 0 is without limit."""

    async def find(self, account: int, guid: str) -> CampaignRow | None: ...

    async def find_number(self, number: int) -> CampaignRow | None:
        """Also a deleted one, until it is removed."""

    async def list(self, account: int) -> list[CampaignRow]:
        """All that are not deleted, oldest first."""

    async def page(self, account: int, after: int, limit: int, *, newest_first: bool = False) -> Sequence[CampaignRow]:
        """Campaigns that are not deleted, from the one after number `after` on (0: from the first), at most `limit`, in
        the order in which they were added or the other way round. By index: a short page is the last one."""

    async def replace(self, number: int, campaign: Campaign, at: int, version: int | None = None) -> CampaignRow | None:
        """Replace all the client's fields (guid and created_at stay). None where it is gone; raises Stale where a
        `version` is given that is not the campaign's any more."""

    async def cancel(self, number: int, at: int) -> CampaignRow | None:
        """End a campaign for good: nothing of it begins or goes again from now on, and what waits is cancelled by the
        engine's sweep. One that was cancelled before stays as it is. None where it is gone."""

    async def delete(self, number: int, at: int) -> bool:
        """Gone from every answer at once; what waits is cancelled by the engine's sweep. False where it is gone."""


class NewContact(msgspec.Struct, frozen=True):
    """A contact to be added to a campaign. Media without a destination and without a text are left out."""

    campaign: int
    guid: str
    media: tuple[Admitted, ...]
    person: Person | None = None
    """None where it came by a door that cannot say who it is."""


class ContactDetails(msgspec.Struct, frozen=True):
    """A contact as it stands, whole."""

    number: int
    """Its place in its campaign: pages go on after it."""
    guid: str
    created_at: int
    person: Person | None
    media: tuple[MediumState, ...]
    """In the order of Medium; one that the contact has no delivery on is left out."""


class Unbegun(msgspec.Struct, frozen=True, gc=False):
    """A contact that is still to be reached on a medium for the first time."""

    guid: str
    person: Person | None
    has_own_text: bool


class Contacts(Protocol):
    """Contacts of a campaign."""

    async def add(self, contact: NewContact, at: int) -> None:
        """Group-committed. Raises Conflict where the campaign has this guid; LookupError where the campaign is gone,
        and Cancelled where it was cancelled."""

    async def add_many(self, contacts: Sequence[NewContact], at: int) -> list[bool]:
        """Add many in one transaction; False for each whose guid was in use. LookupError where a campaign is gone, and
        Cancelled where one was cancelled: then none is added."""

    async def edit(self, campaign: int, guid: str, plan: EditPlanner, at: int, person: Person | None = None) -> bool:
        """Read the contact, let `plan` decide, and store its decision, and who it is where that is given, all in one
        transaction.

        What `plan` raises undoes everything and comes through. False where there is no such contact. Raises Cancelled
        where something would begin of a campaign that was cancelled.
        `plan` runs in the store's thread: it must be quick and pure.
        """

    async def details(
        self, campaign: int, after: int, limit: int, reference: str | None = None
    ) -> list[ContactDetails]:
        """Contacts with numbers above `after`, at most `limit`, in the order of adding; those with a reference alone
        where one is given. By index: a short page is the last one."""

    async def one(self, campaign: int, guid: str) -> ContactDetails | None:
        """A contact; None where there is no such one."""

    async def delete(self, campaign: int, guid: str, at: int) -> bool:
        """Gone from every answer; what waits of it is cancelled. False where there is no such contact."""

    async def count_waiting(self, campaign: int, medium: Medium) -> int:
        """How many deliveries of a campaign wait for an attempt on a medium, or were claimed for one. It looks at each
        delivery: for a person who waits, not for every request."""

    def unbegun(self, campaign: int, medium: Medium) -> AsyncIterator[list[Unbegun]]:
        """All contacts that have a destination on a medium and have not begun there, page by page. It looks at each
        contact."""

    def guids(self, campaign: int) -> AsyncIterator[list[str]]:
        """All contacts' guids in the order of adding, page by page."""

    def pages(self, campaign: int, guid: str) -> AsyncIterator[list[ContactLine]]:
        """All contacts in the order of adding, page by page, as the flat lines that the hot path writes."""


ContactLine = list[str | int | None]
"""A contact as 16 flat values, for speed: guid, then for SMS, voice, email in turn: destination, text, status,
last error, attempts left. A medium that has no delivery is None, None, 0, 0, 0."""


# --- attempts --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One try of a delivery, with its contact. It names no destination."""

    contact: str
    """The contact's guid."""
    medium: Medium
    attempt: int
    """1 for the first of this delivery."""
    at: int
    """When it was recorded: the carrier had taken the message, or refused it."""
    route: str
    """Blank where nobody knows."""
    status: Status
    """To which it led the delivery; delivering, as long as more is to be heard of it."""
    code: int
    """A LastDeliveryErrorCode."""
    carrier_code: str | None
    carrier_text: str | None
    call: CallReport | None
    """Voice: what became of the call, once it is over."""


@dataclass(frozen=True, slots=True)
class AttemptPage:
    """Some attempts, and from where to go on; None where that were all."""

    rows: list[AttemptRow]
    after: tuple[int, int] | None


class Attempts(Protocol):
    """Attempts at contacts that are not deleted."""

    def pages(self, campaign: int) -> AsyncIterator[list[AttemptRow]]:
        """All attempts of a campaign, page by page: by medium, then in the order of adding the contacts, then as they
        were made."""

    async def page(self, campaign: int, after: tuple[int, int], limit: int) -> AttemptPage:
        """Attempts of a campaign in the same order, at most `limit`; `after` is (0, 0) or what a page before said."""

    async def of_contact(self, campaign: int, guid: str) -> list[AttemptRow] | None:
        """A contact's attempts: by medium, then as they were made. None where there is no such contact."""
