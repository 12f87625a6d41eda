"""Owns the look at what one delivery waits for, on SQLite.

Must not know any rule of waiting.
"""

from __future__ import annotations

from typing import Any

from campana.domain.delivery import Medium
from campana.storage.compiled import run
from campana.storage.publication_rows import distance, wait_row
from campana.storage.queries import waits as queries
from campana.storage.sqlite.database import Database
from campana.storage.waits import WaitRow


class SqliteWaits:
    """What deliveries wait for; see the contract in storage/waits.py."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, campaign: int, guid: str, medium: Medium) -> WaitRow | None:
        """A contact on a medium; None where there is no such contact."""
        which: dict[str, Any] = {"campaign": campaign, "guid": guid or None, "distance": distance(campaign, medium)}
        row = self._database.look(lambda connection: run(connection, queries.find, **which).fetchone())
        return wait_row(row)
