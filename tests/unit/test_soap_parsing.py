"""How requests are read: what real clients send, what may vary, and what is refused."""

from __future__ import annotations

import random
import resource
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campana.api.soap import schema
from campana.api.soap.envelope import SOAP11, SOAP12, Version
from campana.api.soap.faults import Blame
from campana.api.soap.parsing import Call, InvalidMessage, Limits, Parser
from campana.domain.campaign import Campaign, EmailSettings, SmsSettings, VoiceSettings
from campana.domain.contact import Communication, Contact

SAMPLES = sorted((Path(__file__).parents[1] / "data" / "soap").glob("*.http"))
PARSER = Parser(schema.read(), Limits())

DATA = "http://schemas.datacontract.org/2004/07/OutboundNotifications"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
CAMPAIGN = "73862a28-a715-43c5-855e-5827b474ed98"
CONTACT = "8d862a28-a715-43c5-855e-5827b474ed99"


def envelope(body: str, *, header: str = "", version: Version = SOAP11) -> str:
    return (
        f'<s:Envelope xmlns:s="{version.namespace}" xmlns="http://tempuri.org/" xmlns:d="{DATA}" xmlns:i="{XSI}">'
        f"{header}<s:Body>{body}</s:Body></s:Envelope>"
    )


def contact(members: str) -> str:
    return envelope(f"<AddCampaignContact><contact>{members}</contact></AddCampaignContact>")


def campaign(members: str) -> str:
    return envelope(f"<AddCampaign><campaign>{members}</campaign></AddCampaign>")


def parse(message: str | bytes) -> Call:
    return PARSER.parse(message.encode() if isinstance(message, str) else message)


def refusal(message: str | bytes) -> InvalidMessage:
    with pytest.raises(InvalidMessage) as caught:
        parse(message)
    return caught.value


def body_of(sample: Path) -> bytes:
    return sample.read_bytes().partition(b"\n\n")[2].rstrip(b"\n")


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


# --- what is refused ---------------------------------------------------------------------------------------------

LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10 if n else "lol"}">' for n in range(10))
SOAP10 = "urn:not-soap"
DEEP = "<x>" * 10_000 + "</x>" * 10_000

