"""Owns the mailboxes of the sandbox mail server: the messages that reached them, readable, and the journal of them.

Must not know connections or fates.
"""

from __future__ import annotations

import asyncio
import email
import json
import os
import re
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import default
from functools import cached_property
from pathlib import Path

_MESSAGE_ID = re.compile(rb"^Message-ID:\s*<([^<>\r\n]*)>", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True)
class ReceivedMail:
    """A message as it was taken; it is parsed only when somebody reads it."""

    sender: str
    """The envelope sender; empty for the null sender."""
    recipients: tuple[str, ...]
    """The envelope's."""
    raw: bytes
    """Header and body with CR LF line ends, dots unstuffed."""
    at: int
    """Epoch milliseconds at which it was taken."""

    @cached_property
    def parsed(self) -> EmailMessage:
        """The message as the standard library reads it."""
        return email.message_from_bytes(self.raw, policy=default)

    @property
    def subject(self) -> str:
        """The subject, decoded."""
        return str(self.parsed["Subject"] or "")

    @property
    def html(self) -> str:
        """The html part; empty where there is none."""
        return self._part("html")

    @property
    def text(self) -> str:
        """The plain-text part; empty where there is none."""
        return self._part("plain")

    @property
    def message_id(self) -> str:
        """The Message-ID without its angle brackets; empty where there is none."""
        found = _MESSAGE_ID.search(self.raw, 0, max(self.raw.find(b"\r\n\r\n"), 0))
        return found[1].decode("utf-8", "replace") if found else ""

    def _part(self, subtype: str) -> str:
        part = self.parsed.get_body((subtype,))
        return str(part.get_content()) if part is not None else ""


class Mailboxes:
    """Keeps the latest messages, and lets tests wait for them as if they read the mail."""

    def __init__(self, keep: int, on_message: Callable[[ReceivedMail], None] | None) -> None:
        self.messages: deque[ReceivedMail] = deque(maxlen=keep)
        """The latest messages, oldest first."""
        self.counts: Counter[str] = Counter()
        """Messages a recipient."""
        self._keep = keep
        self._on_message = on_message
        self._unread: deque[ReceivedMail] = deque(maxlen=keep)
        self._news = asyncio.Event()

    def take(self, mail: ReceivedMail) -> None:
        """A message has reached its mailboxes."""
        if self._keep:
            self.counts.update(mail.recipients)
            self.messages.append(mail)
            self._unread.append(mail)
            self._news.set()
        if self._on_message is not None:
            self._on_message(mail)

    async def expect(self, recipient: str, within: float) -> ReceivedMail:
        """The oldest message to `recipient` not expected before. Raises TimeoutError after `within` seconds."""
        try:
            async with asyncio.timeout(within):
                while True:
                    self._news.clear()
                    for mail in self._unread:
                        if recipient in mail.recipients:
                            self._unread.remove(mail)
                            return mail
                    await self._news.wait()
        except TimeoutError:
            raise TimeoutError(f"no message to {recipient} came within {within:g} s") from None

    @property
    def unexpected(self) -> list[ReceivedMail]:
        """The messages that nobody has expected, oldest first."""
        return list(self._unread)


class MailJournal:
    """A file with one JSON object a line for every recipient of a message that was taken, without its text."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._lines: list[str] = []

    def note(self, mail: ReceivedMail) -> None:
        """Note a message; `flush` makes it outlive us."""
        for recipient in mail.recipients:
            entry = {"at": mail.at, "id": mail.message_id, "source": mail.sender, "destination": recipient}
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
