"""Owns imports on PostgreSQL: batches of contacts, written with how far their list has come.

Must not know how a list is read, nor the rules of adding.
"""

from __future__ import annotations

from functools import partial
from itertools import repeat

from campana.domain.delivery import Status
from campana.storage.happenings import counted
from campana.storage.import_rows import LATEST, import_columns, import_row, shapes_of, taken, without
from campana.storage.imports import REFUSALS_KEPT, Batch, ImportRow, ImportState, MediumColumns, Overtaken, Refusal
from campana.storage.postgres.database import Connection, Database, execute, fetch, fetch_row, run
from campana.storage.postgres.happenings import happen
from campana.storage.queries import contacts as contact_queries
from campana.storage.queries import imports as queries
from campana.storage.tables import campaigns, contact_id, delivery_id

# The campaign's row is the lock under which its contacts get their numbers, as for every way of adding.
_CAMPAIGN = queries.campaign.with_for_update(of=campaigns, key_share=True)

# Dialect twins.
_TRY_CONTACTS = """
INSERT INTO contacts (id, campaign, guid, created_at, name, reference, fields)
SELECT $1::bigint + j.place, $2::bigint, j.guid, $3::bigint, j.name, j.reference, j.fields
FROM unnest($4::uuid[], $5::text[], $6::text[], $7::text[]) WITH ORDINALITY AS j(guid, name, reference, fields, place)
ON CONFLICT DO NOTHING
"""
_WHICH = "SELECT id - $1::bigint FROM contacts WHERE id > $1::bigint AND id <= $2::bigint"
_ADD_EACH = f"""
INSERT INTO deliveries (id, status, last_error, attempts_left, tries, due_at, destination, dial, text)
SELECT $1::bigint + j.place, CASE WHEN j.dial IS NULL THEN {Status.DO_NOT_TRY:d} ELSE {Status.PENDING:d} END, 0,
  j.attempts, 0, $2::bigint, j.destination, j.dial, j.text
FROM unnest($3::bigint[], $4::text[], $5::text[], $6::smallint[], $7::text[])
  AS j(place, destination, text, attempts, dial)
"""
_ADD_REFUSALS = """
INSERT INTO refusals (import_id, row, "column", code, rule)
SELECT $1::uuid, * FROM unnest($2::bigint[], $3::text[], $4::smallint[], $5::text[])
ON CONFLICT DO NOTHING
"""
_CONTACTS = ("id", "campaign", "guid", "created_at", "name", "reference", "fields")
_DELIVERIES = ("id", "status", "last_error", "attempts_left", "tries", "due_at", "destination", "dial")
_COUNT_REFUSALS = "SELECT refused FROM imports WHERE id = $1::uuid"
_ADD_ONCE = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"


class PostgresImports:
    """Imports of contacts; see the contract in storage/imports.py."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, new: ImportRow) -> ImportRow:
        """Keep an import; where there is one with its key already, that one."""

        async def work(connection: Connection) -> ImportRow:
            if new.key is not None:
                # Of two that come at once the second finds the first.
                await connection.execute(_ADD_ONCE, new.key.hex())
                found = await fetch_row(connection, queries.find_key, key=new.key)
                if found is not None:
                    return import_row(found)
            await run(connection, queries.add, **import_columns(new))
            return new

        return await self._database.write(work)

    async def find(self, account: int, id: str) -> ImportRow | None:
        """An import of an account."""
        found = await self._database.read(
            lambda connection: fetch_row(connection, queries.find, account=account, id=id or None)
        )
        return import_row(found) if found else None

    async def find_key(self, key: bytes) -> ImportRow | None:
        """The import that a key stands for."""
        found = await self._database.read(lambda connection: fetch_row(connection, queries.find_key, key=key))
        return import_row(found) if found else None

    async def of_campaign(self, campaign: int, before: tuple[int, str] | None, limit: int) -> list[ImportRow]:
        """Imports into a campaign, the latest first."""
        started_at, id_ = before or LATEST
        where = {"campaign": campaign, "started_at": started_at, "id": id_, "most": limit}
        rows = await self._database.read(lambda connection: fetch(connection, queries.page, **where))
        return [import_row(row) for row in rows]

    async def resume(self, id: str, rows_read: int, at: int) -> None:
        """Go on with an import from where it stands. Raises Overtaken."""
        where = {"import_id": id, "after": rows_read, "at": at}
        if not await self._database.write(lambda connection: run(connection, queries.resume, **where)):
            raise Overtaken

    async def add_batch(self, id: str, campaign: int, batch: Batch, at: int) -> list[int]:
        """Add a batch's contacts and move the import on to its end; the rows whose guid was in use."""
        return await self._database.write(_Adding(id, campaign, batch, at).add)

    async def end(self, id: str, rows_read: int, state: ImportState, problem: str | None, at: int) -> None:
        """Say how an import ended that has come so far."""
        where = {"import_id": id, "after": rows_read, "to_state": state.value, "to_problem": problem, "at": at}
        await self._database.write(lambda connection: run(connection, queries.end, **where))

    async def refusals(self, id: str, after: int, limit: int) -> list[Refusal]:
        """Refused rows after one, in their order."""
        where = {"id": id, "after": after, "most": limit}
        rows = await self._database.read(partial(_refused, where))
        return [Refusal(*row) for row in rows]


