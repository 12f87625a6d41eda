"""Owns what the demo shows: calls, messages as they arrive, and how every contact stands, live or line by line.

Must not know where any of it comes from. On a terminal a table stays in place below the lines; elsewhere (a file, a
pipe, CI) every change is a line of its own, and nothing is coloured or redrawn.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Final

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from campana.domain.delivery import Medium, Status
from campana.domain.outcome import DELIVERY_ERRORS, DeliveryCode
from campana.sandbox.demo_campaign import PEOPLE, fate_in_words
from campana.sandbox.demo_client import Outcome, Standing
from campana.sandbox.mail_boxes import ReceivedMail
from campana.sandbox.sip_phones import EndedBy, Moment, PhoneCall
from campana.sandbox.sip_transactions import REASONS
from campana.sandbox.smsc_phones import Received
from campana.storage.store import AttemptRow

_STATUS: Final = {
    Status.DO_NOT_TRY: ("0 none", "dim"),
    Status.PENDING: ("1 pending", "dim"),
    Status.SENDING: ("2 sending", "cyan"),
    Status.DELIVERING: ("3 delivering", "cyan"),
    Status.SUCCESS: ("4 success", "green"),
    Status.WAITING_FOR_RETRY: ("5 retry", "yellow"),
    Status.PERMANENT_FAILURE: ("6 failure", "red"),
    Status.CANCELLED: ("7 cancelled", "dim"),
}
_COLUMNS_FOR_FATES: Final = 116
_COLUMNS_FOR_ERRORS: Final = 110
"""For three media side by side."""
_PLAIN_COLUMNS: Final = 120


class Screen:
    """The demo's terminal. Used from one thread."""

    def __init__(self, console: Console | None = None, *, live: bool | None = None) -> None:
        """`live` None means a live table exactly on a terminal that can redraw."""
        self._console = console or Console(highlight=False)
        self._can_redraw = self._console.is_terminal and not self._console.is_dumb_terminal
        self._is_live = self._can_redraw if live is None else live
        if not self._console.is_terminal:
            self._console.width = _PLAIN_COLUMNS
        self._live: Live | None = None
        self._known: dict[tuple[str, Medium], Standing] = {}

    # --- lines -----------------------------------------------------------------------------------------------------

    def say(self, sentence: str = "") -> None:
        """A line of ours, as it is: never wrapped, so that it can be copied."""
        self._console.print(Text(sentence), soft_wrap=True)

    def title(self, sentence: str) -> None:
        """A heading."""
        self._console.print(Text(sentence, style="bold"), soft_wrap=True)

    def called(self, operation: str, about: str, seconds: float) -> None:
        """A SOAP call was answered with success."""
        self._line("SOAP", "blue", Text.assemble((operation, "bold"), f" {about}"), f"  {seconds * 1_000:.0f} ms")

    def sms(self, message: Received) -> None:
        """A phone has a message."""
        parts = f"  {message.parts} parts" if message.parts > 1 else ""
        self._line("SMS", "green", Text.assemble((message.destination, "bold"), f" {message.text}"), parts)

    def call(self, call: PhoneCall, moment: Moment) -> None:
        """A telephone has lived through something."""
        words = _words_of_call(call, moment)
        if words:
            kept = f"  {call.wav.parent.name}/{call.wav.name}" if call.wav and moment is Moment.ENDED else ""
            self._line("voice", "cyan", Text.assemble((call.number, "bold"), f" {words}"), kept)

    def mail(self, message: ReceivedMail) -> None:
        """A mailbox has a message."""
        to = ", ".join(message.recipients)
        self._line("email", "magenta", Text.assemble((to, "bold"), f" {message.subject}"))

    def _line(self, kind: str, style: str, text: Text, after: str = "") -> None:
        clock = time.strftime("%H:%M:%S")
        head = Text.assemble((clock, "dim"), "  ", (f"{kind:<6}", style), "  ")
        room = self._console.width - head.cell_len - len(after)
        if self._console.is_terminal:
            text.truncate(max(room, 20), overflow="ellipsis")
        self._console.print(Text.assemble(head, text, (after, "dim")), soft_wrap=True)

    # --- how it stands ---------------------------------------------------------------------------------------------

    def stands(self, standings: Sequence[Standing]) -> None:
        """Show how every contact stands now."""
        before = self._known
        self._known = {(standing.name, standing.medium): standing for standing in standings}
        if self._is_live:
            if self._live is None:
                self._live = Live(console=self._console, auto_refresh=False, transient=True)
                self._live.start()
            self._live.update(Group("", self._overview()), refresh=True)
            return
        for key, standing in self._known.items():
            was = before.get(key)
            if not self._can_redraw and (was is None or was.status is not standing.status):
                self._line(
                    "status", "yellow", Text.assemble(f"{standing.name} {_medium(standing)} ", _status(standing))
                )

    def close(self) -> None:
        """Give the terminal back."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def over(self, outcome: Outcome, calls: Sequence[AttemptRow] = ()) -> None:
        """Show the campaign's end: every call, and every contact on every medium."""
        self.close()
        if calls:
            self._console.print()
            self._console.print(self._calls(calls, outcome.names))
        self._console.print()
        self._console.print(self._results(outcome.standings))
        statuses = [standing.status for standing in outcome.standings]
        reached, failed = statuses.count(Status.SUCCESS), statuses.count(Status.PERMANENT_FAILURE)
        rest = len(statuses) - reached - failed
        self._console.print()
        verdict = "is over after" if outcome.finished else "is NOT over, even after"
        self.title(f"The campaign {verdict} {outcome.seconds:.1f} s.")
        self.title(f"{len(statuses)} deliveries = {reached} reached + {failed} failed + {rest} still open")
        if outcome.finished:
            self.say("What failed was to fail: those destinations ask the sandbox for it.")

    def _overview(self) -> Table:
        table = _table("contact", "SMS", "voice", "email")
        show = _status if self._console.width >= _COLUMNS_FOR_ERRORS else _brief_status
        for person in PEOPLE:
            cells = [self._known.get((person.name, medium)) for medium in (Medium.SMS, Medium.VOICE, Medium.EMAIL)]
            table.add_row(person.name, *(show(cell) if cell else Text("-", style="dim") for cell in cells))
        return table

    def _calls(self, attempts: Sequence[AttemptRow], names: Mapping[str, str]) -> Table:
        table = _table("call to", "attempt", "rang", "heard", "plays", "keys", "SIP", "ended by")
        table.add_column("it is", no_wrap=True)
        for attempt in attempts:
            if attempt.call is not None:
                call, (word, style) = attempt.call, _STATUS[attempt.status]
                answered = call.answered_at is not None
                table.add_row(
                    names.get(attempt.contact, ""),
                    str(attempt.attempt),
                    _seconds(call.ringing_ms),
                    _seconds(call.heard_ms if answered else None),
                    str(call.plays) if answered else "-",
                    call.digits or "-",
                    str(call.sip_status or "-"),
                    call.ended_by.value,
                    Text(f"{word} {_error_name(attempt.code)}".rstrip(), style=style),
                )
        return table

    def _results(self, standings: Sequence[Standing]) -> Table:
        with_fates = self._console.width >= _COLUMNS_FOR_FATES
        table = _table("contact", "medium", "destination", *(("in the sandbox",) if with_fates else ()))
        table.add_column("status", no_wrap=True)
        table.add_column("last error", no_wrap=True)
        last = ""
        for standing in standings:
            fate = [fate_in_words(standing.medium, standing.destination)] if with_fates else []
            word, style = _STATUS[standing.status]
            name = standing.name if standing.name != last else ""
            last = standing.name
            table.add_row(
                name, _medium(standing), standing.destination, *fate, Text(word, style=style), _error(standing)
            )
        return table


