"""kill -9 at any moment: nothing is lost, SMS are never sent twice, email at most what was in flight.

What the carriers counted is balanced against the statuses that SOAP tells. Run again with CAMPANA_CRASH_SEED to have
the same moments chosen.
"""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from crash_kit import SEED, Standing, Town, guid_of, inbox, phone, town

pytestmark = [pytest.mark.xdist_group("crash"), pytest.mark.timeout(180)]

CAMPAIGN = "c0000000-0000-4000-8000-000000000001"
LEASES, FLUSH = 6, 100
"""How many chunks of a route are in flight at a time, and how much of each may be handed over and not recorded."""


@dataclass
class Balance:
    """What the carriers counted beside what Campana says."""

    statuses: Counter[tuple[str, int, int]]
    lost: list[str]
    denied: list[str]
    extra: dict[str, int]
    uncertain: dict[str, int]

    def __str__(self) -> str:
        return f"{dict(self.statuses)}; sent again {self.extra}; uncertain {self.uncertain}"


async def balance(here: Town, count: int, within: float = 60.0) -> Balance:
    """Wait until every delivery has ended, then compare."""
    deadline = time.monotonic() + within
    while True:
        told = await here.client.standings(CAMPAIGN)
        told.pop("voice")
        if all(one.status in (4, 6, 7) for medium in told.values() for one in medium.values()):
            break
        assert time.monotonic() < deadline, Counter(one.status for medium in told.values() for one in medium.values())
        await asyncio.sleep(0.2)
    assert sorted(told["sms"]) == sorted(told["email"]) == list(range(count))
    return _compare(told, {"sms": here.smsc.taken(), "email": here.mail.taken()})


def _compare(told: dict[str, dict[int, Standing]], taken: dict[str, Counter[str]]) -> Balance:
    found = Balance(Counter(), [], [], {}, {})
    for medium, standings in told.items():
        counts = taken[medium]
        for one in standings.values():
            found.statuses[medium, one.status, one.error] += 1
            if one.status == 4 and not counts[one.destination]:
                found.lost.append(one.destination)
            if counts[one.destination] and one.status != 4 and (one.status, one.error) != (6, 106):
                found.denied.append(one.destination)
        found.extra[medium] = sum(count - 1 for count in counts.values())
        found.uncertain[medium] = sum(one.error == 106 for one in standings.values())
        assert set(counts) <= {one.destination for one in standings.values()}, "somebody got what is nobody's"
    return found


def check(found: Balance, kills: int) -> None:
    """Nothing lost; an SMS once at most; an email again only where it was in flight at a kill."""
    print(found)
    assert found.lost == [], "called delivered, and never arrived"
    assert found.denied == [], "arrived, and called failed for another reason than that nobody can know"
    assert {status for _, status, _ in found.statuses} <= {4, 6}
    assert {error for _, status, error in found.statuses if status == 6} <= {106}
    assert found.extra["sms"] == 0
    assert found.extra["email"] <= kills * LEASES * FLUSH
    assert found.uncertain["sms"] <= kills * LEASES * FLUSH


async def loaded(here: Town, count: int) -> None:
    """A campaign with contacts, which begins now."""
    await here.client.add_campaign(CAMPAIGN, paused=True)
    assert len(await here.client.load(CAMPAIGN, list(range(count)))) == count
    await here.client.add_campaign(CAMPAIGN, update=True)


async def test_killed_ten_times_while_busy(tmp_path: Path) -> None:
    count, kills, dice = 3_000, 11, random.Random(SEED)
    print(f"CAMPANA_CRASH_SEED={SEED}")
    async with town(tmp_path, rate=400) as here:
        await loaded(here, count)
        for _ in range(kills):
            await here.until_arrived(here.arrived() + dice.randint(50, 350))
            # Messages come in bursts; so that not every kill comes after the same step of one.
            await asyncio.sleep(dice.uniform(0, 0.06))
            await here.server.kill()
            await here.server.start()
        assert here.arrived() < 2 * count, "every kill hit it while it was busy"
        found = await balance(here, count)
    check(found, kills)
    assert found.statuses["sms", 4, 0] >= count - kills * LEASES * FLUSH


async def test_what_was_acknowledged_survives_a_kill_while_loading(tmp_path: Path) -> None:
    count, dice = 2_000, random.Random(SEED)
    print(f"CAMPANA_CRASH_SEED={SEED}")
    async with town(tmp_path, rate=2_000) as here:
        await here.client.add_campaign(CAMPAIGN, paused=True)
        acknowledged: set[int] = set()
        kills = 0
        while len(acknowledged) < count:
            left = [number for number in range(count) if number not in acknowledged]
            loading = asyncio.create_task(here.client.load(CAMPAIGN, left))
            if kills < 3:
                await asyncio.sleep(dice.uniform(0.05, 0.25))
                await here.server.kill()
                kills += 1
            acknowledged |= set(await loading)
            if here.server.ended:
                await here.server.start()
            there = await here.client.guids(CAMPAIGN)
            assert len(there) == len(set(there))
            assert {guid_of(number) for number in acknowledged} <= set(there)
            acknowledged = {number for number in range(count) if guid_of(number) in set(there)}
        assert kills == 3
        await here.client.add_campaign(CAMPAIGN, update=True)
        found = await balance(here, count)
    check(found, 0)
    assert found.statuses == {("sms", 4, 0): count, ("email", 4, 0): count}


async def test_killed_during_a_graceful_stop(tmp_path: Path) -> None:
    count, kills, dice = 800, 3, random.Random(SEED)
    print(f"CAMPANA_CRASH_SEED={SEED}")
    async with town(tmp_path, rate=200, smsc_options=("--receipt-delay", "0.1", "--latency", "0.2")) as here:
        await loaded(here, count)
        for _ in range(kills):
            await here.until_arrived(here.arrived() + dice.randint(100, 200))
            here.server.signal(signal.SIGTERM)
            await asyncio.sleep(dice.uniform(0.0, 0.15))
            await here.server.kill()
            await here.server.start()
        found = await balance(here, count)
    check(found, kills)


async def test_a_graceful_stop_leaves_nothing_uncertain(tmp_path: Path) -> None:
    count = 600
    async with town(tmp_path, rate=200) as here:
        await loaded(here, count)
        for moment in (200, 600):
            await here.until_arrived(moment)
            here.server.signal(signal.SIGTERM)
            assert await asyncio.wait_for(here.server.wait(), 10) == 0
            await here.server.start()
        found = await balance(here, count)
    check(found, 0)
    assert found.statuses == {("sms", 4, 0): count, ("email", 4, 0): count}


async def test_frozen_for_longer_than_its_leases(tmp_path: Path) -> None:
    count = 800
    async with town(tmp_path, rate=200, lease=2) as here:
        await loaded(here, count)
        for moment in (200, 700):
            await here.until_arrived(moment)
            here.server.signal(signal.SIGSTOP)
            await asyncio.sleep(3)
            here.server.signal(signal.SIGCONT)
        found = await balance(here, count)
        taken = here.smsc.taken(), here.mail.taken()
    check(found, 0)
    assert taken == ({phone(n): 1 for n in range(count)}, {inbox(n): 1 for n in range(count)})
