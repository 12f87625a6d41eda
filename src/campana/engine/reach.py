"""Owns what a route's settings say of it: whom it serves, how much it carries, how many leases keep it busy.

Must not know whether it is up, nor which process runs it.
"""

from __future__ import annotations

import math

from campana.channels.settings import RouteSettings
from campana.domain.delivery import Medium

CALL_SECONDS = 20.0
"""How long a call occupies its line, about."""
SETUP_SECONDS = 1.2
"""A route with lines answers `send` after this long at most, about: until then, its lease cannot go on."""
FASTEST_SETUPS = 50.0
"""Calls that a route sets up per second at most, where its settings do not say."""


def serves(settings: RouteSettings, account: str) -> bool:
    """Tell whether a route is for an account (without case)."""
    accounts = settings.accounts
    return not accounts or account.casefold() in {name.casefold() for name in accounts}


def fits(settings: RouteSettings, medium: Medium, account: str, destination: str) -> bool:
    """Tell whether a route of a medium serves an account (without case) and a destination.

    Destinations are number prefixes (+44) or email domains, which include their subdomains.
    """
    if not serves(settings, account):
        return False
    if not settings.destinations:
        return True
    if medium is not Medium.EMAIL:
        return destination.startswith(tuple(settings.destinations))
    domain = "." + destination.rpartition("@")[2].casefold()
    return domain.endswith(tuple("." + served.casefold().lstrip(".@") for served in settings.destinations))


def calls_of(settings: RouteSettings) -> int | None:
    """Calls that a route may have at a time; None where its messages are no calls."""
    return getattr(settings, "calls", None)


def most_leases(settings: RouteSettings, usual: int) -> int:
    """How many leases go by a route at a time, where it is `usual` for others.

    A lease waits for each call until that is set up: with lines, there are as many as keep up the rate.
    """
    calls = calls_of(settings)
    if calls is None:
        return usual
    setups = math.ceil((settings.rate or FASTEST_SETUPS) * SETUP_SECONDS)
    return min(calls, max(usual, setups))


def expected_rate(settings: RouteSettings) -> float | None:
    """Messages a second that a route carries, about; None where nothing limits it."""
    calls = calls_of(settings)
    if calls is None:
        return settings.rate
    ended = calls / CALL_SECONDS
    return ended if settings.rate is None else min(settings.rate, ended)
