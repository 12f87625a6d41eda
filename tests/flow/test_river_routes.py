"""Which way a message takes: priority, account, prefix and domain; routes that are down, come back, or do not exist."""

from __future__ import annotations

from pathlib import Path

from river_kit import (
    River,
    email_campaign,
    email_route,
    flowing,
    inbox,
    phone,
    sms_campaign,
    sms_route,
)

from campana.domain.campaign import Campaign
from campana.domain.delivery import Medium
from campana.domain.outcome import DeliveryCode
from campana.sandbox.mail import MailSimulator
from campana.sandbox.smsc import SmscSimulator

CANADA, BRITAIN, SOMEWHERE = "+14165600001", "+447700900123", "+33612345678"


async def sent(river: River, campaign: Campaign, number: str, account: str = "acme") -> None:
    """Add a contact and wait until it has its message."""
    have = len(await river.lines(campaign, account=account))
    await river.contact(campaign, number, account=account)
    await river.until_statuses(campaign, {4: have + 1}, account=account)


async def test_the_lowest_priority_number_goes_first(tmp_path: Path) -> None:
    async with SmscSimulator() as first, SmscSimulator() as second:
        routes = [sms_route(second, "b", priority=20), sms_route(first, "a", priority=10)]
        async with flowing(tmp_path, routes) as river:
            await river.until_routes_are(a="up", b="up")
            campaign = await river.add(sms_campaign())
            await river.fill(campaign, [phone(number) for number in range(50)])
            await river.until_statuses(campaign, {4: 50})
        assert (first.accepted, second.accepted) == (50, 0)


async def test_a_route_that_goes_down_is_passed_over_and_comes_back(tmp_path: Path) -> None:
    async with SmscSimulator() as second:
        first = await SmscSimulator().start()
        routes = [sms_route(first, "a", priority=10), sms_route(second, "b", priority=20)]
        async with flowing(tmp_path, routes) as river:
            await river.until_routes_are(a="up", b="up")
            campaign = await river.add(sms_campaign())
            await sent(river, campaign, phone(1))
            await first.stop()
            await river.until_routes_are(a="down", b="up")
            await sent(river, campaign, phone(2))
            async with SmscSimulator(port=first.port) as again:
                await river.until_routes_are(a="up", b="up")
                await sent(river, campaign, phone(3))
                assert again.counts == {phone(3): 1}
        assert first.counts == {phone(1): 1}
        assert second.counts == {phone(2): 1}


async def test_a_route_that_dies_under_load_hands_over_to_the_next(tmp_path: Path) -> None:
    """What was written and not answered is uncertain; everything else arrives exactly once, by either route."""
    many = 400
    async with SmscSimulator() as second:
        first = await SmscSimulator().start()
        routes = [sms_route(first, "a", priority=10, rate=200), sms_route(second, "b", priority=20, rate=200)]
        async with flowing(tmp_path, routes) as river:
            await river.until_routes_are(a="up", b="up")
            campaign = await river.add(sms_campaign())
            await river.fill(campaign, [phone(number) for number in range(many)])
            await first.expect(phone(60), 20)
            await first.stop()

            async def all_ended() -> bool:
                counts = await river.statuses(campaign)
                return counts[3] + counts[4] + counts[6] == many

            await river.until(all_ended)
            lines = await river.lines(campaign)
        both = first.counts + second.counts
        uncertain = {line.destination for line in lines if line.status == 6}
        assert {line.error for line in lines if line.status == 6} <= {DeliveryCode.UNCERTAIN}
        assert all(both[phone(number)] == 1 for number in range(many) if phone(number) not in uncertain)
        assert all(both[number] <= 1 for number in uncertain)
        assert len(uncertain) <= 60
        assert second.accepted >= many / 2


async def test_without_any_route_up_they_wait_and_no_attempt_is_lost(tmp_path: Path) -> None:
    gone = await SmscSimulator().start()
    await gone.stop()
    async with flowing(tmp_path, [sms_route(gone, "a")]) as river:
        await river.until_routes_are(a="down")
        campaign = await river.add(sms_campaign())
        await river.fill(campaign, [phone(number) for number in range(20)])
        await river.until_statuses(campaign, {1: 20})
        async with SmscSimulator(port=gone.port) as smsc:
            await river.until_statuses(campaign, {4: 20})
            assert {line.left for line in await river.lines(campaign)} == {2}
            assert smsc.accepted == 20


