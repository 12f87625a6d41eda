"""Owns what the SIP side promises those who place calls: invitations, what is told of a call, and how it ended.

Must not know messages, transactions or sound.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from campana.channels.voice.sip.flow import Target
from campana.channels.voice.sip.problem import Problem
from campana.channels.voice.sip.uri import Transport
from campana.domain.call import HungUpBy


@dataclass(frozen=True, slots=True)
class Timers:
    """The times of RFC 3261, table 4, from which all others follow. In seconds."""

    t1: float = 0.5
    """An estimate of the round trip: the first retransmission."""
    t2: float = 4.0
    """The longest pause between retransmissions of anything but an INVITE."""
    t4: float = 5.0
    """How long a message may still be under way."""

    @property
    def transaction(self) -> float:
        """Timers B, D, F, H, J, L and M: how long a transaction waits for the other side."""
        return 64 * self.t1

    @property
    def host(self) -> float:
        """How long a host may say nothing at all where there is a further one."""
        return 8 * self.t1

    @property
    def late(self) -> float:
        """How long answers to an INVITE that was given up are still looked after: as long as a proxy's timer C."""
        return 360 * self.t1


class TrunkState(Enum):
    """How the trunk is. The values are those of channels.contract.Health."""

    UP = "up"
    CONNECTING = "connecting"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Invitation:
    """What a call needs to be dialled."""

    call_id: str
    destination: str
    """The user part of the Request-URI, already formatted and cleaned."""
    from_header: str
    """An address without a tag."""
    identity: tuple[tuple[str, str], ...]
    """Headers beside From that say who calls."""
    offer: Callable[[Target], bytes]
    """SDP for a host: sound leaves by the way that leads there. Raises OSError where none does."""
    dial_ms: int
    """Milliseconds from the first INVITE to the answer, at most."""


@dataclass(frozen=True, slots=True)
class LegEnded:
    """How a call ended, or the attempt at one."""

    by: HungUpBy
    status: int | None
    """The final response to the INVITE; None where there was none."""
    reason: str
    """The other side's own words."""
    q850: int | None
    """Cause value (ITU-T Q.850), where a Reason header told one (RFC 3326)."""
    problem: Problem | None
    """Why, where the final response does not say it."""
    may_have_arrived: bool = False
    """An INVITE left whose end is not known: whatever decided the call, somebody may have been reached by it."""


class LegEvents(Protocol):
    """Who is told of a call. The calls come in the event loop's thread, outside of `place`, and never raise."""

    def sent(self) -> None:
        """The INVITE left for the first time."""

    def responded(self, status: int) -> None:
        """A response to the INVITE came: each provisional one, and the final one that was not handled inside."""

    def early_media(self, answer: bytes) -> None:
        """SDP came before the answer."""

    def answered(self, answer: bytes) -> None:
        """It was answered, and the ACK is on its way. `answer` is b"" where no SDP came at all."""

    def digit(self, key: str, ms: int) -> None:
        """A key was pressed, told by INFO; `ms` is 0 where its length is not told. Only after `answered`."""

    def reoffered(self, offer: bytes) -> bytes | None:
        """The other side offers sound anew; returns our SDP, or None to refuse (488). For b"" it asks for an offer."""

    def reanswered(self, answer: bytes) -> None:
        """The answer to an offer that `reoffered(b"")` made."""

    def ended(self, ended: LegEnded) -> None:
        """It is over. Told exactly once, as the last."""


class Leg(Protocol):
    """One call."""

    call_id: str

    @property
    def is_answered(self) -> bool:
        """Whether it was answered and is not over."""

    def hang_up(self) -> None:
        """End it as its state wants: CANCEL after a provisional, BYE, or nothing. `ended` follows."""


class Locator(Protocol):
    """Where the trunk's hosts are (RFC 3263)."""

    async def targets(self) -> list[Target]:
        """The places to try, in order; none where nothing could be found out."""

    async def resolve(self, host: str, port: int | None, transport: Transport) -> list[Target]:
        """The places that a URI's host stands for, in order; none where it leads nowhere."""

    def failed(self, target: Target) -> None:
        """It did not answer: others are to be tried before it for a while."""

    def worked(self, target: Target) -> None:
        """It answered."""
