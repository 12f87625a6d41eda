"""Owns how a list is read from its first byte to its last: encoding, separator, header, rows, and what stands for them.

Must not know the rules of contacts, nor how they are stored.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from campana.domain.errors import MethodCode, MethodError
from campana.services.importing.columns import Layout, json_roles, layout_of
from campana.services.importing.decoding import Decoder, Encoding
from campana.services.importing.records import (
    LONG_ROW_MAX,
    ROW_MAX,
    Broken,
    CsvRecords,
    JsonRecords,
    Row,
    Unreadable,
)

_SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab"}
_SAID = re.compile(r"sep=(.)\r?\n?", re.IGNORECASE)
"""How a spreadsheet says the separator, in a line before the header."""
_encode_lines = msgspec.json.Encoder().encode_lines


class Format(StrEnum):
    """What a list is."""

    CSV = "csv"
    JSON_LINES = "jsonl"


class Delimiter(StrEnum):
    """What separates columns."""

    AUTO = "auto"
    COMMA = "comma"
    SEMICOLON = "semicolon"
    TAB = "tab"


_WRITTEN = {Delimiter.COMMA: ",", Delimiter.SEMICOLON: ";", Delimiter.TAB: "\t"}


@dataclass(frozen=True, slots=True)
class ListOptions:
    """How a list is to be read."""

    format: Format = Format.CSV
    delimiter: Delimiter = Delimiter.AUTO
    encoding: Encoding = Encoding.AUTO
    columns: Mapping[str, str] = field(default_factory=dict)
    """What columns are, by name or `#number`."""

    def as_json(self) -> str:
        """For telling whether a list is to be read as another one was."""
        return msgspec.json.encode([self.format, self.delimiter, self.encoding, dict(self.columns)]).decode()


class ListReader:
    """Reads one list, piece by piece."""

    def __init__(self, options: ListOptions) -> None:
        self.layout: Layout | None = None
        """Of a table, once its header was read."""
        self.roles: Mapping[str, str] = json_roles(options.columns) if options.format is Format.JSON_LINES else {}
        self._options = options
        self._decoder = Decoder(options.encoding)
        self._records: CsvRecords | JsonRecords | None = None
        if options.format is Format.JSON_LINES:
            self._records = JsonRecords()
        self._beginning = ""
        self._hash = hashlib.sha256()

    def feed(self, octets: bytes, *, final: bool = False) -> Iterator[Row]:
        """The rows that a piece completes. Raises Unreadable, and MethodError 42 for a header that cannot be taken."""
        text = self._decoder.feed(octets, final=final)
        if self._records is None:
            text = self._begin(text, final=final or self._decoder.problem is not None)
        if self._records is not None:
            last = final and self._decoder.problem is None
            for row in self._records.feed(text, final=last):
                if self.layout is None and self._options.format is Format.CSV:
                    self._take_header(row)
                else:
                    yield row
        if self._decoder.problem is not None:
            raise Unreadable(self._decoder.problem)
        if final and self.layout is None and self._options.format is Format.CSV:
            raise _refuse("The list must begin with a header.")

    @property
    def pending(self) -> int:
        """Characters of an unfinished row, or header: they are read anew with the next piece."""
        return len(self._beginning) + (0 if self._records is None else self._records.pending)

    def count_in(self, rows: Sequence[Row]) -> None:
        """Have the digest stand for these rows as well."""
        self._hash.update(_encode_lines(rows))

    @property
    def digest(self) -> bytes:
        """What stands for the header and all rows that were counted in."""
        return self._hash.copy().digest()

    def _begin(self, text: str, *, final: bool) -> str:
        """Wait for the first line, which tells the separator; the text to be read then."""
        self._beginning += text
        line = _first_line(self._beginning, final=final)
        if line is None:
            if len(self._beginning) > ROW_MAX:
                raise _refuse(f"The header must not have more than {ROW_MAX} characters.")
            return ""
        beginning, self._beginning = self._beginning, ""
        wanted = _WRITTEN.get(self._options.delimiter)
        said = _SAID.fullmatch(line)
        if said is not None:
            if said[1] not in _SEPARATORS or (wanted or said[1]) != said[1]:
                raise _refuse("The list says in its first line that it has another separator.", "delimiter")
            wanted, beginning = said[1], beginning[len(line) :]
        self._records = CsvRecords(wanted or _found_out(line))
        return beginning

    def _take_header(self, row: Row) -> None:
        if isinstance(row, Broken) or not isinstance(row, list):
            raise _refuse("The header of the list must be CSV.")
        self.layout = layout_of(row, self._options.columns)
        if "email.text" in self.layout.places:
            assert isinstance(self._records, CsvRecords)
            self._records.most = LONG_ROW_MAX
        self.count_in([row])


def _first_line(text: str, *, final: bool) -> str | None:
    """The first line that is not blank, with its end, quotes heeded; None where its end is still to come."""
    quoted = said = False
    for at, character in enumerate(text):
        if character == '"':
            quoted = not quoted
        if character not in "\r\n" or quoted:
            said = said or not character.isspace()
        elif said:
            end = at + 1
            if character == "\r":
                if end == len(text) and not final:
                    return None
                end += text[end : end + 1] == "\n"
            return text[:end]
    return text if final else None


def _found_out(line: str) -> str:
    """The separator of a header: the one that there is, or that there is most of."""
    counts = dict.fromkeys(_SEPARATORS, 0)
    quoted = False
    for character in line:
        if character == '"':
            quoted = not quoted
        elif character in counts and not quoted:
            counts[character] += 1
    most = max(counts.values())
    found = [separator for separator, count in counts.items() if count == most]
    if most and len(found) > 1:
        raise _refuse(
            "The header has as many of one separator as of another: delimiter must say which it is.", "delimiter"
        )
    return found[0]


def _refuse(sentence: str, field_name: str | None = None) -> MethodError:
    return MethodError(MethodCode.INVALID_REQUEST, sentence, field=field_name)
