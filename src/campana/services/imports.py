"""Owns what may be asked about lists of contacts: adding one, going on where it broke off, and how it stands.

Must not know how a list is written (importing/), how a door takes it in, nor how it is stored.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from campana.bus.contract import Hint, News
from campana.domain.errors import MethodCode, MethodError
from campana.domain.ids import UUID7_RANDOM_BYTES, uuid7, uuid7_run
from campana.services.access import Action, find_campaign, sees
from campana.services.campaigns import Ends
from campana.services.contacts import ContactOptions
from campana.services.importing.accepted import Checked
from campana.services.importing.checking import Checker
from campana.services.importing.reading import ListOptions, ListReader
from campana.services.importing.records import Row, Unreadable
from campana.services.importing.single import Terms
from campana.services.merging import Texts
from campana.services.principal import Principal
from campana.services.tools import Tools
from campana.storage.imports import REFUSALS_KEPT, Batch, ImportRow, Imports, ImportState, Overtaken, Refusal
from campana.storage.store import CampaignRow, Campaigns

ROWS_AT_ONCE = 250
"""Rows that are checked before others get their turn, some 3 ms: the writing of the batch before needs several."""
ROWS_IN_A_BATCH = 5_000
"""Rows that share a transaction: some 100 ms."""
BYTES_IN_A_BATCH = 8 * 1024 * 1024
"""However few rows they are: each may bring an email's text."""
PIECE = 16 * 1024
"""Bytes that are read at once."""
PATIENCE = 4
"""What comes of an unfinished row is gathered until it is this part of what there is of it."""
_FULL = "The campaign has as many contacts as it may have."


class CutOff(Exception):
    """Whoever sends a list went away before its end."""


@dataclass(frozen=True, slots=True)
class ImportReport:
    """An import as it stands, and the id of its campaign."""

    row: ImportRow
    campaign: str
    was_done: bool = False
    """It had been carried out before it was asked for."""


class ImportService:
    """Imports into campaigns that whoever asks may see. Used from one event loop."""

    def __init__(
        self, campaigns: Campaigns, imports: Imports, tools: Tools, options: ContactOptions, ends: Ends
    ) -> None:
        self.campaigns = campaigns
        self.imports = imports
        self.tools = tools
        self.options = options
        self.ends = ends
        self.texts = Texts()

    async def add(
        self, who: Principal, campaign_guid: str, options: ListOptions, key: str | None, parts: AsyncIterator[bytes]
    ) -> ImportReport:
        """Add the contacts of a list, batch by batch, each durable with how far the list has come; the report.

        With the `key` of an import that broke off, and the same list, it goes on where that stands and adds nothing
        twice; of one that was carried out, the report is given again. Raises, in this order, 10 CampaignNotFound,
        3 AccessDenied, 24 AddingContactsNotAllowed, 13 CampaignEnded, 42 where the list cannot be taken as it is, 44
        where the key stands for another list or somebody else goes on with it. What goes wrong later is in the
        report, and what was added stays. `parts` may raise CutOff, which comes through.

        Who asks is asked once, at the beginning: a session that is closed meanwhile ends no import.
        """
        row = await find_campaign(self.campaigns, who, campaign_guid, Action.ADD_CONTACT)
        if who.agent and not row.campaign.allow_external_contacts:
            raise MethodError(MethodCode.ADDING_CONTACTS_NOT_ALLOWED)
        hashed = None if key is None else _hashed(row, key)
        found = None if hashed is None else await self.imports.find_key(hashed)
        if found is None or found.state is not ImportState.DONE:
            _demand_open(self, row)
        now = self.tools.clock()
        new = ImportRow(
            id=uuid7(now, secrets.token_bytes(UUID7_RANDOM_BYTES)),
            account=who.account.number,
            user=who.user.number,
            campaign=row.number,
            key=hashed,
            options=options.as_json(),
            state=ImportState.READING,
            started_at=now,
            changed_at=now,
        )
        course = Course(self, who.account.region, row, ListReader(options), new)
        kept = await course.run(parts)
        return ImportReport(kept, campaign_guid, was_done=course.was_done)

    async def get(self, who: Principal, id: str) -> ImportReport:
        """An import. Raises 40 NotFound."""
        row = await self.imports.find(who.account.number, id)
        campaign = None if row is None else await self.campaigns.find_number(row.campaign)
        if row is None or campaign is None or campaign.deleted_at is not None or not sees(who, campaign):
            raise MethodError(MethodCode.NOT_FOUND, "There is no such import.")
        return ImportReport(row, campaign.campaign.guid)

    async def of_campaign(
        self, who: Principal, campaign_guid: str, before: tuple[int, str] | None, limit: int
    ) -> list[ImportReport]:
        """The imports into a campaign, the latest first, after one named by when it started and its id. Raises 10."""
        row = await find_campaign(self.campaigns, who, campaign_guid, Action.SEE)
        found = await self.imports.of_campaign(row.number, before, limit)
        return [ImportReport(one, campaign_guid) for one in found]

    async def refusals(self, who: Principal, id: str, after: int, limit: int) -> list[Refusal]:
        """Rows of an import that were refused, after one; the first ones of many alone are kept. Raises 40."""
        report = await self.get(who, id)
        return await self.imports.refusals(report.row.id, after, limit)


