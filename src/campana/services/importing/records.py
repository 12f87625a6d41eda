"""Owns how text becomes rows: CSV (RFC 4180, any line end and separator) and JSON Lines, however it is cut into pieces.

Must not know what the rows say. Memory is bounded by the longest row that may be.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

import msgspec

from campana.domain.campaign import HTML_MAX

ROW_MAX = 64 * 1024
"""Characters of a row, unless it may bring an email's text."""
LONG_ROW_MAX = ROW_MAX + HTML_MAX
_UNCLOSED = "unexpected end of data"

# A setting of the whole module csv. Rows have limits of their own, which come first.
csv.field_size_limit(LONG_ROW_MAX)


class Broken(msgspec.Struct, frozen=True):
    """A row that cannot be read, while those after it can."""

    rule: str


Row = list[str] | dict[str, Any] | Broken


class Unreadable(Exception):
    """Nothing can be read from here on. The sentence quotes nothing."""


class _NeedsMore(Exception):
    """A row goes on in the next piece."""


class _Lines:
    """The lines that there are; what comes after them is still to come, unless they are the last."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.at = 0
        self.final = False

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        at = self.at
        if at < len(self.lines):
            self.at = at + 1
            return self.lines[at]
        if self.final:
            raise StopIteration
        raise _NeedsMore


class CsvRecords:
    """Rows of CSV. Blank lines are none."""

    def __init__(self, delimiter: str, most: int = ROW_MAX) -> None:
        self.most = most
        self._rest = ""
        self._lines = _Lines()
        self._reader = csv.reader(self._lines, delimiter=delimiter, strict=True)

    @property
    def pending(self) -> int:
        """Characters that are kept for the next piece."""
        return len(self._rest)

    def feed(self, text: str, *, final: bool = False) -> Iterator[Row]:
        """The rows that a piece completes. Raises Unreadable."""
        text = self._rest + text
        lines, held = _whole_lines(text, final=final)
        source = self._lines
        source.lines, source.at, source.final = lines, 0, final
        may_be_long = len(text) > self.most
        mark = 0
        while True:
            mark = source.at
            try:
                row: Row = next(self._reader)
            except (_NeedsMore, StopIteration):
                break
            except csv.Error as error:
                row = self._broken(error)
            if may_be_long and sum(map(len, lines[mark : source.at])) > self.most:
                raise Unreadable(_too_long(self.most))
            if row:
                yield row
        self._rest = "".join(lines[mark:]) + held
        if len(self._rest) > self.most:
            raise Unreadable(_too_long(self.most))

    def _broken(self, error: csv.Error) -> Broken:
        if _UNCLOSED in str(error):
            raise Unreadable("opens a quote that is never closed.")
        return Broken("must have a separator or the end of the row after a closing quote.")


class JsonRecords:
    """Rows of JSON Lines: an object each. Blank lines are none."""

    def __init__(self, most: int = LONG_ROW_MAX) -> None:
        self.most = most
        self._rest = ""
        self._decode = msgspec.json.Decoder().decode

    @property
    def pending(self) -> int:
        """Characters that are kept for the next piece."""
        return len(self._rest)

    def feed(self, text: str, *, final: bool = False) -> Iterator[Row]:
        """The rows that a piece completes. Raises Unreadable."""
        lines = (self._rest + text).split("\n")
        self._rest = "" if final else lines.pop()
        for line in lines:
            if len(line) > self.most:
                raise Unreadable(_too_long(self.most))
            if line and not line.isspace():
                yield self._row(line)
        if len(self._rest) > self.most:
            raise Unreadable(_too_long(self.most))

    def _row(self, line: str) -> Row:
        try:
            row = self._decode(line)
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            return Broken("must be a JSON object.")
        return row if isinstance(row, dict) else Broken("must be a JSON object.")


def _whole_lines(text: str, *, final: bool) -> tuple[list[str], str]:
    """Lines with their ends (CR, LF or both), and what may be the beginning of one."""
    lines = io.StringIO(text, newline="").readlines()
    # A CR at the end may be half a line's end.
    if final or not lines or lines[-1].endswith("\n"):
        return lines, ""
    held = lines.pop()
    return lines, held


def _too_long(most: int) -> str:
    return f"has more than {most} characters. A quote may not be closed."
