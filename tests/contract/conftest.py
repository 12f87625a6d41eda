"""The stores on which the contract is tested: each test runs once on each of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from campana.domain.campaign import Campaign, EmailSettings, SmsSettings, UncertainPolicy
from campana.domain.contact import Admitted
from campana.domain.delivery import Medium
from campana.domain.moment import DAY
from campana.domain.retry import RetryRule
from campana.storage.postgres import PostgresStore
from campana.storage.river import ClaimQuery, Cut, Lease
from campana.storage.sqlite import SqliteStore
from campana.storage.store import CampaignRow, NewContact
from campana.storage.tables import NEVER
from tests.contract import postgres_kit
from tests.contract.sqlite_kit import with_tables

NOW = 1_800_000_000_000
LATER = NOW + DAY


def guid(number: int) -> str:
    """A readable UUID."""
    return f"00000000-0000-4000-8000-{number:012d}"


@dataclass
class World:
    """A store with an account, a user and a campaign, and short words for what most tests do."""

    store: Any
    account: int
    user: int
    campaign: CampaignRow

    async def add(self, count: int, first: int = 1, attempts: int = 3, text: str | None = None) -> list[str]:
        """Add contacts with a number each."""
        guids = [guid(number) for number in range(first, first + count)]
        new = [
            NewContact(
                self.campaign.number,
                one,
                (Admitted(Medium.SMS, f"+1416555{number:04d}", f"+1416555{number:04d}", text, attempts),),
            )
            for number, one in enumerate(guids, first)
        ]
        assert await self.store.contacts.add_many(new, NOW) == [True] * count
        return guids

    async def plan(self, limit: int = 500, now: int = NOW, medium: Medium = Medium.SMS, turn: int = 1) -> int:
        """Cut one chunk; its size."""
        sizes = await self.store.river.plan([Cut(self.campaign.number, medium, limit, turn, 0, NEVER)], now)
        return sizes[0]

    async def claim(self, now: int = NOW, owner: str = "worker", medium: Medium = Medium.SMS) -> Lease | None:
        """Claim the next chunk, for ten seconds."""
        return await self.store.river.claim(ClaimQuery(owner, (medium,), now, now + 10_000))

    async def lines(self) -> list[list[Any]]:
        """All contacts as flat lines."""
        pages = self.store.contacts.pages(self.campaign.number, self.campaign.campaign.guid)
        return [line async for page in pages for line in page]

    async def statuses(self) -> list[int]:
        """The SMS status of each contact."""
        return [line[3] for line in await self.lines()]


def a_campaign(number: int = 900, **changes: Any) -> Campaign:
    """A campaign that sends SMS and email."""
    values: dict[str, Any] = {
        "guid": guid(number),
        "name": "Reminder",
        "sms": SmsSettings(True, "+14165550100", "Come tomorrow"),
        "email": EmailSettings(True, "office@example.com", "Reminder", "<p>Come tomorrow</p>"),
    }
    return Campaign(**(values | changes))


def rules(policy: UncertainPolicy = UncertainPolicy.GIVE_UP, delay: int = 60_000) -> Any:
    """Rules that are the same for all campaigns."""
    return lambda campaign, medium: RetryRule((delay,), policy)


@pytest.fixture
async def postgres_database(postgres: postgres_kit.Server) -> AsyncIterator[str]:
    """The name of a fresh database with all tables."""
    name = await postgres.create()
    yield name
    await postgres.drop(name)


@pytest.fixture(params=["sqlite", "postgres"])
def server(request: pytest.FixtureRequest) -> postgres_kit.Server | None:
    """The PostgreSQL on which the test runs; None where it runs on SQLite."""
    return request.getfixturevalue("postgres") if request.param == "postgres" else None


@pytest.fixture
def empty(server: postgres_kit.Server | None, tmp_path: Path) -> Iterator[str]:
    """A database without any table."""
    if server is None:
        yield f"sqlite:///{tmp_path / 'campana.db'}"
        return
    name = asyncio.run(server.create("template0"))
    yield server.url(name)
    asyncio.run(server.drop(name))


@pytest.fixture
async def store(server: postgres_kit.Server | None, tmp_path: Path) -> AsyncIterator[Any]:
    """An empty store."""
    name = await server.create() if server else ""
    store: Any = await (
        PostgresStore.open(server.url(name)) if server else SqliteStore.open(with_tables(tmp_path / "campana.db"))
    )
    yield store
    await store.close()
    if server:
        await server.drop(name)


@pytest.fixture
async def world(store: Any) -> World:
    """A store with one campaign."""
    account = await store.accounts.add_account("acme", "UTC", "CA", NOW)
    user = await store.accounts.add_user(account.number, "maria", "api", "hash", NOW)
    campaign = await store.campaigns.add(account.number, user.number, a_campaign(), NOW)
    return World(store, account.number, user.number, campaign)
