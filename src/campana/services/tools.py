"""Owns what every service is handed besides its part of the store: clock, bus, metrics and password hashing.

Must not hold state of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from campana.bus.contract import Bus
from campana.domain.moment import Clock
from campana.services.passwords import Passwords
from campana.telemetry import Metrics


@dataclass(frozen=True, slots=True)
class Tools:
    """Shared by the services of one process."""

    clock: Clock
    bus: Bus
    metrics: Metrics
    passwords: Passwords
