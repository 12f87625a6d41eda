"""Owns planning, leasing, recording and sweeping on PostgreSQL, a transaction each.

Must not know when a campaign is open, how fast a route is, or what an outcome does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import asyncpg

from campana.domain.delivery import Medium, Status
from campana.domain.message import Content
from campana.domain.outcome import DeliveryCode
from campana.domain.person import Person, person_of
from campana.domain.retry import Fate, Tried, decide
from campana.storage.campaign_rows import CampaignReader
from campana.storage.contents import content_of
from campana.storage.happenings import cancelled_all
from campana.storage.outcomes import after_the_end
from campana.storage.postgres.campaigns import find_numbers
from campana.storage.postgres.database import Connection, Database, among_campaigns, fetch, fetch_row, run
from campana.storage.postgres.happenings import happen
from campana.storage.postgres.leases import (
    IN_THEIR_TURN,
    Ending,
    Recorded,
    claim_next,
    end,
    end_at_once,
    ends_at_once,
    goes_at_once,
    record_at_once,
    record_step,
    split,
    withdrawn,
)
from campana.storage.postgres.planning import cut_all
from campana.storage.postgres.recording import record
from campana.storage.postgres.spans import Pair, Span
from campana.storage.queries import river as queries
from campana.storage.river import ClaimedDelivery, ClaimQuery, Cut, Judged, Lane, Lease, Moved, Rules, Step, Waiting
from campana.storage.store import CampaignRow
from campana.storage.tables import chunks, contact_id, deliveries, delivery_id, lanes, number_of

SWEPT_AT_ONCE = 50
"""Lapsed leases that are ended in one transaction."""
CANCELLED_AT_ONCE = 20_000
"""Contact numbers that the sweep of a campaign that is over passes in one transaction."""

# What somebody else is at work on is left to them.
_LAPSED = queries.lapsed.with_for_update(of=chunks, skip_locked=True)
_LANE_THAT_IS_OVER = queries.lane_that_is_over.with_for_update(of=lanes, skip_locked=True)
_WAITING_RANGE = queries.waiting_range.with_for_update(of=deliveries, key_share=True)

# Dialect twins.
_PERSONS = "SELECT id, name, reference, fields FROM contacts WHERE id = ANY($1::bigint[])"
_HEARTBEAT = """
WITH ours AS (
  SELECT id FROM chunks JOIN unnest($2::bigint[], $3::integer[]) AS j(id, epoch) USING (id, epoch)
  WHERE owner = $1 ORDER BY id FOR UPDATE OF chunks
)
UPDATE chunks SET lease_until = $4 FROM ours WHERE chunks.id = ours.id RETURNING chunks.id
"""
_stranded = Pair.of(f"""
SELECT id, tries + 1, attempts_left FROM deliveries
WHERE {{where}} AND status = {Status.SENDING:d} AND id <= $3::bigint ORDER BY id
""")


class PostgresRiver:
    """What the engine asks; see the contract in storage/river.py."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._campaigns = CampaignReader()

    async def lanes(self, campaign: int | None = None) -> list[Lane]:
        """Lanes with something to plan or chunks that wait."""
        if campaign is not None:
            rows = await self._database.read(lambda connection: fetch(connection, queries.lanes_of, campaign=campaign))
        else:
            rows = await self._database.read(lambda connection: fetch(connection, queries.all_lanes))
        return [
            Lane(number, Medium(medium), account, fresh, due, Waiting(*waiting) if waiting[0] else None)
            for number, medium, account, fresh, due, *waiting in rows
        ]

    async def plan(self, cuts: Sequence[Cut], now: int) -> list[int]:
        """Cut chunks; one size for each cut, 0 where nothing was due."""
        return await self._database.write(lambda connection: cut_all(connection, cuts, now))

    async def gate(self, campaign: int, medium: Medium, opens_at: int, closes_at: int) -> None:
        """Move the window of a lane's chunks that nobody has claimed."""
        values = {"of_campaign": campaign, "of_medium": int(medium), "to_opens": opens_at, "to_closes": closes_at}
        await self._database.write(lambda connection: run(connection, queries.gate, **values))

    async def claim(self, query: ClaimQuery) -> Lease | None:
        """Lease the chunk whose turn is next, and set its deliveries to *sending*."""
        return await self._database.write(lambda connection: claim_next(connection, query), first=IN_THEIR_TURN)

    async def split(self, lease: Lease, groups: Sequence[Sequence[ClaimedDelivery]]) -> list[Lease]:
        """Replace a fresh lease by one a group. Raises LeaseLost."""
        return await self._database.write(lambda connection: split(connection, lease, groups))

    async def step(self, step: Step) -> frozenset[int]:
        """Record what is judged and move the mark. Raises LeaseLost."""
        recorded = await self._record(step)
        step.lease.recorded += recorded.moved
        if not step.upcoming or recorded.size >= len(step.lease.deliveries):
            return frozenset()
        # The mark stands: who deletes a contact from now on sees that it may have been handed over.
        return await self._database.read(lambda connection: withdrawn(connection, step.upcoming))

    async def release(self, step: Step, opens_at: int) -> bool:
        """Record what is judged and end the lease; True where something waits again. Raises LeaseLost."""
        if await self._end_at_once(step):
            return False

        async def work(connection: Connection) -> bool:
            recorded = await record_step(connection, step)
            span = Span.of([delivery.id for delivery in step.lease.deliveries])
            return await end(connection, Ending(step.lease.chunk, span, opens_at, recorded.is_over, step.now))

        return await self._database.write(work, first=among_campaigns(step.lease.campaign))

    async def heartbeat(self, owner: str, epochs: Mapping[int, int], until: int) -> frozenset[int]:
        """Extend these leases of an owner, and only these; the chunks that it still has."""
        which = list(epochs), list(epochs.values())
        rows = await self._database.write(lambda connection: connection.fetch(_HEARTBEAT, owner, *which, until))
        return frozenset(row[0] for row in rows)

    async def sweep(self, lapsed_before: int, rules: Rules, now: int) -> list[Moved]:
        """End lapsed leases, all of them but those on which somebody is at work."""

        async def work(connection: Connection) -> tuple[int, list[Moved]]:
            return await self._sweep_some(connection, lapsed_before, rules, now)

        moved: list[Moved] = []
        while True:
            ended, some = await self._database.write(work)
            moved += some
            if ended < SWEPT_AT_ONCE:
                return moved

    async def sweep_over(self, now: int) -> bool:
        """Cancel some of what waits of campaigns that are over."""
        return await self._database.write(lambda connection: _sweep_over(connection, now))

    async def content(self, campaign: int, revision: int, medium: Medium) -> Content | None:
        """What a campaign's revision says on a medium."""
        row = await self._database.read(
            lambda connection: fetch_row(connection, queries.content, campaign=campaign, revision=revision)
        )
        return content_of(row[0], medium, str(row[1])) if row else None

    async def persons(self, campaign: int, deliveries: Sequence[int]) -> dict[int, Person | None]:
        """Who the contacts of deliveries are, by delivery."""
        ids = {contact_id(campaign, number_of(delivery)): delivery for delivery in deliveries}
        rows = await self._database.read(lambda connection: connection.fetch(_PERSONS, list(ids)))
        return {ids[row[0]]: person_of(*row[1:]) for row in rows}

    async def oldest_due(self, now: int) -> dict[Medium, int]:
        """For each medium the moment since which its oldest claimable chunk waits."""
        rows = await self._database.read(lambda connection: fetch(connection, queries.oldest_due, now=now))
        return {Medium(medium): since for medium, since in rows}

    async def _record(self, step: Step) -> Recorded:
        if goes_at_once(step.judged):
            with suppress(asyncpg.UniqueViolationError):
                return await self._database.write_at_once(lambda connection: record_at_once(connection, step))
        return await self._database.write(
            lambda connection: record_step(connection, step), first=among_campaigns(step.lease.campaign)
        )

    async def _end_at_once(self, step: Step) -> bool:
        """End a lease in one statement where its last outcomes are all that is left of it."""
        if not ends_at_once(step):
            return False
        with suppress(asyncpg.UniqueViolationError):
            return await self._database.write_at_once(lambda connection: end_at_once(connection, step))
        return False

    async def _sweep_some(self, connection: Connection, before: int, rules: Rules, now: int) -> tuple[int, list[Moved]]:
        # First without locks: the campaigns are to be held before their chunks, as everybody does.
        which = {"before": before, "most": SWEPT_AT_ONCE}
        numbers = {row["campaign"] for row in await fetch(connection, queries.lapsed, **which)}
        if not numbers:
            return 0, []
        await connection.execute(among_campaigns(*numbers))
        campaigns = await find_numbers(connection, self._campaigns, numbers)
        lapsed = await fetch(connection, _LAPSED, **which)
        moved: list[Moved] = []
        for chunk in lapsed:
            if chunk["campaign"] in campaigns:
                moved += await _end_lapsed(connection, chunk, campaigns[chunk["campaign"]], rules, now)
        return len(lapsed), moved


