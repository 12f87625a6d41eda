"""Owns how SIP messages are cut out of a stream (RFC 3261, section 18.3) and of a datagram.

Must not know sockets, nor what a message says beyond its length.
"""

from __future__ import annotations

import re
from typing import Final

LARGEST: Final = 65_536
"""Octets of a message at most, its body included."""
LONGEST_FIRST_LINE: Final = 4_096

_END = b"\r\n\r\n"
_FIRST_LINE = re.compile(rb"SIP/2\.0 [1-6][0-9]{2}(?: .*)?|[A-Za-z0-9.!%*_+`'~-]{1,64} [!-~]+ SIP/2\.0", re.IGNORECASE)
_LENGTH = re.compile(
    rb"\r\n(?:content-length|l)[ \t]*:[ \t]*(?:\r\n[ \t]+)?([^\r\n]*)(?=\r\n)",
    re.IGNORECASE,
)
_NUMBER = re.compile(rb"[0-9]{1,10}")


class Framer:
    """Collects what comes on one connection. Broken for good once it cannot tell where a message ends."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0
        self._needed = 0
        """Octets of the message at the front; 0 until its head is complete."""
        self.broken = ""
        """The rule that was broken; blank while all is well."""

    def feed(self, data: bytes) -> list[bytes]:
        """Take what came, and return the messages that it completes, without keep-alives (RFC 5626, section 3.5)."""
        if self.broken:
            return []
        self._buffer += data
        messages: list[bytes] = []
        while not self.broken:
            message = self._next()
            if message is None:
                break
            messages.append(message)
        if self.broken:
            self._buffer.clear()
        return messages

    def _next(self) -> bytes | None:
        if not self._needed:
            self._skip_keepalives()
            self._needed = self._measure()
        if not self._needed or len(self._buffer) < self._needed:
            return None
        message = bytes(self._buffer[: self._needed])
        del self._buffer[: self._needed]
        self._searched = self._needed = 0
        return message

    def _skip_keepalives(self) -> None:
        if self._buffer.startswith((b"\r", b"\n")):
            rest = self._buffer.lstrip(b"\r\n")
            del self._buffer[: len(self._buffer) - len(rest)]

    def _measure(self) -> int:
        """Octets of the message at the front, 0 while its head is not complete."""
        buffer = self._buffer
        if not self._searched:
            line_end = buffer.find(b"\r\n", 0, LONGEST_FIRST_LINE)
            if line_end < 0:
                if len(buffer) >= LONGEST_FIRST_LINE:
                    self.broken = f"its first line must have at most {LONGEST_FIRST_LINE} octets"
                return 0
            if not _FIRST_LINE.fullmatch(buffer, 0, line_end):
                self.broken = "its first line must be that of a SIP request or response"
                return 0
        head_end = buffer.find(_END, max(0, self._searched - len(_END)))
        if head_end < 0 or head_end > LARGEST:
            self._searched = len(buffer)
            if len(buffer) > LARGEST:
                self.broken = f"its head must have at most {LARGEST} octets"
            return 0
        return self._with_body(head_end + len(_END))

    def _with_body(self, head: int) -> int:
        said = [value.strip() for value in _LENGTH.findall(self._buffer, 0, head)]
        lengths = {int(value) for value in said if _NUMBER.fullmatch(value)}
        if len(lengths) > 1 or not all(_NUMBER.fullmatch(value) for value in said):
            self.broken = "its Content-Length must be one number"
        elif max(lengths, default=0) + head > LARGEST:
            self.broken = f"it must have at most {LARGEST} octets"
        else:
            # Without the header, which a stream must have, there is nothing to wait for.
            return head + max(lengths, default=0)
        return 0


def datagram_message(datagram: bytes) -> bytes | None:
    """The message in a datagram, without what keeps NATs open before it; None where that is all."""
    message = datagram.lstrip(b"\r\n")
    return message if message.strip(b"\0 ") else None
