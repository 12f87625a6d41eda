"""Owns `campana campaign`: campaigns of a server, asked over REST.

Must not know a rule about campaigns: the server says what it refuses.
"""

from __future__ import annotations

import sys
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from campana.cli.drafts import draft_of
from campana.cli.output import AsJson, CommandError, say, say_json, say_table
from campana.cli.remote import PATIENT, ApiKey, CampaignId, Url, server
from campana.cli.watching import watched
from campana.client import Balance, Campaign, Client
from campana.client.models import MEDIA, STATUSES

app = typer.Typer(help="Campaigns of a server.", no_args_is_help=True)

File = Annotated[
    Path | None,
    typer.Argument(metavar="[FILE]", help="A TOML or JSON file with the fields of a campaign as the API names them."),
]


def _option(flag: str, metavar: str, about: str) -> Any:
    return typer.Option(flag, metavar=metavar, help=about, show_default=False)


@app.command("create")
def create(
    *,
    file: File = None,
    name: Annotated[str | None, _option("--name", "NAME", "What it is called.")] = None,
    description: Annotated[str | None, _option("--description", "TEXT", "What it is for.")] = None,
    sms_from: Annotated[str | None, _option("--sms-from", "NUMBER", "The sender of its SMS.")] = None,
    sms_text: Annotated[str | None, _option("--sms-text", "TEXT", "What its SMS say.")] = None,
    voice_from: Annotated[str | None, _option("--voice-from", "NUMBER", "The number that calls people.")] = None,
    voice_text: Annotated[str | None, _option("--voice-text", "TEXT", "What its calls say.")] = None,
    email_from: Annotated[str | None, _option("--email-from", "ADDRESS", "The sender of its emails.")] = None,
    email_subject: Annotated[str | None, _option("--email-subject", "TEXT", "The subject of its emails.")] = None,
    email_html: Annotated[Path | None, _option("--email-html", "FILE", "A file with the HTML of its emails.")] = None,
    time_zone: Annotated[str | None, _option("--time-zone", "ZONE", "As in Europe/Rome; else the account's.")] = None,
    from_date: Annotated[str | None, _option("--from-date", "DATE", "Its first day, as in 2026-12-01.")] = None,
    to_date: Annotated[str | None, _option("--to-date", "DATE", "Its last day.")] = None,
    from_time: Annotated[str | None, _option("--from-time", "TIME", "When it begins on each day, as in 09:00.")] = None,
    to_time: Annotated[str | None, _option("--to-time", "TIME", "When it ends on each day.")] = None,
    days: Annotated[str | None, _option("--days", "DAYS", "Days of the week, as in monday,friday.")] = None,
    paused: Annotated[bool | None, typer.Option("--paused", help="Send nothing until it is resumed.")] = None,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Make a campaign of a file, of options, or of a file and options that go before what it says.

    A medium goes out where something is said of it. Without contacts nothing is sent: `campana contacts import` adds
    them.
    """
    draft = draft_of(
        file,
        {
            "name": name,
            "description": description,
            "sms": {"from": sms_from, "text": sms_text},
            "voice": {"calling_number": voice_from, "text": voice_text},
            "email": {"from": email_from, "subject": email_subject, "html": email_html and _text_of(email_html)},
            "time_zone": time_zone,
            "from_date": from_date,
            "to_date": to_date,
            "from_time": from_time,
            "to_time": to_time,
            "days": None if days is None else [day.strip().lower() for day in days.split(",")],
            "paused": paused or None,
        },
    )
    with server(url, api_key) as client:
        made = client.create_campaign(draft)
    _say(made, f'The campaign "{made.name}" was created: {made.id}', as_json)


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise CommandError(f"{file}: it is not UTF-8 text") from None


@app.command("list")
def list_(
    *,
    state: Annotated[str | None, _option("--state", "STATE", "Only those in it, as in running,waiting.")] = None,
    name: Annotated[str | None, _option("--name", "TEXT", "Only those with this in their name.")] = None,
    most: Annotated[int, typer.Option("--most", metavar="N", min=1, help="Print no more than so many.")] = 100,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """List campaigns, the newest first."""
    with server(url, api_key) as client:
        found = list(islice(client.list_campaigns(state=state, name=name, sort="-created_at"), most))
    if as_json:
        say_json(msgspec.to_builtins(found))
        return
    rows = [(one.id, one.name, one.state, ", ".join(one.media), _day(one.created_at.date())) for one in found]
    say_table(("id", "name", "state", "media", "created"), rows)


def _day(day: date) -> str:
    return day.isoformat()


@app.command("show")
def show(campaign: CampaignId, url: Url = None, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """Print what a campaign says, and how many contacts are in each status."""
    with server(url, api_key) as client:
        one, balance = client.get_campaign(campaign), client.get_balance(campaign)
    told = msgspec.to_builtins(one)
    if as_json:
        say_json(told | {"balance": msgspec.to_builtins(balance)})
        return
    say_table(("field", "value"), list(_lines(told)))
    statuses = [status for status in STATUSES if any(balance.of(medium).get(status) for medium in MEDIA)]
    rows = [(status, *(str(balance.of(medium).get(status, 0)) for medium in MEDIA)) for status in statuses]
    say_table((f"{balance.contacts} contacts", *MEDIA), rows)


def _lines(told: dict[str, Any], before: str = "") -> Any:
    for name, value in told.items():
        if isinstance(value, dict):
            yield from _lines(value, f"{before}{name}.")
        elif value is not None and value != []:
            yield before + name, ", ".join(value) if isinstance(value, list) else _word(value)


def _word(value: Any) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


@app.command("pause")
def pause(campaign: CampaignId, url: Url = None, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """Have nothing more sent until the campaign is resumed."""
    with server(url, api_key) as client:
        one = client.pause_campaign(campaign)
    _say(one, f'The campaign "{one.name}" is paused.', as_json)


@app.command("resume")
def resume(campaign: CampaignId, url: Url = None, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """Have a paused campaign go on."""
    with server(url, api_key) as client:
        one = client.resume_campaign(campaign)
    _say(one, f'The campaign "{one.name}" goes on; it is {one.state}.', as_json)


@app.command("cancel")
def cancel(
    campaign: CampaignId,
    yes: Annotated[bool, typer.Option("--yes", help="Do it without asking.")] = False,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """End a campaign for good: whoever was not reached yet is not reached any more."""
    with server(url, api_key) as client:
        if not yes:
            _ask(client, campaign)
        one = client.cancel_campaign(campaign)
    _say(one, f'The campaign "{one.name}" is cancelled.', as_json)


def _ask(client: Client, campaign: str) -> None:
    if not sys.stdin.isatty():
        raise typer.BadParameter("there is no terminal to ask whether it is meant; use --yes")
    one, balance = client.get_campaign(campaign), client.get_balance(campaign)
    left = max(balance.contacts - balance.done(medium) for medium in MEDIA)
    if not typer.confirm(f'Cancel "{one.name}"? Of {balance.contacts} contacts, {left} are not done with.'):
        raise CommandError("nothing was changed")


@app.command("watch")
def watch(
    campaign: CampaignId,
    every: Annotated[
        float, typer.Option("--every", metavar="SECONDS", min=0.1, max=3600, help="How often to look.")
    ] = 1.0,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Show how a campaign goes on until it is finished: a bar for each medium, or lines where there is no terminal.

    With --json each change is a JSON object on a line. Ctrl-C ends the watching, not the campaign.
    """
    with server(url, api_key, PATIENT) as client:
        one = client.get_campaign(campaign)
        last = watched(one, client.watch(campaign, every=every), as_json=as_json)
    if not as_json:
        say(_end(one, last))


def _end(one: Campaign, balance: Balance) -> str:
    word = "cancelled" if balance.state == "cancelled" else "finished"
    return f'The campaign "{one.name}" is {word}.'


def _say(one: Campaign, sentence: str, as_json: bool) -> None:
    if as_json:
        say_json(msgspec.to_builtins(one))
    else:
        say(sentence)
