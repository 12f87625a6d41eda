"""Owns the magic numbers of the sandbox SMSC: which destination meets which fate, in one table.

Must not know how a fate is carried out (smsc.py does), nor be known outside the sandbox.

A magic number is a fictional one of the North American plan, +1 NPA 555 01XX: its last two digits choose the fate.
All other numbers are delivered.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal


class Answer(Enum):
    """What the sender hears of its submit_sm."""

    TAKEN = "taken"
    SILENCE = "silence"
    """The message is taken, and no answer comes."""
    HANG_UP = "hang up"
    """The first time, the connection is cut and the message is not taken."""


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of a message, and what Campana is to show of it."""

    digits: str
    """The last two digits of the number; "00-79" for the range."""
    meaning: str
    shows: str
    refuse: int = 0
    """command_status of the refusal, 0 for none."""
    refusals: int | None = None
    """How many submissions to a number are refused; None for all."""
    answer: Answer = Answer.TAKEN
    receipts: tuple[str, ...] = ("DELIVRD",)
    """The states told, in order."""
    form: Literal["text", "tlvs", "hex"] = "text"
    """As appendix B writes it; by optional parameters alone; or as text with the id in hexadecimal."""
    early: bool = False
    """The receipt comes before the answer."""
    asked: str = ""
    """The state that query_sm tells; the last receipt's where it is empty."""


_THROTTLED, _QUEUE_FULL = 0x58, 0x14
_SYSTEM_ERROR, _INVALID_DESTINATION, _SUBMIT_FAILED = 0x08, 0x0B, 0x45

DELIVERED: Final = Fate("00-79", "delivered", "4 success")

FATES: Final = (
    DELIVERED,
    Fate("80", "receipt UNDELIV", "6, 210 SmsUndeliverable", receipts=("UNDELIV",)),
    Fate("81", "receipt EXPIRED", "5 until no attempt is left, then 6, 211 SmsExpired", receipts=("EXPIRED",)),
    Fate("82", "receipt REJECTD", "6, 213 SmsRejected", receipts=("REJECTD",)),
    Fate("83", "receipt DELETED", "6, 212 SmsDeleted", receipts=("DELETED",)),
    Fate("84", "receipt UNKNOWN", "6, 214 SmsUnknownFate", receipts=("UNKNOWN",)),
    Fate(
        "85",
        "no receipt ever; query_sm says delivered",
        "3 until the route's receipt_timeout, then 4",
        receipts=(),
        asked="DELIVRD",
    ),
    Fate(
        "86",
        "no receipt ever; query_sm says that it is on its way",
        "3 until the route's receipt_timeout, then by the campaign's policy: 6, 215 SmsReceiptMissing",
        receipts=(),
        asked="ENROUTE",
    ),
    Fate("87", "throttled three times, then taken", "4 success; no attempt is used up", _THROTTLED, 3),
    Fate("88", "always throttled", "1, and the route slows down", _THROTTLED),
    Fate("89", "refused: ESME_RINVDSTADR", "6, 204 SmsInvalidDestination", _INVALID_DESTINATION),
    Fate("90", "refused once: ESME_RSYSERR, then taken", "5, 203 SmsTemporary, then 4", _SYSTEM_ERROR, 1),
    Fate("91", "refused: ESME_RSUBMITFAIL", "6, 207 SmsRefused", _SUBMIT_FAILED),
    Fate("92", "queue full once, then taken", "4 success; no attempt is used up", _QUEUE_FULL, 1),
    Fate("93", "the receipt comes before the answer", "4 success", early=True),
    Fate("94", "the receipt comes twice", "4 success", receipts=("DELIVRD", "DELIVRD")),
    Fate("95", "receipts out of order: DELIVRD, then ENROUTE", "4 success", receipts=("DELIVRD", "ENROUTE")),
    Fate(
        "96",
        "the connection is cut instead of an answer, once; not taken",
        "by the campaign's policy: 6, 106 Uncertain; with resend 5, then 4",
        answer=Answer.HANG_UP,
    ),
    Fate(
        "97",
        "taken, and no answer ever comes",
        "by the campaign's policy: 6, 106 Uncertain",
        answer=Answer.SILENCE,
        receipts=(),
        asked="DELIVRD",
    ),
    Fate(
        "98",
        "the receipt spells the id in hexadecimal",
        'on a route with receipt_ids="hex" 4; otherwise as 85',
        form="hex",
    ),
    Fate("99", "the receipt comes by optional parameters alone", "4 success", form="tlvs"),
)

_BY_DIGITS: Final = {fate.digits.encode(): fate for fate in FATES[1:]}


def fate_of(address: bytes) -> Fate:
    """The fate of a destination, given as the digits on the wire (+ already taken off)."""
    if len(address) == 11 and address[4:9] == b"55501" and address[:1] == b"1":
        return _BY_DIGITS.get(address[9:], DELIVERED)
    return DELIVERED


@dataclass(frozen=True, slots=True)
class MagicNumber:
    """One row of the documented table."""

    pattern: str
    channel: str
    meaning: str
    shows: str


MAGIC_NUMBERS: Final = tuple(
    MagicNumber(f"+1 NPA 555 01{fate.digits}", "sms", fate.meaning, fate.shows) for fate in FATES
)
