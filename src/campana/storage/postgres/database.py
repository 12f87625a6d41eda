"""Owns the connections to PostgreSQL: their number and settings, transactions, and what becomes of a lost one.

Must not know any table.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import asyncpg
import structlog
from asyncpg.pool import PoolConnectionProxy
from sqlalchemy.sql.expression import ClauseElement

from campana.hosts import Hosts
from campana.storage.compiled import for_postgresql
from campana.storage.postgres.gathering import SharedReads
from campana.storage.store import UNWATCHED, StoreUnavailable, Watch

T = TypeVar("T")
Connection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"
Work: TypeAlias = Callable[[Connection], Awaitable[T]]

OLDEST = 15
CONNECTIONS = 8
CONNECT_S = 5.0
"""For each host."""
WAIT_S = 15.0
"""How long a caller waits for one of the connections to be free."""
COMMAND_S = 40.0
"""How long an answer is waited for: longer than the server works on one, so that only a dead network needs it."""
TRIES = 8
"""Runs of a transaction that lost a deadlock or a race."""
CLOSE_S = 10.0
_STATEMENTS_KEPT = 256
_SETTINGS = {
    "statement_timeout": "30s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "20s",
    # Statements by key take less time than compiling them would.
    "jit": "off",
    # Everything is read by key, in the order of its ids. A plan that was made, and kept, while a table was small is
    # not to read the whole of it when it has grown.
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    # To start other processes for a statement takes longer than the statement.
    "max_parallel_workers_per_gather": "0",
    # Or each statement would be planned anew each time: PostgreSQL believes that a range of ids which it cannot see
    # yet is a two-hundredth of the table, and keeps no plan for that.
    "plan_cache_mode": "force_generic_plan",
}
_OUR_LOCKS = 0x43616D70
"""The first key of our advisory locks, so that they meet nobody else's in the same database."""

_LOST: tuple[type[Exception], ...] = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.PostgresSystemError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.LockNotAvailableError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,
)
"""What says nothing of a statement, and all of the server, the way to it, or who else is at work there."""
_CUT_OFF: tuple[type[Exception], ...] = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
)
"""What a connection says that is of no more use, perhaps since before anybody asked it."""

_GONE: tuple[type[Exception], ...] = (*_LOST, asyncpg.PostgresError)
"""Whatever may come of rolling back: the connection is not used again."""

log = structlog.get_logger(__name__)


class Collision(Exception):
    """What a transaction was to do crossed another one: it is undone and runs again."""


_AGAIN = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError, Collision)


@dataclass(frozen=True, slots=True)
class Pooling:
    """How a process connects: with at most so many connections, directly or through a pooler of transactions."""

    connections: int = CONNECTIONS
    pooler: bool = False
    """PgBouncer in transaction mode (or its like) is between: nothing may be kept on a connection."""


def among_campaigns(*campaigns: int) -> str:
    """SQL that keeps campaigns from being deleted until the transaction ends, so that who reads that one is not
    deleted may rely on it. Any number of transactions may do so at once."""
    locks = (f"pg_advisory_xact_lock_shared({_OUR_LOCKS}, {key})" for key in _lock_keys(campaigns))
    return f"SELECT {', '.join(locks)}"


def alone_with_campaign(campaign: int) -> str:
    """SQL that waits until nobody is at work `among_campaigns` with this one, and keeps them out."""
    return f"SELECT pg_advisory_xact_lock({_OUR_LOCKS}, {_lock_keys([campaign])[0]})"


IN_TURN = f"SELECT pg_advisory_xact_lock({_OUR_LOCKS + 1}, 0)"
"""SQL that lets those who keep messages do so one after the other."""


def alone_with_key(key: bytes) -> str:
    """SQL that waits until nobody is at work with this key, and keeps others out, whether it has a row or not."""
    return f"SELECT pg_advisory_xact_lock({_OUR_LOCKS + 2}, {int.from_bytes(key[:4]) & 0x7FFF_FFFF})"


