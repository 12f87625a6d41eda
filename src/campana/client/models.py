"""Owns the values that the server answers and takes, as Python has them.

Must not know how they travel. A field that this version does not know is passed over when it is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar, get_args

import msgspec
from msgspec import UNSET, UnsetType

T = TypeVar("T")

Medium = Literal["sms", "voice", "email"]
MEDIA: tuple[Medium, ...] = ("sms", "voice", "email")

Kind = Literal["csv", "jsonl"]
"""What a file of contacts holds."""
What = Literal["contacts", "deliveries", "attempts"]
"""What can be exported."""

Status = Literal[
    "do_not_try",
    "pending",
    "sending",
    "delivering",
    "success",
    "waiting_for_retry",
    "permanent_failure",
    "cancelled",
]
STATUSES: tuple[Status, ...] = get_args(Status)
FINAL: frozenset[Status] = frozenset({"do_not_try", "success", "permanent_failure", "cancelled"})
"""What does not change by itself any more, but that a message may bounce after its success."""


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """Whose session or key it is."""

    account: str
    user: str
    role: str
    scopes: list[str] = []
    expires_in: int | None = None
    """Seconds without use after which a session ends; None for a key."""


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key by which programs ask in a user's name."""

    id: str
    name: str
    user: str
    prefix: str
    """How it begins."""
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None
    per_minute: int | None = None
    key: str = ""
    """The key itself: told only when it is made."""


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """A way out."""

    name: str
    medium: Medium
    health: str
    """up, connecting, down or unknown."""
    reason: str = ""
    """Why it is not up, for a person."""


class Page(msgspec.Struct, Generic[T], frozen=True):
    """A page of a list; `next` is where the one after it begins."""

    items: list[T]
    next: str | None = None


# --- campaigns ---------------------------------------------------------------------------------------------------


class Sms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename={"from_": "from"}):
    """What a campaign says by SMS. UNSET is what the server has, or its default."""

    enabled: bool | UnsetType = UNSET
    from_: str | UnsetType | None = UNSET
    text: str | UnsetType | None = UNSET
    uncertain: str | UnsetType = UNSET
    """hold, resend or give_up."""


class Voice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a campaign says by telephone."""

    enabled: bool | UnsetType = UNSET
    dial_timeout_ms: int | UnsetType = UNSET
    calling_name: str | UnsetType | None = UNSET
    calling_number: str | UnsetType | None = UNSET
    text: str | UnsetType | None = UNSET
    voice_name: str | UnsetType | None = UNSET
    max_plays: int | UnsetType = UNSET
    max_attempts: int | UnsetType = UNSET
    retry_minutes: int | UnsetType = UNSET
    uncertain: str | UnsetType = UNSET
    success: str | UnsetType = UNSET
    """heard, answered or acknowledged."""
    acknowledge_keys: str | UnsetType | None = UNSET


class Email(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename={"from_": "from"}):
    """What a campaign says by email."""

    enabled: bool | UnsetType = UNSET
    from_: str | UnsetType | None = UNSET
    subject: str | UnsetType | None = UNSET
    html: str | UnsetType | None = UNSET
    uncertain: str | UnsetType = UNSET


class CampaignDraft(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What of a campaign a client may say. UNSET is the server's default, or in a change what is there."""

    id: str | UnsetType = UNSET
    """A GUID of the client's own, when it is made; else the server chooses one."""
    name: str | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    paused: bool | UnsetType = UNSET
    time_zone: str | UnsetType | None = UNSET
    from_date: date | UnsetType | None = UNSET
    to_date: date | UnsetType | None = UNSET
    from_time: time | UnsetType | None = UNSET
    to_time: time | UnsetType | None = UNSET
    quiet_from: time | UnsetType | None = UNSET
    quiet_to: time | UnsetType | None = UNSET
    days: list[str] | UnsetType = UNSET
    """monday to sunday."""
    sms: Sms | UnsetType | None = UNSET
    voice: Voice | UnsetType | None = UNSET
    email: Email | UnsetType | None = UNSET
    required_media: list[Medium] | UnsetType = UNSET
    allow_external_contacts: bool | UnsetType = UNSET
    progress_endpoint: str | UnsetType | None = UNSET
    sharing: str | UnsetType = UNSET
    """private, all or some."""
    shared_with: list[str] | UnsetType = UNSET


