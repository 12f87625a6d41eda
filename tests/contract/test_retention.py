"""The store contract: old data is removed little by little, and nothing else with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest

from campana.domain.call import CallReport, HungUpBy
from campana.domain.delivery import Medium, Status
from campana.domain.message import IncomingMessage
from campana.domain.outcome import DeliveryCode, Receipt, ReceiptState
from campana.storage.river import Judged, Lease, Step
from tests.contract import postgres_kit
from tests.contract.conftest import NOW, World, a_campaign, guid, rules
from tests.contract.postgres_cluster import AGAIN, DELIVERING, SUCCESS, clustered, delivered

TABLES = (
    *("calls", "attempts", "deliveries", "contacts", "due", "chunks", "lanes", "contents", "campaigns"),
    *("happenings", "events", "progress", "strays", "publications", "imports", "refusals"),
)
LATER = NOW + 1_000
CALL = CallReport(began_at=NOW, ended_at=NOW + 1, ended_by=HungUpBy.CALLEE)


async def ask(world: World, statement: str) -> Any:
    """One value, straight from the database."""

    async def of_postgresql(connection: Any) -> Any:
        return await connection.fetchval(statement)

    database = world.store._database
    if type(world.store).__name__ == "PostgresStore":
        return await database.read(of_postgresql)
    return await database.read(lambda connection: connection.execute(statement).fetchone()[0])


async def put(world: World, statement: str) -> None:
    """Write straight into the database."""
    await world.store._database.write(lambda connection: connection.execute(statement))


async def told_and_imported(world: World) -> None:
    """Rows in the tables that others fill: how far an endpoint was told, and a list that was imported."""
    number, imported = world.campaign.number, guid(world.campaign.number)
    await put(
        world,
        "INSERT INTO publications (campaign, endpoint, sent, offered, failures, next_at) "
        f"VALUES ({number}, 'https://example.com', 1, 1, 0, 0)",
    )
    await put(
        world,
        'INSERT INTO imports (id, account, "user", campaign, options, state, started_at, changed_at, rows_read, '
        f"accepted, refused, digest) VALUES ('{imported}', {world.account}, {world.user}, {number}, '{{}}', 'done', 0, "
        "0, 1, 0, 1, '')",
    )
    await put(
        world,
        'INSERT INTO refusals (import_id, "row", "column", code, rule) '
        f"VALUES ('{imported}', 1, 'sms', 22, 'must not be blank')",
    )


async def left(world: World) -> dict[str, int]:
    """How many rows there are in each table."""
    return {table: await ask(world, f"SELECT count(*) FROM {table}") for table in TABLES}


async def another(world: World, number: int) -> World:
    campaign = await world.store.campaigns.add(world.account, world.user, a_campaign(number), NOW)
    return replace(world, campaign=campaign)


async def sent(world: World, *ids: str) -> Lease:
    """Add and hand over a message for each of the carrier's ids."""
    await world.add(len(ids))
    await world.plan()
    lease = await world.claim()
    assert lease is not None
    judged = [
        Judged(one.id, 1, DELIVERING, "main", NOW, (id_,)) for one, id_ in zip(lease.deliveries, ids, strict=True)
    ]
    await world.store.river.release(Step(lease, judged, (), NOW), 0)
    return lease


async def deleted(world: World, at: int = NOW) -> World:
    """Delete the campaign, and cancel what waits of it."""
    assert await world.store.campaigns.delete(world.campaign.number, at)
    while await world.store.river.sweep_over(NOW):
        pass
    return world


async def removed(portions: AsyncIterator[int]) -> int:
    return sum([rows async for rows in portions])


async def everything_of(world: World) -> None:
    """A campaign with rows in every table: messages, a retry, a call, a second revision, a deleted contact
    that may still move, what was told and what waits to be."""
    await sent(world, f"{world.campaign.number}-1", f"{world.campaign.number}-2")
    told = Receipt("main", ReceiptState.DELIVERED, DeliveryCode.OK, NOW, (f"{world.campaign.number}-1",), call=CALL)
    await world.store.receipts.receipts([told], rules(), NOW)
    await world.add(2, first=3)
    await world.plan()
    lease = await world.claim()
    assert lease is not None
    retry = [Judged(one.id, 1, AGAIN, "main", NOW) for one in lease.deliveries]
    await world.store.river.release(Step(lease, retry, (), NOW), 0)
    await world.add(2, first=5)
    await world.plan(limit=1)
    assert await world.store.contacts.delete(world.campaign.number, guid(2), NOW)
    assert not await world.store.progress.fold(world.campaign.number, NOW)
    await told_and_imported(world)
    await world.store.campaigns.replace(world.campaign.number, a_campaign(sms=None, is_paused=True), NOW)