async def test_a_route_of_one_account_serves_no_other(tmp_path: Path) -> None:
    async with SmscSimulator() as theirs, SmscSimulator() as everybodys:
        routes = [sms_route(theirs, "a", priority=10, accounts=["ACME"]), sms_route(everybodys, "b", priority=20)]
        async with flowing(tmp_path, routes) as river:
            await river.until_routes_are(a="up", b="up")
            ours, others = await river.add(sms_campaign()), await river.add(sms_campaign(), "other")
            await sent(river, ours, phone(1))
            await sent(river, others, phone(2), "other")
        assert (theirs.counts, everybodys.counts) == ({phone(1): 1}, {phone(2): 1})


async def test_prefixes_divide_a_campaign_between_routes(tmp_path: Path) -> None:
    async with SmscSimulator() as canada, SmscSimulator() as britain, SmscSimulator() as rest:
        routes = [
            sms_route(canada, "ca", destinations=["+1416", "+1613"], priority=1),
            sms_route(britain, "gb", destinations=["+44"], priority=2),
            sms_route(rest, "rest", priority=3),
        ]
        async with flowing(tmp_path, routes) as river:
            await river.until_routes_are(ca="up", gb="up", rest="up")
            campaign = await river.add(sms_campaign())
            numbers = [number for _ in range(30) for number in (CANADA, BRITAIN, SOMEWHERE)]
            await river.fill(campaign, numbers)
            await river.until_statuses(campaign, {4: 90})
        assert (canada.counts, britain.counts, rest.counts) == ({CANADA: 30}, {BRITAIN: 30}, {SOMEWHERE: 30})


async def test_a_route_down_holds_up_only_its_own_part_of_a_chunk(tmp_path: Path) -> None:
    gone = await SmscSimulator().start()
    await gone.stop()
    async with SmscSimulator() as canada:
        routes = [sms_route(canada, "ca", destinations=["+1"]), sms_route(gone, "gb", destinations=["+44"])]
        async with flowing(tmp_path, routes) as river:
            await river.until_routes_are(ca="up", gb="down")
            campaign = await river.add(sms_campaign())
            await river.fill(campaign, [number for _ in range(20) for number in (CANADA, BRITAIN)])
            await river.until_statuses(campaign, {4: 20, 1: 20})
            async with SmscSimulator(port=gone.port) as britain:
                await river.until_statuses(campaign, {4: 40})
                assert britain.counts == {BRITAIN: 20}
        assert canada.counts == {CANADA: 20}


async def test_domains_divide_email_between_routes(tmp_path: Path) -> None:
    async with MailSimulator() as ours, MailSimulator() as rest:
        routes = [email_route(ours, "ours", destinations=["example.com"], priority=1), email_route(rest, "rest")]
        async with flowing(tmp_path, routes) as river:
            await river.until_routes_are(ours="up", rest="up")
            campaign = await river.add(email_campaign())
            for address in (inbox(1), inbox(2, "mail.Example.com"), inbox(3, "notexample.com")):
                await river.contact(campaign, email=address)
            await river.until_statuses(campaign, {4: 3}, Medium.EMAIL)
        assert set(ours.counts) == {inbox(1), inbox(2, "mail.example.com")}
        assert set(rest.counts) == {inbox(3, "notexample.com")}


async def test_where_no_route_fits_attempts_run_out_with_that_code(tmp_path: Path) -> None:
    async with SmscSimulator() as smsc:
        routes = [sms_route(smsc, destinations=["+44"])]
        async with flowing(tmp_path, routes, retry_delays=(60_000,)) as river:
            await river.until_routes_are(sms="up")
            campaign = await river.add(sms_campaign())
            await river.contact(campaign, CANADA, attempts=2)
            await river.until_statuses(campaign, {5: 1})
            assert [line.error for line in await river.lines(campaign)] == [DeliveryCode.NO_ROUTE]
            await river.move_clock(60_000, await river.number(campaign))
            await river.until_statuses(campaign, {6: 1})
            assert [(line.error, line.left) for line in await river.lines(campaign)] == [(DeliveryCode.NO_ROUTE, 0)]
        assert smsc.accepted == 0


async def test_a_medium_without_any_route_waits_for_one(tmp_path: Path) -> None:
    async with SmscSimulator() as smsc, flowing(tmp_path, [sms_route(smsc)]) as river:
        campaign = await river.add(email_campaign())
        await river.contact(campaign, email=inbox(1))
        await sent(river, await river.add(sms_campaign()), phone(1))
        assert await river.statuses(campaign, Medium.EMAIL) == {1: 1}
