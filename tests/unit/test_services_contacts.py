"""Contacts: adding, replacing, deleting and listing them, and the order in which things are refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import pytest
from services_kit import START, Kit, campaign, contact, open_kit

from campana.bus.contract import Hint, News
from campana.domain.contact import Communication, Contact
from campana.domain.delivery import Medium
from campana.domain.errors import MethodCode, MethodError
from campana.domain.moment import DAY
from campana.services.contacts import ContactOptions
from campana.services.house import ServiceOptions
from campana.services.principal import Principal

ONE = "0190a1b2-0000-7000-8000-000000000001"
TWO = "0190a1b2-0000-7000-8000-000000000002"
ANN = "0190a1b2-0000-7000-8000-00000000000a"
BEN = "0190a1b2-0000-7000-8000-00000000000b"

YESTERDAY = datetime(2026, 9, 20)


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    async with open_kit(tmp_path) as opened:
        yield opened


async def prepared(kit: Kit, **changes: object) -> Principal:
    """A user with one campaign; hints so far forgotten."""
    who = await kit.user("acme", "ann")
    await kit.services.campaigns.add(who, campaign(ONE, **changes))
    kit.hints.clear()
    return who


async def code_of(kit: Kit, name: str, who: Principal, *arguments: object) -> MethodCode:
    try:
        await getattr(kit.services.contacts, name)(who, *arguments)
    except MethodError as error:
        return error.code
    return MethodCode.SUCCESS


async def lines(kit: Kit, who: Principal, guid: str = ONE) -> list[list[object]]:
    return [line async for page in await kit.services.contacts.lines(who, guid) for line in page]


async def guids(kit: Kit, who: Principal, guid: str = ONE) -> list[str]:
    return [found async for page in await kit.services.contacts.guids(who, guid) for found in page]


# --- adding ------------------------------------------------------------------------------------------------------


async def test_a_contact_is_kept_as_it_was_given(kit: Kit) -> None:
    who = await prepared(kit)
    given = Contact(
        guid=ANN,
        campaign=ONE,
        sms=Communication("+1 (202) 555-0123", "Dear Ann", status=4, last_error=207, attempts_left=9),
        email=Communication("Ann@Example.com"),
    )
    assert await kit.services.contacts.add(who, given) == ANN
    assert await lines(kit, who) == [
        [ANN, "+1 (202) 555-0123", "Dear Ann", 1, 0, 9, None, None, 0, 0, 0, "Ann@Example.com", None, 1, 0, 3]
    ]


async def test_the_id_is_the_callers_or_a_new_one(kit: Kit) -> None:
    who = await prepared(kit)
    made = await kit.services.contacts.add(who, contact(ONE))
    assert int(made[:8] + made[9:13], 16) == START
    await kit.services.contacts.add(who, contact(ONE, ANN))
    assert await guids(kit, who) == [made, ANN]
    assert await code_of(kit, "add", who, contact(ONE, ANN)) is MethodCode.CONTACT_ALREADY_EXISTS


async def test_one_id_may_be_used_in_two_campaigns(kit: Kit) -> None:
    who = await prepared(kit)
    await kit.services.campaigns.add(who, campaign(TWO))
    for guid in (ONE, TWO):
        assert await kit.services.contacts.add(who, contact(guid, ANN)) == ANN
    assert await guids(kit, who, TWO) == [ANN]


async def test_a_contact_without_any_destination_is_accepted(kit: Kit) -> None:
    who = await prepared(kit)
    await kit.services.contacts.add(who, contact(ONE, ANN, sms=None))
    assert await lines(kit, who) == [[ANN, *([None, None, 0, 0, 0] * 3)]]


async def test_default_attempts_are_configurable(tmp_path: Path) -> None:
    attempts = {Medium.SMS: 7, Medium.EMAIL: 2}
    async with open_kit(tmp_path, ServiceOptions(contacts=ContactOptions(default_attempts=attempts))) as kit:
        who = await prepared(kit)
        await kit.services.contacts.add(who, contact(ONE, ANN, email="ann@example.com"))
        (line,) = await lines(kit, who)
        assert (line[5], line[15]) == (7, 2)


async def test_the_accounts_region_reads_national_numbers(kit: Kit) -> None:
    await kit.services.accounts.add_account("rome", region="IT")
    there, here = await kit.user("rome", "ann"), await kit.user("acme", "ann")
    for who in (there, here):
        await kit.services.campaigns.add(who, campaign(ONE))
    assert await code_of(kit, "add", there, contact(ONE, sms="06 5555 0123")) is MethodCode.SUCCESS
    assert await code_of(kit, "add", here, contact(ONE, sms="06 5555 0123")) is MethodCode.INVALID_CONTACT


ENDED = {"active_to_date": YESTERDAY}
OPEN = {"allow_external_contacts": True}


@pytest.mark.parametrize(
    ("role", "changes", "given", "code"),
    [
        ("api", {}, contact(TWO), MethodCode.CAMPAIGN_NOT_FOUND),
        ("api", {}, contact(""), MethodCode.CAMPAIGN_NOT_FOUND),
        ("api", {}, contact(ONE, sms="nonsense"), MethodCode.INVALID_CONTACT),
        ("api", ENDED, contact(ONE, sms="nonsense"), MethodCode.CAMPAIGN_ENDED),
        ("api", ENDED, contact(ONE), MethodCode.CAMPAIGN_ENDED),
        ("api", {"is_paused": True}, contact(ONE), MethodCode.SUCCESS),
        ("api", {"email_required": True}, contact(ONE), MethodCode.SUCCESS),
        ("agent", ENDED, contact(ONE), MethodCode.CAMPAIGN_ENDED),
        ("agent", {}, contact(ONE, sms="nonsense"), MethodCode.ADDING_CONTACTS_NOT_ALLOWED),
        ("agent", OPEN, contact(ONE), MethodCode.SUCCESS),
        ("agent", OPEN | {"email_required": True}, contact(ONE), MethodCode.REQUIRED_MEDIUM_MISSING),
        ("agent", OPEN | {"email_required": True}, contact(ONE, sms="nonsense"), MethodCode.INVALID_CONTACT),
        ("agent", OPEN | {"email_required": True}, contact(ONE, email="a@example.com"), MethodCode.SUCCESS),
        ("marked", {}, contact(ONE), MethodCode.ADDING_CONTACTS_NOT_ALLOWED),
        ("marked", OPEN, contact(ONE), MethodCode.SUCCESS),
    ],
)
async def test_what_adding_answers(
    kit: Kit, role: str, changes: dict[str, object], given: Contact, code: MethodCode
) -> None:
    ann = await prepared(kit, **changes)
    marked = role == "marked"
    who = await kit.user("acme", role, "api" if marked else role, agent=marked)
    assert await code_of(kit, "add", who, given) is code
    added = code is MethodCode.SUCCESS
    assert len(await guids(kit, ann)) == added
    assert kit.hints == [Hint(News.CONTACTS, 1)] * added


async def test_an_ended_campaign_takes_contacts_again_once_its_end_is_moved(kit: Kit) -> None:
    who = await prepared(kit, **ENDED)
    assert await code_of(kit, "add", who, contact(ONE)) is MethodCode.CAMPAIGN_ENDED
    await kit.services.campaigns.update(who, campaign(ONE))
    assert await code_of(kit, "add", who, contact(ONE)) is MethodCode.SUCCESS


async def test_a_campaign_that_ends_meanwhile(kit: Kit) -> None:
    who = await prepared(kit, active_to_date=datetime(2026, 9, 21))
    assert await code_of(kit, "add", who, contact(ONE)) is MethodCode.SUCCESS
    kit.clock.pass_(DAY)
    assert await code_of(kit, "add", who, contact(ONE)) is MethodCode.CAMPAIGN_ENDED


async def test_the_limit_of_a_campaign_counts_every_contact_ever_added(tmp_path: Path) -> None:
    async with open_kit(tmp_path, ServiceOptions(contacts=ContactOptions(most_per_campaign=2))) as kit:
        who = await prepared(kit)
        await kit.services.campaigns.add(who, campaign(TWO))
        for guid in (ANN, BEN):
            await kit.services.contacts.add(who, contact(ONE, guid))
        assert await code_of(kit, "add", who, contact(ONE)) is MethodCode.LIMIT_EXCEEDED
        assert await code_of(kit, "add", who, contact(ONE, sms="nonsense")) is MethodCode.INVALID_CONTACT
        await kit.services.contacts.delete(who, ONE, ANN)
        assert await code_of(kit, "add", who, contact(ONE)) is MethodCode.LIMIT_EXCEEDED
        assert await code_of(kit, "add", who, contact(TWO)) is MethodCode.SUCCESS


async def test_accepted_destinations_are_counted(kit: Kit) -> None:
    who = await prepared(kit)
    await kit.services.contacts.add(who, contact(ONE, email="ann@example.com"))
    await kit.services.contacts.add(who, contact(ONE, sms=None, email="ben@example.com"))
    await code_of(kit, "add", who, contact(ONE, sms="nonsense"))
    rendered = kit.metrics.render().decode()
    assert 'campana_contacts_accepted_total{medium="sms"} 1.0' in rendered
    assert 'campana_contacts_accepted_total{medium="email"} 2.0' in rendered


# --- replacing and deleting --------------------------------------------------------------------------------------


async def test_the_whole_contact_is_replaced(kit: Kit) -> None:
    who = await prepared(kit)
    await kit.services.contacts.add(who, contact(ONE, ANN, email="ann@example.com"))
    kit.hints.clear()
    await kit.services.contacts.update(who, contact(ONE, ANN, sms="+12025550199"))
    (line,) = await lines(kit, who)
    assert line[:4] == [ANN, "+12025550199", None, 1]
    assert line[13] == 0
    assert kit.hints == [Hint(News.CONTACTS, 1)]


@pytest.mark.parametrize(
    ("role", "changes", "given", "code"),
    [
        ("api", {}, contact(ONE, ANN), MethodCode.SUCCESS),
        ("api", {}, contact(TWO, ANN), MethodCode.CAMPAIGN_NOT_FOUND),
        ("api", {}, contact(ONE, BEN), MethodCode.CONTACT_NOT_FOUND),
        ("api", {}, contact(ONE, ""), MethodCode.CONTACT_NOT_FOUND),
        ("api", {}, contact(ONE, BEN, sms="nonsense"), MethodCode.INVALID_CONTACT),
        ("agent", {}, contact(ONE, ANN, sms="+12025550199"), MethodCode.SUCCESS),
        ("agent", {"sms_required": True}, contact(ONE, ANN, sms=""), MethodCode.REQUIRED_MEDIUM_MISSING),
        ("api", {"sms_required": True}, contact(ONE, ANN, sms=""), MethodCode.SUCCESS),
    ],
)
async def test_what_replacing_answers(
    kit: Kit, role: str, changes: dict[str, object], given: Contact, code: MethodCode
) -> None:
    ann = await prepared(kit, **changes)
    await kit.services.contacts.add(ann, contact(ONE, ANN))
    before = await lines(kit, ann)
    kit.hints.clear()
    assert await code_of(kit, "update", await kit.user("acme", role, role), given) is code
    assert kit.hints == ([Hint(News.CONTACTS, 1)] if code is MethodCode.SUCCESS else [])
    assert code is MethodCode.SUCCESS or await lines(kit, ann) == before


async def test_contacts_of_an_ended_campaign_may_be_replaced_and_deleted(kit: Kit) -> None:
    who = await prepared(kit)
    await kit.services.contacts.add(who, contact(ONE, ANN))
    await kit.services.campaigns.update(who, campaign(ONE, **ENDED))
    await kit.services.contacts.update(who, contact(ONE, ANN, sms="+12025550199"))
    await kit.services.contacts.delete(who, ONE, ANN)
    assert await guids(kit, who) == []


@pytest.mark.parametrize(
    ("role", "arguments", "code"),
    [
        ("api", (ONE, ANN), MethodCode.SUCCESS),
        ("api", (ONE, BEN), MethodCode.CONTACT_NOT_FOUND),
        ("api", (ONE, ""), MethodCode.CONTACT_NOT_FOUND),
        ("api", (TWO, ANN), MethodCode.CAMPAIGN_NOT_FOUND),
        ("agent", (ONE, ANN), MethodCode.ACCESS_DENIED),
        ("agent", (TWO, ANN), MethodCode.CAMPAIGN_NOT_FOUND),
    ],
)
async def test_what_deleting_answers(kit: Kit, role: str, arguments: tuple[str, str], code: MethodCode) -> None:
    ann = await prepared(kit, **OPEN)
    await kit.services.contacts.add(ann, contact(ONE, ANN))
    who = await kit.user("acme", role, role)
    assert await code_of(kit, "delete", who, *arguments) is code
    gone = code is MethodCode.SUCCESS
    assert await guids(kit, ann) == ([] if gone else [ANN])
    if gone:
        assert await code_of(kit, "delete", who, *arguments) is MethodCode.CONTACT_NOT_FOUND
        assert await code_of(kit, "update", who, contact(ONE, ANN)) is MethodCode.CONTACT_NOT_FOUND
        assert await code_of(kit, "add", who, contact(ONE, ANN)) is MethodCode.SUCCESS


# --- listing -----------------------------------------------------------------------------------------------------


async def test_lists_come_in_the_order_of_adding_and_to_agents_too(kit: Kit) -> None:
    who = await prepared(kit)
    added = [await kit.services.contacts.add(who, contact(ONE)) for _ in range(30)]
    for reader in (who, await kit.user("acme", "agent", "agent")):
        assert await guids(kit, reader) == added
        assert [line[0] for line in await lines(kit, reader)] == added


@pytest.mark.parametrize("name", ["guids", "lines"])
async def test_what_is_refused_is_refused_before_the_first_page(kit: Kit, name: str) -> None:
    who = await prepared(kit)
    with pytest.raises(MethodError, match="CampaignNotFound"):
        await getattr(kit.services.contacts, name)(who, TWO)
    await kit.services.campaigns.delete(who, ONE)
    with pytest.raises(MethodError, match="CampaignNotFound"):
        await getattr(kit.services.contacts, name)(who, ONE)


async def test_an_empty_campaign_has_an_empty_list(kit: Kit) -> None:
    who = await prepared(kit)
    assert await guids(kit, who) == []
    assert await lines(kit, who) == []


async def test_nothing_can_be_done_in_a_deleted_campaign(kit: Kit) -> None:
    who = await prepared(kit)
    await kit.services.contacts.add(who, contact(ONE, ANN))
    await kit.services.campaigns.delete(who, ONE)
    for name, arguments in (("add", (contact(ONE),)), ("update", (contact(ONE, ANN),)), ("delete", (ONE, ANN))):
        assert await code_of(kit, name, who, *arguments) is MethodCode.CAMPAIGN_NOT_FOUND
