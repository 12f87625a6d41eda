"""Owns the magic numbers of the sandbox's telephones: which number meets which fate when called, in one table.

Must not know how a fate is carried out (sip_call.py does), nor be known outside the sandbox.

A magic number is a fictional one of the North American plan, +1 NPA 555 01XX: its last two digits choose the fate.
Those of calls are 40 to 69, at which every SMS is delivered. All other numbers answer and listen to the end.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from campana.sandbox.magic_sms import MagicNumber


@dataclass(frozen=True, slots=True)
class Fate:
    """What a telephone does when it is called, and what Campana is to show of it."""

    digits: str
    """The last two digits of the number; blank for all others."""
    meaning: str
    shows: str
    trying: bool = True
    """Whether anything at all is said to an INVITE."""
    ringing: int = 180
    """The provisional response that says it rings; 0 for none."""
    ring: float | None = None
    """Seconds until it answers or refuses; None takes the simulator's."""
    answers: bool = True
    """False rings for ever."""
    refuse: int = 0
    """Status of the refusal, 0 for none."""
    cause: int = 0
    """Q.850 cause told with it (RFC 3326), 0 for none."""
    hangs_up: bool = False
    """Hangs up soon after the text has begun."""
    times: int | None = None
    """How many calls to a number are refused or hung up on; None for all."""
    greets: bool = False
    """Speaks and beeps before it listens."""
    presses: str = ""
    """Keys pressed soon after the text has begun."""
    by_info: bool = False
    """Keys go by INFO instead of RTP (RFC 4733)."""


LISTENS: Final = Fate("", "answers and listens to the end", "4 success")

FATES: Final = (
    LISTENS,
    Fate(
        "40",
        "hangs up one second after the text began",
        "5 until no attempt is left, then 6, 305 VoiceCutShort",
        hangs_up=True,
    ),
    Fate("41", "hangs up early once, then listens", "5, 305 VoiceCutShort, then 4", hangs_up=True, times=1),
    Fate("42", "busy: 486", "5 until no attempt is left, then 6, 303 VoiceBusy", refuse=486, cause=17),
    Fate("43", "busy once, then listens", "5, 303 VoiceBusy, then 4", refuse=486, cause=17, times=1),
    Fate("44", "rings for ever", "5 until no attempt is left, then 6, 304 VoiceNoAnswer", answers=False),
    Fate("45", "no such number: 404", "6, 310 VoiceNumberUnknown", ringing=0, refuse=404, cause=1),
    Fate("46", "declines: 603", "6, 311 VoiceDeclined", refuse=603, cause=21),
    Fate("47", "voicemail: greets, beeps, then listens", "4 success", greets=True),
    Fate(
        "48", "presses 1 while listening", "4 success; where the campaign waits for that key, acknowledged", presses="1"
    ),
    Fate(
        "49",
        "presses 5 while listening, told by INFO",
        "4 success; where the campaign waits for 1, 306 VoiceNotAcknowledged",
        presses="5",
        by_info=True,
    ),
    Fate(
        "50",
        "the network fails: 500",
        "5 until no attempt is left, then 6, 301 VoiceUnreachable",
        ringing=0,
        refuse=500,
        cause=38,
    ),
    Fate(
        "51",
        "no line is free: 503",
        "5 until no attempt is left, then 6, 302 VoiceCongested",
        ringing=0,
        refuse=503,
        cause=34,
    ),
    Fate("52", "no common media: 488", "6, 312 VoiceNoCommonMedia", ringing=0, refuse=488),
    Fate("53", "answers after four seconds", "4 success", ring=4.0),
    Fate("54", "plays a ringing tone (183), then answers", "4 success", ringing=183),
    Fate("55", "answers without ringing", "4 success", ringing=0, ring=0.0),
    Fate(
        "56",
        "says nothing at all",
        "5 until no attempt is left, then 6, 301 VoiceUnreachable",
        trying=False,
        ringing=0,
        answers=False,
    ),
    Fate("57", "refused by the carrier: 403", "5 until no attempt is left, then 6, 308 VoiceRefused", refuse=403),
)

_MAGIC: Final = re.compile(r"(?:\+|00|011)?1?[2-9][0-9]{2}55501(?P<digits>[0-9]{2})")
_BY_DIGITS: Final = {fate.digits: fate for fate in FATES[1:]}


def fate_of(number: str) -> Fate:
    """The fate of a number, written in any of the ways that a North American one is dialled."""
    found = _MAGIC.fullmatch(number)
    return _BY_DIGITS.get(found["digits"], LISTENS) if found else LISTENS


MAGIC_TELEPHONES: Final = tuple(
    MagicNumber(f"+1 NPA 555 01{fate.digits}" if fate.digits else "(any other)", "voice", fate.meaning, fate.shows)
    for fate in FATES
)
