"""Owns the parcels of a route that wait to be written or answered, and the rest after an SMSC asked to slow down.

Must not know bytes on the wire, nor decide whether an attempt is repeated.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Protocol, cast

from campana.channels.contract import Accepted, Parcel, Permit, Result
from campana.channels.errors import (
    Misconfigured,
    RefusedForGood,
    RefusedForNow,
    SendError,
    Throttled,
    Uncertain,
    Unreachable,
)
from campana.channels.sms.composing import Payload
from campana.domain.outcome import DeliveryCode

FIRST_REST: Final = 0.1
LONGEST_REST: Final = 2.0
MOST_RESTS: Final = 5
"""Rests in a row after which what is unwritten goes back as Throttled, and the engine slows the route down."""

FIRST_REPEAT: Final = 0.2
MOST_REPEATS: Final = 3
"""How often the refused parts of a message are repeated when others of its parts were taken already."""


class Sink(Protocol):
    """Who waits for the answer to one submit_sm."""

    def settle(self, index: int, result: Result) -> None:
        """Note what became of the `index`-th of its messages."""


class Sender(Protocol):
    """A bound connection that writes."""

    def pump(self, limit: int) -> None:
        """Write at most `limit` more messages, as the window allows."""

    def write_again(self, train: Train, parts: Sequence[int], delay: float) -> None:
        """After `delay` seconds write parts of a message once more, or settle them as unreachable if it is lost."""


class Batch:
    """The parcels of one `send`, in order: those before `next` were written or settled."""

    __slots__ = ("_left", "done", "next", "parcels", "permit", "results")

    def __init__(self, parcels: Sequence[Parcel], permit: Permit, done: asyncio.Future[None]) -> None:
        self.parcels = parcels
        self.permit = permit
        self.done = done
        self.next = 0
        self.results: list[Result | None] = [None] * len(parcels)
        self._left = len(parcels)

    def settle(self, index: int, result: Result) -> None:
        """Note what became of a parcel; each is settled once."""
        self.results[index] = result
        self._left -= 1
        if not self._left and not self.done.done():
            self.done.set_result(None)

    def settled(self) -> list[Result]:
        """What became of every parcel, once `done`."""
        return cast("list[Result]", self.results)

    def settle_unwritten(self, error: Callable[[], SendError]) -> None:
        """Give every parcel that was not written an error of its own."""
        for index in range(self.next, len(self.parcels)):
            self.settle(index, error())
        self.next = len(self.parcels)


class Train:
    """One parcel of several parts on one link. It is settled when every part is."""

    __slots__ = ("_batch", "_index", "_left", "_link", "_repeats", "_results", "payload")

    def __init__(self, batch: Batch, index: int, payload: Payload, link: Sender) -> None:
        self.payload = payload
        self._batch = batch
        self._index = index
        self._link = link
        self._results: list[Result] = [_UNWRITTEN] * len(payload)
        self._left = len(payload)
        self._repeats = 0

    def settle(self, index: int, result: Result) -> None:
        """Note what became of a part. With the last one the parcel is settled, or refused parts go once more."""
        self._results[index] = result
        self._left -= 1
        if self._left:
            return
        again = self._worth_repeating()
        if again:
            self._left = len(again)
            delay = FIRST_REPEAT * 2**self._repeats
            self._repeats += 1
            self._link.write_again(self, again, delay)
        else:
            self._batch.settle(self._index, combine(self._results))

    def _worth_repeating(self) -> list[int]:
        kinds = {type(result) for result in self._results}
        if self._repeats == MOST_REPEATS or Accepted not in kinds or not kinds <= _REPEATABLE:
            return []
        return [index for index, result in enumerate(self._results) if not isinstance(result, Accepted)]


_UNWRITTEN: Final = Unreachable(DeliveryCode.SMS_UNREACHABLE)
_REPEATABLE: Final = frozenset({Accepted, Throttled, RefusedForNow})


def combine(results: Sequence[Result]) -> Result:
    """What became of a message, from what became of its parts. The first of these that applies:

    | parts | message |
    |---|---|
    | all accepted | accepted, with every id |
    | one refused for good | refused for good: it can never be whole |
    | one without an answer | uncertain |
    | some accepted, others refused or never written | refused for now: the person does not have it |
    | one refused for now | refused for now |
    | all throttled, misconfigured or never written | as the first of them: nothing of it was taken |
    """
    accepted = [result for result in results if isinstance(result, Accepted)]
    if len(accepted) == len(results):
        ids = tuple(carrier_id for result in accepted for carrier_id in result.carrier_ids)
        return Accepted(ids, accepted[0].final)
    errors = [result for result in results if isinstance(result, SendError)]
    decisive = _first(errors, (RefusedForGood, Uncertain))
    if decisive is not None:
        return decisive
    if accepted:
        words = f"{len(accepted)} of {len(results)} parts were accepted. {errors[0].carrier_text or ''}".strip()
        return RefusedForNow(DeliveryCode.SMS_TEMPORARY, errors[0].carrier_code, words)
    return _first(errors, (RefusedForNow, Misconfigured, Throttled)) or errors[0]


def _first(errors: Sequence[SendError], kinds: tuple[type[SendError], ...]) -> SendError | None:
    """The first error of the first kind that occurs."""
    return next((error for kind in kinds for error in errors if isinstance(error, kind)), None)


class Outbox:
    """Batches in the order in which they came, and the bound links that write them.

    Links take from it whenever their window has room, so that a slow link never holds up a quick one.
    """

    def __init__(self) -> None:
        self.batches: deque[Batch] = deque()
        self.resting = False
        """Nothing is written for a moment: the SMSC asked to slow down."""
        self.opened = asyncio.Event()
        """Set while there is a link that writes."""
        self._links: deque[Sender] = deque()
        self._rests = 0

    def add(self, batch: Batch) -> None:
        """Queue a batch and have it written as far as the windows allow, evenly over the links."""
        self.batches.append(batch)
        self._links.rotate(1)
        if len(self._links) > 1:
            share = -(-len(batch.parcels) // len(self._links))
            for link in self._links:
                link.pump(share)
        self.pump()

    def pump(self) -> None:
        """Have every link write what its window allows."""
        for link in tuple(self._links):
            link.pump(_NO_LIMIT)

    def join(self, link: Sender) -> None:
        """A link was bound and may write."""
        self._links.append(link)
        self.opened.set()
        link.pump(_NO_LIMIT)

    def leave(self, link: Sender, error: Callable[[], SendError]) -> None:
        """A link writes no more. With the last one, all that is unwritten is settled."""
        if link in self._links:
            self._links.remove(link)
        if not self._links:
            self.opened.clear()
            self.settle_unwritten(error)

    def settle_unwritten(self, error: Callable[[], SendError]) -> None:
        """Give every parcel that was not written an error."""
        batches, self.batches = self.batches, deque()
        for batch in batches:
            batch.settle_unwritten(error)

    def accepted(self) -> None:
        """The SMSC took a message: it does not ask to slow down any more."""
        self._rests = 0

    def throttled(self) -> None:
        """The SMSC asked to slow down: write nothing for a while, longer each time in a row."""
        if self.resting:
            return
        if self._rests == MOST_RESTS:
            self.settle_unwritten(_throttled)
        else:
            self._rests += 1
        self.resting = True
        rest = min(LONGEST_REST, FIRST_REST * 2 ** (self._rests - 1))
        asyncio.get_running_loop().call_later(rest, self._resume)

    def _resume(self) -> None:
        self.resting = False
        self.pump()


_NO_LIMIT: Final = 1 << 30


def _throttled() -> SendError:
    return Throttled(DeliveryCode.SMS_THROTTLED, None, "The SMSC keeps asking to slow down.")
