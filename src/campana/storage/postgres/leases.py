"""Owns how chunks are claimed, held, split and ended on PostgreSQL.

Must not know how fast a route is or what an outcome does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Any, NamedTuple

import msgspec

from campana.domain.delivery import Medium, Status
from campana.domain.outcome import DeliveryCode
from campana.storage.outcomes import after_the_end
from campana.storage.postgres.database import Connection, run
from campana.storage.postgres.happenings import CLAIMED, each_happened
from campana.storage.postgres.planning import add_chunk
from campana.storage.postgres.recording import fits_run, record, record_last_run, record_run
from campana.storage.postgres.spans import Pair, Span, stored_list
from campana.storage.queries import river as queries
from campana.storage.river import ClaimedDelivery, ClaimQuery, Cut, Judged, Lease, LeaseLost, Step
from campana.storage.tables import NEVER

MOST_TEXT = 4_000_000
"""Bytes of contacts' own texts that one lease holds in memory, but for the last one's excess."""

IN_THEIR_TURN = "SET LOCAL enable_sort = off"
"""SQL with which a claim begins: chunks are read in the order of their turns as far as the first that will do, however
few of them PostgreSQL believed to be waiting when it made its plan."""

# Dialect twins. Who claims passes over the chunks that others are claiming at the moment. One statement finds the
# chunk, takes its deliveries, be they a run or a list, and leases it.
_TAKEN = f"""
  UPDATE deliveries AS d SET status = {Status.SENDING:d}, revision = coalesce(d.revision, next.revision)
  FROM next WHERE {{where}}
    AND (d.status = {Status.PENDING:d} OR d.status = {Status.WAITING_FOR_RETRY:d} AND d.due_at <= $1)
    AND d.attempts_left > 0 AND d.dial IS NOT NULL
  RETURNING d.id, d.dial, d.text, d.tries, d.attempts_left, d.revision, d.last_error
"""
_TAKEN_OF_RUN = _TAKEN.format(where="next.ids IS NULL AND d.id BETWEEN next.first AND next.last")
_TAKEN_OF_LIST = _TAKEN.format(where="d.id = ANY(ARRAY(SELECT json_array_elements_text(next.ids::json)::bigint))")
# From then on the chunk names exactly what was claimed, so that no other chunk's deliveries are taken for its. Texts
# leave the server only where they are not too long together.
_CLAIM = f"""
WITH next AS (
  SELECT k.id, k.campaign, k.medium, k.first, k.last, k.ids, k.epoch, k.turn, k.closes_at, k.size, c.revision
  FROM chunks AS k JOIN campaigns AS c ON c.number = k.campaign
  WHERE k.owner IS NULL AND k.opens_at <= $1 AND k.closes_at > $1
    AND c.is_paused = 0 AND c.deleted_at IS NULL AND (c.media >> k.medium & 1) = 1
    AND k.medium = ANY($2::smallint[])
    AND k.campaign * 4 + k.medium <> ALL($3::bigint[])
    AND k.id <> ALL($4::bigint[])
  ORDER BY k.turn, k.id LIMIT 1 FOR UPDATE OF k SKIP LOCKED
), of_run AS ({_TAKEN_OF_RUN}), of_list AS ({_TAKEN_OF_LIST}), taken AS MATERIALIZED (
  SELECT * FROM of_run UNION ALL SELECT * FROM of_list
), found AS MATERIALIZED (
  SELECT count(*) AS size, sum(octet_length(text)) AS length, array_agg(id) AS ids, array_agg(dial) AS dials,
    array_agg(tries) AS tries, array_agg(attempts_left) AS left, array_agg(revision) AS revisions,
    count(*) FILTER (WHERE last_error <> 0) AS tried FROM taken
), leased AS (
  UPDATE chunks SET owner = $5, epoch = chunks.epoch + 1, lease_until = $6, mark = 0, size = found.size,
    ids = CASE WHEN next.ids IS NOT NULL OR found.size <= next.last - next.first
      THEN (SELECT json_agg(id)::text FROM taken) END
  FROM next, found WHERE chunks.id = next.id
), {CLAIMED}
SELECT next.id, next.campaign, next.medium, next.first, next.last, next.ids, next.epoch + 1, next.turn, next.closes_at,
  next.size, found.length, found.ids, found.dials,
  CASE WHEN found.length <= $7::bigint THEN (SELECT array_agg(text) FROM taken) END,
  found.tries, found.left, found.revisions
