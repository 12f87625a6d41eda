"""The store contract: campaigns, their revisions, and adding, editing, deleting and listing contacts."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, time
from typing import Any

import pytest

from campana.domain.call import VoiceSuccess
from campana.domain.campaign import Sharing, SmsSettings, UncertainPolicy, VoiceSettings
from campana.domain.contact import Admitted, MediumState, ReplaceMedium
from campana.domain.delivery import Medium, Status
from campana.domain.errors import MethodCode, MethodError
from campana.domain.person import Person
from campana.storage.river import Step
from campana.storage.store import Conflict, NewContact
from tests.contract.conftest import NOW, World, a_campaign, guid


def test_guids_of_the_tests_are_readable() -> None:
    assert guid(7) == "00000000-0000-4000-8000-000000000007"


async def test_a_campaign_comes_back_as_it_was_given(world: World) -> None:
    given = a_campaign(
        1,
        description="Zahnärzte & Ä\n",
        is_paused=True,
        active_from_date=datetime(2026, 11, 22, 13, 5),
        active_to_time=datetime(2000, 1, 1, 23, 45, 0, 123000),
        voice=VoiceSettings(True, 30_000, "Clinic", None, "", "fr-CA", 2, 3, 15),
        email=None,
        sms_required=True,
        progress_endpoint="",
        time_zone="America/Toronto",
        days=frozenset({0, 4}),
        quiet_from=time(12, 0),
        email_uncertain=UncertainPolicy.HOLD,
        voice_success=VoiceSuccess.ACKNOWLEDGED,
        acknowledge_keys="1#",
        merges=True,
        sharing=Sharing.SOME,
        shared_with=frozenset({"paul"}),
    )
    row = await world.store.campaigns.add(world.account, world.user, given, NOW)
    assert row.campaign == replace(given, created_at=NOW)
    assert (row.zone, row.account_id, row.owner_role, row.revision, row.version) == (
        "America/Toronto",
        "acme",
        "api",
        1,
        1,
    )
    assert await world.store.campaigns.find(world.account, guid(1)) == row


async def test_a_guid_is_given_once_an_account_and_free_again_after_deletion(world: World) -> None:
    with pytest.raises(Conflict):
        await world.store.campaigns.add(world.account, world.user, a_campaign(), NOW)
    other = await world.store.accounts.add_account("other", "UTC", "DE", NOW)
    user = await world.store.accounts.add_user(other.number, "u", "api", "x", NOW)
    theirs = await world.store.campaigns.add(other.number, user.number, a_campaign(), NOW)
    assert theirs.number != world.campaign.number
    assert await world.store.campaigns.delete(world.campaign.number, NOW + 1) is True
    assert await world.store.campaigns.delete(world.campaign.number, NOW + 2) is False
    again = await world.store.campaigns.add(world.account, world.user, a_campaign(), NOW + 3)
    assert [row.number for row in await world.store.campaigns.list(world.account)] == [again.number]
    assert (await world.store.campaigns.find_number(world.campaign.number)).deleted_at == NOW + 1


async def test_an_account_has_no_more_campaigns_than_it_may(world: World) -> None:
    other = await world.store.accounts.add_account("other", "UTC", "DE", NOW)
    campaigns, user = world.store.campaigns, world.user
    for number in (1, 2):
        await campaigns.add(other.number, user, a_campaign(number), NOW)
    adding = [campaigns.add(world.account, user, a_campaign(number), NOW, 3) for number in range(10)]
    answers = await asyncio.gather(*adding, return_exceptions=True)
    assert sorted(type(answer).__name__ for answer in answers) == ["CampaignRow"] * 2 + ["Full"] * 8
    with pytest.raises(Conflict):
        await campaigns.add(world.account, user, a_campaign(), NOW, 3)
    await campaigns.delete(world.campaign.number, NOW)
    await campaigns.add(world.account, user, a_campaign(), NOW, 3)


@pytest.mark.parametrize(
    ("change", "new_revision"),
    [
        ({"name": "Another name"}, False),
        ({"is_paused": True}, False),
        ({"sms": SmsSettings(False, "+14165550100", "Come tomorrow")}, False),
        ({"sms": SmsSettings(True, "+14165550100", "Come today")}, True),
        ({"sms": SmsSettings(True, "CLINIC", "Come tomorrow")}, True),
        ({"email": None}, True),
        ({"voice_uncertain": UncertainPolicy.HOLD}, False),
        ({"voice_success": VoiceSuccess.ANSWERED}, True),
        ({"acknowledge_keys": "1"}, True),
        ({"merges": True}, True),
    ],
)
async def test_only_changed_content_makes_a_revision(world: World, change: dict[str, Any], new_revision: bool) -> None:
    row = await world.store.campaigns.replace(world.campaign.number, a_campaign(**change), NOW + 9)
    assert (row.version, row.revision) == (2, 2 if new_revision else 1)
    assert row.campaign.created_at == NOW


async def test_a_deleted_campaign_cannot_be_replaced(world: World) -> None:
    await world.store.campaigns.delete(world.campaign.number, NOW)
    assert await world.store.campaigns.replace(world.campaign.number, a_campaign(), NOW) is None


async def test_an_empty_guid_belongs_to_nobody(world: World) -> None:
    """It is what a client's missing or zero Guid is read as."""
    number, contacts = world.campaign.number, world.store.contacts
    await world.add(1)
    assert await world.store.campaigns.find(world.account, "") is None
    assert await contacts.edit(number, "", lambda states, kept: [], NOW) is False
    assert await contacts.delete(number, "", NOW) is False
    assert await world.store.attempts.of_contact(number, "") is None


