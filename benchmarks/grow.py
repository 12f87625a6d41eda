"""Owns the process that is measured when a campaign grows: at each size, what the next contacts cost at its end.

Must not judge anything. `python -m benchmarks.grow URL SERVER SAMPLE SIZE ...` says one line of JSON a size. Guids,
numbers and carriers' ids come in no order, as clients and carriers make them: an index on them grows everywhere.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import asyncpg
import uvloop

from benchmarks.report import median
from benchmarks.stores import Store, cpu, file_of, is_file, open_store
from campana.domain.campaign import Campaign, SmsSettings
from campana.domain.contact import Admitted
from campana.domain.delivery import Medium, Status
from campana.domain.moment import HOUR
from campana.domain.outcome import Change, DeliveryCode, Receipt, ReceiptState
from campana.engine.options import EngineOptions, retry_rule
from campana.storage.river import ClaimedDelivery, ClaimQuery, Cut, Judged, Step
from campana.storage.sqlite.database import connect
from campana.storage.store import NewContact
from campana.storage.tables import NEVER
from campana.telemetry import configure_logging
from campana.wiring import now_ms

PAGE, CHUNK, FLUSH, WORKERS = 1_000, 500, 100, 4
ROUTE: Final = "sms"
OPEN_SHARE: Final = 10
"""Of so many messages, the carrier never tells the end of one: telephones that are switched off."""
LOOKED_UP: Final = 500
LOOKS: Final = 200
"""So many, since the kernel counts the CPU of a server in hundredths of a second."""
_MIX: Final = 0x9E3779B97F4A7C15
_NUMBERS: Final = 10_000_000_000
_SUCCESS = Change(Status.SUCCESS, DeliveryCode.OK, True)
_DELIVERING = Change(Status.DELIVERING, DeliveryCode.OK, True)
_RULES = partial(retry_rule, EngineOptions("bench", (60_000,)))


def guid_of(campaign: int, number: int) -> str:
    """The guid of a campaign's contact: any, but the same each time it is asked for."""
    word = f"{(number * _MIX + campaign) % (1 << 64):016x}"
    return f"{word[:8]}-{word[8:12]}-4{word[13:]}-8{campaign % 0x1000:03x}-{number:012x}"


def contact_of(campaign: int, number: int) -> NewContact:
    """A campaign's contact with a telephone number of its own."""
    to = f"+1{(number * 7_654_321_987 + campaign) % _NUMBERS:010d}"
    return NewContact(campaign, guid_of(campaign, number), (Admitted(Medium.SMS, to, to, None, 3),))


@dataclass(slots=True)
class Cost:
    """Seconds, and seconds of CPU, client and server."""

    seconds: float = 0.0
    cpu: float = 0.0


