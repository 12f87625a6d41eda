"""Owns imports as resources: sending a list of contacts, however long, and looking how it goes.

Must not know how a list is written, nor which rows become contacts.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from time import monotonic
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from campana.api.exchange import ClientGone
from campana.api.rest.cursors import read_cursor, write_cursor
from campana.api.rest.idempotency import REPLAYED, key_of
from campana.api.rest.operation import Answer, Call, Operations, Says
from campana.api.rest.shapes import Cursor, Id, Limit, Moment, Paging, moment
from campana.api.server import PACE_BYTES, UNHURRIED
from campana.domain.errors import MethodCode, MethodError
from campana.services.importing.columns import parse_map
from campana.services.importing.decoding import Encoding
from campana.services.importing.reading import Delimiter, Format, ListOptions
from campana.services.imports import CutOff, ImportReport
from campana.services.scopes import Scope

operation = Operations("Imports")

CSV, JSONL, NDJSON = "text/csv", "application/jsonl", "application/x-ndjson"
STALL_SECONDS = 60.0
"""So long a client may take for each PACE_BYTES before it counts as gone."""
DRAIN_BYTES = 16 * 1024 * 1024
"""So much of a list that is refused is read and thrown away, so that its sender can read why."""

_STATES = Literal["reading", "done", "cut_off", "failed"]
_CAMPAIGN = (MethodCode.CAMPAIGN_NOT_FOUND,)


class ImportShown(msgspec.Struct, frozen=True):
    """A list of contacts that was sent in one request, and how far it has come."""

    id: Id
    campaign: Id
    state: Annotated[
        _STATES,
        Meta(
            description="reading (also where its process ended; the same request goes on), done, cut_off (the client"
            " went away), failed (see problem)."
        ),
    ]
    started_at: Moment
    changed_at: Annotated[Moment, Meta(description="Of the last batch.")]
    rows_read: Annotated[int, Meta(ge=0, description="Rows that have been dealt with, durably; no header, no blanks.")]
    accepted: Annotated[int, Meta(ge=0, description="Rows that became contacts.")]
    refused: Annotated[int, Meta(ge=0, description="Rows that did not; a row in which nothing stands is neither.")]
    problem: Annotated[str | None, Meta(description="Why no more of it could be taken.")]


class ImportsPage(msgspec.Struct, frozen=True):
    """A page of imports."""

    items: list[ImportShown]
    next: Annotated[str | None, Meta(description="The cursor of the next page; null at the end.")]


class RefusalShown(msgspec.Struct, frozen=True):
    """A row that was not taken. No value of it is kept."""

    row: Annotated[int, Meta(ge=1, description="1 is the first after the header; blank lines do not count.")]
    column: Annotated[str | None, Meta(description="As the list calls it; null: the row as a whole.")]
    code: Annotated[int, Meta(description="22 and 25 as for a contact alone, 21, 30, or 42 for what is no row.")]
    rule: str


class RefusalsPage(msgspec.Struct, frozen=True):
    """A page of refused rows."""

    items: list[RefusalShown]
    next: Annotated[str | None, Meta(description="The cursor of the next page; null at the end.")]


class ImportQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """How a list is to be read."""

    delimiter: Annotated[
        Literal["auto", "comma", "semicolon", "tab"], Meta(description="Of CSV; auto: the header tells.")
    ] = "auto"
    encoding: Annotated[
        Literal["auto", "utf-8", "utf-16", "windows-1252"],
        Meta(description="auto: a byte order mark, UTF-8, or else Windows-1252 where that is certain."),
    ] = "auto"
    map: Annotated[
        str,
        Meta(
            max_length=4_000,
            description="COLUMN:FIELD, several with commas. A column is its name or #number; a field one of id, name,"
            " reference, fields, sms, voice, email, each of these with .text or .attempts, field.NAME, or - to leave"
            " it out.",
            examples=["Mobile:sms,Town:field.city,Notes:-"],
        ),
    ] = ""


class RefusalsQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Which page of refused rows is asked for."""

    limit: Limit = 100
    cursor: Cursor = ""


def shown(report: ImportReport) -> ImportShown:
    """An import for the client."""
    row = report.row
    return ImportShown(
        id=row.id,
        campaign=report.campaign,
        state=row.state.value,
        started_at=moment(row.started_at),
        changed_at=moment(row.changed_at),
        rows_read=row.rows_read,
        accepted=row.accepted,
        refused=row.refused,
        problem=row.problem,
    )


