"""Owns sessions and failed log-ins on SQLite.

Must not know how long a session lives or when a door is locked.
"""

from __future__ import annotations

import sqlite3

from sqlalchemy import bindparam, delete, insert, select, update

from campana.storage.compiled import Compiled
from campana.storage.sqlite.accounts import USER_COLUMNS, user_row
from campana.storage.sqlite.database import Database
from campana.storage.store import Failures, SessionRow
from campana.storage.tables import accounts, failures, sessions, users

_open = Compiled(insert(sessions))
_find = Compiled(
    select(sessions.c.opened_at, sessions.c.last_used_at, *USER_COLUMNS)
    .join_from(sessions, users, sessions.c.user == users.c.number)
    .join(accounts, users.c.account == accounts.c.number)
    .where(sessions.c.token_hash == bindparam("token"))
)
_touch = Compiled(
    update(sessions)
    .where(sessions.c.token_hash == bindparam("token"), sessions.c.last_used_at < bindparam("at"))
    .values(last_used_at=bindparam("at"))
)
_close = Compiled(delete(sessions).where(sessions.c.token_hash == bindparam("token")))
_purge = Compiled(delete(sessions).where(sessions.c.last_used_at < bindparam("since")))
_purge_failures = Compiled(
    delete(failures).where(failures.c.first_at < bindparam("since"), failures.c.locked_until < bindparam("since"))
)
_failures = Compiled(
    select(failures.c.count, failures.c.first_at, failures.c.locked_until).where(failures.c.key == bindparam("key"))
)
_forget_failures = Compiled(delete(failures).where(failures.c.key == bindparam("key")))
_keep_failures = Compiled(insert(failures))


class SqliteSessions:
    """Open sessions and failures; see the contract in storage/store.py."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(self, token_hash: bytes, user: int, at: int) -> None:
        """Keep a new session."""
        row = {"token_hash": token_hash, "user": user, "opened_at": at, "last_used_at": at}
        await self._database.write(lambda connection: _open(connection, **row).rowcount)

    async def find(self, token_hash: bytes) -> SessionRow | None:
        """The session with its user and account."""
        row = self._database.look(lambda connection: _find(connection, token=token_hash).fetchone())
        return SessionRow(user_row(row[2:]), row[0], row[1]) if row else None

    async def touch(self, token_hash: bytes, at: int) -> None:
        """Note that the session was used; never moves last_used_at back."""
        await self._database.write(lambda connection: _touch(connection, token=token_hash, at=at).rowcount)

    async def close(self, token_hash: bytes) -> bool:
        """True where there was such a session."""
        closed = await self._database.write(lambda connection: _close(connection, token=token_hash).rowcount)
        return closed > 0

    async def purge(self, unused_since: int) -> int:
        """Remove sessions last used before that instant; returns how many. Old failures go with them."""

        def work(connection: sqlite3.Connection) -> int:
            _purge_failures(connection, since=unused_since)
            return _purge(connection, since=unused_since).rowcount

        return await self._database.write(work)

    async def failures(self, key: bytes) -> Failures | None:
        """Failed log-ins in a row under a key."""
        row = self._database.look(lambda connection: _failures(connection, key=key).fetchone())
        return Failures(*row) if row else None

    async def set_failures(self, key: bytes, failures: Failures | None) -> None:
        """None clears them."""

        def work(connection: sqlite3.Connection) -> None:
            _forget_failures(connection, key=key)
            if failures is not None:
                row = {"count": failures.count, "first_at": failures.first_at, "locked_until": failures.locked_until}
                _keep_failures(connection, key=key, **row)

        await self._database.write(work)
