"""Owns the portable statements on campaigns.

Must not be run here: a store compiles them for its database.
"""

from __future__ import annotations

from sqlalchemy import bindparam, func, insert, select, update

from campana.storage.compiled import insert_keyless
from campana.storage.tables import accounts, campaigns, contents, lanes, users

_COLUMNS = (
    campaigns.c.number,
    campaigns.c.version,
    campaigns.c.account,
    campaigns.c.owner,
    users.c.role,
    campaigns.c.revision,
    campaigns.c.deleted_at,
    campaigns.c.contacts,
    accounts.c.id,
    accounts.c.time_zone,
    campaigns.c.body,
    campaigns.c.cancelled_at,
    users.c.name,
)
_joined = (
    select(*_COLUMNS)
    .join_from(campaigns, users, campaigns.c.owner == users.c.number)
    .join(accounts, campaigns.c.account == accounts.c.number)
)
_alive = campaigns.c.deleted_at.is_(None)
find = _joined.where(campaigns.c.account == bindparam("account"), campaigns.c.guid == bindparam("guid"), _alive)
find_number = _joined.where(campaigns.c.number == bindparam("number"))
count = select(func.count()).select_from(campaigns).where(campaigns.c.account == bindparam("account"), _alive)
alive = (
    _joined.where(_alive, campaigns.c.number > bindparam("after")).order_by(campaigns.c.number).limit(bindparam("most"))
)
_of_account = _joined.where(campaigns.c.account == bindparam("account"), _alive)
page = _of_account.where(campaigns.c.number > bindparam("after")).order_by(campaigns.c.number).limit(bindparam("most"))
page_down = (
    _of_account.where(campaigns.c.number < bindparam("after"))
    .order_by(campaigns.c.number.desc())
    .limit(bindparam("most"))
)
list = _joined.where(campaigns.c.account == bindparam("account"), _alive).order_by(campaigns.c.number)
add = insert_keyless(campaigns, "cancelled_at").returning(campaigns.c.number)
add_content = insert(contents)
add_lane = insert(lanes)
replace = (
    update(campaigns)
    .where(campaigns.c.number == bindparam("campaign"))
    .values(
        revision=bindparam("to_revision"),
        version=bindparam("to_version"),
        is_paused=bindparam("paused"),
        media=bindparam("media_bits"),
        body=bindparam("to_body"),
    )
)
cancel = (
    update(campaigns)
    .where(campaigns.c.number == bindparam("campaign"), _alive, campaigns.c.cancelled_at.is_(None))
    .values(cancelled_at=bindparam("at"), media=0, version=campaigns.c.version + 1)
)
mark_deleted = (
    update(campaigns)
    .where(campaigns.c.number == bindparam("campaign"), _alive)
    .values(deleted_at=bindparam("at"), version=campaigns.c.version + 1)
)
