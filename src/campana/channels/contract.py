"""Owns what every channel promises the engine: routes that compose, send and tell late news.

Must not know any wire format, any table, or the rules of retrying.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, Protocol

import msgspec

from campana.channels.errors import SendError
from campana.domain.delivery import Medium
from campana.domain.message import Content, IncomingMessage
from campana.domain.outcome import Receipt

NONE_LEFT: Final = "No connection is this process's yet: others may use all of them."
"""Why a route that is allowed no connection is not connected."""

Permit = Callable[[], bool]
"""Asked right before each message is written, perhaps again before its rest is: False means that it must not leave
any more (pause, window, edit, stop)."""


class Parcel(msgspec.Struct, gc=False):
    """One attempt, rendered for one route and ready to be written. A Struct, since one is made for every message."""

    delivery_id: int
    attempt: int
    """1 for the first attempt of this delivery, counting all that were ever made."""
    destination: str
    """SMS: E.164 with +; email: the normalised address."""
    payload: Any
    """What the route's own composer made; opaque to everyone else."""


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """The carrier took the message. A Struct, since one is made for every message.

    `final` is True when nothing more is to be heard of it (email; SMS on a route without receipts): success.
    Otherwise the delivery is *delivering* until a receipt comes for each of `carrier_ids` (one a segment).
    """

    carrier_ids: tuple[str, ...] = ()
    final: bool = False
    carrier_code: str | None = None
    carrier_text: str | None = None


Result = Accepted | SendError
"""What became of a parcel, as the channel knows it."""


class Inbound(Protocol):
    """Where a route tells its news. The calls are quick and never raise.

    They are awaitable because what they bring must be durable before the carrier hears "taken".
    """

    async def receipts(self, batch: Sequence[Receipt]) -> None:
        """Keep late news. On return it is durable, matched or not, and may be acknowledged to the carrier."""

    async def message(self, message: IncomingMessage) -> None:
        """Keep an incoming message. On return it is durable."""

    def route_changed(self, name: str) -> None:
        """A route went up or down."""


class Health(Enum):
    """Whether a route can take messages."""

    UP = "up"
    CONNECTING = "connecting"
    DOWN = "down"


@dataclass(slots=True)
class RouteState:
    """How a route is: for readiness, metrics and people."""

    health: Health = Health.CONNECTING
    since: int = 0
    """Epoch milliseconds of the last change of health."""
    reason: str = ""
    """Why it is not up, in a sentence without secrets."""
    figures: dict[str, float] = field(default_factory=dict)
    """What the route measures of itself, for metrics: names from a closed list of the channel."""


@dataclass(frozen=True, slots=True)
class RouteReport:
    """What `campana routes check` found: facts as (label, value) pairs, and whether messages could leave."""

    ok: bool
    facts: list[tuple[str, str]] = field(default_factory=list)
    problem: str = ""


class Composer(Protocol):
    """Makes parcels of a campaign on a route. What is the same for all contacts was done when the composer was made."""

    def __call__(
        self,
        delivery_id: int,
        attempt: int,
        destination: str,
        text: str | None,
        fields: Mapping[str, str] | None = None,
        /,
    ) -> Parcel:
        """A delivery, its attempt, the dialled destination, and the contact's own text or None, as a parcel.

        With `fields`, by key, merge fields take their places; without, texts go out to the letter. Raises
        RefusedForGood(UNRENDERABLE ...) where no message can be made of it.
        """


class Route(Protocol):
    """A configured way out. One object a route, used from one event loop."""

    name: str
    medium: Medium
    state: RouteState

    @property
    def connections(self) -> int:
        """Connections (SMS: binds, a pair counts as one) that it has, opens or closes right now.

        0 for a route whose connections nobody counts (`RouteSettings.most_connections`).
        """

    def allow(self, connections: int) -> None:
        """Have at most so many connections from now on; without it, as many as the settings say, and never more.

        One that is too many takes no more work, ends when what is in flight on it is answered, and says goodbye. One
        that is missing is opened, as soon as those that end have made room. Allowed none, the route is CONNECTING
        because of NONE_LEFT, and `send` answers Unreachable at once. May be called at any time, before `start` too.
        """

    async def start(self, inbound: Inbound) -> None:
        """Begin to connect in the background and stay connected; returns at once."""

    async def stop(self, budget: float) -> None:
        """Finish what is in flight within `budget` seconds, say goodbye to the carrier and close."""

    def composer(self, content: Content) -> Composer:
        """Prepare what is the same for all contacts. Raises RefusedForGood where nothing can be made of it."""

    async def send(self, parcels: Sequence[Parcel], permit: Permit) -> list[Result]:
        """Write the parcels in order, asking `permit` right before each, and wait for what becomes of them.

        Returns one result a parcel, in the parcels' order, and never raises for a parcel's or the connection's
        sake. A parcel of which any byte was written and no answer came is Uncertain; one that was never written
        is Unreachable. Cancelling is not supported: the engine waits, so the route bounds every wait itself.
        """

    async def query(self, carrier_id: str, source: str, destination: str) -> Receipt | None:
        """Ask the carrier what became of a message that it took; None where it cannot be asked or does not know."""

    async def check(self) -> RouteReport:
        """Connect once, say what was found, and disconnect. Used without `start`. Never raises for the peer's sake."""
