"""Bend 6: owns late news: receipts and bounces as they come, those that came too early, and those that never come.

Must not know a carrier's spelling. It takes receipts; the deliveries they belong to have moved when it returns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

import structlog

from campana.bus.contract import Bus, Hint, News
from campana.domain.delivery import Medium
from campana.domain.message import IncomingMessage
from campana.domain.moment import DAY, SECOND, Clock
from campana.domain.outcome import Receipt, ReceiptState
from campana.engine.duties import Duty
from campana.engine.limits import Way
from campana.engine.lines import Lines
from campana.engine.ways import Ways
from campana.storage.river import Handover, LateAnswer, LateNews, River, Rules
from campana.storage.store import StoreUnavailable
from campana.storage.tables import NEVER, campaign_of, medium_of
from campana.telemetry import Metrics

log = structlog.get_logger(__name__)

DutyOf = Callable[[str], Duty]
"""The duty of asking about a route's messages, by its name; blank for those that are not configured any more."""

EARLY_DELAYS = tuple(0.05 * 2**step for step in range(10))
"""Seconds after which receipts that matched nothing are tried again: a receipt waits no longer for its send than
about twice as long as that took to be recorded. The last one repeats for as long as any are left."""
EARLY_KEPT_MS = 3 * DAY
OVERDUE_EVERY = 30.0
OVERDUE_AT_ONCE = 100
GONE_KEPT_MS = DAY
"""How long receipts are waited for of a route that is not configured any more: it may come back."""
STILL_AT_IT = 3
"""A carrier that answers "still on its way" is asked again, until this many times the wait have passed."""


class Mailroom:
    """Where routes tell their news (channels' Inbound): on return it is durable."""

    def __init__(self, news: LateNews, rules: Rules, bus: Bus, metrics: Metrics, clock: Clock) -> None:
        self._news = news
        self._rules = rules
        self._bus = bus
        self._metrics = metrics
        self._clock = clock
        self._early = asyncio.Event()
        # A process that died may have left some.
        self._early.set()
        self.lines: Mapping[str, Lines] = {}
        """Of the routes whose messages are calls, by the route's name."""

    async def receipts(self, batch: Sequence[Receipt]) -> None:
        """Keep late news. On return it is durable, matched or not."""
        for receipt in batch:
            self._metrics.receipts.add(receipt.route, receipt.state.value)
        answer = await self._keep(batch)
        if self.lines:
            # Not before it is durable: no more calls than lines are uncertain where the process dies.
            for receipt in batch:
                if receipt.state is not ReceiptState.INTERIM:
                    self.ended(receipt.route, receipt.carrier_ids)
        self.tell(answer)

    async def message(self, message: IncomingMessage) -> None:
        """Keep an incoming message. On return it is durable."""
        while True:
            try:
                return await self._news.incoming(message)
            except StoreUnavailable as error:
                log.warning("receipts.store_unavailable", reason=str(error))
                await asyncio.sleep(1)

    def route_changed(self, name: str) -> None:
        """A route went up or down."""
        self._bus.tell(Hint(News.ROUTE))

    def ended(self, route: str, carrier_ids: Sequence[str]) -> None:
        """What a carrier had under this id has ended: where it was a call, its line is free."""
        lines = self.lines.get(route)
        if lines is not None:
            for carrier_id in carrier_ids:
                lines.over(carrier_id)

    def tell(self, answer: LateAnswer) -> None:
        """Count what moved, and have the planner know what goes again."""
        for moved in answer.moved:
            self._metrics.outcomes.add(moved.medium, int(moved.code))
            if moved.retry:
                self._bus.tell(Hint(News.CONTACTS, moved.campaign))
        if answer.unmatched:
            self._early.set()

    async def settle_for_ever(self) -> None:
        """Try receipts that matched nothing again, as long as there are such; to be cancelled."""
        while True:
            await self._early.wait()
            self._early.clear()
            for delay in EARLY_DELAYS:
                await asyncio.sleep(delay)
                if not await self.settle():
                    break
            else:
                await self._settle_slowly()

    async def _settle_slowly(self) -> None:
        """Go on with those that have been tried often, until there are none or new ones come."""
        left = True
        while left and not self._early.is_set():
            try:
                async with asyncio.timeout(EARLY_DELAYS[-1]):
                    await self._early.wait()
            except TimeoutError:
                left = await self.settle()

    async def settle(self) -> bool:
        """Try what is kept; tell whether any of it is left (where the store cannot tell, it is)."""
        now = self._clock()
        try:
            answer = await self._news.settle_early(self._rules, now)
            await self._news.purge_early(now - EARLY_KEPT_MS)
        except StoreUnavailable as error:
            log.warning("receipts.store_unavailable", reason=str(error))
            return True
        self.tell(LateAnswer(answer.moved))
        return answer.unmatched > 0

    async def _keep(self, batch: Sequence[Receipt]) -> LateAnswer:
        while True:
            try:
                return await self._news.receipts(batch, self._rules, self._clock())
            except StoreUnavailable as error:
                log.warning("receipts.store_unavailable", reason=str(error))
                await asyncio.sleep(1)


