"""Owns late news on SQLite: receipts, bounces, what is overdue, and messages from people.

Must not decide what news does to a delivery (late_news.py) nor know how a carrier spells it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec

from campana.domain.delivery import Medium
from campana.domain.message import IncomingMessage
from campana.domain.outcome import Receipt
from campana.domain.retry import RetryRule
from campana.storage.campaign_rows import CampaignReader
from campana.storage.compiled import run
from campana.storage.late_news import Match, News, RuleOf, receipt_that_never_came
from campana.storage.queries import receipts as queries
from campana.storage.river import Handover, KeptMessage, LateAnswer, Moved, Rules
from campana.storage.sqlite.attempts import add_calls
from campana.storage.sqlite.campaigns import find_number
from campana.storage.sqlite.database import Database
from campana.storage.sqlite.recording import move, pack
from campana.storage.tables import (
    CONTACT_BITS,
    campaign_of,
    medium_of,
)

SETTLED_AT_ONCE = 500


# Dialect twins: a batch as one JSON text.
_STANDING = """h.delivery, h.attempt, d.status, d.attempts_left, d.tries, coalesce(a.parts_open, 1)"""
_MATCH = f"""
SELECT json_group_array(json_array(j.key, h.id, {_STANDING}))
FROM json_each(:carrier_ids) AS j
CROSS JOIN handovers AS h ON h.carrier_id = j.value AND h.route = :route
JOIN deliveries AS d ON d.id = h.delivery
LEFT JOIN attempts AS a ON a.delivery = h.delivery AND a.attempt = h.attempt
"""
_MATCH_DELIVERY = """
SELECT json_group_array(json_array(j.value->>0, 0, d.id, j.value->>2, d.status, d.attempts_left, d.tries, 1))
FROM json_each(:rows) AS j
CROSS JOIN deliveries AS d ON d.id = j.value->>1
"""
_MATCH_EARLY = """
SELECT e.id, e.body FROM early_receipts AS e
JOIN handovers AS h ON h.carrier_id = e.carrier_id AND h.route = e.route
ORDER BY e.id LIMIT :most
"""
_DROP_EARLY = "DELETE FROM early_receipts WHERE id IN (SELECT value FROM json_each(:ids))"
_DROP_SPELLINGS = """
DELETE FROM early_receipts WHERE id IN (
  SELECT e.id FROM json_each(:rows) AS j
  CROSS JOIN early_receipts AS e ON e.carrier_id = j.value->>1 AND e.route = j.value->>0 AND e.body = j.value->>2
)
"""
_COUNT_EARLY = "SELECT count(*) FROM early_receipts"
# It goes behind those that were taken meanwhile: ids rise with time.
_POSTPONE = "UPDATE handovers SET id = (SELECT max(id) FROM handovers) + 1, at = :at WHERE id = :handover"
_DROP_HANDOVERS = "DELETE FROM handovers WHERE id IN (SELECT value FROM json_each(:ids))"


_encode = msgspec.json.Encoder().encode
_decode_receipt = msgspec.json.Decoder(Receipt).decode
_decode_matches = msgspec.json.Decoder(list[Match]).decode


class SqliteReceipts:
    """Late news; see the contract in storage/river.py."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # Used in the writer's thread alone.
        self._campaigns = CampaignReader()

    async def receipts(self, batch: Sequence[Receipt], rules: Rules, now: int) -> LateAnswer:
        """Apply what can be matched, forward only, and store what cannot."""

        def work(connection: sqlite3.Connection) -> LateAnswer:
            matches = _match(connection, batch)
            moved = self._apply(connection, batch, matches, rules, now)
            unmatched = [receipt for index, receipt in enumerate(batch) if index not in matches and receipt.carrier_ids]
            for receipt in unmatched:
                _keep_early(connection, receipt, now)
            return LateAnswer(moved, len(unmatched))

        return await self._database.write(work)

    async def settle_early(self, rules: Rules, now: int) -> LateAnswer:
        """Apply the stored receipts whose send has been recorded meanwhile."""

        moved: list[Moved] = []
        # What belongs to nothing may be much, and is looked through beside the writer.
        while await self._database.read(lambda connection: connection.execute(_MATCH_EARLY, {"most": 1}).fetchone()):
            moved += await self._database.write(lambda connection: self._settle_some(connection, rules, now))
        left = await self._database.read(lambda connection: connection.execute(_COUNT_EARLY).fetchone()[0])
        return LateAnswer(moved, left)

    async def purge_early(self, before: int) -> None:
        """Forget stored receipts that belong to nothing."""
        await self._database.write(lambda connection: run(connection, queries.purge_early, before=before).rowcount)

    async def overdue(self, route: str, before: int, now: int, limit: int) -> list[Handover]:
        """Messages of which no final receipt came, oldest first."""
        which = {"route": route, "before": before, "now": now, "most": limit}
        rows = await self._database.read(lambda connection: run(connection, queries.overdue, **which).fetchall())
        return [Handover(*row) for row in rows]

    async def calls_of(self, process: str, limit: int) -> list[Handover]:
        """Calls of which no end was told, by the mark of their process."""
        rows = await self._database.read(
            lambda connection: run(connection, queries.calls_of, mark=process, most=limit).fetchall()
        )
        return [Handover(*row) for row in rows]

    async def routes(self) -> list[str]:
        """The names of all routes of which receipts are waited for."""
        rows = await self._database.read(lambda connection: run(connection, queries.routes).fetchall())
        return sorted(route for (route,) in rows)

    async def postpone(self, handover: Handover, now: int) -> None:
        """Ask again later."""
        values = {"handover": handover.id, "at": now}
        await self._database.write(lambda connection: connection.execute(_POSTPONE, values).rowcount)

    async def missing(self, handover: Handover, rules: Rules, now: int) -> LateAnswer:
        """It is uncertain and goes by the rule."""
        news = receipt_that_never_came(handover, now)

        def work(connection: sqlite3.Connection) -> LateAnswer:
            batch = [news]
            return LateAnswer(self._apply(connection, batch, _match(connection, batch), rules, now))

        return await self._database.write(work)

    async def incoming(self, message: IncomingMessage) -> None:
        """Keep a message with the delivery that last went to its source."""

        def work(connection: sqlite3.Connection) -> None:
            last = run(connection, queries.last_sent_to, dial=message.source, medium=int(message.medium)).fetchone()
            run(
                connection,
                queries.add_incoming,
                at=message.at,
                route=message.route,
                medium=int(message.medium),
                source=message.source,
                destination=message.destination,
                text=message.text,
                delivery=last[0] if last else None,
            )

        await self._database.write(work)

    async def messages(self, after: int = 0, limit: int = 100) -> list[KeptMessage]:
        """In the order in which they came."""
        rows = await self._database.read(
            lambda connection: run(connection, queries.messages, after=after, most=limit).fetchall()
        )
        return [KeptMessage(row[0], row[1], row[2], Medium(row[3]), *row[4:]) for row in rows]

    def _settle_some(self, connection: sqlite3.Connection, rules: Rules, now: int) -> list[Moved]:
        found = connection.execute(_MATCH_EARLY, {"most": SETTLED_AT_ONCE}).fetchall()
        batch = [_decode_receipt(body) for _, body in found]
        moved = self._apply(connection, batch, _match(connection, batch), rules, now)
        # With its other spellings, which may be the id of another message one day.
        rows = [
            (receipt.route, carrier_id, body)
            for receipt, (_, body) in zip(batch, found, strict=True)
            for carrier_id in receipt.carrier_ids
        ]
        connection.execute(_DROP_EARLY, {"ids": pack([early for early, _ in found])})
        connection.execute(_DROP_SPELLINGS, {"rows": pack(rows)})
        return moved

    def _apply(
        self,
        connection: sqlite3.Connection,
        receipts: Sequence[Receipt],
        matches: dict[int, Match],
        rules: Rules,
        now: int,
    ) -> list[Moved]:
        news = News(self._rules_of(connection, rules), now)
        news.judge(receipts, matches)
        move(connection, list(news.moves.values()), now)
        if news.calls:
            add_calls(connection, news.calls)
        if news.ended:
            connection.execute(_DROP_HANDOVERS, {"ids": pack(sorted(news.ended))})
        return news.moved

    def _rules_of(self, connection: sqlite3.Connection, rules: Rules) -> RuleOf:
        of_lane: dict[int, tuple[RetryRule, bool]] = {}

        def rule_of(delivery: int) -> tuple[RetryRule, bool]:
            lane = delivery >> CONTACT_BITS
            known = of_lane.get(lane)
            if known is None:
                campaign = find_number(connection, self._campaigns, campaign_of(delivery))
                assert campaign is not None  # its deliveries are removed before it
                known = rules(campaign, medium_of(delivery)), campaign.is_over
                of_lane[lane] = known
            return known

        return rule_of