async def _refused(where: dict[str, object], connection: Connection) -> list[tuple[int, str | None, int, str]]:
    return [tuple(row) for row in await fetch(connection, queries.refused, **where)]


class _Adding:
    """A batch on its way into the tables, in one transaction."""

    def __init__(self, id: str, campaign: int, batch: Batch, at: int) -> None:
        self._id = id
        self._campaign = campaign
        self._batch = batch
        self._at = at

    async def add(self, connection: Connection) -> list[int]:
        """Write it. Raises Overtaken, and LookupError where the campaign is gone or was cancelled."""
        batch, campaign = self._batch, self._campaign
        row = await fetch_row(connection, _CAMPAIGN, number=campaign)
        if row is None or row[1] is not None or row[2] is not None:
            raise LookupError("campaign")
        clashing = await self._add_contacts(connection, row[0]) if batch.guids else []
        known = await connection.fetchval(_COUNT_REFUSALS, self._id)
        changes = {
            "import_id": self._id,
            "after": batch.after,
            "to_rows": batch.rows_read,
            "to_digest": batch.digest,
            "more_accepted": len(batch.guids) - len(clashing),
            "more_refused": batch.refused + len(clashing),
            "at": self._at,
        }
        if not await run(connection, queries.move_on, **changes):
            raise Overtaken
        kept = [*batch.refusals, *(taken(batch.rows[place]) for place in clashing)]
        kept = sorted(kept, key=lambda one: one.row)[: max(0, REFUSALS_KEPT - known)]
        if kept:
            columns = zip(*((one.row, one.column, one.code, one.rule) for one in kept), strict=True)
            await execute(connection, _ADD_REFUSALS, self._id, *map(list, columns))
        return [batch.rows[place] for place in clashing]

    async def _add_contacts(self, connection: Connection, count: int) -> list[int]:
        """Write the contacts; the places of those whose guid was in use."""
        batch, campaign, size = self._batch, self._campaign, len(self._batch.guids)
        base = contact_id(campaign, count)
        columns = (batch.guids, batch.names, batch.references, batch.fields)
        clashing: list[int] = []
        if batch.are_ours:
            # Where no clash can be, COPY costs both sides less.
            ids = range(base + 1, base + size + 1)
            records = zip(ids, repeat(campaign), batch.guids, repeat(self._at), *columns[1:], strict=False)
            await connection.copy_records_to_table("contacts", records=records, columns=_CONTACTS)
        elif await execute(connection, _TRY_CONTACTS, base, campaign, self._at, *columns) < size:
            there = {row[0] - 1 for row in await connection.fetch(_WHICH, base, base + size)}
            clashing = sorted(set(range(size)).difference(there))
        await run(connection, contact_queries.count_up, campaign=campaign, to=count + size)
        for column in batch.media:
            await self._add_deliveries(
                connection, delivery_id(campaign, column.medium, count), without(column, clashing)
            )
        shapes = shapes_of(batch, clashing)
        if shapes:
            await happen(connection, [counted(campaign, shapes, self._at)])
        return clashing

    async def _add_deliveries(self, connection: Connection, base: int, column: MediumColumns) -> None:
        if column.each is None:
            records = [
                (delivery, int(Status.PENDING), 0, column.attempts, 0, self._at, dial, dial)
                for delivery, dial in enumerate(column.dials, base + 1)
                if dial is not None
            ]
            await connection.copy_records_to_table("deliveries", records=records, columns=_DELIVERIES)
            return
        rows = [
            (place, *one, dial)
            for place, (one, dial) in enumerate(zip(column.each, column.dials, strict=True), 1)
            if one is not None
        ]
        if rows:
            await execute(connection, _ADD_EACH, base, self._at, *map(list, zip(*rows, strict=True)))
