"""Owns the portable statements on deliveries as people look at them.

Must not be run here: a store compiles them for its database.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, SmallInteger, bindparam, case, func, literal, or_, select, update

from campana.domain.delivery import Status
from campana.domain.outcome import DeliveryCode
from campana.storage.deliveries import ANY_STATUS
from campana.storage.tables import CONTACT_BITS, NEVER, contacts, deliveries

_next = (
    select(deliveries)
    .where(deliveries.c.id > bindparam("after"), deliveries.c.id <= bindparam("upto"))
    .order_by(deliveries.c.id)
    .limit(bindparam("reach"))
    .subquery()
)
_number = _next.c.id.op("&")(literal((1 << CONTACT_BITS) - 1, BigInteger))
_status = bindparam("status", type_=SmallInteger)
page = (
    select(
        _next.c.id,
        contacts.c.guid,
        contacts.c.reference,
        _next.c.status,
        _next.c.last_error,
        _next.c.attempts_left,
        _next.c.tries,
        _next.c.due_at,
        _next.c.destination,
    )
    # A contact's id is a sum of its campaign's first and its number.
    .join_from(_next, contacts, contacts.c.id == bindparam("base") + _number)
    # Spelled so that PostgreSQL does not read the index on those that are not deleted as a whole.
    .where(func.coalesce(contacts.c.deleted_at, 0) == 0, or_(_next.c.status == _status, _status == ANY_STATUS))
    .order_by(_next.c.id)
    .limit(bindparam("most"))
)
passed = select(func.count(), func.max(_next.c.id))
one = (
    select(
        contacts.c.guid,
        contacts.c.reference,
        deliveries.c.status,
        deliveries.c.last_error,
        deliveries.c.attempts_left,
        deliveries.c.tries,
        deliveries.c.due_at,
        deliveries.c.destination,
    )
    .join_from(contacts, deliveries, deliveries.c.id == contacts.c.id + bindparam("distance"))
    .where(
        contacts.c.campaign == bindparam("campaign"),
        contacts.c.guid == bindparam("guid"),
        contacts.c.deleted_at.is_(None),
    )
)
_held = (
    deliveries.c.id == bindparam("delivery"),
    deliveries.c.status == int(Status.WAITING_FOR_RETRY),
    deliveries.c.last_error == int(DeliveryCode.UNCERTAIN_HELD),
    deliveries.c.due_at == NEVER,
)
send_again = (
    update(deliveries)
    .where(*_held)
    .values(
        due_at=bindparam("at"),
        last_error=int(DeliveryCode.UNCERTAIN),
        attempts_left=case((deliveries.c.attempts_left < 1, 1), else_=deliveries.c.attempts_left),
    )
)
give_up = (
    update(deliveries)
    .where(*_held)
    .values(due_at=0, last_error=int(DeliveryCode.UNCERTAIN), status=int(Status.PERMANENT_FAILURE))
)
