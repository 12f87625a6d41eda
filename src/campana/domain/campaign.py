"""Owns the campaign: its fields as the client gave them, and the rules that a campaign must keep.

Must not know who asks, where it is stored or how it is sent.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, time
from enum import Enum

ALL_DAYS = frozenset(range(7))


class UncertainPolicy(Enum):
    """What to do when nobody can know whether an attempt reached the carrier."""

    HOLD = "hold"
    RESEND = "resend"
    GIVE_UP = "give up"


class Sharing(Enum):
    """Who besides the creator and the account's admins sees a campaign."""

    PRIVATE = "private"
    ALL = "all"
    SOME = "some"


@dataclass(frozen=True, slots=True)
class SmsSettings:
    """OutboundSMSNotificationInfo. Strings keep the difference between null and empty, for the way back."""

    enabled: bool = False
    from_number: str | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class VoiceSettings:
    """OutboundVoiceNotificationInfo."""

    enabled: bool = False
    dial_timeout_ms: int = 0
    calling_name: str | None = None
    calling_number: str | None = None
    text: str | None = None
    voice_name: str | None = None
    max_plays: int = 0
    max_attempts: int = 0
    """MaxDeliveryRetries: the number of attempts in all."""
    retry_minutes: int = 0


@dataclass(frozen=True, slots=True)
class EmailSettings:
    """OutboundEmailNotificationInfo."""

    enabled: bool = False
    from_address: str | None = None
    subject: str | None = None
    html: str | None = None


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign as its client described it, and what Campana adds.

    The four active_* values are wall-clock (naive) datetimes kept as they came: of a date only the day counts,
    of a time only the clock. None means not set.
    """

    guid: str
    """Canonical lower-case UUID; empty where the server is to choose."""
    name: str | None = None
    description: str | None = None
    is_paused: bool = False
    active_from_date: datetime | None = None
    active_from_time: datetime | None = None
    active_to_date: datetime | None = None
    active_to_time: datetime | None = None
    sms: SmsSettings | None = None
    voice: VoiceSettings | None = None
    email: EmailSettings | None = None
    allow_external_contacts: bool = False
    sms_required: bool = False
    voice_required: bool = False
    email_required: bool = False
    progress_endpoint: str | None = None
    created_at: int = 0
    """Epoch milliseconds; the server's."""

    # Beyond SOAP.
    time_zone: str | None = None
    """IANA name; None is the account's zone."""
    days: frozenset[int] = ALL_DAYS
    """Days of the week on which windows begin, Monday = 0."""
    quiet_from: time | None = None
    quiet_to: time | None = None
    sms_uncertain: UncertainPolicy = UncertainPolicy.GIVE_UP
    voice_uncertain: UncertainPolicy = UncertainPolicy.GIVE_UP
    email_uncertain: UncertainPolicy = UncertainPolicy.RESEND
    sharing: Sharing = Sharing.ALL
    shared_with: frozenset[str] = field(default_factory=frozenset)
    """User names, where sharing is SOME."""
