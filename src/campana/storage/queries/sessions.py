"""Owns the portable statements on sessions.

Must not be run here: a store compiles them for its database.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, LargeBinary, bindparam, delete, insert, select, update

from campana.storage.queries.accounts import USER_COLUMNS
from campana.storage.tables import accounts, failures, sessions, users

OPENED = ("token_hash", "user", "opened_at", "last_used_at")
opening = select(
    bindparam("token", type_=LargeBinary),
    users.c.number,
    bindparam("at", type_=BigInteger),
    bindparam("at", type_=BigInteger),
).where(users.c.number == bindparam("user"), users.c.password_hash == bindparam("hash"), users.c.disabled_at.is_(None))
open = insert(sessions).from_select(OPENED, opening)
find = (
    select(sessions.c.opened_at, sessions.c.last_used_at, *USER_COLUMNS)
    .join_from(sessions, users, sessions.c.user == users.c.number)
    .join(accounts, users.c.account == accounts.c.number)
    .where(sessions.c.token_hash == bindparam("token"))
)
touch = (
    update(sessions)
    .where(sessions.c.token_hash == bindparam("token"), sessions.c.last_used_at < bindparam("at"))
    .values(last_used_at=bindparam("at"))
)
close = delete(sessions).where(sessions.c.token_hash == bindparam("token"))
purge = delete(sessions).where(sessions.c.last_used_at < bindparam("since"))
purge_failures = delete(failures).where(
    failures.c.first_at < bindparam("since"), failures.c.locked_until < bindparam("since")
)
failures_of = select(failures.c.count, failures.c.first_at, failures.c.locked_until, failures.c.moments).where(
    failures.c.key == bindparam("key")
)
forget_failures = delete(failures).where(failures.c.key == bindparam("key"))
keep_failures = insert(failures)
