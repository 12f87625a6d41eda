"""Owns reading a server's replies off the stream: lines, continuation lines, and how much a server may say.

Must not know what a reply means.
"""

from __future__ import annotations

Reply = tuple[int, str]
"""The three digits, and the text of all lines joined by line feeds (RFC 5321 section 4.2)."""

_LINE_LIMIT = 4096
_LINES_LIMIT = 200


class MalformedReply(ValueError):
    """The server does not speak SMTP, or speaks without end."""


class ReplyReader:
    """Collects bytes and hands out the replies that are complete."""

    __slots__ = ("_lines", "_rest")

    def __init__(self) -> None:
        self._rest = b""
        self._lines: list[str] = []

    @property
    def clean(self) -> bool:
        """Nothing is left over: the last reply ended exactly where the bytes ended."""
        return not self._rest and not self._lines

    def feed(self, data: bytes) -> list[Reply]:
        """Return the replies that `data` completes. Lines end with CR LF; a bare LF is forgiven.

        Raises MalformedReply; the stream is of no use after that.
        """
        lines = (self._rest + data if self._rest else data).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > _LINE_LIMIT:
            raise MalformedReply("a line of the reply is too long")
        replies: list[Reply] = []
        for raw in lines:
            digits = raw[:3]
            mark = raw[3:4]
            if not digits.isdigit() or mark not in _MARKS or len(raw) > _LINE_LIMIT:
                raise MalformedReply("not an SMTP reply")
            text = raw[4:].rstrip(b"\r").decode("utf-8", "replace")
            if mark == b"-":
                self._continue(text)
            elif self._lines:
                replies.append((int(digits), "\n".join([*self._lines, text])))
                self._lines = []
            else:
                replies.append((int(digits), text))
        return replies

    def _continue(self, text: str) -> None:
        self._lines.append(text)
        if len(self._lines) > _LINES_LIMIT:
            raise MalformedReply("the reply has too many lines")


_MARKS = frozenset({b" ", b"-", b"\r", b""})