def _match(connection: sqlite3.Connection, batch: Sequence[Receipt]) -> dict[int, Match]:
    """Find each receipt's attempt: by the carrier's id (the first spelling that fits) or by what its envelope says."""
    matches: dict[int, Match] = {}
    named = [(index, receipt) for index, receipt in enumerate(batch) if receipt.delivery_id is None]
    for route in {receipt.route for _, receipt in named}:
        indices = [index for index, one in named if one.route == route for _ in one.carrier_ids]
        ids = [carrier_id for _, one in named if one.route == route for carrier_id in one.carrier_ids]
        for match in _found(connection, _MATCH, route=route, carrier_ids=pack(ids)):
            match.index = indices[match.index]
            matches.setdefault(match.index, match)
    by_delivery = [
        (index, receipt.delivery_id, receipt.attempt)
        for index, receipt in enumerate(batch)
        if receipt.delivery_id is not None
    ]
    if by_delivery:
        for match in _found(connection, _MATCH_DELIVERY, rows=pack(by_delivery)):
            matches.setdefault(match.index, match)
    return matches


def _found(connection: sqlite3.Connection, statement: str, **parameters: str) -> list[Match]:
    return _decode_matches(connection.execute(statement, parameters).fetchone()[0])


def _keep_early(connection: sqlite3.Connection, receipt: Receipt, now: int) -> None:
    body = _encode(receipt).decode()
    for carrier_id in receipt.carrier_ids:
        run(connection, queries.add_early, route=receipt.route, carrier_id=carrier_id, at=now, body=body)
