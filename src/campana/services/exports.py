"""Owns what may be taken out in one go: a campaign's contacts, deliveries and attempts, as CSV and JSON Lines.

Must not know how a door sends it, nor how they are stored. Memory is bounded by a page, however many there are.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from campana.domain.call import CallReport
from campana.domain.delivery import Medium, Status
from campana.domain.moment import rfc3339
from campana.domain.person import NOBODY, packed_fields
from campana.services.access import Action, find_campaign
from campana.services.importing.reading import Format
from campana.services.principal import Principal
from campana.services.sheets import written
from campana.storage.deliveries import Deliveries, DeliveryRow
from campana.storage.store import AttemptRow, Attempts, Campaigns, ContactDetails, Contacts

T = TypeVar("T")

FIRST_PAGE = 20
PAGE = 1_000
MOST_TEXT = 4_000_000
"""Characters of a page's texts, about."""

_encode_lines = msgspec.json.Encoder().encode_lines


class Exported(StrEnum):
    """What may be taken out."""

    CONTACTS = "contacts"
    DELIVERIES = "deliveries"
    ATTEMPTS = "attempts"


class ExportsStore(Protocol):
    """The part of the store that is taken out of."""

    @property
    def campaigns(self) -> Campaigns: ...

    @property
    def contacts(self) -> Contacts: ...

    @property
    def deliveries(self) -> Deliveries: ...

    @property
    def attempts(self) -> Attempts: ...


@dataclass(frozen=True, slots=True)
class _Form(Generic[T]):
    """How one thing is written."""

    columns: Sequence[str]
    cells: Callable[[T], Sequence[object]]
    as_object: Callable[[T], dict[str, Any]]


