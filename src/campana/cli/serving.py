"""Owns `campana serve`.

Must not know what runs in the server.
"""

from __future__ import annotations

import asyncio

import typer
import uvloop

from campana import wiring
from campana.cli.output import say, settings_of


def serve(context: typer.Context) -> None:
    """Run the server until it is told to stop (SIGTERM, Ctrl-C).

    Creates or upgrades the embedded database by itself, and prints its address once it accepts requests.
    """
    settings = settings_of(context)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(wiring.serve(settings, say))
