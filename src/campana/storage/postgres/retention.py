"""Owns how old data is removed on PostgreSQL, beside any number of processes that do the same.

Must not know how long anything is kept. A transaction removes from one table alone, under the lock of the campaign's
row: nobody who holds something of the campaign can wait for it in a circle.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

from sqlalchemy import Delete

from campana.storage.campaign_rows import CampaignReader
from campana.storage.postgres.database import Connection, Database, alone_with_campaign, fetch, fetch_row, run
from campana.storage.queries import campaigns as of_campaigns
from campana.storage.queries import retention as queries
from campana.storage.queries.retention import PORTIONS, REST, Portion
from campana.storage.store import CampaignRow
from campana.storage.tables import campaigns

AT_ONCE = 5_000
"""Rows that are removed in one transaction, or looked at."""

# What another process is at is left to it.
_AT_REST = queries.at_rest.with_for_update(of=campaigns, skip_locked=True)


class PostgresRetention:
    """Old data; see the contract in storage/retention.py."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def campaigns(self, after: int, limit: int) -> list[CampaignRow]:
        """Campaigns of all accounts that are not deleted."""
        rows = await self._database.read(
            lambda connection: fetch(connection, of_campaigns.alive, after=after, most=limit)
        )
        reader = CampaignReader()
        return [reader.row(columns) for columns in rows]

    async def delete(self, campaign: CampaignRow, at: int) -> bool:
        """Delete a campaign; False where it is not any more as it was read."""
        which = {"of_campaign": campaign.number, "of_version": campaign.version}
        changed = await self._database.write(
            lambda connection: run(connection, queries.mark_deleted, at=at, **which),
            first=alone_with_campaign(campaign.number),
        )
        return changed > 0

    async def expired(self, deleted_before: int, after: int, limit: int) -> list[int]:
        """Campaigns that were deleted before an instant."""
        which = {"before": deleted_before, "after": after, "most": limit}
        rows = await self._database.read(lambda connection: fetch(connection, queries.expired, **which))
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


async def _remove_some(
    campaign: int, portion: Portion, first: int, last: int, connection: Connection
) -> tuple[int, int] | None:
    """Remove the next rows of a portion: how many, and from where to go on. None where that is not for us to do."""
    if await fetch_row(connection, _AT_REST, campaign=campaign) is None:
        return None
    row = await fetch_row(connection, portion.end, first=first, last=last, most=AT_ONCE - 1, campaign=campaign)
    end = row[0] if row else last
    return await run(connection, portion.drop, first=first, last=end, campaign=campaign), end + 1


async def _remove_rest(campaign: int, statement: Delete, connection: Connection) -> int | None:
    if await fetch_row(connection, _AT_REST, campaign=campaign) is None:
        return None
    return await run(connection, statement, campaign=campaign)


async def _end_of_handovers(after: int, connection: Connection) -> int | None:
    (row,) = await fetch(connection, queries.end_of_handovers, after=after, most=AT_ONCE)
    found: int | None = row[0]
    return found


async def _has_orphan(passed: dict[str, int], connection: Connection) -> bool:
    return await fetch_row(connection, queries.orphan, **passed) is not None


async def _drop_orphans(passed: dict[str, int], connection: Connection) -> int:
    return await run(connection, queries.drop_orphans, **passed)


async def _remove_incoming(before: int, connection: Connection) -> int:
    (row,) = await fetch(connection, queries.end_of_incoming, before=before, most=AT_ONCE)
    return 0 if row[0] is None else await run(connection, queries.drop_incoming, before=before, upto=row[0])
