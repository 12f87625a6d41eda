"""Owns a drill from its options to its report: the seed, the folder, the way to the database, and the end of it all.

Must not know what happens in between. Nothing leaves the machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import uvloop

from campana.domain.delivery import Medium
from campana.sandbox.drill_client import Customer
from campana.sandbox.drill_course import Course
from campana.sandbox.drill_plan import MANY, Numbers, Role, plan
from campana.sandbox.drill_proxy import Proxy, places_of, through
from campana.sandbox.drill_report import Report
from campana.sandbox.drill_screen import Screen
from campana.sandbox.drill_town import Plot, limits_for, town
from campana.sandbox.drill_trouble import Troublemaker
from campana.storage.postgres import trial


class NotEmpty(Exception):
    """The database has been used before: a sentence for a person."""


@dataclass(frozen=True, slots=True)
class DrillOptions:
    """What the command line says."""

    numbers: Numbers
    seed: int
    media: Sequence[Medium] = tuple(Medium)
    database: str | None = None
    """The URL of an empty PostgreSQL database; none is SQLite."""
    workers: int = 3
    apis: int = 2
    rate: int | None = None
    """Messages a second of a route; none is as many as let the drill's time pass."""
    keep: Path | None = None
    """Where everything stays; none is a folder that is gone at the end."""


def run(options: DrillOptions, screen: Screen) -> Report:
    """Run a drill to its end. Whatever happens, its processes are gone when this returns.

    Raises KeyboardInterrupt where a signal ended it, NotEmpty, DidNotStart, Refused, StoreUnavailable, OSError.
    """
    try:
        with _folder(options.keep) as folder, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_run(folder.absolute(), options, screen))
    finally:
        screen.close()


@contextlib.contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True, mode=0o700)
        yield keep
        return
    with tempfile.TemporaryDirectory(prefix="campana-drill-") as own:
        yield Path(own)


async def _run(folder: Path, options: DrillOptions, screen: Screen) -> Report:
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    try:
        async with _database(options) as (url, proxy):
            return await _drill(_plot(folder, options, url), proxy, options, screen)
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


@contextlib.asynccontextmanager
async def _database(options: DrillOptions) -> AsyncIterator[tuple[str | None, Proxy | None]]:
    """The way to the database that processes take, and what can cut it. Raises NotEmpty before anything is changed."""
    url = options.database
    if url is None:
        yield None, None
        return
    if await trial.was_used(url):
        raise NotEmpty(
            "the database is not an empty one: Campana has used it before. "
            "A drill needs one of its own, as createdb makes it, so that it never meets a real campaign"
        )
    try:
        async with Proxy(places_of(url)) as proxy:
            yield through(url, proxy.port), proxy
    finally:
        if options.keep is None:
            await asyncio.shield(trial.remove(url))


def _plot(folder: Path, options: DrillOptions, url: str | None) -> Plot:
    numbers = options.numbers
    workers, apis = (1, 1) if url is None else (options.workers, options.apis)
    limits = limits_for(numbers.contacts, options.rate or numbers.fitting_rate, workers)
    return Plot(folder, options.media, limits, numbers.lease_seconds, url, workers, apis)


async def _drill(plot: Plot, proxy: Proxy | None, options: DrillOptions, screen: Screen) -> Report:
    began, dice = time.monotonic(), Random(options.seed)  # noqa: S311 - it is to be repeatable, and guards nothing
    incidents = plan(options.numbers, (Role.SERVER,) if proxy is None else MANY, dice)
    screen.introduce(plot, options.numbers, options.seed)
    async with town(plot) as here:
        trouble = Troublemaker(here, options.numbers.frozen_seconds, proxy, dice=dice, listener=screen)
        customer = Customer(here.doors)
        await customer.log_in(here.credentials)
        course = Course(plot, options.numbers.contacts, here, customer, screen)
        await course.run(trouble, incidents)
        await course.settle()
        return Report(
            seed=options.seed,
            plot=plot,
            balance=course.balance(trouble.events),
            events=sorted(trouble.events, key=lambda event: event.began),
            planned=len(incidents),
            ended_by_themselves=course.ended_by_themselves,
            repeated=customer.repeated,
            seconds=time.monotonic() - began,
        )
