"""Owns bringing a database to the schema of this version, by Alembic, also while others work on it.

Must not know what the tables mean, but for the few that say who works on them and with which program.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import structlog
from alembic import command
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, create_engine, event, inspect, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from campana.hosts import Hosts
from campana.storage.steps import Course, Standing, Step
from campana.storage.store import StoreUnavailable, UpgradeRefused

SCRIPTS = Path(__file__).parent / "migrations"
_CONNECT_S = 5.0
LOCK_PATIENCE_S = 120.0
"""How long a step tries to get its locks; each try keeps others waiting for no longer than env.py lets it."""
_PAUSE_S = 0.25
"""Between two tries, in which those who were kept waiting go on."""
_POLL_S = 0.05
_LOST_A_LOCK = {"55P03", "40P01"}
"""SQLSTATE: lock_not_available, deadlock_detected."""

_POSTGRESQL = ("postgresql://", "postgres://")
# Asked for again and again instead of waited for: who waits in a statement has a snapshot, and an index that is built
# beside others (CREATE INDEX CONCURRENTLY) would wait for its end in turn.
_TAKE_LOCK = text("SELECT pg_try_advisory_xact_lock(hashtextextended('campana.upgrade', 0))")
_KEEP_LOCK = text("SET LOCAL idle_in_transaction_session_timeout = 0")
_OLDEST_CODE = text("SELECT oldest_code FROM instance")
_SET_OLDEST_CODE = text("UPDATE instance SET oldest_code = :code")
_OLDER = text(
    "SELECT role, owner, host, code FROM members WHERE code < :code "
    "AND until > (extract(epoch FROM clock_timestamp()) * 1000)::bigint ORDER BY host, owner"
)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Upgraded:
    """What an upgrade did: the revisions before and after, and which wait until no older program is at work."""

    before: str | None
    after: str | None
    waiting: tuple[str, ...] = ()


def newest() -> str:
    """The newest revision that this program knows."""
    return Course(SCRIPTS).newest


def upgrade(url: str, *, finish: bool = False, scripts: Path = SCRIPTS) -> Upgraded:
    """Bring the database at a `url` along; create the tables where there are none.

    `url` is SQLAlchemy's for SQLite (`sqlite:///file`) and libpq's for PostgreSQL (`postgresql://host1,host2/name`).
    Steps are taken up to the first one after which some older program could not go on; to `finish` is to take that and
    what follows as well, on PostgreSQL only where no such program is at work, on SQLite at the caller's word. A
    database that a newer program has brought further is left as it is.

    Raises UpgradeRefused where a program is too old, this one or one that is at work, and StoreUnavailable; a failed
    step leaves the revision before it. On PostgreSQL any number of processes may do this at once: they wait for each
    other. Not to be called in an event loop's thread for PostgreSQL.
    """
    course = Course(scripts)
    try:
        if url.startswith(_POSTGRESQL):
            done = asyncio.run(_upgrade_postgresql(url, course, finish))
        else:
            done = _upgrade_sqlite(url, course, finish)
    except (SQLAlchemyError, OSError) as error:
        raise StoreUnavailable(_reason(error)) from error
    if done.waiting:
        log.info("database.steps_wait", revisions=list(done.waiting), for_them="campana db upgrade --finish")
    return done


def _upgrade_sqlite(url: str, course: Course, finish: bool) -> Upgraded:
    # Left to itself, the driver would begin no transaction before a CREATE TABLE.
    engine = create_engine(url, connect_args={"isolation_level": None})
    event.listen(engine, "begin", _begin_on_sqlite)
    try:
        with engine.connect() as connection:
            return _bring_along(connection, course, finish)
    finally:
        engine.dispose()


def _begin_on_sqlite(connection: Connection) -> None:
    alone = connection.get_execution_options().get("alone", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if alone else "BEGIN")


async def _upgrade_postgresql(url: str, course: Course, finish: bool) -> Upgraded:
    # A pooler of transactions may be between: a statement's name must be nobody else's there, and none be kept.
    names = {
        "statement_cache_size": 0,
        "prepared_statement_cache_size": 0,
        "prepared_statement_name_func": _unique_name,
    }
    way = {"async_creator_fn": Hosts(url).connect, "timeout": _CONNECT_S}
    engine = create_async_engine("postgresql+asyncpg://", connect_args=way | names, poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(_bring_along, course, finish)
    finally:
        await engine.dispose()


def _unique_name() -> str:
    return f"campana_{uuid4().hex}"


def _bring_along(connection: Connection, course: Course, finish: bool) -> Upgraded:
    before = standing = _look(connection)
    if course.next_step(before, finish) is not None:
        with _alone(connection):
            before = standing = _look(connection)
            while step := course.next_step(standing, finish):
                _take(connection, course, step)
                standing = _look(connection)
    waiting = tuple(step.revision for step in course.ahead(standing))
    return Upgraded(before.revision, standing.revision, waiting)


def _look(connection: Connection) -> Standing:
    """Where the database stands, in a transaction of its own or in the one that is open."""
    if connection.in_transaction():
        return _stand(connection)
    with connection.begin():
        return _stand(connection)


def _stand(connection: Connection) -> Standing:
    revision = MigrationContext.configure(connection).get_current_revision()
    if not inspect(connection).has_table("instance"):
        return Standing(revision)
    return Standing(revision, connection.execute(_OLDEST_CODE).scalar())


@contextmanager
def _alone(connection: Connection) -> Iterator[None]:
    """Be the only one who upgrades the database: on SQLite who writes to it, on PostgreSQL by a lock.

    The lock belongs to a connection of its own, since a step may end its transaction.
    """
    if connection.dialect.name == "sqlite":
        with connection.execution_options(alone=True).begin():
            yield
        return
    with connection.engine.connect() as holder:
        while not holder.execute(_TAKE_LOCK).scalar():
            holder.rollback()
            time.sleep(_POLL_S)
        # Also ends the snapshot of the statement before it, which would last as long as that is the last one.
        holder.execute(_KEEP_LOCK)
        yield


def _take(connection: Connection, course: Course, step: Step) -> None:
    """Run a step. Raises UpgradeRefused where a program is at work that would not survive it."""
    if step.needs is not None:
        _forbid_older(connection, step.revision, step.needs)
    course.config.attributes["connection"] = connection
    until = time.monotonic() + LOCK_PATIENCE_S
    while True:
        try:
            command.upgrade(course.config, step.revision)
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) not in _LOST_A_LOCK or time.monotonic() > until:
                reason = f"it cannot be upgraded to revision {step.revision}: {_reason(error)}"
                raise StoreUnavailable(reason) from error
            log.info("database.step_tries_again", revision=step.revision, reason=str(error.__cause__ or error.orig))
            time.sleep(_PAUSE_S)
        else:
            log.info("database.step_taken", revision=step.revision)
            return


def _reason(error: Exception) -> str:
    return str(error.__cause__ or error)


def _forbid_older(connection: Connection, revision: str, needs: str) -> None:
    """Let no program start that knows less than `needs`, and see that none is at work."""
    if connection.in_transaction():
        # SQLite: the caller says that nobody else is at work.
        connection.execute(_SET_OLDEST_CODE, {"code": needs})
        return
    # First forbidden, then looked for: one that starts meanwhile is either seen here or sees there that it may not.
    with connection.begin():
        allowed = str(connection.execute(_OLDEST_CODE).scalar_one())
        connection.execute(_SET_OLDEST_CODE, {"code": max(allowed, needs)})
    with connection.begin():
        older = connection.execute(_OLDER, {"code": needs}).all()
        if older:
            connection.execute(_SET_OLDEST_CODE, {"code": allowed})
    if older:
        names = "; ".join(f"{role} {owner} on {host}, revision {code}" for role, owner, host, code in older)
        raise UpgradeRefused(
            f"revision {revision} waits: it needs programs that know {needs}, and older ones are at work ({names})"
        )
