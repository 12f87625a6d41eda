"""Owns `campana contacts`: contacts of a campaign in and out, by files of any length.

Must not know what a row may say, nor how rows travel.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec
import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from campana.cli.output import AsJson, CommandError, WrongCommand, say, say_json, say_table, warn
from campana.cli.remote import PATIENT, ApiKey, CampaignId, Url, sentence_of, server
from campana.client import CampanaError, Client, Import, Refusal, Refused, Transfer
from campana.client.keeping import checked, new_key
from campana.client.models import Kind, What
from campana.client.sources import Progress as Hears

INTERRUPTED = 130
SHOWN = 50
"""Refused rows that are printed."""
STREAM = Path("-")

app = typer.Typer(help="Contacts of a campaign, in and out by files.", no_args_is_help=True)


KindOption = Annotated[
    Kind | None,
    typer.Option(
        "--kind", metavar="KIND", help="What the file holds, csv or jsonl; else its name says it.", show_default=False
    ),
]


@app.command("import")
def import_(
    *,
    campaign: CampaignId,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV or JSON Lines; - reads standard input.")],
    kind: KindOption = None,
    delimiter: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="comma, semicolon or tab; else it is found out.", show_default=False),
    ] = None,
    encoding: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="utf-8, utf-16 or windows-1252; else it is found out.", show_default=False),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option("--map", metavar="COLUMN:FIELD,...", help="Which column is which field.", show_default=False),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option("--key", metavar="KEY", help="Go on with an import that was cut off.", show_default=False),
    ] = None,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Add the contacts of a file to a campaign, of which there may be millions.

    Rows that break a rule are passed over and told, with row, column and rule: then the exit code is 1. The others are
    in. Where it is cut off, what was acknowledged stays, and the same command with the --key that it names goes on.
    """
    key = _key(key)
    source: Path | BinaryIO = sys.stdin.buffer if file == STREAM else file
    if file == STREAM and kind is None:
        raise WrongCommand("say what standard input holds: --kind csv or --kind jsonl")
    with server(url, api_key, PATIENT) as client:
        with _told_to_go_on(f"campana contacts import {campaign} {file}", key), _bar("importing") as progress:
            done = client.import_contacts(
                campaign,
                source,
                kind=kind,
                delimiter=delimiter,
                encoding=encoding,
                columns=_columns(columns),
                key=key,
                progress=progress,
            )
        _report(client, done, as_json)


def _key(given: str | None) -> str:
    try:
        return checked(given or new_key())
    except ValueError as error:
        raise WrongCommand(f"--key: {error}") from None


def _columns(text: str | None) -> dict[str, str] | None:
    if text is None:
        return None
    pairs = [pair.rpartition(":") for pair in text.split(",")]
    if not all(column.strip() and name.strip() for column, _, name in pairs):
        raise WrongCommand("--map: should be COLUMN:FIELD, with commas between such pairs")
    return {column.strip(): name.strip() for column, _, name in pairs}


@contextmanager
def _told_to_go_on(command: str, key: str) -> Iterator[None]:
    """Say how to go on where something is cut off that can be."""
    go_on = f"what was acknowledged is kept; to go on: {command} --key {key}"
    try:
        yield
    except ValueError as error:
        raise WrongCommand(f"{error}: --kind csv or --kind jsonl") from None
    except KeyboardInterrupt:
        warn(f"the import was interrupted; {go_on}")
        raise typer.Exit(INTERRUPTED) from None
    except CampanaError as error:
        if isinstance(error, Refused) and error.status < 500:
            raise
        raise CommandError(f"{sentence_of(error).rstrip('.')}; {go_on}") from error


@contextmanager
def _bar(verb: str) -> Iterator[Hears | None]:
    """A bar of bytes on standard error, where that is a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (TextColumn(verb), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task(verb, total=None)

        def hear(transfer: Transfer) -> None:
            progress.update(bar, total=transfer.size, completed=transfer.done)

        yield hear


def _report(client: Client, done: Import, as_json: bool) -> None:
    refusals = client.list_refusals(done.id) if done.refused else iter(())
    if as_json:
        say_json({"import": msgspec.to_builtins(done), "refusals": msgspec.to_builtins(list(refusals))})
    else:
        say(f"{done.rows_read:,} rows read: {done.accepted:,} contacts added, {done.refused:,} refused.")
        shown = list(islice(refusals, SHOWN))
        if shown:
            say_table(("row", "column", "rule"), [_row(one) for one in shown])
        if done.refused > len(shown) > 0:
            say(f"... and {done.refused - len(shown):,} more: --json prints up to ten thousand.")
    if done.state != "done":
        raise CommandError(f"the import ended early: {done.problem or done.state}")
    if done.refused:
        raise typer.Exit(1)


def _row(one: Refusal) -> tuple[str, str, str]:
    return f"{one.row:,}", one.column or "-", one.rule


@app.command("export")
def export(
    *,
    campaign: CampaignId,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write; - is standard output.")],
    what: Annotated[
        What, typer.Option("--what", metavar="WHAT", help="contacts, deliveries or attempts.")
    ] = "contacts",
    kind: KindOption = None,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Write the contacts of a campaign to a file, with how each stands, as CSV or JSON Lines.

    The file is there when all of it is.
    """
    if file == STREAM and kind is None:
        raise WrongCommand("say what to write: --kind csv or --kind jsonl")
    target: Path | BinaryIO = sys.stdout.buffer if file == STREAM else file
    with server(url, api_key, PATIENT) as client, _bar("exporting") as progress:
        try:
            octets = client.export(campaign, what, target, kind=kind, progress=progress)
        except ValueError as error:
            raise WrongCommand(f"{error}: --kind csv or --kind jsonl") from None
    if file != STREAM:
        say(f"{file}: {octets:,} bytes.")
