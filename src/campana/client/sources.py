"""Owns where the rows of an import come from, and how they are sent again from their beginning.

Must not know where they go.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from campana.client.errors import BrokenOff
from campana.client.models import Kind, Rows, Transfer
from campana.client.steps import Body

PART: Final = 256 * 1024
"""Bytes that are read and sent at a time, about."""
_ROWS: Final = 500
"""Rows that are encoded at a time."""
CSV: Final = "text/csv"
JSON_LINES: Final = "application/jsonl"
KINDS: Final[dict[str, str]] = {"csv": CSV, "jsonl": JSON_LINES}

Source = str | Path | BinaryIO | Iterable[Rows]
"""A file by its path, an open one (in binary), or contacts."""
Progress = Callable[[Transfer], None]


class Upload(Body):
    """Rows on their way to the server, under a key by which it knows them again."""

    def __init__(self, source: Source, kind: Kind | None, key: str, progress: Progress | None) -> None:
        """`kind` is csv or jsonl; None goes by the name of the file. Raises ValueError where that does not say it."""
        self.media_type = KINDS[kind] if kind else _media_type(source)
        self._begin, self._repeats, self._size = _beginning(source)
        self._key, self._progress = key, progress
        self._tries = self._done = self._furthest = 0

    def parts(self) -> Iterator[bytes]:
        """Begin to send it."""
        self._tries, self._done = self._tries + 1, 0
        for part in self._begin():
            yield part
            self._done += len(part)
            if self._progress is not None:
                self._progress(Transfer(self._done, self._size, self._tries))

    def why_not_again(self) -> Exception | None:
        """BrokenOff, where rows that were taken from their source are gone."""
        if self._repeats or self._tries == 0:
            return None
        return BrokenOff("The connection broke, and the rows cannot be read again from their beginning.", self._key)

    def came_further(self) -> bool:
        """Whether the last try sent more than any before."""
        further, self._furthest = self._done > self._furthest, max(self._done, self._furthest)
        return further


def _media_type(source: Source) -> str:
    name = getattr(source, "name", source)
    if not isinstance(name, str | Path):
        if hasattr(source, "read"):
            raise ValueError("say whether it is csv or jsonl")
        return JSON_LINES
    suffix = Path(name).suffix.lower()
    if suffix in (".jsonl", ".ndjson"):
        return JSON_LINES
    if suffix in (".csv", ".tsv", ".txt"):
        return CSV
    raise ValueError("the file's name does not say whether it is csv or jsonl: say which")


def _beginning(source: Source) -> tuple[Callable[[], Iterator[bytes]], bool, int | None]:
    """How to begin, whether that can be done again, and how many bytes there are."""
    if isinstance(source, str | Path):
        place = Path(source)
        return lambda: _of_path(place), True, place.stat().st_size
    if isinstance(source, Iterable) and not hasattr(source, "read"):
        return lambda: _of_rows(source), iter(source) is not source, None
    file: Any = source
    if not file.seekable():
        return lambda: _of_file(file), False, None
    start = file.tell()
    size = file.seek(0, os.SEEK_END) - start
    file.seek(start)
    return lambda: _of_file(file, start), True, size


def _of_path(place: Path) -> Iterator[bytes]:
    with place.open("rb") as file:
        yield from _of_file(file)


def _of_file(file: BinaryIO, start: int | None = None) -> Iterator[bytes]:
    if start is not None:
        file.seek(start)
    while part := file.read(PART):
        yield part


def _of_rows(rows: Iterable[Any]) -> Iterator[bytes]:
    left, encoder = iter(rows), msgspec.json.Encoder()
    while some := list(islice(left, _ROWS)):
        yield encoder.encode_lines(some)
