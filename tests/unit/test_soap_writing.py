"""How results are written: order, nulls, escaping, and that what is written is what would be read."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from msgspec import structs

from campana.api.soap import schema
from campana.api.soap.bindings import SessionAnswer
from campana.api.soap.envelope import SOAP11, SOAP12, Version
from campana.api.soap.faults import Blame, Fault, render
from campana.api.soap.lines import CONTACT
from campana.api.soap.parsing import Limits, Parser
from campana.api.soap.writing import Writer
from campana.domain.campaign import Campaign, EmailSettings, SmsSettings, VoiceSettings
from campana.domain.contact import Communication, Contact

SCHEMA = schema.read()
WRITER = Writer(SCHEMA)
PARSER = Parser(SCHEMA, Limits())
CAMPAIGN_TYPE = "OutboundNotificationCampaignInfo"
DATA = "http://schemas.datacontract.org/2004/07/OutboundNotifications"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
CAMPAIGN = "73862a28-a715-43c5-855e-5827b474ed98"
PERSON = "8d862a28-a715-43c5-855e-5827b474ed99"

Line = list[str | int | None]

# Strings as XML can carry them: forbidden characters are written as U+FFFD, which test_soap_values.py looks at.
texts = st.none() | st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"))
texts |= st.sampled_from(["", " ", "\r\n", "<&>", "]]>", "é\t📞", "%s %d %(x)s"])
ints = st.integers(-(2**31), 2**31 - 1)
clocks = st.none() | st.datetimes(min_value=datetime(1, 1, 1, 0, 0, 1))


def read_back(element: str, operation: str, parameter: str) -> object:
    """What the door would read, had a client sent it."""
    message = (
        f'<s:Envelope xmlns:s="{SOAP11.namespace}" xmlns:a="{DATA}" xmlns:i="{XSI}" xmlns="http://tempuri.org/">'
        f"<s:Body><{operation}><{parameter}>{element}</{parameter}></{operation}></s:Body></s:Envelope>"
    )
    return PARSER.parse(message.encode()).arguments[parameter]


def tree(fragment: str) -> etree._Element:
    return etree.fromstring(f'<r xmlns:a="{DATA}" xmlns:i="{XSI}">{fragment}</r>'.encode())


def names(element: etree._Element) -> list[str]:
    return [etree.QName(child).localname for child in element]


# --- objects -----------------------------------------------------------------------------------------------------

FULL = Campaign(
    guid=CAMPAIGN,
    name="N",
    description="",
    is_paused=True,
    active_from_date=datetime(2026, 11, 22, 13, 14),
    active_from_time=datetime(1999, 9, 9, 8, 0, 0, 500_000),
    sms=SmsSettings(True, "+1", None),
    voice=VoiceSettings(True, 30_000, None, "", " t ", "v", 2, 3, 15),
    email=EmailSettings(),
    created_at=1_795_443_652_500,
)


def test_a_campaign_is_written_as_wcf_writes_it() -> None:
    assert WRITER.content(CAMPAIGN_TYPE)(FULL) == (
        "<a:ActiveFromDate>2026-11-22T13:14:00</a:ActiveFromDate>"
        "<a:ActiveFromTime>1999-09-09T08:00:00.500000</a:ActiveFromTime>"
        "<a:ActiveToDate>0001-01-01T00:00:00</a:ActiveToDate>"
        "<a:ActiveToTime>0001-01-01T00:00:00</a:ActiveToTime>"
        "<a:AllowAddingContactsFromExternalApps>false</a:AllowAddingContactsFromExternalApps>"
        "<a:CreationDateUtc>2026-11-23T14:20:52.500Z</a:CreationDateUtc>"
        "<a:Description></a:Description>"
        "<a:EmailNotificationRequired>false</a:EmailNotificationRequired>"
        f"<a:ID>{CAMPAIGN}</a:ID>"
        "<a:IsPaused>true</a:IsPaused>"
        "<a:OutboundEmailNotificationInfo>"
        '<a:Enabled>false</a:Enabled><a:FromEmail i:nil="true"/><a:HtmlContent i:nil="true"/><a:Subject i:nil="true"/>'
        "</a:OutboundEmailNotificationInfo>"
        "<a:OutboundSMSNotificationInfo>"
        '<a:Enabled>true</a:Enabled><a:FromNumber>+1</a:FromNumber><a:TextToSend i:nil="true"/>'
        "</a:OutboundSMSNotificationInfo>"
        "<a:OutboundVoiceNotificationInfo>"
        '<a:CallingName i:nil="true"/><a:CallingNumber></a:CallingNumber><a:DialMsTimeout>30000</a:DialMsTimeout>'
        "<a:Enabled>true</a:Enabled><a:MaxDeliveryRetries>3</a:MaxDeliveryRetries><a:MaxTextPlays>2</a:MaxTextPlays>"
        "<a:RetryMinutesInterval>15</a:RetryMinutesInterval><a:TTSVoiceName>v</a:TTSVoiceName>"
        "<a:TextToSpeak> t </a:TextToSpeak>"
        "</a:OutboundVoiceNotificationInfo>"
        '<a:ProgressWSEndpoint i:nil="true"/>'
        "<a:ShortName>N</a:ShortName>"
        "<a:SmsNotificationRequired>false</a:SmsNotificationRequired>"
        "<a:VoiceNotificationRequired>false</a:VoiceNotificationRequired>"
    )


def test_null_media_are_written_as_null() -> None:
    written = tree(WRITER.content(CAMPAIGN_TYPE)(Campaign(guid=CAMPAIGN)))
    for name in ("OutboundSMSNotificationInfo", "OutboundVoiceNotificationInfo", "OutboundEmailNotificationInfo"):
        element = written.find(f"{{{DATA}}}{name}")
        assert dict(element.attrib) == {f"{{{XSI}}}nil": "true"}
        assert len(element) == 0


campaigns = st.builds(
    Campaign,
    guid=st.just(CAMPAIGN),
    name=texts,
    description=texts,
    is_paused=st.booleans(),
    active_from_date=clocks,
    active_from_time=clocks,
    active_to_date=clocks,
    active_to_time=clocks,
    sms=st.none() | st.builds(SmsSettings, st.booleans(), texts, texts),
    voice=st.none() | st.builds(VoiceSettings, st.booleans(), ints, texts, texts, texts, texts, ints, ints, ints),
    email=st.none() | st.builds(EmailSettings, st.booleans(), texts, texts, texts),
    allow_external_contacts=st.booleans(),
    sms_required=st.booleans(),
    voice_required=st.booleans(),
    email_required=st.booleans(),
    progress_endpoint=texts,
    created_at=st.integers(0, 2**42),
)


@given(campaigns)
def test_what_is_written_of_a_campaign_is_what_was_read(campaign: Campaign) -> None:
    written = WRITER.content(CAMPAIGN_TYPE)(campaign)
    assert read_back(written, "AddCampaign", "campaign") == replace(campaign, created_at=0)
    members = [member.name for member in SCHEMA.types[CAMPAIGN_TYPE].members]
    assert names(tree(written)) == members


@pytest.mark.parametrize(
    ("type_name", "content"),
    [
        (
            "OpenAPISessionResponse",
            "<a:Description>a &lt; b</a:Description><a:ErrorCode>2</a:ErrorCode><a:SessionId></a:SessionId>",
        ),
        ("CloseAPISessionResponse", "<a:Description>a &lt; b</a:Description><a:ErrorCode>2</a:ErrorCode>"),
    ],
)
def test_session_answers(type_name: str, content: str) -> None:
    assert WRITER.content(type_name)(SessionAnswer(2, "a < b")) == content


def test_lists() -> None:
    assert WRITER.items("ArrayOfguid")([CAMPAIGN, PERSON]) == f"<a:guid>{CAMPAIGN}</a:guid><a:guid>{PERSON}</a:guid>"
    assert WRITER.items("ArrayOfguid")([]) == ""
    written = tree(WRITER.items(f"ArrayOf{CAMPAIGN_TYPE}")([FULL, FULL]))
    assert names(written) == [CAMPAIGN_TYPE] * 2


# --- contacts ----------------------------------------------------------------------------------------------------


def write_lines(*lines: Line) -> str:
    return WRITER.contacts(CAMPAIGN).write(list(lines))


def test_a_contact_line() -> None:
    line: Line = [PERSON, "+14165550111", "hé", 5, 211, 2, None, None, 0, 0, 0, "a@example.test", "", 1, 0, 3]
    assert write_lines(line) == (
        "<a:OutboundNotificationContactInfo>"
        f"<a:CampaignId>{CAMPAIGN}</a:CampaignId>"
        "<a:EmailCommInfo><a:Destination>a@example.test</a:Destination>"
        "<a:LastDeliveryErrorCode>0</a:LastDeliveryErrorCode><a:RetryCount>3</a:RetryCount>"
        "<a:StatusCode>1</a:StatusCode><a:TextToSendOverwrite></a:TextToSendOverwrite></a:EmailCommInfo>"
        f"<a:Id>{PERSON}</a:Id>"
        "<a:SMSCommInfo><a:Destination>+14165550111</a:Destination>"
        "<a:LastDeliveryErrorCode>211</a:LastDeliveryErrorCode><a:RetryCount>2</a:RetryCount>"
        "<a:StatusCode>5</a:StatusCode><a:TextToSendOverwrite>hé</a:TextToSendOverwrite></a:SMSCommInfo>"
        "<a:VoiceCommInfo><a:Destination></a:Destination>"
        "<a:LastDeliveryErrorCode>0</a:LastDeliveryErrorCode><a:RetryCount>0</a:RetryCount>"
        '<a:StatusCode>0</a:StatusCode><a:TextToSendOverwrite i:nil="true"/></a:VoiceCommInfo>'
        "</a:OutboundNotificationContactInfo>"
    )


media = st.builds(Communication, texts, texts, st.integers(0, 7), st.integers(0, 999), st.integers(0, 255))
contacts = st.builds(Contact, guid=st.just(PERSON), campaign=st.just(CAMPAIGN), sms=media, voice=media, email=media)


def line_of(contact: Contact) -> Line:
    line: Line = [contact.guid]
    for medium in (contact.sms, contact.voice, contact.email):
        assert medium is not None
        line += [medium.destination, medium.text, medium.status, medium.last_error, medium.attempts_left]
    return line


def as_written(medium: Communication | None) -> Communication | None:
    return medium and structs.replace(medium, destination=medium.destination or "")


@given(st.lists(contacts, max_size=5))
def test_lines_are_written_as_the_contacts_that_they_are(given_: list[Contact]) -> None:
    page = write_lines(*map(line_of, given_))
    elements = tree(page)
    assert names(elements) == [CONTACT] * len(given_)
    expected = [
        structs.replace(c, sms=as_written(c.sms), voice=as_written(c.voice), email=as_written(c.email)) for c in given_
    ]
    assert page == WRITER.items(f"ArrayOf{CONTACT}")(expected)
    for element, contact in zip(elements, expected, strict=True):
        inner = "".join(etree.tostring(child, encoding="unicode") for child in element)
        assert read_back(inner, "AddCampaignContact", "contact") == contact


def test_lines_are_not_changed_by_writing() -> None:
    line: Line = [PERSON, "<&>", "\r\x00", 1, 0, 1, None, None, 0, 0, 0, None, None, 0, 0, 0]
    page = [line]
    assert "&lt;&amp;&gt;" in WRITER.contacts(CAMPAIGN).write(page)
    assert "&#13;\ufffd" in WRITER.contacts(CAMPAIGN).write(page)
    assert page == [[PERSON, "<&>", "\r\x00", 1, 0, 1, None, None, 0, 0, 0, None, None, 0, 0, 0]]


def test_an_empty_page_is_nothing() -> None:
    assert write_lines() == ""


# --- what stands around ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [SOAP11, SOAP12], ids=lambda v: v.name)
@pytest.mark.parametrize("operation", SCHEMA.operations)
def test_around(version: Version, operation: str) -> None:
    around = WRITER.around(version, operation)
    for message, nil in ((around.head + around.tail, None), (around.null, "true")):
        root = etree.fromstring(message.encode())
        assert root.tag == f"{{{version.namespace}}}Envelope"
        (body,) = root
        (response,) = body
        (result,) = response
        assert body.tag == f"{{{version.namespace}}}Body"
        assert response.tag == f"{{http://tempuri.org/}}{operation}Response"
        assert result.tag == f"{{http://tempuri.org/}}{operation}Result"
        assert result.get(f"{{{XSI}}}nil") == nil
        assert "false" not in message


# --- faults ------------------------------------------------------------------------------------------------------

SENTENCE = 'The element <x> & "y" isn\'t right.\x00'
READ = 'The element <x> & "y" isn\'t right.\ufffd'


@pytest.mark.parametrize(
    ("blame", "code", "detail"),
    [
        (Blame.CLIENT, "Client", True),
        (Blame.SERVER, "Server", True),
        (Blame.MUST_UNDERSTAND, "MustUnderstand", False),
        (Blame.VERSION_MISMATCH, "VersionMismatch", False),
    ],
)
def test_fault_in_soap_11(blame: Blame, code: str, detail: bool) -> None:
    root = etree.fromstring(render(Fault(SENTENCE, blame, header=("urn:h", "H")), SOAP11))
    (body,) = root
    (fault,) = body
    assert fault.tag == f"{{{SOAP11.namespace}}}Fault"
    prefix, _, local = fault.findtext("faultcode").partition(":")
    assert (fault.nsmap[prefix], local) == (SOAP11.namespace, code)
    assert fault.findtext("faultstring") == READ
    assert (fault.find("detail") is not None) is detail


@pytest.mark.parametrize(
    ("blame", "code"),
    [
        (Blame.CLIENT, "Sender"),
        (Blame.SERVER, "Receiver"),
        (Blame.MUST_UNDERSTAND, "MustUnderstand"),
        (Blame.VERSION_MISMATCH, "VersionMismatch"),
    ],
)
def test_fault_in_soap_12(blame: Blame, code: str) -> None:
    root = etree.fromstring(render(Fault(SENTENCE, blame), SOAP12))
    ns = {"s": SOAP12.namespace}
    fault = root.find("s:Body/s:Fault", ns)
    prefix, _, local = fault.findtext("s:Code/s:Value", namespaces=ns).partition(":")
    assert (fault.nsmap[prefix], local) == (SOAP12.namespace, code)
    assert fault.findtext("s:Reason/s:Text", namespaces=ns) == READ
    assert fault.find("s:Reason/s:Text", ns).get("{http://www.w3.org/XML/1998/namespace}lang") == "en"


def test_soap_12_names_the_header_that_was_not_understood() -> None:
    fault = Fault("No.", Blame.MUST_UNDERSTAND, header=("urn:h?a=1&b=2", "Security"))
    block = etree.fromstring(render(fault, SOAP12)).find("s:Header/s:NotUnderstood", {"s": SOAP12.namespace})
    prefix, _, local = block.get("qname").partition(":")
    assert (block.nsmap[prefix], local) == ("urn:h?a=1&b=2", "Security")


def test_a_quote_cannot_leave_its_attribute() -> None:
    fault = Fault("No.", Blame.MUST_UNDERSTAND, header=('x"><s:Body>', "H"))
    assert b'xmlns:h="x&quot;&gt;&lt;s:Body&gt;"' in render(fault, SOAP12)


def test_soap_12_names_the_versions_that_are_spoken() -> None:
    root = etree.fromstring(render(Fault("No.", Blame.VERSION_MISMATCH), SOAP12))
    found = root.findall("s:Header/s:Upgrade/s:SupportedEnvelope", {"s": SOAP12.namespace})
    spoken = [(e.nsmap[e.get("qname").partition(":")[0]], e.get("qname").partition(":")[2]) for e in found]
    assert spoken == [(SOAP11.namespace, "Envelope"), (SOAP12.namespace, "Envelope")]
