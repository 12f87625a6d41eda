"""Owns the messages that wait for a connection, and handing each result back to the call that brought it.

Must not know connections or the protocol: a session takes a job, settles it, or gives it back unsent.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from campana.channels.contract import Parcel, Permit, Result
from campana.channels.email.message import Letter
from campana.channels.errors import RefusedForGood, SendError, Unreachable, Withdrawn
from campana.domain.outcome import DeliveryCode

_TRIES = 3


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a server said that it can do (RFC 5321 section 4.1.1.1)."""

    pipelining: bool = False
    size: int = 0
    """The largest message that it takes, in octets (RFC 1870); 0 where it does not say."""
    declares_size: bool = False
    """MAIL may carry SIZE."""
    smtputf8: bool = False
    starttls: bool = False
    auth: frozenset[str] = frozenset()
    keywords: tuple[str, ...] = ()
    """All of them, for people."""


class Batch:
    """The parcels of one call of send."""

    __slots__ = ("_left", "done", "permit", "results")

    def __init__(self, size: int, permit: Permit) -> None:
        self.permit = permit
        self.results: list[Result | None] = [None] * size
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._left = size

    def settle(self, index: int, result: Result) -> None:
        """Keep what became of a parcel; the last one wakes the caller."""
        self.results[index] = result
        self._left -= 1
        if self._left == 0 and not self.done.done():
            self.done.set_result(None)


class Job:
    """One message on its way through a connection."""

    __slots__ = ("batch", "handed_over", "index", "letter", "refusal", "tries")

    def __init__(self, batch: Batch, index: int, letter: Letter) -> None:
        self.batch = batch
        self.index = index
        self.letter = letter
        self.tries = 0
        self.refusal: SendError | None = None
        """What the server had against the envelope; kept until it has answered the whole group."""
        self.handed_over = False
        """The end of the message was written: from here on silence means uncertain."""

    def settle(self, result: Result) -> None:
        """Say what became of it; called exactly once."""
        self.batch.settle(self.index, result)


class JobQueue:
    """Jobs in the order in which they were brought."""

    def __init__(self) -> None:
        self._jobs: deque[Job] = deque()
        self._closed: SendError | None = None
        self.awaited = 0
        """Connections that are being opened; each will come for a job."""

    def __len__(self) -> int:
        return len(self._jobs)

    def add(self, parcels: Sequence[Parcel], permit: Permit) -> Batch:
        """Append a job for each parcel; once closed they are settled at once."""
        batch = Batch(len(parcels), permit)
        self._jobs.extend([Job(batch, index, parcel.payload) for index, parcel in enumerate(parcels)])
        if self._closed is not None:
            self.fail_all(self._closed)
        return batch

    def next_beyond(self, abilities: Abilities) -> Job | None:
        """Like `next`, for a connection that is still busy: leave a job for each connection that is on its way."""
        return self.next(abilities) if len(self._jobs) > self.awaited else None

    def next(self, abilities: Abilities) -> Job | None:
        """Return the next job that may leave over a server of these abilities, settling those that may not."""
        while self._jobs:
            job = self._jobs.popleft()
            obstacle = _obstacle(job, abilities)
            if obstacle is None:
                return job
            job.settle(obstacle)
        return None

    def withdraw(self) -> None:
        """Settle at once what has lost its permit: it need not wait for a connection to be told so."""
        permits: dict[Batch, bool] = {}
        jobs, self._jobs = self._jobs, deque()
        for job in jobs:
            if job.batch not in permits:
                permits[job.batch] = job.batch.permit()
            if permits[job.batch]:
                self._jobs.append(job)
            else:
                job.settle(Withdrawn())

    def give_back(self, jobs: Sequence[Job], error: SendError) -> None:
        """Take back jobs that provably never left, to go first again; a few times, then they are unreachable."""
        for job in reversed(jobs):
            job.tries += 1
            job.refusal = None
            if self._closed is not None or job.tries >= _TRIES:
                job.settle(Unreachable(DeliveryCode.EMAIL_UNREACHABLE, error.carrier_code, error.carrier_text))
            else:
                self._jobs.appendleft(job)

    def fail_all(self, error: SendError) -> None:
        """Settle everything that waits: there is nobody who could take it."""
        jobs, self._jobs = self._jobs, deque()
        for job in jobs:
            job.settle(error)

    def close(self, error: SendError) -> None:
        """Settle everything that waits, and from now on whatever comes."""
        self._closed = error
        self.fail_all(error)


def _obstacle(job: Job, abilities: Abilities) -> SendError | None:
    """Why a job may not leave now, over a server of these abilities."""
    letter = job.letter
    if not job.batch.permit():
        return Withdrawn()
    if letter.utf8 and not abilities.smtputf8:
        words = "the mail server does not offer SMTPUTF8"
        return RefusedForGood(DeliveryCode.EMAIL_ADDRESS_NOT_SUPPORTED, carrier_text=words)
    letter.sign()
    if 0 < abilities.size < letter.size:
        words = f"the message has {letter.size} octets, the mail server takes {abilities.size}"
        return RefusedForGood(DeliveryCode.EMAIL_TOO_LARGE, carrier_text=words)
    return None
