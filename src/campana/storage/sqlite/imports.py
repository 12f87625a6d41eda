"""Owns imports on SQLite: batches of contacts, written with how far their list has come.

Must not know how a list is read, nor the rules of adding.
"""

from __future__ import annotations

import sqlite3
from functools import partial
from typing import Any

import msgspec

from campana.domain.delivery import Status
from campana.storage.compiled import run
from campana.storage.happenings import counted
from campana.storage.import_rows import LATEST, import_columns, import_row, shapes_of, taken, without
from campana.storage.imports import REFUSALS_KEPT, Batch, ImportRow, ImportState, MediumColumns, Overtaken, Refusal
from campana.storage.queries import contacts as contact_queries
from campana.storage.queries import imports as queries
from campana.storage.sqlite.database import CACHE_KIB as WRITERS_CACHE_KIB
from campana.storage.sqlite.database import Database
from campana.storage.sqlite.happenings import happen
from campana.storage.tables import contact_id, delivery_id

# Dialect twins: a batch as one JSON text, whose rows are numbered as they stand in it.
_ADD_CONTACTS = """
INSERT INTO contacts (id, campaign, guid, created_at, name, reference, fields)
SELECT :base + key, :campaign, value->>0, :at, value->>1, value->>2, value->>3 FROM json_each(:rows) WHERE true
ON CONFLICT DO NOTHING
"""
_WHICH = "SELECT json_group_array(id - :base) FROM contacts WHERE id >= :base AND id <= :last"
_ADD_ALIKE = f"""
INSERT INTO deliveries (id, status, last_error, attempts_left, tries, due_at, destination, dial)
SELECT :base + key, {Status.PENDING:d}, 0, :attempts, 0, :at, value, value FROM json_each(:rows) WHERE value IS NOT NULL
"""
_ADD_EACH = f"""
INSERT INTO deliveries (id, status, last_error, attempts_left, tries, due_at, destination, dial, text)
SELECT :base + key, iif(value->>3 IS NULL, {Status.DO_NOT_TRY:d}, {Status.PENDING:d}), 0, value->>2, 0, :at,
  value->>0, value->>3, value->>1
FROM json_each(:rows) WHERE type = 'array'
"""
_ADD_REFUSALS = """
INSERT INTO refusals (import_id, row, "column", code, rule)
SELECT :id, value->>0, value->>1, value->>2, value->>3 FROM json_each(:rows) WHERE true
ON CONFLICT DO NOTHING
"""
_COUNT_REFUSALS = "SELECT refused FROM imports WHERE id = :id"

CACHE_KIB = 24_576
"""Of the writer, as long as a list comes in: it would fill a larger one with pages that nobody looks at again, and gain
a twentieth of the time."""

_encode = msgspec.json.Encoder().encode
_decode_places = msgspec.json.Decoder(list[int]).decode


class SqliteImports:
    """Imports of contacts; see the contract in storage/imports.py."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, new: ImportRow) -> ImportRow:
        """Keep an import; where there is one with its key already, that one."""

        def work(connection: sqlite3.Connection) -> ImportRow:
            if new.key is not None:
                found = run(connection, queries.find_key, key=new.key).fetchone()
                if found is not None:
                    return import_row(found)
            run(connection, queries.add, **import_columns(new))
            return new

        return await self._database.write(work)

    async def find(self, account: int, id: str) -> ImportRow | None:
        """An import of an account."""
        found = self._database.look(lambda connection: run(connection, queries.find, account=account, id=id).fetchone())
        return import_row(found) if found else None

    async def find_key(self, key: bytes) -> ImportRow | None:
        """The import that a key stands for."""
        found = self._database.look(lambda connection: run(connection, queries.find_key, key=key).fetchone())
        return import_row(found) if found else None

    async def of_campaign(self, campaign: int, before: tuple[int, str] | None, limit: int) -> list[ImportRow]:
        """Imports into a campaign, the latest first."""
        started_at, id_ = before or LATEST
        where = {"campaign": campaign, "started_at": started_at, "id": id_, "most": limit}
        rows = await self._database.read(lambda connection: run(connection, queries.page, **where).fetchall())
        return [import_row(row) for row in rows]

    async def resume(self, id: str, rows_read: int, at: int) -> None:
        """Go on with an import from where it stands. Raises Overtaken."""
        where = {"import_id": id, "after": rows_read, "at": at}
        if not await self._database.write(lambda connection: run(connection, queries.resume, **where).rowcount):
            raise Overtaken

    async def add_batch(self, id: str, campaign: int, batch: Batch, at: int) -> list[int]:
        """Add a batch's contacts and move the import on to its end; the rows whose guid was in use."""
        # Encoded here, while the writer's thread is at the batch before.
        contacts = _encode(list(zip(batch.guids, batch.names, batch.references, batch.fields, strict=True))).decode()
        media = [(column, _packed(column)) for column in batch.media]
        return await self._database.write(partial(_Adding(id, campaign, batch, at).add, contacts, media))

    async def end(self, id: str, rows_read: int, state: ImportState, problem: str | None, at: int) -> None:
        """Say how an import ended that has come so far."""
        where = {"import_id": id, "after": rows_read, "to_state": state.value, "to_problem": problem, "at": at}

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(f"PRAGMA cache_size=-{WRITERS_CACHE_KIB}")
            run(connection, queries.end, **where)

        await self._database.write(work)

    async def refusals(self, id: str, after: int, limit: int) -> list[Refusal]:
        """Refused rows after one, in their order."""
        where = {"id": id, "after": after, "most": limit}
        rows = await self._database.read(lambda connection: run(connection, queries.refused, **where).fetchall())
        return [Refusal(*row) for row in rows]


