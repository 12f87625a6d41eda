"""Owns how many messages a route may take, and when: a pace that is never exceeded in any second.

Must not read the clock or wait: it is told the instant and answers with a number.
"""

from __future__ import annotations

import math
from collections import deque

import msgspec

SLOWEST = 1.0
"""Messages a second below which throttling answers do not push a route."""

RECOVERY_MS = 10_000
"""How long a throttled route takes to come back to its full pace."""

UNLIMITED_START = 1_000.0
"""Messages a second from which an unlimited route is slowed down when its carrier throttles it."""

SLOTS = 20
"""Grants are spread over so many slots a second, so that a carrier that counts shorter spans sees no bursts."""

MARGIN_MS = 20
"""By so much the window is longer than a second: what a network bunches up stays within the limit, too."""

PENDING_MS = 5
"""How long to wait before asking again when there is room only once granted messages have left."""


class PaceMemory(msgspec.Struct):
    """What a pace knows, to be kept outside of it: what several processes send is paced as if one did."""

    slots: list[tuple[int, int]] = msgspec.field(default_factory=list)
    departures: list[tuple[int, int]] = msgspec.field(default_factory=list)
    ceiling: float | None = None
    slowed_at: int = 0
    pause_until: int = 0
    latest: int = 0


class Pace:
    """Grants messages to a route with at most `rate` messages in any second (none: without limit).

    A granted message takes up room from its grant until a second after it left: `left` says when that was, and
    `give_back` that it did not leave at all. So the limit holds for what really leaves, however long that takes.
    `slow_down` halves the pace after a throttling answer; from there it climbs back within RECOVERY_MS.
    """

    def __init__(self, rate: float | None) -> None:
        self._rate = rate
        self._slots: deque[tuple[int, int]] = deque()
        """When how many were granted, for the last slot."""
        self._departures: deque[tuple[int, int]] = deque()
        """When how many left, for the last window."""
        self._in_window = 0
        self._pending = 0
        self._ceiling = math.inf
        self._slowed_at = 0
        self._pause_until = 0
        self._latest = 0

    @classmethod
    def remembering(cls, rate: float | None, memory: PaceMemory, pending: int) -> Pace:
        """A pace that goes on where the one of `memory` stopped, with so many granted messages still to leave."""
        pace = cls(rate)
        pace._slots = deque(memory.slots)
        pace._departures = deque(memory.departures)
        pace._in_window = sum(count for _, count in memory.departures)
        pace._pending = pending
        pace._ceiling = math.inf if memory.ceiling is None else memory.ceiling
        pace._slowed_at = memory.slowed_at
        pace._pause_until = memory.pause_until
        pace._latest = memory.latest
        return pace

    def memory(self) -> PaceMemory:
        """What is to be kept for `remembering`; of what is pending, whoever keeps it takes care."""
        return PaceMemory(
            slots=list(self._slots),
            departures=list(self._departures),
            ceiling=None if self._ceiling == math.inf else self._ceiling,
            slowed_at=self._slowed_at,
            pause_until=self._pause_until,
            latest=self._latest,
        )

    @property
    def rate(self) -> float | None:
        """Messages per second as configured."""
        return self._rate

    def is_limited(self, now: int) -> bool:
        """Whether anything limits the route at `now`; where nothing does, `left` need not be told."""
        return self.current(now) != math.inf

    def current(self, now: int) -> float:
        """Messages per second that the route may take at `now`; infinite where nothing limits it."""
        configured = self._rate if self._rate is not None else math.inf
        if self._ceiling == math.inf:
            return configured
        elapsed = now - self._slowed_at
        if elapsed >= RECOVERY_MS:
            self._ceiling = math.inf
            return configured
        full = configured if configured != math.inf else max(UNLIMITED_START, self._ceiling)
        return min(configured, self._ceiling + (full - self._ceiling) * max(0, elapsed) / RECOVERY_MS)

    def slow_down(self, now: int, pause_ms: int = 200) -> None:
        """The carrier throttled us: halve the pace and say nothing for `pause_ms` milliseconds.

        Several throttling answers within one pause count once: they answer the same burst.
        """
        self._mind(now)
        if now < self._pause_until:
            return
        current = self.current(now)
        self._ceiling = max(SLOWEST, (UNLIMITED_START if current == math.inf else current) / 2)
        self._slowed_at = now
        self._pause_until = now + pause_ms

    def grant(self, wanted: int, now: int) -> int:
        """Grant up to `wanted` messages at `now` (milliseconds); 0 where none may go yet: ask `next_at`.

        Where the route is limited, each is to be told as `left` or given back.
        """
        self._mind(now)
        if now < self._pause_until:
            return 0
        rate = self.current(now)
        if rate == math.inf:
            return wanted
        self._forget(now, rate)
        granted = max(0, min(wanted, self._room(rate), self._slot_room(now, rate)))
        if granted:
            self._slots.append((now, granted))
            self._pending += granted
        return granted

    def left(self, count: int, now: int) -> None:
        """Note that granted messages leave at `now`."""
        self._mind(now)
        self._pending = max(0, self._pending - count)
        self._in_window += count
        if self._departures and self._departures[-1][0] == now:
            count += self._departures.pop()[1]
        self._departures.append((now, count))

    def moved(self, at: int, now: int) -> None:
        """Note that one of the messages that were told to leave at `at` leaves at `now` instead, or its rest does."""
        for index in range(len(self._departures) - 1, -1, -1):
            instant, count = self._departures[index]
            if instant == at:
                self._departures[index] = (at, count - 1)
                self._in_window -= 1
            if instant <= at:
                break
        self._pending += 1
        self.left(1, now)

    def had_left(self, count: int, at: int) -> None:
        """Note that messages left at an instant that may be past, those granted by whoever keeps what is pending; a
        negative count takes back what was noted so."""
        departures = dict(self._departures)
        before = departures.get(at, 0)
        departures[at] = max(0, before + count)
        self._departures = deque(sorted(departures.items()))
        self._in_window += departures[at] - before

    def give_back(self, unused: int) -> None:
        """Return granted messages that did not leave, so that they do not count."""
        self._pending = max(0, self._pending - unused)

    def next_at(self, now: int) -> int:
        """The earliest instant at which `grant` may grant something."""
        self._mind(now)
        if now < self._pause_until:
            return self._pause_until
        rate = self.current(now)
        if rate == math.inf:
            return now
        self._forget(now, rate)
        earliest = now
        if self._room(rate) <= 0:
            earliest = self._departures[0][0] + _span(rate) + 1 if self._departures else now + PENDING_MS
        if self._slot_room(now, rate) <= 0:
            earliest = max(earliest, self._slots[0][0] + _gap(rate))
        return earliest

    def _room(self, rate: float) -> int:
        return max(1, math.floor(rate)) - self._in_window - self._pending

    def _slot_room(self, now: int, rate: float) -> int:
        gap = _gap(rate)
        while self._slots and now - self._slots[0][0] >= gap:
            self._slots.popleft()
        return _share(rate) - sum(count for _, count in self._slots)

    def _forget(self, now: int, rate: float) -> None:
        horizon = now - _span(rate)
        while self._departures and self._departures[0][0] < horizon:
            self._in_window -= self._departures.popleft()[1]

    def _mind(self, now: int) -> None:
        """Where the clock was set back, move with it: what left is not to block the route until the old time."""
        if now < self._latest:
            back = self._latest - now
            self._departures = deque((at - back, count) for at, count in self._departures)
            self._slots = deque((at - back, count) for at, count in self._slots)
            self._slowed_at -= back
            self._pause_until -= back
        self._latest = now


def _span(rate: float) -> int:
    """Milliseconds of the window: a second, or longer for less than one message a second."""
    return MARGIN_MS + (1_000 if rate >= 1 else math.ceil(1_000 / rate))


def _share(rate: float) -> int:
    """Messages of a slot."""
    return max(1, math.ceil(rate / SLOTS))


def _gap(rate: float) -> int:
    """Milliseconds of a slot: a tenth less than its messages need, so that the window alone sets the limit."""
    return math.floor(_share(rate) * 900 / rate)
