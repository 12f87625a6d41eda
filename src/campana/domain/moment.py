"""Owns what an instant is everywhere in Campana: epoch milliseconds in UTC, told by a clock that is handed in.

Must not read the clock itself.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], int]
"""Tells now, in epoch milliseconds. Handed in at every place that needs it, so that tests can move it."""

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def rfc3339(at: int) -> str:
    """Epoch milliseconds as RFC 3339 in UTC, with milliseconds and Z."""
    return datetime.fromtimestamp(at / SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{at % SECOND:03}Z"
