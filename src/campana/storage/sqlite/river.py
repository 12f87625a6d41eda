"""Owns planning, leasing, recording and sweeping on SQLite.

Must not know when a campaign is open, how fast a route is, or what an outcome does.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import msgspec

from campana.domain.delivery import Medium, Status
from campana.domain.message import Content
from campana.domain.outcome import DeliveryCode
from campana.domain.person import Person, person_of
from campana.domain.retry import Fate, Tried, decide
from campana.storage.campaign_rows import CampaignReader
from campana.storage.compiled import run
from campana.storage.contents import content_of
from campana.storage.happenings import HappeningColumns, How, cancelled_all, moved_alike, moved_all
from campana.storage.outcomes import after_the_end
from campana.storage.queries import river as queries
from campana.storage.river import (
    ClaimedDelivery,
    ClaimQuery,
    Cut,
    Judged,
    Lane,
    Lease,
    LeaseLost,
    Moved,
    Rules,
    Step,
    Waiting,
)
from campana.storage.sqlite.campaigns import find_number
from campana.storage.sqlite.database import Database
from campana.storage.sqlite.happenings import happen
from campana.storage.sqlite.recording import pack, record
from campana.storage.tables import NEVER, contact_id, delivery_id, number_of

SWEPT_AT_ONCE = 50
"""Lapsed leases that are ended in one transaction."""
MOST_TEXT = 4_000_000
"""Characters of contacts' own texts that one lease holds in memory, but for the last one's excess."""
_EPOCHS = itertools.count(1)
"""Never the same twice in a process, whose owner's name is its own: SQLite gives the id of a chunk that is gone to
another one, and a lease of the one must not pass for a lease of the other."""
PASSED_AT_ONCE = 10_000
"""Deliveries that are looked at for one chunk: there may be millions in a row that are not to be sent."""
CANCELLED_AT_ONCE = 20_000
"""Contact numbers that the sweep of a campaign that is over passes in one transaction."""


# Dialect twins: lists as JSON, so that a chunk is read or written in one call of the driver.
_TAKE_DUE = """
SELECT count(*), json_group_array(delivery), json_group_array(json_array(at, delivery)) FROM (
  SELECT at, delivery FROM (
    SELECT at, delivery FROM due WHERE campaign = :campaign AND medium = :medium AND at <= :now
    ORDER BY at LIMIT :limit
  ) ORDER BY delivery
)
"""
_FORGET_DUE = """
DELETE FROM due WHERE campaign = :campaign AND medium = :medium
  AND (at, delivery) IN (SELECT value->>0, value->>1 FROM json_each(:rows))
"""
_NEXT = "SELECT id, status FROM deliveries WHERE id > :after AND id <= :upto ORDER BY id LIMIT :most"
_TAKE_FRESH = f"""
SELECT count(*), min(id), max(id) FROM (SELECT id FROM ({_NEXT}) WHERE status = {Status.PENDING:d} LIMIT :limit)
"""
_PERSONS = """
SELECT c.id, c.name, c.reference, c.fields FROM json_each(:ids) AS j CROSS JOIN contacts AS c ON c.id = j.value
"""
_PASSED_OVER = f"SELECT count(*), max(id) FROM ({_NEXT})"
_NEXT_CHUNK = """
SELECT k.id, k.campaign, k.medium, k.first, k.last, k.ids, k.turn, k.closes_at, k.size, c.revision
FROM chunks AS k JOIN campaigns AS c ON c.number = k.campaign
WHERE k.owner IS NULL AND k.opens_at <= :now AND k.closes_at > :now
  AND c.is_paused = 0 AND c.deleted_at IS NULL AND (c.media >> k.medium & 1) = 1
  AND k.medium IN (SELECT value FROM json_each(:media))
  AND k.campaign * 4 + k.medium NOT IN (SELECT value FROM json_each(:lanes))
  AND k.id NOT IN (SELECT value FROM json_each(:chunks))
