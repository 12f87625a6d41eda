"""A private PostgreSQL for tests and benchmarks: a server in a folder of its own, with a fresh database for each."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import asyncpg

from benchmarks.debian import NotThere, Program, program
from campana.storage.migrate import upgrade

OLDEST = 15
_TEMPLATE = "campana_template"
_START_S = 30.0
_MEMORY, _ROOM = "/dev/shm", 2_000_000_000
PASSING = {
    # Nothing here is to outlive the tests.
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "autovacuum": "off",
    "max_connections": "120",
    "shared_buffers": "64MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "1h",
    "log_min_messages": "fatal",
}


def programs() -> Path | None:
    """The folder with initdb and postgres of the newest version that will do; None where there is none."""
    folders = sorted(Path("/usr/lib/postgresql").glob("[0-9]*/bin"), key=lambda one: -int(one.parent.name))
    found = shutil.which("initdb")
    for folder in [*folders, *([Path(found).resolve().parent] if found else [])]:
        if (folder / "initdb").exists() and (folder / "postgres").exists() and _version(folder) >= OLDEST:
            return folder
    return None


def why_not() -> str | None:
    """Why no PostgreSQL can be started here; None where one can."""
    if programs() is None:
        return f"no PostgreSQL {OLDEST} or later: scripts/test-packages.sh installs it where it may"
    if os.geteuid() == 0 and _unprivileged() is None:
        return "PostgreSQL does not run as root, and there is no user postgres or nobody"
    return None


@dataclass
class Server:
    """A running server. `folder` also holds its Unix socket."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def url(self, database: str, query: str = "") -> str:
        """The database over the Unix socket, which is the fastest way."""
        return f"postgresql://campana@/{database}?host={self.folder}&port={self.port}{query}"

    def tcp_url(self, database: str) -> str:
        """The database over the loopback interface."""
        return f"postgresql://campana@127.0.0.1:{self.port}/{database}"

    async def create(self, template: str = _TEMPLATE) -> str:
        """Make a fresh database; its name."""
        name = f"test_{next(self._numbers)}"
        await self.execute(f'CREATE DATABASE "{name}" TEMPLATE {template} STRATEGY FILE_COPY')
        return name

    async def drop(self, database: str) -> None:
        """Remove a database, whoever is still connected to it."""
        await self.execute(f'DROP DATABASE "{database}" WITH (FORCE)')

    async def execute(self, statement: str, database: str = "postgres") -> None:
        """Run one statement on a connection of its own."""
        connection = await asyncpg.connect(self.url(database))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


@contextmanager
def running(within: Path | None = None, settings: Mapping[str, str] = PASSING) -> Iterator[Server]:
    """Start a server with a migrated template, and stop it at the end.

    Its folder is made `within` another one, which everybody may enter; in memory where none is named.
    """
    folder = Path(tempfile.mkdtemp(prefix="campana-postgres-", dir=within or _memory()))
    process = None
    try:
        user = _unprivileged() if os.geteuid() == 0 else None
        if user is not None:
            os.chown(folder, user.pw_uid, user.pw_gid)
        _initialise(folder, user)
        port = _free_port()
        process = _start(folder, port, user, settings)
        server = Server(folder, port, process)
        _wait(server)
        upgrade(server.url(_TEMPLATE))
        yield server
    finally:
        if process is not None:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=_START_S)
        shutil.rmtree(folder, ignore_errors=True)


def _memory() -> str | None:
    """A file system in memory, on which databases are made many times as fast; None where there is no room."""
    return _MEMORY if os.path.isdir(_MEMORY) and shutil.disk_usage(_MEMORY).free > _ROOM else None


def pgbouncer() -> Program | None:
    """PgBouncer, where it is installed or was unpacked (scripts/test-packages.sh)."""
    try:
        return program("pgbouncer", "pgbouncer", fetch=False)
    except NotThere:
        return None


def _at_hand(found: Program, folder: Path) -> list[str | Path]:
    """The command that runs a program for a user who may not look into the checkout."""
    place = folder / "pgbouncer"
    place.mkdir()
    libraries = [Path(one) for one in found.environ.get("LD_LIBRARY_PATH", "").split(":") if one]
    for file in [Path(found.path), *(file for one in libraries for file in one.glob("*.so*"))]:
        shutil.copy(file, place / file.name)
    place.chmod(0o755)
    return ["env", f"LD_LIBRARY_PATH={place}", place / Path(found.path).name]


