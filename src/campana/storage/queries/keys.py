"""Owns the portable statements on API keys.

Must not be run here: a store compiles them for its database.
"""

from __future__ import annotations

from sqlalchemy import and_, bindparam, insert, or_, select, update

from campana.storage.queries.accounts import USER_COLUMNS
from campana.storage.tables import accounts, users
from campana.storage.tables_of_doors import api_keys

_KEY = (
    api_keys.c.id,
    api_keys.c.name,
    api_keys.c.prefix,
    api_keys.c.scopes,
    api_keys.c.created_at,
    api_keys.c.expires_at,
    api_keys.c.revoked_at,
    api_keys.c.last_used_at,
    api_keys.c.per_minute,
)
KEY_COLUMNS = _KEY + USER_COLUMNS
"""What `key_row` takes, in its order."""
_of_user = (
    select(*KEY_COLUMNS)
    .join_from(api_keys, users, api_keys.c.user == users.c.number)
    .join(accounts, users.c.account == accounts.c.number)
)
add = insert(api_keys)
again = (
    update(api_keys)
    .where(api_keys.c.id == bindparam("key"))
    .values(prefix=bindparam("to_prefix"), key_hash=bindparam("to_hash"))
)
find_hash = _of_user.where(api_keys.c.key_hash == bindparam("hash"))
find = _of_user.where(api_keys.c.id == bindparam("key"), users.c.account == bindparam("account"))
page_of_user = (
    _of_user.where(
        api_keys.c.user == bindparam("user"),
        users.c.account == bindparam("account"),
        or_(bindparam("first") == 1, api_keys.c.id > bindparam("after", type_=api_keys.c.id.type)),
    )
    .order_by(api_keys.c.id)
    .limit(bindparam("most"))
)
page = (
    _of_user.where(
        users.c.account == bindparam("account"),
        or_(bindparam("first") == 1, api_keys.c.id > bindparam("after", type_=api_keys.c.id.type)),
    )
    .order_by(api_keys.c.id)
    .limit(bindparam("most"))
)
revoke = (
    update(api_keys)
    .where(api_keys.c.id == bindparam("key"), api_keys.c.revoked_at.is_(None))
    .values(revoked_at=bindparam("at"))
)
touch = (
    update(api_keys)
    .where(
        and_(
            api_keys.c.id == bindparam("key"),
            or_(api_keys.c.last_used_at.is_(None), api_keys.c.last_used_at < bindparam("at")),
        )
    )
    .values(last_used_at=bindparam("at"))
)
