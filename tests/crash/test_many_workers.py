"""Four `campana worker` processes and a `campana api` on one PostgreSQL, and carriers that count what all of them do.

What a route allows, it allows to all of them together: never more in any second, and nearly all of it under load.
"""

from __future__ import annotations

import asyncio
import json
import re
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from crash_kit import PASSWORD, Carrier, Client, Exchange

from campana.config import load
from campana.domain.delivery import Medium
from campana.sandbox.drill_journals import Use, arrivals, at_a_time, calls_at_a_time, in_any_second, read
from campana.sandbox.drill_processes import Process, campana, free_port
from campana.wiring import services_for
from tests.contract import postgres_kit

pytestmark = [pytest.mark.xdist_group("crash"), pytest.mark.timeout(180)]

CAMPAIGN = "c0000000-0000-4000-8000-000000000001"
OTHER = "c0000000-0000-4000-8000-000000000002"
WITHIN = 60.0
UP = """(SELECT count(*) FROM members WHERE routes LIKE '%"up"%')"""
"""SQL that counts processes with a route that is up."""
_CONFIG = """
[server]
port = {port}
data_dir = "data"
shutdown_seconds = 5

[database]
url = "{url}"
connections = 4

[delivery]
retry_minutes = [0]
lease_seconds = 4
"""


@dataclass
class Cluster:
    """Processes on one database."""

    config: Path
    url: str
    client: Client
    api: Process
    workers: list[Process] = field(default_factory=list)
    pages: list[str] = field(default_factory=list)
    """Where each worker tells of itself."""

    async def hire(self, count: int, *options: str) -> list[Process]:
        """Start workers."""
        new = [
            Process(
                f"worker {place}",
                campana("--config", str(self.config), "worker", "--listen", "127.0.0.1:0", *options),
                self.config.parent / f"worker-{place}.log",
            )
            for place in range(len(self.workers), len(self.workers) + count)
        ]
        self.workers += new
        for line in await asyncio.gather(*(worker.start() for worker in new)):
            found = re.search(r"http://\S+", line)
            assert found is not None, line
            self.pages.append(found[0].removesuffix("readyz"))
        return new

    async def ask(self, statement: str) -> Any:
        """One value from the database."""
        connection = await asyncpg.connect(self.url)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    async def until(self, statement: str) -> None:
        """Wait until the database says that something holds."""
        async with asyncio.timeout(WITHIN):
            while not await self.ask(f"SELECT {statement} FROM pg_sleep(0.02)"):
                pass

    async def until_ended(self, campaign: str, media: Sequence[str]) -> dict[str, dict[int, Any]]:
        """Wait until every delivery has ended; how they stand."""
        async with asyncio.timeout(WITHIN):
            while True:
                told = await self.client.standings(campaign)
                if all(one.status in (4, 6, 7) for medium in media for one in told[medium].values()):
                    return told
                await asyncio.sleep(0.1)

    async def facts(self, worker: int, page: str = "readyz") -> Any:
        """What a worker tells of itself."""
        text = await asyncio.to_thread(lambda: urllib.request.urlopen(self.pages[worker] + page).read())
        return json.loads(text) if page == "readyz" else text.decode()

    def planner_is(self, process: Process) -> str:
        """SQL that says whether a process plans for all."""
        return (
            f"EXISTS (SELECT FROM duties WHERE name = 'planning' AND owner LIKE '%-{process.pid}-%'"
            " AND until > extract(epoch FROM clock_timestamp()) * 1000)"
        )


@asynccontextmanager
async def clustered(postgres: postgres_kit.Server, folder: Path, *routes: str) -> AsyncIterator[Cluster]:
    """A fresh database with an account, and one `campana api` on it; at the end every process is gone."""
    name, port, config = await postgres.create(), free_port(), folder / "campana.toml"
    url = postgres.tcp_url(name)
    config.write_text("\n".join([_CONFIG.format(port=port, url=url), *routes]))
    api = Process("api", campana("--config", str(config), "api"), folder / "api.log")
    cluster = Cluster(config, url, Client(port), api)
    try:
        async with services_for(load(config, {})) as services:
            await services.accounts.add_account("acme", region="CA")
            await services.accounts.add_user("acme", "ann", "api", PASSWORD)
        await api.start()
        await cluster.client.log_in()
        yield cluster
    finally:
        for process in (api, *cluster.workers):
            await process.end()
        await postgres.drop(name)