async def test_a_deleted_campaign_goes_with_everything_and_nothing_else(world: World) -> None:
    before, after = world, await another(world, 901)
    await everything_of(before)
    alone = await left(world)
    await everything_of(after)
    last = await another(world, 902)
    both = await left(world)
    assert all(alone.values())
    await deleted(after)
    assert await removed(world.store.retention.remove(after.campaign.number)) > 0
    assert await world.store.campaigns.find_number(after.campaign.number) is None
    # One campaign with everything, and a bare one.
    assert await left(world) == alone
    assert both["contacts"] == 2 * alone["contacts"]
    assert len(await before.lines()) == 5
    await deleted(before)
    await deleted(last)
    assert await world.store.retention.expired(NOW + 1, 0, 10) == [before.campaign.number, last.campaign.number]


async def test_a_campaign_is_expired_once_nothing_of_it_is_under_way(world: World) -> None:
    retention, number = world.store.retention, world.campaign.number
    await another(world, 901)
    await world.add(2)
    await world.plan()
    lease = await world.claim()
    assert lease is not None
    assert await world.store.campaigns.delete(number, NOW)
    # Its sweep has not been yet.
    assert await retention.expired(LATER, 0, 10) == []
    while await world.store.river.sweep_over(NOW):
        pass
    # Somebody sends it still.
    assert await retention.expired(LATER, 0, 10) == []
    assert await removed(retention.remove(number)) == 0
    await world.store.river.release(
        Step(lease, [Judged(one.id, 1, SUCCESS, "main", NOW) for one in lease.deliveries], (), NOW), 0
    )
    assert await retention.expired(NOW, 0, 10) == []
    assert await retention.expired(LATER, number, 10) == []
    assert await retention.expired(LATER, 0, 10) == [number]
    # Two of contacts, deliveries and attempts, three happenings, progress, contents and the campaign.
    assert await removed(retention.remove(number)) == 12
    assert await retention.expired(LATER, 0, 10) == []


async def test_nothing_is_removed_of_a_campaign_that_lives(world: World) -> None:
    await everything_of(world)
    before = await left(world)
    assert await removed(world.store.retention.remove(world.campaign.number)) == 0
    assert await removed(world.store.retention.remove(world.campaign.number + 1)) == 0
    assert await left(world) == before


async def test_the_newest_campaigns_row_stays_so_that_its_number_is_nobody_elses(world: World) -> None:
    retention, number = world.store.retention, world.campaign.number
    await everything_of(world)
    await deleted(world)
    await removed(retention.remove(number))
    assert {table: rows for table, rows in (await left(world)).items() if rows} == {"campaigns": 1}
    assert await removed(retention.remove(number)) == 0
    newer = await another(world, 901)
    assert newer.campaign.number > number
    assert await removed(retention.remove(number)) == 1
    assert await world.store.campaigns.find_number(number) is None


async def test_removing_goes_on_where_it_was_interrupted(world: World) -> None:
    retention = world.store.retention
    await another(world, 901)
    await world.add(1_200)
    before = await left(world)
    await deleted(world)
    counts = []
    while rows := await first_portion(retention.remove(world.campaign.number)):
        counts.append(rows)
    assert sum(counts) == before["deliveries"] + before["contacts"] + 4
    assert await world.store.campaigns.find_number(world.campaign.number) is None


async def first_portion(portions: Any) -> int:
    """Take portions up to the first with a row in it, and no further."""
    async with aclosing(portions):
        async for rows in portions:
            if rows:
                return int(rows)
    return 0


async def test_news_of_what_is_removed_belongs_to_nothing(world: World) -> None:
    gone, stays = world, await another(world, 901)
    (one,) = (await sent(gone, "late")).deliveries
    await sent(stays, "kept")
    await deleted(gone)
    await removed(world.store.retention.remove(gone.campaign.number))
    late_news = world.store.receipts
    assert [one.carrier_id for one in await late_news.overdue("main", LATER, LATER, 10)] == ["kept"]
    answer = await late_news.receipts(delivered("late"), rules(), NOW)
    assert (answer.moved, answer.unmatched) == ([], 1)
    bounce = Receipt("mail", ReceiptState.FAILED, DeliveryCode.EMAIL_BOUNCED, NOW, (), one.id, 1, bounce=True)
    assert (await late_news.receipts([bounce], rules(), NOW)).moved == []
    settled = await late_news.settle_early(rules(), NOW)
    assert (settled.moved, settled.unmatched) == ([], 0)
    assert await removed(world.store.retention.remove_handovers()) == 1
    assert len((await late_news.receipts(delivered("kept"), rules(), NOW)).moved) == 1
    assert await removed(world.store.retention.remove_handovers()) == 0


