"""Owns answers that are given again, on PostgreSQL.

Must not know what they say.
"""

from __future__ import annotations

from dataclasses import replace

from campana.storage.door_rows import claim_columns, claim_row
from campana.storage.doors import Claim, KeptAnswer
from campana.storage.postgres.database import Connection, Database, alone_with_key, fetch_row, run
from campana.storage.queries import answers as queries


class PostgresAnswers:
    """Answers by their keys; see the contract in storage/doors.py."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, key: bytes, claim: Claim, lapsed: int) -> Claim | None:
        """Claim a key for a request, or tell what is kept under it; one after the other, whichever process asks."""

        async def work(connection: Connection) -> Claim | None:
            row = await fetch_row(connection, queries.find, key=key)
            if row is None:
                await run(connection, queries.add, **claim_columns(key, claim))
                return None
            of_it = {"key_is": key, "fingerprint_is": claim.fingerprint, "lapsed": lapsed, "to_at": claim.at}
            taken = await run(connection, queries.take_over, **of_it)
            return replace(claim_row(row), at=claim.at, is_ours=True) if taken else claim_row(row)

        return await self._database.write(work, first=alone_with_key(key))

    async def keep(self, key: bytes, answer: KeptAnswer) -> None:
        """Keep the answer to a request whose key was claimed."""
        values = {"to_status": answer.status, "to_body": answer.sealed}
        await self._database.write(lambda connection: run(connection, queries.keep, key_is=key, **values))

    async def release(self, key: bytes) -> None:
        """Forget a claim without an answer."""
        await self._database.write(lambda connection: run(connection, queries.release, key=key))

    async def purge(self, before: int) -> int:
        """Forget what was claimed before an instant."""
        return await self._database.write(lambda connection: run(connection, queries.purge, before=before))
