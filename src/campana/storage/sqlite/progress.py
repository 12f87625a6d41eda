"""Owns how campaigns go on, as SQLite keeps it: folding what happened, and reading what came of it.

Must not know what happenings mean (happenings.py) nor what is told when (progress_rows.py).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

import msgspec

from campana.domain.delivery import Medium
from campana.domain.progress import Event, EventKind
from campana.storage.census import Census, Difference, Folding, compare, contact_bounds, delivery_bounds, parts
from campana.storage.compiled import run
from campana.storage.happenings import FOLDED_AT_ONCE, EventColumns, Folded, Happening, spans_of
from campana.storage.progress import Repair, Standing
from campana.storage.progress_rows import (
    EVENT_ROWS_AT_ONCE,
    PROGRESS_COLUMNS,
    ProgressRow,
    Prospects,
    Telling,
    first_row,
    row_values,
)
from campana.storage.queries import progress as queries
from campana.storage.sqlite.database import Database
from campana.storage.sqlite.recording import pack
from campana.storage.tables import NEVER, contact_id, delivery_id

DISCARDED_AT_ONCE = 5_000
"""Happenings of a deleted campaign that are forgotten in one transaction."""

# Dialect twins: lists as JSON.
_WAITING = """
WITH RECURSIVE found(campaign) AS (
  SELECT min(campaign) FROM happenings
  UNION ALL SELECT (SELECT min(h.campaign) FROM happenings AS h WHERE h.campaign > found.campaign)
  FROM found WHERE campaign IS NOT NULL
)
SELECT campaign FROM found WHERE campaign IS NOT NULL LIMIT :most
"""
_STRAYS = """
SELECT json_group_array(delivery) FROM (
  SELECT DISTINCT s.delivery FROM json_each(:spans) AS j
  CROSS JOIN strays AS s ON s.campaign = :campaign AND s.delivery BETWEEN j.value->>0 AND j.value->>1
  ORDER BY s.delivery
)
"""
_ADD_STRAYS = """
INSERT INTO strays (campaign, delivery) SELECT :campaign, value FROM json_each(:ids) WHERE true ON CONFLICT DO NOTHING
"""
_ADD_EVENTS = """
INSERT INTO events (campaign, number, at, kind, medium, was, status, code, first, last, ids, size, body)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_FORGET = "DELETE FROM happenings WHERE campaign = :campaign AND id <= :upto"
_DISCARD = """
DELETE FROM happenings
WHERE campaign = :campaign AND id IN (SELECT id FROM happenings WHERE campaign = :campaign ORDER BY id LIMIT :most)
"""
# One statement, so that what was folded and what was not are of one snapshot.
_STANDINGS = f"""
SELECT c.number, p.campaign, (
    SELECT json_group_array(json_array(id, at, kind, medium, was, status, code, first, last, ids, size, body)) FROM (
      SELECT * FROM happenings AS h WHERE h.campaign = c.number ORDER BY h.id
    )
  ), (
    SELECT json_group_array(delivery) FROM (
      SELECT DISTINCT s.delivery FROM happenings AS h
      CROSS JOIN strays AS s ON s.campaign = h.campaign AND s.delivery BETWEEN h.first AND h.last
      WHERE h.campaign = c.number ORDER BY s.delivery
    )
  ), {", ".join(f"p.{name}" for name in PROGRESS_COLUMNS)}
FROM json_each(:campaigns) AS j
CROSS JOIN campaigns AS c ON c.number = j.value AND c.deleted_at IS NULL
LEFT JOIN progress AS p ON p.campaign = c.number
"""
_NAMES = """
SELECT c.id, c.guid, c.reference FROM json_each(:ids) AS j CROSS JOIN contacts AS c ON c.id = j.value
"""

_decode_ids = msgspec.json.Decoder(list[int]).decode
_decode_happenings = msgspec.json.Decoder(list[Happening]).decode


