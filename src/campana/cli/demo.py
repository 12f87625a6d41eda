"""Owns `campana demo`.

Must not know what is shown or sent.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from campana.cli.output import CommandError


def demo(
    port: Annotated[
        int | None,
        typer.Option(
            "--port",
            metavar="PORT",
            min=0,
            max=65_535,
            help="Port to listen on; without it 8080, or a free one.",
            show_default=False,
        ),
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            "--data-dir",
            metavar="DIR",
            file_okay=False,
            help="Keep the data in this folder; without it they are gone at the end.",
        ),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="End when the campaign is over.")] = False,
) -> None:
    """Run Campana with sandbox carriers and send a small campaign through it; nothing leaves this machine.

    Goes on serving until Ctrl-C. The configuration is not looked at.
    """
    if find_spec("zeep") is None:
        raise CommandError("the demo's SOAP client is not installed; add it with: pip install 'campana[demo]'")
    # By name, since the SOAP client is an extra: without it, and without the time it takes to load, all else works.
    sandbox = import_module("campana.sandbox.demo")
    finished = sandbox.run(sandbox.DemoOptions(data_dir=data_dir, port=port, once=once))
    if once and not finished:
        raise typer.Exit(1)