ORDER BY k.turn, k.id LIMIT 1
"""
_HOLD = """
UPDATE chunks SET mark = coalesce(:mark, mark) WHERE id = :chunk AND owner = :owner AND epoch = :epoch
RETURNING (
  SELECT c.deleted_at IS NOT NULL OR c.cancelled_at IS NOT NULL FROM campaigns AS c WHERE c.number = chunks.campaign
), size
"""
_HEARTBEAT = """
UPDATE chunks SET lease_until = :until
WHERE owner = :owner AND (id, epoch) IN (SELECT value ->> 0, value ->> 1 FROM json_each(:epochs)) RETURNING id
"""
_IN_RANGE = "id BETWEEN :first AND :last"
_IN_LIST = "id IN (SELECT value FROM json_each(:ids))"
_CLAIMABLE = f"""(status = {Status.PENDING:d} OR status = {Status.WAITING_FOR_RETRY:d} AND due_at <= :now)
  AND attempts_left > 0 AND dial IS NOT NULL"""
_CLAIM_ROWS = """
SELECT json_group_array(json_array(id, dial, text, tries + 1, attempts_left, coalesce(revision, :revision))),
  json_group_array(json_array(id, status, last_error)) FILTER (WHERE last_error <> 0)
FROM (
  SELECT id, dial, text, tries, attempts_left, revision, status, last_error
  FROM deliveries WHERE {where} AND {claimable} ORDER BY id
)
"""
_CLAIM = f"""
UPDATE deliveries SET status = {Status.SENDING:d}, revision = coalesce(revision, :revision)
WHERE {{where}} AND {_CLAIMABLE}
"""
_TEXT_LENGTH = "SELECT coalesce(sum(length(text)), 0) FROM deliveries WHERE {where} AND text IS NOT NULL"
_END_OF_REACH = """
SELECT max(id) FROM (
  SELECT id, sum(coalesce(length(text), 0)) OVER (ORDER BY id) - coalesce(length(text), 0) AS before
  FROM deliveries WHERE {where}
) WHERE before < :most
"""
_PUT_BACK = f"""
INSERT INTO due (campaign, medium, at, delivery)
SELECT :campaign, :medium, due_at, id FROM deliveries
WHERE {{where}} AND status = {Status.WAITING_FOR_RETRY:d} AND due_at > :now AND due_at < {NEVER} AND attempts_left > 0
ON CONFLICT DO NOTHING
"""
_WITHDRAWN = f"""
SELECT json_group_array(id) FROM deliveries
WHERE {{where}} AND (status <> {Status.SENDING:d} OR attempts_left <= 0)
"""
_WAIT_AGAIN = f"""
UPDATE deliveries SET
  status = CASE WHEN :is_over OR attempts_left <= 0 THEN {Status.CANCELLED:d}
    WHEN last_error <> 0 THEN {Status.WAITING_FOR_RETRY:d} ELSE {Status.PENDING:d} END,
  last_error = CASE WHEN :is_over OR attempts_left <= 0 THEN {DeliveryCode.CANCELLED:d} ELSE last_error END,
  revision = CASE WHEN last_error = 0 THEN NULL ELSE revision END
