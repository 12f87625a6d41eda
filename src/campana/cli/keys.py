"""Owns `campana key`: API keys of a server, made and ended by a user who logs in.

Must not keep a password or a key.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec
import typer

from campana.cli.output import AsJson, WrongCommand, say, say_json, say_table
from campana.cli.remote import HASTY, Url, server
from campana.client import ApiKey, Client, LogIn

app = typer.Typer(help="API keys of a server, by which programs ask it over REST.", no_args_is_help=True)

USUAL_SCOPES = ("campaigns:read", "campaigns:write", "contacts:read", "contacts:write", "events:read")

WhoLogsIn = Annotated[str, typer.Argument(metavar="ACCOUNT/USER", help="Who logs in, and for whom the key acts.")]
FromStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from the first line of standard input.")
]


@contextmanager
def _logged_in(url: str | None, who: str, password_stdin: bool) -> Iterator[Client]:
    account, _, user = who.partition("/")
    if not account or not user:
        raise WrongCommand("who logs in should be ACCOUNT/USER, as in acme/ann")
    if password_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    elif sys.stdin.isatty():
        password = typer.prompt("Password", hide_input=True, err=True)
    else:
        raise typer.BadParameter("there is no terminal to ask for the password; use --password-stdin")
    with server(url, None, HASTY, LogIn(account, user, password)) as client:
        yield client


@app.command("create")
def create(
    *,
    who: WhoLogsIn,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the key is for.")],
    scopes: Annotated[
        list[str] | None,
        typer.Option(
            "--scope",
            metavar="SCOPE",
            help="What it may be used for, as in campaigns:read; may be repeated. Else all but account:admin.",
            show_default=False,
        ),
    ] = None,
    days: Annotated[
        int | None,
        typer.Option("--days", metavar="N", min=1, max=36_500, help="For how long; else for good.", show_default=False),
    ] = None,
    password_stdin: FromStdin = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Make a key that acts for a user, within scopes, and print it: it is told only here."""
    expires = None if days is None else datetime.now(UTC) + timedelta(days=days)
    with _logged_in(url, who, password_stdin) as client:
        made = client.create_api_key(name, scopes or USUAL_SCOPES, expires_at=expires)
    if as_json:
        say_json(msgspec.to_builtins(made))
    else:
        say(made.key)


@app.command("list")
def list_(who: WhoLogsIn, password_stdin: FromStdin = False, url: Url = None, as_json: AsJson = False) -> None:
    """List keys: of a user their own, of an admin all of the account's."""
    with _logged_in(url, who, password_stdin) as client:
        found = list(client.list_api_keys())
    if as_json:
        say_json(msgspec.to_builtins(found))
        return
    rows = [
        (
            one.id,
            one.name,
            one.user,
            f"{one.prefix}_...",
            ", ".join(one.scopes),
            _day(one.expires_at),
            _day(one.last_used_at),
        )
        for one in found
        if one.revoked_at is None
    ]
    say_table(("id", "name", "user", "key", "scopes", "expires", "last used"), rows)


def _row(one: ApiKey) -> tuple[str, ...]:
    dates = _day(one.expires_at), _day(one.last_used_at)
    return one.id, one.name, one.user, f"{one.prefix}_...", ", ".join(one.scopes), *dates


def _day(at: datetime | None) -> str:
    return "-" if at is None else at.date().isoformat()


@app.command("revoke")
def revoke(
    who: WhoLogsIn,
    key: Annotated[str, typer.Argument(metavar="ID", help="The key's id, as the list has it.")],
    password_stdin: FromStdin = False,
    url: Url = None,
) -> None:
    """End a key: from now on it is good for nothing."""
    with _logged_in(url, who, password_stdin) as client:
        client.revoke_api_key(key)
    say("The key was revoked.")
