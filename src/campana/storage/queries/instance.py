"""Owns the portable statements on which database this is.

Must not be run here: a store compiles them for its database.
"""

from __future__ import annotations

from sqlalchemy import bindparam, select, update

from campana.storage.tables import campaigns, instance

find = select(
    instance.c.id,
    instance.c.label,
    instance.c.epoch,
    instance.c.home,
    instance.c.retired,
    select(campaigns.c.number).exists().label("begun"),
).where(instance.c.number == 1)
keep = (
    update(instance)
    .where(instance.c.number == 1)
    .values(
        id=bindparam("to_id"),
        label=bindparam("to_label"),
        epoch=bindparam("to_epoch"),
        home=bindparam("to_home"),
        retired=bindparam("to_retired"),
    )
)