@asynccontextmanager
async def carrier(kind: str, folder: Path, *options: str) -> AsyncIterator[Any]:
    """A simulated carrier."""
    started = await (Exchange if kind == "sip" else Carrier).start(kind, folder, *options)
    try:
        yield started
    finally:
        await started.process.end()


async def until(happened: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something has happened; who is asked takes a moment to answer."""
    async with asyncio.timeout(WITHIN):
        while not await happened():
            pass


def shown(cluster: Cluster, worker: int, line: str) -> Callable[[], Awaitable[bool]]:
    """Whether a worker's metrics have a line."""

    async def look() -> bool:
        return line in await asyncio.sleep(0.1, await cluster.facts(worker, "metrics"))

    return look


def told_of(cluster: Cluster, worker: int, route: str) -> Callable[[], Awaitable[bool]]:
    """Whether a worker knows that another has a route up."""

    async def look() -> bool:
        return route in (await asyncio.sleep(0.1, await cluster.facts(worker)))["up_elsewhere"]

    return look


def sms_route(port: int, name: str = "sms", **settings: Any) -> str:
    values = {"url": f"smpp://id:secret@127.0.0.1:{port}", "reconnect_min": 0.05, "reconnect_max": 0.2} | settings
    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    return "\n".join(["[[routes]]", f'name = "{name}"', 'channel = "sms"', *lines])


async def test_four_workers_keep_to_one_rate_and_use_it(postgres: postgres_kit.Server, tmp_path: Path) -> None:
    count, rate, binds, window = 400, 60, 6, 5
    async with carrier("smsc", tmp_path, "--receipt-delay", "0.1") as smsc:
        route = sms_route(smsc.port, rate=rate, binds=binds, window=window)
        async with clustered(postgres, tmp_path, route) as cluster:
            await cluster.hire(4)
            # All of them take part: the connections are divided before the first message leaves.
            await cluster.until(f"({UP} = 4)")
            await cluster.client.add_campaign(CAMPAIGN, paused=True)
            await cluster.client.load(CAMPAIGN, list(range(count)))
            await cluster.client.add_campaign(CAMPAIGN, update=True)
            told = await cluster.until_ended(CAMPAIGN, ["sms"])
        lines = read(smsc.journal)
    assert {one.status for one in told["sms"].values()} == {4}
    came = arrivals(Medium.SMS, lines)
    assert len(came) == count
    use = in_any_second((one.began for one in came), rate)
    assert (use.above, use.most > 0.8 * rate) == (0, True), use
    # Between the first tenth and the last: while there was enough to do.
    times = sorted(one.began.at for one in came)
    steady = times[count // 10 : count * 9 // 10]
    achieved = len(steady) / (steady[-1] - steady[0]) * 1_000
    assert achieved >= 0.9 * rate, f"{achieved:.1f} of {rate} a second"
    assert at_a_time([line["connections"] for line in lines], binds) == Use(binds, binds, 0)
    assert at_a_time([line["unanswered_in_all"] for line in lines], binds * window).above == 0
    assert at_a_time([line["unanswered"] for line in lines], window).above == 0


async def test_four_workers_call_no_more_people_at_a_time_than_one_may(
    postgres: postgres_kit.Server, tmp_path: Path
) -> None:
    count, calls = 18, 6
    async with carrier("sip", tmp_path, "--ring", "0.2") as exchange:
        trunk = (
            f'[[routes]]\nname = "trunk"\nchannel = "voice"\nurl = "sip:127.0.0.1:{exchange.port};transport=udp"\n'
            f"calls = {calls}\nrate = 20\n"
        )
        async with clustered(postgres, tmp_path, trunk) as cluster:
            await cluster.hire(4)
            await cluster.until(f"({UP} = 4)")
            await cluster.client.add_campaign(CAMPAIGN, paused=True, calls=True)
            await cluster.client.load(CAMPAIGN, list(range(count)))
            await cluster.client.add_campaign(CAMPAIGN, update=True, calls=True)
            told = await cluster.until_ended(CAMPAIGN, ["voice"])
    assert {one.status for one in told["voice"].values()} == {4}
    assert set(exchange.taken().values()) == {1}
    assert calls_at_a_time(read(exchange.journal), calls) == Use(calls, calls, 0)


async def test_the_planner_is_replaced_when_it_dies(postgres: postgres_kit.Server, tmp_path: Path) -> None:
    async with (
        carrier("smsc", tmp_path, "--no-receipts") as smsc,
        clustered(postgres, tmp_path, sms_route(smsc.port, binds=2, receipts=False)) as cluster,
    ):
        (first,) = await cluster.hire(1)
        await cluster.until(cluster.planner_is(first))
        (second,) = await cluster.hire(1)
        assert "campana_planner 1.0" in await cluster.facts(0, "metrics")
        assert "campana_planner 0.0" in await cluster.facts(1, "metrics")
        assert (await cluster.facts(1))["processes"] == {"serve": 0, "api": 1, "worker": 2}
        await first.kill()
        await cluster.client.add_campaign(CAMPAIGN)
        await cluster.client.load(CAMPAIGN, [1, 2, 3])
        told = await cluster.until_ended(CAMPAIGN, ["sms"])
        assert {one.status for one in told["sms"].values()} == {4}
        assert await cluster.ask(f"SELECT {cluster.planner_is(second)}")
        # It is buried, too: what it held of the route is the other's.
        await cluster.until("(SELECT count(*) FROM members) = 2")
        await until(shown(cluster, 1, 'campana_route_share{kind="connections",route="sms"} 2.0'))


async def test_workers_that_are_kept_to_routes_leave_the_others_alone(
    postgres: postgres_kit.Server, tmp_path: Path
) -> None:
    async with carrier("smsc", tmp_path, "--no-receipts") as here:
        (tmp_path / "abroad").mkdir()
        async with carrier("smsc", tmp_path / "abroad", "--no-receipts") as abroad:
            # Of the numbers below, the first twenty have the longer prefix.
            routes = [
                sms_route(here.port, "here", receipts=False),
                sms_route(abroad.port, "abroad", receipts=False, priority=1, destinations=["+141656000"]),
            ]
            async with clustered(postgres, tmp_path, *routes) as cluster:
                await cluster.hire(1, "--routes", "here")
                await cluster.hire(1, "--channels", "sms", "--routes", "abroad")
                await cluster.until(f"({UP} = 2)")
                assert [list((await cluster.facts(worker))["routes"]) for worker in (0, 1)] == [["here"], ["abroad"]]
                # Who does not know that the better route is up elsewhere would take its own, as when that is down.
                await until(told_of(cluster, 0, "abroad"))
                await cluster.client.add_campaign(CAMPAIGN)
                await cluster.client.load(CAMPAIGN, [*range(20), *range(2_000, 2_020)])
                told = await cluster.until_ended(CAMPAIGN, ["sms"])
            assert {(one.status, one.error) for one in told["sms"].values()} == {(4, 0)}
            by_abroad = {one.destination for number, one in told["sms"].items() if number < 20}
            assert (set(abroad.taken()), len(here.taken())) == (by_abroad, 20)


async def test_a_pause_at_the_door_stops_every_worker(postgres: postgres_kit.Server, tmp_path: Path) -> None:
    async with (
        carrier("smsc", tmp_path, "--no-receipts") as smsc,
        clustered(postgres, tmp_path, sms_route(smsc.port, rate=50, binds=2, receipts=False)) as cluster,
    ):
        await cluster.hire(2)
        await cluster.until(f"({UP} = 2)")
        await cluster.client.add_campaign(CAMPAIGN)
        await cluster.client.load(CAMPAIGN, list(range(150)))
        await until(lambda: asyncio.sleep(0.01, smsc.size() >= 30))
        await cluster.client.add_campaign(CAMPAIGN, update=True, paused=True)
        # Another campaign's messages show that the workers are at work all the same, and what they are at.
        await cluster.client.add_campaign(OTHER)
        await cluster.client.load(OTHER, list(range(500, 520)))
        told = await cluster.until_ended(OTHER, ["sms"])
        assert {one.status for one in told["sms"].values()} == {4}
        before = smsc.size()
        await cluster.client.load(OTHER, list(range(600, 620)))
        await cluster.until_ended(OTHER, ["sms"])
        assert smsc.size() == before + 20, "nothing of the paused one"
