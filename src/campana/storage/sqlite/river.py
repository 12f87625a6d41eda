"""Owns planning, leasing, recording and sweeping on SQLite.

Must not know when a campaign is open, how fast a route is, or what an outcome does.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec
from sqlalchemy import and_, bindparam, delete, exists, func, insert, or_, select, update

from campana.domain.campaign import EmailSettings, SmsSettings, VoiceSettings
from campana.domain.delivery import Medium, Status
from campana.domain.message import Content
from campana.domain.outcome import DeliveryCode
from campana.domain.retry import Fate, Tried, decide
from campana.storage.compiled import Compiled, among
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
)
from campana.storage.sqlite.campaigns import CampaignReader
from campana.storage.sqlite.database import Database
from campana.storage.sqlite.recording import after_deletion, pack, record
from campana.storage.tables import (
    campaigns,
    chunks,
    contents,
    deliveries,
    delivery_id,
    due,
    lanes,
    number_of,
)

SWEPT_AT_ONCE = 50
"""Lapsed leases that are ended in one transaction."""
CANCELLED_AT_ONCE = 20_000
"""Contact numbers that the sweep of a deleted campaign passes in one transaction."""

_place = (due.c.campaign == bindparam("campaign"), due.c.medium == bindparam("medium"))
_waiting = (
    select(chunks.c.campaign, chunks.c.medium, func.count().label("waiting"))
    .where(chunks.c.owner.is_(None))
    .group_by(chunks.c.campaign, chunks.c.medium)
    .subquery()
)
_next_due = (
    select(func.min(due.c.at))
    .where(due.c.campaign == lanes.c.campaign, due.c.medium == lanes.c.medium)
    .scalar_subquery()
)
_all_lanes = (
    select(
        lanes.c.campaign,
        lanes.c.medium,
        lanes.c.account,
        campaigns.c.contacts - lanes.c.planned,
        _next_due,
        func.coalesce(_waiting.c.waiting, 0),
    )
    .join_from(lanes, campaigns, campaigns.c.number == lanes.c.campaign)
    .outerjoin(_waiting, and_(_waiting.c.campaign == lanes.c.campaign, _waiting.c.medium == lanes.c.medium))
    .where(
        campaigns.c.deleted_at.is_(None),
        campaigns.c.media.op(">>")(lanes.c.medium).op("&")(1) == 1,
        or_(
            campaigns.c.contacts > lanes.c.planned,
            _waiting.c.waiting > 0,
            exists().where(due.c.campaign == lanes.c.campaign, due.c.medium == lanes.c.medium),
        ),
    )
)
_lanes = Compiled(_all_lanes)
_lanes_of = Compiled(_all_lanes.where(lanes.c.campaign == bindparam("campaign")))
_lane = Compiled(
    select(lanes.c.planned, campaigns.c.contacts)
    .join_from(lanes, campaigns, campaigns.c.number == lanes.c.campaign)
    .where(lanes.c.campaign == bindparam("campaign"), lanes.c.medium == bindparam("medium"))
)
_set_planned = Compiled(
    update(lanes)
    .where(lanes.c.campaign == bindparam("of_campaign"), lanes.c.medium == bindparam("of_medium"))
    .values(planned=bindparam("to"))
)
_add_chunk = Compiled(insert(chunks))
_gate = Compiled(
    update(chunks)
    .where(
        chunks.c.campaign == bindparam("of_campaign"),
        chunks.c.medium == bindparam("of_medium"),
        chunks.c.owner.is_(None),
    )
    .values(opens_at=bindparam("to_opens"), closes_at=bindparam("to_closes"))
)
_lease = Compiled(
    update(chunks)
    .where(chunks.c.id == bindparam("chunk"))
    .values(
        owner=bindparam("to_owner"),
        epoch=bindparam("to_epoch"),
        lease_until=bindparam("until"),
        mark=0,
        ids=bindparam("to_ids"),
    )
)
_mine = and_(
    chunks.c.id == bindparam("chunk"), chunks.c.owner == bindparam("of_owner"), chunks.c.epoch == bindparam("of_epoch")
)
_set_mark = Compiled(update(chunks).where(_mine).values(mark=bindparam("to_mark")))
_hold = Compiled(update(chunks).where(_mine).values(epoch=chunks.c.epoch))
_give_back = Compiled(
    update(chunks).where(chunks.c.id == bindparam("chunk")).values(owner=None, opens_at=bindparam("to_opens"))
)
_drop = Compiled(delete(chunks).where(chunks.c.id == bindparam("chunk")))
_heartbeat = Compiled(
    update(chunks).where(chunks.c.owner == bindparam("of_owner")).values(lease_until=bindparam("until"))
)
_lapsed = Compiled(
    select(
        chunks.c.id,
        chunks.c.campaign,
        chunks.c.medium,
        chunks.c.first,
        chunks.c.last,
        chunks.c.ids,
        chunks.c.mark,
        chunks.c.opens_at,
    )
    .where(chunks.c.owner.is_not(None), chunks.c.lease_until < bindparam("before"))
    .order_by(chunks.c.id)
    .limit(SWEPT_AT_ONCE)
)
_deleted_at = Compiled(select(campaigns.c.deleted_at).where(campaigns.c.number == bindparam("campaign")))
_deleted_lane = Compiled(
    select(lanes.c.campaign, lanes.c.medium, func.coalesce(lanes.c.cancelled, 0), campaigns.c.contacts)
    .join_from(lanes, campaigns, campaigns.c.number == lanes.c.campaign)
    .where(campaigns.c.deleted_at.is_not(None))
    .limit(1)
)
_cancel_range = Compiled(
    update(deliveries)
    .where(
        deliveries.c.id > bindparam("after"),
        deliveries.c.id <= bindparam("upto"),
        among(deliveries.c.status, [Status.PENDING, Status.WAITING_FOR_RETRY]),
    )
    .values(status=int(Status.CANCELLED), last_error=int(DeliveryCode.CANCELLED))
)
_set_cancelled = Compiled(
    update(lanes)
    .where(lanes.c.campaign == bindparam("of_campaign"), lanes.c.medium == bindparam("of_medium"))
    .values(cancelled=bindparam("to"))
)
_drop_lane = Compiled(
    delete(lanes).where(lanes.c.campaign == bindparam("campaign"), lanes.c.medium == bindparam("medium"))
)
_drop_due = Compiled(delete(due).where(*_place))
_drop_chunks = Compiled(
    delete(chunks).where(
        chunks.c.campaign == bindparam("campaign"), chunks.c.medium == bindparam("medium"), chunks.c.owner.is_(None)
    )
)
_content = Compiled(
    select(contents.c.body, campaigns.c.guid)
    .join_from(contents, campaigns, campaigns.c.number == contents.c.campaign)
    .where(contents.c.campaign == bindparam("campaign"), contents.c.revision == bindparam("revision"))
)
_oldest_due = Compiled(
    select(chunks.c.medium, func.min(chunks.c.due_at))
    .where(chunks.c.owner.is_(None), chunks.c.opens_at <= bindparam("now"), chunks.c.closes_at > bindparam("now"))
    .group_by(chunks.c.medium)
)

# Dialect twins: lists as JSON, so that a chunk is read or written in one call of the driver.
_TAKE_DUE = """
SELECT count(*), json_group_array(delivery) FROM (
  SELECT delivery FROM (
    SELECT delivery FROM due WHERE campaign = :campaign AND medium = :medium AND at <= :now ORDER BY at LIMIT :limit
  ) ORDER BY delivery
)
"""
_FORGET_DUE = """
DELETE FROM due WHERE campaign = :campaign AND medium = :medium AND at <= :now
  AND delivery IN (SELECT value FROM json_each(:ids))
