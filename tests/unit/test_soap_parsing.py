"""How requests are read: what real clients send, and what may vary."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from soap_messages import CAMPAIGN, CONTACT, SAMPLES, body_of, campaign, contact, envelope, parse, refusal

from campana.api.soap.envelope import SOAP11, SOAP12, Version
from campana.api.soap.faults import Blame
from campana.domain.campaign import Campaign, EmailSettings, SmsSettings, VoiceSettings
from campana.domain.contact import Communication, Contact

# --- what real clients send --------------------------------------------------------------------------------------


def test_there_are_samples_of_seven_stacks() -> None:
    assert len(SAMPLES) == 28
    assert len({sample.name.partition("-soap1")[0] for sample in SAMPLES}) == 8


@pytest.mark.parametrize("sample", [s for s in SAMPLES if s.stem.endswith("Contact")], ids=lambda s: s.stem)
def test_sample_of_a_contact(sample: Path) -> None:
    call = parse(body_of(sample))
    assert call.operation == "AddCampaignContact"
    assert len(call.arguments["sessionId"]) == 36
    given_: Contact = call.arguments["contact"]
    assert len(given_.guid) == len(given_.campaign) == 36
    assert given_.sms is not None
    assert (given_.sms.destination, given_.sms.attempts_left, given_.sms.status) == ("+14165550111", 3, 4)
    assert (given_.sms.text or "").endswith("é <&> 📱")
    assert given_.voice is None
    assert given_.email in (None, Communication("", "", 4, 77, 0))


@pytest.mark.parametrize("sample", [s for s in SAMPLES if s.stem.endswith("AddCampaign")], ids=lambda s: s.stem)
def test_sample_of_a_campaign(sample: Path) -> None:
    call = parse(body_of(sample))
    assert call.operation == "AddCampaign"
    given_: Campaign = call.arguments["campaign"]
    assert given_.name is not None
    assert "é&<>\"'" in given_.name
    assert given_.description == "Rappel d'école — ñ Ü ß 漢字 📞 <b>&amp; \"q\"</b> & 'x' ]]> tab\there\nline 2"
    assert (given_.active_from_date, given_.created_at) == (datetime(2026, 11, 22), 0)
    assert given_.active_from_time is not None
    assert given_.active_from_time.time() == datetime(2000, 1, 1, 0, 15).time()
    assert (given_.sms_required, given_.voice_required, given_.allow_external_contacts) == (True, False, True)
    assert given_.sms is not None
    assert given_.sms.from_number == "+14165550100"
    assert given_.voice is not None
    assert (given_.voice.dial_timeout_ms, given_.voice.max_attempts, given_.voice.max_plays) == (30000, 3, 2)
    assert given_.email is not None
    assert given_.email.from_address == "noreply@example.test"


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: s.stem)
def test_samples_mean_the_same_in_any_namespace(sample: Path) -> None:
    body = body_of(sample)
    foreign = body.replace(b"OutboundNotifications", b"Other").replace(b"http://tempuri.org/", b"urn:x")
    assert foreign != body
    assert parse(foreign) == parse(body)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: s.stem)
@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be"])
def test_samples_mean_the_same_in_utf_16(sample: Path, codec: str) -> None:
    body = body_of(sample)
    text = body.decode("utf-8-sig").replace("utf-8", "utf-16").replace("UTF-8", "utf-16")
    assert parse(text.encode(codec)) == parse(body)


# --- what may vary -----------------------------------------------------------------------------------------------


def test_everything_that_a_campaign_has() -> None:
    call = parse(
        envelope(
            f"""<UpdateCampaign><sessionId>S</sessionId><campaign>
              <d:VoiceNotificationRequired>1</d:VoiceNotificationRequired>
              <d:ID>{{{CAMPAIGN.upper()}}}</d:ID> <d:ShortName> A &lt; B </d:ShortName>
              <d:Description></d:Description> <d:IsPaused> true </d:IsPaused>
              <d:ActiveFromDate>2026-11-22T00:00:00-05:00</d:ActiveFromDate>
              <d:ActiveToTime>2000-01-01T23:45:00.0000000Z</d:ActiveToTime>
              <d:ActiveToDate>0001-01-01T00:00:00</d:ActiveToDate>
              <d:CreationDateUtc>1999-01-01T00:00:00Z</d:CreationDateUtc>
              <d:OutboundSMSNotificationInfo><d:TextToSend><![CDATA[<hi>]]>&#13;
