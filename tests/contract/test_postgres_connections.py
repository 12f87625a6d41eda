"""Connections to PostgreSQL that are lost, bounded, moved or pooled; what it cannot keep, and what keeps it fast."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from campana.domain.delivery import Medium, Status
from campana.domain.message import IncomingMessage
from campana.domain.outcome import DeliveryCode, Receipt, ReceiptState
from campana.hosts import Hosts, one_by_one
from campana.storage.postgres import PostgresStore
from campana.storage.postgres.database import Pooling
from campana.storage.river import Judged, Step
from campana.storage.store import NewContact, StoreUnavailable
from tests.contract import postgres_kit
from tests.contract.conftest import NOW, World, guid, rules
from tests.contract.postgres_cluster import DELIVERING, SUCCESS, Cluster, clustered, delivered, judged, leased


@pytest.fixture
async def cluster(postgres: postgres_kit.Server, postgres_database: str) -> AsyncIterator[Cluster]:
    async with clustered(postgres, postgres_database) as cluster:
        yield cluster


# --- lost connections --------------------------------------------------------------------------------------------


async def end_backends(cluster: Cluster) -> None:
    """Cut every connection but the meddler's."""
    ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()"
    await cluster.meddler.execute(ended, cluster.database)


async def test_a_connection_that_dies_in_a_transaction_undoes_it_whole(cluster: Cluster) -> None:
    world = await cluster.open()
    await world.add(2)
    async with cluster.meddler.transaction():
        await cluster.meddler.execute("SELECT FROM lanes FOR UPDATE")
        plan = asyncio.create_task(world.plan())
        await cluster.until_somebody_waits()
        await end_backends(cluster)
        with pytest.raises(StoreUnavailable):
            await plan
    assert await world.store.river.oldest_due(NOW) == {}
    assert await world.plan() == 2


async def test_connections_that_died_idle_are_replaced_unseen(cluster: Cluster) -> None:
    world = await cluster.open()
    await asyncio.gather(*(world.store.river.lanes() for _ in range(8)))
    for use in (lambda: world.add(3), world.lines, world.plan):
        await end_backends(cluster)
        assert await use()
    await end_backends(cluster)
    lease = await world.claim()
    assert lease is not None
    await end_backends(cluster)
    assert await world.store.river.step(Step(lease, judged(lease, SUCCESS)[:1], (), NOW)) == frozenset()
    await end_backends(cluster)
    assert await world.store.river.release(Step(lease, judged(lease, SUCCESS)[1:], (), NOW), 0) is False
    assert await world.statuses() == [Status.SUCCESS] * 3


async def test_additions_that_share_a_lost_transaction_are_all_told(cluster: Cluster) -> None:
    world = await cluster.open()
    async with cluster.meddler.transaction():
        await cluster.meddler.execute("SELECT FROM campaigns FOR UPDATE")
        new = [NewContact(world.campaign.number, guid(n), ()) for n in range(1, 6)]
        adding = [asyncio.create_task(world.store.contacts.add(one, NOW)) for one in new]
        await cluster.until_somebody_waits()
        await end_backends(cluster)
        answers = await asyncio.gather(*adding, return_exceptions=True)
    assert isinstance(answers[0], StoreUnavailable)
    told = [answer is None for answer in answers]
    assert [line[0] for line in await world.lines()] == [one.guid for one, was in zip(new, told, strict=True) if was]


async def test_a_list_that_is_broken_off_gives_its_connection_back(cluster: Cluster) -> None:
    world = await cluster.open(Pooling(connections=1))
    await world.add(100)
    pages = world.store.contacts.pages(world.campaign.number, world.campaign.campaign.guid)
    assert len(await anext(pages)) < 100
    await pages.aclose()
    assert len(await world.lines()) == 100


async def test_no_more_connections_than_the_budget(cluster: Cluster) -> None:
    world = await cluster.open(Pooling(connections=3))
    await asyncio.gather(*(world.store.river.lanes() for _ in range(50)))
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()"
    assert await cluster.meddler.fetchval(others, cluster.database) == 3


