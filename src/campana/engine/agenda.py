"""Owns which campaigns the planner looks at next, and how many at a time.

Must not know what is planned. However many campaigns there are, whoever was called is looked at after a few others, and
what was cut can be claimed before all have been looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from campana.storage.river import Lane

AT_ONCE = 50
"""Campaigns that are looked at in one round of each kind, those that were called and those of a rescan."""


class Agenda:
    """Campaigns that were called, in that order, and the lanes that a rescan has found and nobody has looked at yet."""

    def __init__(self) -> None:
        self._called: dict[int, None] = {}
        self._found: dict[int, list[Lane]] = {}

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to look at."""
        return not self._called and not self._found

    @property
    def has_found(self) -> bool:
        """Whether something of the last rescan is still to be looked at."""
        return bool(self._found)

    def call(self, campaign: int) -> None:
        """Have a campaign looked at, once."""
        self._called.setdefault(campaign)

    def find(self, lanes: Sequence[Lane]) -> None:
        """Have what a rescan has found looked at, as it stands now."""
        for lane in lanes:
            self._found.setdefault(lane.campaign, []).append(lane)

    def clear(self) -> None:
        """Forget all."""
        self._called.clear()
        self._found.clear()

    def next_called(self) -> list[int]:
        """Some of the campaigns that were called: what stands of them now is to be asked for."""
        numbers = list(islice(self._called, AT_ONCE))
        for number in numbers:
            del self._called[number]
            self._found.pop(number, None)
        return numbers

    def next_found(self) -> list[Lane]:
        """The lanes of some campaigns that a rescan has found."""
        numbers = list(islice(self._found, AT_ONCE))
        return [lane for number in numbers for lane in self._found.pop(number)]
