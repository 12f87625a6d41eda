"""Several processes on one PostgreSQL, as the tests of races and of lost connections have them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from campana.domain.delivery import Status
from campana.domain.outcome import Change, DeliveryCode, Receipt, ReceiptState
from campana.storage.postgres import PostgresStore
from campana.storage.postgres.database import Pooling
from campana.storage.river import Judged, Lease
from tests.contract import postgres_kit
from tests.contract.conftest import NOW, World, a_campaign

DELIVERING = Change(Status.DELIVERING, DeliveryCode.OK, True)
SUCCESS = Change(Status.SUCCESS, DeliveryCode.OK, True)
AGAIN = Change(Status.WAITING_FOR_RETRY, DeliveryCode.SMS_TEMPORARY, True, NOW + 1)
DIRECT = Pooling()
PATIENCE = 20.0


@dataclass
class Cluster:
    """Several stores on one database, as processes have them, and a connection from which to meddle."""

    server: postgres_kit.Server
    database: str
    meddler: asyncpg.Connection
    url: str
    worlds: list[World] = field(default_factory=list)
    stores: list[PostgresStore] = field(default_factory=list)

    async def open(self, pooling: Pooling = DIRECT) -> World:
        """One more process."""
        store = await PostgresStore.open(self.url, pooling=pooling)
        self.stores.append(store)
        if self.worlds:
            first = self.worlds[0]
            world = World(store, first.account, first.user, first.campaign)
        else:
            account = await store.accounts.add_account("acme", "UTC", "CA", NOW)
            user = await store.accounts.add_user(account.number, "maria", "api", "hash", NOW)
            campaign = await store.campaigns.add(account.number, user.number, a_campaign(), NOW)
            world = World(store, account.number, user.number, campaign)
        self.worlds.append(world)
        return world

    async def until(self, condition: str, *values: Any) -> None:
        """Wait until the server sees something."""
        async with asyncio.timeout(PATIENCE):
            while not await self.meddler.fetchval(f"SELECT {condition} FROM pg_sleep(0.005)", *values):
                pass

    async def until_somebody_waits(self) -> None:
        """Wait until a transaction of a store waits for a lock."""
        await self.until(
            "EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')"
        )


@asynccontextmanager
async def clustered(server: postgres_kit.Server, database: str) -> AsyncIterator[Cluster]:
    """A cluster on a database, whose stores are closed at the end."""
    meddler = await asyncpg.connect(server.url(database))
    cluster = Cluster(server, database, meddler, server.url(database))
    try:
        yield cluster
    finally:
        for store in cluster.stores:
            await store.close()
        await meddler.close()


async def leased(world: World, contacts: int = 1, first: int = 1) -> Lease:
    await world.add(contacts, first)
    await world.plan()
    lease = await world.claim()
    assert lease is not None
    return lease


def judged(lease: Lease, change: Change, *ids: str) -> list[Judged]:
    names = ids or ("",) * len(lease.deliveries)
    return [
        Judged(one.id, one.attempt, change, "main", NOW, (name,) if name else ())
        for one, name in zip(lease.deliveries, names, strict=True)
    ]


def delivered(*ids: str) -> list[Receipt]:
    return [Receipt("main", ReceiptState.DELIVERED, DeliveryCode.OK, NOW, (one,)) for one in ids]