async def test_old_revisions_keep_their_content(world: World) -> None:
    number = world.campaign.number
    await world.store.campaigns.replace(number, a_campaign(sms=SmsSettings(True, "12345", "New")), NOW)
    old = await world.store.river.content(number, 1, Medium.SMS)
    new = await world.store.river.content(number, 2, Medium.SMS)
    assert (old.source, old.text, new.source, new.text) == ("+14165550100", "Come tomorrow", "12345", "New")
    assert old.campaign == guid(900)
    assert await world.store.river.content(number, 1, Medium.VOICE) is None
    assert await world.store.river.content(number, 3, Medium.SMS) is None


async def test_contacts_are_listed_in_the_order_of_adding(world: World) -> None:
    guids = await world.add(4_321)
    pages = [page async for page in world.store.contacts.guids(world.campaign.number)]
    assert [one for page in pages for one in page] == guids
    assert len(pages) > 1
    lines = await world.lines()
    assert [line[0] for line in lines] == guids
    assert lines[0] == [guids[0], "+14165550001", None, 1, 0, 3, None, None, 0, 0, 0, None, None, 0, 0, 0]


async def test_concurrent_additions_are_each_answered(world: World) -> None:
    def new(number: int) -> NewContact:
        return NewContact(world.campaign.number, guid(number), ())

    adding = [world.store.contacts.add(new(number % 50), NOW) for number in range(100)]
    answers = await asyncio.gather(*adding, return_exceptions=True)
    assert sum(isinstance(answer, Conflict) for answer in answers) == 50
    assert answers.count(None) == 50
    assert len(await world.lines()) == 50


async def test_adding_to_a_campaign_that_is_gone(world: World) -> None:
    await world.store.campaigns.delete(world.campaign.number, NOW)
    with pytest.raises(LookupError):
        await world.store.contacts.add(NewContact(world.campaign.number, guid(1), ()), NOW)
    with pytest.raises(LookupError):
        await world.store.contacts.add_many([NewContact(12_345, guid(1), ())], NOW)


async def test_add_many_tells_which_were_there(world: World) -> None:
    await world.add(2)
    new = [NewContact(world.campaign.number, guid(number), ()) for number in (2, 3, 3)]
    assert await world.store.contacts.add_many(new, NOW) == [False, True, False]


async def test_an_edit_sees_the_media_and_stores_what_it_decides(world: World) -> None:
    await world.add(1, text="mine")
    seen: list[MediumState] = []

    def plan(states: list[MediumState], kept: Person | None) -> list[ReplaceMedium]:
        seen.extend(states)
        return [
            ReplaceMedium(Medium.SMS, "0416 555", "+1416555", None, 5, restart=False),
            ReplaceMedium(Medium.EMAIL, "a@example.com", "a@example.com", "<p>", 2, restart=True),
            ReplaceMedium(Medium.VOICE, "", None, "spoken", 0, restart=True),
        ]

    assert await world.store.contacts.edit(world.campaign.number, guid(1), plan, NOW + 1) is True
    assert seen == [MediumState(Medium.SMS, "+14165550001", "mine", 1, 0, 3)]
    assert (await world.lines())[0][1:] == [
        *("0416 555", None, 1, 0, 5),
        *("", "spoken", 0, 0, 0),
        *("a@example.com", "<p>", 1, 0, 2),
    ]