async def _end_lapsed(connection: Connection, chunk: Any, campaign: CampaignRow, rules: Rules, now: int) -> list[Moved]:
    """End a lapsed lease: below its mark it is uncertain, and above it waits again."""
    medium = Medium(chunk["medium"])
    span = Span.stored(chunk["first"], chunk["last"], chunk["ids"])
    is_over = campaign.is_over
    rule = rules(campaign, medium)
    judged, moved = [], []
    for delivery, attempt, left in await span.fetch(connection, _stranded, chunk["mark"]):
        change = decide(Fate.UNCERTAIN, DeliveryCode.UNCERTAIN, Tried(attempt, left, now), rule)
        judged.append(Judged(delivery, attempt, after_the_end(change, is_over), "", now))
        moved.append(Moved(campaign.number, medium, change.code, change.retry_at is not None))
    await record(connection, judged)
    await end(connection, Ending(chunk["id"], span, chunk["opens_at"], is_over, now))
    return moved


async def _sweep_over(connection: Connection, now: int) -> bool:
    lane = await fetch_row(connection, _LANE_THAT_IS_OVER)
    if lane is None:
        return False
    campaign, medium, cancelled, contacts, deleted_at = lane
    upto = min(cancelled + CANCELLED_AT_ONCE, contacts)
    after, last = (delivery_id(campaign, medium, number) for number in (cancelled, upto))
    if deleted_at is None:
        waiting = await fetch(connection, _WAITING_RANGE, after=after, upto=last)
        await happen(connection, cancelled_all(waiting, now))
    await run(connection, queries.cancel_range, after=after, upto=last)
    if upto < contacts:
        await run(connection, queries.set_cancelled, of_campaign=campaign, of_medium=medium, to=upto)
        return True
    for statement in (queries.drop_lane, queries.drop_due, queries.drop_chunks):
        await run(connection, statement, campaign=campaign, medium=medium)
    return True