HOSTILE: list[Any] = [
    ("empty", b"", "not well-formed"),
    ("blank", b" \n", "not well-formed"),
    ("no XML", b"sessionId=1&x=2", "not well-formed"),
    ("JSON", b'{"sessionId": 1}', "not well-formed"),
    ("cut off", contact("<d:Id>")[:-60].encode(), "not well-formed"),
    ("unbound prefix", b"<s:Envelope/>", "not well-formed"),
    ("bad UTF-8", contact("<d:SMSCommInfo/>").encode().replace(b"SMS", b"\xff"), "not well-formed"),
    ("overlong UTF-8", campaign("<d:ShortName>X</d:ShortName>").encode().replace(b"X", b"\xc0\xaf"), "not well-formed"),
    (
        "UTF-8 surrogate",
        campaign("<d:ShortName>X</d:ShortName>").encode().replace(b"X", b"\xed\xa0\x80"),
        "well-formed",
    ),
    ("odd UTF-16", envelope("<GetCampaigns/>").encode("utf-16")[:-1], "not well-formed"),
    ("UTF-16 surrogate", envelope("<GetCampaigns/>").encode("utf-16") + b"\x00\xd8", "not well-formed"),
    ("UTF-32", envelope("<GetCampaigns/>").encode("utf-32"), "not well-formed"),
    ("NUL", campaign("<d:ShortName>\x00</d:ShortName>").encode(), "not well-formed"),
    ("control character", campaign("<d:ShortName>\x0b</d:ShortName>").encode(), "not well-formed"),
    ("control reference", campaign("<d:ShortName>&#1;</d:ShortName>").encode(), "not well-formed"),
    ("surrogate reference", campaign("<d:ShortName>&#xD800;</d:ShortName>").encode(), "not well-formed"),
    ("non-character", campaign("<d:ShortName>\uffff</d:ShortName>").encode(), "not well-formed"),
    ("unknown entity", campaign("<d:ShortName>&eacute;</d:ShortName>").encode(), "not well-formed"),
    ("UTF-7", b'<?xml version="1.0" encoding="utf-7"?>+ADw-a/+AD4-', "encoding that is not supported"),
    ("strange codec", b'<?xml version="1.0" encoding="idna"?><a/>', "encoding that is not supported"),
    ("unknown codec", b'<?xml version="1.0" encoding="xyzzy"?><a/>', "encoding that is not supported"),
    ("wrong codec", b'<?xml version="1.0" encoding="utf-16"?><a/>', "not well-formed"),
    ("billion laughs", f"<!DOCTYPE l [{LAUGHS}]><l>&l9;</l>".encode(), "document type declaration"),
    (
        "external entity",
        b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>',
        "document type declaration",
    ),
    ("external subset", b'<!DOCTYPE x SYSTEM "http://127.0.0.1:1/x.dtd"><x/>', "document type declaration"),
    ("parameter entity", b'<!DOCTYPE x [<!ENTITY % p SYSTEM "http://127.0.0.1:1/">%p;]><x/>', "document type"),
    (
        "doctype behind much",
        b"\xef\xbb\xbf<?xml version='1.0'?>" + b"<!-- <? --><?pi --?>\n" * 1000 + b"<!DOCTYPE x><x/>",
        "document type declaration",
    ),
    ("doctype in UTF-16", f"<!DOCTYPE l [{LAUGHS}]><l>&l9;</l>".encode("utf-16"), "document type declaration"),
    ("other root", b"<a/>", "must be a SOAP 1.1 or 1.2 Envelope"),
    ("bare operation", b'<GetCampaigns xmlns="http://tempuri.org/"/>', "must be a SOAP 1.1 or 1.2 Envelope"),
    ("WSDL", b'<d:definitions xmlns:d="http://schemas.xmlsoap.org/wsdl/"/>', "must be a SOAP 1.1 or 1.2 Envelope"),
    ("no body", f'<s:Envelope xmlns:s="{SOAP11.namespace}"/>'.encode(), "The Envelope has no Body."),
    (
        "body of the other version",
        f'<s:Envelope xmlns:s="{SOAP11.namespace}"><t:Body xmlns:t="{SOAP12.namespace}"/></s:Envelope>'.encode(),
        "The Envelope has no Body.",
    ),
    ("two bodies", envelope("<GetCampaigns/></s:Body><s:Body>").encode(), "The element Body occurs more than once."),
    ("empty body", envelope("").encode(), "The Body must hold exactly one operation."),
    ("text in the body", envelope("hello").encode(), "The element Body must hold elements, not text."),
    ("nil body", envelope("").replace("<s:Body>", '<s:Body i:nil="true">').encode(), "The Envelope has no Body."),
    ("two operations", envelope("<GetCampaigns/><AddCampaign/>").encode(), "exactly one operation"),
    ("one operation twice", envelope("<GetCampaigns/><GetCampaigns/>").encode(), "GetCampaigns occurs more than once"),
    ("unknown operation", envelope("<DropTables/>").encode(), "The operation DropTables is not one of this service."),
    ("operation in lower case", envelope("<getcampaigns/>").encode(), "The operation getcampaigns is not one"),
    ("a response", envelope("<GetCampaignsResponse/>").encode(), "GetCampaignsResponse is not one"),
    ("deep and unknown", contact(DEEP).encode(), "deeper than 32 levels"),
    ("deep header", envelope("<GetCampaigns/>", header=f"<s:Header>{DEEP}</s:Header>").encode(), "deeper than 32"),
    ("deep in place of the body", DEEP.encode(), "must be a SOAP 1.1 or 1.2 Envelope"),
    ("many strangers", contact("<x/>" * 2_001).encode(), "more than 2000 elements of unknown names"),
    ("many names", contact("".join(f"<x{n}/>" for n in range(2_001))).encode(), "more than 2000 elements"),
    (
        "many headers",
        envelope("<GetCampaigns/>", header=f"<s:Header>{'<x/>' * 2_001}</s:Header>").encode(),
        "more than 2000 elements",
    ),
    ("member twice", contact("<d:Id/><d:Id/>").encode(), "AddCampaignContact/contact/Id occurs more than once"),
    ("object twice", contact("<d:SMSCommInfo/><d:SMSCommInfo/>").encode(), "SMSCommInfo occurs more than once"),
    ("twice in two namespaces", contact('<d:Id/><Id xmlns="u"/>').encode(), "contact/Id occurs more than once"),
    ("nil and not", contact('<d:Id i:nil="true"/><d:Id/>').encode(), "contact/Id occurs more than once"),
    ("dropped twice", campaign(2 * '<d:CreationDateUtc i:nil="1"/>').encode(), "CreationDateUtc occurs more than once"),
]