WHERE {{where}} AND status = {Status.SENDING:d}
RETURNING id, status, last_error
"""
_STRANDED = f"""
SELECT json_group_array(json_array(id, tries + 1, attempts_left)) FROM (
  SELECT id, tries, attempts_left FROM deliveries WHERE {{where}} AND status = {Status.SENDING:d} AND id <= :mark
  ORDER BY id
)
"""


def _both(statement: str) -> tuple[str, str]:
    """The statement for a run of ids and for a list of ids."""
    in_range, in_list = (statement.format(where=where, claimable=_CLAIMABLE) for where in (_IN_RANGE, _IN_LIST))
    return in_range, in_list


_claim_rows = _both(_CLAIM_ROWS)
_claim = _both(_CLAIM)
_text_length = _both(_TEXT_LENGTH)
_end_of_reach = _both(_END_OF_REACH)
_put_back = _both(_PUT_BACK)
_withdrawn = _both(_WITHDRAWN)
_wait_again = _both(_WAIT_AGAIN)
_stranded = _both(_STRANDED)

_decode_claimed = msgspec.json.Decoder(list[ClaimedDelivery]).decode
_decode_ids = msgspec.json.Decoder(list[int]).decode
_decode_stranded = msgspec.json.Decoder(list[tuple[int, int, int]]).decode
_decode_tried = msgspec.json.Decoder(list[tuple[int, int, int]]).decode


@dataclass(frozen=True, slots=True)
class _Span:
    """The deliveries of a chunk: a run of ids, or a list as JSON."""

    first: int
    last: int
    ids: str | None

    @classmethod
    def of(cls, ids: Sequence[int]) -> _Span:
        """Of rising ids: as a run where there is no gap, else as a list."""
        gapless = ids[-1] - ids[0] == len(ids) - 1
        return cls(ids[0], ids[-1], None if gapless else pack(ids))

    def execute(self, connection: sqlite3.Connection, pair: tuple[str, str], **more: object) -> sqlite3.Cursor:
        """Execute the statement of the pair that fits."""
        if self.ids is None:
            return connection.execute(pair[0], {"first": self.first, "last": self.last, **more})
        return connection.execute(pair[1], {"ids": self.ids, **more})


class SqliteRiver:
    """What the engine asks; see the contract in storage/river.py."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # Used in the writer's thread alone.
        self._campaigns = CampaignReader()

    async def lanes(self, campaign: int | None = None) -> list[Lane]:
        """Lanes with something to plan or chunks that wait."""
        if campaign is not None:
            rows = self._database.look(
                lambda connection: run(connection, queries.lanes_of, campaign=campaign).fetchall()
            )
        else:
            rows = await self._database.read(lambda connection: run(connection, queries.all_lanes).fetchall())
        return [
            Lane(number, Medium(medium), account, fresh, due, Waiting(*waiting) if waiting[0] else None)
            for number, medium, account, fresh, due, *waiting in rows
        ]

    async def plan(self, cuts: Sequence[Cut], now: int) -> list[int]:
        """Cut chunks; one size for each cut, 0 where nothing was due."""
        return await self._database.write(lambda connection: [_cut(connection, cut, now) for cut in cuts])

    async def gate(self, campaign: int, medium: Medium, opens_at: int, closes_at: int) -> None:
        """Move the window of a lane's chunks that nobody has claimed."""
        values = {"of_campaign": campaign, "of_medium": int(medium), "to_opens": opens_at, "to_closes": closes_at}
        await self._database.write(lambda connection: run(connection, queries.gate, **values).rowcount)

    async def claim(self, query: ClaimQuery) -> Lease | None:
        """Lease the chunk whose turn is next, and set its deliveries to *sending*."""
        return await self._database.write(lambda connection: _claim_next(connection, query))

    async def split(self, lease: Lease, groups: Sequence[Sequence[ClaimedDelivery]]) -> list[Lease]:
        """Replace a fresh lease by one a group. Raises LeaseLost."""
        return await self._database.write(lambda connection: _split(connection, lease, groups))

    async def step(self, step: Step) -> frozenset[int]:
        """Record what is judged and move the mark. Raises LeaseLost."""

        def work(connection: sqlite3.Connection) -> tuple[int, frozenset[int]]:
            recorded = _record(connection, step)
            if not step.upcoming or recorded.size >= len(step.lease.deliveries):
                return recorded.moved, frozenset()
            span = _Span.of(step.upcoming)
            return recorded.moved, frozenset(_decode_ids(span.execute(connection, _withdrawn).fetchone()[0]))

        moved, withdrawn = await self._database.write(work)
        step.lease.recorded += moved
        return withdrawn

    async def release(self, step: Step, opens_at: int) -> bool:
        """Record what is judged and end the lease; True where something waits again. Raises LeaseLost."""

        def work(connection: sqlite3.Connection) -> bool:
            recorded = _record(connection, step)
            if step.lease.recorded + recorded.moved == len(step.lease.deliveries):
                # Nothing is left of it to look for.
                run(connection, queries.drop, chunk=step.lease.chunk)
                return False
            span = _Span.of([delivery.id for delivery in step.lease.deliveries])
            return _end(connection, _Ending(step.lease.chunk, span, opens_at, recorded.is_over, step.now))

        return await self._database.write(work)

    async def heartbeat(self, owner: str, epochs: Mapping[int, int], until: int) -> frozenset[int]:
        """Extend these leases of an owner, and only these; the chunks that it still has."""
        values = {"owner": owner, "epochs": pack(sorted(epochs.items())), "until": until}
        rows = await self._database.write(lambda connection: connection.execute(_HEARTBEAT, values).fetchall())
        return frozenset(row[0] for row in rows)

    async def sweep(self, lapsed_before: int, rules: Rules, now: int) -> list[Moved]:
        """End lapsed leases, all of them."""
        moved: list[Moved] = []
        while True:
            ended, some = await self._database.write(
                lambda connection: self._sweep_some(connection, lapsed_before, rules, now)
            )
            moved += some
            if ended < SWEPT_AT_ONCE:
                return moved

    async def sweep_over(self, now: int) -> bool:
        """Cancel some of what waits of campaigns that are over."""
        return await self._database.write(lambda connection: _sweep_over(connection, now))

    async def content(self, campaign: int, revision: int, medium: Medium) -> Content | None:
        """What a campaign's revision says on a medium."""
        row = self._database.look(
            lambda connection: run(connection, queries.content, campaign=campaign, revision=revision).fetchone()
        )
        return content_of(row[0], medium, row[1]) if row else None

    async def persons(self, campaign: int, deliveries: Sequence[int]) -> dict[int, Person | None]:
        """Who the contacts of deliveries are, by delivery."""
        ids = {contact_id(campaign, number_of(delivery)): delivery for delivery in deliveries}
        where = {"ids": pack(list(ids))}
        rows = await self._database.read(lambda connection: connection.execute(_PERSONS, where).fetchall())
        return {ids[row[0]]: person_of(*row[1:]) for row in rows}

    async def oldest_due(self, now: int) -> dict[Medium, int]:
        """For each medium the moment since which its oldest claimable chunk waits."""
        rows = await self._database.read(lambda connection: run(connection, queries.oldest_due, now=now).fetchall())
        return {Medium(medium): since for medium, since in rows}

    def _sweep_some(
        self, connection: sqlite3.Connection, before: int, rules: Rules, now: int
    ) -> tuple[int, list[Moved]]:
        lapsed = run(connection, queries.lapsed, before=before, most=SWEPT_AT_ONCE).fetchall()
        moved: list[Moved] = []
        for chunk, number, medium, first, last, ids, mark, opens_at in lapsed:
            campaign = find_number(connection, self._campaigns, number)
            assert campaign is not None  # none is removed while something of it is leased
            span = _Span(first, last, ids)
            is_over = campaign.is_over
            rule = rules(campaign, Medium(medium))
            judged = []
            for delivery, attempt, left in _decode_stranded(
                span.execute(connection, _stranded, mark=mark).fetchone()[0]
            ):
                change = decide(Fate.UNCERTAIN, DeliveryCode.UNCERTAIN, Tried(attempt, left, now), rule)
                judged.append(Judged(delivery, attempt, after_the_end(change, is_over), "", now))
                moved.append(Moved(number, Medium(medium), change.code, change.retry_at is not None))
            record(connection, judged)
            _end(connection, _Ending(chunk, span, opens_at, is_over, now))
        return len(lapsed), moved


