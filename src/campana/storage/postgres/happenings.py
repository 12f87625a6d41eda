"""Owns how happenings are written on PostgreSQL, by the transaction or statement that makes them true.

Must not know what they come to. A number is drawn once the deliveries are held, so that numbers rise with what happened
to each.
"""

from __future__ import annotations

from collections.abc import Sequence

from campana.domain.delivery import Status
from campana.domain.progress import EventKind
from campana.storage.happenings import COUNTED, HappeningColumns
from campana.storage.postgres.database import Connection, execute
from campana.storage.tables import CONTACT_BITS, MEDIUM_BITS

INTO_HAPPENINGS = "INSERT INTO happenings (campaign, at, kind, medium, was, status, code, first, last, ids, size, body)"
_TYPES = (
    "bigint",
    "bigint",
    "smallint",
    "smallint",
    "smallint",
    "smallint",
    "smallint",
    "bigint",
    "bigint",
    "text",
    "integer",
    "text",
)


def _campaign_of(delivery: str) -> str:
    return f"{delivery} >> {CONTACT_BITS + MEDIUM_BITS}"


def _medium_of(delivery: str) -> str:
    return f"{delivery} >> {CONTACT_BITS} & {(1 << MEDIUM_BITS) - 1}"


def unnested(first: int) -> str:
    """SQL that takes happenings apart which are given as one array a column, from the parameter `$first` on."""
    return ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(_TYPES, first))


_ADD = f"{INTO_HAPPENINGS} SELECT * FROM unnest({unnested(1)})"


def run_happened(bounds: tuple[str, str], at: str, status: str, code: str) -> str:
    """SQL of the part of a statement that writes down what became of `moved` (id), all or some of a run that was
    *sending*.

    The ids are listed where some had been withdrawn.
    """
    first, last = bounds
    return f"""happened AS (
  {INTO_HAPPENINGS}
  SELECT {_campaign_of(first)}, {at}, {EventKind.STATUS_CHANGED:d}, {_medium_of(first)}, {Status.SENDING:d}, {status},
    {code}, {first}, {last}, CASE WHEN size <= {last} - {first}
      THEN (SELECT json_agg(id)::text FROM (SELECT id FROM moved ORDER BY id) AS each) END, size, NULL
  FROM (SELECT count(*) AS size FROM moved) AS run WHERE size > 0
)"""


def each_happened(moved: str, at: str, was: str, status: str) -> str:
    """SQL that writes down what became of `moved` (id, last_error, and what `was` and `status` name) of one lane, a
    happening for all that moved alike."""
    return f"""{INTO_HAPPENINGS}
  SELECT {_campaign_of("first")}, {at}, {EventKind.STATUS_CHANGED:d}, {_medium_of("first")}, was, status, code, first,
    last, CASE WHEN size <= last - first THEN array_to_json(ids)::text END, size, NULL
  FROM (
    SELECT {was} AS was, {status} AS status, last_error AS code, count(*) AS size, min(id) AS first, max(id) AS last,
      array_agg(id ORDER BY id) AS ids
    FROM {moved} GROUP BY 1, 2, 3
  ) AS alike"""


CLAIMED = f"""happened AS (
  {INTO_HAPPENINGS}
  SELECT next.campaign, $1::bigint, {EventKind.STATUS_CHANGED:d}, next.medium, {Status.PENDING:d}, {Status.SENDING:d},
    0, next.first, next.last, CASE WHEN found.size <= next.last - next.first THEN array_to_json(found.ids)::text END,
    found.size, NULL
  FROM next, found WHERE found.size > 0 AND found.tried = 0
), happened_again AS (
  {INTO_HAPPENINGS}
  SELECT next.campaign, $1::bigint, {EventKind.STATUS_CHANGED:d}, next.medium,
    CASE WHEN code = 0 THEN {Status.PENDING:d} ELSE {Status.WAITING_FOR_RETRY:d} END, {Status.SENDING:d},
    code, alike.first, alike.last,
    CASE WHEN alike.size <= alike.last - alike.first THEN array_to_json(alike.ids)::text END, alike.size, NULL
  FROM next, (
    SELECT last_error AS code, count(*) AS size, min(id) AS first, max(id) AS last, array_agg(id) AS ids
    FROM taken WHERE (SELECT tried FROM found) > 0 GROUP BY 1
  ) AS alike
)"""
"""SQL of the part of a claim that writes down what it `found` (size, ids, how many were `tried`) of a chunk (`next`):
what has no error behind it was pending, and the others waited to go again."""


CAME = f"""came AS (
  {INTO_HAPPENINGS}
  SELECT campaign, $1::bigint, {COUNTED}, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0,
    '{{"shapes":' || json_object_agg(shape, size)::text || '}}'
  FROM (
    SELECT j.campaign, j.shape, count(*) AS size FROM added JOIN wanted AS j USING (id) GROUP BY 1, 2
  ) AS alike GROUP BY campaign
)"""
"""SQL of the part of a statement that writes down which of the contacts that were `wanted` (id, campaign, shape) were
`added` (id)."""


def happening_columns(rows: Sequence[HappeningColumns]) -> list[Sequence[int | str | None]]:
    """Happenings as one list a column."""
    return list(zip(*rows, strict=True)) if rows else [()] * len(_TYPES)


async def happen(connection: Connection, rows: Sequence[HappeningColumns]) -> None:
    """Write down what a transaction did, in this order."""
    if rows:
        await execute(connection, _ADD, *happening_columns(rows))