def _packed(column: MediumColumns) -> str:
    if column.each is None:
        return _encode(column.dials).decode()
    rows = [None if one is None else (*one, dial) for one, dial in zip(column.each, column.dials, strict=True)]
    return _encode(rows).decode()


class _Adding:
    """A batch on its way into the tables, in one transaction."""

    def __init__(self, id: str, campaign: int, batch: Batch, at: int) -> None:
        self._id = id
        self._campaign = campaign
        self._batch = batch
        self._at = at

    def add(self, contacts: str, media: list[tuple[MediumColumns, str]], connection: sqlite3.Connection) -> list[int]:
        """Write it. Raises Overtaken, and LookupError where the campaign is gone or was cancelled."""
        batch, campaign = self._batch, self._campaign
        connection.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
        row = run(connection, queries.campaign, number=campaign).fetchone()
        if row is None or row[1] is not None or row[2] is not None:
            raise LookupError("campaign")
        clashing = self._add_contacts(connection, row[0], contacts, media) if batch.guids else []
        known = connection.execute(_COUNT_REFUSALS, {"id": self._id}).fetchone()
        changes = {
            "import_id": self._id,
            "after": batch.after,
            "to_rows": batch.rows_read,
            "to_digest": batch.digest,
            "more_accepted": len(batch.guids) - len(clashing),
            "more_refused": batch.refused + len(clashing),
            "at": self._at,
        }
        if not run(connection, queries.move_on, **changes).rowcount:
            raise Overtaken
        kept = [*batch.refusals, *(taken(batch.rows[place]) for place in clashing)]
        room = max(0, REFUSALS_KEPT - known[0])
        if kept and room:
            rows = [(one.row, one.column, one.code, one.rule) for one in sorted(kept, key=_row)[:room]]
            connection.execute(_ADD_REFUSALS, {"id": self._id, "rows": _encode(rows).decode()})
        return [batch.rows[place] for place in clashing]

    def _add_contacts(
        self, connection: sqlite3.Connection, count: int, contacts: str, media: list[tuple[MediumColumns, str]]
    ) -> list[int]:
        """Write the contacts; the places of those whose guid was in use."""
        batch, campaign, size = self._batch, self._campaign, len(self._batch.guids)
        base = contact_id(campaign, count + 1)
        where: dict[str, Any] = {"base": base, "campaign": campaign, "rows": contacts, "at": self._at}
        clashing: list[int] = []
        if connection.execute(_ADD_CONTACTS, where).rowcount < size:
            there = connection.execute(_WHICH, {"base": base, "last": base + size - 1}).fetchone()[0]
            clashing = sorted(set(range(size)).difference(_decode_places(there)))
        run(connection, contact_queries.count_up, campaign=campaign, to=count + size)
        for column, packed in media:
            rows = _packed(without(column, clashing)) if clashing else packed
            first = delivery_id(campaign, column.medium, count + 1)
            values = {"base": first, "at": self._at, "rows": rows}
            if column.each is None:
                connection.execute(_ADD_ALIKE, values | {"attempts": column.attempts})
            else:
                connection.execute(_ADD_EACH, values)
        shapes = shapes_of(batch, clashing)
        if shapes:
            happen(connection, [counted(campaign, shapes, self._at)])
        return clashing


def _row(refusal: Refusal) -> int:
    return refusal.row
