"""How the course of a campaign is shown on a terminal."""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime

from rich.console import Console

from campana.cli.watching import watched
from campana.client import Balance, Campaign, Email, Sms

CAMPAIGN = Campaign(
    id="c1",
    name="Autumn [bold]",
    created_at=datetime(2026, 11, 28, tzinfo=UTC),
    sms=Sms(enabled=True),
    email=Email(enabled=True),
)
NOBODY = {"do_not_try": 5}


def balance(state: str, sms: dict[str, int], email: dict[str, int]) -> Balance:
    return Balance(contacts=5, sms=sms, voice=NOBODY, email=email, finished=state == "finished", state=state)  # type: ignore[arg-type]  # names of statuses


def test_each_medium_has_a_bar_that_says_what_became_of_whom() -> None:
    printed = io.StringIO()
    console = Console(file=printed, force_terminal=True, width=120)
    course = [
        balance("running", {"pending": 3, "delivering": 1, "success": 1}, {"do_not_try": 3, "pending": 2}),
        balance("finished", {"success": 3, "permanent_failure": 2}, {"do_not_try": 3, "success": 1, "cancelled": 1}),
    ]
    assert watched(CAMPAIGN, iter(course), console=console) is course[-1]
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", printed.getvalue())
    last = [" ".join(line.split()) for line in re.split(r"[\r\n]+", text) if line.strip()][-3:]
    assert re.fullmatch(r"Autumn \[bold\] \S+ 1/1 finished 0:00:0\d", last[0]), last
    assert re.fullmatch(r"SMS \S+ 5/5 3 reached, 2 failed 0:00:0\d", last[1]), last
    assert re.fullmatch(r"email \S+ 2/2 1 reached, 1 cancelled 0:00:0\d", last[2]), last
