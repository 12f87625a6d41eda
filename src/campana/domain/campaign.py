"""Owns the campaign: its fields as the client gave them, and the rules that a campaign must keep.

Must not know who asks, where it is stored or how it is sent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, time
from enum import Enum

from campana.domain.call import KEYS, VoiceSuccess
from campana.domain.delivery import Medium
from campana.domain.destination import check_sender, parse_mailbox
from campana.domain.endpoint import ENDPOINT_LENGTH_MAX, check_endpoint
from campana.domain.errors import MethodCode, MethodError
from campana.domain.schedule import day_of, ever_opens, is_known_zone, window_of
from campana.domain.text.characters import is_blank, is_keepable, is_one_line
from campana.domain.text.segments import PARTS_MAX, plan_segments

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
    voice_success: VoiceSuccess = VoiceSuccess.HEARD
    acknowledge_keys: str = ""
    """Keys that acknowledge a call. Blank: none, but `1` where success asks for one."""
    sharing: Sharing = Sharing.ALL
    shared_with: frozenset[str] = field(default_factory=frozenset)
    """User names, where sharing is SOME."""
    merges: bool = False
    """Whether fields take their places in its texts for every contact: it came by a door that can say who people are.
    Else they do for contacts of whom something is said."""


# --- rules -----------------------------------------------------------------------------------------------------

NAME_MAX = 200
DESCRIPTION_MAX = 4_000
ORIGIN_MAX = 100
"""Characters of a from-number, a calling number or name, and the name of a voice."""
FROM_EMAIL_MAX = 500
SUBJECT_MAX = 998
"""Characters of a header line (RFC 5322, section 2.1.1)."""
SMS_TEXT_MAX = 152 * PARTS_MAX
"""Characters; fewer where the text needs UCS-2. It fits whichever reference a route numbers its parts with."""
VOICE_TEXT_MAX = 20_000
HTML_MAX = 1_000_000
SHARED_WITH_MAX = 1_000
USER_NAME_MAX = 200

_SMS, _VOICE, _EMAIL = "OutboundSMSNotificationInfo", "OutboundVoiceNotificationInfo", "OutboundEmailNotificationInfo"
_INT32 = 1 << 31

_VOICE_RANGES: tuple[tuple[str, Callable[[VoiceSettings], int], int, int], ...] = (
    ("DialMsTimeout", lambda voice: voice.dial_timeout_ms, 1_000, 120_000),
    ("MaxTextPlays", lambda voice: voice.max_plays, 1, 10),
    ("MaxDeliveryRetries", lambda voice: voice.max_attempts, 1, 255),
    ("RetryMinutesInterval", lambda voice: voice.retry_minutes, 0, 10_080),
)


def media_enabled(campaign: Campaign) -> frozenset[Medium]:
    """Tell on which media a campaign goes out."""
    settings = ((Medium.SMS, campaign.sms), (Medium.VOICE, campaign.voice), (Medium.EMAIL, campaign.email))
    return frozenset(medium for medium, of_medium in settings if of_medium is not None and of_medium.enabled)


def content_changed(old: Campaign, new: Campaign) -> bool:
    """Tell whether an update changes what is sent or how it is tried: all settings of media but `enabled`, when a
    call has delivered its message, and for whom fields take their places."""
    return _content(old) != _content(new) or _rest(old) != _rest(new)


def _rest(campaign: Campaign) -> tuple[VoiceSuccess, str, bool]:
    return campaign.voice_success, campaign.acknowledge_keys, campaign.merges


def _content(campaign: Campaign) -> tuple[SmsSettings, VoiceSettings, EmailSettings]:
    return (
        replace(campaign.sms or SmsSettings(), enabled=False),
        replace(campaign.voice or VoiceSettings(), enabled=False),
        replace(campaign.email or EmailSettings(), enabled=False),
    )


def check_campaign(campaign: Campaign, *, allow_private_endpoints: bool = False) -> None:
    """Refuse a campaign that breaks a rule: MethodError 12 InvalidCampaign, with the field as the contract names it.

    It needs a name and an enabled medium with what that medium needs. A medium that is not enabled is kept as it
    is, within the limits of size. The texts of media may be blank: then every contact has to bring its own.
    """
    _check_sizes(campaign)
    if is_blank(campaign.name):
        _refuse("ShortName", "must not be blank.")
    if not media_enabled(campaign):
        _refuse("Enabled", "must be true for at least one of SMS, voice and email.")
    if campaign.sms and campaign.sms.enabled:
        _check_sms(campaign.sms)
    if campaign.voice and campaign.voice.enabled:
        _check_voice(campaign.voice)
    if campaign.email and campaign.email.enabled:
        _check_email(campaign.email)
    _check_keys(campaign.acknowledge_keys)
    _check_window(campaign)
    if campaign.progress_endpoint is not None and not is_blank(campaign.progress_endpoint):
        try:
            check_endpoint(campaign.progress_endpoint, allow_private=allow_private_endpoints)
        except ValueError as error:
            _refuse("ProgressWSEndpoint", "is refused.", error)


def _refuse(field_name: str, rule: str, because: ValueError | None = None) -> None:
    sentence = f"{field_name} {rule}" if because is None else f"{field_name} {rule} {because}"
    raise MethodError(MethodCode.INVALID_CAMPAIGN, sentence, field=field_name)


def _check_sizes(campaign: Campaign) -> None:
    sms, voice, email = _content(campaign)
    texts = (
        ("ShortName", campaign.name, NAME_MAX),
        ("Description", campaign.description, DESCRIPTION_MAX),
        ("ProgressWSEndpoint", campaign.progress_endpoint, ENDPOINT_LENGTH_MAX),
        (f"{_SMS}.FromNumber", sms.from_number, ORIGIN_MAX),
        (f"{_SMS}.TextToSend", sms.text, SMS_TEXT_MAX),
        (f"{_VOICE}.CallingName", voice.calling_name, ORIGIN_MAX),
        (f"{_VOICE}.CallingNumber", voice.calling_number, ORIGIN_MAX),
        (f"{_VOICE}.TextToSpeak", voice.text, VOICE_TEXT_MAX),
        (f"{_VOICE}.TTSVoiceName", voice.voice_name, ORIGIN_MAX),
        (f"{_EMAIL}.FromEmail", email.from_address, FROM_EMAIL_MAX),
        (f"{_EMAIL}.Subject", email.subject, SUBJECT_MAX),
        (f"{_EMAIL}.HtmlContent", email.html, HTML_MAX),
        *(("SharedWith", name, USER_NAME_MAX) for name in campaign.shared_with),
    )
    for name, text, most in texts:
        if text is not None and len(text) > most:
            _refuse(name, f"must not have more than {most} characters.")
        if text is not None and not is_keepable(text):
            _refuse(name, "must not hold NUL or unpaired surrogates.")
    for name, value_of, _, _ in _VOICE_RANGES:
        if not -_INT32 <= value_of(voice) < _INT32:
            _refuse(f"{_VOICE}.{name}", "must be an integer of 32 bits.")
    if len(campaign.shared_with) > SHARED_WITH_MAX:
        _refuse("SharedWith", f"must not name more than {SHARED_WITH_MAX} users.")


def _check_sms(sms: SmsSettings) -> None:
    try:
        check_sender(sms.from_number or "")
    except ValueError as error:
        _refuse(f"{_SMS}.FromNumber", "is refused.", error)
    try:
        plan_segments(sms.text or "", reference_bits=16)
    except ValueError as error:
        _refuse(f"{_SMS}.TextToSend", "is refused.", error)


def _check_voice(voice: VoiceSettings) -> None:
    for name, value_of, least, most in _VOICE_RANGES:
        if not least <= value_of(voice) <= most:
            _refuse(f"{_VOICE}.{name}", f"must be between {least} and {most}.")
    names = (("CallingName", voice.calling_name), ("CallingNumber", voice.calling_number))
    for name, text in (*names, ("TTSVoiceName", voice.voice_name)):
        if text and not is_one_line(text):
            _refuse(f"{_VOICE}.{name}", "must not hold control characters.")


def _check_keys(keys: str) -> None:
    if not KEYS.issuperset(keys) or len(set(keys)) < len(keys):
        _refuse("AcknowledgeKeys", "must be keys of a telephone (0 to 9, *, #, A to D), each once.")


def _check_email(email: EmailSettings) -> None:
    try:
        parse_mailbox(email.from_address or "")
    except ValueError as error:
        _refuse(f"{_EMAIL}.FromEmail", "is refused.", error)
    if is_blank(email.subject):
        _refuse(f"{_EMAIL}.Subject", "must not be blank.")
    if not is_one_line(email.subject or ""):
        _refuse(f"{_EMAIL}.Subject", "must not hold control characters.")


def _check_window(campaign: Campaign) -> None:
    if campaign.time_zone and not is_known_zone(campaign.time_zone):
        _refuse("TimeZone", "must be a name of the IANA time zone database, such as Europe/Berlin.")
    first, last = day_of(campaign.active_from_date), day_of(campaign.active_to_date)
    if first is not None and last is not None and last < first:
        _refuse("ActiveToDate", "must not be before ActiveFromDate.")
    if not campaign.days or not campaign.days <= ALL_DAYS:
        _refuse("Days", "must be days of the week, at least one, Monday = 0 to Sunday = 6.")
    if (campaign.quiet_from is None) != (campaign.quiet_to is None):
        _refuse("QuietFrom", "and QuietTo must be given together.")
    if campaign.quiet_from is not None and campaign.quiet_from == campaign.quiet_to:
        _refuse("QuietTo", "must differ from QuietFrom.")
    if not ever_opens(window_of(campaign, campaign.time_zone or "UTC")):
        _refuse("Days", "and quiet hours leave no moment within the campaign's dates and times.")
