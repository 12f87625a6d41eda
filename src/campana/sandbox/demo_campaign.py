"""Owns what the demo's campaign says and to whom: a dozen people whose destinations meet a dozen fates.

Must not know how a campaign is added, nor what becomes of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from campana.domain.delivery import Medium
from campana.sandbox import magic_mail, magic_sms, magic_voice


@dataclass(frozen=True, slots=True)
class Person:
    """A contact of the demo. A medium without a destination is not tried."""

    name: str
    sms: str = ""
    email: str = ""
    sms_text: str = ""
    """Instead of the campaign's text."""
    attempts: int = 0
    """RetryCount of SMS and email; 0 leaves it to the server."""
    voice: str = ""
    voice_attempts: int = 0
    """RetryCount of calls; 0 leaves it to the campaign."""


NAME: Final = "Water off on Thursday"
SMS_FROM: Final = "Waterworks"
SMS_TEXT: Final = "No water in Mill Street on Thursday, 9:00 to 12:00. We are sorry!"
CALLING_NAME: Final = "Waterworks"
CALLING_NUMBER: Final = "+12025550100"
SPOKEN_TEXT: Final = "No water on Thursday, from nine to twelve."
DIAL_MS: Final = 3_000
PLAYS: Final = 2
CALL_ATTEMPTS: Final = 3
RETRY_MINUTES: Final = 0
"""The next call at once: nobody wants to wait for minutes here."""
EMAIL_FROM: Final = "Town Waterworks <notices@waterworks.example>"
EMAIL_SUBJECT: Final = "No water in Mill Street on Thursday"
EMAIL_HTML: Final = """\
<h1>No water on Thursday</h1>
<p>We replace a valve in <b>Mill Street</b>: the water is off from <b>9:00 to 12:00</b>.</p>
<p><a href="https://waterworks.example/notices">All notices</a></p>
"""

_POLISH: Final = (
    "W czwartek od 9:00 do 12:00 na ulicy Młyńskiej nie będzie wody: wymieniamy zawór. "
    "Przepraszamy za utrudnienia. Wodociągi Miejskie"
)

PEOPLE: Final = (
    Person("Ada", sms="+12025550100", email="ada@example.com", voice="+12025550100"),
    Person("Bruno", sms="+12125550190", email="defer-1@example.com", voice="+12125550141"),
    Person("Chen", sms="+13125550180", email="unknown@example.com", voice="+13125550143"),
    Person("Dina", sms="+14155550189", email="bounce@example.com", voice="+14155550144", voice_attempts=1),
    Person("Emeka", sms="+16175550181", attempts=2, voice="+16175550147"),
    Person("Farid", sms="+17135550187", email="throttle-1@example.com", voice="+17135550148"),
    Person("Grace", sms="+13035550185", email="full@example.com", attempts=2, voice="+13035550145"),
    Person("Hana", sms="+12065550194", email="vacation@example.com"),
    Person("Iris", email="spam@example.com"),
    Person("Jan", sms="+15035550102", email="jan@example.com", sms_text=_POLISH),
    Person("Kofi", sms="+14045550193", email="disabled@example.com"),
    Person("Lea", sms="+16025550197", email="lea@example.com"),
)


def fate_in_words(medium: Medium, destination: str) -> str:
    """What the sandbox does to messages for a destination, as its table says it."""
    if medium is Medium.SMS:
        return magic_sms.fate_of(destination.removeprefix("+").encode("ascii", "replace")).meaning
    if medium is Medium.VOICE:
        return magic_voice.fate_of(destination).meaning
    fate, refusals = magic_mail.fate_of(destination)
    if not fate.counted or refusals is None:
        return fate.meaning
    return fate.meaning.replace("N times", "once" if refusals == 1 else f"{refusals} times")
