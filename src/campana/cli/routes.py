"""Owns `campana routes`.

Must not know any channel.
"""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from campana import wiring
from campana.channels.contract import Route, RouteReport
from campana.cli.asking import settings_of
from campana.cli.output import AsJson, CommandError, say, say_json
from campana.telemetry import configure_logging

app = typer.Typer(help="Routes: the ways out.", no_args_is_help=True)


@app.callback()
def _routes() -> None:
    """Routes: the ways out."""


@app.command("check")
def check(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Only this route.")] = None,
    as_json: AsJson = False,
) -> None:
    """Connect to each route's peer, say what was found, and disconnect; exit code 1 where one does not work."""
    settings = settings_of(context)
    configure_logging("error", "console")
    if name is not None and name not in {route.name for route in settings.routes}:
        known = ", ".join(route.name for route in settings.routes) or "none"
        raise CommandError(f'there is no route "{name}"; configured are: {known}')

    async def run() -> list[tuple[Route, RouteReport]]:
        speech = wiring.build_speech(settings)
        routes = [route for route in wiring.build_routes(settings, speech) if name in (None, route.name)]
        async with wiring.speaking(speech, settings.routes):
            return list(zip(routes, await asyncio.gather(*(route.check() for route in routes)), strict=True))

    reports = asyncio.run(run())
    if as_json:
        say_json([_json(route, report) for route, report in reports])
    else:
        _say(reports)
    if not all(report.ok for _, report in reports):
        raise typer.Exit(1)


def _say(reports: list[tuple[Route, RouteReport]]) -> None:
    if not reports:
        say("No routes are configured.")
    for route, report in reports:
        say(f"{route.name} ({route.medium.name.lower()}): {'works' if report.ok else report.problem}")
        for label, value in report.facts:
            say(f"  {label}: {value}")


def _json(route: Route, report: RouteReport) -> dict[str, object]:
    return {
        "name": route.name,
        "medium": route.medium.name.lower(),
        "ok": report.ok,
        "problem": report.problem,
        "facts": [{"label": label, "value": value} for label, value in report.facts],
    }
