"""Owns the portable statements on attempts.

Must not be run here: a store compiles them for its database.
"""

from __future__ import annotations

from sqlalchemy import Integer, and_, bindparam, literal, or_, select

from campana.storage.tables import CONTACT_BITS, MEDIUM_BITS, attempts, calls, contacts

# A contact's id in its delivery's: the medium between campaign and running number is left out. PostgreSQL shifts a
# bigint by an integer alone.
_contact = (
    attempts.c.delivery.op(">>")(literal(CONTACT_BITS + MEDIUM_BITS, Integer))
    .op("<<")(literal(CONTACT_BITS, Integer))
    .op("|")(attempts.c.delivery.op("&")((1 << CONTACT_BITS) - 1))
)
# Not joined: PostgreSQL would read every contact for one attempt, as long as it does not know how many there are.
_guid = (
    select(contacts.c.guid)
    .where(contacts.c.id == _contact, contacts.c.deleted_at.is_(None))
    .correlate(attempts)
    .scalar_subquery()
)
page = (
    select(
        _guid,
        attempts,
        calls.c.began_at,
        calls.c.ended_at,
        calls.c.ringing_ms,
        calls.c.answered_at,
        calls.c.heard_ms,
        calls.c.plays,
        calls.c.digits,
        calls.c.acknowledged,
        calls.c.ended_by,
        calls.c.sip_status,
        calls.c.q850,
        calls.c.reason,
    )
    .outerjoin_from(
        attempts,
        calls,
        and_(
            calls.c.delivery == attempts.c.delivery,
            calls.c.attempt == attempts.c.attempt,
            calls.c.delivery.between(bindparam("after"), bindparam("upto")),
        ),
    )
    .where(
        attempts.c.delivery >= bindparam("after"),
        attempts.c.delivery <= bindparam("upto"),
        or_(attempts.c.delivery > bindparam("after"), attempts.c.attempt > bindparam("after_attempt")),
        _guid.is_not(None),
    )
    .order_by(attempts.c.delivery, attempts.c.attempt)
    .limit(bindparam("most"))
)
"""Attempts that come after one of them, up to a delivery."""
