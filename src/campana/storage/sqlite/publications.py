"""Owns how far endpoints were told, and their secrets, on SQLite.

Must not know how an endpoint is told.
"""

from __future__ import annotations

import sqlite3

from campana.storage.compiled import run
from campana.storage.publication_rows import failure_columns, first_publication, of, publication_row, secrets_row
from campana.storage.publications import Behind, Census, Failure, Publication, Secrets
from campana.storage.queries import publications as queries
from campana.storage.sqlite.database import Database


class SqlitePublications:
    """Endpoints; see the contract in storage/publications.py."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def address(self, campaign: int, endpoint: str) -> Publication:
        """Note which endpoint a campaign has."""
        known = await self.find(campaign)
        if known is not None and known.endpoint == endpoint:
            return known

        def work(connection: sqlite3.Connection) -> Publication:
            if run(connection, queries.find, campaign=campaign).fetchone() is None:
                run(connection, queries.add, **first_publication(campaign, endpoint))
            else:
                run(connection, queries.address, of_campaign=campaign, to_endpoint=endpoint)
            return publication_row(run(connection, queries.find, campaign=campaign).fetchone())

        return await self._database.write(work)

    async def find(self, campaign: int) -> Publication | None:
        """How far a campaign's endpoint was told."""
        row = self._database.look(lambda connection: run(connection, queries.find, campaign=campaign).fetchone())
        return publication_row(row) if row else None

    async def behind(self, after: int, limit: int) -> list[Behind]:
        """Campaigns whose endpoints have something to be told and were not given up."""
        rows = await self._database.read(
            lambda connection: run(connection, queries.behind, after=after, most=limit).fetchall()
        )
        return [Behind(*row) for row in rows]

    async def offer(self, told: Publication, upto: int) -> bool:
        """Keep that the batch up to an event is about to be told."""
        changed = await self._database.write(
            lambda connection: run(connection, queries.offer, **of(told), of_sent=told.sent, upto=upto).rowcount
        )
        return changed > 0

    async def taken(self, told: Publication, upto: int, at: int) -> None:
        """It has taken all events up to one."""
        await self._database.write(
            lambda connection: run(connection, queries.taken, **of(told), upto=upto, at=at).rowcount
        )

    async def failed(self, told: Publication, failure: Failure) -> None:
        """It has not taken a batch."""
        values = {**of(told), "of_sent": told.sent, **failure_columns(failure)}
        await self._database.write(lambda connection: run(connection, queries.failed, **values).rowcount)

    async def retry(self, campaign: int) -> bool:
        """Go on now."""
        changed = await self._database.write(
            lambda connection: run(connection, queries.retry, of_campaign=campaign).rowcount
        )
        return changed > 0

    async def census(self) -> Census:
        """How they are."""
        return Census(*await self._database.read(lambda connection: run(connection, queries.census).fetchone()))

    async def secrets(self, account: int) -> Secrets | None:
        """The secrets of an account."""
        return secrets_row(
            self._database.look(lambda connection: run(connection, queries.secrets, account=account).fetchone())
        )

    async def begin_secret(self, account: int, secret: str) -> Secrets:
        """Give an account its first secret, unless it has one."""
        await self._database.write(
            lambda connection: run(connection, queries.begin_secret, account=account, to_secret=secret).rowcount
        )
        return await self._must_have(account)

    async def rotate_secret(self, account: int, secret: str, earlier_until: int) -> Secrets:
        """Give an account a new secret."""
        values = {"account": account, "to_secret": secret, "until": earlier_until}
        await self._database.write(lambda connection: run(connection, queries.rotate_secret, **values).rowcount)
        return await self._must_have(account)

    async def _must_have(self, account: int) -> Secrets:
        secrets = await self.secrets(account)
        assert secrets is not None  # accounts are never removed
        return secrets
