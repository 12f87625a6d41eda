"""Owns what is sent and read in parts and taken up again where it broke: imports, exports, events, and waiting.

Must not know how bytes travel.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from typing import Any, BinaryIO

from campana.client.binding import Call, Many, Once, fetched
from campana.client.calls import events_after, get_balance, get_delivery, path
from campana.client.errors import BrokenOff, read_as
from campana.client.keeping import KEY, Context, Trial, checked, new_key, opened, pause
from campana.client.models import FINAL, Balance, Delivery, Event, Import, Kind, Medium, Place, Transfer, What
from campana.client.sources import KINDS, Progress, Source, Upload
from campana.client.steps import Course, Finds, Hand, Lost, Pause, Read, Request, Shut, Step
from campana.client.streams import Stream, Target

_IMPORT_ANSWERS_WITHIN_S = 600.0
_SILENT_S = 60.0
"""A stream of events that says nothing for so long is broken; the server says at least that there is nothing."""


@Once
def import_contacts(
    context: Context,
    campaign: str,
    source: Source,
    *,
    kind: Kind | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
    columns: Mapping[str, str] | None = None,
    key: str | None = None,
    progress: Progress | None = None,
) -> Course[Import]:
    """Add any number of contacts: from a file, or from an iterable of NewContact or mappings; how it ended.

    Rows that break a rule are passed over and told by `list_refusals`. Where the connection breaks, or the server
    starts again, the rows are sent again from their beginning under the same `key`, and the server goes on where it
    was. `columns` says which column is which field. `progress` hears how many bytes were sent, in the thread that reads
    the source. Raises Invalid, NotFound, Conflict, and BrokenOff where the source cannot be read twice.
    """
    key = checked(key or new_key())
    upload = Upload(source, kind, key, progress)
    mapped = None if columns is None else ",".join(f"{column}:{name}" for column, name in columns.items())
    given = {"delimiter": delimiter, "encoding": encoding, "map": mapped}
    request = Request(
        "POST",
        path("campaigns", campaign, "imports"),
        {name: value for name, value in given.items() if value is not None},
        {"content-type": upload.media_type, KEY: key},
        upload,
        _IMPORT_ANSWERS_WITHIN_S,
    )
    return (yield from fetched(context, Call(Import, request)))


@Once
def export(
    context: Context,
    campaign: str,
    what: What,
    to: Place | BinaryIO,
    *,
    kind: Kind | None = None,
    progress: Progress | None = None,
) -> Course[int]:
    """Write contacts, deliveries or attempts to a file; how many bytes there are.

    A file by its path is there when all of it is. Where the connection breaks it begins anew, and raises BrokenOff
    where an open file cannot go back. Raises NotFound.
    """
    target = Target(to, kind)
    request = Request(
        "GET", path("campaigns", campaign, f"{what}.{target.kind}"), headers={"accept": KINDS[target.kind]}
    )
    trial, furthest = Trial(context.retries), 0
    try:
        while True:
            yield from opened(context, request)
            target.begin()
            try:
                while part := (yield Read()):
                    target.write(part)
                    if progress is not None:
                        progress(Transfer(target.done, None, target.tries))
                return target.finish()
            except Lost as lost:
                if not target.repeats:
                    raise BrokenOff("The connection broke, and the file cannot be written anew.") from lost
                if target.done > furthest:
                    furthest = target.done
                    trial.came_further()
                yield from _anew(context, trial, lost)
    finally:
        target.close()


@Many
def events(context: Context, campaign: str, *, after: int = 0, live: bool = False) -> Finds[Event]:
    """Hand out what happened to a campaign, in order, each once: all with a higher number than `after`.

    `live` goes on with what happens from then on, and never ends by itself; where the connection breaks, it goes on
    after the last one. Raises NotFound.
    """
    if live:
        yield from _live(context, campaign, after)
        return
    while True:
        page = yield from fetched(context, events_after(campaign, after))
        for event in page.items:
            yield Hand(event)
            after = event.number
        if page.next is None:
            return


def _live(context: Context, campaign: str, after: int) -> Finds[Event]:
    trial, place = Trial(context.retries), path("campaigns", campaign, "events", "stream")
    while True:
        headers = {"accept": "text/event-stream", "last-event-id": str(after)}
        yield from opened(context, Request("GET", place, {"after": str(after)}, headers, patience_s=_SILENT_S))
        stream, broken = Stream(), Lost("the server ended the stream")
        try:
            while part := (yield Read()):
                trial.came_further()
                for data in stream.feed(part):
                    event = read_as(data, Event)
                    if event.number > after:
                        after = event.number
                        yield Hand(event)
        except Lost as lost:
            broken = lost
        yield from _anew(context, trial, broken)


def _anew(context: Context, trial: Trial, lost: Lost) -> Generator[Step, Any, None]:
    yield Shut()
    yield from pause(context, trial, lost)


# --- waiting -----------------------------------------------------------------------------------------------------


@Many
def watch(context: Context, campaign: str, *, every: float = 1.0) -> Finds[Balance]:
    """Hand out the balance of a campaign every so many seconds, until it is finished. Raises NotFound."""
    while True:
        balance = yield from get_balance.course(context, campaign)
        yield Hand(balance)
        if balance.finished:
            return
        yield Pause(every)


@Once
def wait_until_finished(
    context: Context, campaign: str, *, timeout: float | None = None, every: float = 1.0
) -> Course[Balance]:
    """Wait until nothing of a campaign can change by itself any more; how it ended. Raises TimeoutError, NotFound."""
    until = None if timeout is None else time.monotonic() + timeout
    while True:
        balance = yield from get_balance.course(context, campaign)
        if balance.finished:
            return balance
        yield from _rest(every, until)


@Once
def wait_for_delivery(
    context: Context, campaign: str, contact: str, medium: Medium, *, timeout: float | None = None, every: float = 0.5
) -> Course[Delivery]:
    """Wait until a delivery has come to its end; how it ended. Raises TimeoutError, NotFound."""
    until = None if timeout is None else time.monotonic() + timeout
    while True:
        delivery = yield from get_delivery.course(context, campaign, contact, medium)
        if delivery.status in FINAL:
            return delivery
        yield from _rest(every, until)


def _rest(seconds: float, until: float | None) -> Generator[Step, Any, None]:
    if until is not None:
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError("It has not come to its end in time.")
        seconds = min(seconds, left)
    yield Pause(seconds)