"""
_TAKE_FRESH = f"""
SELECT count(*), min(id), max(id) FROM (
  SELECT id FROM deliveries WHERE id > :after AND id <= :upto AND status = {Status.PENDING:d} ORDER BY id LIMIT :limit
)
"""
_NEXT_CHUNK = """
SELECT k.id, k.campaign, k.medium, k.first, k.last, k.ids, k.epoch, k.turn, k.closes_at, c.revision
FROM chunks AS k JOIN campaigns AS c ON c.number = k.campaign
WHERE k.owner IS NULL AND k.opens_at <= :now AND k.closes_at > :now
  AND c.is_paused = 0 AND c.deleted_at IS NULL AND (c.media >> k.medium & 1) = 1
  AND k.medium IN (SELECT value FROM json_each(:media))
  AND k.campaign * 4 + k.medium NOT IN (SELECT value FROM json_each(:excepted))
ORDER BY k.turn, k.id LIMIT 1
"""
_IN_RANGE = "id BETWEEN :first AND :last"
_IN_LIST = "id IN (SELECT value FROM json_each(:ids))"
_CLAIMABLE = f"""status IN ({Status.PENDING:d}, {Status.WAITING_FOR_RETRY:d})
  AND due_at <= :now AND attempts_left > 0 AND dial IS NOT NULL"""
_CLAIM_ROWS = """
SELECT json_group_array(json_array(id, dial, text, tries + 1, attempts_left, coalesce(revision, :revision))) FROM (
  SELECT id, dial, text, tries, attempts_left, revision FROM deliveries WHERE {where} AND {claimable} ORDER BY id
)
"""
_CLAIM = f"""
UPDATE deliveries SET status = {Status.SENDING:d}, revision = coalesce(revision, :revision)
WHERE {{where}} AND {_CLAIMABLE}
"""
_WITHDRAWN = f"""
SELECT json_group_array(id) FROM deliveries
WHERE {{where}} AND (status <> {Status.SENDING:d} OR attempts_left <= 0)
"""
_WAIT_AGAIN = f"""
UPDATE deliveries SET
  status = CASE WHEN :deleted OR attempts_left <= 0 THEN {Status.CANCELLED:d}
    WHEN last_error <> 0 THEN {Status.WAITING_FOR_RETRY:d} ELSE {Status.PENDING:d} END,
  last_error = CASE WHEN :deleted OR attempts_left <= 0 THEN {DeliveryCode.CANCELLED:d} ELSE last_error END,
  revision = CASE WHEN last_error = 0 THEN NULL ELSE revision END
