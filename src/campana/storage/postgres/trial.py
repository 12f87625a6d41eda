"""Owns telling whether a database was ever used, and making one that was used for a trial what it was before.

Must not be asked of a database with anything in it that somebody wants to keep.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import asyncpg

from campana.hosts import Connection, Hosts
from campana.storage.schema import metadata
from campana.storage.store import StoreUnavailable

T = TypeVar("T")

_CONNECT_S: Final = 5.0
_WAS_USED: Final = "SELECT to_regclass('alembic_version') IS NOT NULL"
_TABLES: Final = ", ".join(["alembic_version", *metadata.tables])


async def was_used(url: str) -> bool:
    """Whether any Campana has ever used a database. Raises StoreUnavailable."""
    return await _on(url, lambda connection: connection.fetchval(_WAS_USED))


async def remove(url: str) -> None:
    """Drop every table of Campana with everything in it. Raises StoreUnavailable."""
    await _on(url, lambda connection: connection.execute(f"DROP TABLE IF EXISTS {_TABLES}"))


async def _on(url: str, work: Callable[[Connection], Awaitable[T]]) -> T:
    try:
        # A pooler of transactions may be between.
        connection = await Hosts(url).connect(timeout=_CONNECT_S, statement_cache_size=0)
        try:
            return await work(connection)
        finally:
            await connection.close()
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise StoreUnavailable(str(error) or type(error).__name__) from error
