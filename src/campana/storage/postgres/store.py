"""Owns how the store on PostgreSQL is opened, upgraded and closed, and puts its parts together.

Must not hold statements.
"""

from __future__ import annotations

import asyncio

from campana.storage.migrate import upgrade
from campana.storage.postgres.accounts import PostgresAccounts
from campana.storage.postgres.answers import PostgresAnswers
from campana.storage.postgres.attempts import PostgresAttempts
from campana.storage.postgres.campaigns import PostgresCampaigns
from campana.storage.postgres.cluster import PostgresCluster
from campana.storage.postgres.contacts import PostgresContacts
from campana.storage.postgres.database import Database, Pooling
from campana.storage.postgres.deliveries import PostgresDeliveries
from campana.storage.postgres.imports import PostgresImports
from campana.storage.postgres.instance import PostgresInstances
from campana.storage.postgres.keys import PostgresKeys
from campana.storage.postgres.progress import PostgresProgress
from campana.storage.postgres.publications import PostgresPublications
from campana.storage.postgres.receipts import PostgresReceipts
from campana.storage.postgres.retention import PostgresRetention
from campana.storage.postgres.river import PostgresRiver
from campana.storage.postgres.sessions import PostgresSessions
from campana.storage.postgres.waits import PostgresWaits
from campana.storage.store import UNWATCHED, Watch

_DIRECT = Pooling()


class PostgresStore:
    """The store contract on one PostgreSQL database, for any number of processes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.accounts = PostgresAccounts(database)
        self.sessions = PostgresSessions(database)
        self.campaigns = PostgresCampaigns(database)
        self.contacts = PostgresContacts(database)
        self.attempts = PostgresAttempts(database)
        self.deliveries = PostgresDeliveries(database)
        self.progress = PostgresProgress(database)
        self.keys = PostgresKeys(database)
        self.answers = PostgresAnswers(database)
        self.imports = PostgresImports(database)
        self.river = PostgresRiver(database)
        self.receipts = PostgresReceipts(database)
        self.instances = PostgresInstances(database)
        self.retention = PostgresRetention(database)
        self.publications = PostgresPublications(database)
        self.waits = PostgresWaits(database)
        self.cluster = PostgresCluster(database)

    @classmethod
    async def open(cls, url: str, watch: Watch = UNWATCHED, pooling: Pooling = _DIRECT) -> PostgresStore:
        """Upgrade the database at a `postgresql://` URL and connect to it.

        The URL may name several hosts (`postgresql://one,two/campana?target_session_attrs=read-write`): the one that
        can be written to is taken, now and after each loss. `watch` is told how it fares. Raises StoreUnavailable.
        """
        await asyncio.to_thread(upgrade, url)
        return cls(await Database.connect(url, pooling, watch))

    async def close(self) -> None:
        """Finish what is being written, then close."""
        await self.contacts.finish()
        await self._database.close()
