"""Owns how judged attempts and late news are written on PostgreSQL: whole batches in a few statements.

Must not decide what an outcome does: it is handed Changes. Whoever calls it holds the chunk, or has locked the
deliveries, to which the batch belongs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from campana.domain.delivery import Status
from campana.domain.outcome import Change
from campana.storage.happenings import moved_all
from campana.storage.outcomes import (
    DueColumns,
    HandoverColumns,
    LateMove,
    due_columns,
    due_of,
    handover_columns,
    is_one_run,
    outcome_columns,
)
from campana.storage.postgres.database import Connection, execute
from campana.storage.postgres.happenings import (
    INTO_HAPPENINGS,
    each_happened,
    happening_columns,
    run_happened,
    unnested,
)
from campana.storage.river import Judged, Lease, LeaseLost
from campana.storage.tables import NEVER

# Dialect twins: every batch goes as one array a column into one statement. No index mentions what an UPDATE of
# deliveries sets, so that the new row stays on its page (HOT).
_RECORD = f"""
WITH judged AS (
  SELECT * FROM unnest($1::bigint[], $2::smallint[], $3::smallint[], $4::smallint[], $5::smallint[], $6::bigint[],
    $7::bigint[], $8::text[], $9::smallint[], $10::text[], $11::text[])
    AS j(id, attempt, status, code, used, due, at, route, parts_open, carrier_code, carrier_text)
), moved AS (
  UPDATE deliveries SET
    status = CASE WHEN j.status = {Status.WAITING_FOR_RETRY:d} AND deliveries.attempts_left <= j.used
      AND j.due < {NEVER} THEN {Status.PERMANENT_FAILURE:d} ELSE j.status END,
    last_error = j.code,
    attempts_left = greatest(0, deliveries.attempts_left - j.used),
    tries = j.attempt,
    due_at = j.due
  FROM judged AS j WHERE deliveries.id = j.id AND deliveries.status = {Status.SENDING:d}
  RETURNING deliveries.id, deliveries.status, deliveries.last_error
), happened AS ({each_happened("moved", "$12::bigint", str(int(Status.SENDING)), "status")})
INSERT INTO attempts (delivery, attempt, at, route, status, code, parts_open, carrier_code, carrier_text)
SELECT j.id, j.attempt, j.at, j.route, j.status, j.code, j.parts_open, j.carrier_code, j.carrier_text
FROM judged AS j JOIN moved USING (id)
"""
# Outcomes that are one run, which is nearly every step of a lease, in one statement: the lease is held, and where it
# is, the run is recorded. `$1` to `$3` are chunk, owner and epoch.
_MOVED = f"""moved AS (
  UPDATE deliveries SET status = $7, last_error = $8, attempts_left = greatest(0, attempts_left - 1),
    tries = tries + 1, due_at = 0
  WHERE id BETWEEN $5 AND $6 AND status = {Status.SENDING:d} AND EXISTS (SELECT FROM held)
  RETURNING id, tries
), tried AS (
  INSERT INTO attempts (delivery, attempt, at, route, status, code, parts_open, carrier_code, carrier_text)
  SELECT id, tries, $9::bigint, $10::text, $7::smallint, $8::smallint, $13::smallint, $11::text, $12::text FROM moved
), {run_happened(("$5::bigint", "$6::bigint"), "$9::bigint", "$7::smallint", "$8::smallint")}"""
_HANDED_OVER = """handed_over AS (
  INSERT INTO handovers (route, carrier_id, delivery, attempt, at)
  SELECT $10::text, v.carrier_id, $5::bigint + (v.place - 1) / $13::smallint, $14::smallint, $9::bigint
  FROM unnest($15::text[]) WITH ORDINALITY AS v(carrier_id, place)
  WHERE EXISTS (SELECT FROM held)
)"""
# `$4` is the mark.
_HELD = """held AS (
  UPDATE chunks SET mark = coalesce($4::bigint, mark) WHERE id = $1 AND owner = $2 AND epoch = $3 RETURNING size
)"""
_SIZE_AND_MOVED = "SELECT size, (SELECT count(*) FROM moved) FROM held"
# The chunk goes where all `$4` of the run were *sending*, which is all that was left of it.
_HELD_LAST = "held AS (SELECT FROM chunks WHERE id = $1 AND owner = $2 AND epoch = $3 FOR UPDATE)"
_ENDED = """ended AS (
  DELETE FROM chunks WHERE id = $1 AND owner = $2 AND epoch = $3 AND (SELECT count(*) FROM moved) = $4::bigint
  RETURNING 1
)"""
_WHETHER_ENDED = "SELECT EXISTS (SELECT FROM ended) FROM held"


@dataclass(frozen=True, slots=True)
class _OfRun:
    """A statement for a run of which more is to be heard, and the shorter one for a run that is final."""

    handed_over: str
    final: str


_STEP_OF_RUN = _OfRun(
    f"WITH {_HELD}, {_MOVED}, {_HANDED_OVER} {_SIZE_AND_MOVED}", f"WITH {_HELD}, {_MOVED} {_SIZE_AND_MOVED}"
)
_LAST_RUN = _OfRun(
    f"WITH {_HELD_LAST}, {_MOVED}, {_HANDED_OVER}, {_ENDED} {_WHETHER_ENDED}",
    f"WITH {_HELD_LAST}, {_MOVED}, {_ENDED} {_WHETHER_ENDED}",
)
_ADD_HANDOVERS = """
INSERT INTO handovers (route, carrier_id, delivery, attempt, at)
SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::smallint[], $5::bigint[])
ON CONFLICT (carrier_id, route) DO NOTHING
"""
_RENAME_HANDOVER = """
UPDATE handovers SET carrier_id = 'nameless-' || delivery || '-' || attempt || '-' || id
WHERE carrier_id = $1 AND route = $2 AND (delivery <> $3 OR attempt <> $4)
"""
_ADD_DUE = """
INSERT INTO due (campaign, medium, at, delivery)
SELECT * FROM unnest($1::bigint[], $2::smallint[], $3::bigint[], $4::bigint[])
ON CONFLICT DO NOTHING
"""
_MOVE = f"""
WITH happened AS ({INTO_HAPPENINGS} SELECT * FROM unnest({unnested(6)}))
UPDATE deliveries SET status = j.status, last_error = j.code, due_at = j.due
FROM unnest($1::bigint[], $2::smallint[], $3::smallint[], $4::smallint[], $5::bigint[])
  AS j(id, attempt, status, code, due)