@pytest.mark.parametrize("url", ["postgresql://campana@127.0.0.1:1/none", "postgresql://campana@127.0.0.1:{port}/none"])
async def test_a_server_or_database_that_is_not_there(postgres: postgres_kit.Server, url: str) -> None:
    with pytest.raises(StoreUnavailable):
        await PostgresStore.open(url.format(port=postgres.port))


async def test_of_several_hosts_the_one_that_can_be_written_to_is_taken(cluster: Cluster) -> None:
    await cluster.open()
    port = cluster.server.port
    url = f"postgresql://campana@127.0.0.1:1,127.0.0.1:{port}/{cluster.database}?target_session_attrs=read-write"
    store = await PostgresStore.open(url)
    assert [one.id for one in await store.accounts.list_accounts()] == ["acme"]
    await store.close()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://host/name", ["postgresql://host/name"]),
        ("postgresql:///name?host=/run", ["postgresql:///name?host=/run"]),
        ("postgres://u:p@a:1,b,[::1]:2/n?x=y,z", [f"postgres://u:p@{one}/n?x=y,z" for one in ("a:1", "b", "[::1]:2")]),
        ("postgresql://a,b?dbname=n", ["postgresql://a?dbname=n", "postgresql://b?dbname=n"]),
        ("postgresql://a,b", ["postgresql://a", "postgresql://b"]),
    ],
)
def test_hosts_of_a_url_are_taken_apart(url: str, expected: list[str]) -> None:
    assert one_by_one(url) == expected


async def test_a_host_that_is_silent_keeps_nobody_from_the_next(cluster: Cluster) -> None:
    """Such as a machine that stands still: it takes the connection and says nothing."""
    asked = 0

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await reader.read(-1)
        writer.close()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as silent:
        port = silent.sockets[0].getsockname()[1]
        url = f"postgresql://campana@127.0.0.1:{port},127.0.0.1:{cluster.server.port}/{cluster.database}"
        hosts = Hosts(f"{url}?target_session_attrs=read-write&sslmode=disable")
        for _ in range(3):
            connection = await hosts.connect(timeout=1.5)
            assert await connection.fetchval("SELECT 1") == 1
            await connection.close()
    assert asked == 1  # the one that answered is asked first from then on


async def test_without_any_host_that_answers_the_last_one_is_told_of() -> None:
    with pytest.raises(ConnectionRefusedError):
        await Hosts("postgresql://campana@127.0.0.1:1,127.0.0.1:1/none").connect(timeout=5)


async def test_a_primary_that_became_read_only_is_unavailable_until_it_is_not(cluster: Cluster) -> None:
    world = await cluster.open()
    await cluster.meddler.execute(f"ALTER DATABASE {cluster.database} SET default_transaction_read_only = on")
    await end_backends(cluster)
    with pytest.raises(StoreUnavailable):
        await world.add(1)
    await cluster.meddler.execute(f"ALTER DATABASE {cluster.database} RESET default_transaction_read_only")
    assert await world.add(1)


async def test_a_transaction_that_waits_too_long_is_undone_and_said_to_be(cluster: Cluster) -> None:
    world = await cluster.open()
    await world.add(1)
    await cluster.meddler.execute(f"ALTER DATABASE {cluster.database} SET statement_timeout = '50ms'")
    pooled = await cluster.open(Pooling(pooler=True))
    async with cluster.meddler.transaction():
        await cluster.meddler.execute("SELECT FROM lanes FOR UPDATE")
        plan = asyncio.create_task(pooled.plan())
        await cluster.until_somebody_waits()
        await cluster.meddler.execute(
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = $1",
            cluster.database,
        )
        with pytest.raises(StoreUnavailable):
            await plan
    assert await pooled.plan() == 1


# --- what PostgreSQL cannot keep, and what keeps it fast -----------------------------------------------------------


