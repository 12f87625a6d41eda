"""Owns which field of the domain each member of the contract's types stands for.

Must not know how an element is parsed or written. The names on the left are the specification's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from campana.domain.campaign import Campaign, EmailSettings, SmsSettings, VoiceSettings
from campana.domain.contact import Communication, Contact


@dataclass(frozen=True, slots=True)
class SessionAnswer:
    """What OpenAPISession and CloseAPISession answer; the latter's type has no SessionId."""

    code: int
    description: str
    session_id: str = ""


@dataclass(frozen=True, slots=True)
class Binding:
    """The domain's side of a type: how one is made of its fields, and the field of each member.

    `ignored` names the members whose values a client sends in vain: they are checked and dropped.
    """

    make: Callable[..., Any]
    fields: dict[str, str]
    ignored: frozenset[str] = frozenset()


_COMMUNICATION = Binding(
    Communication,
    {
        "Destination": "destination",
        "LastDeliveryErrorCode": "last_error",
        "RetryCount": "attempts_left",
        "StatusCode": "status",
        "TextToSendOverwrite": "text",
    },
)

_CONTACT = Binding(
    partial(Contact, guid="", campaign=""),
    {
        "CampaignId": "campaign",
        "EmailCommInfo": "email",
        "Id": "guid",
        "SMSCommInfo": "sms",
        "VoiceCommInfo": "voice",
    },
)

_CAMPAIGN = Binding(
    partial(Campaign, guid=""),
    {
        "ActiveFromDate": "active_from_date",
        "ActiveFromTime": "active_from_time",
        "ActiveToDate": "active_to_date",
        "ActiveToTime": "active_to_time",
        "AllowAddingContactsFromExternalApps": "allow_external_contacts",
        "CreationDateUtc": "created_at",
        "Description": "description",
        "EmailNotificationRequired": "email_required",
        "ID": "guid",
        "IsPaused": "is_paused",
        "OutboundEmailNotificationInfo": "email",
        "OutboundSMSNotificationInfo": "sms",
        "OutboundVoiceNotificationInfo": "voice",
        "ProgressWSEndpoint": "progress_endpoint",
        "ShortName": "name",
        "SmsNotificationRequired": "sms_required",
        "VoiceNotificationRequired": "voice_required",
    },
    ignored=frozenset({"CreationDateUtc"}),
)

_SMS = Binding(
    SmsSettings,
    {"Enabled": "enabled", "FromNumber": "from_number", "TextToSend": "text"},
)

_VOICE = Binding(
    VoiceSettings,
    {
        "CallingName": "calling_name",
        "CallingNumber": "calling_number",
        "DialMsTimeout": "dial_timeout_ms",
        "Enabled": "enabled",
        "MaxDeliveryRetries": "max_attempts",
        "MaxTextPlays": "max_plays",
        "RetryMinutesInterval": "retry_minutes",
        "TTSVoiceName": "voice_name",
        "TextToSpeak": "text",
    },
)

_EMAIL = Binding(
    EmailSettings,
    {"Enabled": "enabled", "FromEmail": "from_address", "HtmlContent": "html", "Subject": "subject"},
)

_SESSION = Binding(
    SessionAnswer,
    {"Description": "description", "ErrorCode": "code", "SessionId": "session_id"},
)

BINDINGS: dict[str, Binding] = {
    "CloseAPISessionResponse": _SESSION,
    "CommunicationInfo": _COMMUNICATION,
    "OpenAPISessionResponse": _SESSION,
    "OutboundEmailNotificationInfo": _EMAIL,
    "OutboundNotificationCampaignInfo": _CAMPAIGN,
    "OutboundNotificationContactInfo": _CONTACT,
    "OutboundSMSNotificationInfo": _SMS,
    "OutboundVoiceNotificationInfo": _VOICE,
}
"""By the name of the type in the WSDL; lists have none."""
