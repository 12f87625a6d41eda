"""Owns accounts and users on SQLite.

Must not know what a role may do or how passwords are hashed.
"""

from __future__ import annotations

import sqlite3

from campana.domain.text.characters import is_keepable
from campana.storage.compiled import run
from campana.storage.queries import accounts as queries
from campana.storage.rows import user_row
from campana.storage.sqlite.database import Database
from campana.storage.store import ADMIN, AccountRow, Change, Conflict, UserRow


def _refused(connection: sqlite3.Connection, user: int, *, stays: bool) -> Change | None:
    """Why a user cannot be changed; `stays` is whether it is an admin who may come in afterwards."""
    row = run(connection, queries.user, number=user).fetchone()
    if row is None:
        return Change.GONE
    admins = {one[0] for one in run(connection, queries.admins, account=user_row(row).account.number)}
    return Change.LAST_ADMIN if admins == {user} and not stays else None


class SqliteAccounts:
    """Accounts and users; see the contract in storage/store.py."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_account(self, id: str, time_zone: str, region: str, at: int) -> AccountRow:
        """Raises Conflict where the id (compared without case) is in use."""

        def work(connection: sqlite3.Connection) -> AccountRow:
            folded = id.casefold()
            if run(connection, queries.find_account, folded=folded).fetchone():
                raise Conflict("account")
            row = {"id": id, "id_folded": folded, "time_zone": time_zone, "region": region, "created_at": at}
            number = run(connection, queries.add_account, **row).fetchone()[0]
            return AccountRow(*run(connection, queries.account, number=number).fetchone())

        return await self._database.write(work)

    async def find_account(self, id: str) -> AccountRow | None:
        """Compared without case."""
        if not is_keepable(id):
            return None
        row = self._database.look(
            lambda connection: run(connection, queries.find_account, folded=id.casefold()).fetchone()
        )
        return AccountRow(*row) if row else None

    async def list_accounts(self) -> list[AccountRow]:
        """All, by id."""
        rows = await self._database.read(lambda connection: run(connection, queries.list_accounts).fetchall())
        return [AccountRow(*row) for row in rows]

    async def add_user(self, account: int, name: str, role: str, password_hash: str, at: int) -> UserRow:
        """Raises Conflict where the account has a user of this name (compared without case)."""

        def work(connection: sqlite3.Connection) -> UserRow:
            folded = name.casefold()
            if any(row[1].casefold() == folded for row in run(connection, queries.list_users, account=account)):
                raise Conflict("user")
            row = {"account": account, "name": name, "name_folded": folded, "role": role, "created_at": at}
            number = run(connection, queries.add_user, password_hash=password_hash, **row).fetchone()[0]
            return user_row(run(connection, queries.user, number=number).fetchone())

        return await self._database.write(work)

    async def find_user(self, account_id: str, name: str) -> UserRow | None:
        """Both compared without case."""
        if not is_keepable(account_id + name):
            return None
        folded = {"account_folded": account_id.casefold(), "folded": name.casefold()}
        row = self._database.look(lambda connection: run(connection, queries.find_user, **folded).fetchone())
        return user_row(row) if row else None

    async def list_users(self, account: int) -> list[UserRow]:
        """All of an account, by name."""
        rows = await self._database.read(
            lambda connection: run(connection, queries.list_users, account=account).fetchall()
        )
        return [user_row(row) for row in rows]

    async def set_password(self, user: int, password_hash: str) -> None:
        """Also ends every session of the user."""

        def work(connection: sqlite3.Connection) -> None:
            run(connection, queries.set_password, user=user, hash=password_hash)
            run(connection, queries.end_sessions, user=user)

        await self._database.write(work)

    async def set_account(self, account: int, time_zone: str, region: str) -> AccountRow | None:
        """Change what holds for all of an account."""

        def work(connection: sqlite3.Connection) -> AccountRow | None:
            run(connection, queries.set_account, account=account, to_zone=time_zone, to_region=region)
            row = run(connection, queries.account, number=account).fetchone()
            return AccountRow(*row) if row else None

        return await self._database.write(work)

    async def change_user(self, user: int, role: str, disabled_at: int | None) -> Change:
        """Give a user a role, and disable or enable it."""

        def work(connection: sqlite3.Connection) -> Change:
            stays = role == ADMIN and disabled_at is None
            refused = _refused(connection, user, stays=stays)
            if refused is None:
                run(connection, queries.change_user, user=user, to_role=role, to_disabled_at=disabled_at)
                if disabled_at is not None:
                    run(connection, queries.end_sessions, user=user)
            return refused or Change.DONE

        return await self._database.write(work)

    async def delete_user(self, user: int, heir: int) -> Change:
        """Remove a user with its sessions and keys; its campaigns become the heir's."""

        def work(connection: sqlite3.Connection) -> Change:
            refused = _refused(connection, user, stays=False)
            if refused is None:
                run(connection, queries.bequeath, user=user, heir=heir)
                for statement in (queries.end_sessions, queries.end_keys, queries.remove_user):
                    run(connection, statement, user=user)
            return refused or Change.DONE

        return await self._database.write(work)

    async def rehash(self, user: int, old_hash: str, new_hash: str) -> None:
        """Keep the same password under a newer hash. Does nothing where `old_hash` is not current."""
        await self._database.write(
            lambda connection: run(connection, queries.rehash, user=user, old=old_hash, hash=new_hash).rowcount
        )
