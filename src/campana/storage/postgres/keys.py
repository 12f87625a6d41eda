"""Owns API keys on PostgreSQL.

Must not know how a key looks, nor what its scopes mean.
"""

from __future__ import annotations

from collections.abc import Sequence

from campana.storage.door_rows import key_columns, key_row
from campana.storage.doors import KeyRow, NewKey
from campana.storage.postgres.database import Connection, Database, fetch, fetch_row, run
from campana.storage.queries import keys as queries


class PostgresKeys:
    """API keys; see the contract in storage/doors.py."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, key: NewKey, at: int) -> None:
        """Keep a key; of one that is kept already, replace prefix and hash."""

        async def work(connection: Connection) -> None:
            changed = await run(connection, queries.again, key=key.id, to_prefix=key.prefix, to_hash=key.key_hash)
            if not changed:
                await run(connection, queries.add, **key_columns(key, at))

        await self._database.write(work)

    async def find_hash(self, key_hash: bytes) -> KeyRow | None:
        """By the SHA-256 of the whole key."""

        async def read(connection: Connection) -> KeyRow | None:
            row = await fetch_row(connection, queries.find_hash, hash=key_hash)
            return key_row(row) if row else None

        return await self._database.read_once((queries.find_hash, key_hash), read)

    async def find(self, account: int, id: str) -> KeyRow | None:
        """A key of an account's user."""
        row = await self._database.read(lambda connection: fetch_row(connection, queries.find, key=id, account=account))
        return key_row(row) if row else None

    async def page(self, account: int, user: int | None, after: str, limit: int) -> list[KeyRow]:
        """Keys in the order of their ids."""
        bounds = {"account": account, "first": int(not after), "after": after or None, "most": limit}
        if user is None:
            rows = await self._database.read(lambda connection: fetch(connection, queries.page, **bounds))
        else:
            rows = await self._database.read(
                lambda connection: fetch(connection, queries.page_of_user, user=user, **bounds)
            )
        return [key_row(row) for row in rows]

    async def revoke(self, id: str, at: int) -> bool:
        """Never to be used again."""
        return await self._database.write(lambda connection: run(connection, queries.revoke, key=id, at=at)) > 0

    async def touch(self, uses: Sequence[tuple[str, int]]) -> None:
        """Note when keys were used, in the order of their ids, so that no two processes wait for each other."""

        async def work(connection: Connection) -> None:
            for id, at in sorted(uses):
                await run(connection, queries.touch, key=id, at=at)

        await self._database.write(work)