FROM next, found
"""
_HOLD = """
UPDATE chunks SET mark = coalesce($4::bigint, mark) WHERE id = $1 AND owner = $2 AND epoch = $3
RETURNING (
  SELECT c.deleted_at IS NOT NULL OR c.cancelled_at IS NOT NULL FROM campaigns AS c WHERE c.number = chunks.campaign
), size
"""
_end_of_reach = Pair.of("""
SELECT max(id) FROM (
  SELECT id, sum(coalesce(octet_length(text), 0)) OVER (ORDER BY id) - coalesce(octet_length(text), 0) AS before
  FROM deliveries WHERE {where}
) AS summed WHERE before < $3::bigint
""")
_texts = Pair.of("SELECT id, text FROM deliveries WHERE {where} AND text IS NOT NULL")
_put_back = Pair.of(f"""
INSERT INTO due (campaign, medium, at, delivery)
SELECT $3::bigint, $4::smallint, due_at, id FROM deliveries
WHERE {{where}} AND status = {Status.WAITING_FOR_RETRY:d} AND due_at > $5 AND due_at < {NEVER} AND attempts_left > 0
ON CONFLICT DO NOTHING
""")
_withdrawn = Pair.of(f"""
SELECT id FROM deliveries WHERE {{where}} AND (status <> {Status.SENDING:d} OR attempts_left <= 0)
""")
_wait_again = Pair.of(f"""
WITH moved AS (
  UPDATE deliveries SET
  status = CASE WHEN $3::boolean OR attempts_left <= 0 THEN {Status.CANCELLED:d}
    WHEN last_error <> 0 THEN {Status.WAITING_FOR_RETRY:d} ELSE {Status.PENDING:d} END,
  last_error = CASE WHEN $3::boolean OR attempts_left <= 0 THEN {DeliveryCode.CANCELLED:d} ELSE last_error END,
  revision = CASE WHEN last_error = 0 THEN NULL ELSE revision END
  WHERE {{where}} AND status = {Status.SENDING:d}
  RETURNING id, status, last_error
), happened AS ({each_happened("moved", "$4::bigint", str(int(Status.SENDING)), "status")})
SELECT count(*) FROM moved
""")


async def claim_next(connection: Connection, query: ClaimQuery) -> Lease | None:
    """Lease the chunk whose turn is next."""
    media = [int(medium) for medium in query.media]
    lanes = [campaign * 4 + medium for campaign, medium in query.except_lanes]
    values = (query.now, media, lanes, query.except_chunks, query.owner, query.until, MOST_TEXT)
    while row := await connection.fetchrow(_CLAIM, *values):
        chunk, campaign, medium, first, last, ids, epoch, turn, closes_at, size, length, *columns = row
        claimed = _deliveries(columns)
        if len(claimed) < size:
            # A clock that was set back: what was due when the chunk was cut is not due any more.
            await Span.stored(first, last, ids).execute(connection, _put_back, campaign, medium, query.now)
        if not claimed:
            await run(connection, queries.drop, chunk=chunk)
            continue
        lease = Lease(chunk, campaign, Medium(medium), query.owner, epoch, query.until, turn, closes_at, claimed)
        if length is not None and length > MOST_TEXT:
            await _shorten(connection, lease, query.now)
        return lease
    return None


async def split(connection: Connection, lease: Lease, groups: Sequence[Sequence[ClaimedDelivery]]) -> list[Lease]:
    """Replace a lease by one a group. Raises LeaseLost."""
    _, size = await _hold(connection, lease, None)
    # Nobody has to find out in which group one was withdrawn: where a size is too small, it is looked closer.
    withdrawn = len(lease.deliveries) - size
    leases = []
    for group in groups:
        span = Span.of([delivery.id for delivery in group])
        size = max(0, len(group) - withdrawn)
        cut = Cut(lease.campaign, lease.medium, size, lease.turn, 0, lease.closes_at)
        chunk = await add_chunk(connection, cut, span, 0, lease)
        leases.append(replace(lease, chunk=chunk, epoch=1, deliveries=list(group), recorded=0))
    await run(connection, queries.drop, chunk=lease.chunk)
    return leases


class Recorded(NamedTuple):
    """What a step found: how many deliveries its chunk has but for withdrawn ones, how many were recorded, and whether
    the campaign is over."""

    size: int
    moved: int
    is_over: bool


def goes_at_once(judged: Sequence[Judged]) -> bool:
    """Tell whether `record_at_once` can record a step."""
    return not judged or fits_run(judged)


async def record_at_once(connection: Connection, step: Step) -> Recorded:
    """Move the mark and write what a lease's owner judged, in one statement.

    None of it goes again, so that it is all the same to it whether the campaign is over. Raises LeaseLost before
    any change; asyncpg.UniqueViolationError as `record_run`.
    """
    mark = step.upcoming[-1] if step.upcoming else None
    if step.judged:
        return Recorded(*await record_run(connection, step.lease, mark, step.judged), False)
    is_over, size = await _hold(connection, step.lease, mark)
    return Recorded(size, 0, is_over)


async def record_step(connection: Connection, step: Step) -> Recorded:
    """Move the mark and write what a lease's owner judged, whatever it is.

    Raises LeaseLost before any change. The transaction is among_campaigns with its campaign.
    """
    is_over, size = await _hold(connection, step.lease, step.upcoming[-1] if step.upcoming else None)
    judged = step.judged
    if is_over:
        judged = [msgspec.structs.replace(one, change=after_the_end(one.change, True)) for one in judged]
    return Recorded(size, await record(connection, judged), is_over)


async def withdrawn(connection: Connection, upcoming: Sequence[int]) -> frozenset[int]:
    """Those of a lease's deliveries that must not be sent after all."""
    return frozenset(row[0] for row in await Span.of(upcoming).fetch(connection, _withdrawn))


