"""Owns what an instant is everywhere in Campana: epoch milliseconds in UTC, told by a clock that is handed in.

Must not read the clock itself.
"""

from __future__ import annotations

from collections.abc import Callable

Clock = Callable[[], int]
"""Tells now, in epoch milliseconds. Handed in at every place that needs it, so that tests can move it."""

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
