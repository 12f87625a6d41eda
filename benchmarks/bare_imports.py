"""Owns the ceiling of imports: a loop that reads the same list and writes the same rows with the driver, by no rules.

Must not know Campana's services. `python -m benchmarks.bare_imports URL CAMPAIGN FILE` says the seconds that it took.
"""

from __future__ import annotations

import asyncio
import csv
import json
import sys
import time
import uuid
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import asyncpg
import uvloop

from benchmarks.stores import file_of, is_file
from campana.domain.delivery import Medium
from campana.services.imports import ROWS_IN_A_BATCH
from campana.storage.sqlite.database import connect
from campana.storage.tables import contact_id, delivery_id

_CONTACTS = ("id", "campaign", "guid", "created_at", "name", "reference", "fields")
_DELIVERIES = ("id", "status", "last_error", "attempts_left", "tries", "due_at", "destination", "dial")


def _batches(path: str) -> Iterator[list[list[str]]]:
    with open(path, newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        next(rows)
        while batch := list(islice(rows, ROWS_IN_A_BATCH)):
            yield batch


def _rows(campaign: int, first: int, batch: list[list[str]], guid: Any) -> tuple[list[Any], list[Any]]:
    contacts, deliveries = [], []
    for number, (name, reference, sms, city, amount) in enumerate(batch, first):
        fields = json.dumps({"City": city, "Amount": amount})
        contacts.append((contact_id(campaign, number), campaign, guid(number), 0, name, reference, fields))
        deliveries.append((delivery_id(campaign, Medium.SMS, number), 1, 0, 3, 0, 0, sms, sms))
    return contacts, deliveries


def _sqlite(path: Path, campaign: int, file: str) -> None:
    connection = connect(path)
    into = [
        f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
        for table, names in (("contacts", _CONTACTS), ("deliveries", _DELIVERIES))
    ]
    first = 1
    for batch in _batches(file):
        connection.execute("BEGIN IMMEDIATE")
        for statement, rows in zip(into, _rows(campaign, first, batch, lambda n: str(uuid.UUID(int=n))), strict=True):
            connection.executemany(statement, rows)
        connection.execute("UPDATE campaigns SET contacts = contacts + ? WHERE number = ?", (len(batch), campaign))
        connection.execute("COMMIT")
        first += len(batch)
    connection.close()


async def _postgresql(url: str, campaign: int, file: str) -> None:
    connection = await asyncpg.connect(url)
    first = 1
    for batch in _batches(file):
        contacts, deliveries = _rows(campaign, first, batch, lambda n: uuid.UUID(int=n))
        async with connection.transaction():
            await connection.copy_records_to_table("contacts", records=contacts, columns=_CONTACTS)
            await connection.copy_records_to_table("deliveries", records=deliveries, columns=_DELIVERIES)
            await connection.execute(
                "UPDATE campaigns SET contacts = contacts + $1 WHERE number = $2", len(batch), campaign
            )
        first += len(batch)
    await connection.close()


def main() -> None:
    """Write a list and say how long it took."""
    url, campaign, file = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    began = time.perf_counter()
    if is_file(url):
        _sqlite(file_of(url), campaign, file)
    else:
        uvloop.install()
        asyncio.run(_postgresql(url, campaign, file))
    print(json.dumps({"seconds": time.perf_counter() - began}), flush=True)


if __name__ == "__main__":
    main()