@dataclass(frozen=True, slots=True)
class Ending:
    """A lease that ends, and from when what is left of its chunk may be claimed again."""

    chunk: int
    span: Span
    opens_at: int
    is_over: bool
    now: int


def ends_at_once(step: Step) -> bool:
    """Tell whether `end_at_once` can end a lease: its last outcomes are a run and all that is left of it."""
    left = len(step.lease.deliveries) - step.lease.recorded
    return bool(step.judged) and len(step.judged) == left and fits_run(step.judged)


async def end_at_once(connection: Connection, step: Step) -> bool:
    """Write what a lease's owner judged and end the lease, in one statement.

    Nothing of its chunk waits again, so that it is all the same whether the campaign is over. False where there was
    something left: then the lease goes on. Raises LeaseLost and asyncpg.UniqueViolationError as `record_run`.
    """
    return await record_last_run(connection, step.lease, step.judged)


async def end(connection: Connection, ending: Ending) -> bool:
    """End a lease; tell whether something of its chunk waits again."""
    waiting = await _wait(connection, ending.span, ending.is_over, ending.now)
    if waiting and not ending.is_over:
        await run(connection, queries.give_back, chunk=ending.chunk, to_opens=ending.opens_at, to_size=waiting)
        return True
    await run(connection, queries.drop, chunk=ending.chunk)
    return False


async def _wait(connection: Connection, span: Span, is_over: bool, now: int) -> int:
    """Have what is *sending* wait again, or end where nothing goes again; how many they were."""
    ((waiting,),) = await span.fetch(connection, _wait_again, is_over, now)
    return int(waiting)


async def _hold(connection: Connection, lease: Lease, mark: int | None) -> tuple[bool, int]:
    """Move the mark of a lease, if one is given; tell whether its campaign is over, and the chunk's size. Raises
    LeaseLost."""
    held = await connection.fetchrow(_HOLD, lease.chunk, lease.owner, lease.epoch, mark)
    if held is None:
        raise LeaseLost
    is_over, size = held
    return is_over, size


async def _shorten(connection: Connection, lease: Lease, now: int) -> None:
    """Part a fresh lease where the contacts' own texts are too long together to be taken into memory at once: the rest
    is a chunk that waits again."""
    span = Span.of([one.id for one in lease.deliveries])
    (reached,) = await span.fetch(connection, _end_of_reach, MOST_TEXT)
    within = [one for one in lease.deliveries if one.id <= reached[0]]
    beyond = [one.id for one in lease.deliveries[len(within) :]]
    if beyond:
        rest = Span.of(beyond)
        await _wait(connection, rest, False, now)
        cut = Cut(lease.campaign, lease.medium, len(beyond), lease.turn, 0, lease.closes_at)
        await add_chunk(connection, cut, rest, now)
    kept = [one.id for one in within]
    await run(connection, queries.shorten, chunk=lease.chunk, to_ids=stored_list(kept), to_size=len(kept))
    texts: dict[int, str] = {row["id"]: row["text"] for row in await Span.of(kept).fetch(connection, _texts)}
    lease.deliveries = [msgspec.structs.replace(one, text=texts.get(one.id)) for one in within]


def _deliveries(columns: Sequence[Sequence[Any] | None]) -> list[ClaimedDelivery]:
    """Make the claimed deliveries of their columns, in the order of their ids."""
    ids, dials, texts, tries, left, revisions = columns
    if not (ids and dials and tries and left and revisions):
        return []
    attempts = (one + 1 for one in tries)
    claimed = list(map(ClaimedDelivery, ids, dials, texts or repeat(None), attempts, left, revisions))
    claimed.sort(key=_id_of)
    return claimed


def _id_of(delivery: ClaimedDelivery) -> int:
    return delivery.id
