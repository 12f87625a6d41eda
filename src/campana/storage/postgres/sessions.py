"""Owns sessions and failed log-ins on PostgreSQL.

Must not know how long a session lives or when a door is locked.
"""

from __future__ import annotations

from campana.storage.postgres.database import Connection, Database, execute, fetch_row, run
from campana.storage.queries import sessions as queries
from campana.storage.rows import user_row
from campana.storage.store import Failures, SessionRow

# Dialect twin: in one statement, since several processes may count a failure at once.
_KEEP_FAILURES = """
INSERT INTO failures (key, count, first_at, locked_until) VALUES ($1, $2, $3, $4)
ON CONFLICT (key) DO UPDATE
SET count = excluded.count, first_at = excluded.first_at, locked_until = excluded.locked_until
"""


class PostgresSessions:
    """Open sessions and failures; see the contract in storage/store.py."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(self, token_hash: bytes, user: int, at: int) -> None:
        """Keep a new session."""
        row = {"token_hash": token_hash, "user": user, "opened_at": at, "last_used_at": at}
        await self._database.write(lambda connection: run(connection, queries.open, **row))

    async def find(self, token_hash: bytes) -> SessionRow | None:
        """The session with its user and account."""

        async def read(connection: Connection) -> SessionRow | None:
            row = await fetch_row(connection, queries.find, token=token_hash)
            return SessionRow(user_row(row[2:]), row[0], row[1]) if row else None

        return await self._database.read_once((queries.find, token_hash), read)

    async def touch(self, token_hash: bytes, at: int) -> None:
        """Note that the session was used; never moves last_used_at back."""
        await self._database.write(lambda connection: run(connection, queries.touch, token=token_hash, at=at))

    async def close(self, token_hash: bytes) -> bool:
        """True where there was such a session."""
        closed = await self._database.write(lambda connection: run(connection, queries.close, token=token_hash))
        return closed > 0

    async def purge(self, unused_since: int) -> int:
        """Remove sessions last used before that instant; returns how many. Old failures go with them."""

        async def work(connection: Connection) -> int:
            await run(connection, queries.purge_failures, since=unused_since)
            return await run(connection, queries.purge, since=unused_since)

        return await self._database.write(work)

    async def failures(self, key: bytes) -> Failures | None:
        """Failed log-ins in a row under a key."""
        row = await self._database.read(lambda connection: fetch_row(connection, queries.failures_of, key=key))
        return Failures(*row) if row else None

    async def set_failures(self, key: bytes, failures: Failures | None) -> None:
        """None clears them."""

        async def work(connection: Connection) -> None:
            if failures is None:
                await run(connection, queries.forget_failures, key=key)
            else:
                values = (failures.count, failures.first_at, failures.locked_until)
                await execute(connection, _KEEP_FAILURES, key, *values)

        await self._database.write(work)
