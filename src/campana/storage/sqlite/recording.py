"""Owns how judged attempts and late news are written on SQLite: whole batches in a few statements.

Must not decide what an outcome does: it is handed Changes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec

from campana.domain.delivery import Status
from campana.domain.outcome import Change
from campana.storage.happenings import HappeningColumns, How, moved_alike, moved_all, moved_run
from campana.storage.outcomes import LateMove, due_columns, due_of, handover_columns, is_one_run, outcome_columns
from campana.storage.river import Judged
from campana.storage.sqlite.happenings import happen
from campana.storage.tables import NEVER

# Dialect twins: every batch goes as one JSON text into one statement, so that SQLite does its work in one call of
# the driver, without Python's lock.
_RECORD = f"""
UPDATE deliveries SET
  status = CASE WHEN j.status = {Status.WAITING_FOR_RETRY:d} AND deliveries.attempts_left <= j.used AND j.due < {NEVER}
    THEN {Status.PERMANENT_FAILURE:d} ELSE j.status END,
  last_error = j.code,
  attempts_left = max(0, deliveries.attempts_left - j.used),
  tries = j.attempt,
  due_at = j.due
FROM (
  SELECT value->>0 AS id, value->>1 AS attempt, value->>2 AS status, value->>3 AS code, value->>4 AS used,
    value->>5 AS due FROM json_each(:rows)
) AS j
WHERE deliveries.id = j.id AND deliveries.status = {Status.SENDING:d}
RETURNING id, status, last_error
"""
_ADD_ATTEMPTS = """
INSERT INTO attempts (delivery, attempt, at, route, status, code, parts_open, carrier_code, carrier_text)
SELECT value->>0, value->>1, value->>6, value->>7, value->>2, value->>3, value->>8, value->>9, value->>10
FROM json_each(:rows) WHERE true
ON CONFLICT DO NOTHING
"""
_RECORD_RUN = f"""
UPDATE deliveries SET status = :status, last_error = :code, attempts_left = max(0, attempts_left - 1),
  tries = tries + 1, due_at = 0
WHERE id BETWEEN :first AND :last AND status = {Status.SENDING:d}
"""
_ADD_ATTEMPTS_OF_RUN = """
INSERT INTO attempts (delivery, attempt, at, route, status, code, parts_open, carrier_code, carrier_text)
SELECT id, tries, :at, :route, :status, :code, :parts_open, :carrier_code, :carrier_text
FROM deliveries WHERE id BETWEEN :first AND :last
ON CONFLICT DO NOTHING
"""
_TRIES = "SELECT id, tries FROM deliveries WHERE id BETWEEN :first AND :last"
_ADD_HANDOVERS = """
INSERT INTO handovers (route, carrier_id, delivery, attempt, at)
SELECT value->>0, value->>1, value->>2, value->>3, value->>4 FROM json_each(:rows) WHERE true
ON CONFLICT (carrier_id, route) DO NOTHING
"""
_ADD_HANDOVERS_OF_RUN = """
INSERT INTO handovers (route, carrier_id, delivery, attempt, at)
SELECT :route, value, :first + key, :attempt, :at FROM json_each(:carrier_ids) WHERE true
ON CONFLICT (carrier_id, route) DO NOTHING
"""
_RENAME_HANDOVER = """
UPDATE handovers SET carrier_id = 'nameless-' || delivery || '-' || attempt || '-' || id
WHERE carrier_id = :carrier_id AND route = :route AND (delivery <> :delivery OR attempt <> :attempt)
"""
_ADD_DUE = """
INSERT INTO due (campaign, medium, at, delivery)
SELECT value->>0, value->>1, value->>2, value->>3 FROM json_each(:rows) WHERE true
ON CONFLICT DO NOTHING
"""
_MOVE = """
UPDATE deliveries SET status = :status, last_error = :code, due_at = :due
WHERE id IN (SELECT value FROM json_each(:ids)) AND tries = :attempt
"""
_MOVE_ATTEMPTS = """
UPDATE attempts SET status = :status, code = :code, parts_open = :parts_open,
  carrier_code = coalesce(:carrier_code, carrier_code), carrier_text = coalesce(:carrier_text, carrier_text)
