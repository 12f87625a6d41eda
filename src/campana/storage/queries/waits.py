"""Owns the portable statement on what one delivery waits for.

Must not be run here: a store compiles it for its database.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, bindparam, select

from campana.storage.tables import contacts, deliveries

_distance = bindparam("distance", type_=BigInteger)

find = (
    select(deliveries.c.status, deliveries.c.last_error, deliveries.c.due_at, deliveries.c.dial)
    .select_from(contacts.outerjoin(deliveries, deliveries.c.id == contacts.c.id + _distance))
    .where(
        contacts.c.campaign == bindparam("campaign"),
        contacts.c.guid == bindparam("guid"),
        contacts.c.deleted_at.is_(None),
    )
)
"""A row for a contact, of nothing where it has no delivery on the medium; `distance` is that between their ids."""
