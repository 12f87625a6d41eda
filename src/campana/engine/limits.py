"""Owns the routes as the engine sees them: which one fits a delivery, and how fast each may go.

Must not know how a route sends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from campana.channels.contract import Health, Permit, Route
from campana.channels.settings import RouteSettings
from campana.domain.delivery import Medium
from campana.domain.moment import Clock
from campana.domain.rate import Pace
from campana.engine.gates import Passage


class Grant:
    """Messages that a route's pace allows to one lease; `permit` tells the pace when each leaves. To be closed."""

    __slots__ = ("_clock", "_pace", "_passage", "_unspent", "count", "permit")

    def __init__(self, count: int, passage: Passage, pace: Pace, clock: Clock, *, limited: bool) -> None:
        self.count = count
        self.permit: Permit = self._spend if limited else passage.permit
        self._unspent = count if limited else 0
        self._passage = passage
        self._pace = pace
        self._clock = clock

    def close(self) -> None:
        """Return what did not leave."""
        self._pace.give_back(self._unspent)
        self._unspent = 0

    def _spend(self) -> bool:
        if not self._passage.permit():
            return False
        if self._unspent:
            self._unspent -= 1
            self._pace.left(1, self._clock())
        return True


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

    def serves(self, account: str) -> bool:
        """Tell whether the route is for an account (without case)."""
        accounts = self.settings.accounts
        return not accounts or account.casefold() in {name.casefold() for name in accounts}

    def fits(self, account: str, destination: str) -> bool:
        """Tell whether the route serves an account (without case) and a destination.

        Destinations are number prefixes (+44) or email domains, which include their subdomains.
        """
        settings = self.settings
        if not self.serves(account):
            return False
        if not settings.destinations:
            return True
        if self.route.medium is not Medium.EMAIL:
            return destination.startswith(tuple(settings.destinations))
        domain = "." + destination.rpartition("@")[2].casefold()
        return domain.endswith(tuple("." + served.casefold().lstrip(".@") for served in settings.destinations))

    def makes_wait(self, now: int) -> bool:
        """Whether who asks for a grant now has to wait for it."""
        return self.turn.locked() or self.pace.next_at(now) > now

    async def grant(self, wanted: int, passage: Passage, clock: Clock) -> Grant | None:
        """Wait until the pace allows up to `wanted` messages; None where the passage was lost meanwhile.

        Those who wait are served in the order in which they came.
        """
        async with self.turn:
            while passage.permit():
                now = clock()
                granted = self.pace.grant(wanted, now)
                if granted:
                    # Asked for the instant of the grant: the pace counts what it granted while it was limited.
                    return Grant(granted, passage, self.pace, clock, limited=self.pace.is_limited(now))
                await passage.gate.wait(max(1, self.pace.next_at(now) - now) / 1_000)
        return None


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

    def for_all(self, medium: Medium, account: str) -> Way | None:
        """The route by which all of an account go now; None where their destinations decide, or none is up."""
        for way in self.of(medium):
            if way.serves(account) and (way.settings.destinations or way.is_up):
                return None if way.settings.destinations else way
        return None

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
        rates = [way.settings.rate for way in self.of(medium) if way.serves(account)]
        return None if not rates or None in rates else max(rate for rate in rates if rate is not None)
