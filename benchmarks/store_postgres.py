"""Owns the CPU of claiming deliveries and recording what became of them on PostgreSQL: that of both sides together.

Must not know how the store does it. The ceiling is asyncpg with the fewest statements that could do it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import asyncpg
import uvloop

from benchmarks.claiming import CHUNK, FLUSH, WORKERS, Work, completed, filled, planned
from benchmarks.processes import python, running
from benchmarks.report import Finding, Scale, Target, median, number
from benchmarks.stores import Place, cpu, server_cpu
from campana.storage.postgres import PostgresStore
from campana.telemetry import configure_logging

COUNT = 200_000
CPU_PER_MILLION = 9.0

# The tables of the ceiling, with room on each page for the new versions of its rows.
_TABLES = """
CREATE TABLE d (id bigint PRIMARY KEY, status smallint, last_error smallint, attempts_left smallint, tries smallint,
  due_at bigint, destination text, dial text, text text) WITH (fillfactor = 50);
CREATE TABLE h (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, carrier_id text UNIQUE, delivery bigint)
"""
_FILL = """
INSERT INTO d SELECT n, 1, 0, 3, 0, 0, '+1416' || lpad(n::text, 7, '0'), '+1416' || lpad(n::text, 7, '0'), NULL
FROM generate_series(0, $1::bigint - 1) AS n
"""
_TAKE = "UPDATE d SET status = 2 WHERE id BETWEEN $1 AND $2"
_END = "UPDATE d SET status = 4, tries = tries + 1, attempts_left = attempts_left - 1 WHERE id BETWEEN $1 AND $2"
_END_WITH_IDS = f"""
WITH done AS ({_END})
INSERT INTO h (carrier_id, delivery) SELECT * FROM unnest($3::text[], $4::bigint[])
"""
_SETTLE = ("VACUUM (ANALYZE)", "CHECKPOINT")
"""What a server has done some minutes after contacts were added. Each page is then written whole into the log once
more with its first change, as it is for a campaign that begins later."""
_HOT = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'deliveries'"


def measure(scale: Scale, place: Place) -> Iterator[Finding]:
    """Outcomes that are final at once, then those that a carrier gave an id."""
    count = scale.size(COUNT, CHUNK)
    for with_ids in (False, True):
        ours, bare = [], []
        for _ in range(scale.rounds):
            bare.append(_run("bare", place, Work(count, with_ids)))
            ours.append(_run("store", place, Work(count, with_ids)))
        kind = "with carrier ids" if with_ids else "final outcomes"
        yield _finding(f"store, {kind}, {place.name}", count, ours, bare)


def _finding(name: str, count: int, ours: list[dict[str, float]], bare: list[dict[str, float]]) -> Finding:
    def middle(of: list[dict[str, float]], what: str) -> float:
        return median([one[what] / count * 1e6 for one in of])

    cost, least = (middle(of, "client") + middle(of, "server") for of in (ours, bare))
    split = f"{number(middle(ours, 'client'))} s client, {number(middle(ours, 'server'))} s server"
    return Finding(
        name,
        f"{number(cost)} s CPU a million to claim and complete ({split}; {number(middle(ours, 'plan'))} s to plan)",
        f"{number(least)} s: asyncpg alone, two range updates for each chunk, each a transaction",
        f"{cost / least:.1f} x",
        (Target(cost, CPU_PER_MILLION, "s CPU a million", at_least=False),),
        (
            f"{count:,} deliveries, chunks of {CHUNK}, flushes of {FLUSH}, {WORKERS} workers, synchronous_commit=on",
            f"{median([one['hot'] for one in ours]):.1%} of the updates of deliveries stay on their page (HOT)",
        ),
    )


def _run(what: str, place: Place, work: Work) -> dict[str, float]:
    with place.fresh() as url:
        arguments = (what, url, place.server, work.count, int(work.with_ids))
        with running(python("benchmarks.store_postgres", *arguments)) as one:
            return one.answer()


class _Clock:
    """The CPU of this process and of a server since it was last asked."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._last = self._now()

    def _now(self) -> tuple[float, float]:
        return cpu(), server_cpu(self._pid)

    def lap(self) -> dict[str, float]:
        """Seconds of both sides since the last lap."""
        before, self._last = self._last, self._now()
        return {"client": self._last[0] - before[0], "server": self._last[1] - before[1]}


async def through_store(url: str, pid: int, work: Work) -> dict[str, float]:
    """Plan, then claim and complete everything; with the share of updates that stayed on their page."""
    store = await PostgresStore.open(url)
    campaign = await filled(store, work)
    connection = await asyncpg.connect(url)
    clock = _Clock(pid)
    await planned(store, campaign, work)
    plan = sum(clock.lap().values())
    await _settle(connection)
    clock.lap()
    await completed(store, work)
    cost = clock.lap()
    await store.close()
    updates = hot = 0
    while updates < 2 * work.count:
        # Its connections tell what they did when they end.
        updates, hot = await connection.fetchrow(_HOT)
    await connection.close()
    return cost | {"plan": plan, "hot": hot / updates}


async def bare(url: str, pid: int, work: Work) -> dict[str, float]:
    """The least that claims and completes: a chunk's range set to sending, then to its outcome; durable each time."""
    connection = await asyncpg.connect(url)
    await connection.execute(_TABLES)
    await connection.execute(_FILL, work.count)
    await connection.execute("SET plan_cache_mode = force_generic_plan")
    await _settle(connection)
    clock = _Clock(pid)
    for first in range(0, work.count, CHUNK):
        last = min(first + CHUNK, work.count) - 1
        await connection.execute(_TAKE, first, last)
        if work.with_ids:
            numbers = range(first, last + 1)
            await connection.execute(_END_WITH_IDS, first, last, [f"{n:x}" for n in numbers], numbers)
        else:
            await connection.execute(_END, first, last)
    cost = clock.lap()
    await connection.close()
    return cost


async def _settle(connection: Any) -> None:
    for statement in _SETTLE:
        await connection.execute(statement)


def main() -> None:
    """`python -m benchmarks.store_postgres store|bare URL PID COUNT IDS`; says one line of JSON."""
    configure_logging("warning", "json")
    what, url, pid = sys.argv[1], sys.argv[2], int(sys.argv[3])
    work = Work(int(sys.argv[4]), sys.argv[5] == "1")
    print(json.dumps(uvloop.run((through_store if what == "store" else bare)(url, pid, work))))


if __name__ == "__main__":
    main()
