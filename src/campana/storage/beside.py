"""Owns the file beside the data in which a process remembers the database on which it last ran, and the machine's name.

Must not know what a memory is good for (domain/instance.py).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from pathlib import Path

import structlog

from campana.domain.instance import Memory
from campana.storage.instance import home_of, home_text

log = structlog.get_logger(__name__)

FILE = "instance.json"
_MACHINE_ID = Path("/etc/machine-id")


def machine_name(file: Path = _MACHINE_ID) -> str:
    """What tells this machine from others; blank where nothing does, as in most containers.

    A digest, since the id itself is not to be shown (machine-id(5)).
    """
    try:
        id = file.read_bytes().strip()
    except OSError:
        return ""
    return hashlib.sha256(b"campana " + id).hexdigest()[:16] if id else ""


class MemoryFile:
    """The file `instance.json` in a folder. Several processes on one machine may share it."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE

    async def read(self) -> Memory | None:
        """What was last remembered; None where there is nothing that can be read."""
        return await asyncio.to_thread(self._read)

    async def write(self, memory: Memory) -> None:
        """Remember, durably; a reader finds the old or the new. Raises OSError."""
        await asyncio.to_thread(self._write, memory)

    def _read(self) -> Memory | None:
        try:
            told = json.loads(self._file.read_bytes())
            home = home_of(told["home"])
            assert home is not None
            return Memory(str(told["id"]), int(told["epoch"]), home, str(told["machine"]))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AssertionError) as error:
            log.warning("instance.memory_unreadable", file=str(self._file), reason=type(error).__name__)
            return None

    def _write(self, memory: Memory) -> None:
        told = {
            "id": memory.id,
            "epoch": memory.epoch,
            "home": home_text(memory.home),
            "machine": memory.machine,
        }
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # A name for each process, since several may share the folder.
        new = self._file.with_name(f"{FILE}.{os.getpid()}")
        with new.open("w", encoding="utf-8") as file:
            json.dump(told, file)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._file)
