"""Two processes that publish and one that only answers calls, on one PostgreSQL: one at a time publishes for all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import pytest

from campana.bus.outlets import Outlets
from campana.bus.outside import Guard
from campana.bus.postgres import PostgresBus
from campana.domain.campaign import Campaign, SmsSettings
from campana.domain.contact import Communication, Contact
from campana.domain.progress import EventKind
from campana.engine.duties import Duty
from campana.engine.gates import Gates
from campana.engine.options import Tools
from campana.engine.publishing import Publisher
from campana.engine.telling import Teller
from campana.services.campaigns import CampaignOptions
from campana.services.house import ServiceOptions, Services, build_services
from campana.services.passwords import Cost
from campana.services.principal import Principal
from campana.storage.postgres import PostgresStore
from campana.telemetry import Metrics
from tests.contract import postgres_kit
from tests.endpoint_kit import Receiver, receiving

PASSWORD = "correct horse battery"
OPTIONS = ServiceOptions(
    campaigns=CampaignOptions(allow_private_endpoints=True), hashing_cost=Cost(passes=1, memory_kib=8, lanes=1)
)


def now() -> int:
    return time.time_ns() // 1_000_000


class Worker:
    """The part of a worker's engine that tells."""

    def __init__(self, name: str, store: PostgresStore, bus: PostgresBus) -> None:
        tools = Tools(now, Metrics())
        duty = Duty(store.cluster, "publishing", name, now)
        outlets = Outlets(Guard(allow_private=True), now)
        gates = Gates(store.campaigns, now)
        self.duty = duty
        teller = Teller(store.progress, store.retention, gates, bus=bus, duty=duty, tools=tools, rescan_ms=30_000)
        publisher = Publisher(store.publications, store.progress, store.campaigns, outlets, duty=duty, tools=tools)
        bus.listen(teller.hear)
        self.tasks = [asyncio.create_task(teller.run(publisher.call)), asyncio.create_task(publisher.run())]

    async def die(self) -> None:
        """Stop without a word to anybody."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


@dataclass
class Place:
    """A process that answers calls, and those that publish."""

    services: Services
    who: Principal
    receiver: Receiver
    workers: dict[str, Worker] = field(default_factory=dict)

    async def campaign(self) -> str:
        sms = SmsSettings(enabled=True, from_number="Campana", text="Hello")
        told = Campaign("", "Autumn", sms=sms, is_paused=True, progress_endpoint=self.receiver.url())
        return await self.services.campaigns.add(self.who, told)

    async def happen(self, campaign: str) -> None:
        """Let something happen that is told."""
        await self.services.contacts.add(self.who, Contact("", campaign, sms=Communication("+12025550123")))
        await self.services.campaigns.resume(self.who, campaign)
        await self.services.campaigns.pause(self.who, campaign)

    async def publishing(self) -> str:
        """Who has the duty."""
        async with asyncio.timeout(20):
            while True:
                for name, worker in self.workers.items():
                    if not worker.tasks[0].done() and await worker.duty.held():
                        return name


@pytest.fixture
async def place(postgres: postgres_kit.Server, postgres_database: str) -> AsyncIterator[Place]:
    url = postgres.url(postgres_database)
    async with AsyncExitStack() as closing, receiving() as receiver:
        stores, buses = [], []
        for _ in range(3):
            store, bus = await PostgresStore.open(url), PostgresBus(url)
            closing.push_async_callback(store.close)
            closing.push_async_callback(bus.close)
            await bus.start()
            stores.append(store)
            buses.append(bus)
        services = build_services(stores[0], buses[0], now, OPTIONS, Metrics())
        closing.push_async_callback(services.close)
        await services.accounts.add_account("acme")
        await services.accounts.add_user("acme", "ann", "admin", PASSWORD)
        who = await services.sessions.resume(await services.sessions.open("acme", "ann", PASSWORD, "::1"))
        made = Place(services, who, receiver)
        for name, store, bus in zip(("one", "two"), stores[1:], buses[1:], strict=True):
            made.workers[name] = Worker(name, store, bus)
            closing.push_async_callback(made.workers[name].die)
        yield made


def read(receiver: Receiver) -> list[int]:
    """The numbers of events that a receiver reads which passes over batches that it has seen."""
    batches = {post.id: post for post in receiver.posts}
    return [event["number"] for post in batches.values() for event in post.events]


async def test_one_of_two_publishes_and_the_other_goes_on_when_it_dies(place: Place) -> None:
    campaign = await place.campaign()
    await place.happen(campaign)
    await place.receiver.until(lambda: "campaign.paused" in str(place.receiver.posts))
    first = await place.publishing()
    await place.workers[first].die()
    before = len(place.receiver.posts)
    await place.happen(campaign)
    await place.receiver.until(lambda: any("campaign.paused" in post.body for post in place.receiver.posts[before:]))
    assert await place.publishing() != first
    numbers = read(place.receiver)
    assert numbers == list(range(1, len(numbers) + 1))
    events = await place.services.progress.events(place.who, campaign, 0, 500)
    assert len(events) >= len(numbers)


async def test_a_process_that_only_answers_calls_sees_events_as_they_come(place: Place) -> None:
    campaign = await place.campaign()

    async def who() -> Principal:
        return place.who

    watched = await place.services.progress.watch(place.who, campaign, 0, who)
    kinds: list[EventKind] = []
    async with asyncio.timeout(20):
        happening = asyncio.create_task(place.happen(campaign))
        async for events in watched:
            kinds += [event.kind for event in events]
            if EventKind.PAUSED in kinds:
                break
        await happening
    await watched.aclose()
    assert EventKind.WINDOW_OPENED in kinds


async def test_where_nobody_publishes_events_are_read_all_the_same(place: Place) -> None:
    for worker in place.workers.values():
        await worker.die()
    campaign = await place.campaign()
    await place.happen(campaign)
    events = await place.services.progress.events(place.who, campaign, 0, 9)
    assert [event.kind for event in events] == [EventKind.RESUMED, EventKind.PAUSED]
    assert (await place.services.progress.balance(place.who, campaign)).balance.contacts == 1
    assert (await place.services.progress.publication(place.who, campaign)).behind == 2
