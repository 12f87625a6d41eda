"""Owns when an endpoint that did not take what it was told is told again, and when it is given up.

Must not know what it was told, nor read the clock: chance comes in as a number.
"""

from __future__ import annotations

from campana.domain.moment import DAY, HOUR, SECOND

FIRST_REST = 5 * SECOND
LONGEST_REST = HOUR
GIVEN_UP_AFTER = DAY
"""From the first failure in a row on."""
SPREAD = 0.2
"""A rest is longer or shorter by up to this part of it, so that endpoints that failed together do not come back so."""


def next_try(failures: int, failing_since: int, now: int, *, asked: int, chance: float) -> int | None:
    """When to try again after a failure (epoch milliseconds); None where it is time to give up.

    `failures` is how many there are in a row, this one included; `failing_since` when the first was; `asked` how many
    milliseconds the endpoint asked to be left alone; `chance` is in 0..1.
    """
    if now - failing_since >= GIVEN_UP_AFTER:
        return None
    rest = min(FIRST_REST << min(failures - 1, 20), LONGEST_REST)
    spread = int(rest * SPREAD * (2 * chance - 1))
    return now + max(rest + spread, min(asked, LONGEST_REST))


def rests(next_at: int, now: int) -> bool:
    """Tell whether an endpoint is to be left alone until `next_at` (epoch milliseconds).

    A moment that is farther away than any rest was told by a clock that was set back since: it counts as past.
    """
    return now < next_at <= now + int(LONGEST_REST * (1 + SPREAD))