WHERE {{where}} AND status = {Status.SENDING:d}
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
_withdrawn = _both(_WITHDRAWN)
_wait_again = _both(_WAIT_AGAIN)
_stranded = _both(_STRANDED)

_decode_claimed = msgspec.json.Decoder(list[ClaimedDelivery]).decode
_decode_ids = msgspec.json.Decoder(list[int]).decode
_decode_stranded = msgspec.json.Decoder(list[tuple[int, int, int]]).decode


class _Body(msgspec.Struct):
    """The frozen content of a revision."""

    sms: SmsSettings | None
    voice: VoiceSettings | None
    email: EmailSettings | None


_decode_body = msgspec.json.Decoder(_Body).decode


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
            rows = self._database.look(lambda connection: _lanes_of(connection, campaign=campaign).fetchall())
        else:
            rows = await self._database.read(lambda connection: _lanes(connection).fetchall())
        return [Lane(number, Medium(medium), *rest) for number, medium, *rest in rows]

    async def plan(self, cuts: Sequence[Cut], now: int) -> list[int]:
        """Cut chunks; one size for each cut, 0 where nothing was due."""
        return await self._database.write(lambda connection: [_cut(connection, cut, now) for cut in cuts])

    async def gate(self, campaign: int, medium: Medium, opens_at: int, closes_at: int) -> None:
        """Move the window of a lane's chunks that nobody has claimed."""
        values = {"of_campaign": campaign, "of_medium": int(medium), "to_opens": opens_at, "to_closes": closes_at}
        await self._database.write(lambda connection: _gate(connection, **values).rowcount)

    async def claim(self, query: ClaimQuery) -> Lease | None:
        """Lease the chunk whose turn is next, and set its deliveries to *sending*."""
        return await self._database.write(lambda connection: _claim_next(connection, query))

    async def split(self, lease: Lease, groups: Sequence[Sequence[ClaimedDelivery]]) -> list[Lease]:
        """Replace a fresh lease by one a group. Raises LeaseLost."""
        return await self._database.write(lambda connection: _split(connection, lease, groups))

    async def step(self, step: Step) -> frozenset[int]:
        """Record what is judged and move the mark. Raises LeaseLost."""

        def work(connection: sqlite3.Connection) -> frozenset[int]:
            _record(connection, step)
            span = _Span.of(step.upcoming)
            _set_mark(connection, to_mark=span.last, **_lease_key(step.lease))
            return frozenset(_decode_ids(span.execute(connection, _withdrawn).fetchone()[0]))

        return await self._database.write(work)

    async def release(self, step: Step, opens_at: int) -> None:
        """Record what is judged and end the lease. Raises LeaseLost."""

        def work(connection: sqlite3.Connection) -> None:
            deleted = _record(connection, step)
            span = _Span.of([delivery.id for delivery in step.lease.deliveries])
            _end(connection, _Ending(step.lease.chunk, span, opens_at, deleted))

        await self._database.write(work)

    async def heartbeat(self, owner: str, until: int) -> None:
        """Extend all leases of an owner."""
        await self._database.write(lambda connection: _heartbeat(connection, of_owner=owner, until=until).rowcount)

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

    async def sweep_deleted(self) -> bool:
        """Cancel some of what waits of deleted campaigns."""
        return await self._database.write(_sweep_deleted)

    async def content(self, campaign: int, revision: int, medium: Medium) -> Content | None:
        """What a campaign's revision says on a medium."""
        row = self._database.look(
            lambda connection: _content(connection, campaign=campaign, revision=revision).fetchone()
        )
        return _content_of(_decode_body(row[0]), medium, row[1]) if row else None

    async def oldest_due(self, now: int) -> dict[Medium, int]:
        """For each medium the moment since which its oldest claimable chunk waits."""
        rows = await self._database.read(lambda connection: _oldest_due(connection, now=now).fetchall())
        return {Medium(medium): since for medium, since in rows}

    def _sweep_some(
        self, connection: sqlite3.Connection, before: int, rules: Rules, now: int
    ) -> tuple[int, list[Moved]]:
        lapsed = _lapsed(connection, before=before).fetchall()
        moved: list[Moved] = []
        for chunk, number, medium, first, last, ids, mark, opens_at in lapsed:
            campaign = self._campaigns.find_number(connection, number)
            assert campaign is not None  # rows of campaigns are never removed
            span = _Span(first, last, ids)
            deleted = campaign.deleted_at is not None
            rule = rules(campaign, Medium(medium))
            judged = []
            for delivery, attempt, left in _decode_stranded(
                span.execute(connection, _stranded, mark=mark).fetchone()[0]
            ):
                change = decide(Fate.UNCERTAIN, DeliveryCode.UNCERTAIN, Tried(attempt, left, now), rule)
                judged.append(Judged(delivery, attempt, after_deletion(change, deleted), "", now))
                moved.append(Moved(number, Medium(medium), change.code, change.retry_at is not None))
            record(connection, judged)
            _end(connection, _Ending(chunk, span, opens_at, deleted))
        return len(lapsed), moved


