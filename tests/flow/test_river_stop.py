"""Stopping, starting again, and a store that is away for a while: nothing is lost and nothing leaves twice."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from river_kit import (
    email_campaign,
    email_route,
    flowing,
    inbox,
    phone,
    sms_campaign,
    sms_route,
)

from campana.domain.delivery import Medium
from campana.domain.progress import EventKind
from campana.sandbox.mail import MailSimulator
from campana.sandbox.smsc import SmscSimulator
from campana.storage.sqlite import SqliteStore
from campana.storage.store import StoreUnavailable


def stored(folder: Path) -> Counter[int]:
    """How many deliveries have each status, as the file says."""
    connection = sqlite3.connect(folder / "campana.db")
    try:
        return Counter(dict(connection.execute("SELECT status, count(*) FROM deliveries GROUP BY status").fetchall()))
    finally:
        connection.close()


async def test_a_stop_records_what_is_in_flight_and_a_start_sends_exactly_the_rest(tmp_path: Path) -> None:
    many = 600
    async with SmscSimulator(latency=0.1) as smsc:
        routes = [sms_route(smsc, rate=300)]
        async with flowing(tmp_path, routes) as river:
            campaign = await river.add(sms_campaign())
            await river.fill(campaign, [phone(number) for number in range(many)])
            await smsc.expect(phone(150), 20)
        arrived, statuses = smsc.accepted, stored(tmp_path)
        assert 150 < arrived < 400
        assert statuses[3] + statuses[4] == arrived
        assert statuses[1] == many - arrived
        async with flowing(tmp_path, routes) as river:
            await river.until_statuses(campaign, {4: many})
        assert smsc.counts == Counter({phone(number): 1 for number in range(many)})


async def test_stopping_again_and_again(tmp_path: Path) -> None:
    many = 300
    async with SmscSimulator() as smsc, MailSimulator() as mail:
        routes = [sms_route(smsc, rate=400), email_route(mail, rate=400)]
        campaigns: list[Any] = []
        for number in range(50, many, 50):
            async with flowing(tmp_path, routes) as river:
                if not campaigns:
                    campaigns = [await river.add(sms_campaign()), await river.add(email_campaign())]
                    await river.fill(campaigns[0], [phone(one) for one in range(many)])
                    await river.fill(campaigns[1], [inbox(one) for one in range(many)], Medium.EMAIL)
                await smsc.expect(phone(number), 20)
            assert stored(tmp_path)[2] == 0
        async with flowing(tmp_path, routes) as river:
            await river.until_statuses(campaigns[0], {4: many})
            await river.until_statuses(campaigns[1], {4: many}, Medium.EMAIL)
        assert smsc.counts == Counter({phone(number): 1 for number in range(many)})
        assert mail.counts == Counter({inbox(number): 1 for number in range(many)})


async def test_a_stop_keeps_its_budget_and_what_is_unanswered_is_uncertain(tmp_path: Path) -> None:
    async with SmscSimulator(latency=3_600, receipts=False) as smsc:
        async with flowing(tmp_path, [sms_route(smsc, window=20)], stop_budget=1.5) as river:
            campaign = await river.add(sms_campaign())
            await river.fill(campaign, [phone(number) for number in range(500)])
            await smsc.expect(phone(19), 20)
            began = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - began < 4.0
        smsc.latency, smsc.receipts = 0.0, True
        async with flowing(tmp_path, [sms_route(smsc)]) as river:
            await river.until_statuses(campaign, {4: 480, 6: 20})
        assert smsc.counts == Counter({phone(number): 1 for number in range(500)})


async def test_nothing_begins_after_a_stop(tmp_path: Path) -> None:
    async with SmscSimulator() as smsc:
        async with flowing(tmp_path, [sms_route(smsc, rate=50)]) as river:
            campaign = await river.add(sms_campaign())
            await river.fill(campaign, [phone(number) for number in range(300)])
            await smsc.expect(phone(5), 20)
            began = smsc.accepted
            await river.engine.stop(5.0)
            assert smsc.accepted <= began + 10
            assert smsc.links == set(), "the route has said goodbye"
        assert stored(tmp_path)[2] == 0


class SlowClaims:
    """A store whose claims take a while to be answered after they took effect."""

    def __init__(self, store: SqliteStore) -> None:
        self.campaigns, self.receipts, self.river = store.campaigns, store.receipts, self
        self.retention = store.retention
        self.progress = store.progress
        self.publications = store.publications
        self.claimed = asyncio.Event()
        self._river = store.river

    def __getattr__(self, name: str) -> Any:
        return getattr(self._river, name)

    async def claim(self, query: Any) -> Any:
        lease = await self._river.claim(query)
        if lease is not None:
            self.claimed.set()
            await asyncio.sleep(0.2)
        return lease


async def test_a_chunk_that_is_being_claimed_during_a_stop_goes_back(tmp_path: Path) -> None:
    slow: list[SlowClaims] = []

    def seen_as(store: SqliteStore) -> SlowClaims:
        slow.append(SlowClaims(store))
        return slow[0]

    async with SmscSimulator() as smsc:
        async with flowing(tmp_path, [sms_route(smsc)], seen_as=seen_as) as river:
            await river.until_routes_are(sms="up")
            campaign = await river.add(sms_campaign())
            await river.fill(campaign, [phone(number) for number in range(20)])
            await asyncio.wait_for(slow[0].claimed.wait(), 5)
        assert smsc.accepted == 0
    assert stored(tmp_path) == {1: 20}


# --- a store that is away ----------------------------------------------------------------------------------------


async def test_a_locked_file_delays_and_loses_nothing(tmp_path: Path) -> None:
    """Another process holds the file for longer than we wait for it."""
    many = 500
    async with SmscSimulator() as smsc, flowing(tmp_path, [sms_route(smsc, rate=1_000)]) as river:
        campaign = await river.add(sms_campaign())
        await river.fill(campaign, [phone(number) for number in range(many)])
        await smsc.expect(phone(100), 20)
        intruder = sqlite3.connect(tmp_path / "campana.db", isolation_level=None)
        intruder.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable):
            await river.contact(campaign, phone(many))
        intruder.execute("ROLLBACK")
        intruder.close()
        await river.contact(campaign, phone(many))
        await river.until_statuses(campaign, {4: many + 1})
        assert smsc.counts == Counter({phone(number): 1 for number in range(many + 1)})


class Flaky:
    """A part of a store of which some calls fail: before they were carried out, or, where it says so, after."""

    def __init__(self, part: Any, fails: Callable[[str], str]) -> None:
        self._part = part
        self._fails = fails

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._part, name)

        async def perhaps(*arguments: Any, **named: Any) -> Any:
            when = self._fails(name)
            if when == "before":
                raise StoreUnavailable("away")
            answer = await call(*arguments, **named)
            if when == "after":
                raise StoreUnavailable("away before it could answer")
            return answer

        return perhaps


class FlakyStore:
    """A store that the engine can rely on as little as any."""

    def __init__(self, store: SqliteStore, seed: int) -> None:
        self.share = 0.0
        self.failures: Counter[str] = Counter()
        self._dice = random.Random(seed)
        self.campaigns = Flaky(store.campaigns, self._fails)
        self.river = Flaky(store.river, self._fails)
        self.receipts = Flaky(store.receipts, self._fails)
        self.retention = store.retention
        self.progress = Flaky(store.progress, self._fails)
        self.publications = Flaky(store.publications, self._fails)

    def _fails(self, name: str) -> str:
        if self._dice.random() >= self.share:
            return ""
        self.failures[name] += 1
        return self._dice.choice(("before", "after"))


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_store_whose_calls_fail_now_and_then(tmp_path: Path, seed: int) -> None:
    """Every call may fail, before or after it took effect; leases that were lost so lapse and are taken over."""
    flaky: list[FlakyStore] = []

    def seen_as(store: SqliteStore) -> FlakyStore:
        flaky.append(FlakyStore(store, seed))
        return flaky[0]

    many = {"lease_ms": 1_500, "chunk_size": 40, "flush_size": 10, "rescan_ms": 1_000}
    async with SmscSimulator() as smsc, SmscSimulator() as other:
        routes = [sms_route(smsc, destinations=["+1416"]), sms_route(other, "other")]
        async with flowing(tmp_path, routes, seen_as=seen_as, **many) as river:
            await river.until_routes_are(sms="up", other="up")
            campaign = await river.add(sms_campaign())
            flaky[0].share = 0.15
            numbers = [phone(number) if number % 3 else f"+1613{5_600_000 + number}" for number in range(300)]
            await river.fill(campaign, numbers)
            await river.until_statuses(campaign, {4: 300})
            print(dict(flaky[0].failures))
            flaky[0].share = 0.0
            who, progress = await river.user(), river.services.progress

            async def is_told() -> bool:
                events = await progress.events(who, campaign.guid, 0, 10_000)
                assert [event.number for event in events] == list(range(1, len(events) + 1))
                return events[-1].kind is EventKind.FINISHED

            await river.until(is_told)
        assert smsc.counts + other.counts == Counter(dict.fromkeys(numbers, 1))
        assert len(flaky[0].failures) >= 8
