"""Owns the routes as the engine sees them: which one fits a delivery, how fast each may go and how much it carries.

Must not know how a route sends.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from campana.channels.contract import Health, Permit, Route
from campana.channels.settings import RouteSettings
from campana.domain.delivery import Medium, Status
from campana.domain.moment import Clock
from campana.domain.rate import Pace
from campana.engine.gates import Passage
from campana.engine.lines import Lines
from campana.storage.river import Judged

CALL_SECONDS = 20.0
"""How long a call occupies its line, about."""
SETUP_SECONDS = 1.2
"""A route with lines answers `send` after this long at most, about: until then, its lease cannot go on."""
FASTEST_SETUPS = 50.0
"""Calls that a route sets up per second at most, where its settings do not say."""


class Grant:
    """Messages that a route's pace allows to one lease; `permit` tells the pace when each leaves. To be closed.

    Of a route with lines it is one message, and the line that it takes.
    """

    __slots__ = ("_clock", "_pace", "_passage", "_unspent", "count", "line", "permit")

    def __init__(self, count: int, passage: Passage, pace: Pace, clock: Clock, *, limited: bool) -> None:
        self.count = count
        self.permit: Permit = self._spend if limited else passage.permit
        self._unspent = count if limited else 0
        self._passage = passage
        self._pace = pace
        self._clock = clock
        self.line: Lines | None = None

    def hold(self, judged: Sequence[Judged]) -> None:
        """Keep the line for a call that the carrier took, until it is told that the call is over."""
        if self.line is None:
            return
        for one in judged:
            if one.change.status is Status.DELIVERING:
                self.line.hold(one.carrier_ids[0])
                self.line = None
                return

    def close(self) -> None:
        """Return what did not leave, and the line that no call holds."""
        self._pace.give_back(self._unspent)
        self._unspent = 0
        if self.line is not None:
            self.line.give_back()
            self.line = None

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
    lines: Lines | None = None
    """Of a route whose messages are calls: how many at a time."""
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

    def most_leases(self, usual: int) -> int:
        """How many leases go by the route at a time, where it is `usual` for others.

        A lease waits for each call until that is set up: with lines, there are as many as keep up the rate.
        """
        if self.lines is None:
            return usual
        setups = math.ceil((self.settings.rate or FASTEST_SETUPS) * SETUP_SECONDS)
        return min(self.lines.most, max(usual, setups))

    @property
    def expected_rate(self) -> float | None:
        """Messages a second that the route carries, about; None where nothing limits it."""
        rate = self.settings.rate
        if self.lines is None:
            return rate
        calls = self.lines.most / CALL_SECONDS
        return calls if rate is None else min(rate, calls)

    def makes_wait(self, now: int) -> bool:
        """Whether who asks for a grant now has to wait for it."""
        no_line = self.lines is not None and not self.lines.free
        return no_line or self.turn.locked() or self.pace.next_at(now) > now

    async def grant(self, wanted: int, passage: Passage, clock: Clock) -> Grant | None:
        """Wait until the pace allows up to `wanted` messages; None where the passage was lost meanwhile.

        Those who wait are served in the order in which they came. With lines, one message is granted, with its line.
        """
        if self.lines is None:
            return await self._paced(wanted, passage, clock)
        if not await self.lines.take(passage):
            return None
        grant = None
        try:
            grant = await self._paced(1, passage, clock)
        finally:
            if grant is None:
                self.lines.give_back()
        if grant is not None:
            grant.line = self.lines
        return grant

    async def _paced(self, wanted: int, passage: Passage, clock: Clock) -> Grant | None:
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
        ways = [Way(route, settings, Pace(settings.rate), _lines(settings)) for route, settings in routes]
        self.all = sorted(ways, key=lambda way: way.settings.priority)
        self.lines = {way.name: way.lines for way in ways if way.lines is not None}
        """Of the routes whose messages are calls, by the route's name."""

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

    def rate_of_a_lease(self, medium: Medium, account: str, usual: int) -> float | None:
        """Messages a second that one lease carries, about, by the account's fastest route; None where one has no limit.

        `usual` is the number of leases of a route without lines.
        """
        ways = [way for way in self.of(medium) if way.serves(account)]
        rates = [rate / way.most_leases(usual) for way in ways if (rate := way.expected_rate) is not None]
        return max(rates) if rates and len(rates) == len(ways) else None


def _lines(settings: RouteSettings) -> Lines | None:
    calls = getattr(settings, "calls", None)
    return None if calls is None else Lines(calls)