WHERE delivery IN (SELECT value FROM json_each(:ids)) AND attempt = :attempt
"""

_encode = msgspec.json.Encoder().encode


def pack(rows: Sequence[object]) -> str:
    """Write rows as the JSON text that json_each takes apart."""
    return _encode(rows).decode()


def record(connection: sqlite3.Connection, judged: Sequence[Judged]) -> int:
    """Write judged attempts of deliveries that are *sending*: their new status, attempt, hand-overs and retries.

    The answer is how many there were.
    """
    if not judged:
        return 0
    if is_one_run(judged):
        moved = _record_run(connection, judged)
        if _add_handovers_of_run(connection, judged):
            return moved
    else:
        rows = {"rows": pack([outcome_columns(one) for one in judged])}
        changed = connection.execute(_RECORD, rows).fetchall()
        moves = ((delivery, Status.SENDING, status, code) for delivery, status, code in changed)
        happen(connection, moved_all(moves, judged[-1].at))
        moved = len(changed)
        connection.execute(_ADD_ATTEMPTS, rows)
    handovers = handover_columns(judged)
    if handovers:
        _add_handovers(connection, handovers)
    add_due(connection, [(one.delivery, one.change) for one in judged])
    return moved


def _add_handovers_of_run(connection: sqlite3.Connection, judged: Sequence[Judged]) -> bool:
    """Write the hand-overs of a run with one segment each; False where that was not all there is to do."""
    first = judged[0]
    if first.change.status is not Status.DELIVERING:
        return True
    if len(first.carrier_ids) != 1 or any(one.attempt != first.attempt for one in judged):
        return not first.carrier_ids
    values = {
        "route": first.route,
        "first": first.delivery,
        "attempt": first.attempt,
        "at": first.at,
        "carrier_ids": pack([one.carrier_ids[0] for one in judged]),
    }
    return connection.execute(_ADD_HANDOVERS_OF_RUN, values).rowcount == len(judged)


def _add_handovers(connection: sqlite3.Connection, rows: Sequence[tuple[str, str, int, int, int]]) -> None:
    """Wait for receipts under the carrier's ids: rows of route, id, delivery, attempt, instant.

    Where a carrier uses an id again, its receipt belongs to the newest message of that id. The older one goes on to
    wait under a name of ours, so that it is overdue one day and not in progress for ever.
    """
    if connection.execute(_ADD_HANDOVERS, {"rows": pack(rows)}).rowcount == len(rows):
        return
    for row in rows:
        named = dict(zip(("route", "carrier_id", "delivery", "attempt"), row, strict=False))
        if connection.execute(_RENAME_HANDOVER, named).rowcount:
            connection.execute(_ADD_HANDOVERS, {"rows": pack([row])})


def add_due(connection: sqlite3.Connection, changes: Sequence[tuple[int, Change]]) -> None:
    """Put what goes again by itself on the list of its moment."""
    rows = due_columns(changes)
    if rows:
        list_due(connection, rows)


def list_due(connection: sqlite3.Connection, rows: Sequence[tuple[int, int, int, int]]) -> None:
    """Put deliveries on the list of their moment: rows of campaign, medium, instant, delivery."""
    connection.execute(_ADD_DUE, {"rows": pack(rows)})


_Move = tuple[int, int | None, int, int, int, str | None, str | None]


def move(connection: sqlite3.Connection, moves: Sequence[LateMove], at: int) -> None:
    """Write what late news does to attempts and their deliveries. Whether it may move was decided before, in the
    same transaction."""
    alike: dict[_Move, list[int]] = {}
    for one in moves:
        due = None if one.change is None else due_of(one.change)
        what = (one.attempt, due, one.status, one.code, one.parts_open, one.carrier_code, one.carrier_text)
        alike.setdefault(what, []).append(one.delivery)
    # Most of a batch moves alike: a list of numbers is read four times as fast as rows with their values.
    for (attempt, due, status, code, parts_open, carrier_code, carrier_text), ids in alike.items():
        values = {"ids": pack(ids), "attempt": attempt, "status": status, "code": code}
        if due is not None:
            connection.execute(_MOVE, values | {"due": due})
        words = {"carrier_code": carrier_code, "carrier_text": carrier_text}
        connection.execute(_MOVE_ATTEMPTS, values | words | {"parts_open": parts_open})
    decided = [(one, one.change) for one in moves if one.change is not None]
    happen(connection, moved_all(((one.delivery, one.was, one.status, one.code) for one, _ in decided), at))
    add_due(connection, [(one.delivery, change) for one, change in decided])


def _record_run(connection: sqlite3.Connection, judged: Sequence[Judged]) -> int:
    first = judged[0]
    delivering = first.change.status is Status.DELIVERING
    values = {
        "first": first.delivery,
        "last": judged[-1].delivery,
        "status": int(first.change.status),
        "code": int(first.change.code),
        "at": first.at,
        "route": first.route,
        "parts_open": len(first.carrier_ids) if delivering else 0,
        "carrier_code": first.carrier_code,
        "carrier_text": first.carrier_text,
    }
    moved = connection.execute(_RECORD_RUN, values).rowcount
    happen(connection, _run_moved(connection, judged, moved))
    connection.execute(_ADD_ATTEMPTS_OF_RUN, values)
    return moved


def _run_moved(connection: sqlite3.Connection, judged: Sequence[Judged], moved: int) -> list[HappeningColumns]:
    """What became of a run of which so many were *sending*."""
    first, last = judged[0], judged[-1].delivery
    how = How(Status.SENDING, first.change.status, first.change.code, first.at)
    if moved == len(judged):
        return [moved_run(first.delivery, last, how)]
    # The others were withdrawn, and not tried.
    tries = dict(connection.execute(_TRIES, {"first": first.delivery, "last": last}))
    return moved_alike([one.delivery for one in judged if tries.get(one.delivery) == one.attempt], how)
