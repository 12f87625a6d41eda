"""What tests of progress ask again and again: how contacts stand as lists of them say, and what events come to."""

from __future__ import annotations

from typing import Any

from campana.domain.delivery import Medium, Status
from campana.domain.progress import Balance, Event, EventKind
from tests.contract.conftest import NOW, World

_STATUS_AT = {Medium.SMS: 3, Medium.VOICE: 8, Medium.EMAIL: 13}
"""Where a flat line has the status of a medium."""


async def counted(world: World) -> Balance:
    """How contacts stand, as pages of contacts say."""
    lines = await world.lines()
    tallies = [[0] * len(Status) for _ in Medium]
    for line in lines:
        for medium, place in _STATUS_AT.items():
            tallies[medium][line[place]] += 1
    return Balance(len(lines), tuple(tuple(row) for row in tallies))


async def standing(world: World) -> Any:
    """How the campaign stands."""
    return (await world.store.progress.standings([world.campaign.number]))[world.campaign.number]


async def fold(world: World, store: Any = None) -> None:
    """Fold all that happened."""
    while await (store or world.store).progress.fold(world.campaign.number, NOW):
        pass


async def events(world: World, page: int = 1_000) -> list[Event]:
    """Fold, and read all events page by page."""
    await fold(world)
    found: list[Event] = []
    while some := await world.store.progress.events(world.campaign.number, len(found), page):
        found += some
    return found


def moves(found: list[Event]) -> list[tuple[Medium | None, Status | None, Status | None, int]]:
    """Changed statuses: medium, before, after, code."""
    changed = (one for one in found if one.kind is EventKind.STATUS_CHANGED)
    return [(one.medium, one.was, one.status, one.code) for one in changed]


def replayed(found: list[Event]) -> dict[tuple[str | None, Medium | None], Status | None]:
    """What events make of each delivery that they name, each of them going on where the one before it ended."""
    stands: dict[tuple[str | None, Medium | None], Status | None] = {}
    for one in found:
        if one.kind is EventKind.STATUS_CHANGED:
            who = one.contact, one.medium
            assert stands.get(who, one.was) == one.was, one
            stands[who] = one.status
    return stands
