"""Owns by which route something goes: the first of all that fits and is up, in this process or in another.

Must not know how a route sends, nor how fast it may.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from campana.channels.contract import Route
from campana.channels.settings import RouteSettings
from campana.domain.delivery import Medium
from campana.domain.rate import Pace
from campana.engine.limits import Way
from campana.engine.lines import Lines
from campana.engine.reach import calls_of, expected_rate, fits, most_leases, serves


@dataclass(frozen=True, slots=True)
class FarRoute:
    """A route that is configured and that other processes run."""

    settings: RouteSettings
    medium: Medium


class Others(Protocol):
    """What is known of the processes that use the same routes."""

    def is_up_elsewhere(self, route: str) -> bool: ...

    def sharers(self, route: str) -> int: ...


class Alone:
    """No other process uses any route."""

    def is_up_elsewhere(self, route: str) -> bool:
        """Nowhere else."""
        return False

    def sharers(self, route: str) -> int:
        """This process."""
        return 1


class Choice(NamedTuple):
    """By which route something goes. Without one: whether it goes by one that another process has up, or would go by
    one that is down; else none fits."""

    way: Way | None
    is_elsewhere: bool = False
    is_down: bool = False


class Ways:
    """All routes, the one with the lowest priority number first. `far` are those that other processes run."""

    def __init__(
        self,
        routes: Sequence[tuple[Route, RouteSettings]],
        far: Sequence[FarRoute] = (),
        others: Others | None = None,
    ) -> None:
        ways = [Way(route, settings, Pace(settings.rate), _lines(settings)) for route, settings in routes]
        self.all = sorted(ways, key=lambda way: way.settings.priority)
        self.lines = {way.name: way.lines for way in ways if way.lines is not None}
        """Of the routes whose messages are calls, by the route's name."""
        self._others = others or Alone()
        near = [(way.settings, way.route.medium, way) for way in self.all]
        everywhere = [*near, *((one.settings, one.medium, None) for one in far)]
        self._everywhere: list[tuple[RouteSettings, Medium, Way | None]] = sorted(
            everywhere, key=lambda one: one[0].priority
        )

    @property
    def names(self) -> frozenset[str]:
        """The names of all routes that are configured, here or elsewhere."""
        return frozenset(settings.name for settings, _, _ in self._everywhere)

    def of(self, medium: Medium) -> list[Way]:
        """The routes of a medium."""
        return [way for way in self.all if way.route.medium is medium]

    def for_all(self, medium: Medium, account: str) -> Way | None:
        """The route by which all of an account go now; None where their destinations decide, another process has the
        route, or none is up."""
        for settings, of_medium, way in self._everywhere:
            if of_medium is not medium or not serves(settings, account):
                continue
            if settings.destinations:
                return None
            if way is not None and way.is_up:
                return way
            if self._others.is_up_elsewhere(settings.name):
                return None
        return None

    def choose(self, medium: Medium, account: str, destination: str) -> Choice:
        """The first route that fits and is up, here or in another process."""
        fitting = False
        for settings, of_medium, way in self._everywhere:
            if of_medium is medium and fits(settings, medium, account, destination):
                if way is not None and way.is_up:
                    return Choice(way)
                if self._others.is_up_elsewhere(settings.name):
                    return Choice(None, is_elsewhere=True)
                fitting = True
        return Choice(None, is_down=fitting)

    def rate_of_a_lease(self, medium: Medium, account: str, usual: int) -> float | None:
        """Messages a second that one lease carries, about, by the account's fastest route; None where one has no limit.

        `usual` is the number of leases of a route without lines.
        """
        serving = [one for one, of_medium, _ in self._everywhere if of_medium is medium and serves(one, account)]
        rates = [
            rate / (most_leases(one, usual) * self._others.sharers(one.name))
            for one in serving
            if (rate := expected_rate(one)) is not None
        ]
        return max(rates) if rates and len(rates) == len(serving) else None

    def workers_of(self, medium: Medium) -> int:
        """How many processes send on a medium, at least 1."""
        names = [settings.name for settings, of_medium, _ in self._everywhere if of_medium is medium]
        return max([self._others.sharers(name) for name in names], default=1)


def _lines(settings: RouteSettings) -> Lines | None:
    calls = calls_of(settings)
    return None if calls is None else Lines(calls)
