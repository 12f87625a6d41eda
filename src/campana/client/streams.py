"""Owns what is made of an answer that is read in parts: a file, or the events of a stream.

Must not know where the parts come from.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from campana.client.errors import CampanaError
from campana.client.models import Kind, Place
from campana.client.sources import KINDS

LONGEST_EVENT = 1_000_000
"""Bytes of one event, at most."""


class Target:
    """The file that an export is written to. One by its path is written beside it and put in its place at the end."""

    def __init__(self, to: Place | BinaryIO, kind: Kind | None) -> None:
        """Raises ValueError where the kind, csv or jsonl, is neither said nor told by the name."""
        self._place = Path(to) if isinstance(to, str | Path) else None
        self._file: Any = None
        if not isinstance(to, str | Path):
            self._file = to
        self.repeats: bool = self._place is not None or self._file.seekable()
        self._start = self._file.tell() if self._place is None and self.repeats else 0
        self.kind: str = kind or (self._place.suffix.lower().lstrip(".") if self._place is not None else "")
        self.kind = {"ndjson": "jsonl"}.get(self.kind, self.kind)
        if self.kind not in KINDS:
            raise ValueError("the file's name does not say whether it is to be csv or jsonl: say which")
        self.done = self.tries = 0

    def begin(self) -> None:
        """Begin to write, for the first time or anew."""
        self.tries, self.done = self.tries + 1, 0
        if self._place is not None:
            self.close()
            self._file = self._beside.open("wb")
        elif self.tries > 1:
            self._file.seek(self._start)
            self._file.truncate()

    def write(self, part: bytes) -> None:
        """Write the next part."""
        self._file.write(part)
        self.done += len(part)

    def finish(self) -> int:
        """All is there; how many bytes."""
        self._file.flush()
        if self._place is not None:
            self._file.close()
            os.replace(self._beside, self._place)
        return self.done

    def close(self) -> None:
        """Leave nothing half done behind."""
        if self._place is not None and self._file is not None:
            self._file.close()
            self._beside.unlink(missing_ok=True)

    @property
    def _beside(self) -> Path:
        assert self._place is not None
        return self._place.with_name(f".{self._place.name}.{os.getpid()}.part")


class Stream:
    """Reads server-sent events (HTML Living Standard, section 9.2.6): what each carries as its data."""

    def __init__(self) -> None:
        self._left = b""
        self._data: list[bytes] = []

    def feed(self, part: bytes) -> Iterator[bytes]:
        """Take the next bytes; the data of every event that is whole. Raises CampanaError where one has no end."""
        *lines, self._left = (self._left + part).split(b"\n")
        if len(self._left) > LONGEST_EVENT:
            raise CampanaError("The stream of events has a line without an end.")
        for line in (one.removesuffix(b"\r") for one in lines):
            if line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" "))
            elif not line and self._data:
                yield b"\n".join(self._data)
                self._data = []
