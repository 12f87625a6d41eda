"""Owns what the fields of the contract are called in REST: one table, for problems that name a field.

Must not know which rules there are.
"""

from __future__ import annotations

_SMS, _VOICE, _EMAIL = "OutboundSMSNotificationInfo", "OutboundVoiceNotificationInfo", "OutboundEmailNotificationInfo"

REST_NAMES: dict[str, str] = {
    "campaign": "",
    "contact": "",
    "ShortName": "name",
    "Description": "description",
    "Enabled": "sms.enabled",
    "ProgressWSEndpoint": "progress_endpoint",
    f"{_SMS}.FromNumber": "sms.from",
    f"{_SMS}.TextToSend": "sms.text",
    f"{_VOICE}.CallingName": "voice.calling_name",
    f"{_VOICE}.CallingNumber": "voice.calling_number",
    f"{_VOICE}.TextToSpeak": "voice.text",
    f"{_VOICE}.TTSVoiceName": "voice.voice_name",
    f"{_VOICE}.DialMsTimeout": "voice.dial_timeout_ms",
    f"{_VOICE}.MaxTextPlays": "voice.max_plays",
    f"{_VOICE}.MaxDeliveryRetries": "voice.max_attempts",
    f"{_VOICE}.RetryMinutesInterval": "voice.retry_minutes",
    f"{_EMAIL}.FromEmail": "email.from",
    f"{_EMAIL}.Subject": "email.subject",
    f"{_EMAIL}.HtmlContent": "email.html",
    "SharedWith": "shared_with",
    "AcknowledgeKeys": "voice.acknowledge_keys",
    "TimeZone": "time_zone",
    "ActiveFromDate": "from_date",
    "ActiveToDate": "to_date",
    "Days": "days",
    "Name": "name",
    "Reference": "reference",
    "Fields": "fields",
    "QuietFrom": "quiet_from",
    "QuietTo": "quiet_to",
    **{
        f"{wire}.{member}": f"{medium}.{name}"
        for wire, medium in (("SMSCommInfo", "sms"), ("VoiceCommInfo", "voice"), ("EmailCommInfo", "email"))
        for member, name in (
            ("Destination", "destination"),
            ("TextToSendOverwrite", "text"),
            ("RetryCount", "attempts_left"),
        )
    },
}
"""By the name that the domain's rules use. What is not here is called the same."""


def rest_name(name: str) -> str:
    """What a field is called in REST."""
    return REST_NAMES.get(name, name)


def in_rest_words(sentence: str, name: str) -> str:
    """A rule's sentence with the names of REST: that of its own field, and others that it mentions."""
    rest = rest_name(name)
    if sentence.startswith(name) and rest:
        sentence = rest + sentence[len(name) :]
    for soap in ("QuietTo", "QuietFrom", "ActiveFromDate", "ProgressWSEndpoint"):
        sentence = sentence.replace(soap, REST_NAMES[soap])
    return sentence
