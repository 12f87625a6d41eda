"""Owns what a process is for, and to which routes it is pinned.

Must not build anything.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum

from campana.channels.settings import RouteSettings
from campana.config import ConfigError, Settings


class Role(Enum):
    """What a process does: all of it, or a part where several share a PostgreSQL database."""

    SERVE = "serve"
    API = "api"
    WORKER = "worker"

    @property
    def has_doors(self) -> bool:
        """Whether clients come to it."""
        return self is not Role.WORKER

    @property
    def has_engine(self) -> bool:
        """Whether it plans, sends and records."""
        return self is not Role.API


@dataclass(frozen=True, slots=True)
class Pins:
    """The channels and routes that a worker is kept to; none means all."""

    channels: frozenset[str] = frozenset()
    routes: frozenset[str] = frozenset()

    def check(self, settings: Settings) -> None:
        """Raises ConfigError where a name is not configured, or nothing is left."""
        _all_known("channel", self.channels, {route.channel for route in settings.routes})
        _all_known("route", self.routes, {route.name for route in settings.routes})
        if settings.routes and not any(self.holds(route) for route in settings.routes):
            raise ConfigError(["no configured route has both one of these channels and one of these names"])

    def holds(self, route: RouteSettings) -> bool:
        """Whether the process runs a route."""
        of_channel = not self.channels or route.channel in self.channels
        return of_channel and (not self.routes or route.name in self.routes)


def _all_known(what: str, wanted: Collection[str], known: Collection[str]) -> None:
    unknown = sorted(set(wanted) - set(known))
    if unknown:
        there = ", ".join(sorted(known)) or "none"
        raise ConfigError([f"there is no {what} {', '.join(unknown)} in the configuration; there are: {there}"])