class Asker:
    """Asks carriers what became of messages whose receipt is overdue, and gives up where nobody knows."""

    def __init__(
        self, river: River, news: LateNews, ways: Ways, mailroom: Mailroom, *, duty_of: DutyOf, clock: Clock
    ) -> None:
        self._river = river
        self._news = news
        self._ways = ways
        self._mailroom = mailroom
        self._clock = clock
        self._of_gone = duty_of("")
        self._of_route = {way.name: duty_of(way.name) for way in ways.all}
        self._gone_routes: list[str] | None = None

    async def ask_for_ever(self, rules: Rules) -> None:
        """Look for overdue receipts again and again, one process for each route; to be cancelled."""
        while True:
            try:
                if await self._of_gone.held():
                    await self._give_up_gone(rules)
                for way in self._ways.all:
                    wait = getattr(way.settings, "receipt_timeout", None)
                    if wait is not None and way.is_up and await self._of_route[way.name].held():
                        while await self.ask(way, int(wait * SECOND), rules) == OVERDUE_AT_ONCE:
                            pass
            except StoreUnavailable as error:
                log.warning("receipts.store_unavailable", reason=str(error))
            await asyncio.sleep(min(OVERDUE_EVERY, self._shortest_wait()))

    async def ask(self, way: Way, wait_ms: int, rules: Rules) -> int:
        """Ask once about some of a route's messages that were taken more than `wait_ms` ago; tell of how many."""
        now = self._clock()
        overdue = await self._news.overdue(way.name, now - wait_ms, now, OVERDUE_AT_ONCE)
        # Side by side, as far as the route allows: a carrier that does not answer would hold up all for days.
        await asyncio.gather(*(self._ask_about(way, handover, wait_ms, rules) for handover in overdue))
        return len(overdue)

    async def _ask_about(self, way: Way, handover: Handover, wait_ms: int, rules: Rules) -> None:
        medium = medium_of(handover.delivery)
        content = await self._river.content(campaign_of(handover.delivery), handover.revision, medium)
        source = content.source if content else ""
        receipt = await way.route.query(handover.carrier_id, source, handover.dial)
        now = self._clock()
        if receipt is not None and receipt.state is not ReceiptState.INTERIM:
            await self._mailroom.receipts([receipt])
        elif receipt is not None and not self._is_hopeless(handover, now, wait_ms):
            await self._news.postpone(handover, now)
        else:
            await self._miss(handover, rules, now)

    async def settle_dead_calls(self, rules: Rules) -> None:
        """At the start, where no other process can be alive: the calls of a dead one ended with it, nobody knows how.

        Raises StoreUnavailable.
        """
        # Of some it is known: their ends came before they were recorded. Where the store cannot tell, nothing may be
        # called uncertain yet.
        early = await self._news.settle_early(rules, self._clock())
        self._mailroom.tell(LateAnswer(early.moved))
        for route in self._ways.lines:
            await self._give_up(route, rules, NEVER)
        for route in await self._gone():
            await self._give_up_calls(route, rules)

    async def settle_calls_of(self, process: str, rules: Rules) -> None:
        """The calls of another process, which has died, ended with it, nobody knows how. `process` is the mark with
        which their ids begin. Raises StoreUnavailable."""
        early = await self._news.settle_early(rules, self._clock())
        self._mailroom.tell(LateAnswer(early.moved))
        now = self._clock()
        while calls := await self._news.calls_of(process, OVERDUE_AT_ONCE):
            await asyncio.gather(*(self._miss(one, rules, now) for one in calls))

    async def _give_up_gone(self, rules: Rules) -> None:
        if self._gone_routes is None:
            self._gone_routes = await self._gone()
            if self._gone_routes:
                log.warning("receipts.routes_gone", routes=self._gone_routes)
        for name in self._gone_routes:
            await self._give_up(name, rules, self._clock() - GONE_KEPT_MS)

    async def _gone(self) -> list[str]:
        """Routes of which receipts are waited for though they are not configured any more."""
        return [name for name in await self._news.routes() if name not in self._ways.names]

    async def _give_up(self, route: str, rules: Rules, before: int) -> None:
        """Nobody can be asked about the messages that a route took before that instant."""
        now = self._clock()
        while overdue := await self._news.overdue(route, before, now, OVERDUE_AT_ONCE):
            await asyncio.gather(*(self._miss(one, rules, now) for one in overdue))

    async def _give_up_calls(self, route: str, rules: Rules) -> None:
        """Of a route that is not configured any more: what it had is known by the medium alone."""
        now = self._clock()
        while overdue := await self._news.overdue(route, NEVER, now, OVERDUE_AT_ONCE):
            calls = [one for one in overdue if medium_of(one.delivery) is Medium.VOICE]
            await asyncio.gather(*(self._miss(one, rules, now) for one in calls))
            if len(calls) < len(overdue):
                # The name was another medium's as well: what is left of both is waited for as long.
                return

    async def _miss(self, handover: Handover, rules: Rules, now: int) -> None:
        self._mailroom.tell(await self._news.missing(handover, rules, now))
        self._mailroom.ended(handover.route, (handover.carrier_id,))

    def _is_hopeless(self, handover: Handover, now: int, wait_ms: int) -> bool:
        return now - handover.first_at > STILL_AT_IT * wait_ms

    def _shortest_wait(self) -> float:
        waits = [getattr(way.settings, "receipt_timeout", None) for way in self._ways.all]
        return min([max(0.1, wait / 4) for wait in waits if wait is not None], default=OVERDUE_EVERY)
