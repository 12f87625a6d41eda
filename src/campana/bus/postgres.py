"""Owns the bus between processes that share a PostgreSQL database: LISTEN and NOTIFY on a connection of its own.

Must not know any table, nor what a hint is for.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from secrets import token_hex
from typing import TypeAlias

import asyncpg
import structlog

from campana.bus.contract import Hint, News
from campana.bus.letters import Outbox, read, write
from campana.bus.local import LocalBus
from campana.hosts import Hosts

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

CHANNEL = "campana"
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 5.0
"""The pause before the connection is made again; it doubles each time, until a connection has lasted for a while."""
CLOSE_S = 2.0

_HERE_ALONE = {News.ROUTE, News.MISSED}
_NOTIFY = "SELECT pg_notify($1, letter) FROM unnest($2::text[]) AS letter"
# Hints need no disk, and no standby to confirm them.
_PREPARE = "SET synchronous_commit = off"

_LOST = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a bus waits for what, in seconds."""

    gather: float = 0.01
    """For other hints to leave with the first."""
    watch: float = 5.0
    """While there is nothing to send, before it asks whether the connection is still there."""
    answer: float = 5.0
    """For an answer, before the connection is given up."""


STANDARD = Pace()


class PostgresBus:
    """Tells the listeners of this process at once, and those of the others some milliseconds later.

    NOTIFY takes a lock, when its transaction commits, that all transactions with a NOTIFY share: so hints never
    leave in the transactions of the store, but gather for a moment and go together in one of their own. Whatever was
    said while there was no connection is kept, up to a bound; past it the others are told that they missed
    something, as are the listeners here after each connection. Used from one event loop.
    """

    def __init__(self, url: str, channel: str = CHANNEL, pace: Pace = STANDARD) -> None:
        """`url` leads to the database directly: a pooler of transactions would lose what is listened to. It may name
        several hosts, with `target_session_attrs=read-write`."""
        self._hosts = Hosts(url)
        self._channel = channel
        self._pace = pace
        self._name = token_hex(8)
        self._local = LocalBus()
        self._outbox = Outbox()
        self._wake = asyncio.Event()
        self._ending = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._hearing = False
        self._warned_of_strangers = False

    @property
    def is_hearing(self) -> bool:
        """Whether what other processes tell is heard right now, as far as anybody knows."""
        return self._hearing

    async def start(self) -> None:
        """Connect, and from now on see to it that there is a connection. Does not fail where there can be none yet."""
        tried = asyncio.Event()
        self._task = asyncio.create_task(self._run(tried), name="bus")
        self._task.add_done_callback(lambda _: tried.set())
        await tried.wait()

    async def close(self) -> None:
        """Send what waits where that is possible, and close the connection."""
        self._ending.set()
        self._wake.set()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=CLOSE_S)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def tell(self, hint: Hint) -> None:
        """Pass a hint on to every listener of this process, and have the other processes told."""
        self._local.tell(hint)
        if hint.news not in _HERE_ALONE and not self._ending.is_set():
            self._outbox.put(hint)
            self._wake.set()

    def listen(self, listener: Callable[[Hint], None]) -> Callable[[], None]:
        """Call `listener` for each hint; returns the function that ends it."""
        return self._local.listen(listener)

    async def _run(self, tried: asyncio.Event) -> None:
        """Hold a connection until the end."""
        clock = asyncio.get_running_loop().time
        pause, lost = FIRST_PAUSE_S, False
        while True:
            started = clock()
            try:
                async with self._connected() as connection:
                    log.info("bus.hearing")
                    lost = False
                    tried.set()
                    await self._carry(connection)
                return
            except _LOST as error:
                if not lost:
                    log.warning("bus.lost", error=type(error).__name__, reason=str(error))
                lost = True
            except Exception:
                log.exception("bus.defect")
            tried.set()
            pause = FIRST_PAUSE_S if clock() - started > LONGEST_PAUSE_S * 2 else min(pause * 2, LONGEST_PAUSE_S)
            if await _happens(self._ending, random.uniform(pause / 2, pause)):  # noqa: S311  # no secret hangs on it
                return

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[Connection]:
        """A connection that hears; from its first moment on, the listeners are to look at everything."""
        answer = self._pace.answer
        settings = {"application_name": "campana bus"}
        connection = await self._hosts.connect(timeout=answer, command_timeout=answer, server_settings=settings)
        try:
            connection.add_termination_listener(lambda _: self._wake.set())
            await connection.execute(_PREPARE)
            await connection.add_listener(self._channel, self._hear)
            self._hearing = True
            self._local.tell(Hint(News.MISSED))
            yield connection
            await connection.close(timeout=answer)
        finally:
            self._hearing = False
            connection.terminate()

    async def _carry(self, connection: Connection) -> None:
        """Send what waits, until the end. Raises what ended the connection."""
        while not (self._ending.is_set() and not self._outbox):
            if not await _happens(self._wake, self._pace.watch):
                await connection.execute("SELECT 1")
                continue
            await _happens(self._ending, self._pace.gather)
            self._wake.clear()
            if connection.is_closed():
                raise ConnectionResetError("the connection was closed")
            hints = self._outbox.take()
            if not hints:
                continue
            try:
                await connection.execute(_NOTIFY, self._channel, write(self._name, hints))
            except BaseException:
                for hint in hints:
                    self._outbox.put(hint)
                self._wake.set()
                raise

    def _hear(self, _connection: object, _process: int, _channel: str, payload: object) -> None:
        try:
            sender, hints = read(str(payload))
        except ValueError:
            if not self._warned_of_strangers:
                log.warning("bus.stranger", channel=self._channel, length=len(str(payload)))
            self._warned_of_strangers = True
            return
        if sender != self._name:
            for hint in hints:
                self._local.tell(hint)


async def _happens(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event for a while; whether it has come."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
    return event.is_set()