</d:TextToSend><d:Enabled>1</d:Enabled></d:OutboundSMSNotificationInfo>
              <d:OutboundVoiceNotificationInfo><d:RetryMinutesInterval>-5</d:RetryMinutesInterval>
                <d:TTSVoiceName>V</d:TTSVoiceName><d:TextToSpeak>T</d:TextToSpeak></d:OutboundVoiceNotificationInfo>
              <d:OutboundEmailNotificationInfo/>
              <d:ProgressWSEndpoint i:nil="true"/>
            </campaign></UpdateCampaign>"""
        )
    )
    assert call.arguments == {
        "sessionId": "S",
        "campaign": Campaign(
            guid=CAMPAIGN,
            name=" A < B ",
            description="",
            is_paused=True,
            active_from_date=datetime(2026, 11, 22),
            active_to_time=datetime(2000, 1, 1, 23, 45),
            voice_required=True,
            sms=SmsSettings(enabled=True, text="<hi>\r\n"),
            voice=VoiceSettings(retry_minutes=-5, voice_name="V", text="T"),
            email=EmailSettings(),
        ),
    }


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ("", Contact("", "")),
        ('<d:Id i:nil="true"/><d:SMSCommInfo i:nil="1"></d:SMSCommInfo>', Contact("", "")),
        ("<d:Id>00000000-0000-0000-0000-000000000000</d:Id>", Contact("", "")),
        ("<d:SMSCommInfo/>", Contact("", "", sms=Communication())),
        ('<d:SMSCommInfo i:nil="false"/>', Contact("", "", sms=Communication())),
        ('<d:SMSCommInfo i:nil="true"> \n </d:SMSCommInfo>', Contact("", "")),
        (
            '<d:SMSCommInfo><d:Destination i:nil="true"/><d:RetryCount i:nil="true"/></d:SMSCommInfo>',
            Contact("", "", sms=Communication(None, None, 0, 0, 0)),
        ),
        (
            f"<d:SMSCommInfo><d:Destination>\n 1 </d:Destination></d:SMSCommInfo><d:Id>{CONTACT}</d:Id>",
            Contact(CONTACT, "", sms=Communication("\n 1 ")),
        ),
        (
            "<d:Tags><d:Id>x</d:Id><a><b>text</b></a></d:Tags>\n<d:EmailCommInfo><x/></d:EmailCommInfo>more",
            None,
        ),
        (
            "<d:Tags>free <d:Id>x</d:Id><a><b>text</b></a></d:Tags>\n<d:EmailCommInfo><x/></d:EmailCommInfo>",
            Contact("", "", email=Communication()),
        ),
        ('<x:Id xmlns:x="urn:other">' + CONTACT + "</x:Id>", Contact(CONTACT, "")),
        ('<Id xmlns="">' + CONTACT + "</Id>", Contact(CONTACT, "")),
        (f'<d:Id i:type="nonsense" s:encodingStyle="urn:x">{CONTACT}</d:Id>', Contact(CONTACT, "")),
        (f"<!-- c --><?pi x?><d:Id>{CONTACT[:10]}<!-- c -->{CONTACT[10:]}</d:Id>", Contact(CONTACT, "")),
    ],
)
def test_contact(members: str, expected: Contact | None) -> None:
    if expected is None:
        assert "must hold elements, not text" in refusal(contact(members)).fault.sentence
    else:
        assert parse(contact(members)).arguments == {"contact": expected}


@pytest.mark.parametrize("argument", ["", '<contact i:nil="true"/>', '<sessionId i:nil="true"/>'])
def test_arguments_that_are_missing(argument: str) -> None:
    arguments = parse(envelope(f"<AddCampaignContact>{argument}</AddCampaignContact>")).arguments
    assert arguments.get("contact") is None
    assert arguments.get("sessionId") is None


def test_an_operation_may_be_nil() -> None:
    assert parse(envelope('<GetCampaigns i:nil="true"/>')).arguments == {}


@pytest.mark.parametrize("version", [SOAP11, SOAP12], ids=lambda v: v.name)
def test_the_envelope_decides_the_version(version: Version) -> None:
    assert parse(envelope("<GetCampaigns/>", version=version)).version is version


@pytest.mark.parametrize(
    ("declared", "codec"),
    [("ISO-8859-1", "latin-1"), ("windows-1252", "cp1252"), ("us-ascii", "ascii"), ("iso-8859-15", "iso-8859-15")],
)
def test_other_encodings(declared: str, codec: str) -> None:
    name = "n" if codec == "ascii" else "é"
    text = f'<?xml version="1.0" encoding="{declared}"?>' + campaign(f"<d:ShortName>{name}</d:ShortName>")
    assert parse(text.encode(codec)).arguments["campaign"].name == name


def test_long_text_comes_whole() -> None:
    text = "0123456789é<" * 50_000
    message = campaign(f"<d:ShortName>{text.replace('<', '&lt;')}</d:ShortName>")
    assert parse(message).arguments["campaign"].name == text


def test_html_may_hold_a_doctype_as_text() -> None:
    page = "<!DOCTYPE html><html></html>"
    message = campaign(
        f"<d:OutboundEmailNotificationInfo><d:HtmlContent><![CDATA[{page}]]></d:HtmlContent>"
        "</d:OutboundEmailNotificationInfo>"
    )
    assert parse(message).arguments["campaign"].email.html == page


# --- headers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "block",
    [
        '<h:A xmlns:h="urn:h">x</h:A>',
        '<h:A xmlns:h="urn:h" s:mustUnderstand="0"><h:B s:mustUnderstand="1"/></h:A>',
        '<h:A xmlns:h="urn:h" mustUnderstand="1"/>',
        '<h:A xmlns:h="urn:h" s:mustUnderstand="1" s:actor="urn:another" s:role="urn:another"/>',
        '<To s:mustUnderstand="false">x</To>',
    ],
)
@pytest.mark.parametrize("version", [SOAP11, SOAP12], ids=lambda v: v.name)
def test_headers_are_ignored(block: str, version: Version) -> None:
    message = envelope("<GetCampaigns/>", header=f"<s:Header>{block}</s:Header>", version=version)
    assert parse(message).operation == "GetCampaigns"


@pytest.mark.parametrize("version", [SOAP11, SOAP12], ids=lambda v: v.name)
@pytest.mark.parametrize("role", ["", "next"])
def test_a_header_that_must_be_understood(version: Version, role: str) -> None:
    name = "actor" if version is SOAP11 else "role"
    uri = "http://schemas.xmlsoap.org/soap/actor/next" if version is SOAP11 else f"{version.namespace}/role/next"
    attribute = f's:{name}="{uri}"' if role else ""
    block = f'<h:Security xmlns:h="urn:h&amp;i" s:mustUnderstand="1" {attribute}><h:B/></h:Security>'
    invalid = refusal(envelope("<GetCampaigns/>", header=f"<s:Header>{block}</s:Header>", version=version))
    assert invalid.version is version
    assert invalid.fault.blame is Blame.MUST_UNDERSTAND
    assert invalid.fault.header == ("urn:h&i", "Security")
    assert "Security" in invalid.fault.sentence