class ExportService:
    """Exports of campaigns that whoever asks may see. Used from one event loop."""

    def __init__(self, kept: ExportsStore) -> None:
        self._kept = kept

    async def begin(
        self, who: Principal, campaign_guid: str, what: Exported, list_format: Format
    ) -> AsyncIterator[bytes]:
        """All of a campaign's contacts, deliveries or attempts, in pieces of whole rows. It is no snapshot.

        What is refused is refused before the first piece: 10 CampaignNotFound.
        """
        row = await find_campaign(self._kept.campaigns, who, campaign_guid, Action.SEE)
        if what is Exported.CONTACTS:
            return _pieces(self._contacts(row.number), _CONTACTS, list_format)
        if what is Exported.DELIVERIES:
            return _pieces(self._deliveries(row.number), _DELIVERIES, list_format)
        return _pieces(self._kept.attempts.pages(row.number), _ATTEMPTS, list_format)

    async def _contacts(self, campaign: int) -> AsyncIterator[list[ContactDetails]]:
        after, limit = 0, FIRST_PAGE
        while page := await self._kept.contacts.details(campaign, after, limit):
            yield page
            texts = sum(len(one.text or "") for contact in page for one in contact.media)
            after, limit = page[-1].number, max(1, min(PAGE, limit * 4, limit * MOST_TEXT // (texts + 1)))

    async def _deliveries(self, campaign: int) -> AsyncIterator[list[DeliveryRow]]:
        after: int | None = 0
        while after is not None:
            page = await self._kept.deliveries.page(campaign, None, None, after, PAGE)
            after = page.after
            if page.rows:
                yield page.rows


async def _pieces(pages: AsyncIterator[list[T]], form: _Form[T], list_format: Format) -> AsyncIterator[bytes]:
    if list_format is Format.CSV:
        yield written([form.columns])
    async for page in pages:
        if list_format is Format.CSV:
            yield written(form.cells(one) for one in page)
        else:
            yield _encode_lines([form.as_object(one) for one in page])


# --- contacts: a list that can be imported again -------------------------------------------------------------------

_STANDING = ("status", "status code", "error code", "attempts left")
_NO_STANDING = (None,) * len(_STANDING)


def _contact_cells(contact: ContactDetails) -> Sequence[object]:
    person = contact.person or NOBODY
    media = {one.medium: one for one in contact.media}
    sms, voice, email = (media.get(medium) for medium in (Medium.SMS, Medium.VOICE, Medium.EMAIL))
    cells: list[object] = [contact.guid, person.name, person.reference]
    cells += [one.destination if one else None for one in (voice, sms, email)]
    cells.append(packed_fields(person.fields) if person.fields else None)
    cells += [one.text if one else None for one in (sms, voice, email)]
    for one in (sms, voice, email):
        cells += (_word(one.status), one.status, one.last_error, one.attempts_left) if one else _NO_STANDING
    return cells


def _contact_object(contact: ContactDetails) -> dict[str, Any]:
    person = contact.person or NOBODY
    told: dict[str, Any] = {
        "id": contact.guid,
        "name": person.name,
        "reference": person.reference,
        "fields": person.fields,
        "sms": None,
        "voice": None,
        "email": None,
    }
    for one in contact.media:
        told[_medium(one.medium)] = {
            "destination": one.destination,
            "text": one.text,
            "attempts_left": one.attempts_left,
            "status": _word(one.status),
            "status_code": one.status,
            "error_code": one.last_error,
        }
    return told


# --- deliveries and attempts ---------------------------------------------------------------------------------------


def _delivery_object(row: DeliveryRow) -> dict[str, Any]:
    return {
        "contact": row.contact,
        "reference": row.reference or "",
        "medium": _medium(row.medium),
        "destination": row.destination,
        "status": _word(row.status),
        "status_code": int(row.status),
        "error_code": row.last_error,
        "attempts_left": row.attempts_left,
        "attempts_made": row.tries,
        "held": row.is_held,
        "due_at": _moment(row.due_at),
    }


def _attempt_object(row: AttemptRow) -> dict[str, Any]:
    return {
        "contact": row.contact,
        "medium": _medium(row.medium),
        "attempt": row.attempt,
        "at": rfc3339(row.at),
        "route": row.route,
        "status": _word(row.status),
        "status_code": int(row.status),
        "error_code": row.code,
        "carrier_code": row.carrier_code,
        "carrier_text": row.carrier_text,
        "call": None if row.call is None else _call_object(row.call),
    }


def _call_object(call: CallReport) -> dict[str, Any]:
    return {
        "began_at": rfc3339(call.began_at),
        "answered_at": _moment(call.answered_at),
        "ended_at": rfc3339(call.ended_at),
        "heard_ms": call.heard_ms,
        "plays": call.plays,
        "digits": call.digits,
        "acknowledged": call.acknowledged,
        "ended_by": call.ended_by.value,
    }


_CALL_COLUMNS = ("began_at", "answered_at", "ended_at", "heard_ms", "plays", "digits", "acknowledged", "ended_by")
_ATTEMPT_COLUMNS = (
    "contact",
    "medium",
    "attempt",
    "at",
    "route",
    "status",
    "status_code",
    "error_code",
    "carrier_code",
    "carrier_text",
)
_DELIVERY_COLUMNS = (
    "contact",
    "reference",
    "medium",
    "destination",
    "status",
    "status_code",
    "error_code",
    "attempts_left",
    "attempts_made",
    "held",
    "due_at",
)


def _delivery_cells(row: DeliveryRow) -> Sequence[object]:
    told = _delivery_object(row)
    return [_cell(told[name]) for name in _DELIVERY_COLUMNS]


def _attempt_cells(row: AttemptRow) -> Sequence[object]:
    told = _attempt_object(row)
    call = told["call"] or {}
    return [told[name] for name in _ATTEMPT_COLUMNS] + [_cell(call.get(name)) for name in _CALL_COLUMNS]


_CONTACTS = _Form(
    (
        *("Id", "Fullname", "externalRefNo", "Phone", "SMS", "Email", "fields"),
        *("sms.text", "voice.text", "email.text"),
        *(f"{medium} {of}" for medium in ("sms", "voice", "email") for of in _STANDING),
    ),
    _contact_cells,
    _contact_object,
)
_DELIVERIES = _Form(_DELIVERY_COLUMNS, _delivery_cells, _delivery_object)
_ATTEMPTS = _Form((*_ATTEMPT_COLUMNS, *(f"call_{name}" for name in _CALL_COLUMNS)), _attempt_cells, _attempt_object)


def _cell(value: object) -> object:
    return str(value).lower() if isinstance(value, bool) else value


def _word(status: int) -> str:
    return Status(status).name.lower()


def _medium(medium: Medium) -> str:
    return medium.name.lower()


def _moment(at: int | None) -> str | None:
    return None if at is None else rfc3339(at)
