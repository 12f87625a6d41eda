"""Owns how commands that work on the database itself reach settings and services.

Must not know any single command, nor how anything is printed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

import typer

from campana import wiring
from campana.cli.output import Globals
from campana.config import Settings, load
from campana.services.house import Services
from campana.telemetry import configure_logging

S = TypeVar("S")
T = TypeVar("T")


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
