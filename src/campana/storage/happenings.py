"""Owns how what a transaction did to campaigns is written down, and what happenings come to: events and counts.

Must not hold statements, nor know who is told. A happening stands for deliveries of one lane that moved alike; it has
no number, so that nobody waits for anybody to write one.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from campana.domain.contact import Admitted, MediumState
from campana.domain.delivery import Medium, Status
from campana.domain.outcome import DeliveryCode
from campana.domain.progress import EventKind
from campana.storage.store import NewContact
from campana.storage.tables import CONTACT_BITS, campaign_of, delivery_id, medium_of

COUNTED = 0
"""The kind of a happening that is counted and told nobody: contacts that were added or deleted. Kinds of what is told
are those of EventKind."""
LISTED_AT_ONCE = 500
"""Ids in one happening that are not a run: as many as a chunk has."""
FOLDED_AT_ONCE = 500
"""Happenings that are counted in one transaction."""

PAUSING = {True: EventKind.PAUSED, False: EventKind.RESUMED}
"""What is told of a campaign that is paused from now on, or is not any more."""

HappeningColumns = tuple[
    int, int, int, int | None, int | None, int | None, int | None, int | None, int | None, str | None, int, str | None
]
"""Campaign, instant, kind, medium, status before, status, code, first id, last id, ids, size, body."""
EventColumns = tuple[
    int, int, int, int | None, int | None, int | None, int | None, int | None, int | None, str | None, int, str | None
]
"""Number of the first, then as HappeningColumns from the instant on."""
Move = tuple[int, int, int, int]
"""Delivery, status before, status, code."""

_OPEN = frozenset({Status.PENDING, Status.SENDING, Status.DELIVERING, Status.WAITING_FOR_RETRY})
_SHAPE_BITS = 3
_SHAPE_MASK = (1 << _SHAPE_BITS) - 1


class How(NamedTuple):
    """How a delivery moved."""

    was: int
    """Its status before."""
    status: int
    code: int
    """Its LastDeliveryErrorCode from then on."""
    at: int


class Happening(msgspec.Struct, array_like=True, gc=False):
    """A happening as it is read."""

    id: int
    at: int
    kind: int
    medium: int | None
    was: int | None
    status: int | None
    code: int | None
    first: int | None
    last: int | None
    ids: str | None
    size: int
    body: str | None


class Counted(msgspec.Struct, omit_defaults=True):
    """The body of a COUNTED happening."""

    shapes: dict[int, int]
    """How many contacts came, or with a minus went, by the statuses that they had."""
    strays: list[int] = []
    """Deliveries of contacts that went which may still move."""


_encode = msgspec.json.Encoder().encode
_decode_ids = msgspec.json.Decoder(list[int]).decode
_decode_counted = msgspec.json.Decoder(Counted).decode


def may_stray(medium: Medium, status: int) -> bool:
    """Whether a delivery in a status may still move when its contact is gone: it is under way, or may bounce."""
    return status in (Status.SENDING, Status.DELIVERING) or (medium is Medium.EMAIL and status == Status.SUCCESS)


def shape_of(statuses: Iterable[tuple[int, int]]) -> int:
    """A contact's statuses, given by medium, as one number. A medium that is not given is DO_NOT_TRY."""
    return sum(status << _SHAPE_BITS * medium for medium, status in statuses)


def moved_run(first: int, last: int, how: How) -> HappeningColumns:
    """All deliveries of first..last moved alike."""
    return _moved(how, first, last, None, last - first + 1)


def moved_alike(ids: Sequence[int], how: How) -> list[HappeningColumns]:
    """Deliveries of one lane, in rising order, moved alike, if they did. One happening where no gap is between them."""
    if not ids or how.was == how.status:
        return []
    if ids[-1] - ids[0] == len(ids) - 1:
        return [moved_run(ids[0], ids[-1], how)]
    rows = []
    for start in range(0, len(ids), LISTED_AT_ONCE):
        some = ids[start : start + LISTED_AT_ONCE]
        listed = None if some[-1] - some[0] == len(some) - 1 else _encode(some).decode()
        rows.append(_moved(how, some[0], some[-1], listed, len(some)))
    return rows


def moved_all(moves: Iterable[Move], at: int) -> list[HappeningColumns]:
    """What deliveries of any lanes did, each named once."""
    alike: dict[tuple[int, int, int, int], list[int]] = {}
    for delivery, was, status, code in moves:
        alike.setdefault((delivery >> CONTACT_BITS, was, status, code), []).append(delivery)
    return [
        row
        for (_, was, status, code), ids in alike.items()
        for row in moved_alike(sorted(ids), How(was, status, code, at))
    ]


def cancelled_all(waiting: Iterable[Iterable[int]], at: int) -> list[HappeningColumns]:
    """Deliveries, each with its status, were cancelled before they left."""
    end = (int(Status.CANCELLED), int(DeliveryCode.CANCELLED))
    return moved_all(((delivery, was, *end) for delivery, was in waiting), at)


def _moved(how: How, first: int, last: int, ids: str | None, size: int) -> HappeningColumns:
    was, status, code, at = how
    kind, medium = int(EventKind.STATUS_CHANGED), int(medium_of(first))
    return (campaign_of(first), at, kind, medium, int(was), int(status), int(code), first, last, ids, size, None)


