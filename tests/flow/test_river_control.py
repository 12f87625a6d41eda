"""What people change while messages leave takes effect within a second: pauses, edits, deletions, windows."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from river_kit import River, email_campaign, flowing, phone, sms_campaign, sms_route

from campana.domain.campaign import Campaign, SmsSettings
from campana.domain.contact import Communication, Contact
from campana.domain.delivery import Medium
from campana.domain.errors import MethodCode, MethodError
from campana.domain.moment import DAY, MINUTE
from campana.sandbox.smsc import SmscSimulator

RATE = 20
HOUR = 60 * MINUTE
MANY = 45
"""Messages of a campaign: more than two seconds of the route's work."""


async def under_way(river: River, smsc: SmscSimulator, campaign: Campaign | None = None) -> Campaign:
    """A campaign whose tenth message has just arrived."""
    added = await river.add(campaign or sms_campaign())
    await river.fill(added, [phone(number) for number in range(MANY)])
    await smsc.expect(phone(9), 20)
    return added


async def nothing_arrives(smsc: SmscSimulator, grace: float = 1.0) -> int:
    """A second after a change nothing more arrives; how many have."""
    await asyncio.sleep(grace)
    arrived = smsc.accepted
    await asyncio.sleep(0.5)
    assert smsc.accepted == arrived
    assert 10 <= arrived <= 10 + RATE * 1.5, "it was stopped midway"
    return arrived


def each_got_one(smsc: SmscSimulator, count: int = MANY) -> bool:
    return smsc.counts == Counter({phone(number): 1 for number in range(count)})


async def test_a_pause_stops_within_a_second_and_a_resumption_sends_exactly_the_rest(tmp_path: Path) -> None:
    async with SmscSimulator() as smsc, flowing(tmp_path, [sms_route(smsc, rate=RATE)]) as river:
        campaign = await under_way(river, smsc)
        await river.replace(replace(campaign, is_paused=True))
        arrived = await nothing_arrives(smsc)
        await river.until_statuses(campaign, {4: arrived, 1: MANY - arrived})
        await river.replace(campaign)
        await smsc.expect(phone(arrived), 1.0)
        await river.until_statuses(campaign, {4: MANY})
        assert each_got_one(smsc)


async def test_pausing_again_and_again_loses_and_repeats_nothing(tmp_path: Path) -> None:
    async with SmscSimulator() as smsc, flowing(tmp_path, [sms_route(smsc, rate=100)]) as river:
        campaign = await river.add(sms_campaign())
        await river.fill(campaign, [phone(number) for number in range(MANY)])
        for number in range(5, MANY - 10, 10):
            await smsc.expect(phone(number), 20)
            await river.replace(replace(campaign, is_paused=True))
            await river.replace(campaign)
        await river.until_statuses(campaign, {4: MANY})
        assert each_got_one(smsc)


async def test_an_edited_text_reaches_only_those_that_have_not_begun(tmp_path: Path) -> None:
    async with SmscSimulator() as smsc, flowing(tmp_path, [sms_route(smsc, rate=RATE)]) as river:
        campaign = await under_way(river, smsc)
        before = smsc.accepted
        await river.replace(replace(campaign, sms=SmsSettings(True, "Campana", "New words")))
        await river.until_statuses(campaign, {4: MANY})
        texts = [message.text for message in smsc.messages]
        old = texts.count("Hello")
        assert texts == ["Hello"] * old + ["New words"] * (MANY - old)
        assert before <= old <= before + RATE, "within a second"
        assert each_got_one(smsc)