@contextmanager
def pooled(server: Server) -> Iterator[int]:
    """A PgBouncer in transaction mode before a server, with three connections for everybody; its port."""
    found, port = pgbouncer(), _free_port()
    assert found is not None
    settings = {"listen_addr": "127.0.0.1", "listen_port": port, "unix_socket_dir": "", "auth_type": "any"}
    settings |= {"pool_mode": "transaction", "default_pool_size": 3}
    lines = [f"[databases]\n* = user=campana host={server.folder} port={server.port}\n[pgbouncer]"]
    lines += [f"{name} = {value}" for name, value in settings.items()]
    file = server.folder / "pgbouncer.ini"
    file.write_text("\n".join(lines) + "\n")
    user = _unprivileged() if os.geteuid() == 0 else None
    command = [*_at_hand(found, server.folder), "-q", file]
    process = subprocess.Popen(command, cwd=server.folder, stderr=subprocess.DEVNULL, **_as(user))
    try:
        until = time.monotonic() + _START_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except ConnectionRefusedError:
                assert process.poll() is None, "PgBouncer ended"
                assert time.monotonic() < until, "PgBouncer did not start in time"
                time.sleep(0.02)
        yield port
    finally:
        process.terminate()
        process.wait(timeout=_START_S)


@contextmanager
def standby(server: Server, settings: Mapping[str, str] = PASSING) -> Iterator[Server]:
    """A standby of a server as it is now, which follows it by streaming until it is promoted."""
    found, port = programs(), _free_port()
    assert found is not None
    user = _unprivileged() if os.geteuid() == 0 else None
    folder = server.folder / f"standby-{port}"
    folder.mkdir()
    if user is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)
    copy = [found / "pg_basebackup", "-h", server.folder, "-p", str(server.port), "-U", "campana", "-R", "-c", "fast"]
    made = subprocess.run([*copy, "-D", folder / "data"], capture_output=True, text=True, check=False, **_as(user))
    assert made.returncode == 0, made.stderr
    process = _start(folder, port, user, settings)
    try:
        one = Server(folder, port, process)
        _until_ready(one)
        yield one
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=_START_S)
        shutil.rmtree(folder, ignore_errors=True)


def _version(folder: Path) -> int:
    said = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"(\d+)", said)
    return int(found[1]) if found else 0


def _unprivileged() -> pwd.struct_passwd | None:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    return None


def _as(user: pwd.struct_passwd | None) -> dict[str, object]:
    return {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _initialise(folder: Path, user: pwd.struct_passwd | None) -> None:
    found = programs()
    assert found is not None
    order = [found / "initdb", "-D", folder / "data", "-U", "campana", "-A", "trust", "-N", "-E", "UTF8", "--locale=C"]
    made = subprocess.run(order, cwd=folder, capture_output=True, text=True, check=False, **_as(user))
    assert made.returncode == 0, made.stderr


def _start(
    folder: Path, port: int, user: pwd.struct_passwd | None, settings: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    found = programs()
    assert found is not None
    order = [found / "postgres", "-D", folder / "data", "-k", folder, "-h", "127.0.0.1", "-p", str(port)]
    for name, value in settings.items():
        order += ["-c", f"{name}={value}"]
    with (folder / "log").open("wb") as log:
        process: subprocess.Popen[bytes] = subprocess.Popen(
            order, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, **_as(user)
        )
    return process


def _wait(server: Server) -> None:
    _until(server, "createdb", _TEMPLATE)


def _until_ready(server: Server) -> None:
    _until(server, "pg_isready", "-q", "-d", "postgres")


def _until(server: Server, program: str, *words: str) -> None:
    """Run a client program until it succeeds."""
    found = programs()
    assert found is not None
    until = time.monotonic() + _START_S
    order = [found / program, "-h", server.folder, "-p", str(server.port), "-U", "campana", *words]
    while subprocess.run(order, capture_output=True, check=False).returncode:
        assert server.process.poll() is None, (server.folder / "log").read_text()
        assert time.monotonic() < until, "PostgreSQL did not start in time"
        time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
