"""Owns how commands print, for people and for scripts, and how they reach settings and services.

Must not know any single command.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from campana import wiring
from campana.config import Settings, load
from campana.services.house import Services
from campana.telemetry import configure_logging

S = TypeVar("S")
T = TypeVar("T")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


@dataclass(slots=True)
class Globals:
    """What stands before the command."""

    config: Path | None = None
    traceback: bool = False


class CommandError(Exception):
    """The command cannot do what it was asked: one sentence for a person."""


def settings_of(context: typer.Context) -> Settings:
    """The settings that the command runs with. Raises ConfigError."""
    return load(context.ensure_object(Globals).config)


def ask(context: typer.Context, question: Callable[[Services], Awaitable[T]]) -> T:
    """Open the store, ask the services, and close it again; what is logged meanwhile goes to people."""
    return ask_of(context, wiring.services_for, question)


def ask_of(
    context: typer.Context,
    opened: Callable[[Settings], AbstractAsyncContextManager[S]],
    question: Callable[[S], Awaitable[T]],
) -> T:
    """Ask what `opened` opens for the settings, as `ask` does."""
    settings = settings_of(context)
    configure_logging("warning", "console")

    async def run() -> T:
        async with opened(settings) as asked:
            return await question(asked)

    return asyncio.run(run())


def say(sentence: str) -> None:
    """Print a sentence on standard output, at once."""
    typer.echo(sentence)
    sys.stdout.flush()


def warn(sentence: str) -> None:
    """Print a sentence on standard error; the command has done its work all the same."""
    typer.echo(f"campana: {sentence}", err=True)


def say_json(value: object) -> None:
    """Print a value as JSON on standard output."""
    say(json.dumps(value, indent=2, ensure_ascii=False))


def say_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table on standard output; nothing is cut off where it does not fit."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in titles:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*(cell.replace("[", r"\[") for cell in row))
    console = Console()
    console.print(table, soft_wrap=not console.is_terminal)


def moment(at: int) -> str:
    """An instant in epoch milliseconds as ISO 8601 in UTC, to the second."""
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
