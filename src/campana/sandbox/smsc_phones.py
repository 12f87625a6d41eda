"""Owns the phones of the sandbox SMSC: the messages that reached them, and what is noted of them.

Must not know connections, fates or receipts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from campana.channels.sms.addressing import from_address
from campana.channels.sms.bodies import ShortMessage
from campana.channels.sms.incoming import Desk, Letter, split_header
from campana.sandbox.simulator import Boxes

_PATIENCE_SECONDS: Final = 3_600.0
_MOST_UNFINISHED: Final = 10_000


@dataclass(frozen=True, slots=True)
class Received:
    """A message as a person reads it."""

    source: str
    destination: str
    """E.164 with + where the sender said that it is international."""
    text: str
    ids: tuple[str, ...]
    """The ids that the SMSC gave, one a part."""
    data_coding: int
    at: int
    """Epoch milliseconds at which the last part was taken."""

    @property
    def parts(self) -> int:
        """How many short messages it took."""
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Seen:
    """What the SMSC saw of a short message besides itself."""

    at: int
    """Epoch milliseconds at which it was taken."""
    since: int
    """It came no earlier than this, and no later than `at`."""
    unanswered: int
    """submit_sm of its connection that wait for an answer, this one included."""
    unanswered_in_all: int
    """The same of all connections."""
    connections: int
    """How many connections are bound."""


class Phones(Boxes[Received]):
    """The phones that messages reach; their parts are put together as a phone does."""

    def __init__(self, keep: int, on_message: Callable[[Received], None] | None) -> None:
        super().__init__(keep, on_message)
        self._desk: Desk[str] = Desk(_PATIENCE_SECONDS, _MOST_UNFINISHED)

    def take(self, message: ShortMessage, message_id: str, at: int) -> None:
        """A message or a part of one has reached a phone."""
        self.counts[from_address(message.destination)] += 1
        for letter in self._desk.put(message, message_id, at / 1000):
            self.put(_received(letter, message.data_coding, at))


def _received(letter: Letter[str], data_coding: int, at: int) -> Received:
    source, destination = from_address(letter.source), from_address(letter.destination)
    return Received(source, destination, letter.text, tuple(letter.attached), data_coding, at)


def journal_entry(message: ShortMessage, message_id: str, seen: Seen) -> dict[str, object]:
    """What the journal notes of a short message: a hash in place of its text."""
    octets, place = split_header(message)
    return {
        "at": seen.at,
        "since": seen.since,
        "id": message_id,
        "source": from_address(message.source),
        "destination": from_address(message.destination),
        "hash": hashlib.sha256(octets).hexdigest()[:16],
        "reference": place.reference if place else None,
        "part": place.number if place else 1,
        "parts": place.total if place else 1,
        "unanswered": seen.unanswered,
        "unanswered_in_all": seen.unanswered_in_all,
        "connections": seen.connections,
    }