WHERE deliveries.id = j.id AND deliveries.tries = j.attempt
"""
_MOVE_ATTEMPTS = """
UPDATE attempts SET status = j.status, code = j.code, parts_open = j.parts_open,
  carrier_code = coalesce(j.carrier_code, attempts.carrier_code),
  carrier_text = coalesce(j.carrier_text, attempts.carrier_text)
FROM unnest($1::bigint[], $2::smallint[], $3::smallint[], $4::smallint[], $5::smallint[], $6::text[], $7::text[])
  AS j(delivery, attempt, status, code, parts_open, carrier_code, carrier_text)
WHERE attempts.delivery = j.delivery AND attempts.attempt = j.attempt
"""


def columns_of(rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    """Rows as one list a column, for `unnest`. There must be a row."""
    return [list(column) for column in zip(*rows, strict=True)]


def keepable(text: str | None) -> str | None:
    """A carrier's words as PostgreSQL can keep them: it has no NUL, and one must not stop a whole batch."""
    return text.replace("\x00", "\ufffd") if text is not None and "\x00" in text else text


def kept_ids(ids: Iterable[str]) -> list[str]:
    """Carriers' ids as they are kept and asked for."""
    return [one.replace("\x00", "\ufffd") for one in ids]


async def record(connection: Connection, judged: Sequence[Judged]) -> int:
    """Write judged attempts of deliveries that are *sending*: their new status, attempt, hand-overs and retries.

    The answer is how many there were.
    """
    if not judged:
        return 0
    columns = columns_of([outcome_columns(one) for one in judged])
    for words in (9, 10):
        columns[words] = [keepable(text) for text in columns[words]]
    moved = await execute(connection, _RECORD, *columns, judged[-1].at)
    handovers = handover_columns(judged)
    if handovers:
        await _add_handovers(connection, handovers)
    await add_due(connection, [(one.delivery, one.change) for one in judged])
    return moved


