"""Owns the CPU of the store's part of the river: claiming deliveries and recording what became of them, on SQLite.

Must not know how the store does it. The ceiling is SQLite itself with the fewest statements that could do it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvloop

from benchmarks import store_postgres
from benchmarks.claiming import CHUNK, FLUSH, WORKERS, Work, completed, filled, planned
from benchmarks.processes import folder, python, running
from benchmarks.report import Finding, Scale, Target, median, number
from benchmarks.stores import Place, cpu, on_each
from campana.storage.sqlite import SqliteStore
from campana.storage.sqlite.database import connect
from campana.telemetry import configure_logging

COUNT = 100_000
CPU_PER_MILLION = 3.5


def run(scale: Scale) -> Iterator[Finding]:
    """On each of the stores that are measured."""
    yield from on_each("store", scale, _measure)


def _measure(scale: Scale, place: Place) -> Iterator[Finding]:
    yield from store_postgres.measure(scale, place) if place.server else _on_sqlite(scale)


def _on_sqlite(scale: Scale) -> Iterator[Finding]:
    """Outcomes that are final at once, then those that a carrier gave an id."""
    count = scale.size(COUNT, CHUNK)
    for with_ids in (False, True):
        ours, bare = [], []
        for _ in range(scale.rounds):
            bare.append(_run("bare", count, with_ids))
            ours.append(_run("store", count, with_ids))
        cost, least = (median([one["cpu"] / count * 1e6 for one in of]) for of in (ours, bare))
        plan = median([one["plan"] / count * 1e6 for one in ours])
        yield Finding(
            f"store, {'with carrier ids' if with_ids else 'final outcomes'}",
            f"{number(cost)} s CPU a million to claim and complete ({number(plan)} s to plan)",
            f"{number(least)} s: SQLite alone, two range updates and a commit for each chunk",
            f"{cost / least:.1f} x",
            (Target(cost, CPU_PER_MILLION, "s CPU a million", at_least=False),),
            (f"{count:,} deliveries, chunks of {CHUNK}, flushes of {FLUSH}, {WORKERS} workers, synchronous=FULL",),
        )


def _run(what: str, count: int, with_ids: bool) -> dict[str, Any]:
    with folder() as place, running(python("benchmarks.store", what, place / "store.db", count, int(with_ids))) as one:
        return one.answer()


async def through_store(path: Path, work: Work) -> dict[str, float]:
    """Plan, then claim and complete everything."""
    store = await SqliteStore.open(path)
    campaign = await filled(store, work)
    began = cpu()
    await planned(store, campaign, work)
    ready = cpu()
    await completed(store, work)
    done = cpu()
    await store.close()
    return {"plan": ready - began, "cpu": done - ready}


def bare(path: Path, work: Work) -> dict[str, float]:
    """The least that claims and completes: a chunk's range set to sending, then to its outcome; durable each time."""
    count = work.count
    connection = connect(path)
    columns = "id INTEGER PRIMARY KEY, status, last_error, attempts_left, tries, due_at, destination, dial, text"
    connection.execute(f"CREATE TABLE d ({columns})")
    connection.execute("CREATE TABLE h (id INTEGER PRIMARY KEY, carrier_id TEXT UNIQUE, delivery)")
    connection.execute("BEGIN")
    rows = ((n, 1, 0, 3, 0, 0, f"+1416{n:07d}", f"+1416{n:07d}", None) for n in range(count))
    connection.executemany("INSERT INTO d VALUES (?,?,?,?,?,?,?,?,?)", rows)
    connection.execute("COMMIT")
    began = cpu()
    for first in range(0, count, CHUNK):
        span = (first, min(first + CHUNK, count) - 1)
        connection.execute("BEGIN")
        connection.execute("UPDATE d SET status = 2 WHERE id BETWEEN ? AND ?", span)
        connection.execute("COMMIT")
        connection.execute("BEGIN")
        done = "UPDATE d SET status = 4, tries = tries + 1, attempts_left = attempts_left - 1 WHERE id BETWEEN ? AND ?"
        connection.execute(done, span)
        if work.with_ids:
            ids = [(f"{n:x}", n) for n in range(span[0], span[1] + 1)]
            connection.executemany("INSERT INTO h (carrier_id, delivery) VALUES (?, ?)", ids)
        connection.execute("COMMIT")
    return {"cpu": cpu() - began}


def main() -> None:
    """`python -m benchmarks.store store|bare FILE COUNT IDS`; says one line of JSON."""
    configure_logging("warning", "json")
    what, path, work = sys.argv[1], Path(sys.argv[2]), Work(int(sys.argv[3]), sys.argv[4] == "1")
    found = uvloop.run(through_store(path, work)) if what == "store" else bare(path, work)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
