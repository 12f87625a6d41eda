"""Owns attempts as they are read on PostgreSQL, and how what became of a call is written.

Must not know what a call's end does to its delivery.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

import asyncpg

from campana.domain.call import CallReport
from campana.domain.delivery import Medium
from campana.storage.postgres.database import Connection, Database, execute, fetch, fetch_row
from campana.storage.postgres.recording import columns_of, keepable
from campana.storage.queries import attempts as queries
from campana.storage.queries import contacts as contact_queries
from campana.storage.rows import ATTEMPTS_IN_A_PAGE, attempt_row, call_columns
from campana.storage.store import AttemptPage, AttemptRow
from campana.storage.tables import CONTACT_BITS, delivery_id, number_of

_LAST_ATTEMPT = (1 << 15) - 1
"""That a column of attempts can keep, and so can be asked for."""

# Dialect twin: a batch as one array a column.
_ADD_CALLS = """
INSERT INTO calls (delivery, attempt, began_at, ended_at, ringing_ms, answered_at, heard_ms, plays, digits,
  acknowledged, ended_by, sip_status, q850, reason)
SELECT * FROM unnest($1::bigint[], $2::smallint[], $3::bigint[], $4::bigint[], $5::integer[], $6::bigint[],
  $7::integer[], $8::smallint[], $9::text[], $10::smallint[], $11::text[], $12::smallint[], $13::smallint[],
  $14::text[])
ON CONFLICT DO NOTHING
"""


async def add_calls(connection: Connection, calls: Mapping[tuple[int, int], CallReport]) -> None:
    """Write what became of calls, by delivery and attempt."""
    columns = columns_of([call_columns(*key, call) for key, call in calls.items()])
    for words in (8, 13):
        columns[words] = [keepable(text) for text in columns[words]]
    await execute(connection, _ADD_CALLS, *columns)


class PostgresAttempts:
    """Attempts; see the contract in storage/store.py."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def pages(self, campaign: int) -> AsyncIterator[list[AttemptRow]]:
        """All attempts of a campaign, page by page."""
        after, attempt = delivery_id(campaign, min(Medium), 0), 0
        upto = delivery_id(campaign, max(Medium), (1 << CONTACT_BITS) - 1)
        while rows := await self._page(after, attempt, upto):
            after, attempt = rows[-1][1:3]
            yield [attempt_row(row) for row in rows]

    async def page(self, campaign: int, after: tuple[int, int], limit: int) -> AttemptPage:
        """Attempts of a campaign that come after one."""
        first, upto = delivery_id(campaign, min(Medium), 0), delivery_id(campaign, max(Medium), (1 << CONTACT_BITS) - 1)
        where = {
            "after": max(first, after[0]),
            "after_attempt": min(after[1], _LAST_ATTEMPT),
            "upto": upto,
            "most": limit,
        }
        rows = await self._database.read(lambda connection: fetch(connection, queries.page, **where))
        last = (rows[-1][1], rows[-1][2]) if len(rows) == limit else None
        return AttemptPage([attempt_row(row) for row in rows], last)

    async def of_contact(self, campaign: int, guid: str) -> list[AttemptRow] | None:
        """A contact's attempts; None where there is no such contact."""
        found = await self._database.read(
            lambda connection: fetch_row(connection, contact_queries.find, campaign=campaign, guid=guid or None)
        )
        if found is None:
            return None
        ids = [delivery_id(campaign, medium, number_of(found[0])) for medium in Medium]
        return [attempt_row(row) for one in ids for row in await self._page(one, 0, one)]

    async def _page(self, after: int, after_attempt: int, upto: int) -> list[asyncpg.Record]:
        where = {"after": after, "after_attempt": after_attempt, "upto": upto}
        return await self._database.read(
            lambda connection: fetch(connection, queries.page, most=ATTEMPTS_IN_A_PAGE, **where)
        )
