"""Owns sessions and failed log-ins on PostgreSQL.

Must not know how long a session lives or when a door is locked.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import insert

from campana.storage.postgres.database import Connection, Database, alone_with_key, execute, fetch_row, run
from campana.storage.queries import sessions as queries
from campana.storage.rows import failures_columns, failures_row, user_row
from campana.storage.store import FailureJudge, Failures, SessionRow
from campana.storage.tables import sessions, users

# A new password waits until the session is there to be ended, or is seen here.
_OPEN = insert(sessions).from_select(queries.OPENED, queries.opening.with_for_update(of=users, read=True))

# Dialect twin. In one order, so that no two processes wait for each other.
_TOUCH = """
WITH uses AS (
  SELECT s.token_hash, u.at FROM unnest($1::bytea[], $2::bigint[]) AS u(token, at)
  JOIN sessions AS s ON s.token_hash = u.token AND s.last_used_at < u.at
  ORDER BY s.token_hash FOR NO KEY UPDATE OF s
)
UPDATE sessions AS s SET last_used_at = uses.at FROM uses
WHERE s.token_hash = uses.token_hash AND s.last_used_at < uses.at
"""


class PostgresSessions:
    """Open sessions and failures; see the contract in storage/store.py."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(self, token_hash: bytes, user: int, password_hash: str, at: int) -> bool:
        """Keep a new session. False where `password_hash` is not the user's any more."""
        row = {"token": token_hash, "user": user, "hash": password_hash, "at": at}
        opened = await self._database.write(lambda connection: run(connection, _OPEN, **row))
        return opened > 0

    async def find(self, token_hash: bytes) -> SessionRow | None:
        """The session with its user and account."""

        async def read(connection: Connection) -> SessionRow | None:
            row = await fetch_row(connection, queries.find, token=token_hash)
            return SessionRow(user_row(row[2:]), row[0], row[1]) if row else None

        return await self._database.read_once((queries.find, token_hash), read)

    async def touch(self, uses: Sequence[tuple[bytes, int]]) -> None:
        """Note when sessions were used, in one statement; never moves last_used_at back."""
        columns = ([token_hash for token_hash, _ in uses], [at for _, at in uses])
        await self._database.write(lambda connection: execute(connection, _TOUCH, *columns))

    async def close(self, token_hash: bytes) -> bool:
        """True where there was such a session."""
        closed = await self._database.write(lambda connection: run(connection, queries.close, token=token_hash))
        return closed > 0

    async def purge(self, unused_since: int, failed_since: int) -> int:
        """Remove sessions that were not used since an instant, returns how many; and failures that are past."""

        async def work(connection: Connection) -> int:
            await run(connection, queries.purge_failures, since=failed_since)
            return await run(connection, queries.purge, since=unused_since)

        return await self._database.write(work)

    async def failures(self, key: bytes) -> Failures | None:
        """Failed log-ins in a row under a key."""
        row = await self._database.read(lambda connection: fetch_row(connection, queries.failures_of, key=key))
        return failures_row(row) if row else None

    async def judge_failures(self, key: bytes, judge: FailureJudge) -> None:
        """Keep under a key what `judge` makes of what is kept there."""

        async def work(connection: Connection) -> None:
            row = await fetch_row(connection, queries.failures_of, key=key)
            failures = judge(failures_row(row) if row else None)
            await run(connection, queries.forget_failures, key=key)
            if failures is not None:
                await run(connection, queries.keep_failures, key=key, **failures_columns(failures))

        await self._database.write(work, first=alone_with_key(key))