async def test_an_edit_that_is_refused_changes_nothing(world: World) -> None:
    await world.add(1)

    def refuse(states: list[MediumState], kept: Person | None) -> list[ReplaceMedium]:
        raise MethodError(MethodCode.CONTACT_IN_PROGRESS)

    before = await world.lines()
    with pytest.raises(MethodError):
        await world.store.contacts.edit(world.campaign.number, guid(1), refuse, NOW)
    assert await world.lines() == before
    assert await world.store.contacts.edit(world.campaign.number, guid(2), refuse, NOW) is False


async def test_what_starts_again_is_planned_again(world: World) -> None:
    await world.add(3)
    assert await world.plan() == 3
    lease = await world.claim()
    await world.store.river.release(Step(lease, [], (), NOW), 0)
    restart = ReplaceMedium(Medium.SMS, "+14165559999", "+14165559999", None, 2, restart=True)
    await world.store.contacts.edit(world.campaign.number, guid(2), lambda states, kept: [restart], NOW + 1)
    lanes = await world.store.river.lanes(world.campaign.number)
    assert [(lane.medium, lane.next_due) for lane in lanes if lane.medium is Medium.SMS] == [(Medium.SMS, NOW + 1)]
    first, second = await world.claim(NOW + 2), await world.claim(NOW + 2)
    assert [delivery.dial for delivery in first.deliveries] == ["+14165550001", "+14165559999", "+14165550003"]
    assert second is None
    assert await world.plan(now=NOW + 2) == 1
    assert await world.claim(NOW + 2) is None, "one that is being sent is never claimed a second time"


async def test_a_deleted_contact_is_gone_and_never_sent(world: World) -> None:
    await world.add(3)
    await world.plan()
    assert await world.store.contacts.delete(world.campaign.number, guid(2), NOW) is True
    assert await world.store.contacts.delete(world.campaign.number, guid(2), NOW) is False
    assert [line[0] for line in await world.lines()] == [guid(1), guid(3)]
    lease = await world.claim()
    assert [delivery.dial for delivery in lease.deliveries] == ["+14165550001", "+14165550003"]
    await world.add(1, first=2)
    assert len(await world.lines()) == 3


async def test_a_contact_deleted_while_its_chunk_is_leased_is_withdrawn(world: World) -> None:
    await world.add(4)
    await world.plan()
    lease = await world.claim()
    ids = [delivery.id for delivery in lease.deliveries]
    assert await world.store.river.step(Step(lease, [], ids[:2], NOW)) == frozenset()
    for number in (2, 3):
        await world.store.contacts.delete(world.campaign.number, guid(number), NOW)
    withdrawn = await world.store.river.step(Step(lease, [], ids[2:], NOW))
    assert withdrawn == {ids[2]}, "the second may have left already, the third has not"
    await world.store.river.release(Step(lease, [], (), NOW), 0)
    assert await world.statuses() == [Status.PENDING, Status.PENDING]


async def test_a_contact_deleted_before_a_lease_is_split_is_withdrawn_from_its_part(world: World) -> None:
    await world.add(4)
    await world.plan()
    lease = await world.claim()
    await world.store.contacts.delete(world.campaign.number, guid(4), NOW)
    odd, even = await world.store.river.split(lease, [lease.deliveries[::2], lease.deliveries[1::2]])
    ids = [[one.id for one in part.deliveries] for part in (odd, even)]
    assert await world.store.river.step(Step(odd, [], ids[0], NOW)) == frozenset()
    assert await world.store.river.step(Step(even, [], ids[1], NOW)) == {ids[1][1]}


async def test_texts_of_all_kinds_survive(world: World) -> None:
    texts = ["plain", 'quote " back \\ slash', "line\nbreak\r\ttab", "漢字 📱 é", "</a>&amp;", "", "\x7f", "null"]
    new = [
        NewContact(world.campaign.number, guid(n), (Admitted(Medium.SMS, text, "+1", text, 1),))
        for n, text in enumerate(texts, 1)
    ]
    await world.store.contacts.add_many(new, NOW)
    assert [line[1] for line in await world.lines()] == texts
    assert [line[2] for line in await world.lines()] == texts
