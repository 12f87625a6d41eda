"""Owns the program: its global options, its commands, and how what goes wrong is told.

Must not know what a command does.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from campana.cli import (
    accounts,
    attempts,
    configuration,
    database,
    demo,
    drill,
    instance,
    routes,
    serving,
    speech,
    users,
)
from campana.cli.output import CommandError, Globals
from campana.config import ConfigError
from campana.domain.errors import MethodError
from campana.engine.guard import InstanceLost
from campana.services.accounts import AccountError
from campana.storage.store import StoreUnavailable, UpgradeRefused
from campana.telemetry import scrub

app = typer.Typer(
    name="campana",
    help="A self-hosted server for outbound notification campaigns.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("serve")(serving.serve)
app.command("api")(serving.api)
app.command("worker")(serving.worker)
app.command("demo")(demo.demo)
app.command("drill")(drill.drill)
app.command("attempts")(attempts.attempts)
app.add_typer(accounts.app, name="account")
app.add_typer(users.app, name="user")
app.add_typer(routes.app, name="routes")
app.command("voices")(speech.voices)
app.command("say")(speech.say)
app.add_typer(database.app, name="db")
app.add_typer(instance.app, name="instance")
app.add_typer(configuration.app, name="config")

_EXPECTED = (ConfigError, CommandError, AccountError, MethodError, InstanceLost, StoreUnavailable, OSError)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"campana {version('campana')}")
        raise typer.Exit


@app.callback()
def _globals(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            help="Configuration file; without it ./campana.toml, else /etc/campana/campana.toml.",
        ),
    ] = None,
    traceback: Annotated[bool, typer.Option("--traceback", help="Show where a defect lies.")] = False,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    context.obj = Globals(config=config, traceback=traceback)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the program with the given arguments, or the process's.

    Exits with 0 done, 1 it could not be done and standard error says why, 2 a wrong command.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        app(words)
    except _EXPECTED as error:
        typer.echo(f"campana: {_sentence(error)}", err=True)
    except Exception as error:
        if "--traceback" in words:
            raise
        typer.echo(
            f"campana: a defect: {type(error).__name__}: {scrub(str(error))} (--traceback shows where)", err=True
        )
    sys.exit(1)


def _sentence(error: Exception) -> str:
    if isinstance(error, ConfigError) and len(error.problems) > 1:
        return "\n  ".join(["the configuration has these problems:", *error.problems])
    if isinstance(error, StoreUnavailable) and not isinstance(error, UpgradeRefused):
        return f"the database cannot be used right now: {scrub(str(error))}"
    if isinstance(error, MethodError):
        return error.sentence
    if isinstance(error, OSError) and error.strerror:
        return error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
    return str(error)
