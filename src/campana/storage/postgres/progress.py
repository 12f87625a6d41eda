"""Owns how campaigns go on, as PostgreSQL keeps it: folding what happened, and reading what came of it.

Must not know what happenings mean (happenings.py) nor what is told when (progress_rows.py). A campaign's row of
progress is the lock under which it is folded; whoever makes something happen neither takes nor waits for it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import asyncpg
import msgspec
from sqlalchemy.sql.expression import ClauseElement

from campana.domain.delivery import Medium
from campana.domain.progress import Event, EventKind
from campana.storage.census import Census, Difference, Folding, compare, contact_bounds, delivery_bounds, parts
from campana.storage.happenings import FOLDED_AT_ONCE, EventColumns, Folded, Happening, spans_of
from campana.storage.postgres.database import Connection, Database, execute, fetch, fetch_row
from campana.storage.progress import Repair, Standing
from campana.storage.progress_rows import (
    EVENT_ROWS_AT_ONCE,
    PROGRESS_COLUMNS,
    ProgressRow,
    Prospects,
    Telling,
    first_row,
)
from campana.storage.queries import progress as queries
from campana.storage.tables import NEVER, contact_id, delivery_id
from campana.storage.tables_of_progress import progress

DISCARDED_AT_ONCE = 5_000
"""Happenings of a deleted campaign that are forgotten in one transaction."""
_SNAPSHOT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
"""SQL that gives all statements of a transaction one snapshot."""

_HOLD_ROW = queries.row.with_for_update(of=progress, key_share=True)

# Dialect twins: lists as arrays.
_WAITING = """
WITH RECURSIVE found(campaign) AS (
  SELECT min(campaign) FROM happenings
  UNION ALL SELECT (SELECT min(h.campaign) FROM happenings AS h WHERE h.campaign > found.campaign)
  FROM found WHERE campaign IS NOT NULL
)
SELECT campaign FROM found WHERE campaign IS NOT NULL LIMIT $1
"""
_STRAYS = """
SELECT DISTINCT s.delivery FROM unnest($2::bigint[], $3::bigint[]) AS j(first, last)
JOIN strays AS s ON s.campaign = $1 AND s.delivery BETWEEN j.first AND j.last
ORDER BY s.delivery
"""
_KEPT = ", ".join(f"{name} = ${number}" for number, name in enumerate(PROGRESS_COLUMNS, 2))
_EVENT_TYPES = ("bigint", "bigint", *("smallint",) * 5, "bigint", "bigint", "text", "integer", "text")
_UNNESTED = ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(_EVENT_TYPES, 2 + len(PROGRESS_COLUMNS)))
_STRAYED, _FORGOTTEN = (2 + len(PROGRESS_COLUMNS) + len(_EVENT_TYPES) + more for more in (0, 1))
# What was folded goes by its own ids: one with a lower id may be committed later.
_WRITE = f"""
WITH told AS (
  INSERT INTO events (campaign, number, at, kind, medium, was, status, code, first, last, ids, size, body)
  SELECT $1::bigint, j.* FROM unnest({_UNNESTED})
    AS j(number, at, kind, medium, was, status, code, first, last, ids, size, body)
), strayed AS (
  INSERT INTO strays (campaign, delivery) SELECT $1::bigint, unnest(${_STRAYED}::bigint[]) ON CONFLICT DO NOTHING
), gone AS (
  DELETE FROM happenings WHERE campaign = $1 AND id = ANY(${_FORGOTTEN}::bigint[])
)
UPDATE progress SET {_KEPT} WHERE campaign = $1
"""
_DISCARD = """
DELETE FROM happenings
WHERE campaign = $1 AND id = ANY(ARRAY(SELECT id FROM happenings WHERE campaign = $1 ORDER BY id LIMIT $2))
"""
# One statement, so that what was folded and what was not are of one snapshot. Whether a campaign is deleted is spelled
# so that the index on those that are not is not read as a whole.
_STANDINGS = f"""
SELECT c.number, p.campaign, (
    SELECT coalesce(json_agg(json_build_array(h.id, h.at, h.kind, h.medium, h.was, h.status, h.code, h.first, h.last,
      h.ids, h.size, h.body) ORDER BY h.id), '[]')::text
    FROM happenings AS h WHERE h.campaign = c.number
  ), (
    SELECT array_agg(DISTINCT s.delivery ORDER BY s.delivery) FROM happenings AS h
    JOIN strays AS s ON s.campaign = h.campaign AND s.delivery BETWEEN h.first AND h.last
    WHERE h.campaign = c.number
  ), {", ".join(f"p.{name}" for name in PROGRESS_COLUMNS)}