def _cut(connection: sqlite3.Connection, cut: Cut, now: int) -> int:
    place = {"campaign": cut.campaign, "medium": int(cut.medium)}
    size, ids = connection.execute(_TAKE_DUE, {"now": now, "limit": cut.limit, **place}).fetchone()
    if size:
        connection.execute(_FORGET_DUE, {"now": now, "ids": ids, **place})
        listed = _decode_ids(ids)
        _insert_chunk(connection, cut, _Span(listed[0], listed[-1], ids), size, now)
        return int(size)
    lane = _lane(connection, **place).fetchone()
    if lane is None or lane[0] >= lane[1]:
        return 0
    planned, contacts = lane
    bounds = {
        "after": delivery_id(cut.campaign, cut.medium, planned),
        "upto": delivery_id(cut.campaign, cut.medium, contacts),
    }
    size, first, last = connection.execute(_TAKE_FRESH, {"limit": cut.limit, **bounds}).fetchone()
    if size:
        _insert_chunk(connection, cut, _Span(first, last, None), size, now)
    to = number_of(last) if size == cut.limit else contacts
    _set_planned(connection, of_campaign=cut.campaign, of_medium=int(cut.medium), to=to)
    return int(size)


def _insert_chunk(connection: sqlite3.Connection, cut: Cut, span: _Span, size: int, now: int) -> None:
    _add_chunk(
        connection,
        id=None,
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
    )