class Campaign(msgspec.Struct, frozen=True, kw_only=True):
    """A campaign as the server has it."""

    id: str
    name: str = ""
    description: str | None = None
    paused: bool = False
    state: str = ""
    """scheduled, running, waiting, paused, finished, ended or cancelled."""
    created_at: datetime
    owner: str | None = None
    version: int = 0
    time_zone: str | None = None
    from_date: date | None = None
    to_date: date | None = None
    from_time: time | None = None
    to_time: time | None = None
    quiet_from: time | None = None
    quiet_to: time | None = None
    days: list[str] = []
    sms: Sms | None = None
    voice: Voice | None = None
    email: Email | None = None
    required_media: list[Medium] = []
    allow_external_contacts: bool = False
    progress_endpoint: str | None = None
    sharing: str = ""
    shared_with: list[str] = []
    cancelled_at: datetime | None = None

    @property
    def media(self) -> tuple[Medium, ...]:
        """The media on which it goes out."""
        settings = zip(MEDIA, (self.sms, self.voice, self.email), strict=True)
        return tuple(medium for medium, one in settings if one is not None and one.enabled is True)


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """How many contacts are in each status on each medium; each medium's numbers sum up to `contacts`."""

    contacts: int
    sms: dict[Status, int]
    voice: dict[Status, int]
    email: dict[Status, int]
    finished: bool = False
    """Whether nothing of the campaign can change by itself any more."""
    state: str = ""

    def of(self, medium: Medium) -> dict[Status, int]:
        """The numbers of a medium."""
        return {"sms": self.sms, "voice": self.voice, "email": self.email}[medium]

    def done(self, medium: Medium) -> int:
        """How many contacts have come to an end on a medium."""
        return sum(count for status, count in self.of(medium).items() if status in FINAL)


class Events(msgspec.Struct, frozen=True):
    """A page of events; `next` is the number after which there may be more."""

    items: list[Event]
    next: int | None = None


class EventData(msgspec.Struct, frozen=True, kw_only=True):
    """What an event is about: of a changed status a delivery, of counters the balance, of others nothing."""

    contact: str | None = None
    reference: str | None = None
    medium: Medium | None = None
    previous: Status | None = None
    status: Status | None = None
    error_code: int = 0
    balance: Balance | None = None


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened to a campaign. Numbers count from 1, without gaps."""

    number: int
    type: str
    """For example contact.status_changed, campaign.counters, campaign.started, campaign.finished."""
    at: datetime
    data: EventData = EventData()


# --- contacts ----------------------------------------------------------------------------------------------------


class Destination(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a new contact is to be reached on one medium."""

    destination: str
    text: str | None = None
    """What this contact is told instead of the campaign's text."""
    attempts_left: int | UnsetType = UNSET


class NewContact(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A contact to be added."""

    id: str | UnsetType = UNSET
    name: str = ""
    reference: str = ""
    fields: dict[str, str] = {}
    sms: Destination | None = None
    voice: Destination | None = None
    email: Destination | None = None


class Communication(msgspec.Struct, frozen=True, kw_only=True):
    """How a contact stands on one medium."""

    destination: str = ""
    text: str | None = None
    attempts_left: int = 0
    status: Status
    error_code: int = 0


class Contact(msgspec.Struct, frozen=True, kw_only=True):
    """A contact of a campaign."""

    id: str
    name: str = ""
    reference: str = ""
    fields: dict[str, str] = {}
    sms: Communication | None = None
    voice: Communication | None = None
    email: Communication | None = None

    def on(self, medium: Medium) -> Communication | None:
        """How it stands on a medium; None where it is not to be reached there."""
        return {"sms": self.sms, "voice": self.voice, "email": self.email}[medium]


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One try of a delivery over one route."""

    contact: str = ""
    medium: Medium
    attempt: int
    at: datetime
    route: str = ""
    status: Status
    error_code: int = 0
    carrier_code: str | None = None
    carrier_text: str | None = None
    call: dict[str, Any] | None = None
    """What became of a call, as the API tells it."""


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """Why a delivery has not gone yet, and when it may go next, where that is known."""

    rule: str
    until: datetime | None = None


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A contact on one medium."""

    contact: str
    reference: str = ""
    medium: Medium
    status: Status
    destination: str = ""
    error_code: int = 0
    attempts_left: int = 0
    attempts_made: int = 0
    held: bool = False
    """Whether it is uncertain, and a person is to decide."""
    due_at: datetime | None = None
    """It is not tried again before."""
    attempts: list[Attempt] = []
    """Where it was asked for alone."""
    waits_for: Waiting | None = None


# --- imports -----------------------------------------------------------------------------------------------------


class Import(msgspec.Struct, frozen=True, kw_only=True):
    """How an import of contacts stands."""

    id: str
    campaign: str
    state: str
    """reading, done, cut_off or failed."""
    started_at: datetime
    changed_at: datetime | None = None
    rows_read: int = 0
    accepted: int = 0
    refused: int = 0
    problem: str | None = None


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A row that was not taken, and the rule that it breaks."""

    row: int
    column: str | None = None
    code: int = 0
    rule: str = ""


class Transfer(msgspec.Struct, frozen=True):
    """How far what is sent or read has come, in bytes."""

    done: int
    size: int | None = None
    """None where nobody knows."""
    tries: int = 1


Rows = Mapping[str, Any] | NewContact
"""A contact as a row of an import: JSON of the shape that the API takes."""

Place = str | Path
