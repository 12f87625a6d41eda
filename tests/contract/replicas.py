"""A PostgreSQL with a synchronous standby: two private servers; the first is killed and the second promoted."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import asyncpg

from tests.contract import postgres_kit

PATIENCE = 60.0


@dataclass
class Pair:
    """A primary, and a standby without whose word nothing is acknowledged."""

    primary: postgres_kit.Server
    standby: postgres_kit.Server

    def url(self, database: str) -> str:
        """The database on whichever of the two can be written to."""
        hosts = ",".join(f"127.0.0.1:{server.port}" for server in (self.primary, self.standby))
        return f"postgresql://campana@{hosts}/{database}?target_session_attrs=read-write"

    def kill_primary(self) -> None:
        """kill -9 to all of its processes, as a power cut would."""
        os.killpg(self.primary.process.pid, signal.SIGKILL)
        self.primary.process.wait()

    async def promote(self) -> None:
        """Make the standby the primary."""
        await self.standby.execute("SELECT pg_promote(wait => true)")


@contextmanager
def replicated() -> Iterator[Pair]:
    """Start both; the standby is in step before the first line of a test. Not for use in an event loop's thread."""
    # The private servers of tests wait for nobody; here the standby's word is what counts.
    settings = {**postgres_kit.PASSING, "synchronous_commit": "on"}
    with (
        postgres_kit.running(settings=settings) as primary,
        postgres_kit.standby(primary, settings) as standby,
    ):
        asyncio.run(_have_it_wait(primary))
        yield Pair(primary, standby)


async def _have_it_wait(primary: postgres_kit.Server) -> None:
    """Nothing is acknowledged any more before the standby has it."""
    await primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
    await primary.execute("SELECT pg_reload_conf()")
    connection = await asyncpg.connect(primary.url("postgres"))
    try:
        async with asyncio.timeout(PATIENCE):
            while not await connection.fetchval(
                "SELECT count(*) FROM pg_stat_replication, pg_sleep(0.02) WHERE sync_state = 'sync'"
            ):
                pass
    finally:
        await connection.close()