def _cut(connection: sqlite3.Connection, cut: Cut, now: int) -> int:
    place = {"campaign": cut.campaign, "medium": int(cut.medium)}
    size, ids, rows = connection.execute(_TAKE_DUE, {"now": now, "limit": cut.limit, **place}).fetchone()
    if size:
        connection.execute(_FORGET_DUE, {"rows": rows, **place})
        listed = _decode_ids(ids)
        _insert_chunk(connection, cut, _Span(listed[0], listed[-1], ids), size, now)
        return int(size)
    lane = run(connection, queries.lane, **place).fetchone()
    if lane is None or lane[0] >= lane[1]:
        return 0
    planned, contacts = lane
    bounds = {
        "after": delivery_id(cut.campaign, cut.medium, planned),
        "upto": delivery_id(cut.campaign, cut.medium, contacts),
        "most": PASSED_AT_ONCE,
    }
    size, first, last = connection.execute(_TAKE_FRESH, {"limit": cut.limit, **bounds}).fetchone()
    if size:
        _insert_chunk(connection, cut, _Span(first, last, None), size, now)
    if size == cut.limit:
        to = number_of(last)
    else:
        passed, reached = connection.execute(_PASSED_OVER, bounds).fetchone()
        to = number_of(reached) if passed == PASSED_AT_ONCE else contacts
    run(connection, queries.set_planned, of_campaign=cut.campaign, of_medium=int(cut.medium), to=to)
    return int(size)