def _claim_next(connection: sqlite3.Connection, query: ClaimQuery) -> Lease | None:
    wanted = {
        "now": query.now,
        "media": pack([int(medium) for medium in query.media]),
        "excepted": pack([campaign * 4 + medium for campaign, medium in query.except_lanes]),
    }
    while True:
        row = connection.execute(_NEXT_CHUNK, wanted).fetchone()
        if row is None:
            return None
        chunk, campaign, medium, first, last, ids, epoch, turn, closes_at, revision = row
        span = _Span(first, last, ids)
        values = {"now": query.now, "revision": revision}
        claimed = _decode_claimed(span.execute(connection, _claim_rows, **values).fetchone()[0])
        if not claimed:
            _drop(connection, chunk=chunk)
            continue
        span.execute(connection, _claim, **values)
        # From here on the chunk names exactly what it claimed, so that no other chunk's deliveries are taken for its.
        exact = _Span.of([delivery.id for delivery in claimed])
        kept = None if (exact.first, exact.last, exact.ids) == (first, last, None) else pack([d.id for d in claimed])
        leased = {"to_owner": query.owner, "to_epoch": epoch + 1, "until": query.until, "to_ids": kept}
        _lease(connection, chunk=chunk, **leased)
        return Lease(chunk, campaign, Medium(medium), query.owner, epoch + 1, query.until, turn, closes_at, claimed)


def _lease_key(lease: Lease) -> dict[str, object]:
    return {"chunk": lease.chunk, "of_owner": lease.owner, "of_epoch": lease.epoch}


def _split(connection: sqlite3.Connection, lease: Lease, groups: Sequence[Sequence[ClaimedDelivery]]) -> list[Lease]:
    if _hold(connection, **_lease_key(lease)).rowcount == 0:
        raise LeaseLost
    leases = []
    for group in groups:
        span = _Span.of([delivery.id for delivery in group])
        cut = Cut(lease.campaign, lease.medium, len(group), lease.turn, 0, lease.closes_at)
        _insert_chunk(connection, cut, span, len(group), 0)
        chunk = connection.execute("SELECT last_insert_rowid()").fetchone()[0]
        _lease(connection, chunk=chunk, to_owner=lease.owner, to_epoch=1, until=lease.until, to_ids=span.ids)
        leases.append(replace(lease, chunk=chunk, epoch=1, deliveries=list(group)))
    _drop(connection, chunk=lease.chunk)
    return leases


def _record(connection: sqlite3.Connection, step: Step) -> bool:
    """Write what a lease's owner judged; tell whether its campaign is deleted. Raises LeaseLost before any change."""
    if _hold(connection, **_lease_key(step.lease)).rowcount == 0:
        raise LeaseLost
    deleted = _deleted_at(connection, campaign=step.lease.campaign).fetchone()[0] is not None
    judged = step.judged
    if deleted:
        judged = [msgspec.structs.replace(one, change=after_deletion(one.change, True)) for one in judged]
    record(connection, judged)
    return deleted


@dataclass(frozen=True, slots=True)
class _Ending:
    """A lease that ends, and from when what is left of its chunk may be claimed again."""

    chunk: int
    span: _Span
    opens_at: int
    deleted: bool


def _end(connection: sqlite3.Connection, ending: _Ending) -> None:
    left = ending.span.execute(connection, _wait_again, deleted=ending.deleted).rowcount
    if left and not ending.deleted:
        _give_back(connection, chunk=ending.chunk, to_opens=ending.opens_at)
    else:
        _drop(connection, chunk=ending.chunk)


def _sweep_deleted(connection: sqlite3.Connection) -> bool:
    lane = _deleted_lane(connection).fetchone()
    if lane is None:
        return False
    campaign, medium, cancelled, contacts = lane
    upto = min(cancelled + CANCELLED_AT_ONCE, contacts)
    _cancel_range(
        connection,
        after=delivery_id(campaign, medium, cancelled),
        upto=delivery_id(campaign, medium, upto),
    )
    if upto < contacts:
        _set_cancelled(connection, of_campaign=campaign, of_medium=medium, to=upto)
        return True
    for statement in (_drop_lane, _drop_due, _drop_chunks):
        statement(connection, campaign=campaign, medium=medium)
    return True


def _content_of(body: _Body, medium: Medium, guid: str) -> Content | None:
    if medium is Medium.SMS and body.sms:
        return Content(medium, body.sms.from_number or "", body.sms.text or "", campaign=guid)
    if medium is Medium.EMAIL and body.email:
        email = body.email
        return Content(medium, email.from_address or "", email.html or "", email.subject or "", guid)
    if medium is Medium.VOICE and body.voice:
        return Content(medium, body.voice.calling_number or "", body.voice.text or "", campaign=guid)
    return None
