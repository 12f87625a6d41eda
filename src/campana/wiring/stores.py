"""Owns how the configured database is opened and upgraded, and what keeps an embedded one to a single server.

Must not know what uses it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from campana.bus.local import LocalBus
from campana.config import Settings
from campana.domain.instance import Self
from campana.services.house import Services, build_services
from campana.services.instance import InstanceOptions, InstanceService
from campana.storage.beside import MemoryFile, machine_name
from campana.storage.migrate import upgrade as upgrade_database
from campana.storage.postgres import PostgresStore
from campana.storage.postgres.database import Pooling
from campana.storage.sqlite import SqliteStore
from campana.storage.store import StoreUnavailable
from campana.telemetry import Metrics
from campana.wiring.parts import now_ms, service_options

Store = SqliteStore | PostgresStore


async def open_store(settings: Settings, metrics: Metrics | None = None) -> Store:
    """Create or upgrade the configured database and open it. Raises StoreUnavailable."""
    on_commit = None if metrics is None else lambda seconds: metrics.store_commit_seconds.observe(seconds=seconds)
    database = settings.database
    if database.is_postgresql:
        assert database.url is not None
        return await PostgresStore.open(database.url, on_commit, Pooling(database.connections, database.pooler))
    path = settings.database_path
    _make_place(path)
    return await SqliteStore.open(path, on_commit)


def upgrade(settings: Settings) -> str:
    """Create or upgrade the database; tell in a sentence what was done. Raises StoreUnavailable."""
    if settings.database.is_postgresql:
        assert settings.database.url is not None
        name, url = "the database", settings.database.url
    else:
        path = settings.database_path
        _make_place(path)
        name, url = f"the database {path}", f"sqlite:///{path}"
    before, after = upgrade_database(url)
    if before == after:
        return f"T{name[1:]} is at revision {after} already."
    if before is None:
        return f"Created {name} at revision {after}."
    return f"Upgraded {name} from revision {before} to {after}."


@contextlib.asynccontextmanager
async def services_for(settings: Settings) -> AsyncIterator[Services]:
    """The services on the configured store, for commands; also beside running processes."""
    store = await open_store(settings)
    services = build_services(store, LocalBus(), now_ms, service_options(settings), Metrics())
    try:
        yield services
    finally:
        await services.close()
        await store.close()


@contextlib.asynccontextmanager
async def instance_for(settings: Settings) -> AsyncIterator[InstanceService]:
    """What an operator asks and says about the configured database as such; also beside running processes."""
    store = await open_store(settings)
    try:
        yield InstanceService(store, InstanceOptions(myself(settings), memory_file(settings)), now_ms)
    finally:
        await store.close()


def myself(settings: Settings) -> Self:
    """Who judges which database this is."""
    return Self(settings.database.label, machine_name())


def memory_file(settings: Settings) -> MemoryFile:
    """Where the processes of this machine remember which database they ran on."""
    return MemoryFile(settings.server.data_dir)


@contextlib.contextmanager
def only_server(settings: Settings) -> Iterator[None]:
    """Hold the lock that lets one server alone work on an embedded database. Raises StoreUnavailable."""
    if settings.database.is_postgresql:
        yield
        return
    database = settings.database_path
    _make_folder(database)
    with open(f"{database}.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StoreUnavailable(f"another Campana serves {database} already") from error
        yield


def _make_folder(database: Path) -> None:
    try:
        database.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StoreUnavailable(f"the folder {database.parent} cannot be made: {error.strerror}") from error


def _make_place(database: Path) -> None:
    """Make the folder and the file where they are missing, for our eyes only: numbers and texts stand in there.

    SQLite takes the file as it is, and gives its own files beside it the same permissions. Raises StoreUnavailable.
    """
    _make_folder(database)
    with contextlib.suppress(OSError):
        # What is wrong with the file, SQLite says better.
        os.close(os.open(database, os.O_RDWR | os.O_CREAT, 0o600))
