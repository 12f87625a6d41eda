"""Owns how many messages a route may take, and when: a pace that is never exceeded in any second.

Must not read the clock or wait: it is told the instant and answers with a number.
"""

from __future__ import annotations

import math
from collections import deque

SLOWEST = 1.0
"""Messages a second below which throttling answers do not push a route."""

RECOVERY_MS = 10_000
"""How long a throttled route takes to come back to its full pace."""

UNLIMITED_START = 1_000.0
"""Messages a second from which an unlimited route is slowed down when its carrier throttles it."""


class Pace:
    """Grants messages to a route with at most `rate` messages in any second (none: without limit).

    A sliding window of one second holds the exact limit; within it, grants are spread over twenty slots, so that
    a carrier that counts shorter spans sees no bursts. `slow_down` halves the pace after a throttling answer;
    from there it climbs back within RECOVERY_MS.
    """

    def __init__(self, rate: float | None) -> None:
        self._rate = rate
        self._grants: deque[tuple[int, int]] = deque()
        self._in_window = 0
        self._ceiling = math.inf
        self._slowed_at = 0
        self._pause_until = 0

    @property
    def rate(self) -> float | None:
        """Messages per second as configured."""
        return self._rate

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
        return min(configured, self._ceiling + (full - self._ceiling) * elapsed / RECOVERY_MS)

    def slow_down(self, now: int, pause_ms: int = 200) -> None:
        """The carrier throttled us: halve the pace and say nothing for `pause_ms` milliseconds.

        Several throttling answers within one pause count once: they answer the same burst.
        """
        if now < self._pause_until:
            return
        current = self.current(now)
        self._ceiling = max(SLOWEST, (UNLIMITED_START if current == math.inf else current) / 2)
        self._slowed_at = now
        self._pause_until = now + pause_ms

    def grant(self, wanted: int, now: int) -> int:
        """Grant up to `wanted` messages at `now` (milliseconds); 0 where none may go yet: ask `next_at`."""
        if now < self._pause_until:
            return 0
        rate = self.current(now)
        if rate == math.inf:
            return wanted
        self._forget(now, rate)
        granted = min(wanted, self._room(rate), self._slot_room(now, rate))
        if granted > 0:
            self._grants.append((now, granted))
            self._in_window += granted
        return max(granted, 0)

    def give_back(self, unused: int) -> None:
        """Return granted messages that did not leave, so that they do not count."""
        while unused > 0 and self._grants:
            at, count = self._grants.pop()
            taken = min(unused, count)
            self._in_window -= taken
            unused -= taken
            if count > taken:
                self._grants.append((at, count - taken))

    def next_at(self, now: int) -> int:
        """The earliest instant at which `grant` may grant something."""
        if now < self._pause_until:
            return self._pause_until
        rate = self.current(now)
        if rate == math.inf:
            return now
        self._forget(now, rate)
        if self._room(rate) <= 0 and self._grants:
            return self._grants[0][0] + self._span(rate) + 1
        if self._slot_room(now, rate) <= 0 and self._grants:
            return max(now + 1, self._grants[-1][0] + self._gap(rate))
        return now

    @staticmethod
    def _span(rate: float) -> int:
        """Milliseconds of the window: a second, or longer for less than one message a second."""
        return 1_000 if rate >= 1 else math.ceil(1_000 / rate)

    @staticmethod
    def _gap(rate: float) -> int:
        """Milliseconds between slots: a twentieth of a second, or the time of one message where that is longer."""
        return max(50, math.ceil(1_000 / rate))

    def _room(self, rate: float) -> int:
        return max(1, math.floor(rate)) - self._in_window

    def _slot_room(self, now: int, rate: float) -> int:
        share = max(1, math.ceil(rate * self._gap(rate) / 1_000))
        gap = self._gap(rate)
        used = 0
        for at, count in reversed(self._grants):
            if now - at >= gap:
                break
            used += count
        return share - used

    def _forget(self, now: int, rate: float) -> None:
        horizon = now - self._span(rate)
        while self._grants and self._grants[0][0] < horizon:
            self._in_window -= self._grants.popleft()[1]
