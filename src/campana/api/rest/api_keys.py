"""Owns API keys as resources: making one, which tells it once, listing, reading and revoking.

Must not know how a key is kept.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from campana.api.rest.cursors import read_cursor, write_cursor
from campana.api.rest.operation import Answer, Call, Operations, Says
from campana.api.rest.shapes import Cursor, Id, Limit, Moment, ScopeName, instant, moment, moment_or_none
from campana.domain.errors import MethodCode
from campana.services.keys import Wanted
from campana.services.scopes import Scope
from campana.storage.doors import KeyRow

operation = Operations("API keys")

PerMinute = Annotated[
    int, Meta(ge=1, le=1_000_000, description="Requests a minute that this key may make of one process.")
]
Scopes = Annotated[list[ScopeName], Meta(min_length=1, max_length=20, description="What the key may be used for.")]


class NewApiKey(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A key to be made, for the user who asks."""

    name: Annotated[str, Meta(min_length=1, max_length=100, description="What it is for.", examples=["billing"])]
    scopes: Scopes
    expires_at: Annotated[Moment | None, Meta(description="From when on it is good for nothing.")] = None
    per_minute: PerMinute | None = None


class ApiKey(msgspec.Struct, frozen=True):
    """A key, without its secret."""

    id: Id
    name: str
    user: Annotated[str, Meta(description="For whom it acts.", examples=["ann"])]
    prefix: Annotated[str, Meta(description="How it begins.", examples=["ck_8hXq2LpA"])]
    scopes: Scopes
    created_at: Moment
    expires_at: Moment | None
    revoked_at: Moment | None
    last_used_at: Annotated[Moment | None, Meta(description="To the minute; null: it never was.")]
    per_minute: PerMinute | None


class MadeApiKey(ApiKey, frozen=True, kw_only=True):
    """A key that was made."""

    key: Annotated[str, Meta(description="The key itself. It is told only here, and cannot be read again.")]


class ApiKeys(msgspec.Struct, frozen=True):
    """A page of keys."""

    items: list[ApiKey]
    next: Annotated[str | None, Meta(description="The cursor of the next page; null at the end.")]


class KeyQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Which page of keys is asked for."""

    limit: Limit = 100
    cursor: Cursor = ""


def _shown(row: KeyRow) -> ApiKey:
    return ApiKey(**_fields(row))  # type: ignore[arg-type]  # field by field


def _fields(row: KeyRow) -> dict[str, object]:
    return {
        "id": row.id,
        "name": row.name,
        "user": row.user.name,
        "prefix": row.prefix,
        "scopes": list(row.scopes),
        "created_at": moment(row.created_at),
        "expires_at": moment_or_none(row.expires_at),
        "revoked_at": moment_or_none(row.revoked_at),
        "last_used_at": moment_or_none(row.last_used_at),
        "per_minute": row.per_minute,
    }


@operation(
    "POST",
    "/api-keys",
    Says(
        scope=Scope.ACCOUNT_ADMIN,
        status=201,
        refuses=(MethodCode.LIMIT_EXCEEDED,),
        example={"name": "billing", "scopes": ["campaigns:read", "contacts:write"]},
    ),
)
async def make_api_key(call: Call[NewApiKey, None]) -> Answer[MadeApiKey]:
    """Make an API key.

    It acts as the user who makes it, within its scopes, which must be among the maker's own. The answer tells the
    key, this once: keep it as you would a password.
    """
    assert call.caller is not None
    given = call.body
    expires_at = None if given.expires_at is None else instant(given.expires_at, "expires_at")
    wanted = Wanted(given.name, frozenset(map(Scope, given.scopes)), expires_at, given.per_minute)
    row, key = await call.services.keys.add(call.who, call.caller.scopes, wanted, call.new_id)
    made = MadeApiKey(**_fields(row), key=key)  # type: ignore[arg-type]  # field by field
    return Answer(made, headers={"location": f"{call.base}/api-keys/{row.id}"})


@operation("GET", "/api-keys", Says(scope=Scope.ACCOUNT_ADMIN))
async def list_api_keys(call: Call[None, KeyQuery]) -> Answer[ApiKeys]:
    """List API keys, the oldest first.

    Admins see those of all users, everybody else their own.
    """
    query = call.query
    (after,) = read_cursor(query.cursor, "api-keys", str) or ("",)
    rows = await call.services.keys.list(call.who, after, query.limit)
    more = write_cursor("api-keys", rows[-1].id) if len(rows) == query.limit else None
    return Answer(ApiKeys([_shown(row) for row in rows], more))


@operation("GET", "/api-keys/{id}", Says(scope=Scope.ACCOUNT_ADMIN, refuses=(MethodCode.NOT_FOUND,)))
async def get_api_key(call: Call[None, None]) -> Answer[ApiKey]:
    """Read an API key, without its secret."""
    return Answer(_shown(await call.services.keys.get(call.who, call.guid("id"))))


@operation("DELETE", "/api-keys/{id}", Says(scope=Scope.ACCOUNT_ADMIN, status=204, refuses=(MethodCode.NOT_FOUND,)))
async def revoke_api_key(call: Call[None, None]) -> Answer[None]:
    """Revoke an API key.

    From now on it is good for nothing, in every process. It stays in the list; to revoke it again changes nothing.
    """
    await call.services.keys.revoke(call.who, call.guid("id"))
    return Answer(None)