@pytest.mark.parametrize(("message", "sentence"), [row[1:] for row in HOSTILE], ids=[row[0] for row in HOSTILE])
def test_hostile(message: bytes, sentence: str) -> None:
    fault = refusal(message).fault
    assert sentence in fault.sentence
    assert fault.sentence.endswith(".")
    assert "\n" not in fault.sentence
    assert len(fault.sentence) < 200


WRONG = [
    ("<d:SMSCommInfo><d:RetryCount>many</d:RetryCount></d:SMSCommInfo>", "SMSCommInfo/RetryCount must be an integer"),
    ("<d:SMSCommInfo><d:RetryCount/></d:SMSCommInfo>", "SMSCommInfo/RetryCount must be an integer"),
    ("<d:SMSCommInfo><d:StatusCode>2147483648</d:StatusCode></d:SMSCommInfo>", "StatusCode must be an integer of 32"),
    ("<d:SMSCommInfo>call me</d:SMSCommInfo>", "SMSCommInfo must hold elements, not text"),
    ("<d:SMSCommInfo><d:RetryCount>1</d:RetryCount>x</d:SMSCommInfo>", "SMSCommInfo must hold elements, not text"),
    ("<d:SMSCommInfo>x<d:RetryCount>1</d:RetryCount></d:SMSCommInfo>", "SMSCommInfo must hold elements, not text"),
    ("<d:Id>nonsense</d:Id>", "contact/Id must be a Guid"),
    (f"<d:Id><b>{CONTACT}</b></d:Id>", "contact/Id must hold text, not elements"),
    (f"<d:Id><d:Id>{CONTACT}</d:Id></d:Id>", "contact/Id must hold text, not elements"),
    ('<d:Id i:nil="yes"/>', "The attribute nil of the element AddCampaignContact/contact/Id must be true, false"),
    (f'<d:Id i:nil="true">{CONTACT}</d:Id>', "contact/Id is nil and must be empty"),
    ('<d:SMSCommInfo i:nil="true"><d:RetryCount/></d:SMSCommInfo>', "SMSCommInfo is nil and must be empty"),
]


@pytest.mark.parametrize(("members", "sentence"), WRONG)
def test_wrong_values_in_a_contact(members: str, sentence: str) -> None:
    invalid = refusal(contact(members))
    assert sentence in invalid.fault.sentence
    assert invalid.fault.blame is Blame.CLIENT
    assert invalid.version is SOAP11


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        ("<d:IsPaused/>", "The element AddCampaign/campaign/IsPaused must be true, false, 1 or 0."),
        ("<d:IsPaused>True</d:IsPaused>", "campaign/IsPaused must be true"),
        ("<d:ActiveFromDate/>", "campaign/ActiveFromDate must be a dateTime such as 2026-11-23T08:00:00."),
        ("<d:ActiveFromTime>08:00</d:ActiveFromTime>", "campaign/ActiveFromTime must be a dateTime"),
        ("<d:ActiveToDate>2026-02-30T00:00:00</d:ActiveToDate>", "ActiveToDate must be a date and time that exist"),
        ("<d:CreationDateUtc>now</d:CreationDateUtc>", "campaign/CreationDateUtc must be a dateTime"),
        ("<d:ID>{1}</d:ID>", "campaign/ID must be a Guid"),
    ],
)
def test_wrong_values_in_a_campaign(members: str, sentence: str) -> None:
    assert sentence in refusal(campaign(members)).fault.sentence


def test_a_fault_never_repeats_a_value() -> None:
    secret = "hunter2+14165550111"
    for members in (f"<d:Id>{secret}</d:Id>", f"<d:SMSCommInfo><d:RetryCount>{secret}</d:RetryCount></d:SMSCommInfo>"):
        assert secret not in refusal(contact(members)).fault.sentence


