"""Owns campaigns and their frozen contents on PostgreSQL.

Must not know who may see a campaign or when it is open.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import asyncpg

from campana.domain.campaign import Campaign, content_changed
from campana.domain.delivery import Medium
from campana.domain.progress import EventKind
from campana.storage.campaign_rows import CampaignReader, campaign_columns
from campana.storage.contents import body_of
from campana.storage.happenings import PAUSING, happened
from campana.storage.postgres.database import Connection, Database, alone_with_campaign, fetch, fetch_row, run
from campana.storage.postgres.happenings import happen
from campana.storage.postgres.progress import begin_progress
from campana.storage.queries import campaigns as queries
from campana.storage.queries.accounts import account as account_of
from campana.storage.store import CampaignRow, Conflict, Full, Stale
from campana.storage.tables import NEVER, campaigns

_HOLD_ACCOUNT = account_of.with_for_update(key_share=True)
_HOLD = queries.find_number.with_for_update(of=campaigns, key_share=True)


async def find_numbers(
    connection: Connection, reader: CampaignReader, numbers: Collection[int]
) -> dict[int, CampaignRow]:
    """Campaigns by their number, deleted ones too, but none that is removed; for use inside a transaction."""
    found = {}
    for number in numbers:
        columns = await fetch_row(connection, queries.find_number, number=number)
        if columns is not None:
            found[number] = reader.row(columns)
    return found


async def _make_room(connection: Connection, account: int, guid: str, most: int) -> None:
    """Raises Full where the account has as many campaigns as it may. Nobody adds one until the transaction ends."""
    await fetch(connection, _HOLD_ACCOUNT, number=account)
    if await fetch_row(connection, queries.find, account=account, guid=guid) is not None:
        raise Conflict("campaign")
    (counted,) = await fetch(connection, queries.count, account=account)
    if counted[0] >= most:
        raise Full("campaigns")


class PostgresCampaigns:
    """Campaigns of an account; see the contract in storage/store.py."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._reader = CampaignReader()

    async def add(self, account: int, owner: int, campaign: Campaign, at: int, most: int = 0) -> CampaignRow:
        """Raises Conflict where a campaign of the account that is not deleted has this guid, then Full."""
        kept = replace(campaign, created_at=at)
        paused, media, body = campaign_columns(kept)
        row = {"account": account, "owner": owner, "guid": campaign.guid, "created_at": at, "deleted_at": None}
        row |= {"revision": 1, "version": 1, "contacts": 0, "is_paused": paused, "media": media, "body": body}

        async def work(connection: Connection) -> int:
            if most:
                await _make_room(connection, account, campaign.guid, most)
            (added,) = await fetch(connection, queries.add, **row)
            number: int = added[0]
            await run(connection, queries.add_content, campaign=number, revision=1, body=body_of(kept))
            for medium in Medium:
                lane = {"campaign": number, "medium": int(medium), "account": account}
                await run(connection, queries.add_lane, planned=0, cancelled=None, **lane)
            await begin_progress(connection, number, at)
            return number

        try:
            return await self._must_find(await self._database.write(work))
        except asyncpg.UniqueViolationError as error:
            raise Conflict("campaign") from error

    async def find(self, account: int, guid: str) -> CampaignRow | None:
        """One that is not deleted."""

        async def read(connection: Connection) -> CampaignRow | None:
            columns = await fetch_row(connection, queries.find, account=account, guid=guid or None)
            return self._reader.row(columns) if columns else None

        return await self._database.read_once((queries.find, account, guid), read)

    async def find_number(self, number: int) -> CampaignRow | None:
        """Also a deleted one."""

        async def read(connection: Connection) -> CampaignRow | None:
            columns = await fetch_row(connection, queries.find_number, number=number)
            return self._reader.row(columns) if columns else None

        return await self._database.read_once((queries.find_number, number), read)

    async def list(self, account: int) -> list[CampaignRow]:
        """All that are not deleted, oldest first."""
        rows = await self._database.read(lambda connection: fetch(connection, queries.list, account=account))
        return [self._reader.row(columns) for columns in rows]

    async def page(self, account: int, after: int, limit: int, *, newest_first: bool = False) -> Sequence[CampaignRow]:
        """Campaigns that are not deleted, from the one after number `after` on."""
        statement = queries.page_down if newest_first else queries.page
        bounds = {"account": account, "after": after or (NEVER if newest_first else 0), "most": limit}
        rows = await self._database.read(lambda connection: fetch(connection, statement, **bounds))
        return [self._reader.row(columns) for columns in rows]

    async def replace(self, number: int, campaign: Campaign, at: int, version: int | None = None) -> CampaignRow | None:
        """Replace all the client's fields; guid and created_at stay. None where it is gone; Stale by version."""

        async def work(connection: Connection) -> bool:
            columns = await fetch_row(connection, _HOLD, number=number)
            old = CampaignReader().row(columns) if columns else None
            if old is None or old.deleted_at is not None:
                return False
            if version not in (None, old.version):
                raise Stale
            new = replace(campaign, guid=old.campaign.guid, created_at=old.campaign.created_at)
            revision = old.revision
            if content_changed(old.campaign, new):
                revision += 1
                await run(connection, queries.add_content, campaign=number, revision=revision, body=body_of(new))
            if new.is_paused != old.campaign.is_paused:
                await happen(connection, [happened(number, PAUSING[new.is_paused], at)])
            paused, media, body = campaign_columns(new)
            if old.cancelled_at is not None:
                media = 0
            row = {"to_revision": revision, "to_version": old.version + 1, "paused": paused}
            await run(connection, queries.replace, campaign=number, media_bits=media, to_body=body, **row)
            return True

        return await self._must_find(number) if await self._database.write(work) else None

    async def cancel(self, number: int, at: int) -> CampaignRow | None:
        """End a campaign for good. None where it is gone."""

        async def work(connection: Connection) -> None:
            if await run(connection, queries.cancel, campaign=number, at=at):
                await happen(connection, [happened(number, EventKind.CANCELLED, at)])

        await self._database.write(work, first=alone_with_campaign(number))
        row = await self.find_number(number)
        return None if row is None or row.deleted_at is not None else row

    async def delete(self, number: int, at: int) -> bool:
        """Gone from every answer at once; what waits is cancelled by the engine's sweep."""
        changed = await self._database.write(
            lambda connection: run(connection, queries.mark_deleted, campaign=number, at=at),
            first=alone_with_campaign(number),
        )
        return changed > 0

    async def _must_find(self, number: int) -> CampaignRow:
        row = await self.find_number(number)
        assert row is not None  # one is removed long after its deletion, which is still to come
        return row
