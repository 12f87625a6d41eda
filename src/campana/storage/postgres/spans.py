"""Owns the deliveries of a chunk, a run of ids or a list, and how one statement is written for both.

Must not know what a statement does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import msgspec

from campana.storage.postgres.database import Connection, execute

_encode = msgspec.json.Encoder().encode
_decode_ids = msgspec.json.Decoder(list[int]).decode


@dataclass(frozen=True, slots=True)
class Pair:
    """A statement for a run of ids and for a list of ids. Its own parameters count from `$3`."""

    of_run: str
    of_list: str

    @classmethod
    def of(cls, statement: str) -> Pair:
        """Of a statement with `{where}` where the ids are compared."""
        # The list's second parameter is there so that both count alike.
        in_list = "id = ANY($1::bigint[]) AND id <= $2::bigint"
        return cls(statement.format(where="id BETWEEN $1 AND $2"), statement.format(where=in_list))


@dataclass(frozen=True, slots=True)
class Span:
    """The deliveries of a chunk: all of first..last, or the listed ids in rising order."""

    first: int
    last: int
    ids: Sequence[int] | None

    @classmethod
    def of(cls, ids: Sequence[int]) -> Span:
        """Of rising ids: as a run where there is no gap, else as a list."""
        gapless = ids[-1] - ids[0] == len(ids) - 1
        return cls(ids[0], ids[-1], None if gapless else ids)

    @classmethod
    def stored(cls, first: int, last: int, ids: str | None) -> Span:
        """Of a chunk's columns."""
        return cls(first, last, None if ids is None else _decode_ids(ids))

    @property
    def stored_ids(self) -> str | None:
        """The chunk's column `ids`."""
        return None if self.ids is None else _encode(self.ids).decode()

    def every(self) -> Sequence[int]:
        """Its ids, those of a run included that have no delivery."""
        return range(self.first, self.last + 1) if self.ids is None else self.ids

    async def fetch(self, connection: Connection, pair: Pair, *more: Any) -> list[asyncpg.Record]:
        """The rows of the statement that fits."""
        statement, *where = self._fitting(pair)
        return await connection.fetch(statement, *where, *more)

    async def execute(self, connection: Connection, pair: Pair, *more: Any) -> int:
        """Execute the statement that fits; how many rows it touched."""
        statement, *where = self._fitting(pair)
        return await execute(connection, statement, *where, *more)

    def _fitting(self, pair: Pair) -> tuple[Any, ...]:
        if self.ids is None:
            return pair.of_run, self.first, self.last
        return pair.of_list, self.ids, self.last


def stored_list(ids: Sequence[int]) -> str:
    """Ids as a chunk's column, even where there is no gap between them."""
    return _encode(ids).decode()