def _insert_chunk(connection: sqlite3.Connection, cut: Cut, span: _Span, size: int, now: int) -> int:
    """Add a chunk that nobody has claimed; its id."""
    row = run(
        connection,
        queries.add_chunk,
        campaign=cut.campaign,
        medium=int(cut.medium),
        turn=cut.turn,
        first=span.first,
        last=span.last,
        ids=span.ids,
        size=size,
        due_at=now,
        opens_at=cut.opens_at,
        closes_at=cut.closes_at,
        owner=None,
        epoch=0,
        lease_until=0,
        mark=0,
    ).fetchone()
    return int(row[0])


def _claim_next(connection: sqlite3.Connection, query: ClaimQuery) -> Lease | None:
    wanted = {
        "now": query.now,
        "media": pack([int(medium) for medium in query.media]),
        "lanes": pack([campaign * 4 + medium for campaign, medium in query.except_lanes]),
        "chunks": pack(query.except_chunks),
    }
    while True:
        row = connection.execute(_NEXT_CHUNK, wanted).fetchone()
        if row is None:
            return None
        chunk, campaign, medium, first, last, ids, turn, closes_at, size, revision = row
        span, rest = _within_reach(connection, _Span(first, last, ids))
        if rest is not None:
            place = Cut(campaign, Medium(medium), 0, turn, 0, closes_at)
            _insert_chunk(connection, place, rest, size, query.now)
        values = {"now": query.now, "revision": revision}
        rows, tried = span.execute(connection, _claim_rows, **values).fetchone()
        claimed = _decode_claimed(rows)
        if len(claimed) < size:
            # A clock that was set back: what was due when the chunk was cut is not due any more.
            span.execute(connection, _put_back, campaign=campaign, medium=medium, now=query.now)
        if not claimed:
            run(connection, queries.drop, chunk=chunk)
            continue
        span.execute(connection, _claim, **values)
        happen(connection, _claims(claimed, _decode_tried(tried), query.now))
        # From here on the chunk names exactly what it claimed, so that no other chunk's deliveries are taken for its.
        exact = _Span.of([delivery.id for delivery in claimed])
        kept = None if (exact.first, exact.last, exact.ids) == (first, last, None) else pack([d.id for d in claimed])
        epoch = next(_EPOCHS)
        leased = {"to_owner": query.owner, "to_epoch": epoch, "until": query.until, "to_ids": kept}
        leased["to_size"] = len(claimed)
        run(connection, queries.set_lease, chunk=chunk, **leased)
        return Lease(chunk, campaign, Medium(medium), query.owner, epoch, query.until, turn, closes_at, claimed)


def _claims(
    claimed: Sequence[ClaimedDelivery], tried: Sequence[tuple[int, int, int]], at: int
) -> list[HappeningColumns]:
    """What a claim does: fresh deliveries were pending, and those that have an error behind them waited to go again."""
    if not tried:
        return moved_alike([one.id for one in claimed], How(Status.PENDING, Status.SENDING, 0, at))
    before = {delivery: (status, code) for delivery, status, code in tried}
    fresh = (int(Status.PENDING), 0)
    return moved_all(
        ((one.id, was, int(Status.SENDING), code) for one in claimed for was, code in (before.get(one.id, fresh),)), at
    )


def _within_reach(connection: sqlite3.Connection, span: _Span) -> tuple[_Span, _Span | None]:
    """Part a span where the contacts' own texts are too long together to be taken into memory at once."""
    if span.execute(connection, _text_length).fetchone()[0] <= MOST_TEXT:
        return span, None
    end = span.execute(connection, _end_of_reach, most=MOST_TEXT).fetchone()[0]
    ids = range(span.first, span.last + 1) if span.ids is None else _decode_ids(span.ids)
    rest = [one for one in ids if one > end]
    return _Span.of([one for one in ids if one <= end]), _Span.of(rest) if rest else None


