"""Bend 1: owns what is cut into chunks, when, and in whose turn.

Must not know routes' wires or how a chunk is claimed. It takes lanes and yields chunks that wait in the database.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from campana.bus.contract import Hint, News
from campana.engine.agenda import Agenda
from campana.engine.alarm import Alarm
from campana.engine.duties import Duty
from campana.engine.gates import SHUT, Gates, Opening, opening_of
from campana.engine.options import EngineOptions, Tools
from campana.engine.ways import Ways
from campana.storage.river import Cut, Lane, River
from campana.storage.store import CampaignRow, StoreUnavailable
from campana.storage.tables import NEVER

log = structlog.get_logger(__name__)

PAUSE_MS = 1_000
"""How long to wait before asking a store again that could not answer."""

MOST_GIVEN_BACK_MS = 5_000
"""A chunk that was given back waits no longer than this; one that waits longer has a window's opening to wait for."""


class Planner:
    """Cuts what is due into chunks, fair between accounts and campaigns.

    Every lane has at most a few chunks that wait; a chunk's *turn* is the account's last one plus its size, but not
    before the turn that was served last (start-time fair queueing): who asks for little is never far behind.
    """

    def __init__(
        self, river: River, gates: Gates, ways: Ways, options: EngineOptions, *, duty: Duty, tools: Tools
    ) -> None:
        self._duty = duty
        self._on_duty = True
        self._metrics = tools.metrics
        clock = tools.clock
        self._river = river
        self._gates = gates
        self._ways = ways
        self._options = options
        self._clock = clock
        self._alarm = Alarm(clock, options.rescan_ms)
        self._agenda = Agenda()
        self._rescanned_at = 0
        self._reminders: dict[int, int] = {}
        # Turns outlive a restart: they rise more slowly than microseconds do.
        self._served_turn = clock() * 1_000
        self._last_turn: dict[int, int] = {}

    def hear(self, hint: Hint) -> None:
        """A campaign changed or has contacts to plan, a chunk was claimed, or something falls due."""
        if hint.news is News.DUE:
            self.remind(hint.number, hint.at)
        elif hint.news is News.CLAIMED:
            self._served(hint.number, hint.at)
        elif hint.news is News.MISSED:
            self._rescanned_at = 0
            self._alarm.ring()
        elif hint.news in (News.CAMPAIGN, News.CONTACTS) and self._on_duty:
            self._agenda.call(hint.number)
            self._alarm.ring()

    def _served(self, campaign: int, turn: int) -> None:
        """A chunk was claimed: there is room for the next one of its lane."""
        self._served_turn = max(self._served_turn, turn)
        if self._on_duty:
            self._agenda.call(campaign)
            self._alarm.ring()

    def remind(self, campaign: int, at: int) -> None:
        """Something of the campaign falls due at that instant."""
        if at >= NEVER or not self._on_duty:
            return
        known = self._reminders.get(campaign)
        if known is None or at < known:
            self._reminders[campaign] = at
            self._alarm.set(at)

    async def run(self, on_cut: Callable[[], None]) -> None:
        """Plan for ever, telling `on_cut` when there is something to claim; to be cancelled.

        Of several processes one plans at a time: the others only ask whether it still does.
        """
        while True:
            try:
                if await self._is_on_duty() and await self.round():
                    on_cut()
            except StoreUnavailable as error:
                log.warning("planning.store_unavailable", reason=str(error))
                self._rescanned_at = 0
                self._alarm.set(self._clock() + PAUSE_MS)
            await self._alarm.wait()

    async def _is_on_duty(self) -> bool:
        held = await self._duty.held()
        if held and not self._on_duty:
            # What was heard before may be anything; what others planned is told by the lanes themselves.
            log.info("planning.begun")
            self._agenda.clear()
            self._rescanned_at = 0
            self._served_turn = max(self._served_turn, self._clock() * 1_000)
        self._on_duty = held
        self._metrics.planner.set(to=float(held))
        if self._duty.ask_at is not None:
            self._alarm.set(self._duty.ask_at)
        return held

    async def round(self) -> bool:
        """Look at some lanes that may have something to plan; tell whether there is anything new to claim.

        Where there are more to look at, the next round comes at once.
        """
        now = self._clock()
        moved = False
        lanes = await self._lanes_to_look_at(now)
        cuts: list[Cut] = []
        for lane in lanes:
            found = await self._gates.look(lane.campaign)
            if found is None:
                continue
            opening = opening_of(*found, lane.medium, now)
            moved = await self._move_window(lane, opening, now) or moved
            if self._needs_chunk(lane, opening, now):
                cuts.append(self._cut(lane, found[0], opening))
        if not cuts:
            return moved
        sizes = await self._river.plan(cuts, now)
        for cut in cuts:
            # Perhaps there is more, and room for another chunk.
            self._agenda.call(cut.campaign)
        self._alarm.ring()
        return moved or any(sizes)

    async def _lanes_to_look_at(self, now: int) -> list[Lane]:
        agenda = self._agenda
        is_time = now - self._rescanned_at >= self._options.rescan_ms or now < self._rescanned_at
        if is_time and not agenda.has_found:
            self._rescanned_at = now
            self._reminders = {number: at for number, at in self._reminders.items() if at > now}
            agenda.find(await self._river.lanes())
        for number, at in list(self._reminders.items()):
            if at <= now:
                del self._reminders[number]
                agenda.call(number)
        called = [lane for number in agenda.next_called() for lane in await self._river.lanes(number)]
        found = agenda.next_found()
        if not agenda.is_empty:
            self._alarm.ring()
        return called + found

    def _needs_chunk(self, lane: Lane, opening: Opening, now: int) -> bool:
        """Tell whether a chunk is to be cut from a lane now; if it may be later, set a reminder."""
        if opening == SHUT:
            return False
        if opening.opens_at > now:
            self.remind(lane.campaign, opening.opens_at)
            return False
        # What waits when the window closes must be moved to the next one.
        self.remind(lane.campaign, opening.closes_at)
        is_due = lane.next_due is not None and lane.next_due <= now
        if not (lane.fresh > 0 or is_due):
            if lane.next_due is not None:
                self.remind(lane.campaign, lane.next_due)
            return False
        most = self._options.waiting_chunks * self._ways.workers_of(lane.medium)
        return lane.waiting is None or lane.waiting.chunks < most

    async def _move_window(self, lane: Lane, opening: Opening, now: int) -> bool:
        """Chunks that wait carry the window in which they may be claimed: keep it true. Tell whether it was moved."""
        waiting = lane.waiting
        if waiting is None:
            return False
        true = waiting.first_closes == waiting.last_closes == opening.closes_at
        if opening.opens_at <= now:
            true = true and waiting.last_opens <= now + MOST_GIVEN_BACK_MS
            opening = Opening(0, opening.closes_at)
        else:
            true = true and waiting.first_opens >= opening.opens_at
        if not true:
            await self._river.gate(lane.campaign, lane.medium, opening.opens_at, opening.closes_at)
        return not true

    def _cut(self, lane: Lane, row: CampaignRow, opening: Opening) -> Cut:
        limit = self._options.chunk_size
        rate = self._ways.rate_of_a_lease(lane.medium, row.account_id, self._options.leases_per_route)
        if rate is not None:
            limit = max(1, min(limit, int(rate * self._options.chunk_ms / 1_000)))
        turn = max(self._served_turn, self._last_turn.get(lane.account, 0)) + limit
        self._last_turn[lane.account] = turn
        return Cut(lane.campaign, lane.medium, limit, turn, opening.opens_at, opening.closes_at)
