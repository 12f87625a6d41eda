"""Owns the one addition that needs care while others work: an index on a table that has rows already.

Must not know any table. It is for the scripts of migrations.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from alembic import op
from sqlalchemy import text


def add_index(name: str, table: str, columns: Sequence[str], where: str | None = None) -> None:
    """Build an index while others go on writing to the table; `where` makes it a partial one.

    It is to be all that its revision does: on PostgreSQL it is built outside a transaction, so that what stood before
    it would be kept where it fails. A half-built one of an earlier try is dropped first.
    """
    options: dict[str, Any] = {} if where is None else {"sqlite_where": text(where), "postgresql_where": text(where)}
    context = op.get_context()
    if context.dialect.name != "postgresql":
        op.create_index(name, table, columns, **options)
        return
    with context.autocommit_block():
        op.execute(f'DROP INDEX CONCURRENTLY IF EXISTS "{name}"')
        op.create_index(name, table, columns, postgresql_concurrently=True, **options)
