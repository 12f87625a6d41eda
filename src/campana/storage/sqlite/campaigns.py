"""Owns campaigns and their frozen contents on SQLite.

Must not know who may see a campaign or when it is open.
"""

from __future__ import annotations

import functools
import sqlite3
from collections import OrderedDict
from dataclasses import replace
from typing import Any

import msgspec

from campana.domain.campaign import Campaign, content_changed, media_enabled
from campana.domain.delivery import Medium
from campana.storage.compiled import run
from campana.storage.queries import campaigns as queries
from campana.storage.sqlite.contents import freeze
from campana.storage.sqlite.database import Database
from campana.storage.store import CampaignRow, Conflict

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Campaign).decode

REMEMBERED = 4_096
"""Decoded campaigns kept in memory, each valid for as long as its version is the stored one."""

REMEMBERED_CHARACTERS = 32_000_000
"""All of them together: one may say a million characters."""


def media_bits(campaign: Campaign) -> int:
    """The enabled media of a campaign, a bit each."""
    return sum(1 << medium for medium in media_enabled(campaign))


class CampaignReader:
    """Makes CampaignRows of their columns, decoding a body once per version. Used from one thread."""

    def __init__(self) -> None:
        self._decoded: OrderedDict[int, tuple[int, int, Campaign]] = OrderedDict()
        """Version, characters and campaign, by number."""
        self._characters = 0

    def row(self, columns: tuple[Any, ...]) -> CampaignRow:
        """Make a CampaignRow of the joined columns."""
        number, version, account, owner, role, revision, deleted_at, count, account_id, zone, body = columns
        known = self._decoded.get(number)
        campaign = known[2] if known and known[0] == version else self._remember(number, version, body)
        return CampaignRow(
            number=number,
            account=account,
            owner=owner,
            owner_role=role,
            revision=revision,
            version=version,
            zone=campaign.time_zone or zone,
            campaign=campaign,
            account_id=account_id,
            contacts=count,
            deleted_at=deleted_at,
        )

    def _remember(self, number: int, version: int, body: str) -> Campaign:
        campaign = _decode(body)
        _, old, _ = self._decoded.pop(number, (0, 0, None))
        self._decoded[number] = (version, len(body), campaign)
        self._characters += len(body) - old
        while len(self._decoded) > REMEMBERED or self._characters > REMEMBERED_CHARACTERS:
            _, (_, characters, _) = self._decoded.popitem(last=False)
            self._characters -= characters
        return campaign

    def find_number(self, connection: sqlite3.Connection, number: int) -> CampaignRow | None:
        """Also a deleted one; for use inside a transaction."""
        columns = run(connection, queries.find_number, number=number).fetchone()
        return self.row(columns) if columns else None


class SqliteCampaigns:
    """Campaigns of an account; see the contract in storage/store.py."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._reader = CampaignReader()

    async def add(self, account: int, owner: int, campaign: Campaign, at: int) -> CampaignRow:
        """Raises Conflict where a campaign of the account that is not deleted has this guid."""
        kept = replace(campaign, created_at=at)

        def work(connection: sqlite3.Connection) -> int:
            if run(connection, queries.find, account=account, guid=campaign.guid).fetchone():
                raise Conflict("campaign")
            row = {"account": account, "owner": owner, "guid": campaign.guid, "created_at": at}
            number = run(
                connection,
                queries.add,
                number=None,
                deleted_at=None,
                revision=1,
                version=1,
                contacts=0,
                is_paused=int(kept.is_paused),
                media=media_bits(kept),
                body=_encode(kept).decode(),
                **row,
            ).lastrowid
            assert number is not None  # an INSERT of one row has one
            freeze(connection, number, 1, kept)
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
        read = functools.partial(self._reader.find_number, number=number)
        return self._database.look_once((queries.find_number, number), read)

    async def count(self, account: int) -> int:
        """How many of the account are not deleted, ended ones included."""
        found: int = self._database.look(
            lambda connection: run(connection, queries.count, account=account).fetchone()[0]
        )
        return found

    async def list(self, account: int) -> list[CampaignRow]:
        """All that are not deleted, oldest first."""
        rows = await self._database.read(lambda connection: run(connection, queries.list, account=account).fetchall())
        return [self._reader.row(columns) for columns in rows]

    async def replace(self, number: int, campaign: Campaign, at: int) -> CampaignRow | None:
        """Replace all the client's fields; guid and created_at stay. None where it is gone."""

        def work(connection: sqlite3.Connection) -> bool:
            old = CampaignReader().find_number(connection, number)
            if old is None or old.deleted_at is not None:
                return False
            new = replace(campaign, guid=old.campaign.guid, created_at=old.campaign.created_at)
            revision = old.revision
            if content_changed(old.campaign, new):
                revision += 1
                freeze(connection, number, revision, new)
            run(
                connection,
                queries.replace,
                campaign=number,
                to_revision=revision,
                to_version=old.version + 1,
                paused=int(new.is_paused),
                media_bits=media_bits(new),
                to_body=_encode(new).decode(),
            )
            return True

        return self._must_find(number) if await self._database.write(work) else None

    async def delete(self, number: int, at: int) -> bool:
        """Gone from every answer at once; what waits is cancelled by the engine's sweep."""
        changed = await self._database.write(
            lambda connection: run(connection, queries.mark_deleted, campaign=number, at=at).rowcount
        )
        return changed > 0

    def _must_find(self, number: int) -> CampaignRow:
        row = self._database.look(lambda connection: self._reader.find_number(connection, number))
        assert row is not None  # rows of campaigns are never removed
        return row
