"""Owns late news on PostgreSQL: receipts, bounces, what is overdue, and messages from people.

Must not decide what news does to a delivery (late_news.py) nor know how a carrier spells it.
"""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg
import msgspec

from campana.domain.delivery import Medium
from campana.domain.message import IncomingMessage
from campana.domain.outcome import Receipt
from campana.domain.retry import RetryRule
from campana.storage.campaign_rows import CampaignReader
from campana.storage.late_news import Match, News, RuleOf, receipt_that_never_came
from campana.storage.postgres.attempts import add_calls
from campana.storage.postgres.campaigns import find_numbers
from campana.storage.postgres.database import (
    IN_TURN,
    Connection,
    Database,
    among_campaigns,
    execute,
    fetch,
    fetch_row,
    run,
)
from campana.storage.postgres.recording import columns_of, keepable, kept_ids, move
from campana.storage.queries import receipts as queries
from campana.storage.river import Handover, KeptMessage, LateAnswer, Moved, Rules
from campana.storage.tables import CONTACT_BITS, campaign_of, medium_of

SETTLED_AT_ONCE = 500

# Dialect twins: a batch as one array a column. Whoever holds a delivery's row judges its attempts and hand-overs, so
# they are looked up first, then held in the order of their ids, and only then read.
_WHOSE = """
SELECT DISTINCT h.delivery FROM unnest($1::text[], $2::text[]) AS j(route, carrier_id)
JOIN handovers AS h ON h.carrier_id = j.carrier_id AND h.route = j.route
"""
_HOLD_DELIVERIES = "SELECT id FROM deliveries WHERE id = ANY($1::bigint[]) ORDER BY id FOR NO KEY UPDATE"
_MATCH = """
SELECT j.index, h.id, h.delivery, h.attempt, d.status, d.attempts_left, d.tries, coalesce(a.parts_open, 1)
FROM unnest($1::integer[], $2::text[], $3::text[]) WITH ORDINALITY AS j(index, route, carrier_id, place)
JOIN handovers AS h ON h.carrier_id = j.carrier_id AND h.route = j.route
JOIN deliveries AS d ON d.id = h.delivery
LEFT JOIN attempts AS a ON a.delivery = h.delivery AND a.attempt = h.attempt
WHERE h.delivery = ANY($4::bigint[])
ORDER BY j.place
"""
_MATCH_DELIVERY = """
SELECT j.index, 0, d.id, j.attempt, d.status, d.attempts_left, d.tries, 1
FROM unnest($1::integer[], $2::bigint[], $3::integer[]) AS j(index, delivery, attempt)
JOIN deliveries AS d ON d.id = j.delivery
"""
_MATCH_EARLY = """
SELECT e.id, e.body FROM early_receipts AS e
JOIN handovers AS h ON h.carrier_id = e.carrier_id AND h.route = e.route
ORDER BY e.id LIMIT $1 FOR UPDATE OF e SKIP LOCKED
"""
_IS_EARLY_MATCHED = """
SELECT EXISTS (SELECT FROM early_receipts AS e
  JOIN handovers AS h ON h.carrier_id = e.carrier_id AND h.route = e.route)
"""
_DROP_EARLY = "DELETE FROM early_receipts WHERE id = ANY($1::bigint[])"
_DROP_SPELLINGS = """
DELETE FROM early_receipts AS e USING unnest($1::text[], $2::text[], $3::text[]) AS j(route, carrier_id, body)
WHERE e.carrier_id = j.carrier_id AND e.route = j.route AND e.body = j.body
"""
_ADD_EARLY = """
INSERT INTO early_receipts (route, carrier_id, at, body)
SELECT j.route, j.carrier_id, $4::bigint, j.body
FROM unnest($1::text[], $2::text[], $3::text[]) AS j(route, carrier_id, body)
"""
_COUNT_EARLY = "SELECT count(*) FROM early_receipts"
# It goes behind those that were taken meanwhile: ids rise with time.
_POSTPONE = "UPDATE handovers SET id = DEFAULT, at = $2 WHERE id = $1"
_DROP_HANDOVERS = "DELETE FROM handovers WHERE id = ANY($1::bigint[])"

