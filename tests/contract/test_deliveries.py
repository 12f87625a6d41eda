"""The store contract: deliveries as people look at them, and an operator's word on one that is held."""

from __future__ import annotations

import pytest

from campana.domain.campaign import UncertainPolicy
from campana.domain.contact import Admitted
from campana.domain.delivery import Medium, Status
from campana.domain.outcome import DeliveryCode
from campana.domain.person import Person
from campana.storage import deliveries
from campana.storage.deliveries import DeliveryRow
from campana.storage.river import Step
from campana.storage.store import Cancelled, NewContact
from campana.storage.tables import NEVER
from tests.contract.conftest import LATER, NOW, World, guid, rules
from tests.contract.progress_kit import counted, events, moves, standing
from tests.contract.test_progress import SUCCESS, again, judge, take

S = Status


async def add(world: World, count: int) -> None:
    """Add contacts, each second with an email address as well."""
    new = []
    for number in range(1, count + 1):
        media = [Admitted(Medium.SMS, f"+1416555{number:04d}", f"+1416555{number:04d}", None, 3)]
        if number % 2 == 0:
            media.append(Admitted(Medium.EMAIL, f"{number}@example.com", f"{number}@example.com", None, 2))
        new.append(NewContact(world.campaign.number, guid(number), tuple(media), Person(reference=f"r{number}")))
    assert all(await world.store.contacts.add_many(new, NOW))


async def walk(
    world: World, medium: Medium | None = None, status: Status | None = None, limit: int = 3
) -> list[DeliveryRow]:
    """All pages of deliveries."""
    found: list[DeliveryRow] = []
    after: int | None = 0
    while after is not None:
        page = await world.store.deliveries.page(world.campaign.number, medium, status, after, limit)
        assert len(page.rows) <= limit
        found += page.rows
        after = page.after
    return found


async def test_they_come_by_medium_and_in_the_order_of_adding(world: World) -> None:
    await add(world, 5)
    await world.store.contacts.delete(world.campaign.number, guid(2), NOW)
    assert [(one.medium, one.contact) for one in await walk(world)] == [
        *((Medium.SMS, guid(number)) for number in (1, 3, 4, 5)),
        (Medium.EMAIL, guid(4)),
    ]
    assert await walk(world, Medium.EMAIL) == [
        DeliveryRow(guid(4), "r4", Medium.EMAIL, S.PENDING, 0, 2, 0, None, "4@example.com")
    ]
    assert await walk(world, Medium.VOICE) == []


async def test_they_are_found_by_status(world: World) -> None:
    await add(world, 4)
    lease = await take(world)
    judged = judge(lease, SUCCESS, slice(0, 2)) + judge(lease, again(LATER), slice(2, 3))
    await world.store.river.step(Step(lease, judged, (), NOW))
    assert [one.contact for one in await walk(world, status=S.SUCCESS)] == [guid(1), guid(2)]
    (waits,) = await walk(world, Medium.SMS, S.WAITING_FOR_RETRY)
    assert (waits.due_at, waits.tries, waits.attempts_left, waits.last_error) == (LATER, 1, 2, 203)
    assert not waits.is_held
    assert await walk(world, Medium.EMAIL, S.SUCCESS) == []


async def test_a_page_looks_at_so_many_and_no_more(world: World) -> None:
    many = deliveries.PASSED_AT_ONCE + 5
    new = [
        NewContact(
            world.campaign.number,
            guid(number),
            (Admitted(Medium.SMS, "+14165550001", "+14165550001" if number == many else None, None, 1),),
        )
        for number in range(1, many + 1)
    ]
    assert all(await world.store.contacts.add_many(new, NOW))
    page = await world.store.deliveries.page(world.campaign.number, Medium.SMS, S.PENDING, 0, 10)
    assert page.rows == []
    assert page.after is not None
    page = await world.store.deliveries.page(world.campaign.number, Medium.SMS, S.PENDING, page.after, 10)
    assert [one.contact for one in page.rows] == [guid(many)]
    assert page.after is None


async def test_one_is_found_by_its_contact(world: World) -> None:
    await add(world, 2)
    number, find = world.campaign.number, world.store.deliveries.one
    email = await find(number, guid(2), Medium.EMAIL)
    assert email == DeliveryRow(guid(2), "r2", Medium.EMAIL, S.PENDING, 0, 2, 0, None, "2@example.com")
    assert await find(number, guid(1), Medium.EMAIL) is None
    await world.store.contacts.delete(number, guid(1), NOW)
    assert await find(number, guid(1), Medium.SMS) is None
    assert await find(number, "", Medium.SMS) is None


async def held(world: World) -> None:
    """One whose attempt is uncertain, and which is held."""
    await world.add(1, attempts=1)
    lease = await take(world)
    await world.store.river.step(Step(lease, (), [lease.deliveries[0].id], NOW))
    await world.store.river.sweep(NEVER, rules(UncertainPolicy.HOLD), NOW)
    (row,) = await walk(world, status=S.WAITING_FOR_RETRY)
    assert row.is_held


async def test_one_that_is_held_is_sent_again(world: World) -> None:
    await held(world)
    number = world.campaign.number
    assert await world.store.deliveries.decide(number, guid(1), Medium.SMS, True, LATER)
    assert not await world.store.deliveries.decide(number, guid(1), Medium.SMS, True, LATER)
    row = await world.store.deliveries.one(number, guid(1), Medium.SMS)
    assert (row.is_held, row.due_at) == (False, LATER)
    lease = await take(world, LATER)
    assert [one.attempt for one in lease.deliveries] == [2]
    assert (await standing(world)).balance == await counted(world)


async def test_one_that_is_held_is_given_up(world: World) -> None:
    await held(world)
    number = world.campaign.number
    assert await world.store.deliveries.decide(number, guid(1), Medium.SMS, False, LATER)
    assert not await world.store.deliveries.decide(number, guid(1), Medium.SMS, False, LATER)
    assert (await walk(world))[0].status is S.PERMANENT_FAILURE
    assert moves(await events(world))[-1] == (
        Medium.SMS,
        S.WAITING_FOR_RETRY,
        S.PERMANENT_FAILURE,
        DeliveryCode.UNCERTAIN,
    )
    assert (await standing(world)).balance == await counted(world)


async def test_what_is_not_held_is_not_decided(world: World) -> None:
    await world.add(1)
    number = world.campaign.number
    for resend in (True, False):
        assert not await world.store.deliveries.decide(number, guid(1), Medium.SMS, resend, NOW)
        assert not await world.store.deliveries.decide(number, guid(2), Medium.SMS, resend, NOW)
        assert not await world.store.deliveries.decide(number, guid(1), Medium.EMAIL, resend, NOW)
    lease = await take(world)
    await world.store.river.step(Step(lease, judge(lease, again(LATER)), (), NOW))
    assert not await world.store.deliveries.decide(number, guid(1), Medium.SMS, False, NOW)


async def test_nothing_of_a_cancelled_campaign_is_sent_again(world: World) -> None:
    await held(world)
    await world.store.campaigns.cancel(world.campaign.number, NOW)
    with pytest.raises(Cancelled):
        await world.store.deliveries.decide(world.campaign.number, guid(1), Medium.SMS, True, LATER)
    assert await world.store.deliveries.decide(world.campaign.number, guid(1), Medium.SMS, False, LATER)
