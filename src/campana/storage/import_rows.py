"""Owns how imports are written into their rows and read from them, and what a batch comes to, on any database.

Must not know which database it is, nor hold statements.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict
from typing import Any

from campana.domain.delivery import Status
from campana.domain.errors import METHOD_CODE_MEANING, MethodCode
from campana.storage.happenings import shape_of
from campana.storage.imports import Batch, ImportRow, ImportState, MediumColumns, Refusal

LATEST = (1 << 62, "ffffffff-ffff-ffff-ffff-ffffffffffff")
"""Before every import there is."""


def import_row(columns: Iterable[Any]) -> ImportRow:
    """Make an ImportRow of its columns."""
    id_, account, user, campaign, key, options, state, *rest = columns
    return ImportRow(
        str(id_), account, user, campaign, None if key is None else bytes(key), options, ImportState(state), *rest
    )


def import_columns(row: ImportRow) -> dict[str, Any]:
    """An import as it is written."""
    return asdict(row) | {"state": row.state.value}


def taken(row: int) -> Refusal:
    """A row whose guid is in use."""
    code = MethodCode.CONTACT_ALREADY_EXISTS
    return Refusal(row, "id", int(code), METHOD_CODE_MEANING[code])


def shapes_of(batch: Batch, left_out: Collection[int] = ()) -> Counter[int]:
    """How many contacts of a batch have which statuses, but for those at some places."""
    bits: list[Sequence[int]] = []
    for column in batch.media:
        pending = shape_of([(column.medium, Status.PENDING)])
        bits.append([0 if dial is None else pending for dial in column.dials])
    shapes = [sum(one) for one in zip(*bits, strict=True)] if bits else [0] * len(batch.guids)
    counts = Counter(shapes)
    counts.subtract(shapes[place] for place in left_out)
    return +counts


def without(column: MediumColumns, left_out: Collection[int]) -> MediumColumns:
    """A medium without the contacts at some places, which are to have no delivery."""
    if not left_out:
        return column
    gone = set(left_out)
    dials = [None if place in gone else dial for place, dial in enumerate(column.dials)]
    each = None
    if column.each is not None:
        each = [None if place in gone else one for place, one in enumerate(column.each)]
    return MediumColumns(column.medium, dials, column.attempts, each)
