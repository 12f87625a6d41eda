"""Fresh SQLite databases for tests: the tables are made once a process of tests, and copied for each."""

from __future__ import annotations

import shutil
import tempfile
from functools import cache
from pathlib import Path

from campana.storage.migrate import upgrade


def with_tables(file: Path) -> Path:
    """Have a database at a place: a new one, with all tables and nothing in them, where there is none."""
    if not file.exists():
        shutil.copyfile(_template(), file)
    return file


@cache
def _template() -> Path:
    folder = tempfile.TemporaryDirectory(prefix="campana-sqlite-")
    _kept.append(folder)
    file = Path(folder.name) / "campana.db"
    upgrade(f"sqlite:///{file}")
    return file


_kept: list[tempfile.TemporaryDirectory[str]] = []
"""Folders that go with the process."""
