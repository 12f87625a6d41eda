"""Owns bringing a database to the schema of this version, by Alembic.

Must not know what the tables mean.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import uuid4

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from campana.hosts import Hosts
from campana.storage.store import StoreUnavailable

_SCRIPTS = Path(__file__).parent / "migrations"
_ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtextextended('campana.upgrade', 0))")
_CONNECT_S = 5.0
_POSTGRESQL = ("postgresql://", "postgres://")

Revisions = tuple[str | None, str | None]
"""The revision before and the newest one."""


def upgrade(url: str) -> Revisions:
    """Bring the database at a `url` to the newest revision; create the tables where there are none.

    `url` is SQLAlchemy's for SQLite (`sqlite:///file`) and libpq's for PostgreSQL (`postgresql://host1,host2/name`).
    Returns the revisions before and after. Raises StoreUnavailable; a failed step leaves the revision before it. On
    PostgreSQL any number of processes may do this at once: they wait for each other. Not to be called in an event
    loop's thread for PostgreSQL.
    """
    try:
        if url.startswith(_POSTGRESQL):
            return asyncio.run(_upgrade_postgresql(url))
        return _upgrade_sqlite(url)
    except (SQLAlchemyError, OSError) as error:
        raise StoreUnavailable(f"the database cannot be upgraded: {error.__cause__ or error}") from error


def newest() -> str:
    """The newest revision that this program knows."""
    head = ScriptDirectory(str(_SCRIPTS)).get_current_head()
    assert head is not None
    return head


def _upgrade_sqlite(url: str) -> Revisions:
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            return _to_head(connection)
    finally:
        engine.dispose()


async def _upgrade_postgresql(url: str) -> Revisions:
    # A pooler of transactions may be between: a statement's name must be nobody else's there.
    names = {"statement_cache_size": 0, "prepared_statement_name_func": _unique_name}
    way = {"async_creator_fn": Hosts(url).connect, "timeout": _CONNECT_S}
    engine = create_async_engine("postgresql+asyncpg://", connect_args=way | names, poolclass=NullPool)
    try:
        async with engine.begin() as connection:
            await connection.execute(_ONE_AT_A_TIME)
            return await connection.run_sync(_to_head)
    finally:
        await engine.dispose()


def _unique_name() -> str:
    return f"campana_{uuid4().hex}"


def _to_head(connection: Connection) -> Revisions:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    head = ScriptDirectory.from_config(config).get_current_head()
    before = MigrationContext.configure(connection).get_current_revision()
    if before != head:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return before, head
