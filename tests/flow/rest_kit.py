"""A REST door on a real store, and clients in front of it, for the door's own flow tests."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from campana.api.http import HttpFront
from campana.api.rest.app import RestApp, RestOptions
from campana.api.soap.app import SoapApp, SoapOptions
from campana.bus.local import LocalBus
from campana.services.house import ServiceOptions, Services, build_services
from campana.services.passwords import Cost
from campana.services.principal import Role
from campana.services.routes import RouteView, no_routes
from campana.storage.sqlite import SqliteStore
from campana.telemetry import Metrics
from tests.contract.sqlite_kit import with_tables

PASSWORD = "correct horse battery"
START = 1_796_000_000_000
"""2026-11-30T00:53:20Z"""


@dataclass
class Time:
    """A clock that stands until it is moved; epoch milliseconds."""

    now: int = START

    def __call__(self) -> int:
        return self.now


@dataclass
class RestHouse:
    """Two accounts, `acme` and `other`, with a user of each role, named like it."""

    services: Services
    front: HttpFront
    store: SqliteStore
    time: Time
    open_clients: list[httpx.AsyncClient] = field(default_factory=list)

    def client(self, token: str = "", **headers: str) -> httpx.AsyncClient:
        """A client of the API; `token` is a session's or an API key."""
        sent = {"authorization": f"Bearer {token}"} if token else {}
        transport = httpx.ASGITransport(self.front, client=("192.0.2.7", 5000))
        base = "http://campana.test/api/v1"
        made = httpx.AsyncClient(transport=transport, base_url=base, headers=sent | headers)
        self.open_clients.append(made)
        return made

    async def as_user(self, name: str = "admin", account: str = "acme", **headers: str) -> httpx.AsyncClient:
        """A client with a session of a user."""
        token = await self.services.sessions.open(account, name, PASSWORD, "::1")
        return self.client(token, **headers)


@contextlib.asynccontextmanager
async def rest_house(
    folder: Path, options: RestOptions | None = None, *, routes: RouteView = no_routes, **settings: Any
) -> AsyncIterator[RestHouse]:
    """A house with its door open; `settings` are of the services."""
    store, time = await SqliteStore.open(with_tables(folder / "campana.db")), Time()
    service_options = ServiceOptions(hashing_cost=Cost(1, 8, 1), **settings)
    services = build_services(store, LocalBus(), time, service_options, Metrics(), routes=routes)
    for account in ("acme", "other"):
        await services.accounts.add_account(account)
        for role in Role:
            await services.accounts.add_user(account, role, role, PASSWORD)
    soap = SoapApp(services, SoapOptions())
    front = HttpFront(soap, lambda: (True, {}), lambda: b"", RestApp(services, options or RestOptions()))
    house = RestHouse(services, front, store, time)
    try:
        yield house
    finally:
        for client in house.open_clients:
            await client.aclose()
        await services.close()
        await store.close()


def problem(answer: httpx.Response, status: int, code: int, field: str | None = None) -> dict[str, object]:
    """The problem that was answered, which is well-formed and this one."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told: dict[str, object] = answer.json()
    assert told["status"] == status
    assert told["code"] == code
    assert str(told["type"]).startswith("urn:campana:problem:")
    assert told.get("field") == field
    return told
