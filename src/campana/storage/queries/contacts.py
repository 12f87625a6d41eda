"""Owns the portable statements on contacts.

Must not be run here: a store compiles them for its database.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Select,
    Subquery,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    select,
    update,
)

from campana.domain.delivery import Status
from campana.domain.outcome import DeliveryCode
from campana.storage.compiled import among
from campana.storage.tables import campaigns, chunks, contacts, deliveries, due, lanes

_alive = contacts.c.deleted_at.is_(None)
counter = select(campaigns.c.contacts, campaigns.c.deleted_at, campaigns.c.cancelled_at).where(
    campaigns.c.number == bindparam("campaign")
)
cancelled_at = select(campaigns.c.cancelled_at).where(campaigns.c.number == bindparam("campaign"))
count_up = update(campaigns).where(campaigns.c.number == bindparam("campaign")).values(contacts=bindparam("to"))
find = select(contacts.c.id).where(
    contacts.c.campaign == bindparam("campaign"), contacts.c.guid == bindparam("guid"), _alive
)
find_person = select(contacts.c.id, contacts.c.name, contacts.c.reference, contacts.c.fields).where(
    contacts.c.campaign == bindparam("campaign"), contacts.c.guid == bindparam("guid"), _alive
)
set_person = (
    update(contacts)
    .where(contacts.c.id == bindparam("contact"))
    .values(name=bindparam("to_name"), reference=bindparam("to_reference"), fields=bindparam("to_fields"))
)
states = select(
    deliveries.c.id,
    deliveries.c.destination,
    deliveries.c.text,
    deliveries.c.status,
    deliveries.c.last_error,
    deliveries.c.attempts_left,
).where(among(deliveries.c.id, [bindparam("sms"), bindparam("voice"), bindparam("email")]))
_told = (
    contacts.c.id,
    contacts.c.guid,
    contacts.c.created_at,
    contacts.c.name,
    contacts.c.reference,
    contacts.c.fields,
)
_alive_of = select(*_told).where(contacts.c.campaign == bindparam("campaign"), _alive)


def _with_media(page: Subquery) -> Select[Any]:
    """Contacts with all their media: a delivery's id is its contact's plus a distance that a whole campaign shares."""
    columns: list[ColumnElement[Any]] = list(page.c)
    joined: FromClause = page
    for name in ("sms", "voice", "email"):
        one = deliveries.alias(name)
        joined = joined.outerjoin(one, one.c.id == page.c.id + bindparam(f"to_{name}", type_=BigInteger))
        columns += [one.c.destination, one.c.text, one.c.status, one.c.last_error, one.c.attempts_left]
    return select(*columns).select_from(joined).order_by(page.c.id)


details_of_one = _with_media(_alive_of.where(contacts.c.guid == bindparam("guid")).subquery("c"))
details_by_reference = _with_media(
    _alive_of.where(contacts.c.reference == bindparam("reference"), contacts.c.id > bindparam("after"))
    .order_by(contacts.c.id)
    .limit(bindparam("most"))
    .subquery("c")
)
_page = (
    select(*_told)
    .where(contacts.c.id > bindparam("after"), contacts.c.id <= bindparam("upto"), _alive)
    .order_by(contacts.c.id)
    .limit(bindparam("most"))
    .subquery("c")
)
details = _with_media(_page)
unbegun = (
    select(
        _page.c.id,
        _page.c.guid,
        _page.c.name,
        _page.c.reference,
        _page.c.fields,
        deliveries.c.text.is_not(None),
        and_(
            deliveries.c.status == Status.PENDING, deliveries.c.revision.is_(None), deliveries.c.dial.is_not(None)
        ).is_(True),
    )
    .select_from(_page)
    .outerjoin(deliveries, deliveries.c.id == _page.c.id + bindparam("to_medium", type_=BigInteger))
    .order_by(_page.c.id)
)
"""All contacts of a page, the last column telling whether one has yet to begin on a medium."""
edit = (
    update(deliveries)
    .where(deliveries.c.id == bindparam("delivery"))
    .values(
        destination=bindparam("to_destination"),
        dial=bindparam("to_dial"),
        text=bindparam("to_text"),
        attempts_left=bindparam("to_attempts"),
    )
)
restart = (
    update(deliveries)
    .where(deliveries.c.id == bindparam("delivery"))
    .values(
        destination=bindparam("to_destination"),
        dial=bindparam("to_dial"),
        text=bindparam("to_text"),
        attempts_left=bindparam("to_attempts"),
        status=bindparam("to_status"),
        last_error=0,
        revision=None,
        due_at=bindparam("at"),
    )
)
add_delivery = insert(deliveries)
planned = select(lanes.c.planned).where(
    lanes.c.campaign == bindparam("campaign"), lanes.c.medium == bindparam("medium")
)
count_waiting = (
    select(func.count())
    .select_from(deliveries)
    .where(
        deliveries.c.id > bindparam("after"),
        deliveries.c.id <= bindparam("upto"),
        among(deliveries.c.status, [Status.PENDING, Status.SENDING, Status.WAITING_FOR_RETRY]),
    )
)
mark_deleted = update(contacts).where(contacts.c.id == bindparam("contact")).values(deleted_at=bindparam("at"))
_not_handed_over = (
    select(chunks.c.id)
    .where(
        chunks.c.campaign == bindparam("campaign"),
        chunks.c.medium == bindparam("medium"),
        chunks.c.owner.is_not(None),
        chunks.c.first <= deliveries.c.id,
        chunks.c.last >= deliveries.c.id,
        chunks.c.mark >= deliveries.c.id,
    )
    .exists()
)
cancel = (
    update(deliveries)
    .where(
        deliveries.c.id == bindparam("delivery"),
        among(deliveries.c.status, [Status.PENDING, Status.SENDING, Status.WAITING_FOR_RETRY]),
    )
    .values(
        attempts_left=0,
        status=case(
            (and_(deliveries.c.status == Status.SENDING, _not_handed_over), deliveries.c.status),
            else_=int(Status.CANCELLED),
        ),
        last_error=case(
            (and_(deliveries.c.status == Status.SENDING, _not_handed_over), deliveries.c.last_error),
            else_=int(DeliveryCode.CANCELLED),
        ),
    )
)
withdraw = (
    update(chunks)
    .where(
        chunks.c.campaign == bindparam("of_campaign"),
        chunks.c.medium == bindparam("of_medium"),
        chunks.c.owner.is_not(None),
        chunks.c.first <= bindparam("delivery"),
        chunks.c.last >= bindparam("delivery"),
    )
    .values(size=chunks.c.size - 1)
)
"""For the lease's next step to see that something was withdrawn. Not more than that: its chunk's list may not name it.
"""
no_more = update(deliveries).where(deliveries.c.id == bindparam("delivery")).values(attempts_left=0)
forget_due = delete(due).where(
    due.c.campaign == bindparam("campaign"),
    due.c.medium == bindparam("medium"),
    # The whole key: a lane may have a million of them.
    due.c.at == select(deliveries.c.due_at).where(deliveries.c.id == bindparam("delivery")).scalar_subquery(),
    due.c.delivery == bindparam("delivery"),
)
