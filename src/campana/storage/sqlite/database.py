"""Owns the SQLite file: its connections and their settings, the writer thread, and readers beside it.

Must not know any table.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import local
from typing import Any, TypeVar, cast

from campana.storage.sqlite.writer import BatchWork, Writer
from campana.storage.store import UNWATCHED, StoreUnavailable, Watch

T = TypeVar("T")

OLDEST = (3, 38, 0)
"""UPDATE ... FROM, RETURNING and the ->> operator are there from 3.38 on."""

BUSY_MS = 10_000
CACHE_KIB = 65_536
READER_CACHE_KIB = 2_048
"""Of a connection that only reads: long lists are read once and in order, and would only fill a larger cache."""
READERS = 2


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Open the file as Campana wants it: WAL, durable commits, transactions in our hands alone.

    Raises StoreUnavailable where it cannot be opened or SQLite is older than 3.38.
    """
    if sqlite3.sqlite_version_info < OLDEST:
        raise StoreUnavailable(f"SQLite {sqlite3.sqlite_version} is too old; Campana needs 3.38 or later")
    try:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=512)
        connection.execute(f"PRAGMA busy_timeout={BUSY_MS}")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(f"PRAGMA cache_size=-{READER_CACHE_KIB if read_only else CACHE_KIB}")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA temp_store=MEMORY")
        connection.execute("PRAGMA wal_autocheckpoint=4000")
        if read_only:
            connection.execute("PRAGMA query_only=ON")
    except sqlite3.Error as error:
        raise StoreUnavailable(f"the database file cannot be opened: {error}") from error
    return connection


class Database:
    """One writer and some readers on one file. Made and used in one event loop."""

    def __init__(self, path: Path, watch: Watch = UNWATCHED) -> None:
        self._path = path
        self._writer = Writer(connect(path), watch)
        self._watch = watch
        self._point_reader = connect(path, read_only=True)
        self._looking = False
        self._seen: dict[Hashable, object] = {}
        self._loop = asyncio.get_running_loop()
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="campana-reader")
        self._of_thread = local()
        self._readers: list[sqlite3.Connection] = []

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in a transaction in the writer's thread; see Writer.write."""
        return await self._writer.write(work)

    def write_together(self, batch: BatchWork, item: Any) -> asyncio.Future[Any]:
        """Have `batch` called with all items that wait for it; see Writer.write_together."""
        return self._writer.write_together(batch, item)

    def look(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """Read a few rows by key, right here: some 5 µs, where a step into a thread and back takes 60.

        All looks of one turn of the event loop share one snapshot, since each new one costs a fresh reading of every
        page. Who awaited a write goes on in a later turn, and so sees what it wrote.
        """
        try:
            if not self._looking:
                self._point_reader.execute("BEGIN")
                self._looking = True
                self._loop.call_soon(self._look_away)
            return read(self._point_reader)
        except sqlite3.OperationalError as error:
            self._watch.unavailable()
            raise StoreUnavailable(str(error)) from error

    def look_once(self, key: Hashable, read: Callable[[sqlite3.Connection], T]) -> T:
        """Look, but read only once in a turn of the event loop what many ask for in it, such as a session's row.

        `key` says what is asked; who asks the same gets the same object, so it must be one that nobody changes.
        """
        if key in self._seen:
            return cast(T, self._seen[key])
        found = self.look(read)
        self._seen[key] = found
        return found

    def _look_away(self) -> None:
        if self._looking:
            self._looking = False
            self._seen.clear()
            self._point_reader.execute("COMMIT")

    async def read(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """Run a longer read in a reader's thread. Raises StoreUnavailable."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, self._in_thread, read)
        except sqlite3.OperationalError as error:
            self._watch.unavailable()
            raise StoreUnavailable(str(error)) from error

    async def close(self) -> None:
        """Finish the writes that wait and close every connection."""
        await self._writer.close()
        self._threads.shutdown(wait=True)
        self._look_away()
        self._point_reader.close()
        for connection in self._readers:
            connection.close()

    def _in_thread(self, read: Callable[[sqlite3.Connection], T]) -> T:
        connection = getattr(self._of_thread, "connection", None)
        if connection is None:
            connection = self._of_thread.connection = connect(self._path, read_only=True)
            self._readers.append(connection)
        return read(connection)
