"""Owns how old data is removed on SQLite: little at a time, since the one writer does nothing else meanwhile.

Must not know how long anything is kept.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from functools import partial

from sqlalchemy import Delete

from campana.storage.campaign_rows import CampaignReader
from campana.storage.compiled import run
from campana.storage.queries import campaigns as of_campaigns
from campana.storage.queries import retention as queries
from campana.storage.queries.retention import PORTIONS, REST, Portion
from campana.storage.sqlite.database import Database
from campana.storage.store import CampaignRow

AT_ONCE = 500
"""Rows that are removed in one transaction."""
PASSED_AT_ONCE = 5_000
"""Hand-overs that are looked at in one go, beside the writer."""


class SqliteRetention:
    """Old data; see the contract in storage/retention.py."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def campaigns(self, after: int, limit: int) -> list[CampaignRow]:
        """Campaigns of all accounts that are not deleted."""
        rows = await self._database.read(
            lambda connection: run(connection, of_campaigns.alive, after=after, most=limit).fetchall()
        )
        reader = CampaignReader()
        return [reader.row(columns) for columns in rows]

    async def delete(self, campaign: CampaignRow, at: int) -> bool:
        """Delete a campaign; False where it is not any more as it was read."""
        which = {"of_campaign": campaign.number, "of_version": campaign.version}
        changed = await self._database.write(
            lambda connection: run(connection, queries.mark_deleted, at=at, **which).rowcount
        )
        return changed > 0

    async def expired(self, deleted_before: int, after: int, limit: int) -> list[int]:
        """Campaigns that were deleted before an instant."""
        which = {"before": deleted_before, "after": after, "most": limit}
        rows = await self._database.read(lambda connection: run(connection, queries.expired, **which).fetchall())
        return [number for (number,) in rows]

    async def remove(self, campaign: int) -> AsyncIterator[int]:
        """Remove everything of a deleted campaign and at last its row."""
        for portion in PORTIONS:
            first, last = portion.bounds(campaign)
            while first <= last:
                done = await self._database.write(partial(_remove_some, campaign, portion, first, last))
                if done is None:
                    return
                removed, first = done
                yield removed
        for statement in REST:
            rest = await self._database.write(partial(_remove_rest, campaign, statement))
            if rest is None:
                return
            yield rest

    async def remove_handovers(self) -> AsyncIterator[int]:
        """Remove what carriers took of deliveries that are gone."""
        after = 0
        while upto := await self._database.read(partial(_end_of_handovers, after)):
            passed = {"after": after, "upto": upto}
            removed = 0
            if await self._database.read(partial(_has_orphan, passed)):
                removed = await self._database.write(partial(_drop_orphans, passed))
            yield removed
            after = upto

    async def remove_incoming(self, before: int) -> AsyncIterator[int]:
        """Remove messages that people sent before an instant, but for the newest."""
        while removed := await self._database.write(partial(_remove_incoming, before)):
            yield removed


def _remove_some(
    campaign: int, portion: Portion, first: int, last: int, connection: sqlite3.Connection
) -> tuple[int, int] | None:
    """Remove the next rows of a portion: how many, and from where to go on. None where the campaign is not at rest."""
    if run(connection, queries.at_rest, campaign=campaign).fetchone() is None:
        return None
    row = run(connection, portion.end, first=first, last=last, most=AT_ONCE - 1, campaign=campaign).fetchone()
    end = row[0] if row else last
    return run(connection, portion.drop, first=first, last=end, campaign=campaign).rowcount, end + 1


def _remove_rest(campaign: int, statement: Delete, connection: sqlite3.Connection) -> int | None:
    if run(connection, queries.at_rest, campaign=campaign).fetchone() is None:
        return None
    return run(connection, statement, campaign=campaign).rowcount


def _end_of_handovers(after: int, connection: sqlite3.Connection) -> int | None:
    found: int | None = run(connection, queries.end_of_handovers, after=after, most=PASSED_AT_ONCE).fetchone()[0]
    return found


def _has_orphan(passed: dict[str, int], connection: sqlite3.Connection) -> bool:
    return run(connection, queries.orphan, **passed).fetchone() is not None


def _drop_orphans(passed: dict[str, int], connection: sqlite3.Connection) -> int:
    return run(connection, queries.drop_orphans, **passed).rowcount


def _remove_incoming(before: int, connection: sqlite3.Connection) -> int:
    upto = run(connection, queries.end_of_incoming, before=before, most=AT_ONCE).fetchone()[0]
    return 0 if upto is None else run(connection, queries.drop_incoming, before=before, upto=upto).rowcount
