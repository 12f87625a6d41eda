"""Owns what the demo's campaign says and to whom: a dozen people whose destinations meet a dozen fates.

Must not know how a campaign is added, nor what becomes of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from campana.domain.delivery import Medium
from campana.sandbox import magic_mail, magic_sms


@dataclass(frozen=True, slots=True)
class Person:
    """A contact of the demo. A medium without a destination is not tried."""

    name: str
    sms: str = ""
    email: str = ""
    sms_text: str = ""
    """Instead of the campaign's text."""
    attempts: int = 0
    """RetryCount; 0 leaves it to the server."""


NAME: Final = "Water off on Thursday"
SMS_FROM: Final = "Waterworks"
SMS_TEXT: Final = "No water in Mill Street on Thursday, 9:00 to 12:00. We are sorry!"
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
    Person("Ada", sms="+12025550100", email="ada@example.com"),
    Person("Bruno", sms="+12125550190", email="defer-1@example.com"),
    Person("Chen", sms="+13125550180", email="unknown@example.com"),
    Person("Dina", sms="+14155550189", email="bounce@example.com"),
    Person("Emeka", sms="+16175550181", attempts=2),
    Person("Farid", sms="+17135550187", email="throttle-1@example.com"),
    Person("Grace", sms="+13035550185", email="full@example.com", attempts=2),
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
    fate, refusals = magic_mail.fate_of(destination)
    if not fate.counted or refusals is None:
        return fate.meaning
    return fate.meaning.replace("N times", "once" if refusals == 1 else f"{refusals} times")
