"""Owns `campana drill`.

Must not know what is done to whom, or what a promise is.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated

import typer

from campana.cli.output import AsJson, CommandError, WrongCommand, say_json, warn
from campana.config.settings import POSTGRESQL_PREFIXES
from campana.domain.delivery import Medium
from campana.sandbox.drill import DrillOptions, NotEmpty, run
from campana.sandbox.drill_client import Refused
from campana.sandbox.drill_plan import Numbers
from campana.sandbox.drill_processes import DidNotStart
from campana.sandbox.drill_proxy import places_of
from campana.sandbox.drill_screen import Screen
from campana.telemetry import configure_logging

INTERRUPTED = 130
SEEDS = 1_000_000
CUTS, WORKERS, APIS = 3, 3, 2


Contacts = Annotated[int, typer.Option("--contacts", metavar="N", min=20, help="Contacts to reach.")]
Kills = Annotated[int, typer.Option("--kills", metavar="N", min=0, help="Processes to kill (SIGKILL).")]
Freezes = Annotated[
    int, typer.Option("--freezes", metavar="N", min=0, help="Processes to stop for longer than a lease (SIGSTOP).")
]
Cuts = Annotated[
    int | None,
    typer.Option(
        "--cuts",
        metavar="N",
        min=0,
        help="Times to cut every connection to PostgreSQL; without it 3.",
        show_default=False,
    ),
]
Database = Annotated[
    str | None,
    typer.Option(
        "--database",
        metavar="URL",
        help="A PostgreSQL database that was never used; without it SQLite, and one server.",
        show_default=False,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers", metavar="N", min=1, max=32, help="Workers on PostgreSQL; without it 3.", show_default=False
    ),
]
Apis = Annotated[
    int | None,
    typer.Option(
        "--apis", metavar="N", min=1, max=32, help="API processes on PostgreSQL; without it 2.", show_default=False
    ),
]
Rate = Annotated[
    int | None,
    typer.Option(
        "--rate",
        metavar="N",
        min=1,
        max=10_000,
        help="Messages a second on each route; without it as many as take about as long as all that is to happen.",
        show_default=False,
    ),
]
Lease = Annotated[
    float, typer.Option("--lease", metavar="SECONDS", min=2, max=60, help="How long a dead process keeps its work.")
]
Media = Annotated[str, typer.Option("--media", metavar="LIST", help="Media to use, with commas between them.")]
Seed = Annotated[
    int | None,
    typer.Option("--seed", metavar="N", min=0, help="Choose the same moments and victims again.", show_default=False),
]
Keep = Annotated[
    Path | None,
    typer.Option(
        "--keep",
        metavar="DIR",
        help="Keep configurations, logs, journals and the database: the files in this new folder.",
        show_default=False,
    ),
]


def drill(
    *,
    contacts: Contacts = 2_000,
    kills: Kills = 20,
    freezes: Freezes = 5,
    cuts: Cuts = None,
    database: Database = None,
    workers: Workers = None,
    apis: Apis = None,
    rate: Rate = None,
    lease: Lease = 3.0,
    media: Media = "sms,email,voice",
    seed: Seed = None,
    keep: Keep = None,
    as_json: AsJson = False,
) -> None:
    """Send a campaign to simulated carriers while processes are killed and frozen, and balance what arrived.

    Exit code 1 where a promise was broken. Nothing leaves this machine; the configuration is not looked at. A
    PostgreSQL database must be one that was never used, and its tables are dropped at the end unless it is kept.
    """
    _check_database(database, {"--cuts": cuts, "--workers": workers, "--apis": apis})
    options = DrillOptions(
        numbers=Numbers(contacts, kills, freezes, 0 if database is None else _or(cuts, CUTS), lease),
        seed=secrets.randbelow(SEEDS) if seed is None else seed,
        media=_media(media),
        database=database,
        workers=_or(workers, WORKERS),
        apis=_or(apis, APIS),
        rate=rate,
        keep=keep,
    )
    configure_logging("error", "console")
    screen = Screen(quiet=as_json)
    try:
        report = run(options, screen)
    except (NotEmpty, DidNotStart, Refused) as error:
        raise CommandError(str(error)) from error
    except KeyboardInterrupt:
        warn("the drill was interrupted; its processes are gone")
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        say_json(report.as_json())
    else:
        screen.report(report)
    if report.broken():
        raise typer.Exit(1)


def _or(given: int | None, usual: int) -> int:
    return usual if given is None else given


def _check_database(url: str | None, for_it_alone: dict[str, int | None]) -> None:
    if url is None:
        for option, value in for_it_alone.items():
            if value:
                raise WrongCommand(f"{option} goes with --database: on SQLite there is one server, and nothing to cut")
        return
    if not url.startswith(POSTGRESQL_PREFIXES):
        raise WrongCommand("--database: should be postgresql://USER:PASSWORD@HOST:PORT/NAME")
    try:
        places_of(url)
    except ValueError as error:
        raise WrongCommand(f"--database: {error}") from error


def _media(text: str) -> list[Medium]:
    names = {medium.name.lower(): medium for medium in Medium}
    wanted = [name.strip().lower() for name in text.split(",")]
    if not set(wanted) <= names.keys():
        raise WrongCommand(f"--media: each must be one of {', '.join(names)}")
    return [medium for name, medium in names.items() if name in wanted]
