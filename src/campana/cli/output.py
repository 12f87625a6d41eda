"""Owns how commands print, for people and for scripts, and what is said before a command.

Must not know any single command, nor a part of the server: who only prints does not wait for all of it to load.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


@dataclass(slots=True)
class Globals:
    """What stands before the command."""

    config: Path | None = None
    traceback: bool = False


class CommandError(Exception):
    """The command cannot do what it was asked: one sentence for a person."""


class WrongCommand(CommandError):
    """The command is wrong in itself: an argument or an option says what cannot be meant."""


GUID_LENGTH = 36
"""Characters of an id, which people copy."""


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
    """Print a table on standard output; nothing is cut off where it does not fit, and an id stays in one piece."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in titles:
        table.add_column(title, overflow="fold", min_width=GUID_LENGTH if title == "id" else None)
    for row in rows:
        table.add_row(*(cell.replace("[", r"\[") for cell in row))
    console = Console()
    console.print(table, soft_wrap=not console.is_terminal)


def moment(at: int) -> str:
    """An instant in epoch milliseconds as ISO 8601 in UTC, to the second."""
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
