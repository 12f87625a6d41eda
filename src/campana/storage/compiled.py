"""Owns the step from a SQLAlchemy Core statement to the text that a driver runs, taken once.

Must not hold statements of its own. Running Core statements through a Connection costs some 20 µs each, more than
SQLite needs for the work itself; compiled once, the same statements cost nothing beyond the driver.
"""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, or_
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import ClauseElement

_DIALECT = sqlite.dialect(paramstyle="named")


def among(column: ColumnElement[int], values: Iterable[int | ColumnElement[int]]) -> ColumnElement[bool]:
    """`column IN values`, spelled so that the statement can be compiled once: IN lists are expanded at execution."""
    return or_(*(column == value for value in values))


class _Compiled:
    """A statement's text and the values that it brings itself."""

    __slots__ = ("defaults", "sql")

    def __init__(self, statement: ClauseElement) -> None:
        compiled = statement.compile(dialect=_DIALECT)
        assert isinstance(compiled, SQLCompiler)
        self.sql = str(compiled)
        self.defaults: dict[str, Any] = {
            name: value for name, value in compiled.params.items() if not compiled.binds[name].required
        }


@functools.cache
def _compiled(statement: ClauseElement) -> _Compiled:
    return _Compiled(statement)


def run(connection: sqlite3.Connection, statement: ClauseElement, **parameters: Any) -> sqlite3.Cursor:
    """Execute a statement of `queries` with named parameters; raises what sqlite3 raises."""
    compiled = _compiled(statement)
    return connection.execute(compiled.sql, compiled.defaults | parameters)
