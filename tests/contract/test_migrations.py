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

from campana.storage import migrate
from campana.storage.migrate import Upgraded, newest, upgrade
from campana.storage.schema import metadata
from campana.storage.store import StoreUnavailable
from tests.contract import postgres_kit

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