def test_a_long_name_is_cut_in_the_fault() -> None:
    assert len(refusal(envelope(f"<{'x' * 10_000}/>")).fault.sentence) < 200


@pytest.mark.parametrize("version", [SOAP11, SOAP12], ids=lambda v: v.name)
def test_the_version_is_known_as_soon_as_the_envelope_is(version: Version) -> None:
    message = envelope("<GetCampaigns>", version=version)
    assert refusal(message).version is version
    assert refusal(envelope("<Nothing/>", version=version)).version is version
    assert refusal(envelope("", version=version)).version is version


def test_another_envelope_is_a_version_mismatch() -> None:
    invalid = refusal('<s:Envelope xmlns:s="urn:soap-of-the-future"><s:Body/></s:Envelope>')
    assert invalid.fault.blame is Blame.VERSION_MISMATCH
    assert invalid.version is None


def test_limits_are_limits() -> None:
    narrow = Parser(schema.read(), Limits(max_depth=7, max_strangers=3))
    narrow.parse(contact("<x><y><z/></y></x>").encode())
    for members in ("<x/>" * 4, "<w><x><y><z/></y></x></w>"):
        with pytest.raises(InvalidMessage):
            narrow.parse(contact(members).encode())


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_names_of_strangers_are_forgotten() -> None:
    """A parser with a dictionary for the life of the process would keep some 40 MB of these."""

    def unheard_of(start: int) -> bytes:
        return contact("".join(f"<x{'y' * 60}{n}/>" for n in range(start, start + 1_900))).encode()

    for start in range(20):
        parse(unheard_of(start * 1_900))
    before = resident_bytes()
    for start in range(20, 220):
        parse(unheard_of(start * 1_900))
    assert resident_bytes() - before < 8 * 1024 * 1024


# --- whatever comes ----------------------------------------------------------------------------------------------


def judge(message: bytes) -> None:
    """Whatever the bytes, they are a call or a fault."""
    fault = None
    try:
        parse(message)
    except InvalidMessage as invalid:
        fault = invalid.fault
    assert fault is None or (fault.blame is not Blame.SERVER and fault.sentence)


@given(st.binary(max_size=400))
def test_any_bytes(message: bytes) -> None:
    judge(message)


@given(st.sampled_from(SAMPLES), st.randoms(use_true_random=False), st.integers(1, 20))
def test_damaged_samples(sample: Path, dice: random.Random, damages: int) -> None:
    message = bytearray(body_of(sample))
    for _ in range(damages):
        start = dice.randrange(len(message))
        end = min(len(message), start + dice.randrange(8))
        message[start:end] = dice.choice(
            [
                b"",
                b"<",
                b">",
                b"</",
                b"&",
                b"&#0;",
                b"\x00",
                b"\xff",
                b"<![CDATA[",
                b"<!--",
                b'"',
                message[start:end] * 2,
            ]
        )
    judge(bytes(message))


NAMES = ["AddCampaign", "AddCampaignContact", "campaign", "contact", "sessionId", "d:ID", "d:Id", "d:SMSCommInfo"]
NAMES += ["d:RetryCount", "d:ActiveFromDate", "d:OutboundSMSNotificationInfo", "d:Enabled", "s:Body", "s:Header", "x"]
ATTRIBUTES = ["", "", "", ' i:nil="true"', ' i:nil="x"', ' s:mustUnderstand="1"', ' i:type="d:x"']
TEXTS = ["", " ", "1", "true", CONTACT, "2026-11-23T08:00:00", "text", "&amp;", "<![CDATA[<]]>"]

trees = st.recursive(
    st.sampled_from(TEXTS),
    lambda inner: st.builds(
        lambda name, attribute, parts: f"<{name}{attribute}>{''.join(parts)}</{name}>",
        st.sampled_from(NAMES),
        st.sampled_from(ATTRIBUTES),
        st.lists(inner, max_size=4),
    ),
    max_leaves=20,
)


@given(trees)
def test_any_tree_of_the_contract_s_names(tree: str) -> None:
    judge(envelope(tree).encode())
    judge(contact(tree).encode())
    judge(campaign(tree).encode())
