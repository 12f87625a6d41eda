"""Owns the course of a drill: contacts that are added, a window that closes and opens again, blows, and the wait for
the end of everything that was begun.

Must not know how any of it is done.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Final

from campana.domain.delivery import FINAL, Medium
from campana.domain.moment import SECOND
from campana.domain.rate import SLOTS
from campana.engine.options import EngineOptions
from campana.engine.reach import SETUP_SECONDS
from campana.sandbox.drill_balance import Account, Balance, Evidence, allowed, settle
from campana.sandbox.drill_client import Customer, together
from campana.sandbox.drill_journals import Span, arrivals, heard_ms
from campana.sandbox.drill_plan import Event, Incident
from campana.sandbox.drill_processes import State
from campana.sandbox.drill_screen import Progress, Screen
from campana.sandbox.drill_soap import Campaign, Standings
from campana.sandbox.drill_town import CALLED_EVERY, Carrier, Plot, Town
from campana.sandbox.drill_trouble import STALLED_SECONDS, Troublemaker
from campana.sandbox.simulator import wall_clock
from campana.storage.tables import NEVER

ALWAYS: Final = "c0000000-0000-4000-8000-000000000001"
"""The campaign that may always send."""
AT_TIMES: Final = "c0000000-0000-4000-8000-000000000002"
"""The campaign with a window."""
WINDOWED_EVERY: Final = 4
"""Of so many contacts one is in that campaign."""
LOADED: Final = 0.6
"""The share of the time that the messages take after which all contacts are there; and so on for the window:"""
OPENS: Final = 0.1
CLOSES: Final = 0.3
OPENS_AGAIN: Final = 0.45
WATCH_SECONDS: Final = 0.2
SETTLE_SECONDS: Final = 0.5
CALLS_END_WITHIN: Final = 15.0


class Course:
    """A drill on its way."""

    def __init__(self, plot: Plot, contacts: int, here: Town, customer: Customer, screen: Screen) -> None:
        self.ended_by_themselves: list[str] = []
        """Processes that ended though nobody had hit them."""
        self._plot = plot
        self._contacts = contacts
        self._here = here
        self._customer = customer
        self._screen = screen
        self._began = 0
        self._seconds = contacts / plot.limits.rate
        self._windows: list[Span] = []
        self._standings: Standings = {}

    @property
    def _messages(self) -> int:
        """How many messages and calls are to arrive."""
        return sum(len(self._media_of(number)) for number in range(self._contacts))

    # --- what happens at the same time -------------------------------------------------------------------------------

    async def run(self, trouble: Troublemaker, incidents: Sequence[Incident]) -> None:
        """Load, send and disturb until all that is planned has happened. Raises DidNotStart, Refused."""
        self._began = wall_clock()
        first = Span(_whole(self._after(OPENS)), _whole(self._after(CLOSES)))
        self._windows.append(first)
        await self._customer.put_campaign(Campaign(ALWAYS, self._plot.media), new=True)
        await self._customer.put_campaign(self._windowed(first), new=True)
        watching = asyncio.create_task(self._watch())
        try:
            await together(
                self._load(),
                trouble.carry_out(incidents, self._messages),
                self._open_again(first.at),
            )
        finally:
            watching.cancel()

    async def _load(self) -> None:
        contacts = (
            (number, AT_TIMES if _is_windowed(number) else ALWAYS, self._media_of(number))
            for number in range(self._contacts)
        )
        await self._customer.load(contacts, self._plot.limits.rate / LOADED)

    async def _open_again(self, closed: int) -> None:
        """When the window has closed, move it to a little later, and leave it open."""
        await asyncio.sleep((max(closed + SECOND, self._after(OPENS_AGAIN)) - wall_clock()) / SECOND)
        opens = _whole(wall_clock() + 2 * SECOND)
        self._windows.append(Span(opens, NEVER))
        await self._customer.put_campaign(self._windowed(Span(opens, opens - SECOND)), new=False)

    async def _watch(self) -> None:
        """Tell how far it is, and start again what has ended by itself. To be cancelled."""
        while True:
            self._show()
            for _, process in self._here.houses:
                if process.state is State.UP and process.ended:
                    self.ended_by_themselves.append(process.name)
                    await process.start()
            await asyncio.sleep(WATCH_SECONDS)

    def _show(self) -> None:
        self._screen.progress(
            Progress(self._here.arrived(), self._messages, len(self._customer.acknowledged), self._contacts)
        )

    def _after(self, share: float) -> int:
        """The instant at which this share of the time has passed."""
        return self._began + round(share * self._seconds * SECOND)

    def _media_of(self, number: int) -> Collection[Medium]:
        called = number % CALLED_EVERY == 0 or set(self._plot.media) == {Medium.VOICE}
        return [medium for medium in self._plot.media if medium is not Medium.VOICE or called]

    def _windowed(self, window: Span) -> Campaign:
        return Campaign(AT_TIMES, self._plot.media, window=(_utc(window.since), _utc(window.at)))

    # --- its end -----------------------------------------------------------------------------------------------------

    async def settle(self) -> None:
        """Wait until all deliveries are final and all calls over, or nothing changes any more. Raises Refused."""
        changed_at = time.monotonic()
        while True:
            now: Standings = {medium: {} for medium in Medium}
            for campaign in (ALWAYS, AT_TIMES):
                for medium, standings in (await self._customer.standings(campaign)).items():
                    now[medium] |= standings
            if now != self._standings:
                self._standings, changed_at = now, time.monotonic()
            self._show()
            if self._is_final() or time.monotonic() - changed_at > STALLED_SECONDS:
                break
            await asyncio.sleep(SETTLE_SECONDS)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CALLS_END_WITHIN):
                while self._here.calls_now():  # noqa: ASYNC110 - a journal is a file: it calls nobody when it grows
                    await asyncio.sleep(WATCH_SECONDS)

    def _is_final(self) -> bool:
        return all(
            standing.status in FINAL
            for medium in self._plot.media
            for standing in self._standings[medium].values()
            if standing.destination
        )

    def balance(self, events: Sequence[Event]) -> Balance:
        """What was promised beside what has arrived."""
        self._here.arrived()
        carriers = self._here.carriers.values()
        uses = {name: use for carrier in carriers for name, use in carrier.uses(self._plot.limits).items()}
        return Balance([self._account(carrier, events) for carrier in carriers], uses)

    def _account(self, carrier: Carrier, events: Sequence[Event]) -> Account:
        medium = carrier.medium
        evidence = Evidence(
            medium=medium,
            promised=frozenset(one for one in self._customer.acknowledged if medium in self._media_of(one)),
            standings=self._standings[medium],
            arrivals=arrivals(medium, carrier.lines),
            windowed=frozenset(filter(_is_windowed, self._customer.acknowledged)),
            windows=self._windows,
            heard_ms=heard_ms(carrier.lines) if medium is Medium.VOICE else {},
        )
        portions, size = in_flight(medium, self._plot)
        return settle(evidence, events, allowed(events, portions, size, self._plot.workers))


def in_flight(medium: Medium, plot: Plot) -> tuple[int, int]:
    """How many portions of a medium a process has under way at most, and how many deliveries each has.

    A portion is what a chunk has handed over and not recorded: a flush, or what the pace gives out at once if that is
    less. Of calls it is the one that is being set up, and besides, all lines may be in use.
    """
    limits = plot.limits
    options = EngineOptions(owner="", retry_delays=(0,))
    if medium is Medium.VOICE:
        settings_up = max(options.leases_per_route, math.ceil(limits.calls_a_second * SETUP_SECONDS))
        return min(limits.calls, settings_up) + limits.calls, 1
    return options.leases_per_route, min(options.flush_size, math.ceil(limits.rate / SLOTS))


def _is_windowed(number: int) -> bool:
    return number % WINDOWED_EVERY == 0


def _whole(at: int) -> int:
    """The next whole second: the contract's windows have no finer ones."""
    return -(-at // SECOND) * SECOND


def _utc(at: int) -> datetime:
    return datetime.fromtimestamp(at / SECOND, UTC)
