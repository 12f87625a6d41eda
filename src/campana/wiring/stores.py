"""Owns how the configured database is opened and upgraded, and what keeps an embedded one to a single server.

Must not know what uses it.
"""

from __future__ import annotations

import asyncio
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
from campana.storage.migrate import Upgraded
from campana.storage.migrate import upgrade as upgrade_database
from campana.storage.postgres import PostgresStore
from campana.storage.postgres.database import Pooling
from campana.storage.postgres.trial import was_used
from campana.storage.sqlite import SqliteStore
from campana.storage.store import UNWATCHED, StoreUnavailable, Watch
from campana.telemetry import Metrics
from campana.wiring.parts import now_ms, service_options

Store = SqliteStore | PostgresStore


async def open_store(settings: Settings, metrics: Metrics | None = None, *, alone: bool = False) -> Store:
    """Create or upgrade the configured database and open it; `alone` is said by the server of an embedded one, beside
    which no earlier version can be at work. Raises StoreUnavailable.
    """
    watch = UNWATCHED if metrics is None else _watch(metrics)
    database = settings.database
    if database.is_postgresql:
        assert database.url is not None
        return await PostgresStore.open(database.url, watch, Pooling(database.connections, database.pooler))
    path = settings.database_path
    _make_place(path)
    return await SqliteStore.open(path, watch, alone=alone)


def _watch(metrics: Metrics) -> Watch:
    return Watch(
        committed=lambda seconds: metrics.store_commit_seconds.observe(seconds=seconds),
        unavailable=metrics.store_unavailable.add,
    )


def upgrade(settings: Settings, finish: bool = False) -> str:
    """Create or upgrade the database; tell in a few words what was done and what waits.

    To `finish` is to take the steps that no program of an earlier version survives. Raises StoreUnavailable, and
    UpgradeRefused where such a program is at work.
    """
    with only_server(settings) if finish else contextlib.nullcontext():
        if settings.database.is_postgresql:
            assert settings.database.url is not None
            name, url = "the database", settings.database.url
        else:
            path = settings.database_path
            _make_place(path)
            name, url = f"the database {path}", f"sqlite:///{path}"
        return _told(name, upgrade_database(url, finish=finish))


def _told(name: str, done: Upgraded) -> str:
    if done.before == done.after:
        sentence = f"T{name[1:]} is at revision {done.after} already."
    elif done.before is None:
        sentence = f"Created {name} at revision {done.after}."
    else:
        sentence = f"Upgraded {name} from revision {done.before} to {done.after}."
    if done.waiting:
        sentence += f" What earlier versions would not survive waits for --finish: {', '.join(done.waiting)}."
    elif done.before == done.after:
        sentence += " Nothing waits for --finish."
    return sentence


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
    """What an operator asks and says about the configured database as such; also beside running processes.

    Raises StoreUnavailable where there is none: a mistyped one that was made here would say that all is well.
    """
    if not await _is_there(settings):
        raise StoreUnavailable("Campana has no tables there: is it the one that is meant?")
    store = await open_store(settings)
    try:
        yield InstanceService(store, InstanceOptions(myself(settings), memory_file(settings)), now_ms)
    finally:
        await store.close()


async def _is_there(settings: Settings) -> bool:
    """Whether there is a database that Campana has used."""
    if settings.database.is_postgresql:
        assert settings.database.url is not None
        return await was_used(settings.database.url)
    return await asyncio.to_thread(settings.database_path.exists)


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
