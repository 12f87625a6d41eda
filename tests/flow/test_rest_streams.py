"""A stream of events ends with the right to read it, however much there is to tell."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest
from rest_kit import RestHouse, rest_house

from campana.api.http import HttpFront
from campana.api.rest.app import RestApp, RestOptions
from campana.api.rest.campaign_shapes import EXAMPLE
from campana.services.progress import ProgressService, ProgressStores

PATIENCE = 20.0


@dataclass
class Watched:
    """A campaign of an admin that everybody sees, and a reader of its events by a key of the operator."""

    house: RestHouse
    admin: httpx.AsyncClient
    reader: httpx.AsyncClient
    campaign: str
    key: str

    async def happen(self) -> None:
        """Have something happen to the campaign, again and again."""
        while True:
            for steer in ("pause", "resume"):
                assert (await self.admin.post(f"/campaigns/{self.campaign}/{steer}")).is_success


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    async with rest_house(tmp_path) as house:
        store = house.store
        stores = ProgressStores(store.campaigns, store.progress, store.publications, store.waits)
        services = replace(house.services, progress=ProgressService(stores, house.services.tools, quiet=0.05))
        rest = RestApp(services, RestOptions(requests_per_minute=0))
        house.front = HttpFront(None, lambda: (True, {}), lambda: b"", rest)
        admin = await house.as_user()
        made = await admin.post("/campaigns", json=EXAMPLE | {"sharing": "all"})
        operator = await house.as_user("operator")
        wanted = {"name": "reader", "scopes": ["events:read"]}
        key = (await operator.post("/api-keys", json=wanted)).json()
        yield Watched(house, admin, house.client(key["key"]), made.json()["id"], key["id"])


async def revoke(watched: Watched) -> httpx.Response:
    return await watched.admin.delete(f"/api-keys/{watched.key}")


async def disable(watched: Watched) -> httpx.Response:
    return await watched.admin.patch("/users/operator", json={"disabled": True})


async def hide(watched: Watched) -> httpx.Response:
    body = EXAMPLE | {"sharing": "private"}
    # Not as a patch, which gives up where the campaign changes again and again meanwhile.
    return await watched.admin.put(f"/campaigns/{watched.campaign}", json=body)


@pytest.mark.parametrize("end", [revoke, disable, hide])
async def test_a_stream_ends_with_the_right_to_read_it(
    watched: Watched, end: Callable[[Watched], Awaitable[httpx.Response]]
) -> None:
    happening = asyncio.create_task(watched.happen())
    reading = asyncio.create_task(watched.reader.get(f"/campaigns/{watched.campaign}/events/stream"))
    try:
        async with asyncio.timeout(PATIENCE):
            while not (await watched.reader.get(f"/campaigns/{watched.campaign}/events?after=20")).json()["items"]:
                pass
            assert not reading.done()
            assert (await end(watched)).is_success
            assert (await reading).text.startswith("retry: ")
    finally:
        happening.cancel()