def _table(*headings: str) -> Table:
    """A table narrow enough for 80 columns and, with the demo's people, low enough for 24 lines."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold underline")
    for heading in headings:
        table.add_column(heading, no_wrap=True)
    return table


def _words_of_call(call: PhoneCall, moment: Moment) -> str:
    """What a telephone has lived through; blank where there is nothing to say of it."""
    again = " again" if call.attempt > 1 else ""
    if moment is Moment.RINGING:
        return f"rings{again}: {call.caller_name} {call.caller}"
    if moment is Moment.ANSWERED:
        return "answers"
    if moment is Moment.PRESSED:
        return f"presses {call.pressed[-1:]}"
    if moment is not Moment.ENDED:
        return ""
    if call.answered_at is None:
        return "rang in vain" if call.ended_by is EndedBy.CALLER else f"says {call.status} {REASONS[call.status]}"
    if call.ended_by is EndedBy.PHONE:
        return f"hangs up, having heard {call.heard_seconds:.1f} s"
    return f"has heard {call.heard_seconds:.1f} s to the end"


def _seconds(milliseconds: int | None) -> str:
    return "-" if milliseconds is None else f"{milliseconds / 1_000:.1f} s"


def _medium(standing: Standing) -> str:
    return "SMS" if standing.medium is Medium.SMS else standing.medium.name.lower()


def _status(standing: Standing) -> Text:
    word, style = _STATUS[standing.status]
    return Text(f"{word} {_error(standing)}".rstrip(), style=style)


def _brief_status(standing: Standing) -> Text:
    word, style = _STATUS[standing.status]
    return Text(f"{word} {standing.error or ''}".rstrip(), style=style)


def _error(standing: Standing) -> str:
    return _error_name(standing.error)


def _error_name(code: int) -> str:
    if not code:
        return ""
    known = DELIVERY_ERRORS.get(DeliveryCode(code))
    return f"{code} {known.name}" if known else str(code)
