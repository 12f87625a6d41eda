"""Owns the part of the store contract that the engine uses: planning, leases, outcomes, receipts and sweeps.

Must not know which database it is. Instants are epoch milliseconds; every change is durable when it returns. The
callables that are handed in run inside the transaction, perhaps in another thread: they must be quick and pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from campana.domain.delivery import Medium
from campana.domain.message import Content, IncomingMessage
from campana.domain.outcome import Change, DeliveryCode, Receipt
from campana.domain.person import Person
from campana.domain.retry import RetryRule
from campana.storage.store import CampaignRow


class LeaseLost(Exception):
    """The lease lapsed and somebody else has the chunk: what its former owner knows may no longer be written."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Chunks of a lane that nobody has claimed: how many, and from when and until when they may be claimed."""

    chunks: int
    first_opens: int
    last_opens: int
    first_closes: int
    last_closes: int


@dataclass(frozen=True, slots=True)
class Lane:
    """A campaign on one medium, as the planner sees it."""

    campaign: int
    medium: Medium
    account: int
    fresh: int
    """Contacts that were never planned."""
    next_due: int | None
    """The earliest moment of what is to be planned one by one."""
    waiting: Waiting | None
    """None where no chunk waits."""


@dataclass(frozen=True, slots=True)
class Cut:
    """An order to cut one chunk from a lane: at most `limit` deliveries, to be claimed within its window."""

    campaign: int
    medium: Medium
    limit: int
    turn: int
    opens_at: int
    closes_at: int


