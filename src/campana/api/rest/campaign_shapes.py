"""Owns how a campaign is written in JSON: its structs, and the way from the domain's campaign to them and back.

Must not know a rule but those of shape: what a campaign needs, the domain says.
"""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType, field

from campana.api.rest.account import ZoneName
from campana.api.rest.shapes import Id, MediumName, Moment, moment, moment_or_none
from campana.domain.call import VoiceSuccess
from campana.domain.campaign import (
    DESCRIPTION_MAX,
    FROM_EMAIL_MAX,
    HTML_MAX,
    NAME_MAX,
    ORIGIN_MAX,
    SHARED_WITH_MAX,
    SMS_TEXT_MAX,
    SUBJECT_MAX,
    USER_NAME_MAX,
    VOICE_TEXT_MAX,
    Campaign,
    EmailSettings,
    Sharing,
    SmsSettings,
    UncertainPolicy,
    VoiceSettings,
)
from campana.domain.endpoint import ENDPOINT_LENGTH_MAX
from campana.domain.errors import MethodCode, MethodError
from campana.domain.progress import State
from campana.domain.schedule import day_of

DAY_NAMES = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

DayName = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
StateName = Literal["scheduled", "running", "waiting", "paused", "finished", "ended", "cancelled"]
Uncertain = Annotated[
    Literal["hold", "resend", "give_up"],
    Meta(description="What becomes of an attempt of which nobody can know whether it reached the carrier."),
]
Clock = Annotated[
    str,
    Meta(
        pattern="^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$",
        description="A time of the day, HH:MM:SS, in the campaign's time zone.",
        examples=["09:00:00"],
    ),
]
Day = Annotated[date, Meta(description="A day in the campaign's time zone.", examples=["2026-12-01"])]


Name = Annotated[str, Meta(min_length=1, max_length=NAME_MAX, examples=["Reminder"])]
Description = Annotated[str, Meta(max_length=DESCRIPTION_MAX, description="For people; it is never sent.")]
Origin = Annotated[str, Meta(max_length=ORIGIN_MAX, examples=["+14165550100"])]
SmsText = Annotated[
    str, Meta(max_length=SMS_TEXT_MAX, description="Blank: every contact brings its own.", examples=["Hello {{name}}"])
]
SpokenText = Annotated[
    str,
    Meta(max_length=VOICE_TEXT_MAX, description="Blank: every contact brings its own.", examples=["Good morning."]),
]
Html = Annotated[
    str, Meta(max_length=HTML_MAX, description="Blank: every contact brings its own.", examples=["<p>Hello</p>"])
]


