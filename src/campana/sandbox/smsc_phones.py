"""Owns the phones of the sandbox SMSC: the messages that reached them, whole and readable, and the journal of them.

Must not know connections, fates or receipts.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from campana.channels.sms.addressing import from_address
from campana.channels.sms.bodies import ShortMessage
from campana.channels.sms.incoming import Desk, Letter, split_header

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


class Phones:
    """Keeps the latest messages, and lets tests wait for them as if they held the phone."""

    def __init__(self, keep: int, on_message: Callable[[Received], None] | None) -> None:
        self.messages: deque[Received] = deque(maxlen=keep)
        """The latest messages, oldest first."""
        self.counts: Counter[str] = Counter()
        """Short messages (parts) a destination."""
        self._on_message = on_message
        self._unread: deque[Received] = deque(maxlen=keep)
        self._desk: Desk[str] = Desk(_PATIENCE_SECONDS, _MOST_UNFINISHED)
        self._news = asyncio.Event()

    def take(self, message: ShortMessage, message_id: str, at: int) -> None:
        """A message or a part of one has reached a phone."""
        self.counts[from_address(message.destination)] += 1
        for letter in self._desk.put(message, message_id, at / 1000):
            received = _received(letter, message.data_coding, at)
            self.messages.append(received)
            self._unread.append(received)
            self._news.set()
            if self._on_message is not None:
                self._on_message(received)

    async def expect(self, destination: str, within: float) -> Received:
        """The oldest message to `destination` that was not expected before. Raises TimeoutError after `within` s."""
        try:
            async with asyncio.timeout(within):
                while True:
                    self._news.clear()
                    for message in self._unread:
                        if message.destination == destination:
                            self._unread.remove(message)
                            return message
                    await self._news.wait()
        except TimeoutError:
            raise TimeoutError(f"no message to {destination} came within {within:g} s") from None

    @property
    def unexpected(self) -> list[Received]:
        """The messages that nobody has expected, oldest first."""
        return list(self._unread)


def _received(letter: Letter[str], data_coding: int, at: int) -> Received:
    source, destination = from_address(letter.source), from_address(letter.destination)
    return Received(source, destination, letter.text, tuple(letter.attached), data_coding, at)


class Journal:
    """A file with one JSON object a line for every short message that was taken, without its text."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._lines: list[str] = []

    def note(self, message: ShortMessage, message_id: str, at: int) -> None:
        """Note a message; `flush` makes it outlive us."""
        octets, place = split_header(message)
        entry = {
            "at": at,
            "id": message_id,
            "source": from_address(message.source),
            "destination": from_address(message.destination),
            "hash": hashlib.sha256(octets).hexdigest()[:16],
            "reference": place.reference if place else None,
            "part": place.number if place else 1,
            "parts": place.total if place else 1,
        }
        self._lines.append(json.dumps(entry, separators=(",", ":")) + "\n")

    def flush(self) -> None:
        """Hand what was noted to the operating system."""
        if self._lines:
            data = memoryview("".join(self._lines).encode())
            self._lines.clear()
            while data:
                data = data[os.write(self._file, data) :]

    def close(self) -> None:
        """Flush and close."""
        self.flush()
        os.close(self._file)
