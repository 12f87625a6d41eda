"""Owns the portable statements on receipts.

Must not be run here: a store compiles them for its database.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, ColumnElement, Integer, bindparam, delete, func, literal, select

from campana.domain.delivery import Medium
from campana.storage.compiled import insert_keyless
from campana.storage.tables import (
    CONTACT_BITS,
    MEDIUM_BITS,
    NEVER,
    attempts,
    deliveries,
    early_receipts,
    handovers,
    incoming,
)


def _medium(delivery: ColumnElement[int]) -> ColumnElement[int]:
    return delivery.op(">>")(literal(CONTACT_BITS, Integer)).op("&")((1 << MEDIUM_BITS) - 1)


add_early = insert_keyless(early_receipts)
purge_early = delete(early_receipts).where(early_receipts.c.at < bindparam("before"))
_younger = handovers.alias()
_first_in_time = (
    select(_younger.c.id)
    .where(_younger.c.at >= bindparam("before"), _younger.c.at <= bindparam("now"))
    .order_by(_younger.c.id)
    .limit(1)
    .scalar_subquery()
)
"""What was taken first of all that is not overdue: ids rise with time, so that nothing behind it is. What a clock that
ran ahead has dated to the future tells nothing."""
# Not joined: PostgreSQL would read every delivery where it expects much.
_attempt = (attempts.c.delivery == handovers.c.delivery, attempts.c.attempt == handovers.c.attempt)
_dial = select(deliveries.c.dial).where(deliveries.c.id == handovers.c.delivery).scalar_subquery()
_waited_for = (
    select(
        handovers.c.id,
        handovers.c.route,
        handovers.c.carrier_id,
        handovers.c.delivery,
        handovers.c.attempt,
        handovers.c.at,
        select(attempts.c.at).where(*_attempt).scalar_subquery(),
        _dial,
        select(deliveries.c.revision).where(deliveries.c.id == handovers.c.delivery).scalar_subquery(),
    )
    # Those of deliveries that were removed meanwhile are nobody's, and go with the next removal.
    .where(_dial.is_not(None))
    .limit(bindparam("most"))
)
# Spelled so that no index on the route is taken: PostgreSQL is to go by the ids and stop.
_of_route = handovers.c.route.concat("") == bindparam("route")
overdue = _waited_for.where(
    handovers.c.id < func.coalesce(_first_in_time, literal(NEVER, BigInteger)),
    _of_route,
    handovers.c.at < bindparam("before"),
).order_by(handovers.c.id)
calls_of = _waited_for.where(
    # A range of the index on carriers' ids: what follows the mark in an id are hexadecimal digits.
    handovers.c.carrier_id >= bindparam("mark"),
    handovers.c.carrier_id < bindparam("mark") + "g",
    _medium(handovers.c.delivery) == int(Medium.VOICE),
)
routes = select(handovers.c.route).distinct()
add_incoming = insert_keyless(incoming)
messages = (
    select(
        incoming.c.id,
        incoming.c.at,
        incoming.c.route,
        incoming.c.medium,
        incoming.c.source,
        incoming.c.destination,
        incoming.c.text,
        incoming.c.delivery,
    )
    .where(incoming.c.id > bindparam("after"))
    .order_by(incoming.c.id)
    .limit(bindparam("most"))
)
last_sent_to = (
    select(deliveries.c.id)
    .join_from(deliveries, attempts, attempts.c.delivery == deliveries.c.id)
    .where(
        deliveries.c.dial == bindparam("dial"),
        _medium(deliveries.c.id) == bindparam("medium"),
    )
    .order_by(attempts.c.at.desc())
    .limit(1)
)
