"""Owns the tables of what is told of campaigns: what happened, events with their numbers, counts, and who was told.

Must not hold statements.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Identity, Integer, SmallInteger, Table, Text

from campana.storage.tables import metadata


def _what_is_told() -> list[Column[Any]]:
    """The columns that happenings and events share."""
    return [
        Column("at", BigInteger, nullable=False),
        Column("kind", SmallInteger, nullable=False),
        Column("medium", SmallInteger),
        Column("was", SmallInteger),
        Column("status", SmallInteger),
        Column("code", SmallInteger),
        Column("first", BigInteger),
        Column("last", BigInteger),
        Column("ids", Text),
        Column("size", Integer, nullable=False),
        Column("body", Text),
    ]


happenings = Table(
    "happenings",
    metadata,
    Column("campaign", BigInteger, primary_key=True, autoincrement=False),
    Column("id", BigInteger, Identity(), primary_key=True),
    *_what_is_told(),
    sqlite_with_rowid=False,
)
"""What a transaction did to a campaign, written by it and waiting to be counted and numbered: one row for all
deliveries that moved alike (all of first..last, or the `ids`, a JSON list in rising order). Ids rise with what
happened to each delivery; on SQLite, which has one writer, it counts in each campaign."""

events = Table(
    "events",
    metadata,
    Column("campaign", BigInteger, primary_key=True, autoincrement=False),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    *_what_is_told(),
    sqlite_with_rowid=False,
)
"""What is told: a row stands for `size` events, the first of which has this `number`; the next row's follows without a
gap."""

progress = Table(
    "progress",
    metadata,
    Column("campaign", BigInteger, primary_key=True, autoincrement=False),
    Column("number", BigInteger, nullable=False),
    Column("contacts", BigInteger, nullable=False),
    Column("tallies", Text, nullable=False),
    Column("started_at", BigInteger),
    Column("finished_at", BigInteger),
    Column("is_open", SmallInteger, nullable=False),
    Column("counted_at", BigInteger, nullable=False),
    Column("is_uncounted", SmallInteger, nullable=False),
    Column("audited_at", BigInteger, nullable=False),
)
"""How a campaign stands, as of the last of its happenings that was counted: the number of the last event, how many
contacts it has, and as JSON a list of counts by status for each medium. `is_open` is whether its window was last told
to be open; `counted_at` is when counts were last told, and `is_uncounted` whether they have changed since."""

strays = Table(
    "strays",
    metadata,
    Column("campaign", BigInteger, primary_key=True, autoincrement=False),
    Column("delivery", BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)
"""Deliveries of contacts that were deleted while they were being sent: what becomes of them is counted no more."""

publications = Table(
    "publications",
    metadata,
    Column("campaign", BigInteger, primary_key=True, autoincrement=False),
    Column("endpoint", Text, nullable=False),
    Column("sent", BigInteger, nullable=False),
    Column("offered", BigInteger, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("failing_since", BigInteger),
    Column("next_at", BigInteger, nullable=False),
    Column("stopped_at", BigInteger),
    Column("last_success_at", BigInteger),
    Column("last_error_at", BigInteger),
    Column("last_error", Text),
)
"""How far the endpoint of a campaign has been told: all events up to number `sent`. Those up to `offered`, where that
is more, are one batch that was on its way and may have arrived: it goes again as it was."""
