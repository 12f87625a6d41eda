"""Owns `campana db`.

Must not know what a migration does.
"""

from __future__ import annotations

import typer

from campana import wiring
from campana.cli.output import say, settings_of
from campana.telemetry import configure_logging

app = typer.Typer(help="The database.", no_args_is_help=True)


@app.callback()
def _database() -> None:
    """The database."""


@app.command("upgrade")
def upgrade(context: typer.Context) -> None:
    """Create the database or bring it to this version's form. `campana serve` does so by itself."""
    settings = settings_of(context)
    configure_logging("warning", "console")
    say(wiring.upgrade(settings))