def counted(campaign: int, shapes: Mapping[int, int], at: int, strays: Sequence[int] = ()) -> HappeningColumns:
    """Contacts of a campaign came or went."""
    body = _encode(Counted(dict(shapes), list(strays))).decode()
    return (campaign, at, COUNTED, None, None, None, None, None, None, None, 0, body)


def happened(campaign: int, kind: EventKind, at: int) -> HappeningColumns:
    """Something happened to a campaign as a whole."""
    return (campaign, at, int(kind), None, None, None, None, None, None, None, 1, None)


def first_status(medium: Admitted) -> int:
    """The status in which a delivery begins."""
    return int(Status.DO_NOT_TRY if medium.dial is None else Status.PENDING)


def new_shape(contact: NewContact) -> int:
    """The shape of a contact that is added."""
    shape = 0
    # A loop, since one is made for every contact of a list of millions.
    for one in contact.media:
        if one.dial is not None:
            shape |= Status.PENDING << _SHAPE_BITS * one.medium
    return shape


def came(contacts: Iterable[tuple[int, int]], at: int) -> list[HappeningColumns]:
    """Contacts were added: campaign and shape of each."""
    of_campaign: dict[int, Counter[int]] = {}
    for campaign, shape in contacts:
        of_campaign.setdefault(campaign, Counter())[shape] += 1
    return [counted(campaign, shapes, at) for campaign, shapes in of_campaign.items()]


def went(
    campaign: int, number: int, before: Iterable[MediumState], after: Iterable[MediumState], at: int
) -> HappeningColumns:
    """A contact was deleted, its deliveries as they stood before and after that."""
    shape = shape_of((one.medium, one.status) for one in before)
    strays = sorted(delivery_id(campaign, one.medium, number) for one in after if may_stray(one.medium, one.status))
    return counted(campaign, {shape: -1}, at, strays)


def no_tallies() -> list[list[int]]:
    """Counts by medium and status, all of them 0."""
    return [[0] * len(Status) for _ in Medium]


@dataclass(slots=True)
class Folded:
    """What happenings come to, taken one after the other in the order of their ids."""

    number: int = 0
    """Of the last event."""
    strays: list[int] = field(default_factory=list)
    """Deliveries that are not counted any more, in rising order: those that were known before, as far as happenings
    name them, and those that became ones."""
    contacts: int = 0
    tallies: list[list[int]] = field(default_factory=no_tallies)
    events: list[EventColumns] = field(default_factory=list)
    strayed: list[int] = field(default_factory=list)
    """Those that became strays."""
    is_counted: bool = False
    """Whether counts may have changed."""
    has_opened: bool = False
    """Whether there was something new to be done."""

    def take_all(self, happenings: Iterable[Happening]) -> Folded:
        """Take happenings, in the order of their ids; this."""
        for one in happenings:
            if one.kind == COUNTED:
                self._count(one)
            elif one.kind == EventKind.STATUS_CHANGED:
                self._move(one)
            else:
                self._tell(one, one.first, one.last, one.ids, one.size)
        return self

    def _count(self, one: Happening) -> None:
        assert one.body is not None
        body = _decode_counted(one.body)
        for shape, count in body.shapes.items():
            self.contacts += count
            for medium in Medium:
                status = shape >> _SHAPE_BITS * medium & _SHAPE_MASK
                self.tallies[medium][status] += count
                self.has_opened |= count > 0 and status in _OPEN
        for stray in body.strays:
            insort(self.strays, stray)
        self.strayed += body.strays
        self.is_counted = True

    def _move(self, one: Happening) -> None:
        assert one.first is not None
        assert one.last is not None
        assert one.medium is not None
        assert one.was is not None
        assert one.status is not None
        first, last, ids, size = one.first, one.last, one.ids, one.size
        among = self.strays[bisect_left(self.strays, first) : bisect_right(self.strays, last)]
        if among:
            left = sorted(set(ids_of(first, last, ids)).difference(among))
            if not left:
                return
            first, last, size = left[0], left[-1], len(left)
            ids = None if last - first == size - 1 else _encode(left).decode()
        row = self.tallies[one.medium]
        row[one.was] -= size
        row[one.status] += size
        self.is_counted = True
        self.has_opened |= one.status in _OPEN
        self._tell(one, first, last, ids, size)

    def _tell(self, one: Happening, first: int | None, last: int | None, ids: str | None, size: int) -> None:
        what = (one.at, one.kind, one.medium, one.was, one.status, one.code)
        self.events.append((self.number + 1, *what, first, last, ids, size, one.body))
        self.number += size


def ids_of(first: int, last: int, ids: str | None) -> Sequence[int]:
    """The deliveries that a happening or a row of events names."""
    return range(first, last + 1) if ids is None else _decode_ids(ids)


def spans_of(happenings: Iterable[Happening]) -> list[tuple[int, int]]:
    """First and last delivery of those happenings that name some, for finding which of them are strays."""
    return [(one.first, one.last) for one in happenings if one.first is not None and one.last is not None]


def strays_in(happenings: Iterable[Happening]) -> frozenset[int]:
    """The deliveries that become strays by happenings."""
    counts = (one.body for one in happenings if one.kind == COUNTED and one.body is not None)
    return frozenset(stray for body in counts for stray in _decode_counted(body).strays)
