"""Owns how chunks are claimed, held, split and ended on PostgreSQL.

Must not know how fast a route is or what an outcome does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec

from campana.domain.delivery import Medium, Status
from campana.domain.outcome import DeliveryCode
from campana.storage.outcomes import after_deletion, is_one_run
from campana.storage.postgres.database import Connection, run
from campana.storage.postgres.planning import add_chunk
from campana.storage.postgres.recording import record, record_run
from campana.storage.postgres.spans import Pair, Span, stored_list
from campana.storage.queries import river as queries
from campana.storage.river import ClaimedDelivery, ClaimQuery, Cut, Lease, LeaseLost, Step
from campana.storage.tables import NEVER

MOST_TEXT = 4_000_000
"""Bytes of contacts' own texts that one lease holds in memory, but for the last one's excess."""

IN_THEIR_TURN = "SET LOCAL enable_sort = off"
"""SQL with which a claim begins: chunks are read in the order of their turns as far as the first that will do, however
few of them PostgreSQL believed to be waiting when it made its plan."""

# Dialect twins. Who claims passes over the chunks that others are claiming at the moment.
_NEXT_CHUNK = """
SELECT k.id, k.campaign, k.medium, k.first, k.last, k.ids, k.epoch, k.turn, k.closes_at, k.size, c.revision
FROM chunks AS k JOIN campaigns AS c ON c.number = k.campaign
WHERE k.owner IS NULL AND k.opens_at <= $1 AND k.closes_at > $1
  AND c.is_paused = 0 AND c.deleted_at IS NULL AND (c.media >> k.medium & 1) = 1
  AND k.medium = ANY($2::smallint[])
  AND k.campaign * 4 + k.medium <> ALL($3::bigint[])
  AND k.id <> ALL($4::bigint[])
ORDER BY k.turn, k.id LIMIT 1 FOR UPDATE OF k SKIP LOCKED
"""
_HOLD = """
UPDATE chunks SET mark = coalesce($4::bigint, mark) WHERE id = $1 AND owner = $2 AND epoch = $3
RETURNING (SELECT c.deleted_at IS NOT NULL FROM campaigns AS c WHERE c.number = chunks.campaign)
"""
_claim = Pair.of(f"""
UPDATE deliveries SET status = {Status.SENDING:d}, revision = coalesce(revision, $4::integer)
WHERE {{where}} AND (status = {Status.PENDING:d} OR status = {Status.WAITING_FOR_RETRY:d} AND due_at <= $3)
  AND attempts_left > 0 AND dial IS NOT NULL
RETURNING id, dial, text, tries + 1, attempts_left::integer, revision
""")
_text_length = Pair.of("""
SELECT coalesce(sum(octet_length(text)), 0)::bigint FROM deliveries WHERE {where} AND text IS NOT NULL
""")
_end_of_reach = Pair.of("""
SELECT max(id) FROM (
  SELECT id, sum(coalesce(octet_length(text), 0)) OVER (ORDER BY id) - coalesce(octet_length(text), 0) AS before
  FROM deliveries WHERE {where}
) AS summed WHERE before < $3::bigint
""")
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
UPDATE deliveries SET
  status = CASE WHEN $3::boolean OR attempts_left <= 0 THEN {Status.CANCELLED:d}
    WHEN last_error <> 0 THEN {Status.WAITING_FOR_RETRY:d} ELSE {Status.PENDING:d} END,
  last_error = CASE WHEN $3::boolean OR attempts_left <= 0 THEN {DeliveryCode.CANCELLED:d} ELSE last_error END,
  revision = CASE WHEN last_error = 0 THEN NULL ELSE revision END
WHERE {{where}} AND status = {Status.SENDING:d}
""")