FROM campaigns AS c LEFT JOIN progress AS p ON p.campaign = c.number
WHERE c.number = ANY($1::bigint[]) AND coalesce(c.deleted_at, 0) = 0
"""
_NAMES = "SELECT id, guid::text, reference FROM contacts WHERE id = ANY($1::bigint[])"

_decode_happenings = msgspec.json.Decoder(list[Happening]).decode


class PostgresProgress:
    """How campaigns go on; see the contract in storage/progress.py."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def fold(self, campaign: int, now: int) -> bool:
        """Count and number some of what happened to a campaign; True where there may be more."""
        # Whoever reads folds as well: where nothing waits, nothing is to be locked for it.
        waits = await self._database.read(
            lambda connection: fetch_row(connection, queries.is_to_be_folded, campaign=campaign)
        )
        if waits is None or not waits[0]:
            return False
        done = await self._database.write(partial(_fold, campaign))
        if done is None:
            await self._begin(campaign, now)
            return True
        return done

    async def waiting(self, limit: int) -> list[int]:
        """Some campaigns with happenings that wait to be folded."""
        rows = await self._database.read(lambda connection: connection.fetch(_WAITING, limit))
        return [campaign for (campaign,) in rows]

    async def standings(self, campaigns: Collection[int]) -> dict[int, Standing]:
        """How campaigns stand right now, what is not yet folded included."""
        standings: dict[int, Standing] = {}
        asked = list(campaigns)
        while asked:
            rows = await self._read_standings(asked)
            asked = []
            for number, counted, happenings, strays, *columns in rows:
                if counted is None:
                    asked.append(number)
                    continue
                folded = Folded(strays=list(strays or ())).take_all(_decode_happenings(happenings))
                standings[number] = ProgressRow.of(columns).standing(folded)
            for number in asked:
                await self._begin(number, 0)
        return standings

    async def events(self, campaign: int, after: int, limit: int) -> list[Event]:
        """Events with numbers above `after`, at most `limit`, in their order."""

        async def read(connection: Connection) -> list[Event]:
            telling = Telling(after, limit)
            where = {"campaign": campaign, "most": EVENT_ROWS_AT_ONCE}
            while telling.take(await _rows(connection, queries.some_events, first=telling.after + 1, **where)):
                pass
            return telling.events(await connection.fetch(_NAMES, telling.contacts))

        return await self._database.read(read)

    async def tell(self, campaign: int, kind: EventKind, at: int, *, has_ended: bool = False) -> bool:
        """Tell what was not told yet, once everything that happened before it was folded."""

        async def work(connection: Connection) -> bool | None:
            if await _fold(campaign, connection) is not False:
                return None
            course, row = await _hold(connection, campaign)
            if course is None or row is None:
                return False
            event = row.tell(kind, at, course, has_ended=has_ended)
            if event is not None:
                await _write(connection, campaign, row, _Writing([event]))
            return event is not None

        while True:
            told = await self._database.write(work)
            if told is not None:
                return told
            await self.fold(campaign, at)

    async def audit(self, campaign: int, now: int) -> list[Repair]:
        """Compare the counts of a campaign with its deliveries, in one snapshot, and set right what differs."""
        compared = await self._compare(campaign)
        if compared is None:
            return []
        audited_at, difference = compared
        if audited_at is None:
            await self._begin(campaign, now)
            return []

        async def work(connection: Connection) -> list[Repair]:
            course, row = await _hold(connection, campaign)
            # Who audited meanwhile has set it right.
            if course is None or row is None or row.audited_at != audited_at:
                return []
            repairs = row.repair(campaign, difference, course)
            row.audited_at = now
            await _write(connection, campaign, row, _Writing(strays=difference.strays))
            return repairs

        return await self._database.write(work)

    async def unaudited(self, before: int, limit: int) -> list[int]:
        """Campaigns that were last audited before an instant and are to be audited again."""
        rows = await self._database.read(
            lambda connection: fetch(connection, queries.unaudited, before=before, most=limit)
        )
        return [number for (number,) in rows]

    async def _begin(self, campaign: int, now: int) -> None:
        """Count a campaign of an earlier version from its deliveries."""
        compared = await self._compare(campaign)
        if compared is None:
            return
        _, difference = compared

        async def work(connection: Connection) -> None:
            course, _ = await _hold(connection, campaign)
            row = first_row(now, difference)
            if course is not None and await _add_row(connection, campaign, row):
                await _write(connection, campaign, row, _Writing(strays=difference.strays))

        await self._database.write(work)

    async def _read_standings(self, campaigns: Sequence[int]) -> list[asyncpg.Record]:
        return await self._database.read(lambda connection: connection.fetch(_STANDINGS, campaigns))

    async def _compare(self, campaign: int) -> tuple[int | None, Difference] | None:
        return await self._database.write(partial(_compare, campaign), first=_SNAPSHOT)


