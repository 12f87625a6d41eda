"""Owns how chunks are cut and added on PostgreSQL.

Must not know when a campaign is open or how much a route may take.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from campana.domain.delivery import Status
from campana.storage.postgres.database import Connection, fetch, fetch_row, run
from campana.storage.postgres.spans import Span
from campana.storage.queries import river as queries
from campana.storage.river import Cut, Lease
from campana.storage.tables import delivery_id, number_of

# Dialect twins: a lane's row is its lock, so that two planners never cut the same deliveries.
_HOLD_LANES = """
SELECT l.campaign, l.medium FROM lanes AS l
JOIN unnest($1::bigint[], $2::smallint[]) AS j(campaign, medium) ON l.campaign = j.campaign AND l.medium = j.medium
ORDER BY l.campaign, l.medium FOR NO KEY UPDATE OF l
"""
_TAKE_DUE = """
WITH next AS (
  SELECT at, delivery FROM due WHERE campaign = $1 AND medium = $2 AND at <= $3 ORDER BY at, delivery LIMIT $4
)
DELETE FROM due USING next
WHERE due.campaign = $1 AND due.medium = $2 AND due.at = next.at AND due.delivery = next.delivery
RETURNING due.delivery
"""
_NEXT = "SELECT id, status FROM deliveries WHERE id > $1 AND id <= $2 ORDER BY id LIMIT $3"
_TAKE_FRESH = f"""
SELECT count(*), min(id), max(id) FROM (
  SELECT id FROM ({_NEXT}) AS next WHERE status = {Status.PENDING:d} LIMIT $4
) AS fresh
"""
_PASSED_OVER = f"SELECT count(*), max(id) FROM ({_NEXT}) AS next"

PASSED_AT_ONCE = 10_000
"""Deliveries that are looked at for one chunk: there may be millions in a row that are not to be sent."""


async def cut_all(connection: Connection, cuts: Sequence[Cut], now: int) -> list[int]:
    """Cut chunks, one after the other; one size for each cut."""
    lanes = sorted({(cut.campaign, int(cut.medium)) for cut in cuts})
    held = await connection.fetch(_HOLD_LANES, [campaign for campaign, _ in lanes], [medium for _, medium in lanes])
    there = {(campaign, medium) for campaign, medium in held}
    return [await _cut(connection, cut, now) if (cut.campaign, int(cut.medium)) in there else 0 for cut in cuts]


async def add_chunk(connection: Connection, cut: Cut, span: Span, now: int, lease: Lease | None = None) -> int:
    """Add a chunk of `cut.limit` deliveries, which nobody has claimed but for the `lease` it is to have; its id."""
    (row,) = await fetch(
        connection,
        queries.add_chunk,
        campaign=cut.campaign,
        medium=int(cut.medium),
        turn=cut.turn,
        first=span.first,
        last=span.last,
        ids=span.stored_ids,
        size=cut.limit,
        due_at=now,
        opens_at=cut.opens_at,
        closes_at=cut.closes_at,
        owner=lease.owner if lease else None,
        epoch=1 if lease else 0,
        lease_until=lease.until if lease else 0,
        mark=0,
    )
    return int(row[0])


async def _cut(connection: Connection, cut: Cut, now: int) -> int:
    taken = await connection.fetch(_TAKE_DUE, cut.campaign, int(cut.medium), now, cut.limit)
    if taken:
        ids = sorted(row[0] for row in taken)
        await add_chunk(connection, replace(cut, limit=len(ids)), Span(ids[0], ids[-1], ids), now)
        return len(ids)
    return await _cut_fresh(connection, cut, now)


async def _cut_fresh(connection: Connection, cut: Cut, now: int) -> int:
    lane = await fetch_row(connection, queries.lane, campaign=cut.campaign, medium=int(cut.medium))
    if lane is None or lane[0] >= lane[1]:
        return 0
    planned, contacts = lane
    bounds = (*(delivery_id(cut.campaign, cut.medium, number) for number in (planned, contacts)), PASSED_AT_ONCE)
    (found,) = await connection.fetch(_TAKE_FRESH, *bounds, cut.limit)
    size, first, last = found
    if size:
        await add_chunk(connection, replace(cut, limit=size), Span(first, last, None), now)
    if size == cut.limit:
        to = number_of(last)
    else:
        ((passed, reached),) = await connection.fetch(_PASSED_OVER, *bounds)
        to = number_of(reached) if passed == PASSED_AT_ONCE else contacts
    await run(connection, queries.set_planned, of_campaign=cut.campaign, of_medium=int(cut.medium), to=to)
    return int(size)