def fits_run(judged: Sequence[Judged]) -> bool:
    """Tell whether outcomes can be written as a run."""
    attempt = judged[0].attempt
    return is_one_run(judged) and all(one.attempt == attempt for one in judged)


async def record_run(
    connection: Connection, lease: Lease, mark: int | None, judged: Sequence[Judged]
) -> tuple[int, int]:
    """Move the mark of a lease, if one is given, and write outcomes that `fits_run`, in one statement; the chunk's size
    and how many of them were *sending*.

    Raises LeaseLost before any change, and asyncpg.UniqueViolationError where a carrier uses an id again: then nothing
    was written.
    """
    size, moved = await _run(connection, _STEP_OF_RUN, lease, mark, judged)
    return size, moved


async def record_last_run(connection: Connection, lease: Lease, judged: Sequence[Judged]) -> bool:
    """Write a run as `record_run` does, and end the lease where that were all deliveries that were left; whether they
    were."""
    return bool((await _run(connection, _LAST_RUN, lease, len(judged), judged))[0])


async def _run(
    connection: Connection, statement: _OfRun, lease: Lease, more: int | None, judged: Sequence[Judged]
) -> asyncpg.Record:
    first = judged[0]
    _, attempt, status, code, _, _, at, route, parts_open, carrier_code, carrier_text = outcome_columns(first)
    outcome = (status, code, at, route, keepable(carrier_code), keepable(carrier_text), parts_open)
    values = (lease.chunk, lease.owner, lease.epoch, more, first.delivery, judged[-1].delivery, *outcome)
    if parts_open:
        ids = kept_ids([carrier_id for one in judged for carrier_id in one.carrier_ids])
        held = await connection.fetchrow(statement.handed_over, *values, attempt, ids)
    else:
        held = await connection.fetchrow(statement.final, *values)
    if held is None:
        raise LeaseLost
    return held


async def add_due(connection: Connection, changes: Sequence[tuple[int, Change]]) -> None:
    """Put what goes again by itself on the list of its moment."""
    rows = due_columns(changes)
    if rows:
        await list_due(connection, rows)


async def list_due(connection: Connection, rows: Sequence[DueColumns]) -> None:
    """Put deliveries on the list of their moment."""
    await execute(connection, _ADD_DUE, *columns_of(rows))


async def move(connection: Connection, moves: Sequence[LateMove], at: int) -> None:
    """Write what late news does to attempts and their deliveries. Whether it may move was decided before, in the
    same transaction."""
    if not moves:
        return
    decided = [(one, one.change) for one in moves if one.change is not None]
    if decided:
        rows = [(one.delivery, one.attempt, one.status, one.code, due_of(change)) for one, change in decided]
        happenings = moved_all(((one.delivery, one.was, one.status, one.code) for one, _ in decided), at)
        await execute(connection, _MOVE, *columns_of(rows), *happening_columns(happenings))
    attempts = [
        (
            one.delivery,
            one.attempt,
            one.status,
            one.code,
            one.parts_open,
            keepable(one.carrier_code),
            keepable(one.carrier_text),
        )
        for one in moves
    ]
    await execute(connection, _MOVE_ATTEMPTS, *columns_of(attempts))
    await add_due(connection, [(one.delivery, change) for one, change in decided])


async def _add_handovers(connection: Connection, rows: Sequence[HandoverColumns]) -> None:
    """Wait for receipts under the carrier's ids.

    Where a carrier uses an id again, its receipt belongs to the newest message of that id. The older one goes on to
    wait under a name of ours, so that it is overdue one day and not in progress for ever.
    """
    columns = columns_of(rows)
    columns[1] = kept_ids(columns[1])
    if await execute(connection, _ADD_HANDOVERS, *columns) == len(rows):
        return
    for route, carrier_id, delivery, attempt, at in zip(*columns, strict=True):
        if await execute(connection, _RENAME_HANDOVER, carrier_id, route, delivery, attempt):
            await execute(connection, _ADD_HANDOVERS, [route], [carrier_id], [delivery], [attempt], [at])
