"""Owns which chunks wait for a route to come up, so that they are not claimed in vain again and again.

Must not know how a chunk is claimed or sent. Kept in memory: what is forgotten is tried once more, no harm done.
"""

from __future__ import annotations

from dataclasses import dataclass

from campana.domain.delivery import Medium
from campana.domain.moment import MINUTE, SECOND
from campana.engine.ways import Ways

FIRST_MS = SECOND
LONGEST_MS = MINUTE
"""How long a chunk is passed over at first and at most. A route that comes up ends it at once."""

REMEMBERED = 20_000


@dataclass(slots=True)
class _Rest:
    """Until when a chunk is passed over, and for how long that is."""

    until: int
    pause: int
    medium: Medium


class Stranded:
    """Chunks for none of whose deliveries a route was up; each is passed over for twice as long as the last time.

    Without this, the chunks of a route that is down would be claimed and given back for ever, and with the lowest
    turns of all: some hundred of them leave no claim to anybody else.
    """

    def __init__(self, ways: Ways) -> None:
        self._ways = ways
        self._rests: dict[int, _Rest] = {}
        self._up: set[str] = set()

    def add(self, chunk: int, medium: Medium, now: int) -> int:
        """Pass a chunk over for a while; until when (epoch milliseconds)."""
        known = self._rests.pop(chunk, None)
        pause = FIRST_MS if known is None else min(2 * known.pause, LONGEST_MS)
        self._rests[chunk] = _Rest(now + pause, pause, medium)
        if len(self._rests) > REMEMBERED:
            self._rests.pop(next(iter(self._rests)))
        return now + pause

    def chunks(self, now: int) -> list[int]:
        """The chunks to be passed over now."""
        if not self._rests:
            return []
        # Where the clock was set back, none waits longer than it was to.
        return [chunk for chunk, rest in self._rests.items() if now < rest.until <= now + rest.pause]

    def look(self) -> None:
        """A route may have come up: forget the chunks of its medium."""
        up = {way.name: way.route.medium for way in self._ways.all if way.is_up}
        media = {medium for name, medium in up.items() if name not in self._up}
        self._up = set(up)
        if media:
            self._rests = {chunk: rest for chunk, rest in self._rests.items() if rest.medium not in media}
