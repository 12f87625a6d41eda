"""Owns the routes as the engine sees them: which one fits a delivery, and how fast each may go.

Must not know how a route sends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from campana.channels.contract import Health, Route
from campana.channels.settings import RouteSettings
from campana.domain.delivery import Medium
from campana.domain.moment import Clock
from campana.domain.rate import Pace
from campana.engine.gates import Gate


@dataclass(slots=True)
class Way:
    """A route with its settings and its pace."""

    route: Route
    settings: RouteSettings
    pace: Pace
    leases: int = 0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def name(self) -> str:
        """The route's name."""
        return self.route.name

    @property
    def is_up(self) -> bool:
        """Whether it can take messages."""
        return self.route.state.health is Health.UP

    def fits(self, account: str, destination: str) -> bool:
        """Tell whether the route serves an account (without case) and a destination.

        Destinations are number prefixes (+44) or email domains, which include their subdomains.
        """
        settings = self.settings
        if settings.accounts and account.casefold() not in {name.casefold() for name in settings.accounts}:
            return False
        if not settings.destinations:
            return True
        if self.route.medium is not Medium.EMAIL:
            return destination.startswith(tuple(settings.destinations))
        domain = "." + destination.rpartition("@")[2].casefold()
        return domain.endswith(tuple("." + served.casefold().lstrip(".@") for served in settings.destinations))

    async def grant(self, wanted: int, gate: Gate, clock: Clock) -> int:
        """Wait until the pace allows up to `wanted` messages; 0 where the gate shut meanwhile.

        Those who wait are served in the order in which they came.
        """
        async with self.turn:
            while gate.permit():
                now = clock()
                granted = self.pace.grant(wanted, now)
                if granted:
                    return granted
                await _shut_or_wait(gate, max(1, self.pace.next_at(now) - now) / 1_000)
        return 0


async def _shut_or_wait(gate: Gate, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await gate.shut.wait()
    except TimeoutError:
        pass


class Ways:
    """All routes, the one with the lowest priority number first."""

    def __init__(self, routes: Sequence[tuple[Route, RouteSettings]]) -> None:
        ways = [Way(route, settings, Pace(settings.rate)) for route, settings in routes]
        self.all = sorted(ways, key=lambda way: way.settings.priority)

    def of(self, medium: Medium) -> list[Way]:
        """The routes of a medium."""
        return [way for way in self.all if way.route.medium is medium]

    def named(self, name: str) -> Way | None:
        """The route of a name."""
        return next((way for way in self.all if way.name == name), None)

    def choose(self, medium: Medium, account: str, destination: str) -> tuple[Way | None, bool]:
        """The first route that fits and is up; and whether any fits at all."""
        fitting = False
        for way in self.all:
            if way.route.medium is medium and way.fits(account, destination):
                if way.is_up:
                    return way, True
                fitting = True
        return None, fitting

    def best_rate(self, medium: Medium, account: str) -> float | None:
        """Messages a second of the account's fastest route; None where one has no limit."""
        rates = [way.settings.rate for way in self.of(medium) if not way.settings.accounts or way.fits(account, "")]
        return None if not rates or None in rates else max(rate for rate in rates if rate is not None)
