"""The store contract: a campaign that is cancelled ends for good, and what is in progress finishes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from campana.domain.contact import Admitted, MediumState, ReplaceMedium
from campana.domain.delivery import WAITING, Medium, Status
from campana.domain.outcome import DeliveryCode, Receipt, ReceiptState
from campana.domain.person import Person
from campana.domain.progress import EventKind
from campana.storage.river import Step
from campana.storage.store import Cancelled, NewContact
from campana.storage.tables import NEVER
from tests.contract import postgres_kit
from tests.contract.conftest import LATER, NOW, World, a_campaign, guid, rules
from tests.contract.postgres_cluster import clustered
from tests.contract.progress_kit import counted, events, moves, standing
from tests.contract.test_progress import DELIVERING, SUCCESS, again, judge, take

S = Status
_GONE = int(DeliveryCode.CANCELLED)


async def cancel(world: World) -> Any:
    """Cancel the campaign."""
    return await world.store.campaigns.cancel(world.campaign.number, NOW)


async def sweep(world: World) -> None:
    """Cancel what waits of it."""
    while await world.store.river.sweep_over(NOW):
        pass


async def test_a_cancelled_campaign_is_kept_and_says_so(world: World) -> None:
    row = await cancel(world)
    assert (row.cancelled_at, row.version, row.is_over) == (NOW, world.campaign.version + 1, True)
    assert await world.store.campaigns.find(world.account, guid(900)) == row
    assert [one.kind for one in await events(world)] == [EventKind.CANCELLED]
    # Once is enough.
    assert (await world.store.campaigns.cancel(world.campaign.number, LATER)).cancelled_at == NOW
    assert len(await events(world)) == 1
    changed = await world.store.campaigns.replace(world.campaign.number, a_campaign(name="Other"), LATER)
    assert (changed.cancelled_at, changed.campaign.name) == (NOW, "Other")
    await world.store.campaigns.delete(world.campaign.number, LATER)
    assert await cancel(world) is None


async def test_what_waits_of_it_is_cancelled_and_told(world: World) -> None:
    await world.add(5)
    await world.store.contacts.delete(world.campaign.number, guid(3), NOW)
    await cancel(world)
    assert await world.store.river.lanes() == []
    await world.plan()
    assert await world.claim() is None
    await sweep(world)
    assert await world.statuses() == [S.CANCELLED] * 4
    assert moves(await events(world)) == [(Medium.SMS, S.PENDING, S.CANCELLED, _GONE)] * 4
    assert (await standing(world)).balance == await counted(world)
    assert await world.store.progress.tell(world.campaign.number, EventKind.FINISHED, NOW)


async def test_nothing_of_it_is_claimed_even_after_an_edit_of_the_campaign(world: World) -> None:
    await world.add(1)
    await world.plan()
    await cancel(world)
    await world.store.campaigns.replace(world.campaign.number, a_campaign(), NOW)
    assert await world.claim() is None


async def test_what_is_in_progress_finishes_and_nothing_goes_again(world: World) -> None:
    await world.add(5)
    lease = await take(world)
    await cancel(world)
    await sweep(world)
    assert await world.statuses() == [S.SENDING] * 5
    judged = [
        *judge(lease, SUCCESS, slice(0, 1)),
        *judge(lease, again(LATER), slice(1, 2)),
        *judge(lease, DELIVERING, slice(2, 4), "c"),
    ]
    await world.store.river.step(Step(lease, judged, (), NOW))
    assert not await world.store.river.release(Step(lease, (), (), NOW), 0)
    late = [
        Receipt("sms-main", state, DeliveryCode.SMS_EXPIRED, NOW, (f"c{one.id}-1",))
        for one, state in zip(lease.deliveries[2:4], (ReceiptState.DELIVERED, ReceiptState.FAILED), strict=True)
    ]
    await world.store.receipts.receipts(late, rules(), NOW)
    assert await world.statuses() == [S.SUCCESS, S.CANCELLED, S.SUCCESS, S.CANCELLED, S.CANCELLED]
    assert (await standing(world)).balance == await counted(world)
    await events(world)
    assert await world.store.progress.tell(world.campaign.number, EventKind.FINISHED, NOW)


async def test_a_lease_of_it_that_lapses_does_not_wait_again(world: World) -> None:
    await world.add(2)
    lease = await take(world)
    await world.store.river.step(Step(lease, (), [lease.deliveries[0].id], NOW))
    await cancel(world)
    await sweep(world)
    await world.store.river.sweep(NEVER, rules(), LATER)
    assert await world.statuses() == [S.PERMANENT_FAILURE, S.CANCELLED]
    assert (await standing(world)).balance == await counted(world)


async def test_it_takes_no_contacts(world: World) -> None:
    new = NewContact(world.campaign.number, guid(1), ())
    other = await world.store.campaigns.add(world.account, world.user, a_campaign(901), NOW)
    await cancel(world)
    with pytest.raises(Cancelled):
        await world.store.contacts.add(new, NOW)
    with pytest.raises(Cancelled):
        await world.store.contacts.add_many([NewContact(other.number, guid(2), ()), new], NOW)
    assert (await counted(world)).contacts == 0
    await world.store.contacts.add(NewContact(other.number, guid(1), ()), NOW)


def _edit(medium: Medium, dial: str | None, *, restart: bool, text: str | None = None) -> Any:
    def plan(states: list[MediumState], person: Person | None) -> list[ReplaceMedium]:
        return [ReplaceMedium(medium, dial or "", dial, text, 3, restart)]

    return plan


@pytest.mark.parametrize("medium", [Medium.SMS, Medium.EMAIL])
async def test_no_edit_begins_anything_of_it(world: World, medium: Medium) -> None:
    await world.add(1)
    await cancel(world)
    await sweep(world)
    number = world.campaign.number
    with pytest.raises(Cancelled):
        await world.store.contacts.edit(number, guid(1), _edit(medium, "+14165559999", restart=True), NOW)
    assert await world.statuses() == [S.CANCELLED]
    kept = _edit(Medium.SMS, "+14165550001", restart=False, text="Other")
    assert await world.store.contacts.edit(number, guid(1), kept, NOW)
    assert (await world.lines())[0][2] == "Other"
    assert await world.store.contacts.edit(number, guid(1), _edit(Medium.SMS, None, restart=True), NOW)
    assert await world.statuses() == [S.DO_NOT_TRY]
    assert (await standing(world)).balance == await counted(world)


async def test_pausing_is_told_where_it_changes_something(world: World) -> None:
    number = world.campaign.number
    for is_paused in (False, True, True, False):
        await world.store.campaigns.replace(number, a_campaign(is_paused=is_paused), NOW)
    assert [one.kind for one in await events(world)] == [EventKind.PAUSED, EventKind.RESUMED]


async def test_nothing_begins_whoever_adds_edits_and_claims_at_the_same_moment(
    postgres: postgres_kit.Server, postgres_database: str
) -> None:
    async with clustered(postgres, postgres_database) as cluster:
        worlds = [await cluster.open() for _ in range(3)]
        world = worlds[0]
        await world.add(30)
        await world.plan(10)
        number = world.campaign.number

        async def add(one: World, first: int) -> int:
            added = 0
            for contact in range(first, first + 10):
                media = (Admitted(Medium.SMS, "+14165550001", "+14165550001", None, 3),)
                try:
                    await one.store.contacts.add(NewContact(number, guid(contact), media), NOW)
                    added += 1
                except Cancelled:
                    break
            return added

        async def edit(one: World, first: int) -> None:
            for contact in range(first, first + 10):
                try:
                    plan = _edit(Medium.EMAIL, "a@example.com", restart=True)
                    await one.store.contacts.edit(number, guid(contact), plan, NOW)
                except Cancelled:
                    break

        async def claim(one: World) -> None:
            lease = await one.claim()
            if lease is not None:
                await one.store.river.release(Step(lease, judge(lease, again(LATER), slice(0, 3)), (), NOW), 0)

        async def end(one: World) -> None:
            await cancel(one)
            await sweep(one)

        others = [*(add(one, 100 + 10 * n) for n, one in enumerate(worlds)), edit(worlds[1], 1), edit(worlds[2], 11)]
        await asyncio.gather(*others, claim(worlds[1]), claim(worlds[2]), end(worlds[0]))
        await sweep(world)
        truth = await counted(world)
        assert not any(truth.among(medium, {*WAITING, S.SENDING}) for medium in Medium)
        assert (await standing(world)).balance == truth
        await events(world)
        assert await world.store.progress.tell(number, EventKind.FINISHED, NOW)
