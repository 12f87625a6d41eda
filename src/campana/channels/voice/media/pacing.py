"""Owns the beat by which all streams of a process send: absolute deadlines every 5 ms, and how late they were met.

Must not know what is done at a beat.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

PHASES: Final = 4
"""Beats in a frame: streams are spread over them, so that the packets of a frame do not leave all at once."""
BEAT: Final = 0.005
"""Seconds."""
LATEST: Final = 0.1
"""Seconds by which a beat may be late and still be made up for. More at once would be thrown away by a jitter
buffer; it is left out instead, and the timestamps say so."""

_EARLY: Final = 0.0005
"""Timers count whole milliseconds: one that comes this early is not sent to sleep again."""
_MOST_SAMPLES: Final = 12_000
"""A minute of beats, should nobody ask for figures."""


class Lateness(NamedTuple):
    """How late beats were done with, in milliseconds after their deadlines."""

    p99: float
    most: float


class Timers(Protocol):
    """What is needed of a loop."""

    def call_later(self, delay: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        """Call back after so many seconds."""


class Pacer:
    """A beat for as long as somebody needs it. `beat` is called with the number of each; the numbers tell the time.

    After `LATEST`, whole frames are skipped: their numbers never come, and `skipped` is called. Neither call may start
    or stop the beat.
    """

    def __init__(
        self,
        beat: Callable[[int], None],
        skipped: Callable[[], None],
        timers: Timers,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._beat = beat
        self._skipped = skipped
        self._timers = timers
        # Not the loop's own time: that may be old, or count milliseconds only.
        self._clock = clock
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._late: list[float] = []
        self.number = 0
        """Of the beat that comes next."""

    def start(self) -> None:
        """Beat from now on."""
        if self._timer is None:
            self._due = self._clock() + BEAT
            self._timer = self._timers.call_later(BEAT, self._wake)

    def stop(self) -> None:
        """Beat no more; the numbers go on from here at the next start."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def lateness(self) -> Lateness:
        """Of all beats since last asked; zeros where there was none."""
        late, self._late = sorted(self._late), []
        if not late:
            return Lateness(0.0, 0.0)
        return Lateness(late[math.ceil(len(late) * 0.99) - 1] * 1_000, late[-1] * 1_000)

    def _wake(self) -> None:
        now = self._clock()
        if now - self._due > LATEST:
            self._skip(now)
        try:
            while self._due <= now + _EARLY:
                number, due = self.number, self._due
                self.number, self._due = number + 1, due + BEAT
                self._beat(number)
                self._note(self._clock() - due)
        finally:
            self._timer = self._timers.call_later(max(0.0, self._due - self._clock()), self._wake)

    def _skip(self, now: float) -> None:
        frames = int((now - self._due) / (PHASES * BEAT))
        self._note(now - self._due)
        self.number += frames * PHASES
        self._due += frames * PHASES * BEAT
        self._skipped()

    def _note(self, late: float) -> None:
        if len(self._late) < _MOST_SAMPLES:
            self._late.append(late)
