"""The rules of campaigns, as tables: what is changed in a good campaign, and the field that is then at fault."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, time
from typing import Any

import pytest

from campana.domain.call import VoiceSuccess
from campana.domain.campaign import (
    Campaign,
    EmailSettings,
    Sharing,
    SmsSettings,
    UncertainPolicy,
    VoiceSettings,
    check_campaign,
    content_changed,
    media_enabled,
)
from campana.domain.delivery import Medium
from campana.domain.errors import MethodCode, MethodError

SMS = SmsSettings(enabled=True, from_number="+14165550100", text="Hello")
VOICE = VoiceSettings(
    enabled=True,
    dial_timeout_ms=30_000,
    calling_name="Clinic",
    calling_number="+14165550101",
    text="Hello",
    voice_name="fr-CA Chantal",
    max_plays=2,
    max_attempts=3,
    retry_minutes=15,
)
EMAIL = EmailSettings(enabled=True, from_address="Town <noreply@example.test>", subject="Hello", html="<p>Hello</p>")
GOOD = Campaign(guid="", name="Reminder", sms=SMS, voice=VOICE, email=EMAIL)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


ACCEPTED: list[tuple[str, dict[str, Any]]] = [
    ("all three media", {}),
    ("SMS alone", {"voice": None, "email": None}),
    ("voice alone", {"sms": None, "email": None}),
    ("email alone", {"sms": None, "voice": None}),
    ("texts that contacts bring", {"sms": replace(SMS, text=None), "email": replace(EMAIL, html=" ")}),
    ("a voice text that contacts bring", {"voice": replace(VOICE, text="")}),
    ("a name that is a sender", {"sms": replace(SMS, from_number="Town Hall")}),
    ("a short code", {"sms": replace(SMS, from_number="12345")}),
    ("the longest SMS", {"sms": replace(SMS, text="a" * 38_760)}),
    (
        "least voice values",
        {"voice": replace(VOICE, dial_timeout_ms=1_000, max_plays=1, max_attempts=1, retry_minutes=0)},
    ),
    (
        "greatest voice values",
        {"voice": replace(VOICE, dial_timeout_ms=120_000, max_plays=10, max_attempts=255, retry_minutes=10_080)},
    ),
    ("no calling name", {"voice": replace(VOICE, calling_name=None, calling_number="", voice_name=None)}),
    ("an international address", {"email": replace(EMAIL, from_address="jörg@müller.example")}),
    (
        "disabled media are kept as they are",
        {"sms": SmsSettings(from_number="?\n"), "email": EmailSettings(subject="\r\n")},
    ),
    ("a disabled medium's values out of range", {"voice": VoiceSettings(max_attempts=1_000, dial_timeout_ms=-1)}),
    ("the longest name and description", {"name": "n" * 200, "description": "d" * 4_000}),
    ("one day", {"active_from_date": moment("2026-03-02T09:00"), "active_to_date": moment("2026-03-02T08:00")}),
    ("dates not set", {"active_from_date": moment("2026-03-02"), "active_to_date": moment("0001-01-01")}),
    ("past dates", {"active_from_date": moment("1950-03-02"), "active_to_date": moment("1950-03-02")}),
    ("far dates", {"active_from_date": moment("9999-12-30"), "active_to_date": moment("9999-12-31T23:59:59")}),
    ("every key", {"acknowledge_keys": "0123456789*#ABCD"}),
    ("a key and no voice", {"voice": None, "acknowledge_keys": "1"}),
    ("an acknowledgement by the key that is meant where none is given", {"voice_success": VoiceSuccess.ACKNOWLEDGED}),
    ("a zone", {"time_zone": "America/Toronto"}),
    ("no zone", {"time_zone": ""}),
    ("one day of the week", {"days": frozenset({6})}),
    ("quiet hours", {"quiet_from": time(21), "quiet_to": time(8)}),
    ("an endpoint", {"progress_endpoint": "https://progress.example.test/hook?a=1&b=2"}),
    ("a blank endpoint", {"progress_endpoint": "  "}),
    ("shared with some", {"sharing": Sharing.SOME, "shared_with": frozenset({"ann", "bob"})}),
    ("shared with many", {"sharing": Sharing.SOME, "shared_with": frozenset(map(str, range(1_000)))}),
    ("the least number of 32 bits", {"voice": VoiceSettings(max_plays=-(1 << 31))}),
]


@pytest.mark.parametrize("changes", [row[1] for row in ACCEPTED], ids=[row[0] for row in ACCEPTED])
def test_a_campaign_that_keeps_the_rules_is_accepted(changes: dict[str, Any]) -> None:
    check_campaign(replace(GOOD, **changes))


S, V, E = "OutboundSMSNotificationInfo", "OutboundVoiceNotificationInfo", "OutboundEmailNotificationInfo"
REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("ShortName", {"name": None}),
    ("ShortName", {"name": " \t"}),
    ("ShortName", {"name": "n" * 201}),
    ("ShortName", {"name": "nul \x00"}),
    ("ShortName", {"name": "half a pair \ud83c"}),
    ("Description", {"description": "d" * 4_001}),
    ("Description", {"description": "\x00"}),
    ("Enabled", {"sms": None, "voice": None, "email": None}),
    ("Enabled", {"sms": replace(SMS, enabled=False), "voice": None, "email": EmailSettings()}),
    (f"{S}.FromNumber", {"sms": replace(SMS, from_number=None)}),
    (f"{S}.FromNumber", {"sms": replace(SMS, from_number=" ")}),
    (f"{S}.FromNumber", {"sms": replace(SMS, from_number="TwelveLetter")}),
    (f"{S}.FromNumber", {"sms": replace(SMS, from_number="+1416")}),
    (f"{S}.FromNumber", {"sms": replace(SMS, from_number="Town\r\nHall")}),
    (f"{S}.FromNumber", {"sms": SmsSettings(from_number="1" * 101)}),
    (f"{S}.TextToSend", {"sms": replace(SMS, text="a" * 38_761)}),
    (f"{S}.TextToSend", {"sms": replace(SMS, text="ё" * 16_831)}),
    (f"{S}.TextToSend", {"sms": SmsSettings(text="a" * 38_761)}),
    (f"{V}.DialMsTimeout", {"voice": replace(VOICE, dial_timeout_ms=999)}),
    (f"{V}.DialMsTimeout", {"voice": replace(VOICE, dial_timeout_ms=120_001)}),
    (f"{V}.MaxTextPlays", {"voice": replace(VOICE, max_plays=0)}),
    (f"{V}.MaxTextPlays", {"voice": replace(VOICE, max_plays=11)}),
    (f"{V}.MaxDeliveryRetries", {"voice": replace(VOICE, max_attempts=0)}),
    (f"{V}.MaxDeliveryRetries", {"voice": replace(VOICE, max_attempts=256)}),
    (f"{V}.RetryMinutesInterval", {"voice": replace(VOICE, retry_minutes=-1)}),
    (f"{V}.RetryMinutesInterval", {"voice": replace(VOICE, retry_minutes=10_081)}),
    (f"{V}.RetryMinutesInterval", {"voice": VoiceSettings(retry_minutes=1 << 31)}),
    (f"{V}.CallingName", {"voice": replace(VOICE, calling_name="a\r\nTo: <sip:b@c>")}),
    (f"{V}.CallingName", {"voice": replace(VOICE, calling_name="a" * 101)}),
    (f"{V}.CallingNumber", {"voice": replace(VOICE, calling_number="1\n2")}),
    (f"{V}.TTSVoiceName", {"voice": replace(VOICE, voice_name="a\x00")}),
    (f"{V}.TTSVoiceName", {"voice": replace(VOICE, voice_name="a\x1b")}),
    (f"{V}.TextToSpeak", {"voice": replace(VOICE, text="a" * 20_001)}),
    (f"{E}.FromEmail", {"email": replace(EMAIL, from_address=None)}),
    (f"{E}.FromEmail", {"email": replace(EMAIL, from_address="Town Hall")}),
    (f"{E}.FromEmail", {"email": replace(EMAIL, from_address="Town\nBcc: a@b.de <a@b.de>")}),
    (f"{E}.FromEmail", {"email": replace(EMAIL, from_address="a" * 501)}),
    (f"{E}.Subject", {"email": replace(EMAIL, subject=None)}),
    (f"{E}.Subject", {"email": replace(EMAIL, subject=" ")}),
    (f"{E}.Subject", {"email": replace(EMAIL, subject="Hello\r\nBcc: a@b.de")}),
    (f"{E}.Subject", {"email": replace(EMAIL, subject="Hello\u2028there")}),
    (f"{E}.Subject", {"email": replace(EMAIL, subject="s" * 999)}),
    (f"{E}.HtmlContent", {"email": replace(EMAIL, html="h" * 1_000_001)}),
    (f"{E}.HtmlContent", {"email": replace(EMAIL, html="\ud800")}),
    ("ActiveToDate", {"active_from_date": moment("2026-03-02"), "active_to_date": moment("2026-03-01T23:59")}),
    ("AcknowledgeKeys", {"acknowledge_keys": "E"}),
    ("AcknowledgeKeys", {"acknowledge_keys": "a"}),
    ("AcknowledgeKeys", {"acknowledge_keys": "11"}),
    ("AcknowledgeKeys", {"acknowledge_keys": "1 2"}),
    ("AcknowledgeKeys", {"acknowledge_keys": "\u0661"}),
    ("AcknowledgeKeys", {"voice": None, "acknowledge_keys": "1" * 1_000}),
    ("TimeZone", {"time_zone": "Mars/Olympus"}),
    ("TimeZone", {"time_zone": "europe/berlin"}),
    ("TimeZone", {"time_zone": "../../etc/passwd"}),
    ("Days", {"days": frozenset()}),
    ("Days", {"days": frozenset({7})}),
    ("Days", {"days": frozenset({-1, 0})}),
    (
        "Days",  # Tuesday to Sunday, Mondays only
        {
            "active_from_date": moment("2026-03-03"),
            "active_to_date": moment("2026-03-08"),
            "days": frozenset({0}),
        },
    ),
    (
        "Days",
        {
            "active_from_time": moment("2026-03-03T22:00"),
            "active_to_time": moment("2026-03-03T23:00"),
            "quiet_from": time(21),
            "quiet_to": time(8),
        },
    ),
    ("QuietFrom", {"quiet_from": time(21)}),
    ("QuietFrom", {"quiet_to": time(8)}),
    ("QuietTo", {"quiet_from": time(8), "quiet_to": time(8)}),
    ("ProgressWSEndpoint", {"progress_endpoint": "progress"}),
    ("ProgressWSEndpoint", {"progress_endpoint": "http://127.0.0.1/"}),
    ("ProgressWSEndpoint", {"progress_endpoint": "https://example.com/" + "x" * 2_048}),
    ("SharedWith", {"shared_with": frozenset(map(str, range(1_001)))}),
    ("SharedWith", {"shared_with": frozenset({"u" * 201})}),
]


@pytest.mark.parametrize(("field", "changes"), REFUSED)
def test_a_broken_rule_names_its_field_and_never_the_value(field: str, changes: dict[str, Any]) -> None:
    with pytest.raises(MethodError) as refused:
        check_campaign(replace(GOOD, **changes))
    assert refused.value.code is MethodCode.INVALID_CAMPAIGN
    assert refused.value.field == field
    sentence = refused.value.sentence
    assert sentence.startswith(f"{field} ")
    assert sentence.endswith(".")
    assert sentence.isascii()
    assert sentence.isprintable()
    assert len(sentence) < 300


def test_private_endpoints_are_for_the_operator_to_allow() -> None:
    check_campaign(replace(GOOD, progress_endpoint="http://127.0.0.1/"), allow_private_endpoints=True)
    with pytest.raises(MethodError):
        check_campaign(replace(GOOD, progress_endpoint="ftp://127.0.0.1/"), allow_private_endpoints=True)


MEDIA = [
    (Campaign(guid=""), set()),
    (Campaign(guid="", sms=SmsSettings(), email=EMAIL), {Medium.EMAIL}),
    (GOOD, {Medium.SMS, Medium.VOICE, Medium.EMAIL}),
    (replace(GOOD, is_paused=True, sms=replace(SMS, enabled=False)), {Medium.VOICE, Medium.EMAIL}),
]


@pytest.mark.parametrize(("campaign", "media"), MEDIA)
def test_the_media_that_go_out(campaign: Campaign, media: set[Medium]) -> None:
    assert media_enabled(campaign) == media


CHANGES: list[tuple[bool, dict[str, Any]]] = [
    (False, {}),
    (False, {"name": "Other", "description": "Other", "is_paused": True, "progress_endpoint": "https://a.de"}),
    (False, {"active_to_date": moment("2026-03-02"), "time_zone": "UTC", "days": frozenset({1})}),
    (False, {"sms_uncertain": UncertainPolicy.HOLD, "sms_required": True, "allow_external_contacts": True}),
    (False, {"sms": replace(SMS, enabled=False), "voice": replace(VOICE, enabled=False)}),
    (False, {"email": replace(EMAIL, enabled=False)}),
    (True, {"sms": replace(SMS, text="Other")}),
    (True, {"sms": replace(SMS, from_number="12345")}),
    (True, {"sms": None}),
    (True, {"voice": replace(VOICE, text="Other")}),
    (True, {"voice": replace(VOICE, max_plays=3)}),
    (True, {"voice": replace(VOICE, retry_minutes=16)}),
    (True, {"voice": replace(VOICE, enabled=False, max_attempts=4)}),
    (True, {"voice_success": VoiceSuccess.ANSWERED}),
    (True, {"acknowledge_keys": "1"}),
    (True, {"email": replace(EMAIL, subject="Other")}),
    (True, {"email": replace(EMAIL, from_address="other@example.test")}),
    (True, {"email": replace(EMAIL, html="Other")}),
]


@pytest.mark.parametrize(("changed", "changes"), CHANGES)
def test_content_is_what_is_sent_and_how_it_is_tried(changed: bool, changes: dict[str, Any]) -> None:
    assert content_changed(GOOD, replace(GOOD, **changes)) is changed
    assert content_changed(replace(GOOD, **changes), GOOD) is changed


def test_a_medium_left_out_is_like_one_that_was_never_set() -> None:
    assert not content_changed(Campaign(guid=""), Campaign(guid="", sms=SmsSettings(enabled=True)))
