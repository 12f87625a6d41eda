"""Owns the lines of a route: how many calls it may have at a time, and who gets the next one that is free.

Must not know how a call is placed, nor what became of it. Every line that is taken becomes a call's or is given back,
so that none is ever lost; a call's line is free again when the call is over, which may be told before it was known.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable

from campana.engine.gates import Passage

LOOK_SECONDS = 1.0
"""How often those who wait look whether they still may go: an edit of their campaign rings no bell."""


class Lines:
    """`most` lines, of which this process may use so many as it is allowed: all, unless it shares them with others.

    They are given out in the order in which they were asked for.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.moved: Callable[[], None] = _nobody
        """Called when a line is waited for that is not there, and when one is there that nobody waits for."""
        self._allowed = most
        self._taken = 0
        """Lines that are no call's yet."""
        self._calls: set[str] = set()
        self._over: OrderedDict[str, None] = OrderedDict()
        """Calls that were over before their line was known to be theirs."""
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def free(self) -> int:
        """How many lines may be taken now; below zero where more are in use than are allowed any more."""
        return self._allowed - self.used

    @property
    def used(self) -> int:
        """How many lines are in use."""
        return self._taken + len(self._calls)

    @property
    def wanted(self) -> int:
        """How many lines would be in use if there were enough."""
        return self.used + len(self._waiting)

    def allow(self, lines: int) -> None:
        """Use so many lines at most from now on. Those in use stay so until their calls are over."""
        self._allowed = lines
        self._hand_out()

    async def take(self, passage: Passage) -> bool:
        """Wait for a line and take it; False where the passage was lost meanwhile.

        Who has taken one calls either `hold` or `give_back`, once.
        """
        if not passage.permit():
            return False
        if self.free > 0 and not self._waiting:
            self._taken += 1
            return True
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self.moved()
        got = False
        try:
            while passage.permit() and not turn.done():
                await passage.gate.wait_for(turn, LOOK_SECONDS)
            got = turn.done() and passage.permit()
        finally:
            if not got:
                self._leave(turn)
        return got

    def hold(self, call: str) -> None:
        """A line that was taken is a call's, until that is `over`."""
        self._taken -= 1
        if call in self._over:
            del self._over[call]
        else:
            self._calls.add(call)
        self._hand_out()

    def give_back(self) -> None:
        """No call came of a line that was taken."""
        self._taken -= 1
        self._hand_out()

    def over(self, call: str) -> None:
        """A call is over: its line is free, or will be as soon as it is known to be the call's."""
        if call in self._calls:
            self._calls.remove(call)
            self._hand_out()
        elif self._taken:
            self._over[call] = None
            # Of those that are waited for there are no more than lines; the others are nobody's.
            if len(self._over) > 2 * self.most:
                self._over.popitem(last=False)

    def _leave(self, turn: asyncio.Future[None]) -> None:
        """Who waited goes away: without a line, or with one that nobody uses."""
        if turn.done():
            self.give_back()
        else:
            self._waiting.remove(turn)

    def _hand_out(self) -> None:
        while self._waiting and self.free > 0:
            self._taken += 1
            self._waiting.popleft().set_result(None)
        if not self._taken:
            self._over.clear()
        if self.free > 0:
            self.moved()


def _nobody() -> None:
    """Nobody minds."""
