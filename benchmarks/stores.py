"""Owns the stores that are measured: empty databases of each kind, how one is opened, and what its server costs.

Must not know what is measured on them.
"""

from __future__ import annotations

import atexit
import functools
import resource
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import postgres
from benchmarks.processes import family_cpu, folder
from benchmarks.report import Finding, Scale
from campana.storage.postgres import PostgresStore
from campana.storage.sqlite import SqliteStore

NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
_FILE = "sqlite:///"

Store = SqliteStore | PostgresStore


@dataclass(frozen=True, slots=True)
class Place:
    """Where databases of one kind are to be had."""

    name: str
    """As people write it."""
    fresh: Callable[[], AbstractContextManager[str]]
    """The URL of an empty database, for as long as the block lasts."""
    server: int
    """Number of the database server's first process; 0 where there is none."""


Measure = Callable[[Scale, Place], Iterator[Finding]]


def on_each(name: str, scale: Scale, measure: Measure) -> Iterator[Finding]:
    """What a benchmark finds on each store that is to be measured; a store that is not to be had is skipped."""
    for kind in scale.stores:
        reason = postgres.why_not() if kind == "postgresql" else None
        if reason is not None:
            yield Finding(f"{name}, {NAMES[kind]}", "", skipped=reason)
            continue
        yield from measure(scale, _place(kind))


async def open_store(url: str) -> Store:
    """Open the database at a URL of a Place."""
    if url.startswith(_FILE):
        return await SqliteStore.open(file_of(url))
    return await PostgresStore.open(url)


def file_of(url: str) -> Path:
    """The file of an SQLite database."""
    return Path(url.removeprefix(_FILE))


def is_file(url: str) -> bool:
    """Whether the URL is that of an SQLite database."""
    return url.startswith(_FILE)


def cpu(server: int = 0) -> float:
    """Seconds of CPU of this process and of a Place's server, if one is named, user and system."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime + server_cpu(server)


def server_cpu(server: int) -> float:
    """Seconds of CPU of a Place's server; 0 where there is none."""
    return family_cpu(server) if server else 0.0


def _place(kind: str) -> Place:
    if kind == "sqlite":
        return SQLITE
    server = _postgresql()

    @contextmanager
    def database() -> Iterator[str]:
        url = server.fresh()
        yield url
        server.drop(url)

    return Place(NAMES[kind], database, server.pid)


@functools.cache
def _postgresql() -> postgres.Server:
    """The server for all that is measured in one run: it starts when it is first needed and ends with the program."""
    staying = ExitStack()
    atexit.register(staying.close)
    return staying.enter_context(postgres.server())


@contextmanager
def _file() -> Iterator[str]:
    with folder() as place:
        yield f"{_FILE}{place / 'campana.db'}"


SQLITE = Place(NAMES["sqlite"], _file, 0)
