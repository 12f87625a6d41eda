"""Every statement of `queries` must mean the same on PostgreSQL: here, that its dialect can write it, and that the
server takes it."""

from __future__ import annotations

import importlib
import pkgutil

import asyncpg
import pytest
from sqlalchemy import ClauseElement
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from campana.storage import queries
from campana.storage.compiled import for_postgresql
from campana.storage.schema import metadata
from tests.contract import postgres_kit

MODULES = [
    importlib.import_module(f"campana.storage.queries.{module.name}")
    for module in pkgutil.iter_modules(queries.__path__)
]
STATEMENTS = [
    pytest.param(statement, id=f"{module.__name__.rpartition('.')[2]}.{name}")
    for module in MODULES
    for name, statement in vars(module).items()
    if isinstance(statement, ClauseElement) and not name.startswith("_")
    if getattr(statement, "is_dml", False) or getattr(statement, "is_select", False)
]


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_statement_can_be_written_for_postgresql(statement: ClauseElement) -> None:
    text = str(statement.compile(dialect=postgresql.dialect()))
    assert text.startswith(("SELECT", "INSERT", "UPDATE", "DELETE"))
    assert "OR IGNORE" not in text


async def test_the_server_takes_every_statement(postgres: postgres_kit.Server, postgres_database: str) -> None:
    connection = await asyncpg.connect(postgres.url(postgres_database))
    refused = {}
    for param in STATEMENTS:
        (statement,) = param.values
        try:
            await connection.prepare(for_postgresql(statement).sql)
        except asyncpg.PostgresError as error:
            refused[param.id] = str(error)
    await connection.close()
    assert refused == {}


def test_there_are_statements() -> None:
    assert len(STATEMENTS) > 50


def test_the_tables_can_be_made_on_postgresql() -> None:
    for table in metadata.sorted_tables:
        assert str(CreateTable(table).compile(dialect=postgresql.dialect())).strip().startswith("CREATE TABLE")
        for index in table.indexes:
            assert "INDEX" in str(CreateIndex(index).compile(dialect=postgresql.dialect()))
