"""Owns the portable statements on river.

Must not be run here: a store compiles them for its database.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Select, and_, bindparam, delete, exists, func, or_, select, update

from campana.domain.delivery import Status
from campana.domain.outcome import DeliveryCode
from campana.storage.compiled import among, insert_keyless
from campana.storage.tables import campaigns, chunks, contents, deliveries, due, lanes

_place = (due.c.campaign == bindparam("campaign"), due.c.medium == bindparam("medium"))
_next_due = (
    select(func.min(due.c.at))
    .where(due.c.campaign == lanes.c.campaign, due.c.medium == lanes.c.medium)
    .scalar_subquery()
)


def _lanes_to_plan(*which: ColumnElement[bool]) -> Select[Any]:
    """Lanes with something to plan or chunks that wait; `which` says whose chunks are to be counted."""
    waiting = (
        select(
            chunks.c.campaign,
            chunks.c.medium,
            func.count().label("waiting"),
            func.min(chunks.c.opens_at).label("first_opens"),
            func.max(chunks.c.opens_at).label("last_opens"),
            func.min(chunks.c.closes_at).label("first_closes"),
            func.max(chunks.c.closes_at).label("last_closes"),
        )
        .where(chunks.c.owner.is_(None), *which)
        .group_by(chunks.c.campaign, chunks.c.medium)
        .subquery()
    )
    return (
        select(
            lanes.c.campaign,
            lanes.c.medium,
            lanes.c.account,
            campaigns.c.contacts - lanes.c.planned,
            _next_due,
            waiting.c.waiting,
            waiting.c.first_opens,
            waiting.c.last_opens,
            waiting.c.first_closes,
            waiting.c.last_closes,
        )
        .join_from(lanes, campaigns, campaigns.c.number == lanes.c.campaign)
        .outerjoin(waiting, and_(waiting.c.campaign == lanes.c.campaign, waiting.c.medium == lanes.c.medium))
        .where(
            campaigns.c.deleted_at.is_(None),
            campaigns.c.media.op(">>")(lanes.c.medium).op("&")(1) == 1,
            or_(
                campaigns.c.contacts > lanes.c.planned,
                waiting.c.waiting > 0,
                exists().where(due.c.campaign == lanes.c.campaign, due.c.medium == lanes.c.medium),
            ),
        )
    )


all_lanes = _lanes_to_plan()
lanes_of = _lanes_to_plan(chunks.c.campaign == bindparam("campaign")).where(lanes.c.campaign == bindparam("campaign"))
lane = (
    select(lanes.c.planned, campaigns.c.contacts)
    .join_from(lanes, campaigns, campaigns.c.number == lanes.c.campaign)
    .where(lanes.c.campaign == bindparam("campaign"), lanes.c.medium == bindparam("medium"))
)
set_planned = (
    update(lanes)
    .where(lanes.c.campaign == bindparam("of_campaign"), lanes.c.medium == bindparam("of_medium"))
    .values(planned=bindparam("to"))
)
add_chunk = insert_keyless(chunks).returning(chunks.c.id)
gate = (
    update(chunks)
    .where(
        chunks.c.campaign == bindparam("of_campaign"),
        chunks.c.medium == bindparam("of_medium"),
        chunks.c.owner.is_(None),
    )
    .values(opens_at=bindparam("to_opens"), closes_at=bindparam("to_closes"))
)
set_lease = (
    update(chunks)
    .where(chunks.c.id == bindparam("chunk"))
    .values(
        owner=bindparam("to_owner"),
        epoch=bindparam("to_epoch"),
        lease_until=bindparam("until"),
        mark=0,
        ids=bindparam("to_ids"),
        size=bindparam("to_size"),
    )
)
shorten = (
    update(chunks).where(chunks.c.id == bindparam("chunk")).values(ids=bindparam("to_ids"), size=bindparam("to_size"))
)
give_back = (
    update(chunks)
    .where(chunks.c.id == bindparam("chunk"))
    .values(owner=None, opens_at=bindparam("to_opens"), size=bindparam("to_size"))
)
drop = delete(chunks).where(chunks.c.id == bindparam("chunk"))
lapsed = (
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
    .limit(bindparam("most"))
)
lane_that_is_over = (
    select(
        lanes.c.campaign,
        lanes.c.medium,
        func.coalesce(lanes.c.cancelled, 0),
        campaigns.c.contacts,
        campaigns.c.deleted_at,
    )
    .join_from(lanes, campaigns, campaigns.c.number == lanes.c.campaign)
    .where(or_(campaigns.c.deleted_at.is_not(None), campaigns.c.cancelled_at.is_not(None)))
    .limit(1)
)
waiting_range = (
    select(deliveries.c.id, deliveries.c.status)
    .where(
        deliveries.c.id > bindparam("after"),
        deliveries.c.id <= bindparam("upto"),
        among(deliveries.c.status, [Status.PENDING, Status.WAITING_FOR_RETRY]),
    )
    .order_by(deliveries.c.id)
)
cancel_range = (
    update(deliveries)
    .where(
        deliveries.c.id > bindparam("after"),
        deliveries.c.id <= bindparam("upto"),
        among(deliveries.c.status, [Status.PENDING, Status.WAITING_FOR_RETRY]),
    )
    .values(status=int(Status.CANCELLED), last_error=int(DeliveryCode.CANCELLED))
)
set_cancelled = (
    update(lanes)
    .where(lanes.c.campaign == bindparam("of_campaign"), lanes.c.medium == bindparam("of_medium"))
    .values(cancelled=bindparam("to"))
)
drop_lane = delete(lanes).where(lanes.c.campaign == bindparam("campaign"), lanes.c.medium == bindparam("medium"))
drop_due = delete(due).where(*_place)
drop_chunks = delete(chunks).where(
    chunks.c.campaign == bindparam("campaign"), chunks.c.medium == bindparam("medium"), chunks.c.owner.is_(None)
)
content = (
    select(contents.c.body, campaigns.c.guid)
    .join_from(contents, campaigns, campaigns.c.number == contents.c.campaign)
    .where(contents.c.campaign == bindparam("campaign"), contents.c.revision == bindparam("revision"))
)
oldest_due = (
    select(chunks.c.medium, func.min(chunks.c.due_at))
    .join_from(chunks, campaigns, campaigns.c.number == chunks.c.campaign)
    .where(
        chunks.c.owner.is_(None),
        chunks.c.opens_at <= bindparam("now"),
        chunks.c.closes_at > bindparam("now"),
        # As claims ask: work that nobody may do is not late.
        campaigns.c.is_paused == 0,
        campaigns.c.deleted_at.is_(None),
        campaigns.c.media.op(">>")(chunks.c.medium).op("&")(1) == 1,
    )
    .group_by(chunks.c.medium)
)