def _lock_keys(campaigns: Iterable[int]) -> list[int]:
    return sorted({campaign & 0x7FFF_FFFF for campaign in campaigns})


async def fetch(connection: Connection, statement: ClauseElement, **parameters: Any) -> list[asyncpg.Record]:
    """The rows of a statement of `queries`, with named parameters."""
    compiled = for_postgresql(statement)
    return await connection.fetch(compiled.sql, *compiled.in_order(parameters))


async def fetch_row(connection: Connection, statement: ClauseElement, **parameters: Any) -> asyncpg.Record | None:
    """The first row of a statement of `queries`."""
    compiled = for_postgresql(statement)
    return await connection.fetchrow(compiled.sql, *compiled.in_order(parameters))


async def run(connection: Connection, statement: ClauseElement, **parameters: Any) -> int:
    """Execute a statement of `queries`; how many rows it touched."""
    compiled = for_postgresql(statement)
    return await execute(connection, compiled.sql, *compiled.in_order(parameters))


async def execute(connection: Connection, statement: str, *values: Any) -> int:
    """Execute a twin with its values by position; how many rows it touched."""
    # The command's tag ends with the count, for example `INSERT 0 5`.
    return int((await connection.execute(statement, *values)).rpartition(" ")[2])


class Database:
    """A bounded pool of connections. Made and used in one event loop."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], pooling: Pooling, watch: Watch) -> None:
        self._pool = pool
        self._watch = watch
        self._reads = SharedReads()
        self._pooler = pooling.pooler
        # A pooler gives each transaction another connection, which has its own settings.
        settings = "; ".join(f"SET LOCAL {name} = '{value}'" for name, value in _SETTINGS.items())
        self._begin = f"BEGIN; {settings}" if pooling.pooler else "BEGIN"

    @classmethod
    async def connect(cls, url: str, pooling: Pooling, watch: Watch = UNWATCHED) -> Database:
        """Connect to the database at a `postgresql://` URL, of one host or several. Raises StoreUnavailable."""
        try:
            pool = await asyncpg.create_pool(
                connect=Hosts(url).connect,
                # A floor would have the pool itself connect again and again while the database is away, and log it.
                min_size=0,
                max_size=pooling.connections,
                timeout=CONNECT_S,
                command_timeout=COMMAND_S,
                statement_cache_size=0 if pooling.pooler else _STATEMENTS_KEPT,
                max_cached_statement_lifetime=0,
                server_settings=None if pooling.pooler else {"application_name": "campana", **_SETTINGS},
                reset=_keep_as_it_is,
            )
            async with pool.acquire() as connection:
                version = connection.get_server_version()
        except _LOST as error:
            raise StoreUnavailable(f"the database cannot be reached: {str(error) or type(error).__name__}") from error
        if version.major < OLDEST:
            await pool.close()
            raise StoreUnavailable(f"PostgreSQL {version.major} is too old; Campana needs {OLDEST} or later")
        return cls(pool, pooling, watch)

    async def write(self, work: Work[T], *, first: str = "") -> T:
        """Run `work` in a transaction; its answer once that is durable. What `work` raises undoes everything.

        It may run several times, where it lost a deadlock or a race, so it must begin anew each time. `first` is SQL
        that the transaction begins with. Raises StoreUnavailable.
        """
        return await self._until_it_stands(lambda: self._transact(work, first))

    async def write_at_once(self, work: Work[T]) -> T:
        """Run `work`, which is one statement and so a transaction by itself: one trip instead of three.

        It runs again where the connection was cut off, be it that nobody knows whether it was carried out: it must do
        no harm the second time. Raises StoreUnavailable.
        """
        return await self._until_it_stands(lambda: self._alone(work))

    async def read(self, work: Work[T]) -> T:
        """Run a read. Raises StoreUnavailable."""
        return await self._alone(work)

    async def read_once(self, key: Hashable, work: Work[T]) -> T:
        """Read what many may ask for at once: they share one answer, which nobody may change. See SharedReads."""
        return await self._reads.read(key, lambda: self.read(work))

    async def close(self) -> None:
        """Close every connection, once what is under way has ended."""
        try:
            await asyncio.wait_for(self._pool.close(), CLOSE_S)
        except TimeoutError:
            self._pool.terminate()

    async def _until_it_stands(self, transact: Callable[[], Awaitable[T]]) -> T:
        """Repeat a transaction that loses a deadlock or a race."""
        started = time.perf_counter()
        for tried in range(TRIES):
            try:
                answer = await transact()
            except _AGAIN as error:
                log.info("store.collision", error=type(error).__name__, tried=tried + 1)
                await asyncio.sleep(random.uniform(0, 0.005 * 2**tried))  # noqa: S311  # no secret hangs on it
                continue
            self._watch.committed(time.perf_counter() - started)
            return answer
        raise StoreUnavailable("the database is too busy: a transaction lost every race")

    async def _alone(self, work: Work[T]) -> T:
        """Run one statement, which needs no transaction around it but through a pooler: for its settings."""
        if self._pooler:
            return await self._transact(work, "")
        try:
            try:
                return await self._look(work)
            except _CUT_OFF:
                return await self._look(work)
        except _LOST as error:
            raise await self._unavailable(error) from error

    async def _look(self, work: Work[T]) -> T:
        connection = await self._pool.acquire(timeout=WAIT_S)
        try:
            return await work(connection)
        except BaseException as error:
            await self._undo(connection, error)
            raise
        finally:
            await self._pool.release(connection)

    async def _transact(self, work: Work[T], first: str) -> T:
        try:
            connection = await self._begun(first)
            try:
                answer = await work(connection)
                if await connection.execute("COMMIT") != "COMMIT":
                    raise asyncpg.InternalClientError("the transaction was rolled back")
            except BaseException as error:
                await self._undo(connection, error)
                raise
            finally:
                await self._pool.release(connection)
        except _LOST as error:
            raise await self._unavailable(error) from error
        return answer

    async def _begun(self, first: str) -> Connection:
        """A connection with a transaction. One that was cut off while idle is replaced: nothing was lost with it."""
        statement = f"{self._begin}; {first}" if first else self._begin
        tries = 2
        while True:
            connection = await self._pool.acquire(timeout=WAIT_S)
            try:
                await connection.execute(statement)
            except BaseException as error:
                tries -= 1
                await self._undo(connection, error)
                await self._pool.release(connection)
                if not (tries and isinstance(error, _CUT_OFF)):
                    raise
            else:
                return connection

    async def _undo(self, connection: Connection, error: BaseException) -> None:
        """Make a connection fit for the next transaction, or end it."""
        if isinstance(error, _CUT_OFF) and not isinstance(error, ValueError):
            # The pool may have noticed, and taken it back already. Its others may be cut off as well.
            with contextlib.suppress(asyncpg.InterfaceError):
                connection.terminate()
            await self._pool.expire_connections()
        elif not connection.is_closed() and connection.is_in_transaction():
            try:
                await connection.execute("ROLLBACK")
            except _GONE:
                connection.terminate()

    async def _unavailable(self, error: Exception) -> Exception:
        """What a caller is told of an error that says nothing of its statement."""
        if isinstance(error, ValueError):
            # Not the way to the server: the driver refused a value.
            return error
        if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
            # It was a primary once: look for the one that is now.
            await self._pool.expire_connections()
        self._watch.unavailable()
        log.warning("store.unavailable", error=type(error).__name__, reason=str(error))
        return StoreUnavailable(f"{type(error).__name__}: {error}")


async def _keep_as_it_is(connection: object) -> None:
    """Nothing is left behind on a connection that would have to be reset: settings and locks end with transactions."""
