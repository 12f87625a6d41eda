"""Owns what every route's settings have in common; each channel adds its own in its settings.py.

Must not read the environment or files: config.py does, and hands the values in.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class RouteSettings(BaseModel):
    """One `[[routes]]` entry. Unknown keys are refused, so that no accepted setting does nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$")
    """Unique name; shown in logs, metrics and with every attempt. Never change the name of a route in use."""
    channel: str
    """`sms`, `voice` or `email`."""
    url: str = Field(repr=False)
    """Where and how to connect; user and password may stand in it. Never logged unmasked."""
    rate: float | None = Field(default=None, gt=0, le=100_000)
    """Messages per second at most, in any second, of all processes together; none means as fast as the carrier takes
    them."""
    priority: int = Field(default=100, ge=0, le=1_000_000)
    """Of the routes that fit and are up, the lowest goes first."""
    accounts: tuple[str, ...] = ()
    """Accounts that may use the route; empty means all."""
    destinations: tuple[str, ...] = ()
    """Number prefixes (`+44`) or email domains (`example.com`) that the route serves; empty means all."""

    @property
    def most_connections(self) -> int:
        """Connections that all processes together may have at a time; 0 where nobody counts them."""
        return 0
