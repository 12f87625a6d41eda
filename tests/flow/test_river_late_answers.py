"""What a carrier answers while its route says goodbye is recorded before a stop is over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from river_kit import phone, sms_campaign

from campana.bus.local import LocalBus
from campana.channels.contract import (
    Accepted,
    Composer,
    Health,
    Inbound,
    Parcel,
    Permit,
    Result,
    RouteReport,
    RouteState,
)
from campana.channels.settings import RouteSettings
from campana.domain.contact import Admitted
from campana.domain.delivery import Medium, Status
from campana.domain.message import Content
from campana.domain.outcome import Receipt
from campana.engine.options import EngineOptions, Tools
from campana.engine.runner import Engine
from campana.storage.sqlite import SqliteStore
from campana.storage.store import NewContact
from campana.telemetry import Metrics


class SlowCarrier:
    """A route whose carrier takes messages at once and answers only when it is told goodbye."""

    name = "slow"
    medium = Medium.SMS

    def __init__(self) -> None:
        self.state = RouteState(Health.UP)
        self.taken = asyncio.Event()
        self._goodbye = asyncio.Event()

    @property
    def connections(self) -> int:
        return 0

    def allow(self, connections: int) -> None:
        pass

    async def start(self, inbound: Inbound) -> None:
        pass

    async def stop(self, budget: float) -> None:
        self._goodbye.set()

    def composer(self, content: Content) -> Composer:
        return lambda delivery, attempt, destination, text: Parcel(delivery, attempt, destination, None)

    async def send(self, parcels: Sequence[Parcel], permit: Permit) -> list[Result]:
        self.taken.set()
        await self._goodbye.wait()
        return [Accepted((f"id-{parcel.delivery_id}",)) for parcel in parcels]

    async def query(self, carrier_id: str, source: str, destination: str) -> Receipt | None:
        return None

    async def check(self) -> RouteReport:
        return RouteReport(True)


async def test_an_answer_that_comes_with_the_goodbye_is_recorded(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "campana.db")
    account = await store.accounts.add_account("acme", "UTC", "CA", 1)
    user = await store.accounts.add_user(account.number, "maria", "api", "hash", 1)
    campaign = await store.campaigns.add(account.number, user.number, sms_campaign(guid="one"), 1)
    media = (Admitted(Medium.SMS, phone(1), phone(1), None, 3),)
    await store.contacts.add(NewContact(campaign.number, "first", media), 1)

    carrier = SlowCarrier()
    settings = RouteSettings(name="slow", channel="sms", url="x://y")
    options = EngineOptions(owner="test", retry_delays=(60_000,))
    tools = Tools(lambda: time.time_ns() // 1_000_000, Metrics())
    engine = Engine(store, [(carrier, settings)], LocalBus(), options, tools)
    await engine.start()
    await asyncio.wait_for(carrier.taken.wait(), 10)
    await engine.stop(1.0)
    lines = [line async for page in store.contacts.pages(campaign.number, "one") for line in page]
    assert lines[0][3] == Status.DELIVERING
    await store.close()