class ClaimedDelivery(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A delivery of a claimed chunk. A Struct, since one is made for every message."""

    id: int
    dial: str
    text: str | None
    attempt: int
    attempts_left: int
    revision: int


@dataclass(slots=True)
class Lease:
    """The right to send a chunk until `until`, as long as nobody has a later epoch."""

    chunk: int
    campaign: int
    medium: Medium
    owner: str
    epoch: int
    until: int
    turn: int
    closes_at: int
    deliveries: list[ClaimedDelivery]
    recorded: int = 0
    """How many of them its steps have recorded so far. The store counts."""


@dataclass(frozen=True, slots=True)
class ClaimQuery:
    """Who claims what: the media with room, and the lanes and chunks that are to be passed over for now."""

    owner: str
    media: tuple[Medium, ...]
    now: int
    until: int
    except_lanes: tuple[tuple[int, int], ...] = ()
    except_chunks: tuple[int, ...] = ()


class Judged(msgspec.Struct, frozen=True, gc=False):
    """An attempt that was judged, ready to be recorded. A Struct, since one is made for every message."""

    delivery: int
    attempt: int
    change: Change
    route: str
    at: int
    carrier_ids: tuple[str, ...] = ()
    carrier_code: str | None = None
    carrier_text: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a lease: record what is judged, and allow `upcoming` deliveries (rising ids, perhaps none) to be
    handed over."""

    lease: Lease
    judged: Sequence[Judged]
    upcoming: Sequence[int]
    now: int


@dataclass(frozen=True, slots=True)
class Handover:
    """A message that a carrier took and has not told the end of."""

    id: int
    route: str
    carrier_id: str
    delivery: int
    attempt: int
    at: int
    """Epoch milliseconds since which its receipt is waited for; moves when the carrier is asked."""
    first_at: int
    """Epoch milliseconds at which the attempt was recorded."""
    dial: str
    revision: int


@dataclass(frozen=True, slots=True)
class KeptMessage:
    """A message that a person sent to us, with the delivery that last went to that person on that medium (which may
    have been removed since; its id is never another's)."""

    id: int
    at: int
    route: str
    medium: Medium
    source: str
    destination: str
    text: str
    delivery: int | None


Rules = Callable[[CampaignRow, Medium], RetryRule]
"""How a campaign's deliveries go again on a medium."""


class Moved(msgspec.Struct, frozen=True, gc=False):
    """What late news or a sweep did, for counters: one entry a delivery that moved."""

    campaign: int
    medium: Medium
    code: DeliveryCode
    retry: bool


@dataclass(frozen=True, slots=True)
class LateAnswer:
    """What late news did, and how much of it belongs to nothing yet."""

    moved: list[Moved]
    unmatched: int = 0


class River(Protocol):
    """What the engine asks of the database for planning, leasing and recording."""

    async def lanes(self, campaign: int | None = None) -> list[Lane]:
        """Every lane (or one campaign's) with an enabled medium that has something to plan or chunks that wait;
        no deleted campaign's."""

    async def plan(self, cuts: Sequence[Cut], now: int) -> list[int]:
        """Cut chunks: what is due first, then fresh contacts. One size for each cut, 0 where nothing was due.

        It may also be 0 where much had to be passed over that is not to be sent: what the lane still has as `fresh`
        is then to be cut next.
        """

    async def gate(self, campaign: int, medium: Medium, opens_at: int, closes_at: int) -> None:
        """Move the window of a lane's chunks that nobody has claimed."""

    async def claim(self, query: ClaimQuery) -> Lease | None:
        """Lease the chunk whose turn is next, and set its deliveries to *sending*.

        Only chunks within their window whose campaign is neither paused nor deleted and has the medium enabled; only
        deliveries that wait, are due and have attempts left. None where there is no such chunk.
        """

    async def split(self, lease: Lease, groups: Sequence[Sequence[ClaimedDelivery]]) -> list[Lease]:
        """Replace a fresh lease by one a group. Raises LeaseLost."""

    async def step(self, step: Step) -> frozenset[int]:
        """Record what is judged and move the mark, in one transaction. Raises LeaseLost; then nothing was written.

        Returns the upcoming ids that must not be sent after all, since they were cancelled meanwhile.
        """

    async def release(self, step: Step, opens_at: int) -> bool:
        """Record what is judged and end the lease. What was not handed over waits again, to be claimed from
        `opens_at` on; True where there is such. `upcoming` is not looked at. Raises LeaseLost."""

    async def heartbeat(self, owner: str, epochs: Mapping[int, int], until: int) -> frozenset[int]:
        """Extend leases of an owner, by chunk and epoch, and only these: one whose carrier failed is to lapse.

        Returns the chunks that the owner still has; the others were lost, or have ended.
        """

    async def sweep(self, lapsed_before: int, rules: Rules, now: int) -> list[Moved]:
        """End leases that lapsed before that instant: above the mark it waits again, below it is uncertain and goes
        by the rule."""

    async def sweep_over(self, now: int) -> bool:
        """Cancel some of what waits of campaigns that were deleted or cancelled. True where there may be more to do."""

    async def content(self, campaign: int, revision: int, medium: Medium) -> Content | None:
        """What a campaign's revision says on a medium; None where it says nothing there."""

    async def persons(self, campaign: int, deliveries: Sequence[int]) -> dict[int, Person | None]:
        """Who the contacts of deliveries are, by delivery: for texts that take something of them."""

    async def oldest_due(self, now: int) -> dict[Medium, int]:
        """For each medium the moment since which its oldest claimable chunk waits."""


class LateNews(Protocol):
    """What the engine asks of the database for receipts, bounces and incoming messages."""

    async def receipts(self, batch: Sequence[Receipt], rules: Rules, now: int) -> LateAnswer:
        """Keep late news: apply what can be matched, forward only, and store what cannot for its send to come.

        What a receipt tells of a call is kept with the call's attempt, in the same transaction."""

    async def settle_early(self, rules: Rules, now: int) -> LateAnswer:
        """Apply the stored receipts whose send has been recorded meanwhile."""

    async def purge_early(self, before: int) -> None:
        """Forget stored receipts that came before that instant and belong to nothing."""

    async def overdue(self, route: str, before: int, now: int, limit: int) -> list[Handover]:
        """Messages of a route taken before that instant of which no final receipt came, oldest first.

        It reads what is older than `before`, however much is younger.
        """

    async def calls_of(self, process: str, limit: int) -> list[Handover]:
        """Calls of which no end was told, those whose ids begin with the mark of a process (8 hexadecimal digits)."""

    async def routes(self) -> list[str]:
        """The names of all routes of which receipts are waited for. It may take a while: to be asked once."""

    async def postpone(self, handover: Handover, now: int) -> None:
        """The carrier was asked and is still at it: ask again later."""

    async def missing(self, handover: Handover, rules: Rules, now: int) -> LateAnswer:
        """Nobody knows what became of it: it is uncertain and goes by the rule."""

    async def incoming(self, message: IncomingMessage) -> None:
        """Keep a message with the delivery that last went to its source."""

    async def messages(self, after: int = 0, limit: int = 100) -> list[KeptMessage]:
        """Messages with an id above `after`, in the order in which they came."""