async def test_a_nul_in_a_carriers_words_stops_nothing(cluster: Cluster) -> None:
    world = await cluster.open()
    lease = await leased(world, 2)
    words = {"carrier_code": "\x00", "carrier_text": "nul \x00 here"}
    one, other = lease.deliveries
    sent = [
        Judged(one.id, 1, DELIVERING, "main", NOW, ("id\x00",), **words),
        Judged(other.id, 1, SUCCESS, "main", NOW, (), **words),
    ]
    await world.store.river.release(Step(lease, sent, (), NOW), 0)
    receipts = [
        Receipt("main", ReceiptState.DELIVERED, DeliveryCode.OK, NOW, (carrier_id,), **words)
        for carrier_id in ("id\x00", "nobody's\x00")
    ]
    answer = await world.store.receipts.receipts(receipts, rules(), NOW)
    assert (len(answer.moved), answer.unmatched) == (1, 1)
    assert await world.statuses() == [Status.SUCCESS] * 2
    await world.store.receipts.incoming(IncomingMessage("main", Medium.SMS, "\x00", "\x00", "\x00", NOW))
    assert [kept.text for kept in await world.store.receipts.messages()] == ["\ufffd"]


async def test_outcomes_touch_no_index(cluster: Cluster) -> None:
    """A claim and an outcome rewrite a row on its page (HOT), since there is room and no index mentions a status."""
    world = await cluster.open()
    await world.add(2_000)
    while await world.plan():
        pass
    while lease := await world.claim():
        await world.store.river.release(Step(lease, judged(lease, SUCCESS), (), NOW), 0)
    await world.store.close()
    counted = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'deliveries'"
    await cluster.until("(SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = 'deliveries') >= 4000")
    updates, hot = await cluster.meddler.fetchrow(counted)
    assert hot / updates > 0.9, (hot, updates)


async def test_a_pooler_of_transactions_may_be_between(cluster: Cluster) -> None:
    """Nothing is kept on a connection: no prepared statement, no setting."""
    world = await cluster.open(Pooling(connections=1, pooler=True))
    lease = await leased(world, 3)
    await world.store.river.step(Step(lease, (), [lease.deliveries[0].id], NOW))
    await world.store.river.release(Step(lease, judged(lease, DELIVERING, "a", "b", "c"), (), NOW), 0)
    await world.store.receipts.receipts(delivered("a", "b"), rules(), NOW)
    assert await world.statuses() == [4, 4, 3]
    assert [row.attempt async for page in world.store.attempts.pages(world.campaign.number) for row in page] == [1] * 3
    left: list[Any] = []

    async def look(connection: Any) -> None:
        left.append(await connection.fetchval("SELECT count(*) FROM pg_prepared_statements WHERE name <> ''"))
        left.append(await connection.fetchval("SHOW statement_timeout"))

    await world.store._database.write(look)
    outside = await world.store._database._look(lambda connection: connection.fetchval("SHOW statement_timeout"))
    assert (left, outside) == ([0, "30s"], "0")


@pytest.mark.skipif(postgres_kit.pgbouncer() is None, reason="no pgbouncer here")
async def test_through_pgbouncer(postgres: postgres_kit.Server) -> None:
    """Two processes with sixteen connections share three: from the first table to the last receipt."""
    name = await postgres.create("template0")
    async with clustered(postgres, name) as cluster:
        with postgres_kit.pooled(postgres) as port:
            cluster.url = f"postgresql://campana@127.0.0.1:{port}/{name}"
            worlds = [await cluster.open(Pooling(pooler=True)) for _ in range(2)]
            await worlds[0].add(400)

            async def work(world: World, owner: str) -> None:
                while (lease := await world.claim(owner=owner)) or await world.plan(20):
                    if lease is not None:
                        ids = [str(one.id) for one in lease.deliveries]
                        await world.store.river.step(Step(lease, (), [one.id for one in lease.deliveries], NOW))
                        await world.store.river.release(Step(lease, judged(lease, DELIVERING, *ids), (), NOW), 0)
                        await world.store.receipts.receipts(delivered(*ids), rules(), NOW)

            await asyncio.gather(*(work(world, f"{n}-{k}") for n, world in enumerate(worlds) for k in range(4)))
            assert Counter(await worlds[0].statuses()) == {Status.SUCCESS: 400}
    await postgres.drop(name)
