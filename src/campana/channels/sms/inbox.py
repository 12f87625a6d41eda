"""Owns what the SMSC sends to us, from its arrival until it is durable and may be acknowledged.

Must not know bytes, nor what receipts do to deliveries.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

import structlog

from campana.channels.contract import Inbound
from campana.channels.sms.addressing import from_address
from campana.channels.sms.bodies import ShortMessage
from campana.channels.sms.codes import ROK, RX_T_APPN
from campana.channels.sms.incoming import Desk, Letter
from campana.channels.sms.receipts import Spelling, is_receipt, read_receipt
from campana.domain.delivery import Medium
from campana.domain.message import IncomingMessage
from campana.domain.moment import Clock
from campana.domain.outcome import Receipt

COLLECT_SECONDS: Final = 0.005
"""How long receipts are collected: short, since an SMSC with a small window sends no more until they are answered."""
BATCH: Final = 200
MOST_UNANSWERED: Final = 2_000
"""Beyond this nothing more is read until some of it is durable: the SMSC waits, nothing is lost."""
PATIENCE_SECONDS: Final = 5.0
"""How long a part waits for the others, unacknowledged: shorter than an SMSC waits for an answer."""
MOST_LETTERS: Final = 500

_log = structlog.get_logger(__name__)


class Correspondent(Protocol):
    """The connection on which something came."""

    def acknowledge(self, replies: Sequence[tuple[int, int]], status: int) -> None:
        """Answer requests, given as (command_id, sequence_number), with a status; ignored once the link is lost."""

    def resume_reading(self) -> None:
        """There is room again."""


class Ticket(NamedTuple):
    """One request of the SMSC that waits for its answer."""

    link: Correspondent
    command: int
    sequence: int


class Inbox:
    """Collects receipts and messages, hands them to `inbound`, and has them acknowledged once they are durable."""

    def __init__(self, route: str, spelling: Spelling, clock: Clock, inbound: Inbound) -> None:
        self._route = route
        self._spelling: Spelling = spelling
        self._clock = clock
        self._inbound = inbound
        self._receipts: list[tuple[Receipt, Ticket]] = []
        self._letters: list[Letter[Ticket]] = []
        self._desk: Desk[Ticket] = Desk(PATIENCE_SECONDS, MOST_LETTERS)
        self._unanswered = 0
        self._held_back: set[Correspondent] = set()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def take(self, ticket: Ticket, message: ShortMessage) -> bool:
        """Take what came. False asks the link to read no more until it is told to resume."""
        self._unanswered += 1
        self._idle.clear()
        if is_receipt(message):
            self._take_receipt(ticket, message)
        else:
            self._letters += self._desk.put(message, ticket, asyncio.get_running_loop().time())
        # Also for a part that only waits: the worker has to know of its deadline.
        self._wake.set()
        if self._unanswered < MOST_UNANSWERED:
            return True
        self._held_back.add(ticket.link)
        return False

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self._something()
            if len(self._receipts) < BATCH:
                await asyncio.sleep(COLLECT_SECONDS)
            await self._work()

    async def drain(self, budget: float) -> None:
        """Wait at most `budget` seconds until all that came is answered; unfinished messages are kept as they are."""
        self._letters += self._desk.overdue(float("inf"))
        self._wake.set()
        try:
            async with asyncio.timeout(budget):
                await self._idle.wait()
        except TimeoutError:
            _log.warning("sms.unacknowledged_at_stop", route=self._route, count=self._unanswered)

    def _take_receipt(self, ticket: Ticket, message: ShortMessage) -> None:
        receipt = read_receipt(message, self._route, self._clock(), self._spelling)
        if receipt is None:
            # Refusing it would only make the SMSC send the same again.
            _log.warning("sms.receipt_without_id", route=self._route, octets=len(message.octets))
            self._answer([ticket], ROK)
        else:
            self._receipts.append((receipt, ticket))

    async def _something(self) -> None:
        deadline = self._desk.next_deadline()
        try:
            async with asyncio.timeout_at(deadline):
                await self._wake.wait()
        except TimeoutError:
            self._letters += self._desk.overdue(asyncio.get_running_loop().time())
        self._wake.clear()

    async def _work(self) -> None:
        while self._receipts or self._letters:
            batch, self._receipts = self._receipts[:BATCH], self._receipts[BATCH:]
            letters, self._letters = self._letters, []
            if batch:
                await self._keep_receipts(batch)
            for letter in letters:
                await self._keep_letter(letter)

    async def _keep_receipts(self, batch: list[tuple[Receipt, Ticket]]) -> None:
        status = ROK
        try:
            await self._inbound.receipts([receipt for receipt, _ in batch])
        except Exception:
            # Not to be lost whatever went wrong above us: the SMSC is asked to send it again.
            _log.exception("sms.receipts_not_kept", route=self._route, count=len(batch))
            status = RX_T_APPN
        self._answer([ticket for _, ticket in batch], status)

    async def _keep_letter(self, letter: Letter[Ticket]) -> None:
        status = ROK
        message = IncomingMessage(
            route=self._route,
            medium=Medium.SMS,
            source=from_address(letter.source),
            destination=from_address(letter.destination),
            text=letter.text,
            at=self._clock(),
        )
        try:
            await self._inbound.message(message)
        except Exception:
            _log.exception("sms.message_not_kept", route=self._route)
            status = RX_T_APPN
        self._answer(letter.attached, status)

    def _answer(self, tickets: list[Ticket], status: int) -> None:
        by_link: dict[Correspondent, list[tuple[int, int]]] = {}
        for link, command, sequence in tickets:
            by_link.setdefault(link, []).append((command, sequence))
        for link, replies in by_link.items():
            link.acknowledge(replies, status)
        self._unanswered -= len(tickets)
        if not self._unanswered:
            self._idle.set()
        if self._held_back and self._unanswered <= MOST_UNANSWERED // 2:
            held_back, self._held_back = self._held_back, set()
            for link in held_back:
                link.resume_reading()
