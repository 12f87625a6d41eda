"""Owns the program: its global options, and how what goes wrong is told.

Must not know what a command does.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from campana.cli.commands import Group
from campana.cli.output import CommandError, Globals, WrongCommand, warn

app = typer.Typer(
    name="campana",
    cls=Group,
    help="A self-hosted server for outbound notification campaigns.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


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
    except WrongCommand as error:
        warn(str(error))
        sys.exit(2)
    except CommandError as error:
        warn(str(error))
    except Exception as error:
        # By name: it knows the errors of all parts of the server, which a client's command does without.
        telling = import_module("campana.cli.telling")
        if "--traceback" in words and telling.is_defect(error):
            raise
        warn(telling.sentence_of(error))
    sys.exit(1)