class Sms(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a campaign sends by SMS. It needs `from` where it is enabled."""

    enabled: bool = False
    from_: Annotated[Origin, Meta(description="The sender: a number or a name.")] | None = field(
        name="from", default=None
    )
    text: SmsText | None = None
    uncertain: Uncertain = "give_up"


class Voice(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a campaign says by telephone. Numbers are checked where it is enabled."""

    enabled: bool = False
    dial_timeout_ms: Annotated[int, Meta(ge=0, le=120_000, description="At least 1000 where it is enabled.")] = 30_000
    calling_name: Origin | None = None
    calling_number: Origin | None = None
    text: SpokenText | None = None
    voice_name: Annotated[str, Meta(max_length=ORIGIN_MAX, description="A voice, or what suggests one.")] | None = None
    max_plays: Annotated[int, Meta(ge=0, le=10, description="At least 1 where it is enabled.")] = 1
    max_attempts: Annotated[int, Meta(ge=0, le=255, description="In all; at least 1 where it is enabled.")] = 3
    retry_minutes: Annotated[int, Meta(ge=0, le=10_080, description="Between two attempts.")] = 15
    uncertain: Uncertain = "give_up"
    success: Annotated[
        Literal["heard", "answered", "acknowledged"], Meta(description="When a call has delivered its message.")
    ] = "heard"
    acknowledge_keys: Annotated[str, Meta(max_length=16, description="Keys that acknowledge.", examples=["1"])] = ""


class Email(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a campaign sends by email. It needs `from` and `subject` where it is enabled."""

    enabled: bool = False
    from_: Annotated[str, Meta(max_length=FROM_EMAIL_MAX, examples=["Office <office@example.com>"])] | None = field(
        name="from", default=None
    )
    subject: Annotated[str, Meta(max_length=SUBJECT_MAX, examples=["Reminder"])] | None = None
    html: Html | None = None
    uncertain: Uncertain = "resend"


class CampaignBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A campaign as a client describes it. Fields that only the server sets may be sent back, and are ignored."""

    name: Name
    id: Annotated[Id, Meta(description="The client may choose it; else the server does.")] | UnsetType = UNSET
    description: Description | None = None
    paused: bool = False
    time_zone: Annotated[ZoneName, Meta(description="Null: the account's.")] | None = None
    from_date: Day | None = None
    to_date: Day | None = None
    from_time: Clock | None = None
    to_time: Clock | None = None
    quiet_from: Annotated[Clock, Meta(description="Nobody is disturbed from then on; with `quiet_to`.")] | None = None
    quiet_to: Clock | None = None
    days: Annotated[
        list[DayName],
        Meta(min_length=1, max_length=7, description="Days of the week on which windows begin."),
    ] = field(default_factory=lambda: list(DAY_NAMES))  # type: ignore[arg-type]  # they are these names
    sms: Sms | None = None
    voice: Voice | None = None
    email: Email | None = None
    required_media: Annotated[
        list[MediumName], Meta(max_length=3, description="On which agents must give a destination.")
    ] = []
    allow_external_contacts: Annotated[bool, Meta(description="Whether agents may add contacts.")] = False
    progress_endpoint: (
        Annotated[
            str,
            Meta(
                max_length=ENDPOINT_LENGTH_MAX,
                description="An http(s) or ws(s) URL that is told how the campaign goes.",
                examples=["https://example.com/progress"],
            ),
        ]
        | None
    ) = None
    sharing: (
        Annotated[
            Literal["private", "all", "some"],
            Meta(description="Who sees it besides its owner and admins; left out, the owner's role decides."),
        ]
        | UnsetType
    ) = UNSET
    shared_with: Annotated[
        list[Annotated[str, Meta(max_length=USER_NAME_MAX)]],
        Meta(max_length=SHARED_WITH_MAX, description="Users by name, where sharing is `some`."),
    ] = []
    state: Annotated[StateName, Meta(extra_json_schema={"readOnly": True})] | UnsetType = UNSET
    created_at: Annotated[Moment, Meta(extra_json_schema={"readOnly": True})] | UnsetType = UNSET
    cancelled_at: Annotated[Moment | None, Meta(extra_json_schema={"readOnly": True})] | UnsetType = UNSET
    owner: Annotated[str | None, Meta(extra_json_schema={"readOnly": True})] | UnsetType = UNSET
    version: Annotated[int, Meta(extra_json_schema={"readOnly": True})] | UnsetType = UNSET


class CampaignShown(msgspec.Struct, frozen=True):
    """A campaign as it stands."""

    id: Id
    name: Annotated[str, Meta(examples=["Reminder"])]
    description: Annotated[str | None, Meta(examples=["For tomorrow"])]
    paused: bool
    state: Annotated[StateName, Meta(description="Where it is right now.", examples=["running"])]
    created_at: Moment
    cancelled_at: Annotated[Moment | None, Meta(examples=[None])]
    owner: Annotated[str, Meta(description="The user who added it.", examples=["ann"])]
    version: Annotated[int, Meta(ge=1, description="Counts its changes; the ETag begins with it.")]
    time_zone: ZoneName | None
    from_date: Day | None
    to_date: Day | None
    from_time: Clock | None
    to_time: Clock | None
    quiet_from: Clock | None
    quiet_to: Clock | None
    days: list[DayName]
    sms: Sms | None
    voice: Voice | None
    email: Email | None
    required_media: list[MediumName]
    allow_external_contacts: bool
    progress_endpoint: str | None
    sharing: Literal["private", "all", "some"]
    shared_with: list[str]


EXAMPLE = {
    "name": "Reminder",
    "time_zone": "Europe/Rome",
    "from_time": "09:00:00",
    "to_time": "18:00:00",
    "days": ["monday", "tuesday", "wednesday", "thursday", "friday"],
    "sms": {"enabled": True, "from": "Office", "text": "Hello {{name|customer}}, see you tomorrow."},
}
"""A body that is valid."""


def campaign_of(body: CampaignBody, guid: str, sharing: Sharing) -> Campaign:
    """The domain's campaign; `sharing` holds where the body says nothing of it. Raises 12 InvalidCampaign."""
    voice = body.voice or Voice()
    return Campaign(
        guid=guid,
        name=body.name,
        description=body.description,
        is_paused=body.paused,
        active_from_date=_midnight(body.from_date),
        active_from_time=_clock_today(body.from_time),
        active_to_date=_midnight(body.to_date),
        active_to_time=_clock_today(body.to_time),
        sms=None if body.sms is None else SmsSettings(body.sms.enabled, body.sms.from_, body.sms.text),
        voice=None if body.voice is None else _voice(body.voice),
        email=_email(body.email),
        allow_external_contacts=body.allow_external_contacts,
        sms_required="sms" in body.required_media,
        voice_required="voice" in body.required_media,
        email_required="email" in body.required_media,
        progress_endpoint=body.progress_endpoint,
        time_zone=body.time_zone,
        days=frozenset(DAY_NAMES.index(name) for name in body.days),
        quiet_from=None if body.quiet_from is None else time.fromisoformat(body.quiet_from.strip()),
        quiet_to=None if body.quiet_to is None else time.fromisoformat(body.quiet_to.strip()),
        sms_uncertain=_policy((body.sms or Sms()).uncertain),
        voice_uncertain=_policy(voice.uncertain),
        email_uncertain=_policy((body.email or Email()).uncertain),
        voice_success=VoiceSuccess(voice.success),
        acknowledge_keys=voice.acknowledge_keys,
        sharing=sharing if body.sharing is UNSET else Sharing(body.sharing),
        shared_with=frozenset(body.shared_with),
    )


def _voice(given: Voice) -> VoiceSettings:
    return VoiceSettings(
        enabled=given.enabled,
        dial_timeout_ms=given.dial_timeout_ms,
        calling_name=given.calling_name,
        calling_number=given.calling_number,
        text=given.text,
        voice_name=given.voice_name,
        max_plays=given.max_plays,
        max_attempts=given.max_attempts,
        retry_minutes=given.retry_minutes,
    )


def _email(given: Email | None) -> EmailSettings | None:
    if given is None:
        return None
    return EmailSettings(given.enabled, given.from_, given.subject, given.html)


def _policy(name: str) -> UncertainPolicy:
    return UncertainPolicy[name.upper()]


def _midnight(day: date | None) -> datetime | None:
    return None if day is None else datetime(day.year, day.month, day.day)  # noqa: DTZ001  # a wall clock


def _clock_today(text: str | None) -> datetime | None:
    """A time of the day, as the domain keeps it: of the datetime only the clock counts."""
    return None if text is None else datetime.combine(date(2000, 1, 1), time.fromisoformat(text.strip()))


# --- the way back ------------------------------------------------------------------------------------------------


def shown(campaign: Campaign, facts: Facts) -> CampaignShown:
    """A campaign for the client."""
    required = (
        ("sms", campaign.sms_required),
        ("voice", campaign.voice_required),
        ("email", campaign.email_required),
    )
    media: list[Any] = [name for name, is_required in required if is_required]
    days: list[Any] = [DAY_NAMES[day] for day in sorted(campaign.days)]
    state: Any = facts.state.value
    return CampaignShown(
        id=campaign.guid,
        name=campaign.name or "",
        description=campaign.description,
        paused=campaign.is_paused,
        state=state,
        created_at=moment(campaign.created_at),
        cancelled_at=moment_or_none(facts.cancelled_at),
        owner=facts.owner,
        version=facts.version,
        time_zone=campaign.time_zone,
        from_date=day_of(campaign.active_from_date),
        to_date=day_of(campaign.active_to_date),
        from_time=_clock(campaign.active_from_time),
        to_time=_clock(campaign.active_to_time),
        quiet_from=_clock(campaign.quiet_from),
        quiet_to=_clock(campaign.quiet_to),
        days=days,
        sms=_shown_sms(campaign),
        voice=_shown_voice(campaign),
        email=_shown_email(campaign),
        required_media=media,
        allow_external_contacts=campaign.allow_external_contacts,
        progress_endpoint=campaign.progress_endpoint,
        sharing=campaign.sharing.value,
        shared_with=sorted(campaign.shared_with),
    )


class Facts(msgspec.Struct, frozen=True):
    """What is known of a campaign beyond its description."""

    state: State
    version: int
    owner: str
    cancelled_at: int | None


def _clock(value: datetime | time | None) -> str | None:
    return None if value is None else value.strftime("%H:%M:%S")


def _shown_sms(campaign: Campaign) -> Sms | None:
    sms = campaign.sms
    return None if sms is None else Sms(sms.enabled, sms.from_number, sms.text, _name_of(campaign.sms_uncertain))


def _shown_voice(campaign: Campaign) -> Voice | None:
    voice = campaign.voice
    if voice is None:
        return None
    success: Any = campaign.voice_success.value
    return Voice(
        enabled=voice.enabled,
        dial_timeout_ms=voice.dial_timeout_ms,
        calling_name=voice.calling_name,
        calling_number=voice.calling_number,
        text=voice.text,
        voice_name=voice.voice_name,
        max_plays=voice.max_plays,
        max_attempts=voice.max_attempts,
        retry_minutes=voice.retry_minutes,
        uncertain=_name_of(campaign.voice_uncertain),
        success=success,
        acknowledge_keys=campaign.acknowledge_keys,
    )


def _shown_email(campaign: Campaign) -> Email | None:
    email, policy = campaign.email, _name_of(campaign.email_uncertain)
    return None if email is None else Email(email.enabled, email.from_address, email.subject, email.html, policy)


def _name_of(policy: UncertainPolicy) -> Any:
    return policy.name.lower()


def merge_patch(target: Any, patch: Any) -> Any:
    """Apply a JSON merge patch (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


_PARTS: dict[str, Any] = {"": CampaignBody, "sms": Sms, "voice": Voice, "email": Email}
_MEMBERS = {part: {one.encode_name for one in msgspec.structs.fields(of)} for part, of in _PARTS.items()}


def demand_known_members(patch: dict[str, Any], part: str = "") -> None:
    """Raises 42 InvalidRequest where a merge patch names what a campaign does not have, be it to take it away."""
    for name, value in patch.items():
        if name not in _MEMBERS[part]:
            place = f"{part}.{name}".strip(".") if name.isidentifier() and len(name) <= NAME_MAX else part
            raise MethodError(MethodCode.INVALID_REQUEST, f"{place}: There is no such field.", field=place or None)
        if not part and name in _PARTS and isinstance(value, dict):
            demand_known_members(value, name)


def demand_own_id(body: CampaignBody, guid: str) -> None:
    """Raises 12 InvalidCampaign where a body names another campaign than its address."""
    if body.id is not UNSET and body.id.lower() != guid:
        raise MethodError(MethodCode.INVALID_CAMPAIGN, "id should be that of the address.", field="id")
