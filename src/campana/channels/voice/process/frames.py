"""Owns what the main process and a media process say to each other: frames of MessagePack behind a length.

Must not know what either side does with them.
"""

from __future__ import annotations

import struct
from enum import Enum
from typing import Any, Final

import msgspec

from campana.domain.call import CallReport
from campana.domain.outcome import DeliveryCode

LENGTH: Final = struct.Struct(">I")
LONGEST: Final = 1 << 20
"""Octets of a frame at most: what is longer is a defect."""


# --- to the media process ----------------------------------------------------------------------------------------


class Configure(msgspec.Struct, tag=True, frozen=True):
    """The first frame: the route's settings, as VoiceRouteSettings dumps them."""

    settings: dict[str, Any]
    only_checks: bool = False
    """Neither register nor ping: a Check follows, and then the end."""


class Caller(msgspec.Struct, frozen=True):
    """Origination: raw, as the campaign says it; what may not stand on the wire is taken out there."""

    name: str
    number: str


class Script(msgspec.Struct, frozen=True):
    """What is done once a call is answered. Times in milliseconds."""

    clips: dict[str, str]
    """Law (PCMU, PCMA) to the file of finished G.711, 8,000 octets a second, without any header."""
    plays: int
    keys: str
    """Keys that acknowledge: one of them ends the play."""
    waits_for_key: bool
    """After the last play, wait for a key for the route's `key_wait`."""


class Dial(msgspec.Struct, tag=True, frozen=True):
    """Prepare a call. It is not dialled before Go; `call` is a number of the main process's own."""

    call: int
    call_id: str
    """The Call-ID, chosen by the main process since it is what the outcome is matched by."""
    destination: str
    """E.164 with +."""
    caller: Caller
    dial_ms: int
    script: Script


class Go(msgspec.Struct, tag=True, frozen=True):
    """The answer to Ready: dial now."""

    call: int


class Drop(msgspec.Struct, tag=True, frozen=True):
    """The answer to Ready: do not dial. It is answered with Settled(WITHDRAWN)."""

    call: int


class Finish(msgspec.Struct, tag=True, frozen=True):
    """Prepare no further calls; after `grace_ms` hang up those that are left, tell of each, and exit."""

    grace_ms: int


class Check(msgspec.Struct, tag=True, frozen=True):
    """Ask the trunk once whether it is there (and register, where that is configured); answered with Checked."""


# --- to the main process -----------------------------------------------------------------------------------------


class Settling(Enum):
    """How handing a call over ended."""

    ACCEPTED = "accepted"
    """The INVITE left and the trunk has it, as far as is known: Ended will follow, exactly once."""
    UNREACHABLE = "unreachable"
    """It provably reached nobody: no connection, ICMP, no media port. Nothing follows."""
    MISCONFIGURED = "misconfigured"
    """The trunk refuses our credentials or us. Nothing follows."""
    THROTTLED = "throttled"
    """No line was free here, or the trunk asked to slow down before it took the call. Nothing follows."""
    WITHDRAWN = "withdrawn"
    NO_CLIP = "no clip"
    """A file of the script is not there any more: to be spoken again. Nothing follows."""


class Ready(msgspec.Struct, tag=True, frozen=True):
    """All is prepared and the INVITE would leave now: may it? Asked again before each further host of the trunk."""

    call: int


class Settled(msgspec.Struct, tag=True, frozen=True):
    """Handing a call over has ended."""

    call: int
    how: Settling
    carrier_code: str | None = None
    carrier_text: str | None = None


class Ended(msgspec.Struct, tag=True, frozen=True):
    """A call that was accepted is over. `unanswered` is why, where nobody answered."""

    call: int
    report: CallReport
    unanswered: DeliveryCode


class State(msgspec.Struct, tag=True, frozen=True):
    """How the trunk is: `health` is a value of channels.contract.Health."""

    health: str
    reason: str


class Figures(msgspec.Struct, tag=True, frozen=True):
    """Told every second, also as a sign of life: how the media process keeps its pace. Times in milliseconds."""

    calls: int
    late_p99: float
    late_most: float
    packets_sent: int
    packets_heard: int


class Checked(msgspec.Struct, tag=True, frozen=True):
    """What a check found."""

    ok: bool
    facts: list[tuple[str, str]]
    problem: str = ""


ToMedia = Configure | Dial | Go | Drop | Finish | Check
ToMain = Ready | Settled | Ended | State | Figures | Checked

_encode = msgspec.msgpack.Encoder().encode


def pack(frame: ToMedia | ToMain) -> bytes:
    """A frame as it goes through the pipe."""
    body = _encode(frame)
    return LENGTH.pack(len(body)) + body
