"""Owns attempts as they are read on SQLite, and how what became of a call is written.

Must not know what a call's end does to its delivery.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any

from campana.domain.call import CallReport
from campana.domain.delivery import Medium
from campana.storage.compiled import run
from campana.storage.queries import attempts as queries
from campana.storage.queries import contacts as contact_queries
from campana.storage.rows import ATTEMPTS_IN_A_PAGE, attempt_row, call_columns
from campana.storage.sqlite.database import Database
from campana.storage.sqlite.recording import pack
from campana.storage.store import AttemptPage, AttemptRow
from campana.storage.tables import CONTACT_BITS, delivery_id, number_of

# Dialect twin: a batch as one JSON text.
_ADD_CALLS = """
INSERT INTO calls (delivery, attempt, began_at, ended_at, ringing_ms, answered_at, heard_ms, plays, digits,
  acknowledged, ended_by, sip_status, q850, reason)
SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6, value->>7, value->>8,
  value->>9, value->>10, value->>11, value->>12, value->>13
FROM json_each(:rows) WHERE true
ON CONFLICT DO NOTHING
"""


def add_calls(connection: sqlite3.Connection, calls: Mapping[tuple[int, int], CallReport]) -> None:
    """Write what became of calls, by delivery and attempt."""
    rows = [call_columns(*key, call) for key, call in calls.items()]
    connection.execute(_ADD_CALLS, {"rows": pack(rows)})


class SqliteAttempts:
    """Attempts; see the contract in storage/store.py."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def pages(self, campaign: int) -> AsyncIterator[list[AttemptRow]]:
        """All attempts of a campaign, page by page."""
        after, attempt = delivery_id(campaign, min(Medium), 0), 0
        upto = delivery_id(campaign, max(Medium), (1 << CONTACT_BITS) - 1)
        while True:
            read = partial(_page, after=after, after_attempt=attempt, upto=upto)
            rows = await self._database.read(read)
            if not rows:
                return
            after, attempt = rows[-1][1:3]
            yield [attempt_row(row) for row in rows]

    async def page(self, campaign: int, after: tuple[int, int], limit: int) -> AttemptPage:
        """Attempts of a campaign that come after one."""
        first, upto = delivery_id(campaign, min(Medium), 0), delivery_id(campaign, max(Medium), (1 << CONTACT_BITS) - 1)
        where = {"after": max(first, after[0]), "after_attempt": after[1], "upto": upto, "most": limit}
        rows = await self._database.read(lambda connection: run(connection, queries.page, **where).fetchall())
        return AttemptPage([attempt_row(row) for row in rows], rows[-1][1:3] if len(rows) == limit else None)

    async def of_contact(self, campaign: int, guid: str) -> list[AttemptRow] | None:
        """A contact's attempts; None where there is no such contact."""

        def read(connection: sqlite3.Connection) -> list[AttemptRow] | None:
            found = run(connection, contact_queries.find, campaign=campaign, guid=guid).fetchone()
            if found is None:
                return None
            ids = [delivery_id(campaign, medium, number_of(found[0])) for medium in Medium]
            return [attempt_row(row) for one in ids for row in _page(connection, after=one, after_attempt=0, upto=one)]

        return await self._database.read(read)


def _page(connection: sqlite3.Connection, *, after: int, after_attempt: int, upto: int) -> list[tuple[Any, ...]]:
    """Attempts that come after one, up to a delivery."""
    where = {"after": after, "after_attempt": after_attempt, "upto": upto}
    return run(connection, queries.page, most=ATTEMPTS_IN_A_PAGE, **where).fetchall()
