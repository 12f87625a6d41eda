"""Owns the sandbox SMSC: an SMPP 3.4 server on a real socket that takes messages and lets each meet its fate.

Must not know anything of Campana but the wire format that both speak.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import ssl
import time
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypedDict, Unpack

import structlog

from campana.channels.sms import pdu
from campana.channels.sms.addressing import to_address
from campana.channels.sms.bodies import (
    ESM_UDHI,
    Query,
    QueryAnswer,
    ShortMessage,
    pack_query_answer,
    pack_short_message,
    parse_short_message,
)
from campana.channels.sms.codes import (
    RINVPASWD,
    RINVSYSID,
    ROK,
    RQUERYFAIL,
    RTHROTTLED,
    STATE_BY_NUMBER,
    STATE_BY_WORD,
)
from campana.domain.moment import Clock
from campana.domain.text.segments import plan_segments
from campana.sandbox.magic_sms import DELIVERED, Answer, Fate, fate_of
from campana.sandbox.simulator import Simulator, run
from campana.sandbox.smsc_delivering import Account, Delivery, ReceiptFor, Schedule, pack_receipt
from campana.sandbox.smsc_link import SmscLink
from campana.sandbox.smsc_phones import Phones, Received, Seen, journal_entry

_ENROUTE: Final = STATE_BY_WORD["ENROUTE"].number
_log = structlog.get_logger(__name__)


class SmscOptions(TypedDict, total=False):
    """What may be set of a simulator, all of it also later, as attributes of the same names."""

    magic: bool
    """Magic numbers meet their fates (true), or everything is delivered."""
    receipts: bool
    """Send receipts where they are asked for (true)."""
    receipt_delay: float
    """Seconds from taking a message to its receipt (0.2)."""
    latency: float
    """Seconds before any submit_sm is answered (0)."""
    rate: int | None
    """Messages in a second beyond which submissions are throttled (none)."""
    keep: int
    """Messages to keep; 0 makes the simulator a sink that only counts (10,000). Fixed at the start."""
    accounts: dict[str, str] | None
    """Passwords by system_id; none lets everybody bind."""
    refuse_binds: int
    """command_status with which every bind is refused (0)."""
    silent: bool
    """Answer nothing at all, as a peer does whose host has died (false)."""


class SmscSimulator(Simulator[SmscLink]):
    """An SMSC for tests, the demo and benchmarks. `start` it, give `port` to a client, `stop` it."""

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        clock: Clock | None = None,
        on_message: Callable[[Received], None] | None = None,
        journal: Path | None = None,
        tls: ssl.SSLContext | None = None,
        **options: Unpack[SmscOptions],
    ) -> None:
        super().__init__(host, port, journal, clock)
        self.magic = options.get("magic", True)
        self.receipts = options.get("receipts", True)
        self.receipt_delay = options.get("receipt_delay", 0.2)
        self.latency = options.get("latency", 0.0)
        self.rate = options.get("rate")
        self.accounts = options.get("accounts")
        self.refuse_binds = options.get("refuse_binds", 0)
        self.silent = options.get("silent", False)
        self.accepted = 0
        """Short messages (parts) taken."""
        self.owed = 0
        """submit_sm that wait for their answer, on all connections."""
        self.phones = Phones(options.get("keep", 10_000), on_message)
        self.receiver_bound = asyncio.Event()
        """Set by a connection that is bound to receive."""
        self._keep = options.get("keep", 10_000)
        self._tls = tls
        self._accounts: dict[str, Account] = {}
        self._schedule = Schedule()
        self._refused: Counter[bytes] = Counter()
        self._states: dict[str, tuple[float, int]] = {}
        # Beginning with the time, so that no id is used again after a restart.
        self._ids = itertools.count(self.clock() * 1000)
        self._second = (0, 0)
        self._mo_references = itertools.count()

    # --- its life ------------------------------------------------------------------------------------------------

    def _link(self) -> SmscLink:
        return SmscLink(self)

    def _tls_from_the_start(self) -> ssl.SSLContext | None:
        return self._tls

    async def _end(self) -> None:
        self._schedule.stop()

    # --- what tests ask of it ------------------------------------------------------------------------------------

    @property
    def messages(self) -> deque[Received]:
        """The latest messages, oldest first."""
        return self.phones.messages

    @property
    def counts(self) -> Counter[str]:
        """Short messages (parts) taken, by destination."""
        return self.phones.counts

    async def expect(self, destination: str, within: float = 5.0) -> Received:
        """The oldest message to `destination` that was not expected before. Raises TimeoutError after `within` s."""
        found = await self.phones.expect(lambda message: message.destination == destination, within)
        if found is None:
            raise TimeoutError(f"no message to {destination} came within {within:g} s")
        return found

    async def send_mo(self, source: str, destination: str, text: str) -> list[int]:
        """Have a person send a message; the command_status with which the client took each part.

        Goes to one connection that is bound to receive, as soon as there is one.
        """
        loop = asyncio.get_running_loop()
        plan = plan_segments(text)
        reference = next(self._mo_references) % 256
        deliveries = []
        for number, octets in enumerate(plan.parts, start=1):
            message = ShortMessage(to_address(source), to_address(destination), octets)
            message.data_coding = 0 if plan.encoding == "gsm" else 8
            if len(plan.parts) > 1:
                message.esm_class = ESM_UDHI
                header = bytes((5, 0, 3, reference, len(plan.parts), number))
                message.short_message = header + octets
            deliveries.append(Delivery(pack_short_message(message), loop.create_future()))
        (await self._listening_account()).put(deliveries)
        return [await delivery.done for delivery in deliveries if delivery.done is not None]

    async def _listening_account(self) -> Account:
        while True:
            for link in self.links:
                if link.receives and link.account is not None:
                    return link.account
            self.receiver_bound.clear()
            await self.receiver_bound.wait()

    # --- what its links ask of it --------------------------------------------------------------------------------

    def account(self, system_id: str) -> Account:
        """All connections of a system_id."""
        return self._accounts.setdefault(system_id, Account())

    def admit(self, system_id: str, password: str) -> int:
        """The command_status to answer a bind with."""
        if self.refuse_binds or self.accounts is None:
            return self.refuse_binds
        if system_id not in self.accounts:
            return RINVSYSID
        return ROK if self.accounts[system_id] == password else RINVPASWD

    def submit(self, link: SmscLink, sequence: int, body: bytes, out: list[bytes]) -> None:
        """Take a submit_sm or refuse it; append what is to be written at once to `out`."""
        if self._keep == 0 and not (self.magic or self.receipts or self._journal or self.rate):
            self.accepted += 1
            out.append(pdu.pack(pdu.SUBMIT_SM_RESP, ROK, sequence, b"%d\0" % next(self._ids)))
            return
        try:
            message = parse_short_message(body)
        except pdu.PduError as error:
            out.append(pdu.pack(pdu.SUBMIT_SM_RESP, error.status, sequence))
            return
        fate = fate_of(message.destination.text) if self.magic else DELIVERED
        refusal = self._refusal(fate, message)
        if refusal:
            out.append(pdu.pack(pdu.SUBMIT_SM_RESP, refusal, sequence))
        elif fate.answer is Answer.HANG_UP and self._first_time(message):
            link.cut()
        else:
            self._take(link, sequence, message, fate, out)

    def query(self, query: Query) -> tuple[int, bytes]:
        """The command_status and body of a query_sm_resp."""
        message_id = query.message_id.decode("latin-1")
        known = self._states.get(message_id)
        if known is None:
            return RQUERYFAIL, pack_query_answer(QueryAnswer(query.message_id, b"", 0, 0))
        due, state = known
        reached = asyncio.get_running_loop().time() >= due
        state = state if reached else _ENROUTE
        error = 0 if STATE_BY_NUMBER[state].word in ("DELIVRD", "ENROUTE") else 27
        return ROK, pack_query_answer(QueryAnswer(query.message_id, b"", state, error))

    # --- taking a message ----------------------------------------------------------------------------------------

    def _refusal(self, fate: Fate, message: ShortMessage) -> int:
        if self.rate is not None:
            second = int(asyncio.get_running_loop().time())
            count = self._second[1] + 1 if self._second[0] == second else 1
            self._second = (second, count)
            if count > self.rate:
                return RTHROTTLED
        if not fate.refuse or (fate.refusals is not None and self._refused[message.destination.text] >= fate.refusals):
            return ROK
        self._refused[message.destination.text] += 1
        return fate.refuse

    def _first_time(self, message: ShortMessage) -> bool:
        self._refused[message.destination.text] += 1
        return self._refused[message.destination.text] == 1

    def _take(self, link: SmscLink, sequence: int, message: ShortMessage, fate: Fate, out: list[bytes]) -> None:
        self.accepted += 1
        message_id = str(next(self._ids))
        now = self.clock()
        if self._keep:
            self.phones.take(message, message_id, now)
        if self._journal is not None:
            seen = Seen(now, self.looks.since, link.owed, self.owed, sum(link.bound > 0 for link in self.links))
            self._journal.note(journal_entry(message, message_id, seen))
        answer = pdu.pack(pdu.SUBMIT_SM_RESP, ROK, sequence, message_id.encode() + b"\0")
        if fate.early:
            self._send_receipts(link, message, message_id, fate)
        if fate.answer is not Answer.SILENCE:
            out.append(answer)
        if not fate.early:
            self._send_receipts(link, message, message_id, fate)

    def _send_receipts(self, link: SmscLink, message: ShortMessage, message_id: str, fate: Fate) -> None:
        due = asyncio.get_running_loop().time() + self.receipt_delay
        told = fate.asked or (fate.receipts[-1] if fate.receipts else "ENROUTE")
        if self._keep:
            self._states[message_id] = (due, STATE_BY_WORD[told].number)
            if len(self._states) > self._keep:
                del self._states[next(iter(self._states))]
        if not self.receipts or not message.registered_delivery & 1 or link.account is None:
            return
        about = ReceiptFor(message_id, message.source, message.destination)
        minute = _stamp(self.clock() // 60_000)
        for word in fate.receipts:
            delivery = Delivery(pack_receipt(about, word, fate.form, minute))
            if fate.early:
                link.account.put([delivery])
            else:
                self._schedule.add(due, link.account, delivery)


@functools.lru_cache(maxsize=2)
def _stamp(minute: int) -> str:
    """YYMMDDhhmm of a minute since the epoch, in UTC."""
    return time.strftime("%y%m%d%H%M", time.gmtime(minute * 60))


async def serve_smsc(
    host: str,
    port: int,
    journal: Path | None = None,
    ready: Callable[[int], None] | None = None,
    **options: Unpack[SmscOptions],
) -> None:
    """Run a simulator until cancelled; `ready` is told the port. Raises OSError where the port is taken."""
    await run(SmscSimulator(host, port, journal=journal, **options), ready)
