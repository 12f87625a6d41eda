"""Two `campana api` processes behind a balancer that sends each connection to the next: no client knows who answers."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from crash_kit import PASSWORD, PROGRAM, Client, guid_of

from campana.config import load
from campana.domain.delivery import Medium
from campana.sandbox.drill_processes import Process
from campana.sandbox.drill_soap import contact_of
from campana.wiring import services_for
from tests.contract import postgres_kit

pytestmark = [pytest.mark.xdist_group("crash"), pytest.mark.timeout(180)]

CAMPAIGN = guid_of(9)
_CONFIG = """
[server]
port = 0

[database]
url = "{url}"

[sessions]
failures = 5
"""


@dataclass
class Door:
    """One process that answers."""

    process: Process
    port: int

    @classmethod
    async def open(cls, config: Path, log: Path) -> Door:
        process = Process("api", (str(PROGRAM), "--config", str(config), "api"), log)
        line = await process.start()
        found = re.search(r":(\d+)/", line)
        assert found is not None, line
        return cls(process, int(found[1]))


@dataclass
class Balancer:
    """Sends each connection to the next of the doors that are open; no stickiness, no repetition."""

    doors: list[Door]
    port: int = 0
    used: Counter[int] = field(default_factory=Counter)
    _turn: int = 0

    @asynccontextmanager
    async def working(self) -> AsyncIterator[Balancer]:
        async with await asyncio.start_server(self._pass_on, "127.0.0.1", 0) as server:
            self.port = server.sockets[0].getsockname()[1]
            yield self

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._turn += 1
        turn = self._turn % len(self.doors)
        for port in [door.port for door in self.doors[turn:] + self.doors[:turn]]:
            try:
                there = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                continue
            self.used[port] += 1
            await asyncio.gather(_pump(reader, there[1]), _pump(there[0], writer), return_exceptions=True)
            break
        writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while some := await reader.read(65_536):
            writer.write(some)
            await writer.drain()
    finally:
        writer.close()


@pytest.fixture
async def balancer(postgres: postgres_kit.Server, tmp_path: Path) -> AsyncIterator[Balancer]:
    """Two doors on a fresh database with an account and a user."""
    name, config = await postgres.create(), tmp_path / "campana.toml"
    config.write_text(_CONFIG.format(url=postgres.url(name)))
    async with services_for(load(config, {})) as services:
        await services.accounts.add_account("acme", region="CA")
        await services.accounts.add_user("acme", "ann", "api", PASSWORD)
    async with AsyncExitStack() as stack:
        doors: list[Door] = []

        async def open_door(log: Path) -> None:
            doors.append(await Door.open(config, log))
            stack.push_async_callback(doors[-1].process.end)

        async with asyncio.TaskGroup() as opening:
            for number in range(2):
                opening.create_task(open_door(tmp_path / f"{number}.log"))
        yield await stack.enter_async_context(Balancer(doors).working())
    await postgres.drop(name)


async def of_session(client: Client, operation: str, more: str = "") -> str:
    """Call an operation that answers a number."""
    answer = await client.call(operation, f"<sessionId>{client.session}</sessionId>{more}")
    found = re.search(rb"(?:Result|ErrorCode)>(\d+)<", answer)
    assert found is not None, answer
    return found[1].decode()


async def log_in(client: Client, password: str) -> str:
    """The code that a log-in answers."""
    words = f"<accountId>acme</accountId><username>ann</username><password>{password}</password>"
    found = re.search(rb"ErrorCode>(\d+)<", await client.call("OpenAPISession", words))
    assert found is not None
    return found[1].decode()


async def test_no_client_need_know_which_process_answers(balancer: Balancer) -> None:
    client, direct = Client(balancer.port), [Client(door.port) for door in balancer.doors]
    await client.log_in()
    await client.add_campaign(CAMPAIGN)
    for one in direct:
        one.session = client.session
    await contacts_are_added_once(client, direct)
    await sessions_and_locks_hold_everywhere(client, direct)
    await a_death_costs_a_repetition_and_no_more(client, balancer.doors[0])
    assert min(balancer.used.values()) > 5


async def contacts_are_added_once(client: Client, direct: list[Client]) -> None:
    numbers = list(range(1, 201))
    assert sorted(await client.load(CAMPAIGN, numbers)) == numbers
    assert await client.load(CAMPAIGN, numbers[::-1]) == []  # each of them again, perhaps elsewhere
    listings = [await one.guids(CAMPAIGN) for one in direct]
    assert listings[0] == listings[1]
    assert sorted(listings[0]) == [guid_of(number) for number in numbers]
    more = contact_of(client.session, CAMPAIGN, 201, Medium).partition("</sessionId>")[2]
    codes = await asyncio.gather(*(of_session(one, "AddCampaignContact", more) for one in direct * 4))
    assert Counter(codes) == {"0": 1, "21": 7}


async def sessions_and_locks_hold_everywhere(client: Client, direct: list[Client]) -> None:
    assert await of_session(direct[0], "CloseAPISession") == "0"
    assert await of_session(direct[1], "CloseAPISession") == "1"
    await client.log_in()
    guesses = await asyncio.gather(*(log_in(client, "wrong") for _ in range(20)))
    assert Counter(guesses) == {"2": 5, "4": 15}
    assert [await log_in(one, PASSWORD) for one in direct] == ["4", "4"]


async def a_death_costs_a_repetition_and_no_more(client: Client, door: Door) -> None:
    numbers = list(range(202, 802))
    loading = asyncio.create_task(client.load(CAMPAIGN, numbers))
    while len(await client.guids(CAMPAIGN)) < 300:
        pass
    await door.process.kill()
    acknowledged = await loading
    # What was not acknowledged may be there all the same: the same ids again, where the balancer leads now.
    again = await client.load(CAMPAIGN, [number for number in numbers if number not in set(acknowledged)])
    assert not set(again) & set(acknowledged)
    assert sorted(await client.guids(CAMPAIGN)) == [guid_of(number) for number in range(1, 802)]
