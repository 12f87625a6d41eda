"""Owns deliveries and their attempts as resources: listing, reading one, deciding on one that is held.

Must not know what a code means, nor when something is sent.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from campana.api.rest.cursors import read_cursor, write_cursor
from campana.api.rest.operation import Answer, Call, Operations, Says
from campana.api.rest.shapes import (
    Cursor,
    Id,
    Limit,
    MediumName,
    Moment,
    StatusName,
    medium_name,
    medium_of,
    moment,
    moment_or_none,
    status_name,
    status_of,
)
from campana.domain.errors import MethodCode, MethodError
from campana.domain.waiting import Rule
from campana.services.deliveries import DeliveryQuery
from campana.services.scopes import Scope
from campana.storage.deliveries import DeliveryRow
from campana.storage.store import AttemptRow

operation = Operations("Deliveries")

ErrorCode = Annotated[int, Meta(description="0: success, or never tried. See the list of error codes.", examples=[0])]


class DeliveryShown(msgspec.Struct, frozen=True):
    """A contact on one medium."""

    contact: Id
    reference: Annotated[str, Meta(description="The client's own reference of the contact.")]
    medium: MediumName
    destination: Annotated[str, Meta(examples=["+14165550123"])]
    status: Annotated[StatusName, Meta(examples=["pending"])]
    error_code: ErrorCode
    attempts_left: Annotated[int, Meta(ge=0, le=255)]
    attempts_made: Annotated[int, Meta(ge=0)]
    held: Annotated[bool, Meta(description="Whether it is uncertain, and a person is to decide.")]
    due_at: Annotated[Moment | None, Meta(description="It is not tried again before; null: no such moment.")]


class CallShown(msgspec.Struct, frozen=True):
    """What became of a call."""

    began_at: Moment
    answered_at: Moment | None
    ended_at: Moment
    ringing_ms: int | None
    heard_ms: Annotated[int, Meta(description="How much of the text was played to whoever answered.")]
    plays: int
    digits: Annotated[str, Meta(description="Keys that were pressed.")]
    acknowledged: bool
    ended_by: Literal["callee", "us", "network"]


class AttemptShown(msgspec.Struct, frozen=True):
    """One try of a delivery over one route."""

    contact: Id
    medium: MediumName
    attempt: Annotated[int, Meta(ge=1, description="1 for the first of this delivery.")]
    at: Moment
    route: Annotated[str, Meta(description="Blank where nobody knows.", examples=["smsc-1"])]
    status: StatusName
    error_code: ErrorCode
    carrier_code: str | None
    carrier_text: Annotated[str | None, Meta(description="The carrier's own words.")]
    call: CallShown | None


class WaitsFor(msgspec.Struct, frozen=True):
    """Why a delivery has not gone yet."""

    rule: Annotated[Rule, Meta(description="The first rule that really holds it back.", examples=["window"])]
    until: Annotated[Moment | None, Meta(description="When it may go next; null: no clock says so.")]


class DeliveryWhole(DeliveryShown, frozen=True, kw_only=True):
    """A contact on one medium, with its attempts."""

    waits_for: WaitsFor
    attempts: list[AttemptShown]


class Deliveries(msgspec.Struct, frozen=True):
    """A page of deliveries."""

    items: list[DeliveryShown]
    next: Annotated[
        str | None,
        Meta(description="The cursor of the next page; null at the end. A page may be short and still have one."),
    ]


class Attempts(msgspec.Struct, frozen=True):
    """A page of attempts."""

    items: list[AttemptShown]
    next: Annotated[str | None, Meta(description="The cursor of the next page; null at the end.")]


class DeliveriesQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Which deliveries are asked for."""

    limit: Limit = 100
    cursor: Cursor = ""
    medium: Annotated[MediumName | None, Meta(description="Only those on this medium.")] = None
    status: Annotated[StatusName | None, Meta(description="Only those in this status.")] = None


class AttemptsQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Which page of attempts is asked for."""

    limit: Limit = 100
    cursor: Cursor = ""


class Decision(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What becomes of a delivery that is held."""

    decision: Annotated[
        Literal["resend", "give_up"],
        Meta(description="Send it again, though it may have arrived; or give it up, though it may not have."),
    ]


def _fields(row: DeliveryRow) -> dict[str, Any]:
    return {
        "contact": row.contact,
        "reference": row.reference or "",
        "medium": medium_name(row.medium),
        "destination": row.destination,
        "status": status_name(row.status),
        "error_code": row.last_error,
        "attempts_left": row.attempts_left,
        "attempts_made": row.tries,
        "held": row.is_held,
        "due_at": moment_or_none(row.due_at),
    }


