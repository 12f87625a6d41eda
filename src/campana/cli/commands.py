"""Owns the table of commands, and loads the module of a command when it is asked for.

Must not know what a command does. Nobody who asks for one waits for the parts of the others to load.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from importlib import import_module
from typing import Any, Final

import typer

RUN, ASK, KEEP, TRY = "Run it", "Ask a server", "Look after it", "Try it"

COMMANDS: Final[dict[str, tuple[str, str, str]]] = {
    "serve": ("serving", "serve", RUN),
    "api": ("serving", "api", RUN),
    "worker": ("serving", "worker", RUN),
    "campaign": ("campaigns", "app", ASK),
    "contacts": ("contacts", "app", ASK),
    "send": ("send", "send", ASK),
    "key": ("keys", "app", ASK),
    "account": ("accounts", "app", KEEP),
    "user": ("users", "app", KEEP),
    "attempts": ("attempts", "attempts", KEEP),
    "routes": ("routes", "app", KEEP),
    "db": ("database", "app", KEEP),
    "instance": ("instance", "app", KEEP),
    "config": ("configuration", "app", KEEP),
    "voices": ("speech", "voices", KEEP),
    "say": ("speech", "say", KEEP),
    "demo": ("demo", "demo", TRY),
    "drill": ("drill", "drill", TRY),
}
"""Each command's module in this package, its name there (a function, or a typer of commands that belong together), and
the heading under which it is listed."""


class Commands(MutableMapping[str, Any]):
    """The program's commands by name, each made when it is looked up."""

    def __init__(self, places: dict[str, tuple[str, str, str]]) -> None:
        self._places = places
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            self._made[name] = _made(name, *self._places[name])
        return self._made[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._made[name] = command

    def __delitem__(self, name: str) -> None:
        del self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


class Group(typer.core.TyperGroup):
    """The program itself, whose commands are those of the table."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options | {"commands": Commands(COMMANDS)})

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A command by its name; None where there is none."""
        return self.commands[cmd_name] if cmd_name in COMMANDS else None


def _made(name: str, module: str, attribute: str, heading: str) -> Any:
    found, holder = getattr(import_module(f"campana.cli.{module}"), attribute), typer.Typer()
    if isinstance(found, typer.Typer):
        holder.add_typer(found, name=name, rich_help_panel=heading)
    else:
        holder.command(name, rich_help_panel=heading)(found)
    return typer.main.get_group(holder).commands[name]
