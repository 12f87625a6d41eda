"""Owns the routes as the engine sees them: which one fits a delivery, how fast each may go and how much it carries.

Must not know how a route sends.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from campana.channels.contract import Health, Permit, Route
from campana.channels.settings import RouteSettings
from campana.domain.delivery import Status
from campana.domain.moment import Clock
from campana.domain.rate import Pace
from campana.domain.sharing import Answer
from campana.engine.budgets import CommonPace
from campana.engine.gates import Passage
from campana.engine.lines import Lines
from campana.engine.reach import fits, most_leases, serves
from campana.storage.river import Judged
from campana.storage.store import StoreUnavailable
from campana.storage.tables import NEVER

log = structlog.get_logger(__name__)

UNAVAILABLE_MS = 500
"""How long to wait before asking again for messages where the store cannot tell how many may go."""


class Book(Protocol):
    """Where is noted what became of granted messages: a route's pace, its own or one that is shared."""

    def left(self, count: int, now: int) -> None: ...

    def moved(self, at: int, now: int) -> None: ...

    def give_back(self, unused: int) -> None: ...


class Grant:
    """Messages that a route's pace allows to one lease; `permit` tells the pace when each leaves. To be closed.

    A channel may ask again before a message's rest: then as many departures as were granted stand at the latest
    moments asked, so that none is counted earlier than it is. What has not left when the grant lapses must not leave
    by it. Of a route with lines it is one message, and the line that it takes.
    """

    __slots__ = ("_book", "_clock", "_lapses_at", "_left_at", "_passage", "_unspent", "count", "line", "permit")

    def __init__(self, count: int, passage: Passage, book: Book | None, clock: Clock, lapses_at: int = NEVER) -> None:
        """`book` is None where nothing limits the route."""
        self.count = count
        self.permit: Permit = passage.permit if book is None else self._spend
        self._unspent = 0 if book is None else count
        self._left_at: deque[int] = deque()
        self._passage = passage
        self._book = book
        self._clock = clock
        self._lapses_at = lapses_at
        self.line: Lines | None = None

    def hold(self, judged: Sequence[Judged]) -> None:
        """Keep the line for a call that the carrier took, until it is told that the call is over."""
        if self.line is None:
            return
        for one in judged:
            if one.change.status is Status.DELIVERING:
                self.line.hold(one.carrier_ids[0])
                self.line = None
                return

    def close(self) -> None:
        """Return what did not leave, and the line that no call holds."""
        if self._book is not None:
            self._book.give_back(self._unspent)
            self._unspent = 0
        if self.line is not None:
            self.line.give_back()
            self.line = None

    def _spend(self) -> bool:
        now = self._clock()
        if now >= self._lapses_at or not self._passage.permit():
            return False
        if self._book is None:
            return True
        if self._unspent:
            self._unspent -= 1
            self._book.left(1, now)
        elif self._left_at:
            self._book.moved(self._left_at.popleft(), now)
        self._left_at.append(now)
        return True


@dataclass(slots=True)
class Way:
    """A route with its settings and its pace."""

    route: Route
    settings: RouteSettings
    pace: Pace
    lines: Lines | None = None
    """Of a route whose messages are calls: how many at a time."""
    common: CommonPace | None = None
    """The pace that it shares with other processes, where there are some and it is limited."""
    leases: int = 0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def name(self) -> str:
        """The route's name."""
        return self.route.name

    @property
    def is_up(self) -> bool:
        """Whether it can take messages."""
        return self.route.state.health is Health.UP

    def serves(self, account: str) -> bool:
        """Tell whether the route is for an account (without case)."""
        return serves(self.settings, account)

    def fits(self, account: str, destination: str) -> bool:
        """Tell whether the route serves an account (without case) and a destination."""
        return fits(self.settings, self.route.medium, account, destination)

    def most_leases(self, usual: int) -> int:
        """How many leases go by the route at a time, where it is `usual` for others."""
        return most_leases(self.settings, usual)

    def makes_wait(self, now: int) -> bool:
        """Whether who asks for a grant now has to wait for it."""
        no_line = self.lines is not None and self.lines.free <= 0
        # Whether others leave something is not known before they are asked.
        paced = self.common is not None or self.pace.next_at(now) > now
        return no_line or self.turn.locked() or paced

    def slow_down(self, now: int) -> None:
        """The carrier throttled us."""
        if self.common is None:
            self.pace.slow_down(now)
        else:
            self.common.slow_down()

    async def grant(self, wanted: int, passage: Passage, clock: Clock) -> Grant | None:
        """Wait until the pace allows up to `wanted` messages; None where the passage was lost meanwhile.

        Those who wait are served in the order in which they came. With lines, one message is granted, with its line.
        """
        if self.lines is None:
            return await self._paced(wanted, passage, clock)
        if not await self.lines.take(passage):
            return None
        grant = None
        try:
            grant = await self._paced(1, passage, clock)
        finally:
            if grant is None:
                self.lines.give_back()
        if grant is not None:
            grant.line = self.lines
        return grant

    async def _paced(self, wanted: int, passage: Passage, clock: Clock) -> Grant | None:
        async with self.turn:
            while passage.permit():
                now = clock()
                if self.common is not None:
                    answer = await self._asked(self.common, wanted, now)
                    if answer.granted:
                        return Grant(answer.granted, passage, self.common, clock, answer.lapses_at)
                    next_at = answer.next_at
                else:
                    granted = self.pace.grant(wanted, now)
                    if granted:
                        # Asked for the instant of the grant: the pace counts what it granted while it was limited.
                        return Grant(granted, passage, self.pace if self.pace.is_limited(now) else None, clock)
                    next_at = self.pace.next_at(now)
                await passage.gate.wait(max(1, next_at - now) / 1_000)
        return None

    async def _asked(self, common: CommonPace, wanted: int, now: int) -> Answer:
        try:
            return await common.grant(wanted)
        except StoreUnavailable as error:
            log.warning("limits.store_unavailable", route=self.name, reason=str(error))
            return Answer(0, now, now + UNAVAILABLE_MS)
