"""Owns the part of the store contract for imports: long lists of contacts that are added batch by batch, each with how
far the list has come.

Must not know which database it is, nor how a list is read. Instants are epoch milliseconds. Every method that changes
something is durable when it returns, and may raise StoreUnavailable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

import msgspec

from campana.domain.delivery import Medium

REFUSALS_KEPT = 10_000
"""Refused rows of an import that are kept, the first ones. All are counted."""


class ImportState(StrEnum):
    """How an import is."""

    READING = "reading"
    """It is being read, or was when its process ended."""
    DONE = "done"
    CUT_OFF = "cut_off"
    """Its client went away before the end."""
    FAILED = "failed"
    """What comes after `rows_read` cannot be read, or may not be added."""


class Refusal(msgspec.Struct, frozen=True):
    """A row that was not taken. It holds no value of the row."""

    row: int
    """Counted from 1; a header does not count."""
    column: str | None
    code: int
    """A MethodCode."""
    rule: str


@dataclass(frozen=True, slots=True)
class ImportRow:
    """An import as it stands."""

    id: str
    account: int
    user: int
    """User number of who asked for it."""
    campaign: int
    key: bytes | None
    """SHA-256 of what an Idempotency-Key stands for."""
    options: str
    """How the list is to be read, as JSON."""
    state: ImportState
    started_at: int
    changed_at: int
    rows_read: int = 0
    accepted: int = 0
    refused: int = 0
    digest: bytes = bytes(32)
    """Stands for the rows that were read."""
    problem: str | None = None
    """Why it failed: a code and a sentence."""


@dataclass(frozen=True, slots=True)
class MediumColumns:
    """One medium of the contacts of a batch: a value for each, None for one that it does not reach."""

    medium: Medium
    dials: Sequence[str | None]
    """As they are dialled. One without may still bring a text."""
    attempts: int
    """Of all that have a dial, where `each` is None."""
    each: Sequence[tuple[str, str | None, int] | None] | None = None
    """Destination as given, text, attempts left. None: all are given as they are dialled, and without texts."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of a list that were read and checked: contacts column by column, and what was refused."""

    after: int
    """Rows that were read before it."""
    rows_read: int
    """Rows that have been read with it."""
    digest: bytes
    """Stands for all of those."""
    rows: Sequence[int] = ()
    """The row of each contact."""
    guids: Sequence[str] = ()
    are_ours: bool = False
    """All guids were made here, so that none is in use."""
    names: Sequence[str | None] = ()
    references: Sequence[str | None] = ()
    fields: Sequence[str] = ()
    """As JSON."""
    media: Sequence[MediumColumns] = ()
    refusals: Sequence[Refusal] = field(default_factory=list)
    """Those that are to be kept ..."""
    refused: int = 0
    """... of so many."""


class Overtaken(Exception):
    """Somebody else goes on with the same import, or it has ended."""


class Imports(Protocol):
    """Imports of contacts."""

    async def begin(self, new: ImportRow) -> ImportRow:
        """Keep an import; where there is one with its key already, that one."""

    async def find(self, account: int, id: str) -> ImportRow | None: ...

    async def find_key(self, key: bytes) -> ImportRow | None: ...

    async def of_campaign(self, campaign: int, before: tuple[int, str] | None, limit: int) -> list[ImportRow]:
        """Imports into a campaign, the latest first; those that come after one, named by when it started and its id."""

    async def resume(self, id: str, rows_read: int, at: int) -> None:
        """Go on with an import that did not end well, from where it stands. Raises Overtaken."""

    async def add_batch(self, id: str, campaign: int, batch: Batch, at: int) -> list[int]:
        """Add a batch's contacts and move the import on to its end, in one transaction.

        The rows whose guid was in use; they count as refused, and are among those kept. Raises Overtaken where the
        import does not stand at the batch's beginning, and LookupError where the campaign is gone or was cancelled.
        """

    async def end(self, id: str, rows_read: int, state: ImportState, problem: str | None, at: int) -> None:
        """Say how an import ended that has come so far. Does nothing where somebody else has gone on with it."""

    async def refusals(self, id: str, after: int, limit: int) -> list[Refusal]:
        """Refused rows after one, in their order."""
