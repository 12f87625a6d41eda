"""Progress through the REST door of a running river: balance, events since a number and as a stream, endpoints."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from river_kit import PASSWORD, PATIENCE, River, flowing, phone, sms_campaign, sms_route

from campana.api.http import HttpFront
from campana.api.rest.app import RestApp, RestOptions
from campana.api.server import server_config
from campana.domain.campaign import Campaign
from campana.domain.progress import Event, EventKind
from campana.sandbox.smsc import SmscSimulator
from campana.services.campaigns import CampaignOptions
from campana.services.house import ServiceOptions
from campana.services.progress import MOST_WATCHERS_OF_ACCOUNT
from tests.endpoint_kit import receiving

SUCCESS = 4
INSIDE = ServiceOptions(campaigns=CampaignOptions(allow_private_endpoints=True))


class _Server(uvicorn.Server):
    def install_signal_handlers(self) -> None:
        """Tests keep theirs."""


@dataclass
class Stream:
    """What a client of a stream has read."""

    events: list[dict[str, Any]] = field(default_factory=list)
    came: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def numbers(self) -> list[int]:
        return [event["number"] for event in self.events]


@dataclass
class Front:
    """A client of the door, with a session."""

    river: River
    client: httpx.AsyncClient

    async def get(self, path: str, **query: Any) -> Any:
        answer = await self.client.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def all_events(self, campaign: str, limit: int = 7) -> list[dict[str, Any]]:
        """Every event there is, page by page, as a client would that keeps the last number."""
        after, events = 0, []
        while True:
            page = await self.get(f"/campaigns/{campaign}/events", after=after, limit=limit)
            events += page["items"]
            if page["next"] is None:
                return events
            after = page["next"]

    async def read(self, campaign: str, upto: int, read: Stream | None = None, **headers: str) -> Stream:
        """Read a stream until an event has come, then go away; or to its end."""
        read = read or Stream()
        async with (
            asyncio.timeout(PATIENCE),
            self.client.stream("GET", f"/campaigns/{campaign}/events/stream", headers=headers) as answer,
        ):
            assert answer.status_code == 200
            assert answer.headers["content-type"] == "text/event-stream"
            told: dict[str, str] = {}
            async for line in answer.aiter_lines():
                name, _, value = line.partition(": ")
                if not line and "data" in told:
                    event = json.loads(told["data"])
                    assert (told["id"], told["event"]) == (str(event["number"]), event["type"])
                    read.events.append(event)
                    read.came.set()
                    if event["number"] >= upto:
                        return read
                if not line:
                    told = {}
                else:
                    told[name] = value
        return read


@asynccontextmanager
async def fronted(folder: Path) -> AsyncIterator[Front]:
    async with (
        SmscSimulator(receipt_delay=0.05) as smsc,
        flowing(folder, [sms_route(smsc)], services=INSIDE) as river,
    ):
        await river.user()
        front = HttpFront(None, lambda: (True, {}), lambda: b"", RestApp(river.services, RestOptions()))
        listening = socket.create_server(("127.0.0.1", 0))
        server = _Server(server_config(front))
        serving = asyncio.create_task(server.serve([listening]))
        token = await river.services.sessions.open("acme", "ann", PASSWORD, "127.0.0.1")
        base = f"http://127.0.0.1:{listening.getsockname()[1]}/api/v1"
        try:
            async with httpx.AsyncClient(base_url=base, headers={"authorization": f"Bearer {token}"}) as client:
                yield Front(river, client)
        finally:
            server.should_exit = True
            await serving


@pytest.fixture
async def front(tmp_path: Path) -> AsyncIterator[Front]:
    async with fronted(tmp_path) as opened:
        yield opened


async def done(front: Front, contacts: int = 3) -> Any:
    """A campaign whose contacts have all been reached, and that was told to be finished."""
    campaign = await front.river.add(sms_campaign())
    await front.river.fill(campaign, [phone(number) for number in range(contacts)])
    await front.river.until_statuses(campaign, {SUCCESS: contacts})

    async def finished() -> bool:
        return (await front.get(f"/campaigns/{campaign.guid}/report"))["finished_at"] is not None

    await front.river.until(finished)
    return campaign


async def test_balance_and_report_add_up(front: Front) -> None:
    campaign = await done(front)
    balance = await front.get(f"/campaigns/{campaign.guid}/balance")
    assert (balance["contacts"], balance["sms"]["success"], balance["email"]["do_not_try"]) == (3, 3, 3)
    for medium in ("sms", "voice", "email"):
        assert sum(balance[medium].values()) == balance["contacts"]
    assert (balance["finished"], balance["state"]) == (True, "finished")
    report = await front.get(f"/campaigns/{campaign.guid}/report")
    assert report["balance"] == balance
    assert report["created_at"] <= report["started_at"] <= report["finished_at"] <= report["at"]
    assert report["last_event"] == len(await front.all_events(campaign.guid))


async def test_who_keeps_the_last_number_reads_every_event_once(front: Front) -> None:
    campaign = await done(front, 20)
    events = await front.all_events(campaign.guid)
    assert [event["number"] for event in events] == list(range(1, len(events) + 1))
    assert len([event for event in events if event["type"] == "contact.status_changed"]) == 60
    again = await front.get(f"/campaigns/{campaign.guid}/events", after=events[-1]["number"])
    assert again == {"items": [], "next": None}
    changed = next(event for event in events if event["type"] == "contact.status_changed")
    assert changed["data"].keys() == {"contact", "reference", "medium", "previous", "status", "error_code"}


async def test_a_reader_that_numbers_events_itself_hides_none(front: Front) -> None:
    """It asks without a pause, so that it is mostly the one that folds; the end is told all the same."""
    campaign = await front.river.add(sms_campaign())
    await front.river.fill(campaign, [phone(number) for number in range(50)])
    who, progress = await front.river.user(), front.river.services.progress
    events: list[Event] = []
    async with asyncio.timeout(PATIENCE):
        while not events or events[-1].kind is not EventKind.FINISHED:
            events += await progress.events(who, campaign.guid, len(events), 500)
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    assert sum(event.kind is EventKind.STATUS_CHANGED for event in events) == 150


async def test_a_stream_goes_on_where_its_reader_was(front: Front) -> None:
    campaign = await done(front)
    events = await front.all_events(campaign.guid)
    first = await front.read(campaign.guid, 4)
    assert first.numbers == [1, 2, 3, 4]
    rest = await front.read(campaign.guid, events[-1]["number"], **{"last-event-id": "4"})
    assert first.events + rest.events == events
    # Who comes while nothing happens is told of what happens next.
    watching = asyncio.create_task(
        front.read(campaign.guid, events[-1]["number"] + 3, **{"last-event-id": str(events[-1]["number"])})
    )
    await front.river.contact(campaign, phone(99))
    assert (await watching).numbers[0] == events[-1]["number"] + 1


async def test_streams_are_bounded_and_who_goes_away_makes_room(front: Front) -> None:
    campaign = await done(front, 1)
    progress, who = front.river.services.progress, front.river.user
    user = await who()
    held = [await progress.watch(user, campaign.guid, 0, who) for _ in range(MOST_WATCHERS_OF_ACCOUNT - 1)]
    for one in held:
        assert (await anext(one))[0].number == 1
    # The last place is taken and given back, again and again.
    for _ in range(3):
        await front.read(campaign.guid, 1)
        for _ in range(1_000):
            if (await front.client.head(f"/campaigns/{campaign.guid}/events/stream")).status_code == 200:
                break
    held.append(await progress.watch(user, campaign.guid, 0, who))
    await anext(held[-1])
    refused = await front.client.get(f"/campaigns/{campaign.guid}/events/stream")
    assert (refused.status_code, refused.json()["code"]) == (429, 31)
    for one in held:
        await one.aclose()
    assert (await front.read(campaign.guid, 1)).numbers == [1]


async def test_streams_end_when_the_process_stops(front: Front) -> None:
    campaign = await done(front, 1)
    last = (await front.all_events(campaign.guid))[-1]["number"]
    read = Stream()
    reading = asyncio.create_task(front.read(campaign.guid, last + 1, read, **{"last-event-id": str(last - 1)}))
    await asyncio.wait_for(read.came.wait(), PATIENCE)
    front.river.services.progress.end_watching()
    await reading
    assert read.numbers == [last]


@pytest.mark.parametrize("said", ["-1", "four", "1e3", "9" * 17])
async def test_a_last_event_id_that_is_none_is_refused(front: Front, said: str) -> None:
    campaign = await front.river.add(sms_campaign())
    answer = await front.client.get(f"/campaigns/{campaign.guid}/events/stream", headers={"last-event-id": said})
    assert (answer.status_code, answer.json()["code"]) == (422, 42)


async def test_a_head_of_a_stream_ends(front: Front) -> None:
    campaign = await front.river.add(sms_campaign())
    answer = await front.client.head(f"/campaigns/{campaign.guid}/events/stream", timeout=PATIENCE)
    assert answer.status_code == 200


async def test_how_an_endpoint_is_told_is_shown(front: Front) -> None:
    answers = [(500, "")]
    async with receiving(lambda post: answers[0]) as receiver:
        silent = await front.river.add(sms_campaign())
        shown = await front.get(f"/campaigns/{silent.guid}/progress")
        assert (shown["status"], shown["endpoint"]) == ("none", None)
        refused = await front.client.post(f"/campaigns/{silent.guid}/progress/retry")
        assert (refused.status_code, refused.json()["code"]) == (404, 40)
        campaign = await front.river.add(sms_campaign(progress_endpoint=receiver.url()))
        path = f"/campaigns/{campaign.guid}/progress"

        async def is_failing() -> bool:
            return bool((await front.get(path))["status"] == "failing")

        await front.river.until(is_failing)
        shown = await front.get(path)
        assert (shown["told"], shown["failures"]) == (0, 1)
        assert shown["last_error"] == "It answered with HTTP status 500."
        assert shown["failing_since"] == shown["last_error_at"] < shown["next_try_at"]
        answers[0] = (200, "")
        assert (await front.client.post(f"{path}/retry")).status_code == 200

        async def is_told() -> bool:
            return bool((await front.get(path))["status"] == "up_to_date")

        await front.river.until(is_told)
        assert (await front.get(path))["last_success_at"] is not None


async def test_the_secret_is_read_and_renewed_by_admins(front: Front) -> None:
    secret = await front.get("/account/webhook-secret")
    assert secret["secret"].startswith("whsec_")
    assert (secret["earlier_secret"], secret["earlier_until"]) == (None, None)
    renewed = (await front.client.post("/account/webhook-secret/rotate")).json()
    assert renewed["earlier_secret"] == secret["secret"]
    assert renewed["earlier_until"] is not None
    assert await front.get("/account/webhook-secret") == renewed


async def test_why_a_delivery_waits(front: Front) -> None:
    async def waits_for(campaign: Campaign, contact: str, medium: str = "sms") -> Any:
        return (await front.get(f"/campaigns/{campaign.guid}/contacts/{contact}/deliveries/{medium}"))["waits_for"]

    paused = await front.river.add(sms_campaign(is_paused=True))
    contact = await front.river.contact(paused, phone(1))
    assert await waits_for(paused, contact) == {"rule": "paused", "until": None}
    tomorrow = datetime.fromtimestamp(front.river.clock() / 1_000, UTC).replace(tzinfo=None) + timedelta(days=1)
    later = await front.river.add(sms_campaign(time_zone="UTC", active_from_date=tomorrow))
    contact = await front.river.contact(later, phone(2))
    # (The river knows of no route here, which is said before the window is.)
    told = await waits_for(later, contact)
    assert (told["rule"], told["until"]) == ("no_route", f"{tomorrow:%Y-%m-%d}T00:00:00.000Z")
    reached = await front.river.add(sms_campaign())
    contact = await front.river.contact(reached, phone(3))
    await front.river.until_statuses(reached, {SUCCESS: 1})
    assert await waits_for(reached, contact) == {"rule": "done", "until": None}
