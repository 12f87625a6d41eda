"""Owns `campana config`.

Must not know what a setting is for.
"""

from __future__ import annotations

import json

import typer

from campana.cli.asking import settings_of
from campana.cli.output import AsJson, say, say_json, say_table
from campana.config import describe

app = typer.Typer(help="The configuration.", no_args_is_help=True)


@app.command("show")
def show(context: typer.Context, as_json: AsJson = False) -> None:
    """Print every setting with its value and where it came from; secrets are masked."""
    settings = settings_of(context)
    lines = describe(settings)
    if as_json:
        found = [{"key": line.key, "value": line.value, "origin": line.origin} for line in lines]
        say_json({"file": str(settings.file) if settings.file else None, "settings": found})
    else:
        say(f"File: {settings.file or 'none'}")
        say_table(("key", "value", "origin"), [(line.key, _text(line.value), line.origin) for line in lines])


@app.command("check")
def check(context: typer.Context) -> None:
    """Say whether the configuration can be used."""
    settings = settings_of(context)
    count = len(settings.routes)
    say(f"{settings.file or 'The configuration'} is valid: {count} route{'' if count == 1 else 's'}.")


def _text(value: object) -> str:
    return "-" if value is None else value if isinstance(value, str) else json.dumps(value)
