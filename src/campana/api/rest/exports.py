"""Owns exports as resources: a campaign's contacts, deliveries and attempts, each as one streamed document.

Must not know what stands in them.
"""

from __future__ import annotations

from campana.api.rest.operation import Answer, Call, Operations, Says, Stream
from campana.domain.errors import MethodCode
from campana.services.exports import Exported
from campana.services.importing.reading import Format
from campana.services.scopes import Scope

operation = Operations("Exports")

CSV, JSONL = "text/csv", "application/jsonl"
_CSV = Says(scope=Scope.CONTACTS_READ, refuses=(MethodCode.CAMPAIGN_NOT_FOUND,), gives=(CSV,))
_JSONL = Says(scope=Scope.CONTACTS_READ, refuses=(MethodCode.CAMPAIGN_NOT_FOUND,), gives=(JSONL,))


async def _exported(call: Call[None, None], what: Exported, list_format: Format) -> Answer[Stream]:
    parts = await call.services.exports.begin(call.who, call.guid("campaign"), what, list_format)
    name = f"{what}-{call.guid('campaign')}.{list_format}"
    media = f"{CSV}; charset=utf-8; header=present" if list_format is Format.CSV else JSONL
    return Answer(Stream(media, parts), headers={"content-disposition": f'attachment; filename="{name}"'})


@operation("GET", "/campaigns/{campaign}/contacts.csv", _CSV)
async def export_contacts_csv(call: Call[None, None]) -> Answer[Stream]:
    """Take all contacts out as CSV.

    Under the classic header, and columns for what texts take of them, their own texts and how they stand: a list that
    can be imported again. What a spreadsheet would take for a formula begins with an apostrophe.
    """
    return await _exported(call, Exported.CONTACTS, Format.CSV)


@operation("GET", "/campaigns/{campaign}/contacts.jsonl", _JSONL)
async def export_contacts_jsonl(call: Call[None, None]) -> Answer[Stream]:
    """Take all contacts out as JSON Lines, each as it is read alone: a list that can be imported again."""
    return await _exported(call, Exported.CONTACTS, Format.JSON_LINES)


@operation("GET", "/campaigns/{campaign}/deliveries.csv", _CSV)
async def export_deliveries_csv(call: Call[None, None]) -> Answer[Stream]:
    """Take all deliveries out as CSV, by medium."""
    return await _exported(call, Exported.DELIVERIES, Format.CSV)


@operation("GET", "/campaigns/{campaign}/deliveries.jsonl", _JSONL)
async def export_deliveries_jsonl(call: Call[None, None]) -> Answer[Stream]:
    """Take all deliveries out as JSON Lines, by medium."""
    return await _exported(call, Exported.DELIVERIES, Format.JSON_LINES)


@operation("GET", "/campaigns/{campaign}/attempts.csv", _CSV)
async def export_attempts_csv(call: Call[None, None]) -> Answer[Stream]:
    """Take all attempts out as CSV, by medium."""
    return await _exported(call, Exported.ATTEMPTS, Format.CSV)


@operation("GET", "/campaigns/{campaign}/attempts.jsonl", _JSONL)
async def export_attempts_jsonl(call: Call[None, None]) -> Answer[Stream]:
    """Take all attempts out as JSON Lines, by medium."""
    return await _exported(call, Exported.ATTEMPTS, Format.JSON_LINES)