async def test_a_retry_says_what_the_first_attempt_said(tmp_path: Path) -> None:
    refused_once = "+14165550190"
    async with SmscSimulator() as smsc, flowing(tmp_path, [sms_route(smsc)], retry_delays=(60_000,)) as river:
        campaign = await river.add(sms_campaign())
        await river.contact(campaign, refused_once)
        await river.until_statuses(campaign, {5: 1})
        await river.replace(replace(campaign, sms=SmsSettings(True, "Campana", "New words")))
        await river.contact(campaign, phone(1))
        await smsc.expect(phone(1), 5)
        await river.move_clock(60_000, await river.number(campaign))
        assert (await smsc.expect(refused_once, 5)).text == "Hello"
        assert smsc.messages[0].text == "New words"
        await river.until_statuses(campaign, {4: 2})


async def test_deleted_contacts_get_nothing(tmp_path: Path) -> None:
    async with SmscSimulator() as smsc, flowing(tmp_path, [sms_route(smsc, rate=RATE)]) as river:
        campaign = await under_way(river, smsc)
        who = await river.user()
        guids = [guid async for page in await river.services.contacts.guids(who, campaign.guid) for guid in page]
        for place in (25, 26, 44):
            await river.services.contacts.delete(who, campaign.guid, guids[place])
        await river.until_statuses(campaign, {4: MANY - 3})
        assert smsc.counts == Counter({phone(number): 1 for number in range(MANY) if number not in (25, 26, 44)})


async def test_a_deleted_campaign_stops_within_a_second_and_the_rest_is_cancelled(tmp_path: Path) -> None:
    async with SmscSimulator() as smsc, flowing(tmp_path, [sms_route(smsc, rate=RATE)]) as river:
        campaign = await under_way(river, smsc)
        number = await river.number(campaign)
        await river.delete(campaign)
        arrived = await nothing_arrives(smsc)

        async def ended() -> bool:
            pages = river.store.contacts.pages(number, campaign.guid)
            statuses = Counter([line[3] async for page in pages for line in page])
            return statuses == Counter({4: arrived, 7: MANY - arrived})

        await river.until(ended)
        with pytest.raises(MethodError) as gone:
            await river.statuses(campaign)
        assert gone.value.code is MethodCode.CAMPAIGN_NOT_FOUND


async def test_a_medium_switched_off_waits_until_it_is_on_again(tmp_path: Path) -> None:
    async with SmscSimulator() as smsc, flowing(tmp_path, [sms_route(smsc, rate=RATE)]) as river:
        campaign = await under_way(river, smsc)
        assert campaign.sms is not None
        await river.replace(email_campaign(guid=campaign.guid, sms=replace(campaign.sms, enabled=False)))
        arrived = await nothing_arrives(smsc)
        await river.until_statuses(campaign, {4: arrived, 1: MANY - arrived})
        await river.replace(campaign)
        await river.until_statuses(campaign, {4: MANY})
        assert each_got_one(smsc)


async def test_a_contact_in_progress_keeps_its_destination(tmp_path: Path) -> None:
    async with SmscSimulator(receipt_delay=3_600) as smsc, flowing(tmp_path, [sms_route(smsc)]) as river:
        campaign = await river.add(sms_campaign())
        guid = await river.contact(campaign, phone(1))
        await river.until_statuses(campaign, {3: 1})
        who = await river.user()
        with pytest.raises(MethodError) as refused:
            await river.services.contacts.update(who, Contact(guid, campaign.guid, sms=Communication(phone(2))))
        assert refused.value.code is MethodCode.CONTACT_IN_PROGRESS


async def test_another_destination_starts_again(tmp_path: Path) -> None:
    async with SmscSimulator() as smsc, flowing(tmp_path, [sms_route(smsc)]) as river:
        campaign = await river.add(sms_campaign())
        guid = await river.contact(campaign, phone(1))
        await river.until_statuses(campaign, {4: 1})
        who = await river.user()
        await river.services.contacts.update(who, Contact(guid, campaign.guid, sms=Communication(phone(2))))
        await smsc.expect(phone(2), 5)
        await river.until_statuses(campaign, {4: 1})
        assert smsc.counts == {phone(1): 1, phone(2): 1}


# --- windows -----------------------------------------------------------------------------------------------------


