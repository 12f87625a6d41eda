"""Merge fields in use: who is refused because a text takes what they lack, and when a campaign changes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from services_kit import Kit, campaign, contact, open_kit

from campana.domain.campaign import EmailSettings, SmsSettings, VoiceSettings
from campana.domain.contact import Communication, Contact
from campana.domain.errors import MethodCode, MethodError
from campana.domain.person import Person
from campana.services.principal import Principal

ONE = "0190a1b2-0000-7000-8000-000000000001"
PHONE, MAIL = "+12025550123", "ann@example.com"
ANN = Person("Ann", "7", {"day": "Monday"})
CALLS = VoiceSettings(True, 30_000, None, None, "Call {{day}}", None, 1, 3, 5)


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    async with open_kit(tmp_path) as opened:
        yield opened


def sms(text: str) -> SmsSettings:
    return SmsSettings(enabled=True, from_number="Campana", text=text)


async def prepared(kit: Kit, *, soap: bool = False, **changes: Any) -> Principal:
    who = await kit.user("acme", "ann")
    await kit.services.campaigns.add(who, campaign(ONE, **changes), whole=not soap)
    return who


async def refusal(kit: Kit, who: Principal, given: Contact) -> tuple[MethodCode, str | None] | None:
    try:
        await kit.services.contacts.add(who, given)
    except MethodError as error:
        return error.code, error.field
    return None


def given(person: Person | None = None, text: str | None = None, email: str | None = None) -> Contact:
    return Contact("", ONE, sms=Communication(PHONE, text), email=Communication(email), person=person)


INVALID = MethodCode.INVALID_CONTACT


@pytest.mark.parametrize(
    ("changes", "contact", "expected"),
    [
        ({"sms": sms("On {{day}}")}, given(ANN), None),
        ({"sms": sms("On {{day}}")}, given(Person()), (INVALID, "Fields")),
        ({"sms": sms("On {{day}}")}, given(None), (INVALID, "Fields")),
        ({"sms": sms("On {{day}}")}, given(Person(fields={"day": " "})), (INVALID, "Fields")),
        ({"sms": sms("On {{day|some day}}")}, given(None), None),
        ({"sms": sms("On {{day}}")}, given(Person(), "My own"), None),
        ({}, given(Person(), "My {{day}}"), (INVALID, "SMSCommInfo.TextToSendOverwrite")),
        ({}, given(ANN, "My {{day}}"), None),
        ({"sms": replace(sms("On {{day}}"), enabled=False)}, given(Person(), email=MAIL), None),
        ({"email": EmailSettings(True, "a@b.test", "S {{day}}", "<p>x</p>")}, given(Person()), None),
        ({"email": EmailSettings(True, "a@b.test", "S {{day}}", "<p>x</p>")}, given(Person(), email=MAIL), "Fields"),
        ({"email": EmailSettings(True, "a@b.test", "S", "<p>{{day}}</p>")}, given(Person(), email=MAIL), "Fields"),
        ({"sms": sms("{{name}}")}, given(Person("Ann")), None),
        ({"sms": sms("{{a|}}")}, given(Person()), "SMSCommInfo.TextToSendOverwrite"),
        ({"sms": sms("{{a}}" * 20)}, given(Person(fields={"a": "x" * 2_000})), "SMSCommInfo.TextToSendOverwrite"),
        ({"sms": sms("{{a}}" * 9)}, given(Person(fields={"a": "я" * 2_000})), "SMSCommInfo.TextToSendOverwrite"),
        ({"voice": CALLS}, Contact("", ONE, voice=Communication(PHONE), person=Person()), "Fields"),
        ({"voice": CALLS}, Contact("", ONE, voice=Communication(PHONE), person=ANN), None),
    ],
)
async def test_a_contact_without_what_a_text_takes_is_refused(
    kit: Kit, changes: dict[str, Any], contact: Contact, expected: Any
) -> None:
    who = await prepared(kit, **changes)
    expected = (INVALID, expected) if isinstance(expected, str) else expected
    assert await refusal(kit, who, contact) == expected


async def test_what_came_over_soap_alone_is_taken_to_the_letter(kit: Kit) -> None:
    who = await prepared(kit, soap=True, sms=sms("Press {{day}}"))
    assert await refusal(kit, who, given(None)) is None
    assert await refusal(kit, who, given(None, "{{other}}")) is None
    assert await refusal(kit, who, given(Person())) == (INVALID, "Fields"), "somebody says who it is"


async def test_a_replacement_is_held_to_the_fields_it_will_have(kit: Kit) -> None:
    who = await prepared(kit, sms=sms("On {{day}}"))
    guid = await kit.services.contacts.add(who, given(ANN))

    async def update(contact: Contact) -> MethodCode:
        try:
            await kit.services.contacts.update(who, replace_guid(contact, guid))
        except MethodError as error:
            return error.code
        return MethodCode.SUCCESS

    assert await update(given(None, "{{day}} again")) is MethodCode.SUCCESS, "SOAP leaves the fields as they are"
    assert await update(given(None, "{{hour}}")) is INVALID
    assert await update(given(Person())) is INVALID
    assert await update(given(Person(fields={"DAY": "Friday"}))) is MethodCode.SUCCESS
    kept = await kit.services.contacts.one(who, ONE, guid)
    assert kept.person == Person(fields={"DAY": "Friday"})


def replace_guid(contact: Contact, guid: str) -> Contact:
    return Contact(guid, contact.campaign, contact.sms, contact.voice, contact.email, contact.person)


async def test_a_campaign_may_not_come_to_take_what_contacts_lack(kit: Kit) -> None:
    who = await prepared(kit)
    lacking = [await kit.services.contacts.add(who, given(Person())) for _ in range(23)]
    await kit.services.contacts.add(who, given(ANN))
    await kit.services.contacts.add(who, given(Person(), "My own"))
    await kit.services.contacts.add(who, Contact("", ONE, email=Communication(MAIL), person=Person()))
    with pytest.raises(MethodError) as caught:
        await kit.services.campaigns.update(who, campaign(ONE, sms=sms("On {{day}}")), whole=True)
    error = caught.value
    assert (error.code, error.field) == (MethodCode.INVALID_CAMPAIGN, "OutboundSMSNotificationInfo.TextToSend")
    assert " 23 contacts " in error.sentence
    assert [guid in error.sentence for guid in lacking] == [True] * 20 + [False] * 3
    await kit.services.campaigns.update(who, campaign(ONE, sms=sms("On {{day|a day}}")), whole=True)
    closed = replace(sms("On {{day}}"), enabled=False)
    await kit.services.campaigns.update(who, campaign(ONE, sms=closed), whole=True)
    with pytest.raises(MethodError, match="23 contacts"):
        await kit.services.campaigns.update(who, campaign(ONE, sms=sms("On {{day}}")), whole=True)
    for guid in lacking:
        await kit.services.contacts.delete(who, ONE, guid)
    await kit.services.campaigns.update(who, campaign(ONE, sms=sms("On {{day}}")), whole=True)


async def test_an_update_over_soap_leaves_whom_it_merges_for(kit: Kit) -> None:
    who = await prepared(kit, soap=True)
    await kit.services.contacts.add(who, given(None))
    await kit.services.campaigns.update(who, campaign(ONE, sms=sms("{{day}}")))
    assert (await kit.services.campaigns.get(who, ONE)).merges is False
    with pytest.raises(MethodError, match="1 contacts"):
        await kit.services.campaigns.update(who, campaign(ONE, sms=sms("{{day}}")), whole=True)


async def test_the_subject_is_asked_for_also_beside_an_own_text(kit: Kit) -> None:
    who = await prepared(kit)
    one = Contact("", ONE, email=Communication(MAIL, "<p>own</p>"), person=Person())
    await kit.services.contacts.add(who, one)
    email = EmailSettings(True, "a@b.test", "On {{day}}", "<p>x</p>")
    with pytest.raises(MethodError, match="1 contacts"):
        await kit.services.campaigns.update(who, campaign(ONE, email=email), whole=True)


async def test_a_plain_contact_is_as_ever(kit: Kit) -> None:
    who = await prepared(kit)
    assert await refusal(kit, who, contact(ONE)) is None
