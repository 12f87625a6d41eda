"""The store contract: what a campaign says of its calls, what became of them, and every attempt to be read again."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from campana.domain.call import CallPlan, CallReport, HungUpBy, VoiceSuccess
from campana.domain.campaign import UncertainPolicy, VoiceSettings
from campana.domain.contact import Admitted
from campana.domain.delivery import Medium, Status
from campana.domain.message import Content
from campana.domain.outcome import Change, DeliveryCode, Receipt, ReceiptState
from campana.storage.river import Judged, Lease, Step
from campana.storage.rows import ATTEMPTS_IN_A_PAGE as PAGE
from campana.storage.sqlite import SqliteStore
from campana.storage.store import AttemptPage, AttemptRow, NewContact
from tests.contract.conftest import LATER, NOW, World, a_campaign, guid, rules

DELIVERING = Change(Status.DELIVERING, DeliveryCode.OK, True)
FAILED, DELIVERED, INTERIM = ReceiptState.FAILED, ReceiptState.DELIVERED, ReceiptState.INTERIM
BUSY, UNCERTAIN = DeliveryCode.VOICE_BUSY, DeliveryCode.UNCERTAIN
VOICE = VoiceSettings(True, 30_000, "Clinic", "+14165550100", "Come tomorrow", "Joanna", 2, 3, 15)
CALL = CallReport(
    began_at=NOW,
    ended_at=NOW + 20_000,
    ringing_ms=4_000,
    answered_at=NOW + 4_100,
    heard_ms=12_300,
    plays=2,
    digits="1#",
    acknowledged=True,
    ended_by=HungUpBy.CALLEE,
    sip_status=200,
    q850=16,
    reason="Normal call clearing",
)
UNANSWERED = CallReport(began_at=NOW, ended_at=NOW + 1, ended_by=HungUpBy.NETWORK)


async def calling(world: World, contacts: int = 1) -> list[str]:
    """Have the campaign call so many more contacts; their guids."""
    number = world.campaign.number
    await world.store.campaigns.replace(number, a_campaign(voice=VOICE), NOW)
    first = len(await world.lines()) + 1
    guids = [guid(one) for one in range(first, first + contacts)]
    phone = Admitted(Medium.VOICE, "+14165550001", "+14165550001", None, 3)
    await world.store.contacts.add_many([NewContact(number, one, (phone,)) for one in guids], NOW)
    return guids


async def lease_of(world: World, now: int = NOW) -> Lease:
    assert await world.plan(medium=Medium.VOICE, now=now)
    lease = await world.claim(medium=Medium.VOICE, now=now)
    assert lease is not None
    return lease


async def placed(world: World, *ids: str, now: int = NOW) -> None:
    """The calls of the next chunk are being made, under these ids."""
    lease = await lease_of(world, now)
    judged = [
        Judged(one.id, one.attempt, DELIVERING, "trunk", now, (call_id,))
        for one, call_id in zip(lease.deliveries, ids, strict=True)
    ]
    await world.store.river.release(Step(lease, judged, (), now), 0)


def ended(call_id: str, code: DeliveryCode = BUSY, call: CallReport | None = UNANSWERED, **more: Any) -> Receipt:
    state = DELIVERED if code is DeliveryCode.OK else FAILED
    return Receipt("trunk", more.pop("state", state), code, NOW, (call_id,), call=call, **more)


async def attempts(world: World) -> list[AttemptRow]:
    return [one async for page in world.store.attempts.pages(world.campaign.number) for one in page]


# --- what the campaign says ------------------------------------------------------------------------------------


async def test_a_revision_keeps_what_it_says_of_its_calls(world: World) -> None:
    number, content = world.campaign.number, world.store.river.content
    asked = a_campaign(voice=VOICE, voice_success=VoiceSuccess.ACKNOWLEDGED, acknowledge_keys="15")
    await world.store.campaigns.replace(number, asked, NOW)
    await world.store.campaigns.replace(number, replace(asked, voice_success=VoiceSuccess.ANSWERED), NOW)
    plan = CallPlan(30_000, 2, "Clinic", "Joanna", VoiceSuccess.ACKNOWLEDGED, "15")
    expected = Content(Medium.VOICE, "+14165550100", "Come tomorrow", campaign=guid(900), call=plan)
    assert await content(number, 2, Medium.VOICE) == expected
    then = await content(number, 3, Medium.VOICE)
    assert then.call == replace(plan, success=VoiceSuccess.ANSWERED)
    assert (await content(number, 3, Medium.SMS)).call is None


async def test_what_an_earlier_version_wrote_is_read(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "campana.db")
    account = await store.accounts.add_account("acme", "UTC", "CA", NOW)
    user = await store.accounts.add_user(account.number, "maria", "api", "hash", NOW)
    campaign = await store.campaigns.add(account.number, user.number, a_campaign(voice=VOICE), NOW)
    with sqlite3.connect(tmp_path / "campana.db") as connection:
        for table in ("campaigns", "contents"):
            connection.execute(f"UPDATE {table} SET body = json_remove(body, '$.voice_success', '$.acknowledge_keys')")
    connection.close()
    await store.close()
    again = await SqliteStore.open(tmp_path / "campana.db")
    row = await again.campaigns.find(account.number, guid(900))
    assert row is not None
    assert row.campaign == campaign.campaign
    content = await again.river.content(campaign.number, 1, Medium.VOICE)
    assert content is not None
    assert content.call == CallPlan(30_000, 2, "Clinic", "Joanna")
    await again.close()


# --- what became of calls --------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", [CALL, UNANSWERED], ids=["answered", "unanswered"])
async def test_a_call_is_kept_with_its_attempt(world: World, call: CallReport) -> None:
    (contact,) = await calling(world)
    await placed(world, "a")
    (standing,) = await attempts(world)
    assert (standing.status, standing.call) == (Status.DELIVERING, None)
    await world.store.receipts.receipts(
        [ended("a", call=call, carrier_code="486", carrier_text="Busy Here")], rules(), NOW + 9
    )
    assert await attempts(world) == [
        AttemptRow(
            contact, Medium.VOICE, 1, NOW, "trunk", Status.WAITING_FOR_RETRY, int(BUSY), "486", "Busy Here", call
        )
    ]


async def test_a_call_that_ended_before_its_send_was_recorded(world: World) -> None:
    await calling(world)
    lease = await lease_of(world)
    assert (await world.store.receipts.receipts([ended("a", call=CALL)], rules(), NOW)).unmatched == 1
    assert await attempts(world) == []
    one = lease.deliveries[0]
    await world.store.river.release(Step(lease, [Judged(one.id, 1, DELIVERING, "trunk", NOW, ("a",))], (), NOW), 0)
    await world.store.receipts.settle_early(rules(), NOW)
    assert [(one.code, one.call) for one in await attempts(world)] == [(BUSY, CALL)]


async def test_only_the_first_end_of_a_call_is_kept(world: World) -> None:
    await calling(world)
    await placed(world, "a")
    other = msgspec.structs.replace(CALL, digits="9")
    for batch in ([ended("a", state=INTERIM, call=other)], [ended("a", call=CALL), ended("a", call=other)]):
        await world.store.receipts.receipts(batch, rules(), NOW)
    await world.store.receipts.receipts([ended("a", call=other)], rules(), NOW)
    assert [one.call for one in await attempts(world)] == [CALL]


async def test_every_attempt_has_its_own_call(world: World) -> None:
    await calling(world)
    for attempt, call in enumerate((UNANSWERED, CALL), 1):
        await placed(world, f"call-{attempt}", now=NOW + attempt * 60_000)
        code = DeliveryCode.OK if call is CALL else BUSY
        await world.store.receipts.receipts([ended(f"call-{attempt}", code, call)], rules(), NOW + attempt * 60_000)
    found = await attempts(world)
    assert [(one.attempt, one.at, one.status, one.call) for one in found] == [
        (1, NOW + 60_000, Status.WAITING_FOR_RETRY, UNANSWERED),
        (2, NOW + 120_000, Status.SUCCESS, CALL),
    ]


# --- what nobody knows -----------------------------------------------------------------------------------------

POLICIES = [
    (UncertainPolicy.GIVE_UP, (6, 106, 2), 0, 0),
    (UncertainPolicy.RESEND, (5, 106, 2), 0, 1),
    (UncertainPolicy.HOLD, (5, 107, 2), 0, 0),
]


@pytest.mark.parametrize("told", [True, False], ids=["told by the route", "never told"])
@pytest.mark.parametrize(("policy", "standing", "soon", "later"), POLICIES)
async def test_an_uncertain_call_goes_by_the_policy(
    world: World, policy: UncertainPolicy, standing: tuple[int, int, int], soon: int, later: int, told: bool
) -> None:
    """And where it goes again, not before the campaign's interval."""
    await calling(world)
    await placed(world, "a")
    interval = rules(policy, delay=60_000)
    if told:
        answer = await world.store.receipts.receipts([ended("a", UNCERTAIN, None)], interval, NOW)
    else:
        (handover,) = await world.store.receipts.overdue("trunk", NOW + 1, LATER, 10)
        answer = await world.store.receipts.missing(handover, interval, NOW)
    assert [(one.medium, one.code) for one in answer.moved] == [(Medium.VOICE, standing[1])]
    assert tuple((await world.lines())[0][8:11]) == standing
    assert await world.plan(medium=Medium.VOICE, now=NOW + 59_999) == soon
    assert await world.plan(medium=Medium.VOICE, now=NOW + 60_000) == later
    assert await world.store.receipts.overdue("trunk", NOW + 1, LATER, 10) == []