def wall(instant: int) -> datetime:
    """The wall clock at an instant, in UTC, as a campaign's fields have it."""
    return datetime.fromtimestamp(instant / 1_000, UTC).replace(tzinfo=None)


async def test_nothing_leaves_after_the_window_closes_and_the_rest_leaves_in_the_next_one(tmp_path: Path) -> None:
    async with SmscSimulator() as smsc, flowing(tmp_path, [sms_route(smsc, rate=RATE)]) as river:
        closes = river.clock() + 1_500
        window = {"active_from_time": wall(closes - HOUR), "active_to_time": wall(closes)}
        campaign = await under_way(river, smsc, sms_campaign(**window))
        number = await river.number(campaign)
        arrived = await nothing_arrives(smsc, grace=max(0.0, (closes - river.clock()) / 1_000 + 0.2))
        assert max(message.at for message in smsc.messages) <= closes + 50
        await river.until_statuses(campaign, {4: arrived, 1: MANY - arrived})

        await river.move_clock(DAY - HOUR + 500 - (river.clock() - closes) - 1_000, number)
        await asyncio.sleep(0.2)
        assert smsc.accepted == arrived
        await river.move_clock(1_000, number)
        await smsc.expect(phone(arrived), 1.0)
        await river.until_statuses(campaign, {4: MANY})
        assert each_got_one(smsc)


async def test_the_first_leaves_within_a_second_of_the_opening(tmp_path: Path) -> None:
    async with SmscSimulator() as smsc, flowing(tmp_path, [sms_route(smsc)]) as river:
        opens = river.clock() + 1_000
        campaign = await river.add(sms_campaign(active_from_time=wall(opens), active_to_time=wall(opens + HOUR)))
        await river.contact(campaign, phone(1))
        message = await smsc.expect(phone(1), 10)
        assert opens <= message.at <= opens + 1_000


@pytest.mark.parametrize("how", ["the hours end", "the last day was yesterday", "the first day is tomorrow"])
async def test_a_window_moved_away_stops_within_a_second(tmp_path: Path, how: str) -> None:
    async with SmscSimulator() as smsc, flowing(tmp_path, [sms_route(smsc, rate=RATE)]) as river:
        campaign = await under_way(river, smsc)
        now = river.clock()
        changes = {
            "the hours end": {"active_from_time": wall(now - HOUR), "active_to_time": wall(now)},
            "the last day was yesterday": {"active_to_date": wall(now - DAY)},
            "the first day is tomorrow": {"active_from_date": wall(now + DAY)},
        }[how]
        await river.replace(replace(campaign, **changes))
        arrived = await nothing_arrives(smsc)
        await river.until_statuses(campaign, {4: arrived, 1: MANY - arrived})
        await river.replace(campaign)
        await smsc.expect(phone(arrived), 1.5)
        await river.until_statuses(campaign, {4: MANY})
        assert each_got_one(smsc)


async def test_what_waits_while_the_window_is_extended_leaves_in_it(tmp_path: Path) -> None:
    """The chunk is on its way when the window changes, and comes back because the carrier throttles."""
    async with SmscSimulator() as smsc, flowing(tmp_path, [sms_route(smsc)]) as river:
        closes = river.clock() + 1_500
        hours = {"active_from_time": wall(closes - HOUR), "active_to_time": wall(closes)}
        smsc.rate = 0
        campaign = await river.add(sms_campaign(**hours))
        number = await river.fill(campaign, [phone(place) for place in range(10)])
        await river.until_statuses(campaign, {2: 10})
        await river.replace(replace(campaign, active_to_time=wall(closes + HOUR)))
        await asyncio.sleep(max(0.0, (closes - river.clock()) / 1_000) + 0.2)
        smsc.rate = None
        await river.until_statuses(campaign, {4: 10})
        assert await river.store.river.lanes(number) == []
        assert each_got_one(smsc, 10)
        assert (await river.statuses(campaign, Medium.EMAIL)) == {0: 10}