async def claim_next(connection: Connection, query: ClaimQuery) -> Lease | None:
    """Lease the chunk whose turn is next."""
    media = [int(medium) for medium in query.media]
    lanes = [campaign * 4 + medium for campaign, medium in query.except_lanes]
    while row := await connection.fetchrow(_NEXT_CHUNK, query.now, media, lanes, query.except_chunks):
        chunk, campaign, medium, first, last, ids, epoch, turn, closes_at, size, revision = row
        place = Cut(campaign, Medium(medium), size, turn, 0, closes_at)
        span, rest = await _within_reach(connection, Span.stored(first, last, ids))
        if rest is not None:
            await add_chunk(connection, place, rest, query.now)
        rows = await span.fetch(connection, _claim, query.now, revision)
        claimed = sorted((ClaimedDelivery(*one) for one in rows), key=_id_of)
        if len(claimed) < size:
            # A clock that was set back: what was due when the chunk was cut is not due any more.
            await span.execute(connection, _put_back, campaign, medium, query.now)
        if not claimed:
            await run(connection, queries.drop, chunk=chunk)
            continue
        # From here on the chunk names exactly what it claimed, so that no other chunk's deliveries are taken for its.
        exact = [one.id for one in claimed]
        whole = ids is None and (exact[0], exact[-1], len(exact)) == (first, last, last - first + 1)
        leased = {"to_owner": query.owner, "to_epoch": epoch + 1, "until": query.until}
        await run(connection, queries.set_lease, chunk=chunk, to_ids=None if whole else stored_list(exact), **leased)
        return Lease(chunk, campaign, Medium(medium), query.owner, epoch + 1, query.until, turn, closes_at, claimed)
    return None


async def split(connection: Connection, lease: Lease, groups: Sequence[Sequence[ClaimedDelivery]]) -> list[Lease]:
    """Replace a lease by one a group. Raises LeaseLost."""
    await _hold(connection, lease, None)
    leases = []
    for group in groups:
        span = Span.of([delivery.id for delivery in group])
        cut = Cut(lease.campaign, lease.medium, len(group), lease.turn, 0, lease.closes_at)
        chunk = await add_chunk(connection, cut, span, 0, lease)
        leases.append(replace(lease, chunk=chunk, epoch=1, deliveries=list(group)))
    await run(connection, queries.drop, chunk=lease.chunk)
    return leases


async def record_step(connection: Connection, step: Step) -> bool:
    """Move the mark and write what a lease's owner judged; tell whether its campaign is deleted.

    Raises LeaseLost before any change. The transaction is among_campaigns with its campaign.
    """
    mark = step.upcoming[-1] if step.upcoming else None
    judged = step.judged
    if judged and is_one_run(judged):
        # None of them goes again, so that it is all the same to them whether the campaign is deleted.
        return await record_run(connection, step.lease, mark, judged)
    deleted = await _hold(connection, step.lease, mark)
    if deleted:
        judged = [msgspec.structs.replace(one, change=after_deletion(one.change, True)) for one in judged]
    await record(connection, judged)
    return deleted


async def withdrawn(connection: Connection, upcoming: Sequence[int]) -> frozenset[int]:
    """Those of a lease's deliveries that must not be sent after all."""
    if not upcoming:
        return frozenset()
    return frozenset(row[0] for row in await Span.of(upcoming).fetch(connection, _withdrawn))


@dataclass(frozen=True, slots=True)
class Ending:
    """A lease that ends, and from when what is left of its chunk may be claimed again."""

    chunk: int
    span: Span
    opens_at: int
    deleted: bool


async def end(connection: Connection, ending: Ending) -> bool:
    """End a lease; tell whether something of its chunk waits again."""
    waits = await ending.span.execute(connection, _wait_again, ending.deleted) > 0 and not ending.deleted
    if waits:
        await run(connection, queries.give_back, chunk=ending.chunk, to_opens=ending.opens_at)
    else:
        await run(connection, queries.drop, chunk=ending.chunk)
    return waits


async def _hold(connection: Connection, lease: Lease, mark: int | None) -> bool:
    """Move the mark of a lease, if one is given; tell whether its campaign is deleted. Raises LeaseLost."""
    held = await connection.fetchrow(_HOLD, lease.chunk, lease.owner, lease.epoch, mark)
    if held is None:
        raise LeaseLost
    return bool(held[0])


async def _within_reach(connection: Connection, span: Span) -> tuple[Span, Span | None]:
    """Part a span where the contacts' own texts are too long together to be taken into memory at once."""
    (length,) = await span.fetch(connection, _text_length)
    if length[0] <= MOST_TEXT:
        return span, None
    (reached,) = await span.fetch(connection, _end_of_reach, MOST_TEXT)
    ids = span.every()
    rest = [one for one in ids if one > reached[0]]
    return Span.of([one for one in ids if one <= reached[0]]), Span.of(rest) if rest else None


def _id_of(delivery: ClaimedDelivery) -> int:
    return delivery.id
