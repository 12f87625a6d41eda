"""Owns sessions and failed log-ins on SQLite.

Must not know how long a session lives or when a door is locked.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from campana.storage.compiled import run
from campana.storage.queries import sessions as queries
from campana.storage.rows import failures_columns, failures_row, user_row
from campana.storage.sqlite.database import Database
from campana.storage.store import FailureJudge, Failures, SessionRow


class SqliteSessions:
    """Open sessions and failures; see the contract in storage/store.py."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(self, token_hash: bytes, user: int, password_hash: str, at: int) -> bool:
        """Keep a new session. False where `password_hash` is not the user's any more."""
        row = {"token": token_hash, "user": user, "hash": password_hash, "at": at}
        opened = await self._database.write(lambda connection: run(connection, queries.open, **row).rowcount)
        return opened > 0

    async def find(self, token_hash: bytes) -> SessionRow | None:
        """The session with its user and account."""

        def read(connection: sqlite3.Connection) -> SessionRow | None:
            row = run(connection, queries.find, token=token_hash).fetchone()
            return SessionRow(user_row(row[2:]), row[0], row[1]) if row else None

        return self._database.look_once((queries.find, token_hash), read)

    async def touch(self, uses: Sequence[tuple[bytes, int]]) -> None:
        """Note when sessions were used, in one transaction; never moves last_used_at back."""

        def work(connection: sqlite3.Connection) -> None:
            for token_hash, at in uses:
                run(connection, queries.touch, token=token_hash, at=at)

        await self._database.write(work)

    async def close(self, token_hash: bytes) -> bool:
        """True where there was such a session."""
        closed = await self._database.write(
            lambda connection: run(connection, queries.close, token=token_hash).rowcount
        )
        return closed > 0

    async def purge(self, unused_since: int, failed_since: int) -> int:
        """Remove sessions that were not used since an instant, returns how many; and failures that are past."""

        def work(connection: sqlite3.Connection) -> int:
            run(connection, queries.purge_failures, since=failed_since)
            return run(connection, queries.purge, since=unused_since).rowcount

        return await self._database.write(work)

    async def failures(self, key: bytes) -> Failures | None:
        """Failed log-ins in a row under a key."""
        row = self._database.look(lambda connection: run(connection, queries.failures_of, key=key).fetchone())
        return failures_row(row) if row else None

    async def judge_failures(self, key: bytes, judge: FailureJudge) -> None:
        """Keep under a key what `judge` makes of what is kept there."""

        def work(connection: sqlite3.Connection) -> None:
            row = run(connection, queries.failures_of, key=key).fetchone()
            failures = judge(failures_row(row) if row else None)
            run(connection, queries.forget_failures, key=key)
            if failures is not None:
                run(connection, queries.keep_failures, key=key, **failures_columns(failures))

        await self._database.write(work)