async def test_old_messages_go_but_for_the_newest(world: World) -> None:
    receipts, retention = world.store.receipts, world.store.retention
    for text, at in (("one", NOW), ("two", NOW + 5), ("three", LATER)):
        await receipts.incoming(IncomingMessage("main", Medium.SMS, "+1", "+2", text, at))
    assert await removed(retention.remove_incoming(NOW + 5)) == 1
    assert [one.text for one in await receipts.messages()] == ["two", "three"]
    assert await removed(retention.remove_incoming(LATER + 1)) == 1
    assert await removed(retention.remove_incoming(LATER + 1)) == 0
    (newest,) = await receipts.messages()
    await receipts.incoming(IncomingMessage("main", Medium.SMS, "+1", "+2", "four", LATER))
    assert [one.text for one in await receipts.messages(newest.id)] == ["four"]


async def test_campaigns_of_all_accounts_are_read_page_by_page(world: World) -> None:
    other = await world.store.accounts.add_account("other", "UTC", "CA", NOW)
    user = await world.store.accounts.add_user(other.number, "max", "api", "hash", NOW)
    theirs = await world.store.campaigns.add(other.number, user.number, a_campaign(), NOW)
    third = await another(world, 901)
    retention = world.store.retention
    assert [one.number for one in await retention.campaigns(0, 2)] == [world.campaign.number, theirs.number]
    assert [one.number for one in await retention.campaigns(theirs.number, 2)] == [third.campaign.number]
    await deleted(third)
    assert await retention.campaigns(theirs.number, 2) == []


async def test_a_campaign_that_was_changed_meanwhile_is_not_deleted(world: World) -> None:
    read = (await world.store.retention.campaigns(0, 1))[0]
    changed = await world.store.campaigns.replace(read.number, a_campaign(name="Longer"), NOW)
    assert await world.store.retention.delete(read, LATER) is False
    assert await world.store.retention.delete(changed, LATER) is True
    assert await world.store.retention.delete(changed, LATER) is False
    assert await world.store.campaigns.find(world.account, read.campaign.guid) is None
    row = await world.store.campaigns.find_number(read.number)
    assert (row.deleted_at, row.version) == (LATER, changed.version + 1)


# --- two processes -----------------------------------------------------------------------------------------------


async def test_what_another_process_is_at_is_left_to_it(postgres: postgres_kit.Server, postgres_database: str) -> None:
    async with clustered(postgres, postgres_database) as cluster:
        world = await cluster.open()
        await another(world, 901)
        await world.add(3)
        await deleted(world)
        async with cluster.meddler.transaction():
            await cluster.meddler.execute("SELECT FROM campaigns WHERE number = $1 FOR UPDATE", world.campaign.number)
            assert await removed(world.store.retention.remove(world.campaign.number)) == 0
        assert await removed(world.store.retention.remove(world.campaign.number)) == 10


async def test_processes_that_remove_the_same_at_once_leave_nothing_beside_late_news(
    postgres: postgres_kit.Server, postgres_database: str
) -> None:
    async with clustered(postgres, postgres_database) as cluster:
        worlds = [await cluster.open() for _ in range(2)]
        world = worlds[0]
        await another(world, 901)
        ids = [f"c{number}" for number in range(500)]
        await sent(world, *ids)
        await deleted(world)
        told = [
            Receipt("main", ReceiptState.DELIVERED, DeliveryCode.OK, NOW, (one,), call=CALL) for one in reversed(ids)
        ]
        news = [worlds[n % 2].store.receipts.receipts(told[n : n + 50], rules(), NOW) for n in range(0, 500, 50)]
        removals = [removed(one.store.retention.remove(world.campaign.number)) for one in worlds for _ in range(2)]
        await asyncio.gather(*news, *removals)
        # Who found it taken went on; whoever comes next finishes it.
        await removed(world.store.retention.remove(world.campaign.number))
        assert {table: rows for table, rows in (await left(world)).items() if rows} == {
            "campaigns": 1,
            "contents": 1,
            "lanes": 3,
            "progress": 1,
        }


async def test_a_campaign_that_is_removed_is_nothing_to_a_claim_or_a_plan(world: World) -> None:
    await another(world, 901)
    await world.add(2)
    await deleted(world)
    await removed(world.store.retention.remove(world.campaign.number))
    assert await world.plan() == 0
    assert await world.claim() is None
    assert await world.store.river.lanes(world.campaign.number) == []
    assert await world.store.river.content(world.campaign.number, 1, Medium.SMS) is None
    with pytest.raises(LookupError):
        await world.add(1)
    assert Status.PENDING not in await world.statuses()
