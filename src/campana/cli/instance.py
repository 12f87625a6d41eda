"""Owns `campana instance`: which database this is, and what an operator says of one that is held.

Must not judge: whether a database is held is told to it.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

import typer

from campana import wiring
from campana.cli.asking import ask_of
from campana.cli.output import AsJson, CommandError, say, say_json
from campana.domain.delivery import Medium
from campana.domain.instance import Instance
from campana.services.instance import InstanceService, InstanceView, Waiting

T = TypeVar("T")

app = typer.Typer(
    help="Which database this is, and whether it may send: one that was restored or copied is held.",
    no_args_is_help=True,
)

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]

_MEDIA = {Medium.SMS: "SMS", Medium.VOICE: "calls", Medium.EMAIL: "emails"}


@app.command("show")
def show(context: typer.Context, as_json: AsJson = False) -> None:
    """Say which database this is, whether it is held here and why, and what waits in it."""
    view, waiting = _ask(context, _look)
    if as_json:
        say_json(_json(view, waiting))
        return
    instance = view.instance
    say(f"instance  {instance.id}")
    say(f"label     {instance.label or '-'}")
    say(f"epoch     {instance.epoch}")
    say(f"home      {_home(view)}")
    say(f"held      {'no' if view.doubt is None else f'yes: {view.doubt.value}'}")
    say(f"waiting   {_waiting(waiting)}")


@app.command("resume")
def resume(context: typer.Context, yes: Yes = False) -> None:
    """Say that this database goes on from here, and no copy of it does: what waits is sent.

    Running processes that hold it begin within a second.
    """
    view, waiting = _ask(context, _look)
    held = "It is not held here." if view.doubt is None else f"It is held: {view.doubt.value}."
    _confirm(
        f"This database is to go on from here; no other copy of it may. {held}\n"
        f"What waits goes out, also what was sent after a backup was made: {_waiting(waiting)}.",
        yes,
    )
    instance: Instance = _ask(context, InstanceService.resume)
    say(f"The database goes on from here as {instance.id}.")


@app.command("retire")
def retire(context: typer.Context, yes: Yes = False) -> None:
    """Say that this database is a copy to look at, which never sends; `resume` undoes it.

    A process that sends from it stops, and is held when it is started again.
    """
    _, waiting = _ask(context, _look)
    _confirm(f"This database is to be a copy, which never sends. What waits stays: {_waiting(waiting)}.", yes)
    _ask(context, InstanceService.retire)
    say("The database is retired: nothing is sent from it.")


async def _look(service: InstanceService) -> tuple[InstanceView, Waiting]:
    return await service.show(), await service.waiting()


def _ask(context: typer.Context, question: Callable[[InstanceService], Awaitable[T]]) -> T:
    return ask_of(context, wiring.instance_for, question)


def _confirm(words: str, yes: bool) -> None:
    """Have a person agree. Raises CommandError where nobody does."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise typer.BadParameter("there is no terminal to ask whether it is meant; use --yes")
    say(words)
    if not typer.confirm("Go on?"):
        raise CommandError("nothing was changed")


def _home(view: InstanceView) -> str:
    if view.at_home:
        return "here"
    return "not known" if view.instance.home is None else "elsewhere"


def _waiting(waiting: Waiting) -> str:
    if not waiting.campaigns:
        return "nothing"
    counts = [f"{count} {_MEDIA[medium]}" for medium, count in waiting.deliveries.items()]
    return f"{', '.join(counts)} of {waiting.campaigns} campaign{'' if waiting.campaigns == 1 else 's'}"


def _json(view: InstanceView, waiting: Waiting) -> dict[str, Any]:
    instance = view.instance
    deliveries = {medium.name.lower(): waiting.deliveries.get(medium, 0) for medium in Medium}
    return {
        "id": instance.id,
        "label": instance.label,
        "epoch": instance.epoch,
        "home": _home(view),
        "held": view.doubt is not None,
        "reason": None if view.doubt is None else view.doubt.value,
        "waiting": {"campaigns": waiting.campaigns, **deliveries},
    }
