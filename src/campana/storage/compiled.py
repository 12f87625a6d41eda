"""Owns the step from a SQLAlchemy Core statement to the text that a driver runs, taken once for each database.

Must not hold statements of its own. Running Core statements through a Connection costs some 20 µs each, more than
SQLite needs for the work itself; compiled once, the same statements cost nothing beyond the driver.
"""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, Insert, Table, bindparam, insert, or_
from sqlalchemy.dialects import registry, sqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import ClauseElement

_SQLITE = sqlite.dialect(paramstyle="named")


def among(column: ColumnElement[int], values: Iterable[int | ColumnElement[int]]) -> ColumnElement[bool]:
    """`column IN values`, spelled so that the statement can be compiled once: IN lists are expanded at execution."""
    return or_(*(column == value for value in values))


def insert_keyless(table: Table, *left_out: str) -> Insert:
    """An INSERT of every column but the primary key, which the database hands out, and those that are left out."""
    names = [column.name for column in table.c if not column.primary_key and column.name not in left_out]
    return insert(table).values({name: bindparam(name) for name in names})


class Compiled:
    """A statement's text and the values that it brings itself."""

    __slots__ = ("_names", "defaults", "sql")

    def __init__(self, statement: ClauseElement, dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        assert isinstance(compiled, SQLCompiler)
        self.sql = str(compiled)
        self.defaults: dict[str, Any] = {
            name: value for name, value in compiled.params.items() if not compiled.binds[name].required
        }
        self._names = tuple(compiled.positiontup or ())

    def in_order(self, parameters: dict[str, Any]) -> list[Any]:
        """The values for `$1`, `$2`, ... Raises KeyError where one is missing."""
        values = self.defaults | parameters
        return [values[name] for name in self._names]


@functools.cache
def _for_sqlite(statement: ClauseElement) -> Compiled:
    return Compiled(statement, _SQLITE)


@functools.cache
def _postgresql() -> Dialect:
    """It writes parameters as `$1::BIGINT`. The driver itself is not needed to compile."""
    dialect: Dialect = registry.load("postgresql.asyncpg")()
    return dialect


@functools.cache
def for_postgresql(statement: ClauseElement) -> Compiled:
    """A statement of `queries` for PostgreSQL, with its parameters by position."""
    return Compiled(statement, _postgresql())


def run(connection: sqlite3.Connection, statement: ClauseElement, **parameters: Any) -> sqlite3.Cursor:
    """Execute a statement of `queries` with named parameters; raises what sqlite3 raises."""
    compiled = _for_sqlite(statement)
    return connection.execute(compiled.sql, compiled.defaults | parameters)
