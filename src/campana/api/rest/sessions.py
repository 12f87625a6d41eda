"""Owns the sessions of the REST door: opening one, looking at the one that is used, closing it.

Must not know how a session is kept.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from campana.api.rest.operation import Answer, Call, Operations, Says
from campana.api.rest.shapes import ScopeName
from campana.domain.errors import MethodCode, MethodError

operation = Operations("Sessions")

Token = Annotated[
    str,
    Meta(
        description="To be sent as `Authorization: Bearer TOKEN`. It is shown only here.",
        examples=["_-J_fvk1PNv8fCOv0Y"],
    ),
]


class NewSession(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Who wants to come in."""

    account: Annotated[str, Meta(max_length=200, description="The account's id.", examples=["acme"])]
    user: Annotated[str, Meta(max_length=200, description="The user's name.", examples=["ann"])]
    password: Annotated[str, Meta(max_length=1_000, description="The user's password.", examples=["open sesame"])]


class OpenedSession(msgspec.Struct, frozen=True):
    """A session that was opened."""

    token: Token
    expires_in: Annotated[int, Meta(description="Seconds without use after which it ends.", examples=[1200])]


class Session(msgspec.Struct, frozen=True):
    """The session or key that the request came with."""

    account: Annotated[str, Meta(description="The account's id.", examples=["acme"])]
    user: Annotated[str, Meta(description="The user's name.", examples=["ann"])]
    role: Annotated[str, Meta(description="The user's role.", examples=["operator"])]
    scopes: Annotated[list[ScopeName], Meta(description="What it may be used for.")]
    expires_in: Annotated[
        int | None, Meta(description="Seconds without use after which a session ends; null for a key.", examples=[1200])
    ]


@operation(
    "POST",
    "/sessions",
    Says(
        public=True,
        status=201,
        refuses=(MethodCode.INVALID_CREDENTIALS, MethodCode.TOO_MANY_ATTEMPTS),
        idempotent=False,
        example={"account": "acme", "user": "ann", "password": "open sesame"},
    ),
)
async def open_session(call: Call[NewSession, None]) -> Answer[OpenedSession]:
    """Open a session.

    It is the same as a session of SOAP, and ends after 20 minutes without use (`[sessions] idle_minutes`). An unknown
    account, an unknown user and a wrong password are answered alike. An Idempotency-Key is accepted and changes
    nothing: no token is ever kept to be answered again, so that a repeated request opens another session.
    """
    given, sessions = call.body, call.services.sessions
    token = await sessions.open(given.account, given.user, given.password, call.source)
    return Answer(OpenedSession(token, sessions.idle_seconds), headers={"location": f"{call.base}/sessions/current"})


@operation("GET", "/sessions/current")
async def get_session(call: Call[None, None]) -> Answer[Session]:
    """Tell who is calling.

    Also for an API key: it tells whether the key is good, and for what.
    """
    assert call.caller is not None
    user, caller = call.who.user, call.caller
    expires_in = call.services.sessions.idle_seconds if caller.token else None
    scopes: list[Any] = sorted(caller.scopes)
    return Answer(Session(user.account.id, user.name, user.role, scopes, expires_in))


@operation("DELETE", "/sessions/current", Says(status=204))
async def close_session(call: Call[None, None]) -> Answer[None]:
    """Close the session that the request came with.

    An API key has no session: 42.
    """
    assert call.caller is not None
    if not call.caller.token:
        raise MethodError(MethodCode.INVALID_REQUEST, "The request came with an API key, which has no session.")
    await call.services.sessions.close(call.caller.token)
    return Answer(None)
