"""Owns one connection to an SMSC: what is written on it, which answers belong to what, and whether it is alive.

Must not know how connections come about (session.py), nor what becomes of a delivery.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, cast

import structlog

from campana.channels.contract import Accepted
from campana.channels.errors import SendError, Throttled, Uncertain, Unreachable, Withdrawn
from campana.channels.sms import pdu
from campana.channels.sms.bodies import parse_data, parse_short_message, read_message_id
from campana.channels.sms.codes import RINVCMDID, RINVCMDLEN, ROK, refusal
from campana.channels.sms.inbox import Inbox, Ticket
from campana.channels.sms.outbox import Batch, Outbox, Sink, Train
from campana.domain.outcome import DeliveryCode

FAREWELL_SECONDS: Final = 2.0
"""How long a connection stays to hear answers after the SMSC unbound, or to flush before it is cut."""

_log = structlog.get_logger(__name__)


class LinkSettings(NamedTuple):
    """What a link needs to know of its route."""

    route: str
    window: int
    response_timeout: float
    enquire_link: float
    final: bool
    """Nothing is heard after the answer: accepted is success."""


class LinkLost(ConnectionError):
    """The connection went before an answer came. The sentence says why."""


class Link(asyncio.Protocol):
    """One TCP or TLS connection. Bound for sending, it takes parcels from the outbox as its window allows.

    A submit_sm is outstanding from its writing to its answer; every way out of here settles it exactly once.
    """

    def __init__(self, settings: LinkSettings, outbox: Outbox, inbox: Inbox | None) -> None:
        self._settings = settings
        self._outbox = outbox
        self._inbox = inbox
        self._loop = asyncio.get_running_loop()
        self.closed: asyncio.Future[str] = self._loop.create_future()
        """Done with a sentence on why, once the connection is gone."""
        self._framer = pdu.Framer()
        self._outstanding: dict[int, tuple[Sink, int, float]] = {}
        self._backlog: deque[tuple[Train, int]] = deque()
        self._repeating = 0
        """Messages of which parts are going to be written again."""
        self._unacknowledged = 0
        """Requests of the SMSC that wait for our answer."""
        self._asked: dict[int, asyncio.Future[tuple[int, bytes]]] = {}
        self._sequence = 0
        self._sending = False
        self._retired = False
        self._unbound = False
        self._write_blocked = False
        self._reading = True
        self._leaving = False
        self._heard = self._alive_from = self._loop.time()
        self._probed: float | None = None
        self._reason = ""
        self._timer: asyncio.TimerHandle | None = None
        self._finished: asyncio.Event | None = None
        self._acknowledged: asyncio.Event | None = None

    # --- the way out ---------------------------------------------------------------------------------------------

    def begin_sending(self) -> None:
        """Take parcels from now on."""
        self._sending = True
        self._outbox.join(self)

    def retire(self, error: Callable[[], SendError]) -> None:
        """Take no more parcels. Of what was taken all is written and answered; `error` is for what nobody takes now."""
        self._retired = True
        self._outbox.leave(self, error)

    def pump(self, limit: int) -> None:
        """Write at most `limit` more messages, as the window allows: one write for all of them."""
        room = min(limit, self._settings.window - len(self._outstanding))
        if room <= 0 or not self._sending or self._write_blocked or self._probed is not None or self._outbox.resting:
            return
        written: list[bytes] = []
        now = self._loop.time()
        if self._backlog:
            room = self._write_backlog(written, room, now)
        batches = self._outbox.batches
        while batches and room > 0 and not self._retired:
            room = self._write_batch(batches[0], written, room, now)
            if batches[0].next == len(batches[0].parcels):
                batches.popleft()
        if written:
            self._write(b"".join(written))

    def _write_batch(self, batch: Batch, written: list[bytes], room: int, now: float) -> int:
        parcels, permit, outstanding = batch.parcels, batch.permit, self._outstanding
        index, count = batch.next, len(parcels)
        while index < count and room > 0:
            payload = parcels[index].payload
            if not permit():
                batch.settle(index, Withdrawn())
            elif len(payload) == 1:
                self._sequence = sequence = self._sequence % pdu.LARGEST_SEQUENCE + 1
                outstanding[sequence] = (batch, index, now)
                head, rest = payload[0]
                written += (head, sequence.to_bytes(4, "big"), rest)
                room -= 1
            else:
                train = Train(batch, index, payload, self)
                self._backlog.extend((train, part) for part in range(len(payload)))
                room = self._write_backlog(written, room, now)
            index += 1
        batch.next = index
        return room

    def _write_backlog(self, written: list[bytes], room: int, now: float) -> int:
        while self._backlog and room > 0:
            train, part = self._backlog.popleft()
            self._sequence = sequence = self._sequence % pdu.LARGEST_SEQUENCE + 1
            self._outstanding[sequence] = (train, part, now)
            head, rest = train.payload[part]
            written += (head, sequence.to_bytes(4, "big"), rest)
            room -= 1
        return room

    def write_again(self, train: Train, parts: Sequence[int], delay: float) -> None:
        """Write parts of a message again, after `delay` seconds. No permit is asked: the message has left in part."""
        self._repeating += 1
        self._loop.call_later(delay, self._repeat, train, parts)

    def _repeat(self, train: Train, parts: Sequence[int]) -> None:
        self._repeating -= 1
        if self.closed.done():
            for part in parts:
                train.settle(part, self._unreachable())
            return
        self._backlog.extend((train, part) for part in parts)
        self.pump(self._settings.window)

    async def ask(self, command: int, body: bytes = b"") -> tuple[int, bytes]:
        """Send a request and wait for its (command_status, body). Raises LinkLost or TimeoutError."""
        if self.closed.done():
            raise LinkLost(self._reason)
        self._sequence = sequence = self._sequence % pdu.LARGEST_SEQUENCE + 1
        answer: asyncio.Future[tuple[int, bytes]] = self._loop.create_future()
        self._asked[sequence] = answer
        self._write(pdu.pack(command, ROK, sequence, body))
        try:
            async with asyncio.timeout(self._settings.response_timeout):
                return await answer
        finally:
            self._asked.pop(sequence, None)

    def acknowledge(self, replies: Sequence[tuple[int, int]], status: int) -> None:
        """Answer deliver_sm and data_sm requests, given as (command_id, sequence_number)."""
        self._unacknowledged -= len(replies)
        self._note_acknowledged()
        # Both answers carry an unused message_id: one NUL (sections 4.6.2 and 4.7.2).
        self._write(
            b"".join([pdu.pack(command | pdu.RESPONSE, status, sequence, b"\0") for command, sequence in replies])
        )

    def _write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)

    # --- the way in ----------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Cut and handle what came, then write what the window now allows."""
        self._heard = self._loop.time()
        self._probed = None
        for command, status, sequence, body in self._framer.feed(data):
            if command == pdu.SUBMIT_SM_RESP:
                self._submitted(status, sequence, body)
            else:
                self._handle(command, status, sequence, body)
        if self._framer.broken:
            self._write(pdu.pack(pdu.GENERIC_NACK, RINVCMDLEN, self._framer.broken_sequence))
            self.close("The SMSC sent a PDU whose length cannot be.")
        elif self._leaving and not self._outstanding:
            self.close(self._reason)
        else:
            self.pump(self._settings.window)
            self._note_idle()

    def _submitted(self, status: int, sequence: int, body: bytes) -> None:
        waiting = self._outstanding.pop(sequence, None)
        if waiting is None:
            _log.info("sms.answer_too_late", route=self._settings.route, status=f"0x{status:08X}")
            return
        sink, index, _ = waiting
        if status == ROK:
            message_id = read_message_id(body)
            self._outbox.accepted()
            sink.settle(index, Accepted((message_id,) if message_id else (), self._settings.final))
            return
        error = refusal(status)
        if isinstance(error, Throttled):
            self._outbox.throttled()
        sink.settle(index, error)

    def _handle(self, command: int, status: int, sequence: int, body: bytes) -> None:
        if command in (pdu.DELIVER_SM, pdu.DATA_SM):
            self._delivered(command, sequence, body)
        elif command == pdu.ENQUIRE_LINK:
            self._write(pdu.pack(pdu.ENQUIRE_LINK | pdu.RESPONSE, ROK, sequence))
        elif command == pdu.UNBIND:
            self._write(pdu.pack(pdu.UNBIND | pdu.RESPONSE, ROK, sequence))
            self._leave("The SMSC unbound the connection.")
        elif command == pdu.GENERIC_NACK and sequence in self._outstanding:
            self._submitted(status or RINVCMDID, sequence, b"")
        elif command & pdu.RESPONSE:
            answer = self._asked.get(sequence)
            if answer is not None and not answer.done():
                refused = command == pdu.GENERIC_NACK and status == ROK
                answer.set_result((RINVCMDID if refused else status, body))
        elif command not in (pdu.ALERT_NOTIFICATION, pdu.OUTBIND):
            self._write(pdu.pack(pdu.GENERIC_NACK, RINVCMDID, sequence))

    def _delivered(self, command: int, sequence: int, body: bytes) -> None:
        self._unacknowledged += 1
        try:
            message = parse_short_message(body) if command == pdu.DELIVER_SM else parse_data(body)
        except pdu.PduError as error:
            _log.warning("sms.malformed_pdu", route=self._settings.route, command=f"0x{command:08X}", rule=str(error))
            self.acknowledge([(command, sequence)], error.status)
            return
        if self._inbox is None:
            # Without anybody to keep it, the SMSC has to keep it.
            return
        if not self._inbox.take(Ticket(self, command, sequence), message) and self._reading:
            self._reading = False
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read again. What was not read meanwhile does not count as silence."""
        if not self._reading and not self.closed.done():
            self._reading = True
            self._heard = self._alive_from = self._loop.time()
            self._probed = None
            self._transport.resume_reading()

    # --- its life ------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        self._transport = cast("asyncio.Transport", transport)
        self._tick()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone: settle all that was written as uncertain, all else as unreachable."""
        if not self._reason:
            self._reason = f"The connection was lost: {exc}." if exc else "The SMSC closed the connection."
        self._sending = False
        if self._timer is not None:
            self._timer.cancel()
        if not self.closed.done():
            self.closed.set_result(self._reason)
        outstanding, self._outstanding = self._outstanding, {}
        for sink, index, _ in outstanding.values():
            sink.settle(index, Uncertain(DeliveryCode.UNCERTAIN, None, f"No answer came. {self._reason}"))
        backlog, self._backlog = self._backlog, deque()
        for train, part in backlog:
            train.settle(part, self._unreachable())
        self._note_idle()
        self._note_acknowledged()
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(LinkLost(self._reason))
        self._outbox.leave(self, self._unreachable)

    def pause_writing(self) -> None:
        """The SMSC reads slower than we write."""
        self._write_blocked = True

    def resume_writing(self) -> None:
        """It caught up."""
        self._write_blocked = False
        self.pump(self._settings.window)

    def describe(self) -> list[tuple[str, str]]:
        """What is to be told of the connection itself, as (label, value)."""
        cipher = self._transport.get_extra_info("cipher")
        return [("tls", f"{cipher[1]}, {cipher[0]}" if cipher else "off")]

    async def finish(self) -> None:
        """Wait until everything written is answered, given up or lost."""
        self._finished = self._finished or asyncio.Event()
        self._note_idle()
        await self._finished.wait()

    def _note_idle(self) -> None:
        if self._finished is None:
            return
        if self.closed.done() or not (self._outstanding or self._backlog or self._repeating):
            self._finished.set()

    async def acknowledge_all(self, patience: float) -> None:
        """Wait until everything that came is answered, at most `patience` seconds: the rest comes once more."""
        self._acknowledged = asyncio.Event()
        self._note_acknowledged()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._acknowledged.wait(), patience)

    def _note_acknowledged(self) -> None:
        if self._acknowledged is not None and (self.closed.done() or not self._unacknowledged):
            self._acknowledged.set()

    async def unbind(self, budget: float) -> None:
        """Say goodbye, once, waiting at most `budget` seconds for the answer, and close."""
        self._sending = False
        if not self._unbound:
            self._unbound = True
            try:
                async with asyncio.timeout(budget):
                    await self.ask(pdu.UNBIND)
            except (TimeoutError, LinkLost):
                pass
        self.close("We unbound the connection.")
        await asyncio.wait([self.closed], timeout=budget)

    def close(self, reason: str) -> None:
        """Close the connection; what was written already is flushed, for a moment."""
        self._reason = self._reason or reason
        self._sending = False
        if not self.closed.done() and not self._transport.is_closing():
            self._transport.close()
            self._loop.call_later(FAREWELL_SECONDS, self._transport.abort)

    def _cut(self, reason: str) -> None:
        """Close a connection that nobody listens to any more; `connection_lost` follows in a moment."""
        self._reason = reason
        self._sending = False
        self._transport.abort()

    def _unreachable(self) -> Unreachable:
        return Unreachable(DeliveryCode.SMS_UNREACHABLE, None, self._reason)

    def _leave(self, reason: str) -> None:
        self._reason = reason
        self._sending = False
        self._leaving = True
        self._outbox.leave(self, self._unreachable)
        self._loop.call_later(FAREWELL_SECONDS, self.close, reason)

    def _tick(self) -> None:
        settings = self._settings
        if self._reading:
            now = self._loop.time()
            self._expire(now)
            if self._probed is not None and now - self._probed > settings.response_timeout:
                self._cut("The SMSC stopped answering.")
                return
            if self._probed is None and now - self._heard > settings.enquire_link:
                self._probe(now)
            self.pump(settings.window)
            self._note_idle()
        pause = min(1.0, settings.response_timeout / 4, settings.enquire_link / 4)
        self._timer = self._loop.call_later(pause, self._tick)

    def _expire(self, now: float) -> None:
        """Settle what was not answered in time. A window's worth of silence at once means a link that is stuck."""
        limit = now - self._settings.response_timeout
        if limit < self._alive_from:
            return
        expired = []
        for sequence, (_, _, written) in self._outstanding.items():
            if written > limit:
                break
            expired.append(sequence)
        for sequence in expired:
            sink, index, _ = self._outstanding.pop(sequence)
            sink.settle(index, Uncertain(DeliveryCode.UNCERTAIN, None, "The SMSC did not answer in time."))
        if len(expired) >= self._settings.window:
            self._cut("The SMSC answered none of a window of messages in time.")
        elif expired and self._heard <= limit and self._probed is None:
            self._probe(now)

    def _probe(self, now: float) -> None:
        """Test the connection: nothing more is written until anything is heard."""
        self._probed = now
        self._sequence = sequence = self._sequence % pdu.LARGEST_SEQUENCE + 1
        self._write(pdu.pack(pdu.ENQUIRE_LINK, ROK, sequence))
