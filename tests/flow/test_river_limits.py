"""A route's limit holds in every second, is nearly used up under load, and gives way where the carrier throttles."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
from river_kit import (
    Log,
    email_campaign,
    email_route,
    flowing,
    inbox,
    magic,
    phone,
    sms_campaign,
    sms_route,
)

from campana.domain.delivery import Medium
from campana.domain.rate import RECOVERY_MS
from campana.sandbox.mail import MailSimulator
from campana.sandbox.smsc import SmscSimulator

pytestmark = pytest.mark.xdist_group("quiet")


def most_in_a_second(times: Iterable[int]) -> int:
    """The largest number of arrivals in any stretch of a second, from their times in milliseconds."""
    arrivals = sorted(times)
    return max(bisect_left(arrivals, at + 1_000) - index for index, at in enumerate(arrivals))


def used(times: Iterable[int], rate: int) -> float:
    """Which share of the rate was used between the first and the last arrival."""
    arrivals = sorted(times)
    return (len(arrivals) - 1) / (arrivals[-1] - arrivals[0]) * 1_000 / rate


@pytest.mark.parametrize(("rate", "count"), [(10, 36), (150, 450), (500, 1_500)])
async def test_the_limit_holds_in_any_second_and_is_used(tmp_path: Path, rate: int, count: int) -> None:
    log = Log()
    simulator = SmscSimulator(on_message=log.take)
    async with simulator as smsc, flowing(tmp_path, [sms_route(smsc, rate=rate)]) as river:
        campaigns = [await river.add(sms_campaign()) for _ in range(3)]
        for place, campaign in enumerate(campaigns):
            await river.fill(campaign, [phone(place * 10_000 + number) for number in range(count // 3)])
        # Only then is looked how they stand: looking takes time from the sender.
        await log.until(lambda: len(log.arrived) == count)
        for campaign in campaigns:
            await river.until_statuses(campaign, {4: count // 3})
        times = [message.at for message in smsc.messages]
    print(f"{most_in_a_second(times)} in a second, {used(times, rate):.1%} used")
    assert most_in_a_second(times) <= rate
    assert used(times, rate) >= 0.9


async def test_the_limit_of_an_email_route(tmp_path: Path) -> None:
    async with MailSimulator() as mail, flowing(tmp_path, [email_route(mail, rate=100)]) as river:
        campaign = await river.add(email_campaign())
        await river.fill(campaign, [inbox(number) for number in range(300)], Medium.EMAIL)
        await river.until_statuses(campaign, {4: 300}, Medium.EMAIL)
        times = [message.at for message in mail.messages]
    assert most_in_a_second(times) <= 100
    assert used(times, 100) >= 0.9


async def test_what_a_slow_carrier_held_up_does_not_leave_in_one_burst(tmp_path: Path) -> None:
    """The window is full for a while; then the carrier answers at once again."""
    rate = 100
    async with SmscSimulator(latency=0.5) as smsc:
        async with flowing(tmp_path, [sms_route(smsc, rate=rate, window=10)]) as river:
            campaign = await river.add(sms_campaign())
            await river.fill(campaign, [phone(number) for number in range(200)])
            await smsc.expect(phone(30), 20)
            smsc.latency = 0.0
            await river.until_statuses(campaign, {4: 200})
        times = [message.at for message in smsc.messages]
    assert most_in_a_second(times) <= rate


async def test_what_has_left_is_recorded_before_its_lease_waits_for_the_route(tmp_path: Path) -> None:
    """Else its receipt would find nothing, and a crash would make it uncertain, for as long as the route is slow."""
    simulator = SmscSimulator(receipt_delay=0.01)
    async with simulator as smsc, flowing(tmp_path, [sms_route(smsc, rate=1)], chunk_ms=120_000) as river:
        campaign = await river.add(sms_campaign())
        await river.fill(campaign, [phone(number) for number in range(10)])
        await river.until_statuses(campaign, {4: 1, 2: 9})
        assert smsc.accepted == 1
        await river.delete(campaign)


async def test_two_routes_have_a_limit_each(tmp_path: Path) -> None:
    async with SmscSimulator() as slow, SmscSimulator() as fast:
        routes = [
            sms_route(slow, "slow", rate=20, destinations=["+1416"]),
            sms_route(fast, "fast", rate=200, destinations=["+1613"]),
        ]
        async with flowing(tmp_path, routes) as river:
            campaign = await river.add(sms_campaign())
            numbers = [phone(number) for number in range(60)]
            others = [f"+1613{5_600_000 + number}" for number in range(300)]
            mixed = [number for pair in zip(others, numbers, strict=False) for number in pair] + others[60:]
            await river.fill(campaign, mixed)
            await river.until_statuses(campaign, {4: 360})
        for smsc, rate in ((slow, 20), (fast, 200)):
            assert most_in_a_second(message.at for message in smsc.messages) <= rate
        assert max(message.at for message in fast.messages) < max(message.at for message in slow.messages)


# --- throttling --------------------------------------------------------------------------------------------------


async def test_throttling_answers_cost_no_attempt_and_repeat_nothing(tmp_path: Path) -> None:
    async with SmscSimulator(rate=100) as smsc, flowing(tmp_path, [sms_route(smsc)]) as river:
        campaign = await river.add(sms_campaign())
        await river.fill(campaign, [phone(number) for number in range(300)])
        await river.until_statuses(campaign, {4: 300})
        assert {line.left for line in await river.lines(campaign)} == {2}
        assert smsc.counts == Counter({phone(number): 1 for number in range(300)})


async def test_a_throttled_route_slows_down_and_recovers(tmp_path: Path) -> None:
    rate = 200
    log = Log()
    simulator = SmscSimulator(receipts=False, on_message=log.take)
    async with simulator as smsc, flowing(tmp_path, [sms_route(smsc, rate=rate)]) as river:
        campaign = await river.add(sms_campaign())
        await river.fill(campaign, [phone(number) for number in range(5_000)])
        await smsc.expect(phone(50), 20)
        smsc.rate = 0
        await asyncio.sleep(0.2)
        arrived, smsc.rate = smsc.accepted, None
        await log.until(lambda: len(log.arrived) > arrived)
        slow = await arriving(smsc)
        river.clock.forward(RECOVERY_MS)
        await arriving(smsc)
        quick = await arriving(smsc)
        print(f"{slow} a second, then {quick}")
        assert slow <= 0.75 * rate
        assert quick >= 0.85 * rate
        await river.delete(campaign)


async def arriving(smsc: SmscSimulator) -> int:
    """How many messages arrive in a second."""
    before = smsc.accepted
    await asyncio.sleep(1)
    return smsc.accepted - before


@pytest.mark.parametrize("digits", [87, 92])
async def test_who_is_throttled_for_a_while_gets_it_in_the_end(tmp_path: Path, digits: int) -> None:
    async with SmscSimulator() as smsc, flowing(tmp_path, [sms_route(smsc)]) as river:
        campaign = await river.add(sms_campaign())
        await river.contact(campaign, magic(digits))
        await river.until_statuses(campaign, {4: 1})
        assert [line.left for line in await river.lines(campaign)] == [2]
        assert smsc.counts == {magic(digits): 1}
