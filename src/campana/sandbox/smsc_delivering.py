"""Owns what the sandbox SMSC sends to its clients: receipts when they are due, messages, until they are acknowledged.

Must not know why a receipt says what it says.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import deque
from typing import Final, Literal, NamedTuple, Protocol

from campana.channels.sms.bodies import (
    ESM_TYPE_RECEIPT,
    TAG_MESSAGE_STATE,
    TAG_NETWORK_ERROR_CODE,
    TAG_RECEIPTED_MESSAGE_ID,
    Address,
    ShortMessage,
    pack_short_message,
)
from campana.channels.sms.codes import STATE_BY_WORD

WINDOW: Final = 200
"""Deliveries that a connection may be without an answer to."""
AGAIN_SECONDS: Final = 0.5

_GSM_ERROR: Final = b"\x03\x00\x1b"


class Delivery(NamedTuple):
    """One deliver_sm, and who waits for its answer's command_status."""

    body: bytes
    done: asyncio.Future[int] | None = None


class Receiver(Protocol):
    """A connection that was bound to receive."""

    unanswered: dict[int, Delivery]

    def deliver(self, deliveries: list[Delivery]) -> None:
        """Write deliver_sm PDUs and remember them as unanswered."""


class Account:
    """All connections of one system_id: any that receives may get what is to be delivered."""

    def __init__(self) -> None:
        self._receivers: deque[Receiver] = deque()
        self._waiting: deque[Delivery] = deque()

    def join(self, receiver: Receiver) -> None:
        """A connection was bound to receive."""
        self._receivers.append(receiver)
        self.flush()

    def leave(self, receiver: Receiver) -> None:
        """A connection is gone; what it did not acknowledge is delivered again."""
        if receiver in self._receivers:
            self._receivers.remove(receiver)
        self._waiting.extendleft(reversed(receiver.unanswered.values()))
        receiver.unanswered = {}
        self.flush()

    def put(self, deliveries: list[Delivery]) -> None:
        """Deliver, now or as soon as there is a connection with room."""
        self._waiting.extend(deliveries)
        self.flush()

    def flush(self) -> None:
        """Write what the windows allow."""
        for _ in range(len(self._receivers)):
            if not self._waiting:
                return
            receiver = self._receivers[0]
            self._receivers.rotate(1)
            room = WINDOW - len(receiver.unanswered)
            if room > 0:
                count = min(room, len(self._waiting))
                receiver.deliver([self._waiting.popleft() for _ in range(count)])

    def answered(self, delivery: Delivery, status: int) -> None:
        """The client answered: 0 is the end, anything else has it delivered again a little later."""
        if delivery.done is not None:
            if not delivery.done.done():
                delivery.done.set_result(status)
        elif status:
            asyncio.get_running_loop().call_later(AGAIN_SECONDS, self.put, [delivery])
        self.flush()


class Schedule:
    """Deliveries that are due at a later moment, behind one timer."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Account, Delivery]] = []
        self._order = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = 0.0

    def add(self, when: float, account: Account, delivery: Delivery) -> None:
        """Deliver at `when` on the loop's clock."""
        heapq.heappush(self._due, (when, next(self._order), account, delivery))
        if self._timer is None or when < self._rings_at:
            self._set_timer()

    def stop(self) -> None:
        """Forget everything."""
        self._due.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._rings_at = self._due[0][0]
        self._timer = asyncio.get_running_loop().call_at(self._rings_at, self._ring)

    def _ring(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        ready: dict[Account, list[Delivery]] = {}
        while self._due and self._due[0][0] <= now:
            _, _, account, delivery = heapq.heappop(self._due)
            ready.setdefault(account, []).append(delivery)
        for account, deliveries in ready.items():
            account.put(deliveries)
        if self._due:
            self._set_timer()


class ReceiptFor(NamedTuple):
    """What a receipt is about."""

    message_id: str
    source: Address
    destination: Address


def pack_receipt(about: ReceiptFor, word: str, form: Literal["text", "tlvs", "hex"], minute: str) -> bytes:
    """The body of a deliver_sm with a receipt, as appendix B writes it or by optional parameters.

    `minute` is YYMMDDhhmm, for both dates.
    """
    receipt = ShortMessage(source=about.destination, destination=about.source, esm_class=ESM_TYPE_RECEIPT)
    delivered = word == "DELIVRD"
    if form == "tlvs":
        receipt.tlvs = {
            TAG_RECEIPTED_MESSAGE_ID: about.message_id.encode() + b"\0",
            TAG_MESSAGE_STATE: bytes((STATE_BY_WORD[word].number,)),
        }
        if not delivered:
            receipt.tlvs[TAG_NETWORK_ERROR_CODE] = _GSM_ERROR
    else:
        spelled = f"{int(about.message_id):x}" if form == "hex" else about.message_id
        receipt.short_message = (
            f"id:{spelled} sub:001 dlvrd:{delivered:03d} submit date:{minute} done date:{minute} "
            f"stat:{word} err:{0 if delivered else 27:03d} text:"
        ).encode()
    return pack_short_message(receipt)