async def begin_progress(connection: Connection, campaign: int, at: int) -> None:
    """Begin to count a new campaign."""
    await _add_row(connection, campaign, first_row(at))


_ADD_ROW = f"""
INSERT INTO progress (campaign, {", ".join(PROGRESS_COLUMNS)})
VALUES ($1, {", ".join(f"${number}" for number in range(2, 2 + len(PROGRESS_COLUMNS)))})
ON CONFLICT DO NOTHING
"""


async def _add_row(connection: Connection, campaign: int, row: ProgressRow) -> bool:
    """Begin to count a campaign; False where somebody did."""
    return await execute(connection, _ADD_ROW, campaign, *row.columns) > 0


async def _rows(connection: Connection, statement: ClauseElement, **parameters: Any) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await fetch(connection, statement, **parameters)]


async def _hold(connection: Connection, campaign: int) -> tuple[Prospects | None, ProgressRow | None]:
    """What is left to be done on a campaign, None where it is gone; and its row, held until the transaction ends, None
    where there is none."""
    columns = await fetch_row(connection, _HOLD_ROW, campaign=campaign)
    found = await fetch_row(connection, queries.course, campaign=campaign)
    return Prospects.of(*found) if found else None, ProgressRow.of(columns) if columns else None


async def _fold(campaign: int, connection: Connection) -> bool | None:
    """Fold some happenings of a campaign: whether there may be more; None where it has no row yet."""
    course, row = await _hold(connection, campaign)
    if course is None:
        gone = await execute(connection, _DISCARD, campaign, DISCARDED_AT_ONCE)
        return gone == DISCARDED_AT_ONCE
    if row is None:
        return None
    # Now that the row is held: what others folded before is gone, and what is here nobody else folds.
    rows = await fetch(connection, queries.next_happenings, campaign=campaign, most=FOLDED_AT_ONCE)
    if not rows:
        return False
    happenings = [Happening(*columns) for columns in rows]
    folded = Folded(row.number, await _strays_among(connection, campaign, happenings)).take_all(happenings)
    row.apply(folded, course)
    await _write(connection, campaign, row, _Writing(folded.events, folded.strayed, [one.id for one in happenings]))
    return len(happenings) == FOLDED_AT_ONCE


async def _strays_among(connection: Connection, campaign: int, happenings: Sequence[Happening]) -> list[int]:
    if await fetch_row(connection, queries.has_strays, campaign=campaign) is None:
        return []
    spans = spans_of(happenings)
    rows = await connection.fetch(_STRAYS, campaign, [first for first, _ in spans], [last for _, last in spans])
    return [delivery for (delivery,) in rows]


@dataclass(frozen=True, slots=True)
class _Writing:
    """What is written with a row of progress."""

    events: Sequence[EventColumns] = ()
    strays: Sequence[int] = ()
    folded: Sequence[int] = ()
    """Happenings that go."""


async def _write(connection: Connection, campaign: int, row: ProgressRow, more: _Writing) -> None:
    columns = list(zip(*more.events, strict=True)) if more.events else [()] * len(_EVENT_TYPES)
    await execute(connection, _WRITE, campaign, *row.columns, *columns, more.strays, more.folded)


async def _compare(campaign: int, connection: Connection) -> tuple[int | None, Difference] | None:
    """What a campaign's row lacks, and when it was last audited, None where it has no row; None where it is gone."""
    last = await fetch_row(connection, queries.last_contact, campaign=campaign)
    if last is None:
        return None
    columns = await fetch_row(connection, queries.row, campaign=campaign)
    row = ProgressRow.of(columns) if columns else None
    rows = await fetch(connection, queries.next_happenings, campaign=campaign, most=NEVER)
    strays = await fetch(connection, queries.all_strays, campaign=campaign)
    folding = Folding.of(row, [Happening(*columns) for columns in rows], (one for (one,) in strays))
    census = await _take_census(connection, campaign, last[0])
    return None if row is None else row.audited_at, compare(census, folding)


async def _take_census(connection: Connection, campaign: int, contacts: int) -> Census:
    census = Census()
    for part in parts(contacts):
        bounds = contact_bounds(campaign, part)
        (counted,) = await fetch(connection, queries.count_contacts, **bounds)
        census.contacts += counted[0]
        for medium in Medium:
            distance = delivery_id(campaign, medium, 0) - contact_id(campaign, 0)
            statuses = await _rows(connection, queries.count_deliveries, **delivery_bounds(campaign, medium, part))
            deleted = await _rows(connection, queries.deleted_deliveries, distance=distance, **bounds)
            census.add(medium, statuses, deleted)
    return census
