"""Owns the mailboxes of the sandbox mail server: the messages that reached them, and what is noted of them.

Must not know connections or fates.
"""

from __future__ import annotations

import email
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import default
from functools import cached_property

from campana.sandbox.simulator import Boxes

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
    begun: int = 0
    """Epoch milliseconds at which its MAIL was read."""
    since: int = 0
    """Its MAIL came no earlier than this."""
    connections: int = 0
    """How many connections there were."""

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


class Mailboxes(Boxes[ReceivedMail]):
    """The mailboxes that messages reach."""

    def take(self, mail: ReceivedMail) -> None:
        """A message has reached its mailboxes."""
        self.counts.update(mail.recipients)
        self.put(mail)


def journal_entries(mail: ReceivedMail) -> Iterator[dict[str, object]]:
    """What the journal notes of a message, for each of its recipients: nothing of what it says."""
    for recipient in mail.recipients:
        yield {
            "at": mail.at,
            "begun": mail.begun,
            "since": mail.since,
            "id": mail.message_id,
            "source": mail.sender,
            "destination": recipient,
            "connections": mail.connections,
        }
