"""Owns the spoken texts on disk: two files a clip under its key, never more than a size, the longest unused go first.

Must not know what was spoken: a key is a digest. Its methods use the disk: call them in a thread, one at a time.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from campana.channels.voice.media.laws import OCTETS_PER_MS
from campana.channels.voice.speech.audio import Finished
from campana.channels.voice.speech.contract import Clip

KEPT_SECONDS: Final = 60.0
"""What was handed out within this time stays: a call that is about to be made reads it."""
_TOUCH_SECONDS: Final = 300.0
"""How far the time of use on disk may lag behind: it only orders the clips after a restart."""
_LAWS: Final = ("pcmu", "pcma")
_NAME: Final = re.compile(r"([0-9a-f]{64})\.(\d{1,9})\.([0-9a-f]{8})\.(pcmu|pcma)")
"""Key, octets and CRC-32 stand in a file's name, so that the file itself is nothing but sound."""


@dataclass(slots=True)
class _Kept:
    paths: dict[str, Path]
    checks: dict[str, int]
    octets: int
    used: float
    proven: bool = False
    touched: float = 0.0


class ClipCache:
    """Clips by key. What is truncated or corrupt is dropped when it is found."""

    def __init__(self, folder: Path, limit: int) -> None:
        """`limit` is in octets."""
        self._folder = folder
        self._limit = limit
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._total = 0

    @property
    def octets(self) -> int:
        """The size of all that is kept."""
        return self._total

    def open(self) -> None:
        """Read what is there, once. Raises OSError where the folder cannot be used."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder.chmod(0o700)
        found: dict[str, _Kept] = {}
        for path in self._files():
            name = _NAME.fullmatch(path.name)
            status = path.stat()
            if name is None or status.st_size != int(name[2]):
                path.unlink(missing_ok=True)
                continue
            kept = found.setdefault(name[1], _Kept({}, {}, status.st_size, 0.0))
            kept.paths[name[4]] = path
            kept.checks[name[4]] = int(name[3], 16)
            kept.used = max(kept.used, status.st_mtime)
            if kept.octets != status.st_size:
                kept.octets = -1
        for key, kept in sorted(found.items(), key=lambda item: item[1].used):
            kept.used = 0.0
            self._add(key, kept)
            if len(kept.paths) != len(_LAWS) or kept.octets < 0:
                self._drop(key)
        self._evict()

    def get(self, key: str) -> Clip | None:
        """The clip of that key, if it is here and whole."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        try:
            whole = self._is_whole(kept)
        except OSError:
            whole = False
        if not whole:
            self._drop(key)
            return None
        kept.used = time.monotonic()
        self._kept.move_to_end(key)
        if kept.used - kept.touched > _TOUCH_SECONDS:
            kept.touched = kept.used
            with contextlib.suppress(OSError):
                os.utime(kept.paths["pcmu"])
        return _clip(kept)

    def put(self, key: str, sound: Finished) -> Clip:
        """Keep a finished text; what is longest unused makes room. Raises OSError where the disk takes no more."""
        folder = self._folder / key[:2] / key[2:4]
        for one in (self._folder, folder.parent, folder):
            one.mkdir(mode=0o700, exist_ok=True)
        kept = _Kept({}, {}, len(sound.pcmu), time.monotonic(), proven=True, touched=time.monotonic())
        for law, octets in (("pcmu", sound.pcmu), ("pcma", sound.pcma)):
            kept.checks[law] = zlib.crc32(octets)
            path = folder / f"{key}.{len(octets)}.{kept.checks[law]:08x}.{law}"
            _write(path, octets)
            kept.paths[law] = path
        self._drop(key, but=kept)
        self._add(key, kept)
        self._evict()
        return _clip(kept)

    def _files(self) -> Iterator[Path]:
        for first in os.scandir(self._folder):
            if first.is_dir(follow_symlinks=False):
                for second in os.scandir(first):
                    if second.is_dir(follow_symlinks=False):
                        yield from (Path(file.path) for file in os.scandir(second) if file.is_file())

    def _is_whole(self, kept: _Kept) -> bool:
        if kept.proven:
            return all(path.stat().st_size == kept.octets for path in kept.paths.values())
        kept.proven = all(zlib.crc32(path.read_bytes()) == kept.checks[law] for law, path in kept.paths.items())
        return kept.proven

    def _add(self, key: str, kept: _Kept) -> None:
        self._kept[key] = kept
        self._total += max(kept.octets, 0) * len(_LAWS)

    def _drop(self, key: str, but: _Kept | None = None) -> None:
        kept = self._kept.pop(key, None)
        if kept is None:
            return
        self._total -= max(kept.octets, 0) * len(_LAWS)
        for path in kept.paths.values():
            if but is None or path not in but.paths.values():
                path.unlink(missing_ok=True)

    def _evict(self) -> None:
        while self._total > self._limit and self._kept:
            key, kept = next(iter(self._kept.items()))
            if kept.used and time.monotonic() - kept.used < KEPT_SECONDS:
                return
            self._drop(key)


def _clip(kept: _Kept) -> Clip:
    return Clip(kept.paths["pcmu"], kept.paths["pcma"], kept.octets // OCTETS_PER_MS)


def _write(path: Path, octets: bytes) -> None:
    """Write a file whole or not at all, for our eyes only."""
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(octets)
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
