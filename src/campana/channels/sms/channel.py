"""Owns the SMS route: the channel contract on one side, binds to one SMSC on the other.

Must not know bytes, nor decide whether an attempt is repeated.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from typing import Final

from campana.channels.contract import (
    NONE_LEFT,
    Composer,
    Health,
    Inbound,
    Parcel,
    Permit,
    Result,
    RouteReport,
    RouteState,
)
from campana.channels.sms import pdu
from campana.channels.sms.addressing import AddressError, to_address
from campana.channels.sms.binds import Binds
from campana.channels.sms.bodies import Query, pack_query, parse_query_answer
from campana.channels.sms.codes import ROK
from campana.channels.sms.composing import Composers
from campana.channels.sms.inbox import Inbox
from campana.channels.sms.outbox import Batch, Outbox
from campana.channels.sms.receipts import read_query_answer
from campana.channels.sms.session import FAREWELL_SECONDS, BindRefused, Connector, Problem, Session, problem_of
from campana.channels.sms.settings import SmsRouteSettings
from campana.domain.delivery import Medium
from campana.domain.message import Content
from campana.domain.moment import Clock
from campana.domain.outcome import Receipt

RECONNECT_GRACE: Final = 1.0
"""Seconds for which `send` waits for a connection that is just coming back."""
MOST_QUERIES: Final = 10

_BINDS: Final = {
    "transceiver": (pdu.BIND_TRANSCEIVER,),
    "pair": (pdu.BIND_TRANSMITTER, pdu.BIND_RECEIVER),
}
_CONNECTING: Final = Problem("The connection is being made.")
_NONE_LEFT: Final = Problem(NONE_LEFT)
_STOPPED: Final = Problem("The route was stopped.")


class SmsRoute:
    """A way out over one SMSC account. Used from one event loop; `start` before `send`."""

    medium = Medium.SMS

    def __init__(self, settings: SmsRouteSettings, clock: Clock) -> None:
        self.settings = settings
        self.name = settings.name
        self.state = RouteState(since=clock(), reason=_CONNECTING.sentence)
        self._clock = clock
        # Beginning anywhere, so that a restart does not repeat the references of the messages before it.
        self._composers = Composers(settings, itertools.count(clock()))
        self._outbox = Outbox()
        self._inbox: Inbox | None = None
        self._inbound: Inbound | None = None
        self._allowed = settings.binds
        self._binds: Binds | None = None
        self._collecting: asyncio.Task[None] | None = None
        self._stopping = False
        self._queries = asyncio.Semaphore(MOST_QUERIES)

    @property
    def connections(self) -> int:
        """Binds that have a connection, open or close one; a pair counts as one."""
        return 0 if self._binds is None else self._binds.open

    def allow(self, connections: int) -> None:
        """Have at most so many binds from now on (see the contract)."""
        self._allowed = min(connections, self.settings.binds)
        if self._stopping:
            return
        if self._binds is not None:
            self._binds.allow(self._allowed, self._problem())
        self._changed()

    async def start(self, inbound: Inbound) -> None:
        """Begin to connect in the background and stay connected; returns at once."""
        self._inbound = inbound
        self._inbox = Inbox(self.name, self.settings.receipt_ids, self._clock, inbound)
        self._collecting = asyncio.create_task(self._inbox.run(), name=f"sms {self.name}")
        connector = Connector(self.settings, self._outbox, self._inbox)
        self._binds = Binds(connector, _BINDS[self.settings.bind], self._changed)
        self._binds.allow(self._allowed, self._problem())

    async def stop(self, budget: float) -> None:
        """Wait for answers to what is written, have all that came made durable, unbind and close."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + budget
        self._stopping = True
        self._outbox.settle_unwritten(_STOPPED.error)
        if self._binds is not None and self._inbox is not None and self._collecting is not None:
            finishing = [asyncio.create_task(link.finish()) for link in self._binds.links]
            if finishing:
                await asyncio.wait(finishing, timeout=max(0.0, budget - FAREWELL_SECONDS))
            await self._inbox.drain(max(0.1, deadline - loop.time() - FAREWELL_SECONDS))
            ending = (*finishing, self._collecting)
            for task in ending:
                task.cancel()
            await asyncio.gather(self._binds.stop(), *ending, return_exceptions=True)
            farewell = min(FAREWELL_SECONDS, max(0.1, deadline - loop.time()))
            await asyncio.gather(*(link.unbind(farewell) for link in self._binds.links))
        self._note(Health.DOWN, _STOPPED.sentence)

    def composer(self, content: Content) -> Composer:
        """Prepare a campaign's text. Raises RefusedForGood where its from-number or text cannot be sent."""
        return self._composers.composer(content)

    async def send(self, parcels: Sequence[Parcel], permit: Permit) -> list[Result]:
        """Write the parcels in order over the bound links and wait for what becomes of them (see the contract)."""
        if not parcels:
            return []
        if not self._outbox.opened.is_set():
            if self._allowed:
                await self._wait_for_link()
            if not self._outbox.opened.is_set():
                return [self._problem().error() for _ in parcels]
        batch = Batch(parcels, permit, asyncio.get_running_loop().create_future())
        self._outbox.add(batch)
        await batch.done
        return batch.settled()

    async def query(self, carrier_id: str, source: str, destination: str) -> Receipt | None:
        """Ask the SMSC about a message by query_sm; None where it cannot be asked or does not know."""
        link = next((session.link for session in self._sessions() if session.sends and session.link), None)
        if link is None:
            return None
        try:
            address = to_address(source, self.settings.source_override)
            body = pack_query(Query(carrier_id.encode("latin-1"), address))
            async with self._queries:
                status, answer = await link.ask(pdu.QUERY_SM, body)
            if status != ROK:
                return None
            return read_query_answer(parse_query_answer(answer), carrier_id, self.name, self._clock())
        except (AddressError, UnicodeEncodeError, OSError, pdu.PduError):
            return None

    async def check(self) -> RouteReport:
        """Connect and bind once, test the link, unbind; say what was found."""
        settings, loop = self.settings, asyncio.get_running_loop()
        connector = Connector(settings, Outbox(), None)
        facts = [("smsc", f"{settings.endpoint.host}:{settings.endpoint.port}")]
        try:
            link = await connector.connect()
        except (OSError, TimeoutError) as error:
            return RouteReport(False, facts, problem_of(error, settings).sentence)
        try:
            facts += link.describe()
            system_id, version = await connector.bind(link, _BINDS[settings.bind][0])
            facts += [("bind", settings.bind), ("smsc system id", system_id or "not told")]
            facts.append(("smsc version", f"{version >> 4}.{version & 15}" if version else "not told"))
            began = loop.time()
            await link.ask(pdu.ENQUIRE_LINK)
            facts.append(("enquire_link", f"{(loop.time() - began) * 1000:.1f} ms"))
            await link.unbind(FAREWELL_SECONDS)
        except (OSError, TimeoutError, BindRefused) as error:
            return RouteReport(False, facts, problem_of(error, settings).sentence)
        finally:
            link.close("The check is over.")
        return RouteReport(True, facts)

    # --- how it is -----------------------------------------------------------------------------------------------

    async def _wait_for_link(self) -> None:
        if self._problem().misconfigured:
            return
        try:
            async with asyncio.timeout(RECONNECT_GRACE):
                await self._outbox.opened.wait()
        except TimeoutError:
            return

    def _sessions(self) -> list[Session]:
        return [] if self._binds is None else self._binds.sessions

    def _problem(self) -> Problem:
        """Why nothing can be sent."""
        if not self._allowed:
            return _NONE_LEFT
        problems = [session.problem for session in self._sessions() if session.sends and session.problem]
        return next((problem for problem in problems if problem.misconfigured), next(iter(problems), _CONNECTING))

    def _changed(self) -> None:
        """A session's connection came or went, or how many there may be has changed."""
        senders = [session for session in self._sessions() if session.sends]
        deaf = [session.problem for session in self._sessions() if not session.sends and session.problem]
        if any(session.link for session in senders):
            reason = f"No receipts for now: {deaf[0].sentence}" if len(deaf) == len(senders) else ""
            self._note(Health.UP, reason)
            return
        tried = any(session.problem for session in senders)
        self._note(Health.DOWN if tried else Health.CONNECTING, self._problem().sentence)

    def _note(self, health: Health, reason: str) -> None:
        before = (self.state.health, self.state.reason)
        self.state.health, self.state.reason = health, reason
        if health is not before[0]:
            self.state.since = self._clock()
        if (health, reason) != before and self._inbound is not None:
            self._inbound.route_changed(self.name)