_encode = msgspec.json.Encoder().encode
_decode_receipt = msgspec.json.Decoder(Receipt).decode


class PostgresReceipts:
    """Late news; see the contract in storage/river.py."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._campaigns = CampaignReader()

    async def receipts(self, batch: Sequence[Receipt], rules: Rules, now: int) -> LateAnswer:
        """Apply what can be matched, forward only, and store what cannot."""

        async def work(connection: Connection) -> LateAnswer:
            matches = await _match(connection, batch)
            moved = await self._apply(connection, batch, matches, rules, now)
            unmatched = [receipt for index, receipt in enumerate(batch) if index not in matches and receipt.carrier_ids]
            if unmatched:
                await execute(connection, _ADD_EARLY, *columns_of(_spellings(unmatched)), now)
            return LateAnswer(moved, len(unmatched))

        return await self._database.write(work)

    async def settle_early(self, rules: Rules, now: int) -> LateAnswer:
        """Apply the stored receipts whose send has been recorded meanwhile."""

        async def work(connection: Connection) -> tuple[int, list[Moved]]:
            return await self._settle_some(connection, rules, now)

        moved: list[Moved] = []
        # What belongs to nothing may be much, and is looked through without a transaction.
        while (await self._database.read(lambda connection: connection.fetchval(_IS_EARLY_MATCHED))) is True:
            settled, some = await self._database.write(work)
            moved += some
            if not settled:
                # Somebody else has them.
                break
        left = await self._database.read(lambda connection: connection.fetchval(_COUNT_EARLY))
        return LateAnswer(moved, int(left))

    async def purge_early(self, before: int) -> None:
        """Forget stored receipts that belong to nothing."""
        await self._database.write(lambda connection: run(connection, queries.purge_early, before=before))

    async def overdue(self, route: str, before: int, now: int, limit: int) -> list[Handover]:
        """Messages of which no final receipt came, oldest first."""
        which = {"route": route, "before": before, "now": now, "most": limit}
        rows = await self._database.read(lambda connection: fetch(connection, queries.overdue, **which))
        return [Handover(*row) for row in rows]

    async def calls_of(self, process: str, limit: int) -> list[Handover]:
        """Calls of which no end was told, by the mark of their process."""
        rows = await self._database.read(
            lambda connection: fetch(connection, queries.calls_of, mark=process, most=limit)
        )
        return [Handover(*row) for row in rows]

    async def routes(self) -> list[str]:
        """The names of all routes of which receipts are waited for."""
        rows = await self._database.read(lambda connection: fetch(connection, queries.routes))
        return sorted(route for (route,) in rows)

    async def postpone(self, handover: Handover, now: int) -> None:
        """Ask again later."""
        await self._database.write(lambda connection: execute(connection, _POSTPONE, handover.id, now))

    async def missing(self, handover: Handover, rules: Rules, now: int) -> LateAnswer:
        """It is uncertain and goes by the rule."""
        batch = [receipt_that_never_came(handover, now)]

        async def work(connection: Connection) -> LateAnswer:
            return LateAnswer(await self._apply(connection, batch, await _match(connection, batch), rules, now))

        return await self._database.write(work)

    async def incoming(self, message: IncomingMessage) -> None:
        """Keep a message with the delivery that last went to its source."""
        values = {
            "at": message.at,
            "route": message.route,
            "medium": int(message.medium),
            "source": keepable(message.source),
            "destination": keepable(message.destination),
            "text": keepable(message.text),
        }

        async def work(connection: Connection) -> None:
            medium = int(message.medium)
            last = await fetch_row(connection, queries.last_sent_to, dial=values["source"], medium=medium)
            await run(connection, queries.add_incoming, delivery=last[0] if last else None, **values)

        # Ids are to be committed in their order, so that who asks what came after an id misses none.
        await self._database.write(work, first=IN_TURN)

    async def messages(self, after: int = 0, limit: int = 100) -> list[KeptMessage]:
        """In the order in which they came."""
        rows = await self._database.read(
            lambda connection: fetch(connection, queries.messages, after=after, most=limit)
        )
        return [KeptMessage(row[0], row[1], row[2], Medium(row[3]), *row[4:]) for row in rows]

    async def _settle_some(self, connection: Connection, rules: Rules, now: int) -> tuple[int, list[Moved]]:
        found = await connection.fetch(_MATCH_EARLY, SETTLED_AT_ONCE)
        batch = [_decode_receipt(body) for _, body in found]
        if not batch:
            return 0, []
        moved = await self._apply(connection, batch, await _match(connection, batch), rules, now)
        await execute(connection, _DROP_EARLY, [row[0] for row in found])
        # With its other spellings, which may be the id of another message one day.
        await execute(connection, _DROP_SPELLINGS, *columns_of(_spellings(batch)))
        return len(found), moved

    async def _apply(
        self,
        connection: Connection,
        receipts: Sequence[Receipt],
        matches: dict[int, Match],
        rules: Rules,
        now: int,
    ) -> list[Moved]:
        news = News(await self._rules_of(connection, matches, rules), now)
        news.judge(receipts, matches)
        await move(connection, list(news.moves.values()), now)
        if news.calls:
            await add_calls(connection, news.calls)
        if news.ended:
            await execute(connection, _DROP_HANDOVERS, sorted(news.ended))
        return news.moved

    async def _rules_of(self, connection: Connection, matches: dict[int, Match], rules: Rules) -> RuleOf:
        numbers = {campaign_of(match.delivery) for match in matches.values()}
        campaigns = await find_numbers(connection, self._campaigns, numbers)
        of_lane: dict[int, tuple[RetryRule, bool]] = {}
        for delivery in {match.delivery for match in matches.values()}:
            lane = delivery >> CONTACT_BITS
            if lane not in of_lane:
                # It is there: its deliveries are removed before it, and we hold one.
                campaign = campaigns[campaign_of(delivery)]
                of_lane[lane] = rules(campaign, medium_of(delivery)), campaign.is_over
        return lambda delivery: of_lane[delivery >> CONTACT_BITS]


async def _match(connection: Connection, batch: Sequence[Receipt]) -> dict[int, Match]:
    """Hold the deliveries to which receipts belong and find each receipt's attempt: by the carrier's id (the first
    spelling that fits) or by what its envelope says."""
    named = [
        (index, receipt.route, carrier_id)
        for index, receipt in enumerate(batch)
        if receipt.delivery_id is None
        for carrier_id in kept_ids(receipt.carrier_ids)
    ]
    by_delivery = [
        (index, receipt.delivery_id, receipt.attempt)
        for index, receipt in enumerate(batch)
        if receipt.delivery_id is not None
    ]
    columns = columns_of(named) if named else [[], [], []]
    whose = {row[0] for row in await connection.fetch(_WHOSE, *columns[1:])} if named else set()
    whose.update(delivery for _, delivery, _ in by_delivery)
    if not whose:
        return {}
    held = await _hold_deliveries(connection, sorted(whose))
    rows: list[asyncpg.Record] = []
    if named:
        rows += await connection.fetch(_MATCH, *columns, held)
    if by_delivery:
        rows += await connection.fetch(_MATCH_DELIVERY, *columns_of(by_delivery))
    matches: dict[int, Match] = {}
    for row in rows:
        match = Match(*row)
        matches.setdefault(match.index, match)
    return matches


async def _hold_deliveries(connection: Connection, ids: Sequence[int]) -> list[int]:
    """Keep deliveries from moving, and their campaigns from being ended, until the transaction ends."""
    await connection.execute(among_campaigns(*{campaign_of(one) for one in ids}))
    return [row[0] for row in await connection.fetch(_HOLD_DELIVERIES, ids)]


def _spellings(receipts: Sequence[Receipt]) -> list[tuple[str, str, str]]:
    """Route, carrier's id and body of each spelling under which a receipt is kept."""
    return [
        (receipt.route, carrier_id, _encode(receipt).decode())
        for receipt in receipts
        for carrier_id in kept_ids(receipt.carrier_ids)
    ]
