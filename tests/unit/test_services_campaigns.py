"""Campaigns: who sees which, what is active, what a replacement keeps, and the order in which things are refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from services_kit import START, Kit, campaign, open_kit

from campana.bus.contract import Hint, News
from campana.domain.call import VoiceSuccess
from campana.domain.campaign import Campaign, Sharing, SmsSettings, UncertainPolicy
from campana.domain.errors import MethodCode, MethodError
from campana.domain.moment import DAY
from campana.services.campaigns import CampaignOptions, Ends
from campana.services.house import ServiceOptions
from campana.services.principal import Principal, Role
from campana.storage.store import CampaignRow

ONE = "0190a1b2-0000-7000-8000-000000000001"
TWO = "0190a1b2-0000-7000-8000-000000000002"

YESTERDAY, TODAY, TOMORROW = (datetime(2026, 9, day) for day in (20, 21, 22))


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    async with open_kit(tmp_path) as opened:
        yield opened


async def code_of(kit: Kit, name: str, who: Principal, *arguments: object) -> MethodCode:
    try:
        await getattr(kit.services.campaigns, name)(who, *arguments)
    except MethodError as error:
        return error.code
    return MethodCode.SUCCESS


# --- adding ------------------------------------------------------------------------------------------------------


async def test_the_id_is_the_callers_or_a_new_one(kit: Kit) -> None:
    who = await kit.user("acme", "ann")
    assert await kit.services.campaigns.add(who, campaign(ONE)) == ONE
    made = await kit.services.campaigns.add(who, campaign())
    assert (made[14], len(made)) == ("7", 36)
    assert int(made[:8] + made[9:13], 16) == START
    assert await kit.services.campaigns.listing(who) == [ONE, made]


async def test_the_date_of_creation_is_the_servers_and_stays(kit: Kit) -> None:
    who = await kit.user("acme", "ann")
    await kit.services.campaigns.add(who, campaign(ONE, created_at=5))
    assert (await kit.services.campaigns.get(who, ONE)).created_at == START
    kit.clock.pass_(DAY)
    await kit.services.campaigns.update(who, campaign(ONE, created_at=5, name="Winter"))
    kept = await kit.services.campaigns.get(who, ONE)
    assert (kept.created_at, kept.name) == (START, "Winter")


async def test_an_id_in_use_is_refused_until_it_is_deleted(kit: Kit) -> None:
    who = await kit.user("acme", "ann")
    await kit.services.campaigns.add(who, campaign(ONE))
    assert await code_of(kit, "add", who, campaign(ONE, name="Winter")) is MethodCode.CAMPAIGN_ALREADY_EXISTS
    assert (await kit.services.campaigns.get(who, ONE)).name == "Autumn"
    await kit.services.campaigns.delete(who, ONE)
    assert await code_of(kit, "add", who, campaign(ONE, name="Winter")) is MethodCode.SUCCESS
    assert (await kit.services.campaigns.get(who, ONE)).name == "Winter"


async def test_an_id_that_a_colleague_keeps_private_is_in_use_too(kit: Kit) -> None:
    ann, bob = await kit.user("acme", "ann", "operator"), await kit.user("acme", "bob", "operator")
    await kit.services.campaigns.add(ann, campaign(ONE))
    assert await code_of(kit, "add", bob, campaign(ONE)) is MethodCode.CAMPAIGN_ALREADY_EXISTS


@pytest.mark.parametrize(
    ("name", "refused"),
    [("add", campaign(ONE, name=" ")), ("update", campaign(ONE, name="")), ("update", Campaign(guid=ONE, name="x"))],
)
async def test_the_rules_of_campaigns_hold(kit: Kit, name: str, refused: Campaign) -> None:
    who = await kit.user("acme", "ann")
    if name == "update":
        await kit.services.campaigns.add(who, campaign(ONE))
    kit.hints.clear()
    with pytest.raises(MethodError) as caught:
        await getattr(kit.services.campaigns, name)(who, refused)
    assert caught.value.code is MethodCode.INVALID_CAMPAIGN
    assert caught.value.field
    assert kit.hints == []


@pytest.mark.parametrize("allowed", [True, False])
async def test_private_addresses_for_progress_are_the_operators_decision(tmp_path: Path, allowed: bool) -> None:
    options = ServiceOptions(campaigns=CampaignOptions(allow_private_endpoints=allowed))
    async with open_kit(tmp_path, options) as kit:
        who = await kit.user("acme", "ann")
        inside = campaign(ONE, progress_endpoint="http://127.0.0.1:9/progress")
        expected = MethodCode.SUCCESS if allowed else MethodCode.INVALID_CAMPAIGN
        assert await code_of(kit, "add", who, inside) is expected
        await code_of(kit, "add", who, campaign(TWO))
        assert await code_of(kit, "update", who, replace(inside, guid=TWO)) is expected


async def test_the_limit_of_an_account(tmp_path: Path) -> None:
    async with open_kit(tmp_path, ServiceOptions(campaigns=CampaignOptions(most_per_account=2))) as kit:
        who, other = await kit.user("acme", "ann"), await kit.user("other", "ann")
        codes = await asyncio.gather(*(code_of(kit, "add", who, campaign()) for _ in range(5)))
        assert sorted(codes) == [MethodCode.SUCCESS] * 2 + [MethodCode.LIMIT_EXCEEDED] * 3
        first, _ = await kit.services.campaigns.listing(who)
        assert await code_of(kit, "add", who, campaign(first)) is MethodCode.CAMPAIGN_ALREADY_EXISTS
        assert await code_of(kit, "add", who, campaign(name="")) is MethodCode.INVALID_CAMPAIGN
        assert await code_of(kit, "add", other, campaign()) is MethodCode.SUCCESS
        await kit.services.campaigns.delete(who, first)
        assert await code_of(kit, "add", who, campaign()) is MethodCode.SUCCESS


# --- which are active --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "active"),
    [
        ({}, True),
        ({"is_paused": True}, True),
        ({"active_from_date": TOMORROW}, True),
        ({"active_to_date": TODAY}, True),
        ({"active_to_date": YESTERDAY}, False),
        ({"active_to_date": TODAY, "active_to_time": datetime(2000, 1, 1, 14, 13, 21)}, True),
        ({"active_to_date": TODAY, "active_to_time": datetime(2000, 1, 1, 14, 13, 20)}, False),
    ],
)
async def test_active_is_not_deleted_and_not_past_its_end(kit: Kit, changes: dict[str, object], active: bool) -> None:
    who = await kit.user("acme", "ann")
    await kit.services.campaigns.add(who, campaign(ONE, **changes))
    assert await kit.services.campaigns.listing(who) == ([ONE] if active else [])
    assert [found.guid for found in await kit.services.campaigns.active(who)] == ([ONE] if active else [])
    assert (await kit.services.campaigns.get(who, ONE)).guid == ONE


async def test_the_end_follows_the_clock_the_zone_and_every_change(kit: Kit) -> None:
    await kit.services.accounts.add_account("tonga", "Pacific/Tongatapu")  # 13 hours ahead: it is the 22nd there
    who, away = await kit.user("acme", "ann"), await kit.user("tonga", "ann")
    for user in (who, away):
        await kit.services.campaigns.add(user, campaign(ONE, active_to_date=TODAY))
    assert await kit.services.campaigns.listing(who) == [ONE]
    assert await kit.services.campaigns.listing(away) == []
    await kit.services.campaigns.update(who, campaign(ONE, active_to_date=YESTERDAY))
    assert await kit.services.campaigns.listing(who) == []
    await kit.services.campaigns.update(who, campaign(ONE, active_to_date=TOMORROW))
    assert await kit.services.campaigns.listing(who) == [ONE]
    kit.clock.pass_(2 * DAY)
    assert await kit.services.campaigns.listing(who) == []


async def test_a_deleted_campaign_is_gone_from_every_answer(kit: Kit) -> None:
    who = await kit.user("acme", "ann")
    await kit.services.campaigns.add(who, campaign(ONE))
    await kit.services.campaigns.delete(who, ONE)
    assert await kit.services.campaigns.listing(who) == []
    assert await kit.services.campaigns.active(who) == []
    for name, argument in (("get", ONE), ("delete", ONE), ("update", campaign(ONE))):
        assert await code_of(kit, name, who, argument) is MethodCode.CAMPAIGN_NOT_FOUND


def test_remembered_ends_are_bounded_and_forgotten_ends_are_worked_out_again() -> None:
    ends = Ends()
    for number in range(25_000):
        row = CampaignRow(number, 1, 1, "api", 1, 1, "UTC", campaign(ONE, active_to_date=YESTERDAY))
        assert ends.has_ended(row, START)
    assert len(ends._ends) <= 10_000


# --- who sees ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("creator", "sharing", "seen_by"),
    [
        ("api", Sharing.ALL, {"ann", "admin", "bob", "agent"}),
        ("operator", Sharing.PRIVATE, {"ann", "admin"}),
        ("admin", Sharing.PRIVATE, {"ann", "admin"}),
    ],
)
async def test_what_a_door_without_the_field_shares(
    kit: Kit, creator: str, sharing: Sharing, seen_by: set[str]
) -> None:
    users = [
        await kit.user("acme", "ann", creator),
        await kit.user("acme", "admin", "admin"),
        await kit.user("acme", "bob", "operator"),
        await kit.user("acme", "agent", "agent"),
    ]
    await kit.services.campaigns.add(users[0], campaign(ONE, sharing=Sharing.SOME, shared_with=frozenset({"bob"})))
    assert (await kit.services.campaigns.get(users[0], ONE)).sharing is sharing
    for who in users:
        sees = who.user.name in seen_by
        assert await kit.services.campaigns.listing(who) == ([ONE] if sees else [])
        expected = MethodCode.SUCCESS if sees else MethodCode.CAMPAIGN_NOT_FOUND
        assert await code_of(kit, "get", who, ONE) is expected


async def test_a_door_with_the_field_shares_as_it_says(kit: Kit) -> None:
    ann, bob = await kit.user("acme", "ann", "operator"), await kit.user("acme", "Bob", "operator")
    carl = await kit.user("acme", "carl", "operator")
    shared = campaign(ONE, sharing=Sharing.SOME, shared_with=frozenset({"bob"}))
    await kit.services.campaigns.add(ann, shared, whole=True)
    assert await kit.services.campaigns.listing(bob) == [ONE]
    assert await kit.services.campaigns.listing(carl) == []
    await kit.services.campaigns.update(bob, campaign(ONE, sharing=Sharing.ALL), whole=True)
    assert await kit.services.campaigns.listing(carl) == [ONE]
    await kit.services.campaigns.update(carl, campaign(ONE, sharing=Sharing.PRIVATE), whole=True)
    assert await kit.services.campaigns.listing(carl) == []
    assert await kit.services.campaigns.listing(ann) == [ONE]


@pytest.mark.parametrize("role", list(Role))
async def test_what_a_colleague_may_change(kit: Kit, role: Role) -> None:
    ann, colleague = await kit.user("acme", "ann"), await kit.user("acme", "colleague", role)
    await kit.services.campaigns.add(ann, campaign(ONE))
    await kit.services.campaigns.add(await kit.user("acme", "boss", "operator"), campaign(TWO))
    may = MethodCode.ACCESS_DENIED if role is Role.AGENT else MethodCode.SUCCESS
    hidden = MethodCode.SUCCESS if role is Role.ADMIN else MethodCode.CAMPAIGN_NOT_FOUND
    assert await code_of(kit, "add", colleague, campaign()) is may
    assert await code_of(kit, "update", colleague, campaign(ONE, name="Winter")) is may
    assert await code_of(kit, "update", colleague, campaign(TWO, name="Winter")) is hidden
    assert await code_of(kit, "delete", colleague, ONE) is may
    assert await code_of(kit, "delete", colleague, TWO) is hidden
    assert (await code_of(kit, "get", ann, ONE) is MethodCode.SUCCESS) is (role is Role.AGENT)


# --- replacing ---------------------------------------------------------------------------------------------------


async def test_a_replacement_replaces_the_whole_object(kit: Kit) -> None:
    who = await kit.user("acme", "ann")
    await kit.services.campaigns.add(who, campaign(ONE, description="old", is_paused=True, sms_required=True))
    sms = SmsSettings(enabled=True, from_number="12345", text="Bye")
    await kit.services.campaigns.update(who, Campaign(guid=ONE, name="Winter", sms=sms))
    kept = await kit.services.campaigns.get(who, ONE)
    assert kept == Campaign(guid=ONE, name="Winter", sms=sms, created_at=START)


BEYOND_SOAP = {
    "time_zone": "Europe/Rome",
    "days": frozenset({0, 1}),
    "quiet_from": datetime(2000, 1, 1, 22).time(),
    "quiet_to": datetime(2000, 1, 1, 7).time(),
    "sms_uncertain": UncertainPolicy.HOLD,
    "voice_uncertain": UncertainPolicy.RESEND,
    "email_uncertain": UncertainPolicy.HOLD,
    "voice_success": VoiceSuccess.ACKNOWLEDGED,
    "acknowledge_keys": "15",
    "sharing": Sharing.SOME,
    "shared_with": frozenset({"ann", "bob"}),
    "merges": True,
}


async def test_what_a_door_cannot_say_stays_as_somebody_else_sets_it_meanwhile(kit: Kit) -> None:
    who = await kit.user("acme", "ann")
    campaigns = kit.services.campaigns
    await campaigns.add(who, campaign(ONE), whole=True)
    await asyncio.gather(
        campaigns.update(who, campaign(ONE, time_zone="Europe/Rome"), whole=True),
        campaigns.update(who, campaign(ONE, name="Winter")),
    )
    after = await campaigns.get(who, ONE)
    assert (after.name, after.time_zone) == ("Winter", "Europe/Rome")


@pytest.mark.parametrize("whole", [False, True])
async def test_what_a_door_cannot_say_stays(kit: Kit, whole: bool) -> None:
    who = await kit.user("acme", "ann")
    full = campaign(ONE, **BEYOND_SOAP)
    await kit.services.campaigns.add(who, full, whole=True)
    await kit.services.campaigns.update(who, campaign(ONE, name="Winter"), whole=whole)
    kept = await kit.services.campaigns.get(who, ONE)
    # A door that can say all of it also knows of merge fields.
    expected = campaign(ONE, name="Winter", merges=True) if whole else replace(full, name="Winter")
    assert kept == replace(expected, created_at=START)


def test_every_field_beyond_soap_is_among_those_that_stay() -> None:
    plain = Campaign(guid=ONE)
    changed = {
        name for name in Campaign.__slots__ if getattr(Campaign(guid=ONE, **BEYOND_SOAP), name) != getattr(plain, name)
    }
    fields = list(Campaign.__slots__)
    assert changed == set(fields[fields.index("created_at") + 1 :])


# --- hints -------------------------------------------------------------------------------------------------------


async def test_every_change_is_told_once(kit: Kit) -> None:
    who = await kit.user("acme", "ann")
    for name, argument in (("add", campaign(ONE)), ("update", campaign(ONE, is_paused=True)), ("delete", ONE)):
        kit.hints.clear()
        await getattr(kit.services.campaigns, name)(who, argument)
        assert kit.hints == [Hint(News.CAMPAIGN, 1)]
    kit.hints.clear()
    for name in ("get", "delete"):
        await code_of(kit, name, who, ONE)
    await kit.services.campaigns.listing(who)
    assert kit.hints == []
