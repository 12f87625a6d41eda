"""Owns how all configured routes are, as far as this process knows: its own by its engine, others by the members.

Must not know who asks.
"""

from __future__ import annotations

from collections.abc import Sequence

from campana.channels.registry import CHANNELS
from campana.config import Settings
from campana.domain.delivery import Medium
from campana.domain.waiting import Reach
from campana.engine.membership import Membership
from campana.engine.reach import fits
from campana.engine.runner import Engine
from campana.services.routes import RouteState

UNKNOWN = "unknown"
UP = "up"


class RouteBoard:
    """A RouteView. The engine is hung up once it is made, for the services are made before it."""

    def __init__(self, settings: Settings, membership: Membership | None) -> None:
        self._routes = sorted(settings.routes, key=lambda one: one.name)
        self._membership = membership
        self.engine: Engine | None = None

    def __call__(self) -> Sequence[RouteState]:
        """All that are configured, by name."""
        near = {} if self.engine is None else self.engine.routes()
        states = []
        for one in self._routes:
            facts = near.get(one.name) or {"health": self._elsewhere(one.name), "reason": ""}
            medium = CHANNELS[one.channel].medium
            states.append(
                RouteState(one.name, one.channel, medium, facts["health"], facts["reason"], tuple(one.accounts))
            )
        return states

    def reach(self, medium: Medium, account: str, destination: str) -> Reach:
        """How the routes are that lead an account (its id) to a destination."""
        fitting = {one.name for one in self._routes if fits(one, CHANNELS[one.channel].medium, account, destination)}
        found = [state for state in self() if state.name in fitting and state.medium is medium]
        if not found:
            return Reach.NONE
        return Reach.UP if any(state.health == UP for state in found) else Reach.DOWN

    def _elsewhere(self, route: str) -> str:
        """The best that other processes say of a route."""
        if self._membership is None:
            return UNKNOWN
        said = [one.routes[route] for one in self._membership.members if route in one.routes]
        return UP if UP in said else next(iter(said), UNKNOWN)
