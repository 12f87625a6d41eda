"""Owns the sound that is about to be played: files read once, kept in memory, shared by all calls, within a limit.

Must not know how clips are made, nor which law they are of.
"""

from __future__ import annotations

import asyncio
import errno
from collections import OrderedDict
from pathlib import Path
from typing import Final

LIMIT: Final = 256 * 1024 * 1024
"""Octets kept: nine hours of speech."""
LONGEST: Final = 32 * 1024 * 1024
"""Octets of one clip: an hour and more."""


class Clips:
    """Clips by path, the least lately used forgotten first. A file never changes under its name."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._size = 0
        self._reading: dict[str, asyncio.Task[bytes]] = {}

    async def get(self, path: str) -> bytes:
        """The octets of a file; read in a thread, since a disk may keep one waiting, and once for all who ask.

        Raises OSError: FileNotFoundError where it is gone, EFBIG where it is longer than a clip can be.
        """
        clip = self._kept.get(path)
        if clip is not None:
            self._kept.move_to_end(path)
            return clip
        reading = self._reading.get(path)
        if reading is None:
            reading = self._reading[path] = asyncio.create_task(self._read(path))
            reading.add_done_callback(lambda done: self._done(path, done))
        return await asyncio.shield(reading)

    async def _read(self, path: str) -> bytes:
        return await asyncio.to_thread(_read, path)

    def _done(self, path: str, reading: asyncio.Task[bytes]) -> None:
        del self._reading[path]
        # Asking for the exception marks it as seen, should nobody wait any more.
        if reading.cancelled() or reading.exception() is not None:
            return
        clip = self._kept[path] = reading.result()
        self._size += len(clip)
        while self._size > self._limit:
            _, forgotten = self._kept.popitem(last=False)
            self._size -= len(forgotten)


def _read(path: str) -> bytes:
    with Path(path).open("rb") as file:
        clip = file.read(LONGEST + 1)
    if len(clip) > LONGEST:
        raise OSError(errno.EFBIG, "a clip is longer than an hour", path)
    return clip
