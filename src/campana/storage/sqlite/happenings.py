"""Owns how happenings are written on SQLite, by the transaction that makes them true.

Must not know what they come to.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from campana.storage.happenings import HappeningColumns

_ADD = """
INSERT INTO happenings (campaign, at, kind, medium, was, status, code, first, last, ids, size, body)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""


def happen(connection: sqlite3.Connection, rows: Sequence[HappeningColumns]) -> None:
    """Write down what a transaction did, in this order."""
    if len(rows) == 1:
        connection.execute(_ADD, rows[0])
    elif rows:
        connection.executemany(_ADD, rows)
