"""Owns how the course of a campaign is shown: bars on a terminal, else lines.

Must not know from where its balance comes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from campana.cli.output import say
from campana.client import Balance, Campaign
from campana.client.models import Medium

_NAMES: dict[Medium, str] = {"sms": "SMS", "voice": "voice", "email": "email"}


def watched(
    campaign: Campaign, balances: Iterable[Balance], *, as_json: bool = False, console: Console | None = None
) -> Balance:
    """Show balances as they come; the last one. The `console` is standard output's."""
    console = console or Console()
    if as_json or not console.is_terminal:
        return _lines(campaign, balances, as_json)
    return _bars(campaign, balances, console)


def _lines(campaign: Campaign, balances: Iterable[Balance], as_json: bool) -> Balance:
    last: Balance | None = None
    for balance in balances:
        if balance != last:
            say(json.dumps(msgspec.to_builtins(balance)) if as_json else _line(campaign, balance))
        last = balance
    assert last is not None, "it begins with how the campaign stands"
    return last


def _line(campaign: Campaign, balance: Balance) -> str:
    words = [datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), balance.state]
    for medium in campaign.media:
        words.append(f"{_NAMES[medium]} {_done(balance, medium)}/{_wanted(balance, medium)} {_fates(balance, medium)}")
    return "  ".join(words)


def _bars(campaign: Campaign, balances: Iterable[Balance], console: Console) -> Balance:
    columns = (
        TextColumn("{task.description:6}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[fates]}", markup=False),
        TimeElapsedColumn(),
    )
    last: Balance | None = None
    with Progress(*columns, console=console) as progress:
        head = progress.add_task(campaign.name[:40], total=None, fates="")
        bars: dict[Medium, TaskID] = {
            medium: progress.add_task(_NAMES[medium], total=None, fates="") for medium in campaign.media
        }
        for last in balances:
            progress.update(head, total=1, completed=int(last.finished), fates=last.state)
            for medium, bar in bars.items():
                done, wanted = _done(last, medium), _wanted(last, medium)
                progress.update(bar, total=wanted, completed=done, fates=_fates(last, medium))
    assert last is not None, "it begins with how the campaign stands"
    return last


def _wanted(balance: Balance, medium: Medium) -> int:
    return balance.contacts - balance.of(medium).get("do_not_try", 0)


def _done(balance: Balance, medium: Medium) -> int:
    return balance.done(medium) - balance.of(medium).get("do_not_try", 0)


def _fates(balance: Balance, medium: Medium) -> str:
    numbers = balance.of(medium)
    named = (
        ("reached", numbers.get("success", 0)),
        ("failed", numbers.get("permanent_failure", 0)),
        ("cancelled", numbers.get("cancelled", 0)),
        ("under way", numbers.get("sending", 0) + numbers.get("delivering", 0)),
        ("to be tried again", numbers.get("waiting_for_retry", 0)),
    )
    return ", ".join(f"{count:,} {word}" for word, count in named if count)
