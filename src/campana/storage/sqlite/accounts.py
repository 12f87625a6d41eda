"""Owns accounts and users on SQLite.

Must not know what a role may do or how passwords are hashed.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from sqlalchemy import bindparam, delete, insert, select, update

from campana.storage.compiled import Compiled
from campana.storage.sqlite.database import Database
from campana.storage.store import AccountRow, Conflict, UserRow
from campana.storage.tables import accounts, sessions, users

_ACCOUNT = (accounts.c.number, accounts.c.id, accounts.c.time_zone, accounts.c.region, accounts.c.created_at)
_USER = (users.c.number, users.c.name, users.c.role, users.c.password_hash, users.c.created_at)

USER_COLUMNS = _USER + _ACCOUNT
"""What `user_row` takes, in its order."""

_add_account = Compiled(insert(accounts))
_find_account = Compiled(select(*_ACCOUNT).where(accounts.c.id_folded == bindparam("folded")))
_account = Compiled(select(*_ACCOUNT).where(accounts.c.number == bindparam("number")))
_list_accounts = Compiled(select(*_ACCOUNT).order_by(accounts.c.id_folded))
_add_user = Compiled(insert(users))
_of_user = select(*USER_COLUMNS).join_from(users, accounts, users.c.account == accounts.c.number)
_find_user = Compiled(
    _of_user.where(accounts.c.id_folded == bindparam("account_folded"), users.c.name_folded == bindparam("folded"))
)
_user = Compiled(_of_user.where(users.c.number == bindparam("number")))
_list_users = Compiled(_of_user.where(users.c.account == bindparam("account")).order_by(users.c.name_folded))
_set_password = Compiled(
    update(users).where(users.c.number == bindparam("user")).values(password_hash=bindparam("hash"))
)
_rehash = Compiled(
    update(users)
    .where(users.c.number == bindparam("user"), users.c.password_hash == bindparam("old"))
    .values(password_hash=bindparam("hash"))
)
_end_sessions = Compiled(delete(sessions).where(sessions.c.user == bindparam("user")))


def user_row(columns: tuple[Any, ...]) -> UserRow:
    """Make a UserRow of USER_COLUMNS."""
    number, name, role, password_hash, created_at, *account = columns
    return UserRow(number, AccountRow(*account), name, role, password_hash, created_at)


class SqliteAccounts:
    """Accounts and users; see the contract in storage/store.py."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_account(self, id: str, time_zone: str, region: str, at: int) -> AccountRow:
        """Raises Conflict where the id (compared without case) is in use."""

        def work(connection: sqlite3.Connection) -> AccountRow:
            folded = id.casefold()
            if _find_account(connection, folded=folded).fetchone():
                raise Conflict("account")
            row = {"id": id, "id_folded": folded, "time_zone": time_zone, "region": region, "created_at": at}
            number = _add_account(connection, number=None, **row).lastrowid
            return AccountRow(*_account(connection, number=number).fetchone())

        return await self._database.write(work)

    async def find_account(self, id: str) -> AccountRow | None:
        """Compared without case."""
        row = self._database.look(lambda connection: _find_account(connection, folded=id.casefold()).fetchone())
        return AccountRow(*row) if row else None

    async def list_accounts(self) -> list[AccountRow]:
        """All, by id."""
        rows = await self._database.read(lambda connection: _list_accounts(connection).fetchall())
        return [AccountRow(*row) for row in rows]

    async def add_user(self, account: int, name: str, role: str, password_hash: str, at: int) -> UserRow:
        """Raises Conflict where the account has a user of this name (compared without case)."""

        def work(connection: sqlite3.Connection) -> UserRow:
            folded = name.casefold()
            if any(row[1].casefold() == folded for row in _list_users(connection, account=account)):
                raise Conflict("user")
            row = {"account": account, "name": name, "name_folded": folded, "role": role, "created_at": at}
            number = _add_user(connection, number=None, password_hash=password_hash, **row).lastrowid
            return user_row(_user(connection, number=number).fetchone())

        return await self._database.write(work)

    async def find_user(self, account_id: str, name: str) -> UserRow | None:
        """Both compared without case."""
        folded = {"account_folded": account_id.casefold(), "folded": name.casefold()}
        row = self._database.look(lambda connection: _find_user(connection, **folded).fetchone())
        return user_row(row) if row else None

    async def list_users(self, account: int) -> list[UserRow]:
        """All of an account, by name."""
        rows = await self._database.read(lambda connection: _list_users(connection, account=account).fetchall())
        return [user_row(row) for row in rows]

    async def set_password(self, user: int, password_hash: str) -> None:
        """Also ends every session of the user."""

        def work(connection: sqlite3.Connection) -> None:
            _set_password(connection, user=user, hash=password_hash)
            _end_sessions(connection, user=user)

        await self._database.write(work)

    async def rehash(self, user: int, old_hash: str, new_hash: str) -> None:
        """Keep the same password under a newer hash. Does nothing where `old_hash` is not current."""
        await self._database.write(
            lambda connection: _rehash(connection, user=user, old=old_hash, hash=new_hash).rowcount
        )
