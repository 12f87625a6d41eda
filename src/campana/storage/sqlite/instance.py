"""Owns how a SQLite file says which database it is, and where it lies: a copy is another file, or on another machine.

Must not judge what it finds.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TypeVar

from campana.domain.instance import Found, Place
from campana.storage.beside import machine_name
from campana.storage.compiled import run
from campana.storage.instance import Change, columns_of, found_of
from campana.storage.queries import instance as queries
from campana.storage.sqlite.database import Database
from campana.storage.store import StoreUnavailable

T = TypeVar("T")


class SqliteInstances:
    """The one row in which a database says which it is; see the contract in storage/instance.py."""

    def __init__(self, database: Database, path: Path) -> None:
        self._database = database
        self._path = path
        self._machine = machine_name()

    async def change(self, change: Change[T]) -> T:
        """Have the database found, changed and kept in one transaction."""

        def work(connection: sqlite3.Connection) -> T:
            new, answer = change(self._find(connection))
            if new is not None:
                run(connection, queries.keep, **columns_of(new))
            return answer

        return await self._database.write(work)

    def _find(self, connection: sqlite3.Connection) -> Found:
        return found_of(run(connection, queries.find).fetchone(), self._here())

    def _here(self) -> Place:
        # Asked each time: the file under this name may be another one by now. (A device's number is left out, since
        # it changes as machines start.)
        try:
            return Place(f"{self._machine}/{self._path.stat().st_ino}")
        except OSError as error:
            raise StoreUnavailable(f"the database file is gone: {error.strerror}") from error