class Course:
    """One list on its way in."""

    def __init__(
        self, service: ImportService, region: str, campaign: CampaignRow, reader: ListReader, new: ImportRow
    ) -> None:
        self._service = service
        self._region = region
        self._campaign = campaign
        self._reader = reader
        self._import = new
        self._is_kept = False
        self.was_done = False
        self._checker: tuple[int, Checker] | None = None
        """With the version of the campaign to which it holds."""
        self._gathered = Checked()
        self._gathered_of: list[Row] = []
        """The rows of which they are."""
        self._bytes = 0
        """Bytes that were read since something was last handed over."""
        self._rows_read = 0
        self._flushed = 0
        """Rows that were handed over to be written."""
        self._written = 0
        """Rows that are on disk."""
        self._resume_at = 0
        self._writing: asyncio.Task[None] | None = None

    async def run(self, parts: AsyncIterator[bytes]) -> ImportRow:
        """Take the list in to its end; the import as it stands then."""
        try:
            return await self._read_all(parts)
        except Overtaken:
            said = "The import with this key is being carried out by another request."
            raise MethodError(MethodCode.IDEMPOTENCY_CONFLICT, said) from None
        finally:
            if self._writing is not None:
                # Nobody may hear of an end while something is still being written.
                await asyncio.gather(self._writing, return_exceptions=True)

    async def _read_all(self, parts: AsyncIterator[bytes]) -> ImportRow:
        try:
            problem = await self._read_to_the_end(parts)
            await self._flush()
            await self._finish_writing()
        except CutOff:
            await self._leave()
            raise
        except _Stopped as stopped:
            problem = str(stopped)
        if problem is None and self._rows_read < self._resume_at:
            raise _other_list()
        await self._keep()
        return await self._end(ImportState.DONE if problem is None else ImportState.FAILED, problem)

    async def _read_to_the_end(self, parts: AsyncIterator[bytes]) -> str | None:
        """Read the list; why no more of it can be read, if so."""
        try:
            held = b""
            async for octets in parts:
                held += octets
                # A row that comes a byte at a time would be read anew with each: so pieces grow with what waits.
                if len(held) * PATIENCE < self._reader.pending:
                    continue
                for start in range(0, len(held), PIECE):
                    await self._take(held[start : start + PIECE])
                held = b""
            await self._take(held)
            await self._take(b"", final=True)
        except Unreadable as error:
            if not self._is_kept:
                raise MethodError(MethodCode.INVALID_REQUEST, f"The list {error}") from None
            return f"Row {self._rows_read + 1} {error}"
        return None

    async def _leave(self) -> None:
        """Keep what was read of a list whose end will not come."""
        if not self._is_kept:
            return
        try:
            await self._flush()
            await self._finish_writing()
            await self._end(ImportState.CUT_OFF, None)
        except _Stopped as stopped:
            await self._end(ImportState.FAILED, str(stopped))

    async def _take(self, octets: bytes, *, final: bool = False) -> None:
        """Take a piece of the list."""
        rows: list[Row] = []
        self._bytes += len(octets)
        try:
            for row in self._reader.feed(octets, final=final):
                rows.append(row)
                if len(rows) == ROWS_AT_ONCE:
                    await self._check(rows)
                    rows = []
        except Unreadable:
            await self._check(rows)
            raise
        await self._check(rows)

    async def _check(self, rows: Sequence[Row]) -> None:
        """Check rows, and have them written once they are many."""
        if not rows:
            return
        await self._keep()
        rows = self._pass_over(rows)
        if not rows:
            return
        checker = self._current_checker()
        self._gathered.add(checker.check(rows, self._rows_read + 1), checker.attempts)
        self._gathered_of += rows
        self._reader.count_in(rows)
        self._rows_read += len(rows)
        if self._rows_read - self._flushed >= ROWS_IN_A_BATCH or self._bytes >= BYTES_IN_A_BATCH:
            self._bytes = 0
            await self._flush()
        else:
            await asyncio.sleep(0)

    async def _keep(self) -> None:
        """Keep the import before its first row, or find the one to go on with."""
        if self._is_kept:
            return
        service, new = self._service, self._import
        kept = await service.imports.begin(new)
        self._is_kept = True
        if kept.id == new.id:
            return
        if kept.options != new.options:
            said = "The key stands for a list that was to be read in another way."
            raise MethodError(MethodCode.IDEMPOTENCY_CONFLICT, said)
        self._import = kept
        self._resume_at = self._flushed = self._written = kept.rows_read
        self.was_done = kept.state is ImportState.DONE
        if not self.was_done:
            await service.imports.resume(kept.id, kept.rows_read, service.tools.clock())

    def _pass_over(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Leave out what was read before, once it is known to be the same."""
        known = self._resume_at - self._rows_read
        if known > 0:
            passed, rows = rows[:known], rows[known:]
            self._reader.count_in(passed)
            self._rows_read += len(passed)
            if self._rows_read == self._resume_at:
                self._demand_same()
        if rows and self.was_done:
            raise _other_list()
        return rows

    def _demand_same(self) -> None:
        if self._reader.digest != self._import.digest:
            raise _other_list()

    def _current_checker(self) -> Checker:
        row = self._campaign
        if self._checker is None or self._checker[0] != row.version:
            service = self._service
            terms = Terms(row.campaign, service.texts.of(row), self._region, service.options.default_attempts)
            self._checker = (row.version, Checker(terms, self._reader.layout, self._reader.roles))
        return self._checker[1]

    async def _flush(self) -> None:
        """Have written what was gathered; it is written while the next rows are read, but after what was before it."""
        await self._finish_writing()
        if self._rows_read <= self._flushed:
            return
        service = self._service
        row = await service.campaigns.find_number(self._campaign.number)
        if row is None or row.deleted_at is not None:
            raise _Stopped("The campaign was deleted.")
        try:
            _demand_open(service, row)
        except MethodError as error:
            raise _Stopped(error.sentence) from None
        if row.version != self._campaign.version:
            self._campaign = row
            await self._check_again()
        self._campaign = row
        gathered, self._gathered = self._gathered, Checked()
        self._gathered_of = []
        most = service.options.most_per_campaign
        if most and row.contacts + len(gathered.rows) > most:
            gathered.limit(max(0, most - row.contacts), _FULL)
        batch = self._batch(gathered)
        self._flushed = self._rows_read
        self._writing = asyncio.create_task(self._write(batch))

    async def _check_again(self) -> None:
        """Check what was gathered by what the campaign is now: a slow list may have been gathered for long."""
        checker, self._gathered = self._current_checker(), Checked()
        for start in range(0, len(self._gathered_of), ROWS_AT_ONCE):
            rows = self._gathered_of[start : start + ROWS_AT_ONCE]
            self._gathered.add(checker.check(rows, self._flushed + start + 1), checker.attempts)
            await asyncio.sleep(0)

    async def _finish_writing(self) -> None:
        if self._writing is not None:
            writing, self._writing = self._writing, None
            await writing

    def _batch(self, gathered: Checked) -> Batch:
        assert self._checker is not None
        refusals = sorted(gathered.refusals, key=_row)
        guids, blank = gathered.guids, gathered.guids.count("")
        made = iter(uuid7_run(self._service.tools.clock(), secrets.token_bytes(UUID7_RANDOM_BYTES), blank))
        return Batch(
            after=self._flushed,
            rows_read=self._rows_read,
            digest=self._reader.digest,
            rows=gathered.rows,
            guids=[guid or next(made) for guid in guids],
            are_ours=blank == len(guids),
            names=gathered.names,
            references=gathered.references,
            fields=gathered.fields,
            media=gathered.columns(self._checker[1].attempts),
            refusals=refusals[:REFUSALS_KEPT],
            refused=len(refusals),
        )

    async def _write(self, batch: Batch) -> None:
        service, number = self._service, self._campaign.number
        try:
            await service.imports.add_batch(self._import.id, number, batch, service.tools.clock())
        except LookupError:
            raise _Stopped("The campaign was deleted or cancelled.") from None
        self._written = batch.rows_read
        service.tools.bus.tell(Hint(News.CONTACTS, number))
        for column in batch.media:
            service.tools.metrics.contacts_accepted.add(column.medium, by=len(column.dials) - column.dials.count(None))

    async def _end(self, state: ImportState, problem: str | None) -> ImportRow:
        """Say how it ended; the import as it stands."""
        service, known = self._service, self._import
        if not self.was_done:
            await service.imports.end(known.id, self._written, state, problem, service.tools.clock())
        found = await service.imports.find(known.account, known.id)
        assert found is not None  # one is removed with its campaign, long after that was deleted
        return found


def _demand_open(service: ImportService, row: CampaignRow) -> None:
    """Raise 13 where nobody can be added any more."""
    if row.cancelled_at is not None or service.ends.has_ended(row, service.tools.clock()):
        raise MethodError(MethodCode.CAMPAIGN_ENDED)


class _Stopped(Exception):
    """No more of the list may be added. The sentence says why."""


def _other_list() -> MethodError:
    return MethodError(MethodCode.IDEMPOTENCY_CONFLICT, "The key stands for another list.")


def _hashed(row: CampaignRow, key: str) -> bytes:
    return hashlib.sha256(f"{row.account}\n{row.number}\n{key}".encode()).digest()


def _row(refusal: Refusal) -> int:
    return refusal.row
