"""Owns what admins ask about the users of their account: adding, listing, roles, disabling, passwords, removing.

Must not know how a door words them, nor how passwords are hashed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from campana.domain.errors import MethodCode, MethodError
from campana.services.accounts import AccountError, check_name, check_password
from campana.services.principal import Principal, Role
from campana.services.tools import Tools
from campana.storage.store import Accounts, Change, Conflict, UserRow

_SAID = {
    Change.LAST_ADMIN: MethodError(
        MethodCode.ACCESS_DENIED, "The account would have no admin any more who may come in.", field="role"
    ),
    Change.GONE: MethodError(MethodCode.NOT_FOUND, "The account has no such user."),
}


@dataclass(frozen=True, slots=True)
class NewUser:
    """A user to be added."""

    name: str
    role: str
    password: str


class UserService:
    """Users of the account of whoever asks, who must be an admin of it. Used from one event loop."""

    def __init__(self, accounts: Accounts, tools: Tools) -> None:
        self._accounts = accounts
        self._clock = tools.clock
        self._passwords = tools.passwords

    async def list(self, who: Principal) -> Sequence[UserRow]:
        """All users, by name. Raises 3 AccessDenied."""
        _demand_admin(who)
        return await self._accounts.list_users(who.account.number)

    async def get(self, who: Principal, name: str) -> UserRow:
        """A user. Raises 3 AccessDenied, 40 NotFound. Everybody may see themselves."""
        if name.casefold() != who.user.name.casefold():
            _demand_admin(who)
        return await self._find(who, name)

    async def add(self, who: Principal, new: NewUser, *, again: bool = False) -> UserRow:
        """Add a user. Raises 3 AccessDenied, 42 InvalidRequest, 41 AlreadyExists.

        `again` is said where an earlier try may have added the same user: then that one is the answer.
        """
        _demand_admin(who)
        _obey(check_name, "name", "user name", new.name)
        _obey(check_password, "password", new.password)
        hashed = await self._passwords.hash(new.password)
        try:
            return await self._accounts.add_user(who.account.number, new.name, new.role, hashed, self._clock())
        except Conflict:
            there = await self._accounts.find_user(who.account.id, new.name) if again else None
            if there is None or there.role != new.role or not await self._knows(there, new.password):
                said = "The account has a user of this name already."
                raise MethodError(MethodCode.ALREADY_EXISTS, said, field="name") from None
            return there

    async def change(self, who: Principal, name: str, role: str | None, *, disabled: bool | None) -> UserRow:
        """Give a user another role, disable or enable it; None leaves it as it is. Whoever is disabled is out at once.

        Raises, in this order, 3 AccessDenied, 40 NotFound, 3 for the last admin.
        """
        _demand_admin(who)
        user = await self._find(who, name)
        since = user.disabled_at
        if disabled is not None:
            since = (since or self._clock()) if disabled else None
        _demand_done(await self._accounts.change_user(user.number, role or user.role, since))
        return await self._find(who, name)

    async def set_password(self, who: Principal, name: str, password: str) -> None:
        """Set a password and end all sessions of the user: an admin anybody's, everybody their own.

        Raises 3 AccessDenied, 42 InvalidRequest, 40 NotFound.
        """
        if name.casefold() != who.user.name.casefold():
            _demand_admin(who)
        _obey(check_password, "password", password)
        user = await self._find(who, name)
        await self._accounts.set_password(user.number, await self._passwords.hash(password))

    async def delete(self, who: Principal, name: str) -> None:
        """Remove a user, with sessions and keys; the user's campaigns become those of whoever asks.

        Raises, in this order, 3 AccessDenied, 40 NotFound, 42 InvalidRequest for oneself.
        """
        _demand_admin(who)
        user = await self._find(who, name)
        if user.number == who.user.number:
            raise MethodError(MethodCode.INVALID_REQUEST, "Nobody can remove themselves.")
        _demand_done(await self._accounts.delete_user(user.number, who.user.number))

    async def _find(self, who: Principal, name: str) -> UserRow:
        user = await self._accounts.find_user(who.account.id, name)
        if user is None:
            raise _SAID[Change.GONE]
        return user

    async def _knows(self, user: UserRow, password: str) -> bool:
        return await self._passwords.verify(user.password_hash, password)


def _demand_admin(who: Principal) -> None:
    if who.role != Role.ADMIN:
        raise MethodError(MethodCode.ACCESS_DENIED, f"The role {who.role} may not manage users.")


def _demand_done(change: Change) -> None:
    if change is not Change.DONE:
        said = _SAID[change]
        raise MethodError(said.code, said.sentence)


def _obey(check: object, field: str, *given: str) -> None:
    try:
        check(*given)  # type: ignore[operator]  # two checks of different arity
    except AccountError as error:
        raise MethodError(MethodCode.INVALID_REQUEST, str(error), field=field) from None
