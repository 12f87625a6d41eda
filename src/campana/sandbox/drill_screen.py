"""Owns what a drill shows: what is done to whom, how far it is, and the balance. Nothing but the report for scripts.

Must not know where any of it comes from. On a terminal the last line tells how far it is; elsewhere there is none.
"""

from __future__ import annotations

import time
from typing import Final, NamedTuple

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from campana.domain.delivery import Medium
from campana.sandbox.drill_balance import Account
from campana.sandbox.drill_plan import Blow, Event, Numbers
from campana.sandbox.drill_report import Report
from campana.sandbox.drill_town import Plot

_PLAIN_COLUMNS: Final = 120
_STYLES: Final = {Blow.KILL: "red", Blow.FREEZE: "cyan", Blow.CUT: "yellow"}
_NAMES: Final = {Medium.SMS: "SMS", Medium.VOICE: "calls", Medium.EMAIL: "email"}


class Progress(NamedTuple):
    """How far a drill is."""

    arrived: int
    messages: int
    accepted: int
    contacts: int


class Screen:
    """The drill's terminal. Used from one thread. A quiet one shows nothing."""

    def __init__(self, console: Console | None = None, *, quiet: bool = False) -> None:
        self._console = console or Console(highlight=False, quiet=quiet)
        if not self._console.is_terminal:
            self._console.width = _PLAIN_COLUMNS
        self._live: Live | None = None

    def introduce(self, plot: Plot, numbers: Numbers, seed: int) -> None:
        """Say what is about to happen."""
        limits = plot.limits
        who = "one server" if plot.database is None else f"{plot.apis} x api, {plot.workers} x worker"
        self._title("Crash drill with simulated carriers: nothing leaves this machine.")
        self._say(f"  store      {plot.store}, {who}, leases of {plot.lease_seconds:g} s")
        self._say(f"  campaigns  {numbers.contacts:,} contacts; a quarter of them with a window that closes meanwhile")
        pace = f"{limits.rate} messages/s on each route"
        if Medium.VOICE in plot.media:
            pace += f", {limits.calls} calls at a time"
        self._say(f"  limits     {pace}: about {numbers.contacts / limits.rate:.0f} s")
        blows = f"{numbers.kills} x kill -9, {numbers.freezes} x freeze for {numbers.frozen_seconds:g} s"
        if plot.database is None:
            blows += " (no connections to cut: SQLite is a file)"
        else:
            blows += f", {numbers.cuts} x cut every connection to the database"
        self._say(f"  blows      {blows}")
        self._say(f"  seed       {seed}")
        self._say()

    def progress(self, now: Progress) -> None:
        """Show how far it is, on a terminal."""
        if not self._console.is_terminal or self._console.quiet:
            return
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        share = now.arrived / max(1, now.messages)
        bar = "█" * round(30 * min(1.0, share))
        words = f"{now.arrived:,} of {now.messages:,} arrived, {now.accepted:,} of {now.contacts:,} contacts accepted"
        self._live.update(Text.assemble((f"{bar:·<30}", "green"), f" {words}"), refresh=True)

    def struck(self, blow: Blow, whom: str, arrived: int) -> None:
        """Something is done to somebody."""
        self._line(blow.value, _STYLES[blow], whom, f"{arrived:>7,} arrived")

    def back(self, event: Event) -> None:
        """Whoever was struck is back."""
        after = f"        after {_seconds(event.ended - event.began)}"
        if event.taken_over_ms is not None:
            after += f", planned again after {_seconds(event.taken_over_ms)}"
        self._line("back", "green", event.whom, after)

    def _line(self, what: str, style: str, whom: str, words: str) -> None:
        clock = time.strftime("%H:%M:%S")
        self._print(Text.assemble((clock, "dim"), "  ", (f"{what:<8}", style), f"  {whom:<20}", words))

    def report(self, report: Report) -> None:
        """Show the balance and the verdict."""
        self.close()
        self._say()
        self._console.print(_balance(report))
        self._say()
        self._console.print(_limits(report))
        self._say()
        broken = report.broken()
        self._title(
            f"{len(report.events)} blows in {report.seconds:.0f} s; {report.repeated} requests were asked again. "
            + ("Every promise was kept." if not broken else "PROMISES WERE BROKEN:")
        )
        for sentence in broken:
            self._say(f"  {sentence}")
        self._say(f"Again with the same dice: --seed {report.seed}")

    def close(self) -> None:
        """Give the terminal back."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _say(self, sentence: str = "") -> None:
        self._print(Text(sentence))

    def _title(self, sentence: str) -> None:
        self._print(Text(sentence, style="bold"))

    def _print(self, text: Text) -> None:
        self._console.print(text, soft_wrap=True)


def _balance(report: Report) -> Table:
    columns = (
        "",
        "accepted",
        "succeeded",
        "uncertain",
        "(at most)",
        "lost",
        "doubled",
        "(at most)",
        "outside a window",
    )
    table = _table(*columns)
    for account in report.balance.accounts:
        figures = (
            account.promised,
            account.succeeded,
            account.uncertain,
            account.allowed,
            account.lost,
            len(account.doubled),
            account.allowed_doubles,
            len(account.outside),
        )
        table.add_row(_policy(account), *(f"{figure:,}" for figure in figures))
    return table


def _policy(account: Account) -> str:
    return f"{_NAMES[account.medium]} ({'give up' if account.gives_up else 'resend'})"


def _limits(report: Report) -> Table:
    table = _table("over a limit", "limit", "most seen", "times above")
    for name, use in report.balance.limits.items():
        table.add_row(name, *(f"{figure:,}" for figure in (use.limit, use.most, use.above)))
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold underline")
    table.add_column(first, no_wrap=True)
    for heading in others:
        table.add_column(heading, no_wrap=True, justify="right")
    return table


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds / 1_000:.1f} s"
