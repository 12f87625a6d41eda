"""Owns API keys on SQLite.

Must not know how a key looks, nor what its scopes mean.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from campana.storage.compiled import run
from campana.storage.door_rows import key_columns, key_row
from campana.storage.doors import KeyRow, NewKey
from campana.storage.queries import keys as queries
from campana.storage.sqlite.database import Database


class SqliteKeys:
    """API keys; see the contract in storage/doors.py."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, key: NewKey, at: int) -> None:
        """Keep a key; of one that is kept already, replace prefix and hash."""

        def work(connection: sqlite3.Connection) -> None:
            changed = run(connection, queries.again, key=key.id, to_prefix=key.prefix, to_hash=key.key_hash).rowcount
            if not changed:
                run(connection, queries.add, **key_columns(key, at))

        await self._database.write(work)

    async def find_hash(self, key_hash: bytes) -> KeyRow | None:
        """By the SHA-256 of the whole key."""

        def read(connection: sqlite3.Connection) -> KeyRow | None:
            row = run(connection, queries.find_hash, hash=key_hash).fetchone()
            return key_row(row) if row else None

        return self._database.look_once((queries.find_hash, key_hash), read)

    async def find(self, account: int, id: str) -> KeyRow | None:
        """A key of an account's user."""
        row = self._database.look(lambda connection: run(connection, queries.find, key=id, account=account).fetchone())
        return key_row(row) if row else None

    async def page(self, account: int, user: int | None, after: str, limit: int) -> list[KeyRow]:
        """Keys in the order of their ids."""
        bounds = {"account": account, "first": int(not after), "after": after or None, "most": limit}

        def read(connection: sqlite3.Connection) -> list[KeyRow]:
            if user is None:
                return [key_row(row) for row in run(connection, queries.page, **bounds)]
            return [key_row(row) for row in run(connection, queries.page_of_user, user=user, **bounds)]

        return await self._database.read(read)

    async def revoke(self, id: str, at: int) -> bool:
        """Never to be used again."""
        return (
            await self._database.write(lambda connection: run(connection, queries.revoke, key=id, at=at).rowcount) > 0
        )

    async def touch(self, uses: Sequence[tuple[str, int]]) -> None:
        """Note when keys were used."""

        def work(connection: sqlite3.Connection) -> None:
            for id, at in uses:
                run(connection, queries.touch, key=id, at=at)

        await self._database.write(work)
