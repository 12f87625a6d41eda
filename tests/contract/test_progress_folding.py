"""The store contract: folding numbers what happened, telling is done once, and counts are audited."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from campana.domain.campaign import SmsSettings
from campana.domain.contact import Admitted
from campana.domain.delivery import Medium, Status
from campana.domain.outcome import Change, DeliveryCode, Receipt, ReceiptState
from campana.domain.person import Person
from campana.domain.progress import NOBODY, EventKind
from campana.storage import happenings
from campana.storage.progress import Repair
from campana.storage.river import ClaimQuery, Cut, Step
from campana.storage.store import NewContact
from campana.storage.tables import NEVER, delivery_id
from tests.contract import postgres_kit
from tests.contract.conftest import LATER, NOW, World, a_campaign, guid, rules
from tests.contract.postgres_cluster import clustered
from tests.contract.progress_kit import counted, events, fold, moves, replayed, standing
from tests.contract.test_progress import DELIVERING, FAILURE, SUCCESS, again, agrees, judge, take
from tests.contract.test_retention import ask, put

S = Status
FINISHED, STARTED, COUNTERS = EventKind.FINISHED, EventKind.STARTED, EventKind.COUNTERS


async def tell(world: World, kind: EventKind, at: int = NOW, **how: Any) -> bool:
    """Tell something of the campaign."""
    return bool(await world.store.progress.tell(world.campaign.number, kind, at, **how))


async def settle(world: World, change: Change = SUCCESS) -> None:
    """Have all that waits of it sent."""
    lease = await take(world)
    await world.store.river.release(Step(lease, judge(lease, change), (), NOW), 0)


async def another(world: World, number: int) -> World:
    campaign = await world.store.campaigns.add(world.account, world.user, a_campaign(number), NOW)
    return replace(world, campaign=campaign)


# --- standings and waiting ---------------------------------------------------------------------------------------


async def test_many_campaigns_are_told_at_once_and_none_that_is_gone(world: World) -> None:
    second, third = await another(world, 901), await another(world, 902)
    await world.add(2)
    await second.add(1)
    await third.store.campaigns.delete(third.campaign.number, NOW)
    numbers = [one.campaign.number for one in (world, second, third)]
    found = await world.store.progress.standings([*numbers, 999])
    assert {number: one.balance.contacts for number, one in found.items()} == {numbers[0]: 2, numbers[1]: 1}
    assert await world.store.progress.standings([]) == {}


async def test_a_new_campaign_stands_at_nothing(world: World) -> None:
    found = await standing(world)
    assert (found.balance, found.number, found.started_at, found.is_open, found.is_uncounted) == (
        NOBODY,
        0,
        None,
        False,
        False,
    )
    assert not await world.store.progress.fold(world.campaign.number, NOW)
    assert await world.store.progress.events(world.campaign.number, 0, 10) == []


async def test_campaigns_with_something_to_fold_are_found(world: World) -> None:
    second, third = await another(world, 901), await another(world, 902)
    waiting = world.store.progress.waiting
    assert await waiting(10) == []
    for one in (third, world, third):
        await one.store.contacts.add_many([NewContact(one.campaign.number, guid(len(await one.lines())), ())], NOW)
    assert await waiting(10) == [world.campaign.number, third.campaign.number]
    assert await waiting(1) == [world.campaign.number]
    await fold(world)
    await third.store.campaigns.delete(third.campaign.number, NOW)
    assert await waiting(10) == [third.campaign.number]
    await fold(third)
    assert await waiting(10) == []
    assert await third.store.progress.events(third.campaign.number, 0, 10) == []
    assert not await tell(third, STARTED)
    assert second.campaign.number not in await waiting(10)


# --- numbers -----------------------------------------------------------------------------------------------------


async def test_a_row_that_stands_for_many_is_told_one_by_one(world: World) -> None:
    new = [
        NewContact(
            world.campaign.number,
            guid(number),
            (Admitted(Medium.SMS, "+14165550001", "+14165550001", None, 3),),
            Person(reference=f"r{number}"),
        )
        for number in range(1, 9)
    ]
    await world.store.contacts.add_many(new, NOW)
    # A run, and a list, since one is missing.
    await world.store.contacts.delete(world.campaign.number, guid(6), NOW)
    await take(world, limit=4)
    await take(world)
    await fold(world)
    told = [guid(number) for number in (1, 2, 3, 4, 5, 7, 8)]
    for after in range(8):
        for limit in (1, 3, 100):
            found = await world.store.progress.events(world.campaign.number, after, limit)
            assert [one.contact for one in found] == told[after : after + limit]
            assert [one.number for one in found] == list(range(1, 8))[after : after + limit]
    assert found == []
    (second,) = await world.store.progress.events(world.campaign.number, 1, 1)
    assert (second.reference, second.at, second.was, second.status) == ("r2", NOW, S.PENDING, S.SENDING)


async def test_more_than_is_folded_at_once_is_folded_in_turns(world: World) -> None:
    many = happenings.FOLDED_AT_ONCE + 3
    for number in range(1, many + 1):
        await world.store.campaigns.replace(world.campaign.number, a_campaign(is_paused=number % 2 == 1), NOW)
    assert await world.store.progress.fold(world.campaign.number, NOW)
    assert (await standing(world)).number == happenings.FOLDED_AT_ONCE
    assert not await world.store.progress.fold(world.campaign.number, NOW)
    found = await events(world, page=100)
    assert [one.number for one in found] == list(range(1, many + 1))
    kinds = (EventKind.PAUSED, EventKind.RESUMED)
    assert [one.kind for one in found] == [kinds[number % 2] for number in range(many)]
    # What is told comes behind all that happened before.
    await world.store.campaigns.replace(world.campaign.number, a_campaign(is_paused=many % 2 == 0), NOW)
    assert await tell(world, STARTED)
    assert [one.kind for one in (await events(world))[-2:]] == [kinds[many % 2], STARTED]


# --- telling -----------------------------------------------------------------------------------------------------


async def test_what_is_told_is_told_once(world: World) -> None:
    opened, closed = EventKind.WINDOW_OPENED, EventKind.WINDOW_CLOSED
    assert await tell(world, STARTED, NOW)
    assert not await tell(world, STARTED, LATER)
    assert not await tell(world, closed)
    assert await tell(world, opened)
    assert not await tell(world, opened)
    assert (await standing(world)).is_open
    assert await tell(world, closed)
    assert not await tell(world, closed)
    assert await tell(world, opened)
    found = await standing(world)
    assert (found.started_at, found.is_open, found.number) == (NOW, True, 4)
    assert [(one.number, one.kind) for one in await events(world)] == [
        (1, STARTED),
        (2, opened),
        (3, closed),
        (4, opened),
    ]


@pytest.mark.parametrize("kind", [EventKind.STATUS_CHANGED, EventKind.PAUSED, EventKind.RESUMED, EventKind.CANCELLED])
async def test_what_happens_is_not_told(world: World, kind: EventKind) -> None:
    with pytest.raises(ValueError, match="makes it true"):
        await tell(world, kind)


async def test_counters_are_told_where_they_changed_and_as_they_are(world: World) -> None:
    assert not await tell(world, COUNTERS)
    await world.add(3)
    assert (await standing(world)).is_uncounted
    assert await tell(world, COUNTERS, LATER)
    assert not await tell(world, COUNTERS, LATER)
    found = await standing(world)
    assert (found.counted_at, found.is_uncounted) == (LATER, False)
    await take(world)
    assert await tell(world, COUNTERS, LATER)
    found = [one for one in await events(world) if one.kind is COUNTERS]
    assert [one.balance.of(Medium.SMS, S.PENDING) for one in found if one.balance] == [3, 0]
    assert found[-1].balance == await counted(world)


async def test_a_campaign_is_finished_once_nothing_can_change(world: World) -> None:
    await world.add(2)
    assert not await tell(world, FINISHED)
    await settle(world, DELIVERING)
    assert not await tell(world, FINISHED)
    assert not await tell(world, FINISHED, has_ended=True)
    lines = [delivery_id(world.campaign.number, Medium.SMS, number) for number in (1, 2)]
    late = [
        Receipt("sms-main", ReceiptState.FAILED, DeliveryCode.EMAIL_BOUNCED, NOW, delivery_id=one, attempt=1)
        for one in lines
    ]
    await world.store.receipts.receipts(late, rules(), NOW)
    assert await tell(world, FINISHED, LATER)
    assert not await tell(world, FINISHED, LATER)
    assert (await standing(world)).finished_at == LATER
    assert (await events(world))[-1].balance == await counted(world)


async def test_it_is_not_finished_any_more_where_there_is_something_new_to_do(world: World) -> None:
    await world.add(1)
    await settle(world)
    assert await tell(world, FINISHED)
    await world.store.contacts.delete(world.campaign.number, guid(1), NOW)
    await fold(world)
    assert (await standing(world)).finished_at == NOW
    await world.add(1, first=2)
    await fold(world)
    assert (await standing(world)).finished_at is None
    assert not await tell(world, FINISHED)
    await settle(world)
    assert await tell(world, FINISHED, LATER)


async def test_what_waits_does_not_count_after_the_end_nor_on_a_disabled_medium(world: World) -> None:
    await world.add(1)
    assert not await tell(world, FINISHED)
    off = a_campaign(sms=SmsSettings(False, "+14165550100", "Come"))
    await world.store.campaigns.replace(world.campaign.number, off, NOW)
    assert await tell(world, FINISHED)
    ended = await another(world, 901)
    await ended.add(1)
    assert not await tell(ended, FINISHED)
    assert await tell(ended, FINISHED, has_ended=True)


# --- contacts that were deleted while they were being sent -------------------------------------------------------


async def test_what_becomes_of_a_deleted_contact_is_neither_counted_nor_told(world: World) -> None:
    await world.add(5)
    lease = await take(world)
    await world.store.river.step(Step(lease, (), [one.id for one in lease.deliveries], NOW))
    await fold(world)
    for number in (2, 4):
        await world.store.contacts.delete(world.campaign.number, guid(number), NOW)
    # They were handed over: the run is written as one.
    await world.store.river.step(Step(lease, judge(lease, DELIVERING, ids="c"), (), NOW))
    await agrees(world)
    batch = [
        Receipt("sms-main", ReceiptState.DELIVERED, DeliveryCode.OK, NOW, (f"c{one.id}-1",)) for one in lease.deliveries
    ]
    await world.store.receipts.receipts(batch, rules(), NOW)
    await world.store.contacts.delete(world.campaign.number, guid(5), NOW)
    await agrees(world)
    found = await events(world)
    assert [(one.contact, one.status) for one in found[5:]] == [
        *((guid(number), S.DELIVERING) for number in (1, 3, 5)),
        *((guid(number), S.SUCCESS) for number in (1, 3, 5)),
    ]
    assert [one.number for one in found] == list(range(1, 12))


async def test_a_deletion_counts_from_its_own_moment_on(world: World) -> None:
    """All of it folded at once: what came before the deletion is told, and what came behind is not."""
    await world.add(2)
    lease = await take(world)
    await world.store.river.step(Step(lease, (), [one.id for one in lease.deliveries], NOW))
    await world.store.river.step(Step(lease, judge(lease, DELIVERING, ids="c"), (), NOW))
    await world.store.contacts.delete(world.campaign.number, guid(1), NOW)
    batch = [
        Receipt("sms-main", ReceiptState.DELIVERED, DeliveryCode.OK, NOW, (f"c{one.id}-1",)) for one in lease.deliveries
    ]
    await world.store.receipts.receipts(batch, rules(), NOW)
    await agrees(world)
    assert [(one.contact, one.status) for one in await events(world)] == [
        *((guid(number), status) for status in (S.SENDING, S.DELIVERING) for number in (1, 2)),
        (guid(2), S.SUCCESS),
    ]


async def test_a_bounce_of_a_deleted_contacts_email_is_not_counted(world: World) -> None:
    media = (Admitted(Medium.EMAIL, "a@example.com", "a@example.com", None, 3),)
    await world.store.contacts.add(NewContact(world.campaign.number, guid(1), media), NOW)
    await world.plan(medium=Medium.EMAIL)
    lease = await world.claim(medium=Medium.EMAIL)
    assert lease is not None
    await world.store.river.step(Step(lease, judge(lease, SUCCESS), (), NOW))
    await world.store.contacts.delete(world.campaign.number, guid(1), NOW)
    (one,) = lease.deliveries
    bounce = Receipt("mail", ReceiptState.FAILED, DeliveryCode.EMAIL_BOUNCED, NOW, (), one.id, 1, bounce=True)
    assert len((await world.store.receipts.receipts([bounce], rules(), NOW)).moved) == 1
    await agrees(world)
    assert len(await events(world)) == 2


# --- campaigns of earlier versions, and counts that are wrong ----------------------------------------------------


async def as_an_older_program_left_it(world: World) -> None:
    """Nothing is known of how it goes on."""
    for table in ("progress", "happenings", "events", "strays"):
        await put(world, f"DELETE FROM {table} WHERE campaign = {world.campaign.number}")


async def in_every_status(world: World) -> Any:
    """Contacts in many statuses, some deleted; and a lease of those that are being sent."""
    await world.add(9)
    lease = await take(world, limit=6)
    await world.store.river.step(Step(lease, (), [one.id for one in lease.deliveries], NOW))
    judged = [
        *judge(lease, SUCCESS, slice(0, 1)),
        *judge(lease, FAILURE, slice(1, 2)),
        *judge(lease, DELIVERING, slice(2, 4), "c"),
        *judge(lease, again(LATER), slice(4, 5)),
    ]
    await world.store.river.step(Step(lease, judged, (), NOW))
    for number in (1, 3, 8):
        await world.store.contacts.delete(world.campaign.number, guid(number), NOW)
    return lease


@pytest.mark.parametrize("first", ["fold", "standings", "audit"])
async def test_a_campaign_of_an_earlier_version_is_counted_from_its_deliveries(world: World, first: str) -> None:
    lease = await in_every_status(world)
    await as_an_older_program_left_it(world)
    if first == "fold":
        await fold(world)
    elif first == "audit":
        assert world.campaign.number in await world.store.progress.unaudited(0, 10)
        assert await world.store.progress.audit(world.campaign.number, NOW) == []
    await agrees(world)
    # Of one that was deleted while it was on its way nothing is counted later on either.
    batch = [
        Receipt("sms-main", ReceiptState.DELIVERED, DeliveryCode.OK, NOW, (f"c{one.id}-1",))
        for one in lease.deliveries[2:4]
    ]
    assert len((await world.store.receipts.receipts(batch, rules(), NOW)).moved) == 2
    await agrees(world)
    assert moves(await events(world)) == [(Medium.SMS, S.DELIVERING, S.SUCCESS, 0)]


async def test_what_happens_before_it_is_counted_is_counted_once(world: World) -> None:
    await world.add(3)
    await as_an_older_program_left_it(world)
    lease = await take(world, limit=2)
    await world.add(2, first=4)
    await world.store.contacts.delete(world.campaign.number, guid(3), NOW)
    await world.store.river.step(Step(lease, judge(lease, SUCCESS), (), NOW))
    await agrees(world)
    assert len(await events(world)) == 4


async def test_an_audit_finds_and_repairs_what_is_wrong(world: World) -> None:
    number = world.campaign.number
    await in_every_status(world)
    await fold(world)
    assert await world.store.progress.unaudited(NOW, 10) == []
    assert await world.store.progress.unaudited(NOW + 1, 10) == [number]
    wrong = [[0, 7, 0, 0, 0, 0, 0, 0], [6, 0, 0, 0, 0, 0, 0, 0], [6, 0, 0, 0, 0, 0, 0, 0]]
    await put(world, f"UPDATE progress SET contacts = 7, tallies = '{wrong}' WHERE campaign = {number}")
    # More happens, and is not folded.
    await world.add(1, first=10)
    repairs = await world.store.progress.audit(number, LATER)
    assert Repair(number, None, None, -1) in repairs
    assert Repair(number, Medium.SMS, S.DELIVERING, 1) in repairs
    assert sum(one.difference for one in repairs if one.medium is Medium.SMS) == -1
    await agrees(world)
    assert await world.store.progress.audit(number, LATER) == []
    assert await world.store.progress.unaudited(LATER, 10) == []


async def test_an_audit_finds_what_an_older_program_did_beside(world: World) -> None:
    lease = await in_every_status(world)
    await fold(world)
    # An older program deletes one that is on its way, and writes nothing down.
    await world.store.contacts.delete(world.campaign.number, guid(4), NOW)
    await put(world, f"DELETE FROM happenings WHERE campaign = {world.campaign.number}")
    repairs = await world.store.progress.audit(world.campaign.number, LATER)
    assert Repair(world.campaign.number, Medium.SMS, S.DELIVERING, -1) in repairs
    late = Receipt("sms-main", ReceiptState.DELIVERED, DeliveryCode.OK, NOW, (f"c{lease.deliveries[3].id}-1",))
    assert len((await world.store.receipts.receipts([late], rules(), NOW)).moved) == 1
    await agrees(world)


async def test_what_is_finished_and_was_counted_is_not_audited_again(world: World) -> None:
    number = world.campaign.number
    await world.add(1)
    await settle(world)
    assert await tell(world, COUNTERS, NOW)
    assert await tell(world, FINISHED, NOW)
    assert await world.store.progress.audit(number, LATER) == []
    assert await world.store.progress.unaudited(NEVER, 10) == []
    await world.store.contacts.delete(number, guid(1), LATER)
    await fold(world)
    assert await world.store.progress.unaudited(NEVER, 10) == [number]
    await world.store.campaigns.delete(number, LATER)
    assert await world.store.progress.unaudited(NEVER, 10) == []
    assert await world.store.progress.audit(number, LATER) == []


async def test_a_finished_campaign_that_is_not_is_repaired(world: World) -> None:
    await world.add(1)
    await put(world, f"DELETE FROM happenings WHERE campaign = {world.campaign.number}")
    assert await tell(world, FINISHED)
    await world.store.progress.audit(world.campaign.number, LATER)
    assert (await standing(world)).finished_at is None


# --- several processes -------------------------------------------------------------------------------------------


async def test_processes_that_write_and_fold_at_once_leave_no_gap(
    postgres: postgres_kit.Server, postgres_database: str
) -> None:
    async with clustered(postgres, postgres_database) as cluster:
        worlds = [await cluster.open() for _ in range(3)]
        world = worlds[0]
        await world.add(300)
        await world.store.river.plan([Cut(world.campaign.number, Medium.SMS, 10, 1, 0, NEVER)] * 30, NOW)
        is_done = asyncio.Event()

        async def send(one: World, owner: str) -> None:
            while lease := await one.store.river.claim(ClaimQuery(owner, (Medium.SMS,), NOW, NEVER)):
                judged = judge(lease, SUCCESS, slice(0, 6)) + judge(lease, FAILURE, slice(6, 10))
                await one.store.river.step(Step(lease, judged[:3], (), NOW))
                await one.store.river.release(Step(lease, judged[3:8], (), NOW), NEVER)

        async def look(one: World) -> None:
            while not is_done.is_set():
                await one.store.progress.fold(one.campaign.number, NOW)
                found = await standing(one)
                assert all(sum(row) == found.balance.contacts for row in found.balance.tallies)
                assert min(min(row) for row in found.balance.tallies) >= 0

        looking = [asyncio.create_task(look(one)) for one in (*worlds, world)]
        await asyncio.gather(*(send(one, f"w{number}") for number, one in enumerate((*worlds, *worlds))))
        is_done.set()
        await asyncio.gather(*looking)
        found = await events(world)
        assert [one.number for one in found] == list(range(1, len(found) + 1))
        # Claimed, recorded, and two of each ten given back.
        assert len(found) == 600
        stands = replayed(found)
        assert [stands[line[0], Medium.SMS] for line in await world.lines()] == await world.statuses()
        assert (await standing(world)).balance == await counted(world)
        assert await ask(world, "SELECT count(*) FROM happenings") == 0


async def test_processes_that_tell_the_same_tell_it_once(postgres: postgres_kit.Server, postgres_database: str) -> None:
    async with clustered(postgres, postgres_database) as cluster:
        worlds = [await cluster.open() for _ in range(2)]
        told = await asyncio.gather(*(tell(one, STARTED) for one in worlds * 3))
        assert sorted(told) == [False] * 5 + [True]
        await worlds[0].add(3)
        await as_an_older_program_left_it(worlds[0])
        await asyncio.gather(*(fold(one) for one in worlds * 2))
        await agrees(worlds[1])
        await put(worlds[0], "UPDATE progress SET contacts = 9")
        repairs = await asyncio.gather(*(one.store.progress.audit(one.campaign.number, LATER) for one in worlds))
        assert sorted(len(one) for one in repairs) == [0, 1]
        await agrees(worlds[1])