@operation(
    "POST",
    "/campaigns/{campaign}/imports",
    Says(
        scope=Scope.CONTACTS_WRITE,
        refuses=(
            *_CAMPAIGN,
            MethodCode.CAMPAIGN_ENDED,
            MethodCode.ADDING_CONTACTS_NOT_ALLOWED,
            MethodCode.INVALID_REQUEST,
            MethodCode.IDEMPOTENCY_CONFLICT,
        ),
        takes=(CSV, JSONL, NDJSON),
        streams_body=True,
        idempotent=False,
    ),
)
async def import_contacts(call: Call[None, ImportQuery]) -> Answer[ImportShown]:
    """Add the contacts of a list, of any length.

    CSV with a header (Fullname, externalRefNo, Phone for voice, SMS, Email; other columns become merge fields), or JSON
    Lines with an object a contact. Rows are added in batches, each durable with how far the list has come; rows that
    are refused are told apart and the others kept. With the same Idempotency-Key and the same list, an import that
    broke off goes on where it stands and adds nothing twice, and one that is done is answered again. The answer comes
    when the list was read to its end: look at its state.
    """
    options = _options(call)
    key = key_of(call) or None
    body = _Body(call)
    try:
        report = await call.services.imports.add(call.who, call.guid("campaign"), options, key, body.parts())
    except CutOff:
        raise ClientGone from None
    except MethodError:
        await body.drain()
        raise
    return Answer(shown(report), headers={REPLAYED: "true"} if report.was_done else {})


@operation("GET", "/campaigns/{campaign}/imports", Says(scope=Scope.CONTACTS_READ, refuses=_CAMPAIGN))
async def list_imports(call: Call[None, Paging]) -> Answer[ImportsPage]:
    """List a campaign's imports, the latest first."""
    kind = f"imports {call.path['campaign'].lower()}"
    before: Any = read_cursor(call.query.cursor, kind, int, str)
    found = await call.services.imports.of_campaign(call.who, call.guid("campaign"), before, call.query.limit)
    more = None
    if len(found) == call.query.limit:
        more = write_cursor(kind, found[-1].row.started_at, found[-1].row.id)
    return Answer(ImportsPage([shown(one) for one in found], more))


@operation("GET", "/imports/{import}", Says(scope=Scope.CONTACTS_READ))
async def get_import(call: Call[None, None]) -> Answer[ImportShown]:
    """Look how an import goes, also while it is being sent."""
    return Answer(shown(await call.services.imports.get(call.who, call.guid("import"))))


@operation("GET", "/imports/{import}/refusals", Says(scope=Scope.CONTACTS_READ))
async def list_refusals(call: Call[None, RefusalsQuery]) -> Answer[RefusalsPage]:
    """List the rows of an import that were refused, in their order.

    The first 10,000 of an import are kept; all are counted.
    """
    kind = f"refusals {call.path['import'].lower()}"
    (after,) = read_cursor(call.query.cursor, kind, int) or (0,)
    found = await call.services.imports.refusals(call.who, call.guid("import"), after, call.query.limit)
    more = write_cursor(kind, found[-1].row) if len(found) == call.query.limit else None
    return Answer(RefusalsPage([RefusalShown(one.row, one.column, one.code, one.rule) for one in found], more))


def _options(call: Call[None, ImportQuery]) -> ListOptions:
    asked = call.query
    media = call.header("content-type").partition(";")[0].strip().lower()
    list_format = Format.CSV if media == CSV else Format.JSON_LINES
    if list_format is Format.JSON_LINES and asked.delimiter != "auto":
        raise MethodError(MethodCode.INVALID_REQUEST, "delimiter is for CSV.", field="delimiter")
    return ListOptions(list_format, Delimiter(asked.delimiter), Encoding(asked.encoding), parse_map(asked.map))


class _Body:
    """The body of a request, as it comes: of any length, but not at any pace."""

    def __init__(self, call: Call[Any, Any], stall_seconds: float = STALL_SECONDS) -> None:
        self._receive = call.request.receive
        self._lift_deadline: Callable[[], None] | None = call.request.scope.get(UNHURRIED)  # type: ignore[assignment]  # ours
        self._stall = stall_seconds
        self._is_read = False

    async def parts(self) -> AsyncIterator[bytes]:
        """Its parts. Raises CutOff where the client is gone, or sends too little for too long."""
        if self._lift_deadline is not None:
            self._lift_deadline()
        waited, came = 0.0, 0
        while not self._is_read:
            began = monotonic()
            try:
                async with asyncio.timeout(self._stall - waited):
                    message: Any = await self._receive()
            except TimeoutError:
                raise CutOff from None
            if message["type"] != "http.request":
                raise CutOff
            part = message.get("body", b"")
            # Time in which the server takes nothing is not the client's.
            waited, came = waited + monotonic() - began, came + len(part)
            if came >= PACE_BYTES:
                waited, came = 0.0, 0
            self._is_read = not message.get("more_body", False)
            yield part

    async def drain(self) -> None:
        """Throw away what is sent anyway, up to a limit."""
        size = 0
        with contextlib.suppress(CutOff):
            async for part in self.parts():
                size += len(part)
                if size > DRAIN_BYTES:
                    return
