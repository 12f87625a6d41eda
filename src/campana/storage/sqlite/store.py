"""Owns how the embedded store is opened, upgraded and closed, and puts its parts together.

Must not hold statements.
"""

from __future__ import annotations

from pathlib import Path

from campana.storage.migrate import upgrade
from campana.storage.sqlite.accounts import SqliteAccounts
from campana.storage.sqlite.answers import SqliteAnswers
from campana.storage.sqlite.attempts import SqliteAttempts
from campana.storage.sqlite.campaigns import SqliteCampaigns
from campana.storage.sqlite.contacts import SqliteContacts
from campana.storage.sqlite.database import Database
from campana.storage.sqlite.deliveries import SqliteDeliveries
from campana.storage.sqlite.imports import SqliteImports
from campana.storage.sqlite.instance import SqliteInstances
from campana.storage.sqlite.keys import SqliteKeys
from campana.storage.sqlite.progress import SqliteProgress
from campana.storage.sqlite.publications import SqlitePublications
from campana.storage.sqlite.receipts import SqliteReceipts
from campana.storage.sqlite.retention import SqliteRetention
from campana.storage.sqlite.river import SqliteRiver
from campana.storage.sqlite.sessions import SqliteSessions
from campana.storage.sqlite.waits import SqliteWaits
from campana.storage.store import UNWATCHED, Watch


class SqliteStore:
    """The store contract on one SQLite file, for one serving process (others may add users beside it)."""

    def __init__(self, database: Database, path: Path) -> None:
        self._database = database
        self.accounts = SqliteAccounts(database)
        self.sessions = SqliteSessions(database)
        self.campaigns = SqliteCampaigns(database)
        self.contacts = SqliteContacts(database)
        self.attempts = SqliteAttempts(database)
        self.deliveries = SqliteDeliveries(database)
        self.progress = SqliteProgress(database)
        self.keys = SqliteKeys(database)
        self.answers = SqliteAnswers(database)
        self.imports = SqliteImports(database)
        self.river = SqliteRiver(database)
        self.receipts = SqliteReceipts(database)
        self.instances = SqliteInstances(database, path)
        self.retention = SqliteRetention(database)
        self.publications = SqlitePublications(database)
        self.waits = SqliteWaits(database)

    @classmethod
    async def open(cls, path: Path, watch: Watch = UNWATCHED, *, alone: bool = True) -> SqliteStore:
        """Create or upgrade the file and open it. `watch` is told how it fares, partly in the writer's
        thread. Where it is not `alone`, a server of an earlier version may be at work on the file: what that
        would not survive waits. Raises StoreUnavailable."""
        path.parent.mkdir(parents=True, exist_ok=True)
        upgrade(f"sqlite:///{path}", finish=alone)
        return cls(Database(path, watch), path)

    async def close(self) -> None:
        """Finish what waits to be written, then close."""
        await self._database.close()
