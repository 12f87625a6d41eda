"""Owns how a PostgreSQL database says which it is, and where it lies: in which cluster, on which timeline.

Must not judge what it finds.
"""

from __future__ import annotations

from typing import TypeVar

from campana.domain.instance import Found, Place
from campana.storage.instance import Change, columns_of, found_of
from campana.storage.postgres.database import Connection, Database, fetch, run
from campana.storage.queries import instance as queries
from campana.storage.tables import instance

T = TypeVar("T")

_HOLD = queries.find.with_for_update(of=instance)
# A dump that is restored makes the table anew, and so with another oid, even in the same database. The timeline is read
# from the log's end: pg_control_checkpoint() shows the old one for a while after a promotion. Any role may call these.
_HERE = """
SELECT (SELECT system_identifier FROM pg_control_system()),
       (SELECT oid FROM pg_database WHERE datname = current_database()),
       'instance'::regclass::oid,
       substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)
"""


class PostgresInstances:
    """The one row in which a database says which it is; see the contract in storage/instance.py."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def change(self, change: Change[T]) -> T:
        """Have the database found, changed and kept in one transaction."""

        async def work(connection: Connection) -> T:
            new, answer = change(await _find(connection))
            if new is not None:
                await run(connection, queries.keep, **columns_of(new))
            return answer

        return await self._database.write(work)


async def _find(connection: Connection) -> Found:
    (row,) = await fetch(connection, _HOLD)
    (here,) = await connection.fetch(_HERE)
    cluster, database, table, timeline = here
    return found_of(row, Place(f"{cluster}/{database}/{table}", int(timeline, 16)))
