"""Owns the table of commands, and loads the module of a command when it is asked for.

Must not know what a command does. Nobody who asks for one waits for the parts of the others to load.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from importlib import import_module
from typing import Any, Final

import typer

COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "serve": ("serving", "serve"),
    "api": ("serving", "api"),
    "worker": ("serving", "worker"),
    "demo": ("demo", "demo"),
    "drill": ("drill", "drill"),
    "attempts": ("attempts", "attempts"),
    "campaign": ("campaigns", "app"),
    "contacts": ("contacts", "app"),
    "send": ("send", "send"),
    "key": ("keys", "app"),
    "account": ("accounts", "app"),
    "user": ("users", "app"),
    "routes": ("routes", "app"),
    "voices": ("speech", "voices"),
    "say": ("speech", "say"),
    "db": ("database", "app"),
    "instance": ("instance", "app"),
    "config": ("configuration", "app"),
}
"""Each command's module in this package and its name there: a function, or a typer of commands that belong together."""


class Commands(MutableMapping[str, Any]):
    """The program's commands by name, each made when it is looked up."""

    def __init__(self, places: dict[str, tuple[str, str]]) -> None:
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


def _made(name: str, module: str, attribute: str) -> Any:
    found, holder = getattr(import_module(f"campana.cli.{module}"), attribute), typer.Typer()
    if isinstance(found, typer.Typer):
        holder.add_typer(found, name=name)
    else:
        holder.command(name)(found)
    return typer.main.get_group(holder).commands[name]