async def test_an_uncertain_call_was_the_last_attempt(world: World) -> None:
    await calling(world)
    resend = rules(UncertainPolicy.RESEND, delay=0)
    for attempt in range(3):
        await placed(world, f"call-{attempt}")
        await world.store.receipts.receipts([ended(f"call-{attempt}", UNCERTAIN, None)], resend, NOW)
    assert tuple((await world.lines())[0][8:11]) == (6, 106, 0)


# --- reading attempts ------------------------------------------------------------------------------------------


async def test_attempts_come_page_by_page(world: World) -> None:
    many = PAGE + 500
    guids = await calling(world, many)
    while await world.plan(medium=Medium.VOICE):
        lease = await world.claim(medium=Medium.VOICE)
        assert lease is not None
        judged = [Judged(one.id, 1, DELIVERING, "trunk", NOW, (str(one.id),)) for one in lease.deliveries]
        await world.store.river.release(Step(lease, judged, (), NOW), 0)
    pages = [page async for page in world.store.attempts.pages(world.campaign.number)]
    assert [len(page) for page in pages] == [PAGE, 500]
    assert [one.contact for page in pages for one in page] == guids


async def test_a_page_may_end_between_two_attempts_of_one_contact(world: World) -> None:
    await calling(world, PAGE // 2 + 1)
    again = rules(delay=0)
    for attempt in (1, 2):
        while await world.plan(medium=Medium.VOICE):
            lease = await world.claim(medium=Medium.VOICE)
            assert lease is not None
            ids = [f"{one.id}-{attempt}" for one in lease.deliveries]
            judged = [
                Judged(one.id, attempt, DELIVERING, "trunk", NOW, (call,))
                for one, call in zip(lease.deliveries, ids, strict=True)
            ]
            await world.store.river.release(Step(lease, judged, (), NOW), 0)
        codes = await world.store.receipts.overdue("trunk", NOW + 1, LATER, PAGE)
        await world.store.receipts.receipts([ended(one.carrier_id) for one in codes], again, NOW)
    found = await attempts(world)
    assert len(found) == len({(one.contact, one.attempt) for one in found}) == PAGE + 2


async def test_attempts_of_one_contact_and_of_nobody_else(world: World) -> None:
    one, other = await calling(world, 2)
    await placed(world, "a", "b")
    mine = await world.store.attempts.of_contact(world.campaign.number, other)
    assert [(row.contact, row.medium, row.attempt) for row in mine] == [(other, Medium.VOICE, 1)]
    assert await world.store.attempts.of_contact(world.campaign.number, guid(777)) is None
    assert await world.store.attempts.of_contact(world.campaign.number + 1, other) is None
    await world.store.contacts.delete(world.campaign.number, other, NOW)
    assert await world.store.attempts.of_contact(world.campaign.number, other) is None
    assert [row.contact for row in await attempts(world)] == [one]


async def test_who_was_never_tried_has_no_attempts(world: World) -> None:
    (contact,) = await calling(world)
    assert await world.store.attempts.of_contact(world.campaign.number, contact) == []
    assert await attempts(world) == []
    assert [page async for page in world.store.attempts.pages(world.campaign.number + 7)] == []


# --- calls of a process that has died ----------------------------------------------------------------------------


async def test_calls_are_known_by_the_mark_of_their_process(world: World) -> None:
    ids = ("aaaaaaaa0001", "aaaaaaaa0002", "aaaaaaab0001", "9aaaaaaaa001")
    await calling(world, len(ids))
    await placed(world, *ids)
    calls_of = world.store.receipts.calls_of
    assert sorted(one.carrier_id for one in await calls_of("aaaaaaaa", 10)) == ["aaaaaaaa0001", "aaaaaaaa0002"]
    assert len(await calls_of("aaaaaaaa", 1)) == 1
    (one,) = await calls_of("aaaaaaab", 10)
    assert (one.route, one.attempt) == ("trunk", 1)
    await world.store.receipts.missing(one, rules(), NOW)
    assert await calls_of("aaaaaaab", 10) == []


async def test_messages_whose_ids_look_like_calls_are_none(world: World) -> None:
    await world.add(1)
    await world.plan()
    lease = await world.claim()
    assert lease is not None
    sent = Judged(lease.deliveries[0].id, 1, DELIVERING, "sms", NOW, ("aaaaaaaa0009",))
    await world.store.river.release(Step(lease, [sent], (), NOW), 0)
    assert await world.store.receipts.calls_of("aaaaaaaa", 10) == []


@pytest.mark.parametrize("place", [(1, 1 << 15), ((1 << 63) - 1, (1 << 63) - 1)])
async def test_no_page_of_attempts_begins_where_none_can_be(world: World, place: tuple[int, int]) -> None:
    assert await world.store.attempts.page(world.campaign.number, place, 10) == AttemptPage([], None)
