"""Owns one connection of the sandbox SMSC: its bind, and what is answered to each PDU.

Must not know what becomes of messages.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast

from campana.channels.sms import pdu
from campana.channels.sms.bodies import parse_bind, parse_query
from campana.channels.sms.codes import RALYBND, RINVBNDSTS, RINVCMDID, RINVCMDLEN
from campana.sandbox.smsc_delivering import Account, Delivery

if TYPE_CHECKING:
    from campana.sandbox.smsc import SmscSimulator

_BINDS: Final = (pdu.BIND_TRANSCEIVER, pdu.BIND_TRANSMITTER, pdu.BIND_RECEIVER)
_SYSTEM_ID: Final = b"campana-sandbox"


class SmscLink(asyncio.Protocol):
    """A client's connection. What is answered in one go is written in one go."""

    def __init__(self, smsc: SmscSimulator) -> None:
        self._smsc = smsc
        self._loop = asyncio.get_running_loop()
        self._framer = pdu.Framer()
        self._sequence = 0
        self.bound = 0
        """The bind request that was accepted, 0 for none."""
        self.account: Account | None = None
        """The client's account, once bound."""
        self.unanswered: dict[int, Delivery] = {}
        self.owed = 0
        """submit_sm that wait for their answer."""

    @property
    def receives(self) -> bool:
        """Whether it was bound to receive."""
        return self.bound in (pdu.BIND_TRANSCEIVER, pdu.BIND_RECEIVER)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected."""
        self._transport = cast("asyncio.Transport", transport)
        self._smsc.came(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone; what it did not acknowledge waits for its return."""
        self._smsc.went(self)
        self._smsc.owed -= self.owed
        self.owed = 0
        if self.account is not None:
            self.account.leave(self)

    def cut(self) -> None:
        """Cut the connection without a word."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Answer what came."""
        if self._smsc.silent:
            return
        out: list[bytes] = []
        for command, status, sequence, body in self._framer.feed(data):
            if command == pdu.SUBMIT_SM and self.bound in (pdu.BIND_TRANSCEIVER, pdu.BIND_TRANSMITTER):
                self.owed += 1
                self._smsc.owed += 1
                self._smsc.submit(self, sequence, body, out)
            else:
                self._handle(command, status, sequence, body)
        if out:
            self._smsc.flush_journal()
            if self._smsc.latency:
                self._loop.call_later(self._smsc.latency, self._settle, out)
            else:
                self._settle(out)
        if self._framer.broken:
            self._write(pdu.pack(pdu.GENERIC_NACK, RINVCMDLEN, self._framer.broken_sequence))
            self._transport.close()

    def deliver(self, deliveries: list[Delivery]) -> None:
        """Write deliver_sm PDUs and remember them as unanswered."""
        out = []
        for delivery in deliveries:
            self._sequence = self._sequence % pdu.LARGEST_SEQUENCE + 1
            self.unanswered[self._sequence] = delivery
            out.append(pdu.pack(pdu.DELIVER_SM, 0, self._sequence, delivery.body))
        self._write(b"".join(out))

    def _settle(self, answers: list[bytes]) -> None:
        """Write answers to submit_sm."""
        if not self._transport.is_closing():
            self.owed -= len(answers)
            self._smsc.owed -= len(answers)
            self._transport.write(b"".join(answers))

    def _write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)

    def _handle(self, command: int, status: int, sequence: int, body: bytes) -> None:
        if command in _BINDS:
            self._bind(command, sequence, body)
        elif command == pdu.DELIVER_SM | pdu.RESPONSE:
            delivery = self.unanswered.pop(sequence, None)
            if delivery is not None and self.account is not None:
                self.account.answered(delivery, status)
        elif command == pdu.ENQUIRE_LINK:
            self._answer(command, 0, sequence)
        elif command == pdu.QUERY_SM and self.bound:
            self._query(sequence, body)
        elif command == pdu.UNBIND:
            self._answer(command, 0, sequence)
            self._transport.close()
        elif command in (pdu.SUBMIT_SM, pdu.QUERY_SM):
            self._answer(command, RINVBNDSTS, sequence)
        elif not command & pdu.RESPONSE:
            self._write(pdu.pack(pdu.GENERIC_NACK, RINVCMDID, sequence))

    def _answer(self, command: int, status: int, sequence: int, body: bytes = b"") -> None:
        self._write(pdu.pack(command | pdu.RESPONSE, status, sequence, body))

    def _bind(self, command: int, sequence: int, body: bytes) -> None:
        try:
            bind = parse_bind(body)
        except pdu.PduError as error:
            self._answer(command, error.status, sequence)
            return
        system_id = bind.system_id.decode("latin-1")
        status = RALYBND if self.bound else self._smsc.admit(system_id, bind.password.decode("latin-1"))
        self._answer(command, status, sequence, _SYSTEM_ID + b"\0" if status == 0 else b"")
        if status:
            return
        self.bound = command
        self.account = self._smsc.account(system_id)
        if self.receives:
            self.account.join(self)
            self._smsc.receiver_bound.set()

    def _query(self, sequence: int, body: bytes) -> None:
        try:
            status, answer = self._smsc.query(parse_query(body))
        except pdu.PduError as error:
            status, answer = error.status, b""
        self._answer(pdu.QUERY_SM, status, sequence, answer)
