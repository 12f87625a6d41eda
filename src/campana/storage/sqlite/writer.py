"""Owns the one thread that writes: it gathers what waits into one transaction and answers when that is on disk.

Must not know what is written.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog

from campana.storage.store import UNWATCHED, StoreUnavailable, Watch

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], Any]
BatchWork = Callable[[sqlite3.Connection, list[Any]], list[Any]]

MOST_IN_ONE_COMMIT = 2_000
MOST_WAITING = 50_000

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Order:
    """Something to do: `work` alone, or `batch` together with all other items for the same function."""

    future: asyncio.Future[Any]
    work: Work | None = None
    batch: BatchWork | None = None
    item: Any = None


class Writer:
    """Runs orders on one connection in one thread, many to a transaction (group commit).

    An order that raises without having written anything just fails; if it had written, the whole transaction is
    rolled back and its orders run again one by one, so that only the one at fault fails.
    """

    def __init__(self, connection: sqlite3.Connection, watch: Watch = UNWATCHED) -> None:
        self._connection = connection
        self._watch = watch
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[_Order | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="campana-writer", daemon=True)
        self._closed = False
        self._thread.start()

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in a transaction; return its answer once it is durable. Raises StoreUnavailable."""
        result: T = await self._put(_Order(self._loop.create_future(), work=work))
        return result

    def write_together(self, batch: BatchWork, item: Any) -> asyncio.Future[Any]:
        """Have `batch` called once with all items that wait for it; the future is this item's answer.

        An exception instance among the answers is raised for its item alone.
        """
        return self._put(_Order(self._loop.create_future(), batch=batch, item=item))

    async def close(self) -> None:
        """Finish what waits, then end the thread and the connection."""
        if self._closed:
            return
        self._closed = True
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        self._connection.close()

    def _put(self, order: _Order) -> asyncio.Future[Any]:
        if self._closed or self._queue.qsize() > MOST_WAITING:
            order.future.set_exception(StoreUnavailable("the store is closed or has too much to write"))
        else:
            self._queue.put(order)
        return order.future

    def _run(self) -> None:
        while True:
            first = self._queue.get()
            if first is None:
                return
            orders = [first]
            ending = False
            while len(orders) < MOST_IN_ONE_COMMIT:
                try:
                    order = self._queue.get_nowait()
                except queue.Empty:
                    break
                if order is None:
                    ending = True
                    break
                orders.append(order)
            self._carry_out(orders)
            if ending:
                return

    def _carry_out(self, orders: list[_Order]) -> None:
        started = time.perf_counter()
        try:
            answers = self._transact(orders)
        except sqlite3.OperationalError as error:
            answers = [(order, StoreUnavailable(str(error))) for order in orders]
            self._watch.unavailable()
            log.warning("store.unavailable", reason=str(error), orders=len(orders))
        except Exception as error:
            answers = self._one_by_one(orders, error)
        self._watch.committed(time.perf_counter() - started)
        self._answer(answers)

    def _one_by_one(self, orders: list[_Order], error: Exception) -> list[tuple[_Order, Any]]:
        if len(orders) == 1:
            log.error("store.order_failed", error=type(error).__name__)
            return [(orders[0], error)]
        answers: list[tuple[_Order, Any]] = []
        for order in orders:
            try:
                answers += self._transact([order])
            except sqlite3.OperationalError as again:
                answers.append((order, StoreUnavailable(str(again))))
            except Exception as again:
                log.error("store.order_failed", error=type(again).__name__)
                answers.append((order, again))
        return answers

    def _transact(self, orders: list[_Order]) -> list[tuple[_Order, Any]]:
        """Run the orders in one transaction. Whatever it raises, nothing was written."""
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            answers = self._perform(orders)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return answers

    def _perform(self, orders: list[_Order]) -> list[tuple[_Order, Any]]:
        answers: list[tuple[_Order, Any]] = []
        together: dict[BatchWork, list[_Order]] = {}
        for order in orders:
            if order.batch is not None:
                together.setdefault(order.batch, []).append(order)
            elif order.work is not None:
                answers.append((order, self._guard(order.work)))
        for batch, members in together.items():
            items = [member.item for member in members]
            answers += zip(members, batch(self._connection, items), strict=True)
        return answers

    def _guard(self, work: Work) -> Any:
        before = self._connection.total_changes
        try:
            return work(self._connection)
        except sqlite3.Error:
            raise
        except Exception as error:
            if self._connection.total_changes != before:
                raise
            return error

    def _answer(self, answers: list[tuple[_Order, Any]]) -> None:
        try:
            self._loop.call_soon_threadsafe(_resolve, answers)
        except RuntimeError:
            log.warning("store.loop_gone", orders=len(answers))


def _resolve(answers: list[tuple[_Order, Any]]) -> None:
    for order, answer in answers:
        if order.future.cancelled():
            continue
        if isinstance(answer, BaseException):
            order.future.set_exception(answer)
        else:
            order.future.set_result(answer)
