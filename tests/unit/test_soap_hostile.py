"""What is refused: hostile messages, wrong values, and whatever else may come."""

from __future__ import annotations

import random
import resource
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from soap_messages import CONTACT, SAMPLES, body_of, campaign, contact, envelope, parse, refusal

from campana.api.soap import schema
from campana.api.soap.envelope import SOAP11, SOAP12, Version
from campana.api.soap.faults import Blame
from campana.api.soap.parsing import InvalidMessage, Limits, Parser

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
