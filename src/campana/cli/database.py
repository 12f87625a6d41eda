"""Owns `campana db`.

Must not know what a migration does.
"""

from __future__ import annotations

from typing import Annotated

import typer

from campana import wiring
from campana.cli.asking import settings_of
from campana.cli.output import say
from campana.telemetry import configure_logging

app = typer.Typer(help="The database.", no_args_is_help=True)


@app.callback()
def _database() -> None:
    """The database."""


@app.command("upgrade")
def upgrade(
    context: typer.Context,
    finish: Annotated[
        bool,
        typer.Option(
            "--finish", help="Also take the steps that wait until no program of an earlier version is at work."
        ),
    ] = False,
) -> None:
    """Create the database, or bring it to this version's form as far as programs of earlier versions go on beside it.

    Each process does so by itself when it starts, and the server of an embedded database, which is alone on it, does
    all of it. What waits is told, and taken by --finish, which is refused while an earlier version is at work.
    """
    settings = settings_of(context)
    configure_logging("warning", "console")
    say(wiring.upgrade(settings, finish))
