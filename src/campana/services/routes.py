"""Owns what may be asked about routes: how each that is configured is right now. No secrets, no addresses.

Must not know how a route sends, nor how processes tell each other of theirs: a RouteView says it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from campana.domain.delivery import Medium
from campana.domain.errors import MethodCode, MethodError
from campana.services.principal import Principal


@dataclass(frozen=True, slots=True)
class RouteState:
    """A route as it is right now."""

    name: str
    channel: str
    medium: Medium
    health: str
    """`up`, `connecting` or `down`, as the process that runs it says; `unknown` where none does."""
    reason: str
    """Why it is not up, for a person; blank where it is, or another process runs it."""
    accounts: tuple[str, ...] = ()
    """Accounts that may use it; empty means all."""

    def serves(self, account: str) -> bool:
        """Whether it is for an account (without case)."""
        return not self.accounts or account.casefold() in {name.casefold() for name in self.accounts}


class RouteView(Protocol):
    """Sees the routes of this process and of the others on the same database."""

    def __call__(self) -> Sequence[RouteState]:
        """All that are configured, by name."""


def no_routes() -> Sequence[RouteState]:
    """The view of a process that knows of none."""
    return ()


class RouteService:
    """The routes of whoever asks: those that serve their account. Used from one event loop."""

    def __init__(self, view: RouteView) -> None:
        self._view = view

    async def list(self, who: Principal) -> Sequence[RouteState]:
        """The account's routes, by name. All of its users may see them."""
        return [state for state in self._view() if state.serves(who.account.id)]

    async def get(self, who: Principal, name: str) -> RouteState:
        """A route. Raises 40 NotFound."""
        for state in await self.list(who):
            if state.name == name:
                return state
        raise MethodError(MethodCode.NOT_FOUND, "There is no route of this name.")
