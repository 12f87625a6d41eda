"""Owns the users of an account as resources: for admins, and everybody's own.

Must not know who may do what.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from campana.api.rest.operation import Answer, Call, Operations, Says
from campana.api.rest.shapes import Moment, moment, moment_or_none
from campana.domain.errors import MethodCode
from campana.services.scopes import Scope
from campana.services.users import NewUser as Wanted
from campana.storage.store import UserRow

operation = Operations("Users")

RoleName = Annotated[
    Literal["admin", "operator", "api", "agent"],
    Meta(description="What the user may do.", examples=["operator"]),
]
Password = Annotated[
    str, Meta(min_length=1, max_length=1_024, description="A password; never told again.", examples=["open sesame"])
]


class NewUser(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A user to be added."""

    name: Annotated[str, Meta(min_length=1, max_length=64, description="Unique without case.", examples=["ann"])]
    role: RoleName
    password: Password


class UserChange(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What is to change; what is left out stays."""

    role: RoleName | UnsetType = UNSET
    disabled: Annotated[bool, Meta(description="Whoever is disabled is out at once.")] | UnsetType = UNSET


class NewPassword(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A password to be set."""

    password: Password


class User(msgspec.Struct, frozen=True):
    """A user of the account."""

    name: Annotated[str, Meta(examples=["ann"])]
    role: RoleName
    disabled: bool
    created_at: Moment
    disabled_at: Moment | None


class Users(msgspec.Struct, frozen=True):
    """All users, in one page."""

    items: list[User]
    next: Annotated[str | None, Meta(description="Always null: all users are in one page.")] = None


_ADMIN = Says(scope=Scope.ACCOUNT_ADMIN)
_NO_SUCH = (MethodCode.NOT_FOUND,)


def _shown(user: UserRow) -> User:
    at = user.disabled_at
    role: Any = user.role
    return User(user.name, role, at is not None, moment(user.created_at), moment_or_none(at))


@operation("GET", "/users", _ADMIN)
async def list_users(call: Call[None, None]) -> Answer[Users]:
    """List the account's users by name."""
    return Answer(Users([_shown(user) for user in await call.services.users.list(call.who)]))


@operation(
    "POST",
    "/users",
    Says(
        scope=Scope.ACCOUNT_ADMIN,
        status=201,
        refuses=(MethodCode.ALREADY_EXISTS,),
        example={"name": "ann", "role": "operator", "password": "open sesame"},
    ),
)
async def add_user(call: Call[NewUser, None]) -> Answer[User]:
    """Add a user."""
    given = call.body
    wanted = Wanted(given.name, given.role, given.password)
    user = await call.services.users.add(call.who, wanted, again=call.again)
    return Answer(_shown(user))


@operation("GET", "/users/{name}", Says(scope=Scope.ACCOUNT_ADMIN, refuses=_NO_SUCH))
async def get_user(call: Call[None, None]) -> Answer[User]:
    """Read a user.

    Everybody may read themselves.
    """
    return Answer(_shown(await call.services.users.get(call.who, call.path["name"])))


@operation("PATCH", "/users/{name}", Says(scope=Scope.ACCOUNT_ADMIN, refuses=_NO_SUCH, example={"role": "api"}))
async def change_user(call: Call[UserChange, None]) -> Answer[User]:
    """Change a user's role, disable or enable a user.

    A user that is disabled loses every session, and its API keys are good for nothing until it is enabled. The last
    admin who may come in stays one: 3.
    """
    given = call.body
    role = None if given.role is UNSET else given.role
    disabled = None if given.disabled is UNSET else given.disabled
    return Answer(_shown(await call.services.users.change(call.who, call.path["name"], role, disabled=disabled)))


@operation("PUT", "/users/{name}/password", Says(scope=Scope.ACCOUNT_ADMIN, status=204, refuses=_NO_SUCH))
async def set_password(call: Call[NewPassword, None]) -> Answer[None]:
    """Set a password.

    It ends all sessions of the user. Admins set anybody's, everybody else their own.
    """
    await call.services.users.set_password(call.who, call.path["name"], call.body.password)
    return Answer(None)


@operation("DELETE", "/users/{name}", Says(scope=Scope.ACCOUNT_ADMIN, status=204, refuses=_NO_SUCH))
async def delete_user(call: Call[None, None]) -> Answer[None]:
    """Remove a user.

    Its sessions and API keys end, and its campaigns become those of whoever removes it. Nobody removes themselves, so
    that an admin is always left.
    """
    await call.services.users.delete(call.who, call.path["name"])
    return Answer(None)
