"""Owns how many updates stay on their page in PostgreSQL (HOT), by the room that a page leaves for them.

Must not know what updates a row. Each delivery of the drain is claimed, recorded and reached by its receipt.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import asyncpg

from benchmarks import sms
from benchmarks.processes import python, running
from benchmarks.report import Finding, Scale, Target, number
from benchmarks.stores import Place, on_each

NAME = "hot"
COUNT = 50_000
OURS, OTHERS = 50, (45, 100)
"""Per cent of a page of deliveries that is filled at first: as Campana makes the table, and to compare."""
SHARE = 90.0
"""Per cent of the updates of deliveries."""
_READ = """
SELECT relname, n_tup_upd, n_tup_hot_upd, pg_table_size(relid), pg_indexes_size(relid) FROM pg_stat_user_tables
WHERE relname IN ('deliveries', 'attempts')
"""


def run(scale: Scale) -> Iterator[Finding]:
    """A drain with receipts for each way to fill pages."""
    scale = replace(scale, stores=("postgresql",))
    yield from on_each(NAME, scale, lambda scale, place: iter([_measure(scale, place)]))


def _measure(scale: Scale, place: Place) -> Finding:
    count = scale.size(COUNT)
    found = {fill: _drain(place, count, fill) for fill in (OURS, *OTHERS)}
    shares = {fill: one["deliveries"][1] / one["deliveries"][0] * 100 for fill, one in found.items()}
    best = max(shares.values())
    return Finding(
        NAME,
        f"{shares[OURS]:.1f} % of the updates of deliveries are HOT at fillfactor {OURS}",
        f"{best:.1f} %: the best of the fillfactors",
        f"{shares[OURS] / best * 100:.0f} %",
        (Target(shares[OURS], SHARE, "% of the updates"),),
        tuple(_line(fill, one, count) for fill, one in found.items()),
    )


def _line(fill: int, found: dict[str, Any], count: int) -> str:
    parts = (
        f"{table}: {hot / updates * 100:.1f} % HOT, {number(size / count)} + {number(indexes / count)} octets a message"
        for table, (updates, hot, size, indexes) in found.items()
    )
    return f"fillfactor {fill}: {'; '.join(parts)}"


def _drain(place: Place, count: int, fill: int) -> dict[str, Any]:
    found: dict[str, Any] = {}

    @contextmanager
    def filled_so() -> Iterator[str]:
        with place.fresh() as url:
            asyncio.run(_ask(url, f"ALTER TABLE deliveries SET (fillfactor = {fill})"))
            yield url
            found.update({row[0]: tuple(row)[1:] for row in asyncio.run(_ask(url, _READ))})

    with running(python("campana.sandbox", "smsc", "--sink", "--receipt-delay", sms.RECEIPT_SECONDS)) as sink:
        sms.drain(replace(place, fresh=filled_so), int(sink.line()), count, receipts=True)
    return found


async def _ask(url: str, statement: str) -> list[Any]:
    direct = await asyncpg.connect(url)
    try:
        rows: list[Any] = await direct.fetch(statement)
        return rows
    finally:
        await direct.close()