def shown_attempt(row: AttemptRow) -> AttemptShown:
    """An attempt for the client."""
    call = row.call
    return AttemptShown(
        contact=row.contact,
        medium=medium_name(row.medium),
        attempt=row.attempt,
        at=moment(row.at),
        route=row.route,
        status=status_name(row.status),
        error_code=row.code,
        carrier_code=row.carrier_code,
        carrier_text=row.carrier_text,
        call=None
        if call is None
        else CallShown(
            began_at=moment(call.began_at),
            answered_at=moment_or_none(call.answered_at),
            ended_at=moment(call.ended_at),
            ringing_ms=call.ringing_ms,
            heard_ms=call.heard_ms,
            plays=call.plays,
            digits=call.digits,
            acknowledged=call.acknowledged,
            ended_by=call.ended_by.value,
        ),
    )


@operation(
    "GET",
    "/campaigns/{campaign}/deliveries",
    Says(scope=Scope.CONTACTS_READ, refuses=(MethodCode.CAMPAIGN_NOT_FOUND,)),
)
async def list_deliveries(call: Call[None, DeliveriesQuery]) -> Answer[Deliveries]:
    """List a campaign's deliveries, by medium and in the order of adding the contacts.

    A page for which too many were passed over is short, and has a `next`.
    """
    asked = call.query
    kind = f"deliveries {call.path['campaign'].lower()} {asked.medium} {asked.status}"
    (after,) = read_cursor(asked.cursor, kind, int) or (0,)
    medium = None if asked.medium is None else medium_of(asked.medium)
    status = None if asked.status is None else status_of(asked.status)
    query = DeliveryQuery(medium, status, after, asked.limit)
    page = await call.services.deliveries.page(call.who, call.guid("campaign"), query)
    more = None if page.after is None else write_cursor(kind, page.after)
    return Answer(Deliveries([DeliveryShown(**_fields(row)) for row in page.rows], more))


def _medium(call: Call[Any, Any]) -> Any:
    name = call.path["medium"]
    if name not in ("sms", "voice", "email"):
        raise MethodError(MethodCode.NOT_FOUND, "There are the media sms, voice and email.")
    return medium_of(name)


_DELIVERY = "/campaigns/{campaign}/contacts/{contact}/deliveries/{medium}"
_NOT_FOUND = (MethodCode.CAMPAIGN_NOT_FOUND, MethodCode.CONTACT_NOT_FOUND, MethodCode.NOT_FOUND)


@operation("GET", _DELIVERY, Says(scope=Scope.CONTACTS_READ, refuses=_NOT_FOUND))
async def get_delivery(call: Call[None, None]) -> Answer[DeliveryWhole]:
    """Read a contact's delivery on one medium, with its attempts.

    `waits_for` says why it has not gone yet, and when it may.
    """
    return Answer(await _whole(call))


async def _whole(call: Call[Any, Any]) -> DeliveryWhole:
    campaign, contact, medium = call.guid("campaign"), call.guid("contact"), _medium(call)
    row, attempts = await call.services.deliveries.one(call.who, campaign, contact, medium)
    why = await call.services.progress.why(call.who, campaign, contact, medium)
    waits_for = WaitsFor(why.rule, moment_or_none(why.until))
    return DeliveryWhole(**_fields(row), waits_for=waits_for, attempts=[shown_attempt(one) for one in attempts])


@operation(
    "POST",
    _DELIVERY + "/decide",
    Says(
        scope=Scope.CONTACTS_WRITE,
        refuses=(*_NOT_FOUND, MethodCode.CAMPAIGN_ENDED),
        example={"decision": "give_up"},
    ),
)
async def decide_delivery(call: Call[Decision, None]) -> Answer[DeliveryWhole]:
    """Decide what becomes of an uncertain delivery that is held.

    Where nobody can know whether an attempt reached the carrier and the campaign's policy is `hold`, the delivery waits
    for this. One that is not held: 42.
    """
    contact, resend = call.guid("contact"), call.body.decision == "resend"
    try:
        await call.services.deliveries.decide(call.who, call.guid("campaign"), contact, _medium(call), resend=resend)
    except MethodError as error:
        # What an earlier try with the same Idempotency-Key decided is held no more.
        if not (call.again and error.code is MethodCode.INVALID_REQUEST):
            raise
    return Answer(await _whole(call))


@operation(
    "GET",
    "/campaigns/{campaign}/attempts",
    Says(scope=Scope.CONTACTS_READ, refuses=(MethodCode.CAMPAIGN_NOT_FOUND,)),
)
async def list_attempts(call: Call[None, AttemptsQuery]) -> Answer[Attempts]:
    """List a campaign's attempts: by medium, then in the order of adding the contacts, then as they were made."""
    kind = f"attempts {call.path['campaign'].lower()}"
    after = read_cursor(call.query.cursor, kind, int, int) or (0, 0)
    page = await call.services.attempts.page(call.who, call.guid("campaign"), (after[0], after[1]), call.query.limit)
    more = None if page.after is None else write_cursor(kind, *page.after)
    return Answer(Attempts([shown_attempt(row) for row in page.rows], more))
