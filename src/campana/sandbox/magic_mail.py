"""Owns the magic recipients of the sandbox mail server: which local part meets which fate, in one table.

Must not know how a fate is carried out (mail.py does), nor be known outside the sandbox.

The domain does not matter, and what follows a plus sign in the local part neither: `full+17@example.com` is
`full@example.com`, so that a campaign can have many of a kind. All other addresses are delivered.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from campana.sandbox.magic_sms import MagicNumber


class Step(Enum):
    """The command that a fate answers."""

    RCPT = "RCPT"
    END = "end of data"


class Answer(Enum):
    """How the end of a message is answered that was not refused."""

    TAKEN = "taken"
    SLOW = "slow"
    """Taken after a while."""
    SILENCE = "silence"
    """Taken, and no answer comes: the connection stays open."""
    LOST = "lost"
    """The first time taken, but the connection is cut in place of the answer."""
    HANG_UP = "hang up"
    """The first time not taken: the connection is cut in place of the answer."""


@dataclass(frozen=True, slots=True)
class Notice:
    """What comes back to the envelope sender of a message that was taken."""

    action: str
    """An action of RFC 3464; `vacation` for a person's auto-reply (RFC 3834)."""
    status: str = ""
    diagnostic: str = ""
    late: bool = False


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of a message, and what Campana is to show of it."""

    local: str
    """The local part; `-N` at its end stands for any number from 1 to 99: how often it is refused."""
    meaning: str
    shows: str
    reply: str = ""
    """The refusal; none where it is empty."""
    step: Step = Step.RCPT
    refusals: int | None = None
    """How many attempts at an address are refused; None for all."""
    answer: Answer = Answer.TAKEN
    notice: Notice | None = None

    @property
    def counted(self) -> bool:
        """The address says how often it is refused."""
        return self.local.endswith("-N")


_UNKNOWN = "550 5.1.1 No such mailbox here"
_GREYLISTED = "451 4.7.1 Greylisted, come again"

DELIVERED: Final = Fate("(any other)", "delivered", "4 success")

FATES: Final = (
    DELIVERED,
    Fate("defer-N", "greylisted N times, then delivered", "5, 404 EmailGreylisted, then 4", _GREYLISTED),
    Fate("defer", "always greylisted", "5 until no attempt is left, then 6, 404 EmailGreylisted", _GREYLISTED),
    Fate("full", "mailbox full", "5 until no attempt is left, then 6, 405 EmailMailboxFull", "452 4.2.2 Mailbox full"),
    Fate("unknown", "no such mailbox", "6, 410 EmailMailboxUnknown", _UNKNOWN),
    Fate("disabled", "mailbox disabled", "6, 411 EmailMailboxDisabled", "550 5.2.1 Mailbox disabled"),
    Fate("nodomain", "no such domain", "6, 412 EmailDomainUnknown", "550 5.1.2 No such domain"),
    Fate("policy", "refused by policy", "6, 415 EmailPolicyRefused", "550 5.7.1 Not authorized", Step.END),
    Fate("spam", "refused as spam", "6, 414 EmailContentRefused", "554 5.7.1 This looks like spam", Step.END),
    Fate("toolarge", "message too large", "6, 416 EmailTooLarge", "552 5.3.4 Message too large", Step.END),
    Fate("throttle-N", "throttled N times", "4; no attempt is used up", "451 4.4.5 Slow down", Step.END),
    Fate("421", "the service closes, once", "5, 402 EmailTemporary, then 4", "421 4.3.2 Closing", refusals=1),
    Fate("slow", "delivered after two seconds", "4 success", answer=Answer.SLOW),
    Fate("hang", "taken, never answered", "uncertain after the route's final_timeout", answer=Answer.SILENCE),
    Fate("lost", "taken, and once the connection is cut unanswered", "uncertain", answer=Answer.LOST),
    Fate("disconnect", "once not taken: the connection is cut", "uncertain", answer=Answer.HANG_UP),
    Fate(
        "bounce",
        "taken, then a bounce: no such mailbox",
        "4, then 6, 410 EmailMailboxUnknown",
        notice=Notice("failed", "5.1.1", f"smtp; {_UNKNOWN}"),
    ),
    Fate(
        "bounce-late",
        "taken, and much later a bounce: given up",
        "4, then 6, 419 EmailBounced",
        notice=Notice("failed", "4.4.7", "smtp; 451 4.4.1 No answer from host", late=True),
    ),
    Fate(
        "delayed",
        "taken, then news that it is delayed",
        "4 success",
        notice=Notice("delayed", "4.4.1", "smtp; 451 4.4.1 No answer from host"),
    ),
    Fate("vacation", "taken, then a holiday note comes back", "4 success", notice=Notice("vacation")),
)

_BY_LOCAL: Final = {fate.local: fate for fate in FATES}


def fate_of(address: str) -> tuple[Fate, int | None]:
    """Return the fate of an address and how often it is refused: None for always, or where it is not at all."""
    local = address.rpartition("@")[0].partition("+")[0].lower()
    fate = _BY_LOCAL.get(local)
    if fate is not None and not fate.counted:
        return fate, fate.refusals
    stem, _, digits = local.rpartition("-")
    counted = _BY_LOCAL.get(f"{stem}-N")
    if counted is not None and digits.isascii() and digits.isdigit() and 1 <= int(digits[:4]) <= 99:
        return counted, int(digits[:4])
    return DELIVERED, None


MAGIC_ADDRESSES: Final = tuple(
    MagicNumber(fate.local if fate is DELIVERED else f"{fate.local}@", "email", fate.meaning, fate.shows)
    for fate in FATES
)
"""The rows of the documented table."""
