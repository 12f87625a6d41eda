"""Owns how happenings are written on SQLite, by the transaction that makes them true.

Must not know what they come to.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from campana.storage.happenings import HappeningColumns

# Its only key is its place behind the campaign's others: one page more to write a commit, not two.
_ADD = """
INSERT INTO happenings (campaign, id, at, kind, medium, was, status, code, first, last, ids, size, body)
VALUES (?1, (SELECT coalesce(max(id), 0) + 1 FROM happenings WHERE campaign = ?1), ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10,
  ?11, ?12)
"""


def happen(connection: sqlite3.Connection, rows: Sequence[HappeningColumns]) -> None:
    """Write down what a transaction did, in this order."""
    if len(rows) == 1:
        connection.execute(_ADD, rows[0])
    elif rows:
        connection.executemany(_ADD, rows)
