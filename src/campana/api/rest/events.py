"""Owns events as resources: those since a number, and as they happen (server-sent events).

Must not know how events come about. Source: HTML Standard, section 9.2 (server-sent events).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from campana.api.rest.authentication import authenticate, demand_scope
from campana.api.rest.operation import Answer, Call, Operations, Says, Stream
from campana.api.rest.shapes import Id, MediumName, Moment, StatusName
from campana.bus.wording import event_words
from campana.domain.errors import MethodCode, MethodError
from campana.domain.progress import Event
from campana.services.principal import Principal
from campana.services.scopes import Scope

operation = Operations("Progress")

EVENT_STREAM = "text/event-stream"
COME_AGAIN_MS = 2_000
_LARGEST = 2**53 - 1
"""So that JavaScript's numbers hold it."""

Number = Annotated[int, Meta(ge=0, le=_LARGEST)]
After = Annotated[Number, Meta(description="The number of the last event that is known; 0 is from the first on.")]

_encode = msgspec.json.Encoder().encode

EventType = Literal[
    "contact.status_changed",
    "campaign.counters",
    "campaign.started",
    "campaign.paused",
    "campaign.resumed",
    "campaign.window_opened",
    "campaign.window_closed",
    "campaign.finished",
    "campaign.cancelled",
]


class Tally(msgspec.Struct, frozen=True):
    """How many contacts are in each status on a medium. Their sum is the number of contacts."""

    do_not_try: int
    pending: int
    sending: int
    delivering: int
    success: int
    waiting_for_retry: int
    permanent_failure: int
    cancelled: int


class Counters(msgspec.Struct, frozen=True):
    """How many contacts a campaign has, and how they stand on each medium."""

    contacts: int
    sms: Tally
    voice: Tally
    email: Tally


class EventData(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an event says: of a changed status all but `balance`, of counters and the end `balance`, of others
    nothing."""

    contact: Id | UnsetType = UNSET
    reference: Annotated[str, Meta(description="The client's own reference of the contact.")] | UnsetType | None = UNSET
    medium: MediumName | UnsetType = UNSET
    previous: StatusName | UnsetType = UNSET
    status: StatusName | UnsetType = UNSET
    error_code: Annotated[int, Meta(description="LastDeliveryErrorCode from then on.")] | UnsetType = UNSET
    balance: Counters | UnsetType = UNSET


class EventItem(msgspec.Struct, frozen=True):
    """One thing that happened to a campaign."""

    number: Annotated[int, Meta(description="Counts from 1 in each campaign, without gaps.", examples=[17])]
    type: EventType
    at: Moment
    data: EventData


class Events(msgspec.Struct, frozen=True):
    """Some events, in their order."""

    items: list[EventItem]
    next: Annotated[int | None, Meta(description="What to give as `after` for more; null where there are none yet.")]


class Since(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Which events are asked for."""

    after: After = 0
    limit: Annotated[int, Meta(ge=1, le=1_000, description="How many events at most.")] = 100


class From(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """From where a stream goes on."""

    after: After = 0


@operation(
    "GET",
    "/campaigns/{campaign}/events",
    Says(scope=Scope.EVENTS_READ, refuses=(MethodCode.CAMPAIGN_NOT_FOUND,)),
)
async def list_events(call: Call[None, Since]) -> Answer[Events]:
    """List what happened to a campaign since an event.

    Events are numbered in the order in which they happened and never change, so that a client that keeps the number of
    the last one it has read misses none and reads none twice.
    """
    since = call.query
    events = await call.services.progress.events(call.who, call.guid("campaign"), since.after, since.limit)
    items = [msgspec.convert(event_words(event), EventItem) for event in events]
    return Answer(Events(items, events[-1].number if len(events) == since.limit else None))


@operation(
    "GET",
    "/campaigns/{campaign}/events/stream",
    Says(
        scope=Scope.EVENTS_READ,
        refuses=(MethodCode.CAMPAIGN_NOT_FOUND, MethodCode.RATE_LIMITED),
        gives=(EVENT_STREAM,),
    ),
)
async def stream_events(call: Call[None, From]) -> Answer[Stream]:
    """Stream what happens to a campaign, as it happens.

    Server-sent events: `id` is the number, `event` the type, `data` the event as in the list. A client that comes again
    with Last-Event-ID goes on there; it takes precedence over `after`. A comment comes every 15 seconds where nothing
    else does, and after half an hour the stream ends, to be asked for again. It ends within 15 seconds or so once its
    session or key is good for nothing, or the campaign not to be seen any more; reading it is a use of them.
    """
    after = _last_id(call.header("last-event-id"), call.query.after)
    watched = await call.services.progress.watch(call.who, call.guid("campaign"), after, partial(_admit, call))
    once = call.request.method == "HEAD" or call.request.scope.get("http_version") == "1.0"
    parts = _parts(watched, once=once)
    return Answer(Stream(EVENT_STREAM, parts, is_live=True), headers={"x-accel-buffering": "no"})


async def _admit(call: Call[None, From]) -> Principal:
    """Who reads a stream, if they still may. Raises MethodError."""
    shown, agent = call.header("authorization"), call.who.agent
    caller = await authenticate(call.services, shown, agent=agent, source=call.source)
    demand_scope(caller, Scope.EVENTS_READ)
    return caller.principal


async def _parts(watched: AsyncIterator[list[Event]], *, once: bool) -> AsyncIterator[bytes]:
    """The stream; `once` says what there is and ends, for who could not be told more as it comes."""
    yield b"retry: %d\n\n" % COME_AGAIN_MS
    try:
        async for events in watched:
            yield b"".join(map(_framed, events)) or b": nothing new\n\n"
            if once:
                return
    finally:
        await watched.aclose()  # type: ignore[attr-defined]  # a generator, which is to stop listening now


def _framed(event: Event) -> bytes:
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (event.number, event.kind.type.encode(), _encode(event_words(event)))


def _last_id(header: str, after: int) -> int:
    """The number after which a stream begins. Raises 42 InvalidRequest where the header is no number."""
    if not header.strip():
        return after
    if not (header.isascii() and header.isdigit() and len(header) <= 16 and int(header) <= _LARGEST):
        raise MethodError(MethodCode.INVALID_REQUEST, "Last-Event-ID should be the number of an event.")
    return int(header)


def counters_of(words: dict[str, Any]) -> Counters:
    """The counters of a balance that was worded."""
    return msgspec.convert(words, Counters)
