"""Owns routes as resources: how each is, without addresses and secrets.

Must not know how a route sends.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from campana.api.rest.operation import Answer, Call, Operations, Says
from campana.api.rest.shapes import MediumName, medium_name
from campana.domain.errors import MethodCode
from campana.services.routes import RouteState
from campana.services.scopes import Scope

operation = Operations("Routes")


class Route(msgspec.Struct, frozen=True):
    """A configured way out, as it is right now."""

    name: Annotated[str, Meta(description="As it stands with every attempt.", examples=["smsc-1"])]
    medium: MediumName
    health: Annotated[
        Literal["up", "connecting", "down", "unknown"],
        Meta(description="Whether it takes messages; `unknown` where no process runs it.", examples=["up"]),
    ]
    reason: Annotated[str, Meta(description="Why it is not up, for a person; blank where it is.")]


class Routes(msgspec.Struct, frozen=True):
    """All routes, in one page."""

    items: list[Route]
    next: Annotated[str | None, Meta(description="Always null: all routes are in one page.")] = None


def _shown(state: RouteState) -> Route:
    return Route(state.name, medium_name(state.medium), state.health, state.reason)  # type: ignore[arg-type]  # a health


@operation("GET", "/routes", Says(scope=Scope.CAMPAIGNS_READ))
async def list_routes(call: Call[None, None]) -> Answer[Routes]:
    """List the routes by which the account's messages may go."""
    return Answer(Routes([_shown(state) for state in await call.services.routes.list(call.who)]))


@operation("GET", "/routes/{name}", Says(scope=Scope.CAMPAIGNS_READ, refuses=(MethodCode.NOT_FOUND,)))
async def get_route(call: Call[None, None]) -> Answer[Route]:
    """Read how a route is."""
    return Answer(_shown(await call.services.routes.get(call.who, call.path["name"])))
