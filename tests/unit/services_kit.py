"""What tests of the services share: a real store on a file, a clock moved by hand, and the hints that were told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from campana.bus.contract import Hint
from campana.bus.local import LocalBus
from campana.domain.campaign import Campaign, EmailSettings, SmsSettings
from campana.domain.contact import Communication, Contact
from campana.services.house import ServiceOptions, Services, build_services
from campana.services.passwords import Cost
from campana.services.principal import Principal
from campana.storage.sqlite import SqliteStore
from campana.telemetry import Metrics
from tests.contract.sqlite_kit import with_tables

CHEAP = Cost(passes=1, memory_kib=8, lanes=1)
"""The least that argon2 takes: tests hash often and protect nothing."""

PASSWORD = "correct horse battery"
START = 1_790_000_000_000  # 2026-09-21T14:13:20Z


class HandClock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now

    def pass_(self, milliseconds: int) -> None:
        self.now += milliseconds


@dataclass
class Kit:
    """Services on a store, and what can be seen of them from outside."""

    services: Services
    store: SqliteStore
    clock: HandClock
    metrics: Metrics
    hints: list[Hint] = field(default_factory=list)

    async def user(self, account: str, name: str, role: str = "api", *, agent: bool = False) -> Principal:
        """A user as a session of theirs names them; account and user are added where they are new."""
        if await self.store.accounts.find_account(account) is None:
            await self.services.accounts.add_account(account)
        if await self.store.accounts.find_user(account, name) is None:
            await self.services.accounts.add_user(account, name, role, PASSWORD)
        token = await self.services.sessions.open(account, name, PASSWORD, "127.0.0.1")
        return await self.services.sessions.resume(token, agent=agent)


@asynccontextmanager
async def open_kit(
    path: Path, options: ServiceOptions | None = None, clock: HandClock | None = None
) -> AsyncIterator[Kit]:
    store = await SqliteStore.open(with_tables(path / "campana.db"))
    bus, metrics, clock = LocalBus(), Metrics(), clock or HandClock()
    options = replace(options or ServiceOptions(), hashing_cost=CHEAP)
    kit = Kit(build_services(store, bus, clock, options, metrics), store, clock, metrics)
    bus.listen(kit.hints.append)
    try:
        yield kit
    finally:
        await kit.services.close()
        await store.close()


def campaign(guid: str = "", **changes: object) -> Campaign:
    """A campaign that breaks no rule."""
    values: dict[str, object] = {
        "name": "Autumn",
        "sms": SmsSettings(enabled=True, from_number="Campana", text="Hello"),
        "email": EmailSettings(enabled=True, from_address="news@example.com", subject="Hello", html="<p>Hello</p>"),
    }
    return Campaign(guid=guid, **(values | changes))  # type: ignore[arg-type]


def contact(campaign_guid: str, guid: str = "", sms: str | None = "+12025550123", email: str | None = None) -> Contact:
    """A contact that breaks no rule."""
    return Contact(
        guid=guid,
        campaign=campaign_guid,
        sms=None if sms is None else Communication(destination=sms),
        email=None if email is None else Communication(destination=email),
    )
