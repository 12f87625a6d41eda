"""Owns campaigns and their frozen contents on SQLite.

Must not know who may see a campaign or when it is open.
"""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Sequence
from dataclasses import replace

from campana.domain.campaign import Campaign, content_changed
from campana.domain.delivery import Medium
from campana.domain.progress import EventKind
from campana.storage.campaign_rows import CampaignReader, campaign_columns
from campana.storage.compiled import run
from campana.storage.contents import body_of
from campana.storage.happenings import PAUSING, happened
from campana.storage.queries import campaigns as queries
from campana.storage.sqlite.database import Database
from campana.storage.sqlite.happenings import happen
from campana.storage.sqlite.progress import begin_progress
from campana.storage.store import CampaignRow, Conflict, Full, Stale
from campana.storage.tables import NEVER


def find_number(connection: sqlite3.Connection, reader: CampaignReader, number: int) -> CampaignRow | None:
    """Also a deleted one; for use inside a transaction."""
    columns = run(connection, queries.find_number, number=number).fetchone()
    return reader.row(columns) if columns else None


def _freeze(connection: sqlite3.Connection, number: int, revision: int, campaign: Campaign) -> None:
    """Keep what the campaign says under its revision."""
    run(connection, queries.add_content, campaign=number, revision=revision, body=body_of(campaign))


class SqliteCampaigns:
    """Campaigns of an account; see the contract in storage/store.py."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._reader = CampaignReader()

    async def add(self, account: int, owner: int, campaign: Campaign, at: int, most: int = 0) -> CampaignRow:
        """Raises Conflict where a campaign of the account that is not deleted has this guid, then Full."""
        kept = replace(campaign, created_at=at)

        def work(connection: sqlite3.Connection) -> int:
            if run(connection, queries.find, account=account, guid=campaign.guid).fetchone():
                raise Conflict("campaign")
            if most and run(connection, queries.count, account=account).fetchone()[0] >= most:
                raise Full("campaigns")
            paused, media, body = campaign_columns(kept)
            row = {"account": account, "owner": owner, "guid": campaign.guid, "created_at": at}
            number: int = run(
                connection,
                queries.add,
                deleted_at=None,
                revision=1,
                version=1,
                contacts=0,
                is_paused=paused,
                media=media,
                body=body,
                **row,
            ).fetchone()[0]
            _freeze(connection, number, 1, kept)
            for medium in Medium:
                run(
                    connection,
                    queries.add_lane,
                    campaign=number,
                    medium=medium,
                    account=account,
                    planned=0,
                    cancelled=None,
                )
            begin_progress(connection, number, at)
            return number

        return self._must_find(await self._database.write(work))

    async def find(self, account: int, guid: str) -> CampaignRow | None:
        """One that is not deleted."""

        def read(connection: sqlite3.Connection) -> CampaignRow | None:
            columns = run(connection, queries.find, account=account, guid=guid).fetchone()
            return self._reader.row(columns) if columns else None

        return self._database.look_once((queries.find, account, guid), read)

    async def find_number(self, number: int) -> CampaignRow | None:
        """Also a deleted one."""
        read = functools.partial(find_number, reader=self._reader, number=number)
        return self._database.look_once((queries.find_number, number), read)

    async def list(self, account: int) -> list[CampaignRow]:
        """All that are not deleted, oldest first."""
        rows = await self._database.read(lambda connection: run(connection, queries.list, account=account).fetchall())
        return [self._reader.row(columns) for columns in rows]

    async def page(self, account: int, after: int, limit: int, *, newest_first: bool = False) -> Sequence[CampaignRow]:
        """Campaigns that are not deleted, from the one after number `after` on."""
        statement = queries.page_down if newest_first else queries.page
        bounds = {"account": account, "after": after or (NEVER if newest_first else 0), "most": limit}
        rows = await self._database.read(lambda connection: run(connection, statement, **bounds).fetchall())
        return [self._reader.row(columns) for columns in rows]

    async def replace(self, number: int, campaign: Campaign, at: int, version: int | None = None) -> CampaignRow | None:
        """Replace all the client's fields; guid and created_at stay. None where it is gone; Stale by version."""

        def work(connection: sqlite3.Connection) -> bool:
            old = find_number(connection, CampaignReader(), number)
            if old is None or old.deleted_at is not None:
                return False
            if version not in (None, old.version):
                raise Stale
            new = replace(campaign, guid=old.campaign.guid, created_at=old.campaign.created_at)
            revision = old.revision
            if content_changed(old.campaign, new):
                revision += 1
                _freeze(connection, number, revision, new)
            paused, media, body = campaign_columns(new)
            if old.cancelled_at is not None:
                media = 0
            if new.is_paused != old.campaign.is_paused:
                happen(connection, [happened(number, PAUSING[new.is_paused], at)])
            run(
                connection,
                queries.replace,
                campaign=number,
                to_revision=revision,
                to_version=old.version + 1,
                paused=paused,
                media_bits=media,
                to_body=body,
            )
            return True

        return self._must_find(number) if await self._database.write(work) else None

    async def cancel(self, number: int, at: int) -> CampaignRow | None:
        """End a campaign for good. None where it is gone."""

        def work(connection: sqlite3.Connection) -> None:
            if run(connection, queries.cancel, campaign=number, at=at).rowcount:
                happen(connection, [happened(number, EventKind.CANCELLED, at)])

        await self._database.write(work)
        row = await self.find_number(number)
        return None if row is None or row.deleted_at is not None else row

    async def delete(self, number: int, at: int) -> bool:
        """Gone from every answer at once; what waits is cancelled by the engine's sweep."""
        changed = await self._database.write(
            lambda connection: run(connection, queries.mark_deleted, campaign=number, at=at).rowcount
        )
        return changed > 0

    def _must_find(self, number: int) -> CampaignRow:
        row = self._database.look(lambda connection: find_number(connection, self._reader, number))
        assert row is not None  # one is removed long after its deletion, which is still to come
        return row
