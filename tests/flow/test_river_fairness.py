"""Nobody waits long behind a large campaign, and accounts share a route alike."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from river_kit import Log, River, flowing, phone, sms_campaign, sms_route

from campana.domain.campaign import Campaign
from campana.sandbox.smsc import SmscSimulator

SMALL = 10
BESIDE = 400_000
"""Numbers of the small campaign begin here."""


async def filled(river: River, first: int, count: int, account: str = "acme") -> Campaign:
    campaign = await river.add(sms_campaign(), account)
    await river.fill(campaign, [phone(first + number) for number in range(count)], account=account)
    return campaign


async def overtake(river: River, log: Log, account: str) -> tuple[int, float]:
    """Add a small campaign; how many others got theirs before its last one did, and in which time."""
    already = len(log.arrived)
    started = asyncio.get_running_loop().time()
    await filled(river, BESIDE, SMALL, account)
    ours = {phone(BESIDE + number) for number in range(SMALL)}
    await log.until(lambda: ours <= set(log.arrived[already:]))
    return len(log.arrived) - already - SMALL, asyncio.get_running_loop().time() - started


@pytest.mark.xdist_group("quiet")
@pytest.mark.parametrize("account", ["acme", "other"])
async def test_ten_contacts_overtake_a_hundred_thousand(tmp_path: Path, account: str) -> None:
    log = Log()
    simulator = SmscSimulator(receipts=False, keep=1_000, on_message=log.take)
    async with simulator as smsc, flowing(tmp_path, [sms_route(smsc, receipts=False)]) as river:
        big = await filled(river, 0, 100_000)
        await log.until(lambda: len(log.arrived) > 2_000)
        others, seconds = await overtake(river, log, account)
        print(f"{others} of the large campaign went before, in {seconds:.2f} s")
        assert others <= 12 * 500
        assert len(log.arrived) < 50_000, "the large one was still under way"
        await river.delete(big)


async def test_on_a_slow_route_ten_contacts_wait_for_what_the_route_carries(tmp_path: Path) -> None:
    log, rate, seconds_ahead = Log(), 100, 2
    async with SmscSimulator(receipts=False, on_message=log.take) as smsc:
        routes = [sms_route(smsc, receipts=False, rate=rate)]
        async with flowing(tmp_path, routes, chunk_ms=seconds_ahead * 1_000) as river:
            big = await filled(river, 0, 5_000)
            await log.until(lambda: len(log.arrived) > 50)
            others, seconds = await overtake(river, log, "other")
            print(f"{others} of the large campaign went before, in {seconds:.2f} s")
            assert others <= (seconds_ahead + 1) * rate
            await river.delete(big)


async def test_accounts_share_a_route_alike(tmp_path: Path) -> None:
    log = Log()
    async with (
        SmscSimulator(receipts=False, keep=1_000, on_message=log.take) as smsc,
        flowing(tmp_path, [sms_route(smsc, receipts=False, rate=1_000)], chunk_size=50) as river,
    ):
        first = await filled(river, 0, 5_000, "first")
        again = await filled(river, 100_000, 5_000, "first")
        second = await filled(river, 200_000, 5_000, "second")
        await log.until(lambda: len(log.arrived) >= 1_000)
        log.arrived.clear()
        await log.until(lambda: len(log.arrived) >= 2_000)
        theirs = sum(destination >= phone(200_000) for destination in log.arrived) / len(log.arrived)
        assert 0.4 <= theirs <= 0.6, "two campaigns give an account no more than one does"
        for campaign, account in ((first, "first"), (again, "first"), (second, "second")):
            await river.delete(campaign, account)
