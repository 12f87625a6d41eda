"""The schema is brought along while programs of several versions are at work on it: what comes before only adds, and
what takes away waits until nobody needs it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text

from campana.storage.cluster import Member
from campana.storage.migrate import SCRIPTS, Upgraded, upgrade
from campana.storage.river import Step
from campana.storage.steps import Course
from campana.storage.store import UpgradeRefused
from tests.contract import postgres_kit
from tests.contract.conftest import NOW, World
from tests.contract.postgres_cluster import SUCCESS, clustered, judged
from tests.contract.steps_kit import said_by_each_step, version, what_is_more_than_adding
from tests.contract.test_migrations import within

ADD_COLUMN = ("0007", None, 'op.add_column("contacts", Column("nickname", Text))')
ADD_INDEX = ("0008", None, 'add_index("ix_deliveries_due_at", "deliveries", ["due_at"], "status = 5")')
TAKE_AWAY = ("0009", "0008", 'op.execute("ALTER TABLE incoming DROP COLUMN text")')
AND_ADD = ("0010", None, 'op.add_column("contacts", Column("surname", Text, server_default="", nullable=False))')
STEPS = (ADD_COLUMN, ADD_INDEX, TAKE_AWAY, AND_ADD)
LASTS_MS = 60_000


@pytest.fixture
def url(server: postgres_kit.Server | None, tmp_path: Path) -> Iterator[str]:
    """A database as this version leaves it."""
    if server is None:
        upgrade(f"sqlite:///{tmp_path / 'campana.db'}")
        yield f"sqlite:///{tmp_path / 'campana.db'}"
        return
    name = asyncio.run(server.create())
    yield server.url(name)
    asyncio.run(server.drop(name))


@pytest.fixture
def next_version(tmp_path: Path) -> Path:
    return version(tmp_path / "next", *STEPS)


def ask(url: str, statement: str) -> Any:
    return within(url, lambda connection: connection.execute(text(statement)).scalar())


# --- what a script declares --------------------------------------------------------------------------------------


def test_every_step_since_the_first_says_what_it_is_and_follows_the_one_before() -> None:
    revisions = [step.revision for step in Course(SCRIPTS).steps]
    assert revisions == [f"{number:04d}" for number in range(1, len(revisions) + 1)]


@pytest.mark.parametrize(
    ("phase", "oldest_code"), [("", None), ("before", "0006"), ("after", None), ("after", "0008"), ("later", None)]
)
def test_a_step_that_does_not_say_what_it_is_is_refused(tmp_path: Path, phase: str, oldest_code: str | None) -> None:
    scripts = version(tmp_path / "next", ADD_COLUMN)
    file = scripts / "versions" / "0007_fabricated.py"
    said = file.read_text().replace('phase = "before"', f'phase = "{phase}"' if phase else "")
    file.write_text(said.replace("oldest_code = None", f"oldest_code = {oldest_code!r}"))
    with pytest.raises(ValueError, match="revision 0007 should say phase"):
        Course(scripts)


def test_before_steps_only_add(empty: str) -> None:
    said = said_by_each_step(empty, SCRIPTS)
    before = [step.revision for step in Course(SCRIPTS).steps if not step.is_after]
    assert {"0001", "0002", "0006"} <= set(before)
    on_postgresql = empty.startswith("postgresql")
    assert {one: what_is_more_than_adding(said[one], on_postgresql) for one in before} == {one: [] for one in before}
    assert all(said[one] for one in before)


def test_what_counts_as_adding(url: str, tmp_path: Path) -> None:
    new_table = 'op.create_table("n", Column("id", Integer)); op.create_index("u", "n", ["id"], unique=True)'
    adding = [ADD_COLUMN[2], ADD_INDEX[2], AND_ADD[2], new_table]
    others = [
        'op.execute("UPDATE contacts SET campaign = 1")',
        'op.execute("INSERT INTO due VALUES (1, 0, 1, 1)")',
        'op.create_index("v", "contacts", ["created_at"], unique=True)',
        'op.execute("ALTER TABLE contacts RENAME COLUMN nickname TO called")',
        TAKE_AWAY[2],
        'op.drop_table("incoming")',
    ]
    steps = [(f"{number:04d}", None, body) for number, body in enumerate(adding + others, 7)]
    said = said_by_each_step(url, version(tmp_path / "next", *steps))
    noticed = [what_is_more_than_adding(one, url.startswith("postgresql")) != [] for one in said.values()]
    assert noticed == [False] * len(adding) + [True] * len(others)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE INDEX i ON contacts (created_at)",
        "ALTER TABLE contacts ADD COLUMN nickname TEXT NOT NULL",
        "ALTER TABLE contacts ADD COLUMN nickname TEXT DEFAULT random()::text",
        "ALTER TABLE contacts ADD COLUMN account BIGINT REFERENCES accounts (number)",
        "ALTER TABLE contacts ALTER COLUMN guid DROP NOT NULL",
        'DROP INDEX CONCURRENTLY IF EXISTS "uq_contacts_guid"',
    ],
)
def test_what_others_would_notice(statement: str) -> None:
    assert what_is_more_than_adding([statement], on_postgresql=True) == [statement]


# --- the course --------------------------------------------------------------------------------------------------


def test_the_whole_course_with_an_old_program_beside_a_new_one(url: str, next_version: Path) -> None:
    assert upgrade(url) == Upgraded("0006", "0006")
    # The first process of the next version starts: it adds, and says what waits.
    assert upgrade(url, scripts=next_version) == Upgraded("0006", "0008", ("0009", "0010"))
    # One of the old version starts again: it goes on, on tables of which it does not know.
    assert upgrade(url) == Upgraded("0008", "0008")
    within(url, lambda one: one.execute(text("INSERT INTO contacts (id, campaign, guid, created_at) "
                                             "VALUES (1, 1, '00000000-0000-4000-8000-000000000001', 1)")))  # fmt: skip
    assert ask(url, "SELECT nickname FROM contacts") is None
    # Nobody of the old version is left: the rest may come.
    assert upgrade(url, scripts=next_version, finish=True) == Upgraded("0008", "0010")
    assert ask(url, "SELECT oldest_code FROM instance") == "0008"
    assert ask(url, "SELECT surname FROM contacts") == ""
    with pytest.raises(UpgradeRefused, match="upgraded for a newer version: it is at revision 0010 and needs a"):
        upgrade(url)
    with pytest.raises(UpgradeRefused, match="knows 0008, and this one knows none after 0006"):
        upgrade(url, finish=True)
    assert upgrade(url, scripts=next_version) == Upgraded("0010", "0010")


def test_a_program_that_knows_less_goes_on_where_it_survives_what_was_taken_away(url: str, tmp_path: Path) -> None:
    """The version between has only the additions: it survives what the one after it takes away."""
    upgrade(url, scripts=version(tmp_path / "all", *STEPS), finish=True)
    between = version(tmp_path / "between", ADD_COLUMN, ADD_INDEX)
    assert upgrade(url, scripts=between) == Upgraded("0010", "0010")


def test_an_empty_database_takes_no_more_than_a_start_may(empty: str, next_version: Path) -> None:
    assert upgrade(empty, scripts=next_version) == Upgraded(None, "0008", ("0009", "0010"))
    assert upgrade(empty, scripts=next_version, finish=True) == Upgraded("0008", "0010")


# --- on a running cluster ----------------------------------------------------------------------------------------


async def test_what_takes_away_is_refused_while_an_older_program_is_at_work(
    postgres: postgres_kit.Server, postgres_database: str, next_version: Path
) -> None:
    url = postgres.url(postgres_database)
    async with clustered(postgres, postgres_database) as cluster:
        store = (await cluster.open()).store
        for name, code, lasts in (("old", "0006", LASTS_MS), ("new", "0010", LASTS_MS), ("dead", "0001", -1)):
            await store.cluster.beat(Member(name, "worker", "host-a", code, 1), lasts)
        with pytest.raises(
            UpgradeRefused, match=r"0009 waits: it needs .* 0008, .*\(worker old on host-a, revision 0006\)$"
        ):
            await asyncio.to_thread(upgrade, url, scripts=next_version, finish=True)
        # What comes before was taken, and programs of the old version may start as before.
        assert await cluster.meddler.fetchval("SELECT version_num FROM alembic_version") == "0008"
        assert await cluster.meddler.fetchval("SELECT oldest_code FROM instance") == "0001"
        assert await asyncio.to_thread(upgrade, url) == Upgraded("0008", "0008")
        assert await store.cluster.oldest_code() == "0001"
        await store.cluster.bury("old")
        done = await asyncio.to_thread(upgrade, url, scripts=next_version, finish=True)
        assert done == Upgraded("0008", "0010")
        assert await store.cluster.oldest_code() == "0008"


async def work_off(world: World) -> None:
    """Claim, send and record what is planned."""
    while lease := await world.claim():
        await world.store.river.step(Step(lease, (), [one.id for one in lease.deliveries], NOW))
        await world.store.river.release(Step(lease, judged(lease, SUCCESS), (), NOW), 0)


async def test_processes_write_while_the_schema_is_brought_along(
    postgres: postgres_kit.Server, postgres_database: str, next_version: Path
) -> None:
    async with clustered(postgres, postgres_database) as cluster:
        worlds = [await cluster.open() for _ in range(2)]
        rounds, working, went_on = [0, 0], True, asyncio.Event()

        async def work(which: int) -> None:
            world = worlds[which]
            while working:
                rounds[which] += 1
                await world.add(1, which * 100_000 + rounds[which])
                await world.plan()
                await work_off(world)
                went_on.set()

        async def until_all_went_on() -> None:
            seen = list(rounds)
            async with asyncio.timeout(20):
                while any(now < then + 3 for now, then in zip(rounds, seen, strict=True)):
                    await went_on.wait()
                    went_on.clear()

        workers = asyncio.gather(*(work(which) for which in range(2)))
        await until_all_went_on()
        done = await asyncio.to_thread(upgrade, cluster.url, scripts=next_version)
        await until_all_went_on()
        working = False
        await workers
        assert done == Upgraded("0006", "0008", ("0009", "0010"))
        while await worlds[0].plan():
            pass
        await work_off(worlds[0])
        counts = "SELECT count(*), (SELECT count(*) FROM attempts), (SELECT count(*) FROM chunks) FROM contacts"
        assert tuple(await cluster.meddler.fetchrow(counts)) == (sum(rounds), sum(rounds), 0)
        assert await cluster.meddler.fetchval("SELECT bool_and(indisvalid) FROM pg_index") is True


async def test_a_step_that_waits_for_a_table_lets_others_have_it(
    postgres: postgres_kit.Server, postgres_database: str, next_version: Path
) -> None:
    """Somebody reads a table for long: the step stands back again and again instead of closing the table behind it."""
    async with clustered(postgres, postgres_database) as cluster:
        world = await cluster.open()
        reader = await asyncpg.connect(cluster.url)
        async with reader.transaction():
            await reader.fetch("SELECT FROM contacts")
            upgrading = asyncio.create_task(asyncio.to_thread(upgrade, cluster.url, scripts=next_version))
            for number in (1, 2):
                await cluster.until_somebody_waits()
                await world.add(1, number)
            assert not upgrading.done()
        await reader.close()
        assert (await upgrading).after == "0008"


async def test_a_half_built_index_is_built_again(
    postgres: postgres_kit.Server, postgres_database: str, next_version: Path
) -> None:
    """As a crash in the middle leaves one: it has the name, and serves nobody."""
    url = postgres.url(postgres_database)
    meddler = await asyncpg.connect(url)
    await meddler.execute("CREATE INDEX ix_deliveries_due_at ON deliveries (due_at)")
    await meddler.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_deliveries_due_at'::regclass")
    await asyncio.to_thread(upgrade, url, scripts=next_version)
    found = await meddler.fetchrow(
        "SELECT indisvalid, indpred IS NOT NULL FROM pg_index WHERE indexrelid = 'ix_deliveries_due_at'::regclass"
    )
    await meddler.close()
    assert tuple(found) == (True, True)
