"""kill -9 in the middle of an import: what its progress told is there, the same key goes on, nothing comes twice."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from crash_kit import PASSWORD, Server

from campana.config import load
from campana.sandbox.drill_processes import free_port
from campana.wiring import services_for
from tests.contract import postgres_kit

pytestmark = [pytest.mark.xdist_group("crash"), pytest.mark.timeout(120)]

ROWS = 20_000
HEADERS = {"content-type": "text/csv", "idempotency-key": "the-list-of-tonight"}
CAMPAIGN = {"name": "Autumn", "paused": True, "sms": {"enabled": True, "from": "Campana", "text": "Hi {{name}}"}}


@pytest.fixture(params=["sqlite", "postgres"])
def kit(request: pytest.FixtureRequest) -> postgres_kit.Server | None:
    """The PostgreSQL on which the test runs; None where it runs on SQLite."""
    return request.getfixturevalue("postgres") if request.param == "postgres" else None


@pytest.fixture
async def server(kit: postgres_kit.Server | None, tmp_path: Path) -> AsyncIterator[Server]:
    """A server on a database of its own, with an account and a user."""
    port, config, name = free_port(), tmp_path / "campana.toml", ""
    lines = [f'[server]\nport = {port}\ndata_dir = "data"']
    if kit is not None:
        name = await kit.create()
        lines.append(f'[database]\nurl = "{kit.url(name)}"')
    config.write_text("\n".join(lines))
    async with services_for(load(config, {})) as services:
        await services.accounts.add_account("acme", region="CA")
        await services.accounts.add_user("acme", "ann", "admin", PASSWORD)
    started = Server(tmp_path, config, port)
    await started.start()
    yield started
    await started.end()
    if kit is not None:
        await kit.drop(name)


async def logged_in(server: Server) -> httpx.AsyncClient:
    client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}/api/v1", timeout=60)
    who = {"account": "acme", "user": "ann", "password": PASSWORD}
    client.headers["authorization"] = f"Bearer {(await client.post('/sessions', json=who)).json()['token']}"
    return client


def rows(first: int, count: int) -> bytes:
    return "".join(f"n{number},r{number},+1416{number:07d}\n" for number in range(first, first + count)).encode()


async def latest(client: httpx.AsyncClient, campaign: str) -> dict[str, Any]:
    items = (await client.get(f"{campaign}/imports")).json()["items"]
    return items[0] if items else {"rows_read": 0}


async def references(client: httpx.AsyncClient, campaign: str) -> Counter[str]:
    exported = (await client.get(f"{campaign}/contacts.jsonl")).text
    return Counter(json.loads(line)["reference"] for line in exported.splitlines())


async def test_an_import_survives_being_killed(server: Server) -> None:
    header, whole = b"Fullname,externalRefNo,SMS\n", rows(0, ROWS)
    killed = asyncio.Event()

    async def most_of_it() -> AsyncIterator[bytes]:
        yield header
        for first in range(0, ROWS - 3_000, 1_000):
            yield rows(first, 1_000)
        # The rest never comes: the server is killed with batches on disk, batches in flight and rows in memory.
        await killed.wait()

    client = await logged_in(server)
    campaign = f"/campaigns/{(await client.post('/campaigns', json=CAMPAIGN)).json()['id']}"
    sender = await logged_in(server)
    sending = asyncio.create_task(sender.post(f"{campaign}/imports", content=most_of_it(), headers=HEADERS))
    told = await latest(client, campaign)
    while told["rows_read"] < 5_000:
        assert not sending.done()
        told = await latest(client, campaign)
    await server.kill()
    killed.set()
    with pytest.raises(httpx.TransportError):
        await sending

    await server.start()
    client = await logged_in(server)
    found = await latest(client, campaign)
    assert (found["id"], found["state"]) == (told["id"], "reading")
    assert told["rows_read"] <= found["rows_read"] < ROWS
    assert await references(client, campaign) == Counter(f"r{number}" for number in range(found["accepted"]))

    async def all_of_it() -> AsyncIterator[bytes]:
        yield header
        for start in range(0, len(whole), 50_000):
            yield whole[start : start + 50_000]

    answer = await client.post(f"{campaign}/imports", content=all_of_it(), headers=HEADERS)
    done = answer.json()
    assert (done["id"], done["state"]) == (told["id"], "done"), answer.text
    assert (done["rows_read"], done["accepted"], done["refused"]) == (ROWS, ROWS, 0)
    assert await references(client, campaign) == Counter(f"r{number}" for number in range(ROWS))
    balance = (await client.get(f"{campaign}/balance")).json()
    assert (balance["contacts"], balance["sms"]["pending"]) == (ROWS, ROWS)