class SqliteProgress:
    """How campaigns go on; see the contract in storage/progress.py."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def fold(self, campaign: int, now: int) -> bool:
        """Count and number some of what happened to a campaign; True where there may be more."""
        # Whoever reads folds as well: where nothing waits, the writer is not to be asked.
        if not self._database.look(
            lambda connection: run(connection, queries.is_to_be_folded, campaign=campaign).fetchone()[0]
        ):
            return False
        done = await self._database.write(partial(_fold, campaign))
        if done is None:
            await self._begin(campaign, now)
            return True
        return done

    async def waiting(self, limit: int) -> list[int]:
        """Some campaigns with happenings that wait to be folded."""
        rows = await self._database.read(lambda connection: connection.execute(_WAITING, {"most": limit}).fetchall())
        return [campaign for (campaign,) in rows]

    async def standings(self, campaigns: Collection[int]) -> dict[int, Standing]:
        """How campaigns stand right now, what is not yet folded included."""
        standings: dict[int, Standing] = {}
        asked = list(campaigns)
        while asked:
            rows = await self._database.read(partial(_read_standings, asked))
            asked = []
            for number, counted, happenings, strays, *columns in rows:
                if counted is None:
                    asked.append(number)
                    continue
                folded = Folded(strays=_decode_ids(strays)).take_all(_decode_happenings(happenings))
                standings[number] = ProgressRow.of(columns).standing(folded)
            for number in asked:
                await self._begin(number, 0)
        return standings

    async def events(self, campaign: int, after: int, limit: int) -> list[Event]:
        """Events with numbers above `after`, at most `limit`, in their order."""

        def read(connection: sqlite3.Connection) -> list[Event]:
            telling = Telling(after, limit)
            where = {"campaign": campaign, "most": EVENT_ROWS_AT_ONCE}
            while telling.take(run(connection, queries.some_events, first=telling.after + 1, **where).fetchall()):
                pass
            return telling.events(connection.execute(_NAMES, {"ids": pack(telling.contacts)}))

        return await self._database.read(read)

    async def tell(self, campaign: int, kind: EventKind, at: int, *, has_ended: bool = False) -> bool:
        """Tell what was not told yet, once everything that happened before it was folded."""

        def work(connection: sqlite3.Connection) -> bool | None:
            if _fold(campaign, connection) is not False:
                return None
            course, row = _find(connection, campaign)
            if course is None or row is None:
                return False
            event = row.tell(kind, at, course, has_ended=has_ended)
            if event is not None:
                _write(connection, campaign, row, [event])
            return event is not None

        while True:
            told = await self._database.write(work)
            if told is not None:
                return told
            await self.fold(campaign, at)

    async def audit(self, campaign: int, now: int) -> list[Repair]:
        """Compare the counts of a campaign with its deliveries, in one snapshot, and set right what differs."""
        compared = await self._database.read(partial(_compare, campaign))
        if compared is None:
            return []
        audited_at, difference = compared
        if audited_at is None:
            await self._begin(campaign, now)
            return []

        def work(connection: sqlite3.Connection) -> list[Repair]:
            course, row = _find(connection, campaign)
            # Who audited meanwhile has set it right.
            if course is None or row is None or row.audited_at != audited_at:
                return []
            repairs = row.repair(campaign, difference, course)
            row.audited_at = now
            _write(connection, campaign, row, [])
            _add_strays(connection, campaign, difference.strays)
            return repairs

        return await self._database.write(work)

    async def unaudited(self, before: int, limit: int) -> list[int]:
        """Campaigns that were last audited before an instant and are to be audited again."""
        rows = await self._database.read(
            lambda connection: run(connection, queries.unaudited, before=before, most=limit).fetchall()
        )
        return [number for (number,) in rows]

    async def _begin(self, campaign: int, now: int) -> None:
        """Count a campaign of an earlier version from its deliveries."""
        compared = await self._database.read(partial(_compare, campaign))
        if compared is None:
            return
        _, difference = compared

        def work(connection: sqlite3.Connection) -> None:
            course, row = _find(connection, campaign)
            if course is not None and row is None:
                _add_row(connection, campaign, first_row(now, difference))
                _add_strays(connection, campaign, difference.strays)

        await self._database.write(work)


def begin_progress(connection: sqlite3.Connection, campaign: int, at: int) -> None:
    """Begin to count a new campaign."""
    _add_row(connection, campaign, first_row(at))


def _add_row(connection: sqlite3.Connection, campaign: int, row: ProgressRow) -> None:
    run(connection, queries.add, campaign=campaign, **row_values(row))


def _find(connection: sqlite3.Connection, campaign: int) -> tuple[Prospects | None, ProgressRow | None]:
    """What is left to be done on a campaign, None where it is gone; and its row, None where there is none."""
    found = run(connection, queries.course, campaign=campaign).fetchone()
    columns = run(connection, queries.row, campaign=campaign).fetchone()
    return Prospects.of(*found) if found else None, ProgressRow.of(columns) if columns else None


def _fold(campaign: int, connection: sqlite3.Connection) -> bool | None:
    """Fold some happenings of a campaign: whether there may be more; None where it has no row yet."""
    rows = run(connection, queries.next_happenings, campaign=campaign, most=FOLDED_AT_ONCE).fetchall()
    course, row = _find(connection, campaign)
    if course is None:
        gone = connection.execute(_DISCARD, {"campaign": campaign, "most": DISCARDED_AT_ONCE}).rowcount
        return gone == DISCARDED_AT_ONCE
    if row is None:
        return None
    if not rows:
        return False
    happenings = [Happening(*columns) for columns in rows]
    folded = Folded(row.number, _strays_among(connection, campaign, happenings)).take_all(happenings)
    row.apply(folded, course)
    _write(connection, campaign, row, folded.events)
    _add_strays(connection, campaign, folded.strayed)
    connection.execute(_FORGET, {"campaign": campaign, "upto": happenings[-1].id})
    return len(happenings) == FOLDED_AT_ONCE


def _strays_among(connection: sqlite3.Connection, campaign: int, happenings: Sequence[Happening]) -> list[int]:
    if run(connection, queries.has_strays, campaign=campaign).fetchone() is None:
        return []
    spans = pack(spans_of(happenings))
    return _decode_ids(connection.execute(_STRAYS, {"campaign": campaign, "spans": spans}).fetchone()[0])


def _write(connection: sqlite3.Connection, campaign: int, row: ProgressRow, events: Sequence[EventColumns]) -> None:
    run(connection, queries.keep, of_campaign=campaign, **row_values(row, "to_"))
    connection.executemany(_ADD_EVENTS, [(campaign, *event) for event in events])


def _add_strays(connection: sqlite3.Connection, campaign: int, strays: Sequence[int]) -> None:
    if strays:
        connection.execute(_ADD_STRAYS, {"campaign": campaign, "ids": pack(strays)})


def _read_standings(campaigns: Sequence[int], connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
    return connection.execute(_STANDINGS, {"campaigns": pack(campaigns)}).fetchall()


def _compare(campaign: int, connection: sqlite3.Connection) -> tuple[int | None, Difference] | None:
    """What a campaign's row lacks, and when it was last audited, None where it has no row; None where it is gone."""
    connection.execute("BEGIN")
    try:
        last = run(connection, queries.last_contact, campaign=campaign).fetchone()
        if last is None:
            return None
        _, row = _find(connection, campaign)
        rows = run(connection, queries.next_happenings, campaign=campaign, most=NEVER).fetchall()
        strays = run(connection, queries.all_strays, campaign=campaign).fetchall()
        folding = Folding.of(row, [Happening(*columns) for columns in rows], (one for (one,) in strays))
        return None if row is None else row.audited_at, compare(_take_census(connection, campaign, last[0]), folding)
    finally:
        connection.execute("COMMIT")


def _take_census(connection: sqlite3.Connection, campaign: int, contacts: int) -> Census:
    census = Census()
    for part in parts(contacts):
        bounds = contact_bounds(campaign, part)
        census.contacts += run(connection, queries.count_contacts, **bounds).fetchone()[0]
        for medium in Medium:
            distance = delivery_id(campaign, medium, 0) - contact_id(campaign, 0)
            statuses = run(connection, queries.count_deliveries, **delivery_bounds(campaign, medium, part)).fetchall()
            deleted = run(connection, queries.deleted_deliveries, distance=distance, **bounds).fetchall()
            census.add(medium, statuses, deleted)
    return census