@dataclass(slots=True)
class Growth:
    """A store, how much was put into it, and what is measured on it."""

    store: Store
    server: int
    account: int = 0
    user: int = 0
    made: int = 0
    contacts: int = 0
    costs: dict[str, Cost] = field(default_factory=dict)

    async def begin(self) -> None:
        """Add what campaigns belong to."""
        account = await self.store.accounts.add_account("bench", "UTC", "CA", now_ms())
        user = await self.store.accounts.add_user(account.number, "bench", "api", "-", now_ms())
        self.account, self.user = account.number, user.number

    async def campaign(self) -> int:
        """Add a campaign; its number."""
        self.made += 1
        guid = f"00000000-0000-4000-8000-{self.made:012x}"
        campaign = Campaign(guid=guid, name="bench", sms=SmsSettings(True, "+14165550100", "Hello"))
        return (await self.store.campaigns.add(self.account, self.user, campaign, now_ms())).number

    @contextmanager
    def measured(self, what: str) -> Iterator[None]:
        """Count what the block costs."""
        cost = self.costs.setdefault(what, Cost())
        began, used = time.perf_counter(), cpu(self.server)
        yield
        cost.seconds += time.perf_counter() - began
        cost.cpu += cpu(self.server) - used

    async def add(self, campaign: int, first: int, last: int) -> None:
        """Add contacts with these running numbers."""
        self.contacts += last + 1 - first
        for start in range(first, last + 1, PAGE):
            page = [contact_of(campaign, number) for number in range(start, min(start + PAGE, last + 1))]
            await self.store.contacts.add_many(page, now_ms())

    async def plan(self, campaign: int, count: int) -> None:
        """Cut so many contacts into chunks."""
        for turn in range(-(-count // CHUNK)):
            await self.store.river.plan([Cut(campaign, Medium.SMS, CHUNK, turn, 0, NEVER)], now_ms())

    async def complete(self, *, awaited: int) -> list[str]:
        """Claim and complete everything that was planned; one of `awaited` messages waits for a receipt. Their ids."""
        open_: list[str] = []
        await asyncio.gather(*(self._work(awaited, open_) for _ in range(WORKERS)))
        return open_

    async def _work(self, awaited: int, open_: list[str]) -> None:
        river = self.store.river
        while lease := await river.claim(ClaimQuery("bench", (Medium.SMS,), now_ms(), now_ms() + 30_000)):
            judged: list[Judged] = []
            for start in range(0, len(lease.deliveries), FLUSH):
                portion = lease.deliveries[start : start + FLUSH]
                await river.step(Step(lease, judged, [one.id for one in portion], now_ms()))
                judged = [_judged(one, one.id // FLUSH % awaited == 0) for one in portion]
                open_ += [carrier_id for one in judged for carrier_id in one.carrier_ids]
            await river.release(Step(lease, judged, (), now_ms()), 0)

    async def receive(self, carrier_ids: Sequence[str]) -> None:
        """The carrier tells of messages that they were delivered."""
        for start in range(0, len(carrier_ids), FLUSH):
            some = carrier_ids[start : start + FLUSH]
            batch = [Receipt(ROUTE, ReceiptState.DELIVERED, DeliveryCode.OK, now_ms(), (one,)) for one in some]
            await self.store.receipts.receipts(batch, _RULES, now_ms())

    async def look_up(self, campaign: int, size: int) -> None:
        """Ask for single contacts by their guids, anywhere in a campaign."""
        for step in range(LOOKED_UP):
            guid = guid_of(campaign, 1 + step * 7_919 * 104_729 % size)
            assert await self.store.attempts.of_contact(campaign, guid) is not None


def _judged(one: ClaimedDelivery, is_awaited: bool) -> Judged:
    if not is_awaited:
        return Judged(one.id, one.attempt, _SUCCESS, ROUTE, now_ms())
    return Judged(one.id, one.attempt, _DELIVERING, ROUTE, now_ms(), (f"{one.id * _MIX % (1 << 64):016x}",))


async def pages(store: Store, campaign: int) -> dict[str, float]:
    """Read a campaign's list: milliseconds of its first page, and seconds a contact of its first and last full ones."""
    taken: list[tuple[float, int]] = []
    began = time.perf_counter()
    async for page in _timed(store, campaign, taken):
        del page
    seconds, contacts = time.perf_counter() - began, sum(count for _, count in taken)
    full = [(each, count) for each, count in taken if count == max(count for _, count in taken)]
    few = full[: len(full) // 2 or 1][:10], full[-10:]
    early, late = (median([each / count for each, count in some]) for some in few)
    return {"first_ms": taken[0][0] * 1e3, "early": early, "late": late, "rate": contacts / seconds}


async def _timed(store: Store, campaign: int, taken: list[tuple[float, int]]) -> AsyncIterator[int]:
    began = time.perf_counter()
    async for page in store.contacts.pages(campaign, ""):
        taken.append((time.perf_counter() - began, len(page)))
        yield len(page)
        began = time.perf_counter()


async def sizes(url: str) -> dict[str, tuple[int, int]]:
    """Octets of each table that grows, and of its indexes."""
    tables = ("contacts", "deliveries", "attempts", "handovers", "chunks")
    if is_file(url):
        connection = connect(file_of(url), read_only=True)
        rows = connection.execute(
            "SELECT m.tbl_name, m.type, sum(s.pgsize) FROM dbstat('main', 1) AS s JOIN sqlite_schema AS m"
            " ON m.name = s.name GROUP BY 1, 2"
        ).fetchall()
        connection.close()
        found = {(table, kind): size for table, kind, size in rows}
        return {table: (found.get((table, "table"), 0), found.get((table, "index"), 0)) for table in tables}
    direct = await asyncpg.connect(url)
    try:
        ask = "SELECT pg_table_size(name::regclass), pg_indexes_size(name::regclass) FROM unnest($1::text[]) AS name"
        return {
            table: (size, more) for table, (size, more) in zip(tables, await direct.fetch(ask, tables), strict=True)
        }
    finally:
        await direct.close()


async def grow(url: str, server: int, sample: int, wanted: Sequence[int]) -> None:
    """Grow one campaign to each size; where that is less than the sample, as many campaigns as make one."""
    growth = Growth(await open_store(url), server)
    await growth.begin()
    large = reached = 0
    for size in wanted:
        growth.costs.clear()
        began = time.perf_counter()
        if size < sample:
            campaigns = [await growth.campaign() for _ in range(sample // size)]
            for campaign in campaigns:
                await _measure(growth, campaign, 1, size)
        else:
            large = large or await growth.campaign()
            campaigns, filler = [large], size - sample
            with growth.measured("filling"):
                await growth.add(large, reached + 1, filler)
                await growth.plan(large, filler - reached)
                await growth.complete(awaited=OPEN_SHARE)
            await _measure(growth, large, filler + 1, size)
            reached = size
        found = await _read(growth, campaigns[-1], size)
        counts = {name: {"seconds": cost.seconds, "cpu": cost.cpu} for name, cost in growth.costs.items()}
        found |= {
            "size": size,
            "costs": counts,
            "sizes": await sizes(url),
            "contacts": growth.contacts,
            "took": time.perf_counter() - began,
        }
        print(json.dumps(found), flush=True)
    await growth.store.close()


async def _measure(growth: Growth, campaign: int, first: int, last: int) -> None:
    with growth.measured("adding"):
        await growth.add(campaign, first, last)
    half = (last + 1 - first) // 2
    with growth.measured("planning"):
        await growth.plan(campaign, half)
    with growth.measured("claim and complete"):
        await growth.complete(awaited=NEVER)
    with growth.measured("planning"):
        await growth.plan(campaign, last + 1 - first - half)
    with growth.measured("with carriers' ids"):
        awaited = await growth.complete(awaited=1)
    with growth.measured("receipts"):
        await growth.receive(awaited)


async def _read(growth: Growth, campaign: int, size: int) -> dict[str, Any]:
    river, receipts = growth.store.river, growth.store.receipts
    with growth.measured("looking up"):
        await growth.look_up(campaign, size)
    for _ in range(LOOKS):
        with growth.measured("lanes"):
            await river.lanes()
        with growth.measured("lanes of one"):
            await river.lanes(campaign)
        with growth.measured("overdue"):
            await receipts.overdue(ROUTE, now_ms() - HOUR, now_ms(), FLUSH)
    return {"pages": await pages(growth.store, campaign)}


def main() -> None:
    """Grow, and say what it cost."""
    configure_logging("warning", "json")
    url, server, sample, *wanted = sys.argv[1], *map(int, sys.argv[2:])
    uvloop.run(grow(url, server, sample, wanted))


if __name__ == "__main__":
    main()
