"""Owns the portable statements on accounts.

Must not be run here: a store compiles them for its database.
"""

from __future__ import annotations

from sqlalchemy import bindparam, delete, select, update

from campana.storage.compiled import insert_keyless
from campana.storage.tables import accounts, campaigns, sessions, users
from campana.storage.tables_of_doors import api_keys

_ACCOUNT = (accounts.c.number, accounts.c.id, accounts.c.time_zone, accounts.c.region, accounts.c.created_at)
_USER = (users.c.number, users.c.name, users.c.role, users.c.password_hash, users.c.created_at, users.c.disabled_at)
USER_COLUMNS = _USER + _ACCOUNT
"""What `user_row` takes, in its order."""
add_account = insert_keyless(accounts, "webhook_secret", "earlier_secret", "earlier_until").returning(accounts.c.number)
find_account = select(*_ACCOUNT).where(accounts.c.id_folded == bindparam("folded"))
account = select(*_ACCOUNT).where(accounts.c.number == bindparam("number"))
list_accounts = select(*_ACCOUNT).order_by(accounts.c.id_folded)
add_user = insert_keyless(users, "disabled_at").returning(users.c.number)
_of_user = select(*USER_COLUMNS).join_from(users, accounts, users.c.account == accounts.c.number)
find_user = _of_user.where(
    accounts.c.id_folded == bindparam("account_folded"), users.c.name_folded == bindparam("folded")
)
user = _of_user.where(users.c.number == bindparam("number"))
list_users = _of_user.where(users.c.account == bindparam("account")).order_by(users.c.name_folded)
set_password = update(users).where(users.c.number == bindparam("user")).values(password_hash=bindparam("hash"))
rehash = (
    update(users)
    .where(users.c.number == bindparam("user"), users.c.password_hash == bindparam("old"))
    .values(password_hash=bindparam("hash"))
)
set_account = (
    update(accounts)
    .where(accounts.c.number == bindparam("account"))
    .values(time_zone=bindparam("to_zone"), region=bindparam("to_region"))
)
change_user = (
    update(users)
    .where(users.c.number == bindparam("user"))
    .values(role=bindparam("to_role"), disabled_at=bindparam("to_disabled_at"))
)
admins = select(users.c.number).where(
    users.c.account == bindparam("account"), users.c.role == "admin", users.c.disabled_at.is_(None)
)
bequeath = update(campaigns).where(campaigns.c.owner == bindparam("user")).values(owner=bindparam("heir"))
end_keys = delete(api_keys).where(api_keys.c.user == bindparam("user"))
remove_user = delete(users).where(users.c.number == bindparam("user"))
end_sessions = delete(sessions).where(sessions.c.user == bindparam("user"))
