"""The schema and its migrations hold together, on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, create_engine, inspect, text
from sqlalchemy.ext.asyncio import create_async_engine

from campana.domain.progress import Balance
from campana.storage import migrate
from campana.storage.campaign_rows import campaign_columns
from campana.storage.migrate import Upgraded, newest, upgrade
from campana.storage.postgres import PostgresStore
from campana.storage.progress import Standing
from campana.storage.schema import metadata
from campana.storage.sqlite import SqliteStore
from campana.storage.store import StoreUnavailable
from campana.storage.tables import contact_id, delivery_id
from tests.contract import postgres_kit
from tests.contract.conftest import a_campaign, guid

T = TypeVar("T")
HEAD = "0006"
OLD_ATTEMPT = "INSERT INTO attempts VALUES ({}, 1, {}, 'sms', 4, 0, 0, NULL, 'delivered')"


def within(url: str, work: Callable[[Connection], T]) -> T:
    """Run something in a transaction on the database at a URL."""
    if url.startswith("sqlite"):
        engine = create_engine(url)
        with engine.begin() as connection:
            answer = work(connection)
        engine.dispose()
        return answer

    async def go() -> T:
        bridge = create_async_engine("postgresql+asyncpg://", connect_args={"dsn": url})
        async with bridge.begin() as connection:
            answer = await connection.run_sync(work)
        await bridge.dispose()
        return answer

    return asyncio.run(go())


def test_the_migrations_lead_to_the_tables(empty: str) -> None:
    upgrade(empty)
    assert within(empty, lambda connection: compare_metadata(MigrationContext.configure(connection), metadata)) == []


def test_upgrading_twice_does_nothing(empty: str) -> None:
    assert newest() == HEAD
    assert (upgrade(empty), upgrade(empty)) == (Upgraded(None, HEAD), Upgraded(HEAD, HEAD))


def test_a_database_of_the_first_version_is_brought_along(empty: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))

    def begin(connection: Connection) -> None:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(text(OLD_ATTEMPT.format(1, 7)))

    within(empty, begin)
    assert upgrade(empty) == Upgraded("0001", HEAD)
    # An earlier version that still has it open goes on.
    within(empty, lambda connection: connection.execute(text(OLD_ATTEMPT.format(2, 8))).rowcount)
    kept = within(empty, lambda connection: connection.execute(text("SELECT delivery, at FROM attempts")).fetchall())
    assert sorted(tuple(row) for row in kept) == [(1, 7), (2, 8)]
    assert within(empty, lambda connection: connection.execute(text("SELECT count(*) FROM calls")).scalar()) == 0


_OLD_ROWS = (
    "INSERT INTO accounts VALUES (1, 'acme', 'acme', 'UTC', 'CA', 0)",
    "INSERT INTO users VALUES (1, 1, 'maria', 'maria', 'api', '', 0)",
    f"INSERT INTO campaigns VALUES (1, 1, 1, '{guid(900)}', 0, NULL, 1, 1, 3, 0, 1, :body)",
    "INSERT INTO contents VALUES (1, 1, '{}')",
    "INSERT INTO lanes VALUES (1, 0, 1, 3, NULL)",
    *(
        f"INSERT INTO contacts VALUES ({contact_id(1, number)}, 1, '{guid(number)}', 0, {deleted_at})"
        for number, deleted_at in ((1, "NULL"), (2, "NULL"), (3, "0"))
    ),
    *(
        f"INSERT INTO deliveries VALUES ({delivery_id(1, 0, number)}, {status}, 0, 2, 1, 1, 0, '+14165550001', "
        "'+14165550001', NULL)"
        for number, status in ((1, 4), (2, 3), (3, 3))
    ),
)
"""A campaign as an earlier version kept it: a message that arrived, one on its way, one whose contact is deleted."""


def test_a_campaign_of_an_earlier_version_is_counted(empty: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
    _, _, body = campaign_columns(a_campaign())

    def begin(connection: Connection) -> None:
        config.attributes["connection"] = connection
        command.upgrade(config, "0003")
        for statement in _OLD_ROWS:
            connection.execute(text(statement), {"body": body} if ":body" in statement else {})

    async def look() -> Standing:
        store: SqliteStore | PostgresStore
        if empty.startswith("sqlite"):
            store = await SqliteStore.open(Path(empty.removeprefix("sqlite:///")))
        else:
            store = await PostgresStore.open(empty)
        found = await store.progress.standings([1])
        await store.close()
        return found[1]

    within(empty, begin)
    standing = asyncio.run(look())
    assert standing.balance == Balance(2, ((0, 0, 0, 1, 1, 0, 0, 0), (2, *(0,) * 7), (2, *(0,) * 7)))
    assert (standing.number, standing.started_at, standing.is_uncounted) == (0, None, True)


def test_processes_that_upgrade_at_once_wait_for_each_other(postgres: postgres_kit.Server) -> None:
    name = asyncio.run(postgres.create("template0"))
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(upgrade, [postgres.url(name)] * 4))
    assert sorted(answers, key=str) == [Upgraded(HEAD, HEAD)] * 3 + [Upgraded(None, HEAD)]
    asyncio.run(postgres.drop(name))


def test_a_failed_step_leaves_nothing_behind(empty: str) -> None:
    # The last table of the first revision is there already, so that it fails when most of it is done.
    within(empty, lambda connection: connection.execute(text("CREATE TABLE sessions (mine integer)")))
    with pytest.raises(StoreUnavailable, match=r"^it cannot be upgraded to revision 0001: .*sessions"):
        upgrade(empty)
    assert within(empty, lambda connection: inspect(connection).get_table_names()) == ["sessions"]


@pytest.mark.parametrize("where", ["postgresql://nobody@127.0.0.1:1/none", "sqlite:////nowhere/at/all.db"])
def test_a_database_that_is_not_there(where: str) -> None:
    with pytest.raises(StoreUnavailable, match=r"unable to open|Connect call failed"):
        upgrade(where)


def test_who_does_not_get_in_hears_why(postgres: postgres_kit.Server) -> None:
    asyncio.run(postgres.execute("CREATE ROLE stranger NOLOGIN"))
    with pytest.raises(StoreUnavailable, match=r'^role "stranger" is not permitted to log in$'):
        upgrade(postgres.url("postgres").replace("campana@", "stranger@"))
