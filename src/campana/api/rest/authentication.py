"""Owns how a caller shows who they are: a bearer token (RFC 6750) that is a session's, or an API key.

Must not know what they may do but by scope, nor how sessions and keys are kept.
"""

from __future__ import annotations

from hashlib import sha256

from campana.api.rest.operation import Caller
from campana.domain.errors import MethodCode, MethodError
from campana.services.house import Services
from campana.services.keys import looks_like_key
from campana.services.scopes import ALL_SCOPES, Scope

LONGEST_TOKEN = 200


async def authenticate(services: Services, authorization: str, *, agent: bool, source: str) -> Caller:
    """Who calls, by the Authorization header. `source` is the address that the request came from.

    Raises 1 InvalidSession, 4 TooManyAttempts.
    """
    scheme, _, token = authorization.strip().partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token or len(token) > LONGEST_TOKEN or not token.isascii():
        said = "The Authorization header should be `Bearer` and a session's token or an API key."
        raise MethodError(MethodCode.INVALID_SESSION, said)
    if looks_like_key(token):
        holder = await services.keys.resume(token, source, agent=agent)
        own = holder.row.per_minute
        return Caller(holder.principal, sha256(token.encode()).digest(), holder.scopes, per_minute=own)
    principal = await services.sessions.resume(token, agent=agent)
    return Caller(principal, sha256(token.encode()).digest(), ALL_SCOPES, token=token)


def demand_scope(caller: Caller, scope: Scope | None) -> None:
    """Raises 3 AccessDenied where the key may not be used for it."""
    if scope is not None and scope not in caller.scopes:
        raise MethodError(MethodCode.ACCESS_DENIED, f"The API key lacks the scope {scope.value}.")
