"""Owns whether attempts of a campaign may begin right now: its window, its pause, its end.

Must not know how they are sent. A gate is asked before every single message, so it answers from memory; it is kept
true by hints and, should one be lost, by looking at the campaigns in use every second.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from campana.bus.contract import Hint, News
from campana.domain.delivery import Medium
from campana.domain.moment import Clock
from campana.domain.schedule import Window, closes_at, is_open, next_opening, window_of
from campana.storage.river import Lease
from campana.storage.store import CampaignRow, Campaigns
from campana.storage.tables import NEVER


@dataclass(frozen=True, slots=True)
class Opening:
    """When a lane may send: from `opens_at` until before `closes_at`; NEVER where it does not open again."""

    opens_at: int
    closes_at: int


SHUT = Opening(NEVER, NEVER)


def opening_of(row: CampaignRow, window: Window, medium: Medium, now: int) -> Opening:
    """When a campaign may next send on a medium, as it stands now."""
    about = row.campaign
    settings = {Medium.SMS: about.sms, Medium.VOICE: about.voice, Medium.EMAIL: about.email}[medium]
    if row.is_over or about.is_paused or settings is None or not settings.enabled:
        return SHUT
    opens = now if is_open(window, now) else next_opening(window, now)
    if opens is None:
        return SHUT
    closes = closes_at(window, opens)
    return Opening(opens, NEVER if closes is None else closes)


@dataclass(slots=True)
class Gate:
    """Whether attempts of one lane may begin. Shared by all leases of the lane."""

    clock: Clock
    opening: Opening
    stopped: bool = False
    revision: int = 0
    """What the campaign says now; 0 before it was looked at."""
    users: int = 0
    shut: asyncio.Event = field(default_factory=asyncio.Event)

    def permit(self) -> bool:
        """True where an attempt may begin at this very moment."""
        return self.permits(self.clock())

    def permits(self, now: int) -> bool:
        """True where an attempt may begin at `now`, which is this very moment."""
        return not self.stopped and self.opening.opens_at <= now < self.opening.closes_at

    async def wait(self, seconds: float) -> None:
        """Wait a while, less where the gate shuts meanwhile."""
        if self.shut.is_set() and self.permit():
            # It has opened by the clock alone.
            self.shut.clear()
        try:
            async with asyncio.timeout(seconds):
                await self.shut.wait()
        except TimeoutError:
            pass

    async def wait_for(self, happening: asyncio.Future[None], seconds: float) -> None:
        """Wait until something has happened, for a while at most, less where the gate shuts meanwhile."""
        waiting = asyncio.ensure_future(self.wait(seconds))
        try:
            await asyncio.wait({waiting, happening}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()


@dataclass(slots=True)
class Passage:
    """A lease's way through a gate: as long as that is open, the campaign says what it said at the beginning, and the
    lease lasts.

    A lease that loses it for an edit is given back, so that what has not begun is claimed again as it reads now. One
    that has lapsed may be somebody else's: a process that stood still must not go on sending where it stopped.
    """

    gate: Gate
    revision: int
    lease: Lease

    def permit(self) -> bool:
        """True where an attempt of the lease may begin at this very moment."""
        now = self.gate.clock()
        return self.gate.revision == self.revision and self.gate.permits(now) and now < self.lease.until - MARGIN_MS


class Gates:
    """The gates of the lanes that are being sent, and the windows of campaigns."""

    def __init__(self, campaigns: Campaigns, clock: Clock) -> None:
        self._campaigns = campaigns
        self._clock = clock
        self._gates: dict[tuple[int, Medium], Gate] = {}
        self._windows: dict[int, tuple[int, Window]] = {}
        self._stopped = False

    async def look(self, number: int) -> tuple[CampaignRow, Window] | None:
        """A campaign as it stands now, with its window; None where there is no such campaign."""
        row = await self._campaigns.find_number(number)
        if row is None:
            return None
        known = self._windows.get(number)
        if known is None or known[0] != row.version:
            known = (row.version, window_of(row.campaign, row.zone))
            self._windows[number] = known
            if len(self._windows) > _REMEMBERED:
                self._windows.pop(next(iter(self._windows)))
        return row, known[1]

    async def enter(self, number: int, medium: Medium) -> Gate:
        """The gate of a lane whose lease begins; to be left again, but for where this raises StoreUnavailable."""
        gate = self._gates.get((number, medium)) or Gate(self._clock, SHUT, self._stopped)
        await self._look_again(number, medium, gate)
        gate = self._gates.setdefault((number, medium), gate)
        gate.users += 1
        return gate

    def leave(self, number: int, medium: Medium) -> None:
        """A lease of the lane has ended."""
        gate = self._gates[number, medium]
        gate.users -= 1
        if gate.users == 0:
            del self._gates[number, medium]

    async def refresh(self, number: int | None = None) -> None:
        """Look again at one campaign that is in use, or at all of them."""
        for (campaign, medium), gate in list(self._gates.items()):
            if number is None or campaign == number:
                await self._look_again(campaign, medium, gate)

    def concerns(self, hint: Hint) -> bool:
        """Tell whether a hint may move a gate."""
        if hint.news is News.MISSED:
            return bool(self._gates)
        return hint.news is News.CAMPAIGN and any(campaign == hint.number for campaign, _ in self._gates)

    def stop(self) -> None:
        """Let nothing begin any more."""
        self._stopped = True
        for gate in self._gates.values():
            gate.stopped = True
            gate.shut.set()

    async def _look_again(self, number: int, medium: Medium, gate: Gate) -> None:
        found = await self.look(number)
        gate.opening = SHUT if found is None else opening_of(*found, medium, self._clock())
        gate.revision = 0 if found is None else found[0].revision
        if gate.permit():
            gate.shut.clear()
        else:
            gate.shut.set()


_REMEMBERED = 10_000

MARGIN_MS = 200
"""By so much a lease ends earlier for who has it than for others: what it permits last is on its way by then."""
