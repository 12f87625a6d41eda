"""Owns the call: what a campaign asks of one, and what became of one.

Must not know how a call is placed, what any code of a telephone network means, or when a call counts as delivered.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import msgspec

KEYS = frozenset("0123456789*#ABCD")
"""What a telephone can press (ITU-T Q.23)."""


class VoiceSuccess(Enum):
    """When a call has delivered its message."""

    HEARD = "heard"
    """The text was heard to its end at least once, or an acknowledging key was pressed."""
    ANSWERED = "answered"
    ACKNOWLEDGED = "acknowledged"
    """An acknowledging key was pressed."""


class HungUpBy(Enum):
    """Who ended a call, or the attempt at one."""

    CALLEE = "callee"
    US = "us"
    NETWORK = "network"
    """Neither: a connection was lost, or the carrier refused."""


@dataclass(frozen=True, slots=True)
class CallPlan:
    """What a campaign says of its calls beside the text, frozen by its revision."""

    dial_ms: int
    """Milliseconds from the INVITE to the answer, at most."""
    plays: int
    """How often the text is played, at most."""
    calling_name: str = ""
    voice: str = ""
    """The voice as the client named it; what it is resolved to is up to the speech engines."""
    success: VoiceSuccess = VoiceSuccess.HEARD
    acknowledge_keys: str = ""
    """Keys that acknowledge; pressing one ends the play. Blank: none, but `1` where success asks for one."""

    @property
    def keys(self) -> str:
        """The keys that acknowledge in fact."""
        if not self.acknowledge_keys and self.success is VoiceSuccess.ACKNOWLEDGED:
            return "1"
        return self.acknowledge_keys


class CallReport(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one call, as the person and the wire lived it. Instants are epoch milliseconds."""

    began_at: int
    """When the INVITE left."""
    ended_at: int
    ringing_ms: int | None = None
    """From the first 180 or 183 to the answer or the end; None where it never rang."""
    answered_at: int | None = None
    heard_ms: int = 0
    """How much of the text was played while they were on the line, all plays together."""
    plays: int = 0
    """Plays that came to their end."""
    digits: str = ""
    """Keys pressed from answer to hang-up, in order."""
    acknowledged: bool = False
    ended_by: HungUpBy = HungUpBy.NETWORK
    sip_status: int | None = None
    """The final response to the INVITE; None where there was none."""
    q850: int | None = None
    """Cause value (ITU-T Q.850), where a Reason header told one (RFC 3326)."""
    reason: str = ""
    """The carrier's own words."""
