"""Hints between processes, over a real PostgreSQL: who hears what, and what becomes of lost connections."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import asyncpg
import pytest
from structlog.testing import capture_logs

from campana.bus.contract import Hint, News
from campana.bus.letters import LONGEST, MOST_WAITING
from campana.bus.postgres import STANDARD, Pace, PostgresBus
from tests.contract import postgres_kit

PATIENCE = 20.0
MISSED = Hint(News.MISSED)


@dataclass
class Ear:
    """A bus, and what its listeners heard since it was last connected."""

    bus: PostgresBus
    heard: list[Hint] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def hear(self, hint: Hint) -> None:
        self.heard.append(hint)
        self._news.set()

    async def until(self, condition: Callable[[list[Hint]], object]) -> None:
        """Wait until what was heard is as it should be."""
        async with asyncio.timeout(PATIENCE):
            while not condition(self.heard):
                self._news.clear()
                await self._news.wait()

    async def until_hearing(self, expected: bool) -> None:
        """Wait until the bus has a connection, or has none."""
        async with asyncio.timeout(PATIENCE):
            while self.bus.is_hearing is not expected:  # noqa: ASYNC110 - it says so by an attribute alone
                await asyncio.sleep(0.005)


class Way:
    """A way to the database by a port of the loopback interface, which can be closed, and opened again."""

    def __init__(self, url: str) -> None:
        query = dict(part.split("=") for part in url.partition("?")[2].split("&"))
        self._socket = f"{query['host']}/.s.PGSQL.{query['port']}"
        self._port = 0
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []
        self.passes = asyncio.Event()
        self.passes.set()

    def url(self, database: str) -> str:
        return f"postgresql://campana@127.0.0.1:{self._port}/{database}?sslmode=disable"

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._pass_on, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_unix_connection(self._socket)
        self._writers += [writer, there[1]]
        with contextlib.suppress(OSError):
            await asyncio.gather(self._pump(reader, there[1]), self._pump(there[0], writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while some := await reader.read(65_536):
            await self.passes.wait()
            writer.write(some)
        writer.close()


@dataclass
class Street:
    """A database with buses on it, and a stranger who is connected as well."""

    url: str
    database: str
    stranger: asyncpg.Connection
    ears: list[Ear] = field(default_factory=list)

    async def open(self, url: str = "", pace: Pace = STANDARD) -> Ear:
        """One more process; it has heard that it is to look at everything."""
        ear = Ear(PostgresBus(url or self.url, pace=pace))
        ear.bus.listen(ear.hear)
        self.ears.append(ear)
        await ear.bus.start()
        if ear.bus.is_hearing:
            assert ear.heard == [MISSED]
            ear.heard.clear()
        return ear

    async def cut(self) -> None:
        """End the connections of all buses."""
        ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'campana bus'"
        assert await self.stranger.fetchval(f"{ended} AND datname = $1", self.database)


@pytest.fixture
async def street(postgres: postgres_kit.Server, postgres_database: str) -> AsyncIterator[Street]:
    url = postgres.url(postgres_database)
    street = Street(url, postgres_database, await asyncpg.connect(url))
    yield street
    for ear in street.ears:
        await ear.bus.close()
    await street.stranger.close()


async def test_everybody_hears_and_nobody_hears_an_echo(street: Street) -> None:
    one, two, three = [await street.open() for _ in range(3)]
    said = [
        Hint(News.CONTACTS, 7),
        Hint(News.CLAIMED, 7, 2**62),
        Hint(News.SHARES),
        Hint(News.DUE, 2**40, 1_800_000_000_000),
    ]
    for hint in said:
        one.bus.tell(hint)
    assert one.heard == said  # at once
    two.bus.tell(Hint(News.WORK))
    for ear in (two, three):
        await ear.until(lambda heard: Hint(News.WORK) in heard and len(heard) == 5)
        assert [hint for hint in ear.heard if hint.news is not News.WORK] == said
    await one.until(lambda heard: heard == [*said, Hint(News.WORK)])


async def test_what_concerns_this_process_alone_stays_here(street: Street) -> None:
    one, two = await street.open(), await street.open()
    one.bus.tell(Hint(News.ROUTE))
    one.bus.tell(MISSED)
    one.bus.tell(Hint(News.WORK))
    await two.until(bool)
    assert two.heard == [Hint(News.WORK)]
    assert one.heard == [Hint(News.ROUTE), MISSED, Hint(News.WORK)]


async def test_equal_hints_leave_as_one(street: Street) -> None:
    one, two = await street.open(), await street.open()
    for at in (5, 3, 9):
        for news in (News.DUE, News.CLAIMED, News.CONTACTS):
            for number in (1, 2):
                one.bus.tell(Hint(news, number, 0 if news is News.CONTACTS else at * number))
    await two.until(lambda heard: len(heard) >= 6)
    assert two.heard == [
        Hint(News.DUE, 1, 3),
        Hint(News.DUE, 2, 6),
        Hint(News.CLAIMED, 1, 9),
        Hint(News.CLAIMED, 2, 18),
        Hint(News.CONTACTS, 1),
        Hint(News.CONTACTS, 2),
    ]


async def test_many_hints_are_split_into_payloads_that_postgresql_takes(street: Street) -> None:
    one, two = await street.open(), await street.open()
    payloads: list[str] = []
    await street.stranger.add_listener("campana", lambda *notification: payloads.append(notification[3]))
    said = [Hint(News.DUE, 2**62 + number, 2**61) for number in range(MOST_WAITING)]
    for hint in said:
        one.bus.tell(hint)
    await two.until(lambda heard: len(heard) >= MOST_WAITING)
    assert two.heard == said
    await street.stranger.execute("SELECT 1")
    sizes = [len(payload) for payload in payloads]
    assert max(sizes) <= LONGEST
    assert min(sizes[:-1]) > LONGEST - 100


async def test_a_flood_becomes_one_word(street: Street) -> None:
    one, two = await street.open(), await street.open()
    for number in range(MOST_WAITING + 1):
        one.bus.tell(Hint(News.CONTACTS, number))
    one.bus.tell(Hint(News.WORK))
    await two.until(bool)
    assert two.heard == [MISSED]
    one.bus.tell(Hint(News.CONTACTS, 1))
    await two.until(lambda heard: heard == [MISSED, Hint(News.CONTACTS, 1)])


async def test_a_listener_at_fault_keeps_nobody_from_hearing(street: Street) -> None:
    def fail(hint: Hint) -> None:
        raise RuntimeError

    one, two = await street.open(), Ear(PostgresBus(street.url))
    street.ears.append(two)
    two.bus.listen(fail)
    end = two.bus.listen(two.hear)
    with capture_logs() as logs:
        await two.bus.start()
        one.bus.tell(Hint(News.WORK))
        await two.until(lambda heard: heard == [MISSED, Hint(News.WORK)])
        end()
        two.bus.tell(Hint(News.WORK))
    assert two.heard == [MISSED, Hint(News.WORK)]
    assert [entry["event"] for entry in logs if "defect" in entry["event"]] == ["bus.defect"] * 3


async def test_a_lost_connection_is_made_again_and_everything_looked_at(street: Street) -> None:
    one, two = await street.open(), await street.open()
    for _ in range(2):
        await street.cut()
        await one.until(lambda heard: MISSED in heard)
        await two.until(lambda heard: MISSED in heard)
        one.bus.tell(Hint(News.CAMPAIGN, 3))
        await two.until(lambda heard: heard == [MISSED, Hint(News.CAMPAIGN, 3)])
        one.heard.clear()
        two.heard.clear()


async def test_what_is_told_while_there_is_no_connection_leaves_with_the_next(street: Street) -> None:
    one, way = await street.open(), Way(street.url)
    await way.open()
    two = await street.open(way.url(street.database))
    await way.close()
    await two.until_hearing(False)
    two.bus.tell(Hint(News.CAMPAIGN, 3))
    two.bus.tell(Hint(News.CAMPAIGN, 3))
    assert one.heard == []
    await way.open()
    await one.until(lambda heard: heard == [Hint(News.CAMPAIGN, 3)])
    assert two.heard == [Hint(News.CAMPAIGN, 3), Hint(News.CAMPAIGN, 3), MISSED]
    await way.close()


async def test_a_database_that_is_away_at_the_start_is_waited_for(street: Street) -> None:
    one, way = await street.open(), Way(street.url)
    await way.open()
    await way.close()
    two = await street.open(way.url(street.database))
    assert not two.bus.is_hearing
    two.bus.tell(Hint(News.WORK))
    assert two.heard == [Hint(News.WORK)]
    await way.open()
    await two.until(lambda heard: MISSED in heard)
    assert two.bus.is_hearing
    await one.until(lambda heard: heard == [Hint(News.WORK)])
    one.bus.tell(Hint(News.SHARES))
    await two.until(lambda heard: Hint(News.SHARES) in heard)
    await way.close()


async def test_a_connection_on_which_nothing_comes_any_more_is_given_up(street: Street) -> None:
    """A network that drops everything says nothing: the bus asks, and waits no longer than for an answer."""
    way = Way(street.url)
    await way.open()
    ear = await street.open(way.url(street.database), Pace(watch=0.02, answer=0.5))
    way.passes.clear()
    await ear.until_hearing(False)
    ear.heard.clear()
    way.passes.set()
    await ear.until(lambda heard: MISSED in heard)
    await way.close()


async def test_of_several_hosts_the_one_that_can_be_written_to_is_taken(
    postgres: postgres_kit.Server, street: Street
) -> None:
    hosts = f"127.0.0.1:1,127.0.0.1:{postgres.port}"
    ear = await street.open(f"postgresql://campana@{hosts}/{street.database}?target_session_attrs=read-write")
    assert ear.bus.is_hearing


@pytest.mark.parametrize(
    "payload",
    [
        "",
        "hello",
        "[]",
        "{}",
        '{"sender":"x","hints":[["work",-1]]}',
        '{"sender":"x","hints":[["work",9223372036854775808]]}',
        '{"sender":"x","hints":[[7]]}',
        '{"sender":"x","hints":{}}',
        '{"sender":"x","hints":[["work"',
    ],
)
async def test_what_strangers_say_is_ignored_with_one_warning(street: Street, payload: str) -> None:
    one, two = await street.open(), await street.open()
    with capture_logs() as logs:
        for _ in range(3):
            await street.stranger.execute("SELECT pg_notify('campana', $1)", payload)
        two.bus.tell(Hint(News.WORK))
        await one.until(bool)
    assert one.heard == [Hint(News.WORK)]
    assert [entry["event"] for entry in logs if entry["log_level"] == "warning"] == ["bus.stranger"] * 2  # each bus one


async def test_a_newer_version_may_say_more(street: Street) -> None:
    one = await street.open()
    lines = [["moon", 4], ["work", 0, 0, "phase"], ["contacts", 2]]
    newer = json.dumps({"sender": "x", "hints": lines, "weather": 1})
    await street.stranger.execute("SELECT pg_notify('campana', $1)", newer)
    await one.until(lambda heard: len(heard) >= 2)
    assert one.heard == [Hint(News.WORK), Hint(News.CONTACTS, 2)]


async def test_closing_sends_what_waits_and_ends_the_connection(street: Street) -> None:
    one, two = await street.open(), await street.open()
    one.bus.tell(Hint(News.WORK))
    await one.bus.close()
    assert not one.bus.is_hearing
    await two.until(lambda heard: heard == [Hint(News.WORK)])
    one.bus.tell(Hint(News.SHARES))
    assert one.heard[-1] == Hint(News.SHARES)
    await two.bus.close()
    connected = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'campana bus' AND datname = $1"
    async with asyncio.timeout(PATIENCE):
        while await street.stranger.fetchval(connected, street.database):
            await street.stranger.execute("SELECT pg_sleep(0.005)")