def _hold(connection: sqlite3.Connection, lease: Lease, mark: int | None) -> tuple[bool, int]:
    """Move the mark of a lease, if one is given; tell whether its campaign is over, and the chunk's size. Raises
    LeaseLost."""
    key = {"chunk": lease.chunk, "owner": lease.owner, "epoch": lease.epoch, "mark": mark}
    held = connection.execute(_HOLD, key).fetchall()
    if not held:
        raise LeaseLost
    is_over, size = held[0]
    return bool(is_over), size


def _split(connection: sqlite3.Connection, lease: Lease, groups: Sequence[Sequence[ClaimedDelivery]]) -> list[Lease]:
    _, size = _hold(connection, lease, None)
    # Nobody has to find out in which group one was withdrawn: where a size is too small, it is looked closer.
    withdrawn = len(lease.deliveries) - size
    leases = []
    for group in groups:
        span = _Span.of([delivery.id for delivery in group])
        cut = Cut(lease.campaign, lease.medium, len(group), lease.turn, 0, lease.closes_at)
        chunk = _insert_chunk(connection, cut, span, len(group), 0)
        epoch = next(_EPOCHS)
        run(
            connection,
            queries.set_lease,
            chunk=chunk,
            to_owner=lease.owner,
            to_epoch=epoch,
            until=lease.until,
            to_ids=span.ids,
            to_size=max(0, len(group) - withdrawn),
        )
        leases.append(replace(lease, chunk=chunk, epoch=epoch, deliveries=list(group), recorded=0))
    run(connection, queries.drop, chunk=lease.chunk)
    return leases


class _Recorded(NamedTuple):
    """What a step found: how many deliveries its chunk has but for withdrawn ones, how many were recorded, and whether
    the campaign is over."""

    size: int
    moved: int
    is_over: bool


def _record(connection: sqlite3.Connection, step: Step) -> _Recorded:
    """Move the mark and write what a lease's owner judged. Raises LeaseLost before any change."""
    is_over, size = _hold(connection, step.lease, step.upcoming[-1] if step.upcoming else None)
    judged = step.judged
    if is_over:
        judged = [msgspec.structs.replace(one, change=after_the_end(one.change, True)) for one in judged]
    return _Recorded(size, record(connection, judged), is_over)


@dataclass(frozen=True, slots=True)
class _Ending:
    """A lease that ends, and from when what is left of its chunk may be claimed again."""

    chunk: int
    span: _Span
    opens_at: int
    is_over: bool
    now: int


def _end(connection: sqlite3.Connection, ending: _Ending) -> bool:
    """End a lease; tell whether something of its chunk waits again."""
    again = ending.span.execute(connection, _wait_again, is_over=ending.is_over).fetchall()
    happen(connection, moved_all(((one, int(Status.SENDING), status, code) for one, status, code in again), ending.now))
    waiting = len(again)
    if waiting and not ending.is_over:
        run(connection, queries.give_back, chunk=ending.chunk, to_opens=ending.opens_at, to_size=waiting)
        return True
    run(connection, queries.drop, chunk=ending.chunk)
    return False


def _sweep_over(connection: sqlite3.Connection, now: int) -> bool:
    lane = run(connection, queries.lane_that_is_over).fetchone()
    if lane is None:
        return False
    campaign, medium, cancelled, contacts, deleted_at = lane
    upto = min(cancelled + CANCELLED_AT_ONCE, contacts)
    after, last = (delivery_id(campaign, medium, number) for number in (cancelled, upto))
    if deleted_at is None:
        waiting = run(connection, queries.waiting_range, after=after, upto=last).fetchall()
        happen(connection, cancelled_all(waiting, now))
    run(connection, queries.cancel_range, after=after, upto=last)
    if upto < contacts:
        run(connection, queries.set_cancelled, of_campaign=campaign, of_medium=medium, to=upto)
        return True
    for statement in (queries.drop_lane, queries.drop_due, queries.drop_chunks):
        run(connection, statement, campaign=campaign, medium=medium)
    return True
