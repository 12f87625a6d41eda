"""Versions of Campana that were never released: the real scripts of the schema with fabricated steps after them, and
what a step does to a database, as the database is told it."""

from __future__ import annotations

import asyncio
import re
import shutil
from pathlib import Path
from typing import Any

from alembic import command
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.ext.asyncio import create_async_engine

from campana.storage.migrate import SCRIPTS
from campana.storage.steps import Course, Standing

_HEADER = """
from alembic import op
from sqlalchemy import Column, Integer, Text

from campana.storage.additions import add_index

revision = "{revision}"
down_revision = "{before}"
branch_labels = None
depends_on = None
phase = "{phase}"
oldest_code = {oldest_code!r}


def upgrade():
    {body}
"""


def version(folder: Path, *steps: tuple[str, str | None, str]) -> Path:
    """The scripts of a version with these steps after the real ones: revision, the oldest program that survives it
    (None for a before step), and what it does."""
    shutil.copytree(SCRIPTS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    before = Course(SCRIPTS).newest
    for revision, oldest_code, body in steps:
        phase = "before" if oldest_code is None else "after"
        values = {"revision": revision, "before": before, "phase": phase, "oldest_code": oldest_code, "body": body}
        (folder / "versions" / f"{revision}_fabricated.py").write_text(_HEADER.format(**values))
        before = revision
    return folder


def said_by_each_step(url: str, scripts: Path) -> dict[str, list[str]]:
    """Run the steps that a database has yet to take; what each told it, but for Alembic's own book-keeping."""
    course = Course(scripts)
    said: dict[str, list[str]] = {}
    revision: str | None = None

    def hear(connection: Any, cursor: Any, statement: str, *more: Any) -> None:
        words = " ".join(statement.split())
        if revision and not re.match(r"SELECT|PRAGMA|SET LOCAL", words) and "alembic_version" not in words:
            said[revision].append(words)

    def go(connection: Connection) -> None:
        nonlocal revision
        event.listen(connection, "before_cursor_execute", hear)
        course.config.attributes["connection"] = connection
        standing = Standing(MigrationContext.configure(connection).get_current_revision())
        connection.rollback()
        for step in course.ahead(standing):
            revision = step.revision
            said[revision] = []
            command.upgrade(course.config, revision)

    if url.startswith("sqlite"):
        with create_engine(url).connect() as connection:
            go(connection)
        return said

    async def bridge() -> None:
        engine = create_async_engine("postgresql+asyncpg://", connect_args={"dsn": url})
        async with engine.connect() as connection:
            await connection.run_sync(go)
        await engine.dispose()

    asyncio.run(bridge())
    return said


_TABLE = re.compile(r'(?:CREATE TABLE|ALTER TABLE|INSERT INTO|UPDATE|DELETE FROM|DROP TABLE) "?(\w+)"?')
_INDEX = re.compile(r'CREATE (UNIQUE )?INDEX (CONCURRENTLY )?"?(\w+)"? ON "?(\w+)"?')
_HALF_BUILT = re.compile(r'DROP INDEX CONCURRENTLY IF EXISTS "?(\w+)"?')
_COLUMN = re.compile(r'ALTER TABLE "?\w+"? ADD COLUMN "?\w+"? (.+)')
_RULE_OF_A_COLUMN = re.compile(r"\b(?:UNIQUE|REFERENCES|CHECK|PRIMARY)\b")
_ROOM_ON_A_PAGE = re.compile(r"ALTER TABLE \w+ SET \(fillfactor = \d+\)")
_CONSTANT = re.compile(r"DEFAULT (?:'[^']*'|\d+)(?= |$)")


def what_is_more_than_adding(statements: list[str], on_postgresql: bool) -> list[str]:
    """Those of a step's statements that an older program, or one that writes meanwhile, could notice."""
    made: set[str] = set()
    indices = {found[3] for one in statements if (found := _INDEX.match(one))}
    noticed = []
    for one in statements:
        index, half_built, column, table = (pattern.match(one) for pattern in (_INDEX, _HALF_BUILT, _COLUMN, _TABLE))
        if one.startswith("CREATE TABLE") and table:
            made.add(table[1])
        elif (index and index[4] in made) or (table and table[1] in made):
            # Nobody knows the table yet.
            continue
        elif index:
            # On a table with rows: not under a lock, and not in one revision with anything else.
            beside = not on_postgresql or (
                index[2] and all(_INDEX.match(o) or _HALF_BUILT.match(o) for o in statements)
            )
            if index[1] or not beside:
                noticed.append(one)
        elif (half_built and half_built[1] in indices) or _ROOM_ON_A_PAGE.fullmatch(one):
            continue
        elif not (column and not _RULE_OF_A_COLUMN.search(column[1]) and _is_left_out(column[1])):
            noticed.append(one)
    return noticed


def _is_left_out(column: str) -> bool:
    """Whether a row may be added without the column, and no row there is has to be written for it."""
    plain = "NOT NULL" not in column and "DEFAULT" not in column
    return plain or _CONSTANT.search(column) is not None
