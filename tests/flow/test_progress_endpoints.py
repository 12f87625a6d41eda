"""Endpoints and a running river: what is told, in order and whole, however badly an endpoint behaves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from river_kit import River, flowing, magic, phone, sms_campaign, sms_route
from standardwebhooks import Webhook

from campana.domain.backoff import GIVEN_UP_AFTER
from campana.domain.moment import DAY, HOUR
from campana.sandbox.smsc import SmscSimulator
from campana.services.campaigns import CampaignOptions
from campana.services.house import ServiceOptions
from tests.endpoint_kit import CUT, HANG, OK, Post, Receiver, receiving, receiving_socket

SUCCESS = 4
GONE = (410, "")
BROKEN = (500, "")


INSIDE = ServiceOptions(campaigns=CampaignOptions(allow_private_endpoints=True))


@asynccontextmanager
async def telling(folder: Path, smsc: SmscSimulator) -> AsyncIterator[River]:
    """A running river that may tell this machine."""
    async with flowing(folder, [sms_route(smsc)], services=INSIDE) as river:
        yield river


def types(receiver: Receiver) -> list[str]:
    """The kinds of all events that came, but for changed statuses."""
    return [
        event["type"] for post in receiver.posts for event in post.events if event["type"] != "contact.status_changed"
    ]


def has_finished(receiver: Receiver) -> Callable[[], bool]:
    return lambda: "campaign.finished" in types(receiver)


def statuses(events: list[dict[str, Any]], contact: str) -> list[tuple[str, str]]:
    """The course of a contact."""
    changes = [event["data"] for event in events if event["type"] == "contact.status_changed"]
    return [(one["previous"], one["status"]) for one in changes if one["contact"] == contact]


def without_gaps(numbers: list[int]) -> bool:
    """Whether each event came once, in order, from the first on."""
    return bool(numbers) and numbers == list(range(1, numbers[-1] + 1))


async def secret_of(river: River) -> str:
    return (await river.services.webhooks.secret(await river.user())).secret


async def published(river: River, campaign: Any) -> Any:
    return await river.services.progress.publication(await river.user(), campaign.guid)


async def until_published(river: River, campaign: Any, wanted: Callable[[Any], bool]) -> Any:
    """Wait until the state of the endpoint is as wanted; the state."""
    seen = None

    async def there() -> bool:
        nonlocal seen
        seen = await published(river, campaign)
        return wanted(seen)

    await river.until(there)
    return seen


async def test_a_campaign_tells_its_whole_life(tmp_path: Path) -> None:
    async with receiving() as receiver, SmscSimulator(receipt_delay=0.05) as smsc:
        async with telling(tmp_path, smsc) as river:
            campaign = await river.add(sms_campaign(progress_endpoint=receiver.url()))
            secret = await secret_of(river)
            contacts = [await river.contact(campaign, phone(number)) for number in range(3)]
            await receiver.until(has_finished(receiver))
            await until_published(river, campaign, lambda state: state.behind == 0)
            state = await published(river, campaign)
        events = [event for post in receiver.posts for event in post.events]
        assert without_gaps(receiver.numbers)
        assert types(receiver)[:2] == ["campaign.window_opened", "campaign.started"]
        course = [("pending", "sending"), ("sending", "delivering"), ("delivering", "success")]
        for contact in contacts:
            assert statuses(events, contact) == course
        finished = [event for event in events if event["type"] == "campaign.finished"][-1]
        assert finished["data"]["balance"]["contacts"] == 3
        assert finished["data"]["balance"]["sms"]["success"] == 3
        for post in receiver.posts:
            assert post.judge(secret)["data"]["campaign"] == campaign.guid
            data = post.told["data"]
            assert post.id.split(".")[::2] == [campaign.guid, f"{data['first']}-{data['last']}"]
            assert [event["number"] for event in data["events"]] == list(range(data["first"], data["last"] + 1))
        assert (state.told.failures, state.told.last_error) == (0, None)
        assert state.told.last_success_at is not None


async def test_a_receiver_that_was_down_reads_every_event_once_and_in_order(tmp_path: Path) -> None:
    receiver = Receiver()
    await receiver.listen()
    await receiver.close()
    async with SmscSimulator(receipt_delay=0.05) as smsc, telling(tmp_path, smsc) as river:
        campaign = await river.add(sms_campaign(progress_endpoint=receiver.url()))
        number = await river.fill(campaign, [phone(one) for one in range(1_200)])
        await river.until_statuses(campaign, {SUCCESS: 1_200})
        state = await until_published(river, campaign, lambda state: state.behind > 3_600 and bool(state.told.failures))
        assert state.told.last_error == "No connection could be made."
        await receiver.listen(port=receiver.port)
        await river.move_clock(HOUR, number)
        await receiver.until(has_finished(receiver))
        assert without_gaps(receiver.numbers)
        assert max(len(post.events) for post in receiver.posts) == 500
        await receiver.close()


async def test_what_fails_goes_again_as_it_was(tmp_path: Path) -> None:
    """By the same id and with the same events, though more have come meanwhile."""
    answers = iter([BROKEN, CUT, (429, "retry-after: 1\r\n")])
    async with (
        receiving(lambda post: next(answers, OK)) as receiver,
        SmscSimulator(receipt_delay=0.05) as smsc,
        telling(tmp_path, smsc) as river,
    ):
        campaign = await river.add(sms_campaign(progress_endpoint=receiver.url()))
        number = await river.number(campaign)
        for tries in (1, 2, 3):
            await until_published(
                river, campaign, lambda state, tries=tries: bool(state.told) and state.told.failures == tries
            )
            await river.contact(campaign, phone(tries))
            await river.until_statuses(campaign, {SUCCESS: tries})
            await river.move_clock(HOUR, number)
        await receiver.until(has_finished(receiver))
        first = receiver.posts[:4]
        assert len({(post.id, post.body) for post in first}) == 1
        assert without_gaps([event["number"] for post in receiver.posts[3:] for event in post.events])
        assert (await until_published(river, campaign, lambda state: not state.behind)).told.failures == 0


async def test_after_a_day_of_failures_it_stops_until_a_person_says_so(tmp_path: Path) -> None:
    is_broken = True
    async with (
        receiving(lambda post: BROKEN if is_broken else OK) as receiver,
        SmscSimulator(receipt_delay=0.05) as smsc,
        telling(tmp_path, smsc) as river,
    ):
        campaign = await river.add(sms_campaign(progress_endpoint=receiver.url()))
        number = await river.number(campaign)
        await until_published(river, campaign, lambda state: bool(state.told) and state.told.failures == 1)
        await river.move_clock(GIVEN_UP_AFTER, number)
        state = await until_published(river, campaign, lambda state: state.told.stopped_at is not None)
        assert (state.told.sent, state.told.last_error) == (0, "It answered with HTTP status 500.")
        await river.contact(campaign, phone(1))
        await river.until_statuses(campaign, {SUCCESS: 1})
        tried = len(receiver.posts)
        is_broken = False
        await river.services.progress.retry(await river.user(), campaign.guid)
        await receiver.until(has_finished(receiver))
        assert without_gaps([event["number"] for post in receiver.posts[tried:] for event in post.events])
        state = await until_published(river, campaign, lambda state: not state.behind)
        assert (state.told.stopped_at, state.told.failing_since) == (None, None)


async def test_gone_stops_at_once_and_another_endpoint_goes_on_from_there(tmp_path: Path) -> None:
    async with (
        receiving(lambda post: OK if post.told["data"]["first"] == 1 else GONE) as old,
        receiving() as new,
        SmscSimulator(receipt_delay=0.05) as smsc,
        telling(tmp_path, smsc) as river,
    ):
        campaign = await river.add(sms_campaign(progress_endpoint=old.url()))
        await until_published(river, campaign, lambda state: bool(state.told) and state.told.sent > 0)
        await river.contact(campaign, phone(1))
        state = await until_published(river, campaign, lambda state: state.told.stopped_at is not None)
        assert state.told.failures == 1
        assert state.told.sent == old.posts[0].told["data"]["last"]
        await river.replace(sms_campaign(guid=campaign.guid, progress_endpoint=new.url()))
        await new.until(has_finished(new))
        taken = old.numbers[: state.told.sent]
        assert without_gaps(taken + new.numbers)
        assert (await published(river, campaign)).told.last_error is None


async def test_a_dead_endpoint_costs_delivery_nothing(tmp_path: Path) -> None:
    """Many campaigns whose endpoints never answer; all is delivered while the first of them still waits."""
    async with (
        receiving(lambda post: HANG) as receiver,
        SmscSimulator(receipt_delay=0.02) as smsc,
        telling(tmp_path, smsc) as river,
    ):
        campaigns = [
            await river.add(sms_campaign(progress_endpoint=receiver.url(f"/{number}"))) for number in range(40)
        ]
        await receiver.until(lambda: len(receiver.posts) >= 8)
        for place, campaign in enumerate(campaigns):
            await river.fill(campaign, [phone(place * 50 + number) for number in range(50)])
        for campaign in campaigns:
            await river.until_statuses(campaign, {SUCCESS: 50})
        # Eight of an account at a time, and none has been given up meanwhile.
        assert len(receiver.posts) == 8


async def test_an_account_with_dead_endpoints_keeps_no_other_waiting(tmp_path: Path) -> None:
    async with (
        receiving(lambda post: HANG) as dead,
        receiving() as receiver,
        SmscSimulator() as smsc,
        telling(tmp_path, smsc) as river,
    ):
        for number in range(20):
            await river.add(sms_campaign(progress_endpoint=dead.url(f"/{number}")))
        await dead.until(lambda: len(dead.posts) >= 8)
        await river.add(sms_campaign(progress_endpoint=receiver.url()), "other")
        await receiver.until(lambda: "campaign.started" in types(receiver))


async def test_a_renewed_secret_signs_beside_the_earlier_one_for_a_day(tmp_path: Path) -> None:
    async with receiving() as receiver, SmscSimulator() as smsc, telling(tmp_path, smsc) as river:
        campaign = await river.add(sms_campaign(progress_endpoint=receiver.url()))
        number, who = await river.number(campaign), await river.user()
        earlier = await secret_of(river)
        rotated = await river.services.webhooks.rotate(who)
        assert rotated.earlier == earlier
        before = len(receiver.posts)
        await river.replace(sms_campaign(guid=campaign.guid, is_paused=True, progress_endpoint=receiver.url()))
        await receiver.until(lambda: "campaign.paused" in types(receiver))
        during = receiver.posts[-1]
        assert during.judge(earlier) == during.judge(rotated.secret)
        assert before < len(receiver.posts)
        await river.move_clock(DAY + HOUR, number)
        await river.replace(sms_campaign(guid=campaign.guid, progress_endpoint=receiver.url()))
        await receiver.until(lambda: "campaign.resumed" in types(receiver))
        signatures = receiver.posts[-1].headers["webhook-signature"].split(" ")
        assert len(signatures) == 1
        assert (await river.services.webhooks.secret(who)).earlier is None


async def test_over_a_websocket_nothing_is_lost_where_it_breaks(tmp_path: Path) -> None:
    """The receiver closes the connection instead of acknowledging, then acknowledges; and is restarted in between."""
    answers: list[Any] = [None, [], None]

    def acknowledge(envelope: dict[str, Any]) -> Any:
        if answers:
            return answers.pop(0)
        return [json.dumps({"ack": json.loads(envelope["body"])["data"]["last"]})]

    async with SmscSimulator(receipt_delay=0.05) as smsc, receiving_socket(acknowledge) as receiver:
        async with telling(tmp_path, smsc) as river:
            campaign = await river.add(sms_campaign(progress_endpoint=receiver.url))
            number, secret = await river.number(campaign), await secret_of(river)
            await until_published(river, campaign, lambda state: bool(state.told) and state.told.failures == 1)
            answers.pop(0)
            for one in range(3):
                await river.contact(campaign, phone(one))
            await river.until_statuses(campaign, {SUCCESS: 3})
            await river.move_clock(HOUR, number)
            await until_published(river, campaign, lambda state: state.told.failures == 2)
            await river.move_clock(HOUR, number)
            await until_published(river, campaign, lambda state: state.told.failures == 0 and not state.behind)
        tried = {envelope["webhook-id"] for envelope in receiver.envelopes[:3]}
        assert len(tried) == 1
        told = [event for one in receiver.envelopes[2:] for event in json.loads(one["body"])["data"]["events"]]
        assert without_gaps([event["number"] for event in told])
        for envelope in receiver.envelopes:
            Webhook(secret).verify(envelope["body"], envelope)


async def test_a_campaign_that_fails_says_with_which_code(tmp_path: Path) -> None:
    async with receiving() as receiver, SmscSimulator(receipt_delay=0.05) as smsc, telling(tmp_path, smsc) as river:
        campaign = await river.add(sms_campaign(progress_endpoint=receiver.url()))
        contact = await river.contact(campaign, magic(4))
        await receiver.until(lambda: any(_ends(post, contact) for post in receiver.posts))


def _ends(post: Post, contact: str) -> bool:
    return any(
        event["data"].get("contact") == contact
        and event["data"]["status"] in ("success", "permanent_failure")
        and (event["data"]["error_code"] != 0) == (event["data"]["status"] == "permanent_failure")
        for event in post.events
    )


async def test_a_stopped_engine_gives_up_no_event(tmp_path: Path) -> None:
    """What was on its way when it stopped goes again as it was."""
    hanging = asyncio.Event()

    def script(post: Post) -> tuple[int, str]:
        if hanging.is_set():
            return OK
        hanging.set()
        return HANG

    async with receiving(script) as receiver, SmscSimulator(receipt_delay=0.05) as smsc:
        async with telling(tmp_path, smsc) as river:
            campaign = await river.add(sms_campaign(progress_endpoint=receiver.url()))
            await hanging.wait()
            await river.contact(campaign, phone(1))
            await river.until_statuses(campaign, {SUCCESS: 1})
        async with telling(tmp_path, smsc):
            await receiver.until(has_finished(receiver))
        assert receiver.posts[0].body == receiver.posts[1].body
        assert receiver.posts[0].id == receiver.posts[1].id
        assert without_gaps([event["number"] for post in receiver.posts[1:] for event in post.events])
