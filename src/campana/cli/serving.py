"""Owns `campana serve`, `campana api` and `campana worker`.

Must not know what runs in a process.
"""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
import uvloop
from pydantic import ValidationError

from campana import wiring
from campana.cli.asking import settings_of
from campana.cli.output import WrongCommand, say
from campana.config import Settings
from campana.config.settings import WorkerSettings
from campana.wiring import Pins, Role


def serve(context: typer.Context) -> None:
    """Run the server until it is told to stop (SIGTERM, Ctrl-C): doors and engine in one process.

    Creates or upgrades the database by itself, and prints its address once it accepts requests.
    """
    _run(settings_of(context), Role.SERVE, Pins())


def api(context: typer.Context) -> None:
    """Run a process that only answers calls, of any number that share a PostgreSQL database.

    What it accepts is sent by `campana worker`.
    """
    _run(settings_of(context), Role.API, Pins())


def worker(
    context: typer.Context,
    channels: Annotated[
        str, typer.Option(metavar="NAMES", help="Run only routes of these channels, as in sms,voice.")
    ] = "",
    routes: Annotated[
        str, typer.Option(metavar="NAMES", help="Run only these routes, where others cannot be reached from here.")
    ] = "",
    listen: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Where /healthz, /readyz and /metrics are; instead of worker.listen."),
    ] = None,
) -> None:
    """Run a process that only sends, of any number that share a PostgreSQL database.

    A route's limits hold for all processes together.
    """
    listening = None if listen is None else _listening(listen)
    settings = settings_of(context)
    if listening is not None:
        settings = settings.model_copy(update={"worker": listening})
    _run(settings, Role.WORKER, Pins(_names(channels), _names(routes)))


def _listening(address: str) -> WorkerSettings:
    try:
        return WorkerSettings(listen=address)
    except ValidationError as error:
        raise WrongCommand("--listen should be HOST:PORT, a port from 0 to 65535") from error


def _names(words: str) -> frozenset[str]:
    return frozenset(word.strip() for word in words.split(",") if word.strip())


def _run(settings: Settings, role: Role, pins: Pins) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(wiring.run(settings, role, pins, say))
