"""Owns the work with which a store is measured: plan, then claim and complete everything as the engine does.

Must not know which store it is, nor what the engine does between: nothing is rendered or sent.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from benchmarks.drain import fill
from campana.domain.delivery import Medium, Status
from campana.domain.outcome import Change, DeliveryCode
from campana.storage.postgres import PostgresStore
from campana.storage.river import ClaimQuery, Cut, Judged, River, Step
from campana.storage.sqlite import SqliteStore
from campana.storage.tables import NEVER
from campana.wiring import now_ms

CHUNK, FLUSH, WORKERS = 500, 100, 4

_SUCCESS = Change(Status.SUCCESS, DeliveryCode.OK, True)
_DELIVERING = Change(Status.DELIVERING, DeliveryCode.OK, True)


@dataclass(frozen=True, slots=True)
class Work:
    """So many deliveries, which a carrier gave an id or which were final at once."""

    count: int
    with_ids: bool


async def filled(store: SqliteStore | PostgresStore, work: Work) -> int:
    """Add a campaign with its contacts; its number."""
    return await fill(store, work.count, Medium.SMS)


async def planned(store: SqliteStore | PostgresStore, campaign: int, work: Work) -> None:
    """Cut all of it into chunks."""
    for turn in range(0, work.count, CHUNK):
        await store.river.plan([Cut(campaign, Medium.SMS, CHUNK, turn, 0, NEVER)], now_ms())


async def completed(store: SqliteStore | PostgresStore, work: Work) -> None:
    """Claim and complete everything that is planned."""
    await asyncio.gather(*(_worker(store.river, work.with_ids) for _ in range(WORKERS)))


async def _worker(river: River, with_ids: bool) -> None:
    while lease := await river.claim(ClaimQuery("bench", (Medium.SMS,), now_ms(), now_ms() + 30_000)):
        judged: list[Judged] = []
        for start in range(0, len(lease.deliveries), FLUSH):
            portion = lease.deliveries[start : start + FLUSH]
            await river.step(Step(lease, judged, [one.id for one in portion], now_ms()))
            at = now_ms()
            if with_ids:
                judged = [Judged(one.id, one.attempt, _DELIVERING, "sms", at, (f"{one.id}",)) for one in portion]
            else:
                judged = [Judged(one.id, one.attempt, _SUCCESS, "sms", at) for one in portion]
        await river.release(Step(lease, judged, (), now_ms()), 0)
