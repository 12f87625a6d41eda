"""Owns a private, durable PostgreSQL for benchmarks, and what it costs in CPU.

Must not know what is measured on it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.processes import SCRATCH, family_cpu
from tests.contract import postgres_kit
from tests.contract.postgres_kit import why_not

__all__ = ["DURABLE", "Server", "server", "why_not"]

DURABLE = {
    # PostgreSQL's defaults, said here since nobody is to wonder: what is measured is on disk.
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "autovacuum": "on",
    # What every guide sets first. The defaults are for a machine with little memory.
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "max_connections": "120",
    "log_min_messages": "warning",
}


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    url: str
    """An empty database with Campana's tables, over the loopback interface."""
    pid: int
    _kit: postgres_kit.Server

    def cpu(self) -> float:
        """Seconds of CPU of all its processes so far, those that have ended included."""
        return family_cpu(self.pid)

    def fresh(self) -> str:
        """The URL of one more empty database with Campana's tables. Not to be called in an event loop."""
        return self._kit.tcp_url(asyncio.run(self._kit.create()))

    def drop(self, url: str) -> None:
        """Remove a database that `fresh` made. Not to be called in an event loop."""
        asyncio.run(self._kit.drop(url.rpartition("/")[2]))


@contextmanager
def server(settings: Mapping[str, str] | None = None) -> Iterator[Server]:
    """A durable server on the disk of the checkout for as long as the block lasts; `settings` come on top of DURABLE.

    Where `why_not` gives a reason, there is none to be had.
    """
    SCRATCH.mkdir(parents=True, exist_ok=True)
    with postgres_kit.running(SCRATCH, DURABLE | dict(settings or {})) as kit:
        yield Server(kit.tcp_url(asyncio.run(kit.create())), kit.process.pid, kit)
