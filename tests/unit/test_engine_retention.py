"""What is kept long enough is removed, round by round; what is not set is kept for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import pytest

from campana.bus.contract import Hint, News
from campana.bus.local import LocalBus
from campana.domain.moment import DAY
from campana.engine.duties import Duty
from campana.engine.options import RetentionOptions
from campana.engine.retention import Remover
from campana.storage.store import CampaignRow, StoreUnavailable
from tests.unit.engine_kit import START, HandClock, campaign_row

NOTHING = RetentionOptions(deleted_ms=0, ended_ms=0, incoming_ms=0)


@dataclass
class Attic:
    """Old data in memory, shaped as the part of the store that is asked. Each campaign has two portions."""

    rows: list[CampaignRow] = field(default_factory=list)
    deleted: dict[int, int] = field(default_factory=dict)
    messages: list[int] = field(default_factory=list)
    swept: int = 0
    is_away: bool = False
    rounds: asyncio.Event = field(default_factory=asyncio.Event)

    async def campaigns(self, after: int, limit: int) -> list[CampaignRow]:
        return [row for row in self.rows if row.number > after and row.number not in self.deleted][:limit]

    async def delete(self, campaign: CampaignRow, at: int) -> bool:
        if campaign not in self.rows:
            return False
        self.deleted[campaign.number] = at
        return True

    async def expired(self, deleted_before: int, after: int, limit: int) -> list[int]:
        self.rounds.set()
        if self.is_away:
            raise StoreUnavailable("away")
        return [number for number, at in sorted(self.deleted.items()) if at < deleted_before and number > after][:limit]

    async def remove(self, campaign: int) -> AsyncIterator[int]:
        yield 5
        del self.deleted[campaign]
        yield 1

    async def remove_handovers(self) -> AsyncIterator[int]:
        self.swept += 1
        yield 0

    async def remove_incoming(self, before: int) -> AsyncIterator[int]:
        while old := [at for at in self.messages if at < before]:
            self.messages.remove(old[0])
            yield 1


def remover(attic: Attic, **kept: int) -> tuple[Remover, HandClock, list[Hint]]:
    clock, bus, heard = HandClock(), LocalBus(), []
    bus.listen(heard.append)
    duty = Duty(None, "retention", "test", clock)
    return Remover(attic, bus, replace(NOTHING, **kept), duty=duty, clock=clock), clock, heard


def until(day: int, **more: Any) -> dict[str, Any]:
    return {"active_to_date": datetime(2026, 9, day), **more}


async def test_a_deleted_campaign_is_removed_when_its_time_has_come() -> None:
    attic = Attic(deleted={1: START, 2: START + 1})
    it, clock, _ = remover(attic, deleted_ms=DAY)
    clock.now = START + DAY
    await it.round()
    assert (set(attic.deleted), attic.swept) == ({1, 2}, 0)
    clock.now += 1
    await it.round()
    assert (set(attic.deleted), attic.swept) == ({2}, 1)
    await it.round()
    assert (set(attic.deleted), attic.swept) == ({2}, 1)


async def test_a_campaign_past_its_end_is_deleted_and_everybody_hears_of_it() -> None:
    rows = [
        campaign_row(1, **until(18)),
        campaign_row(2),
        campaign_row(3, **until(19)),
        campaign_row(4, **until(18, time_zone="America/Los_Angeles")),
    ]
    attic = Attic(rows)
    it, clock, heard = remover(attic, ended_ms=2 * DAY)
    # START is the 21st, 14:13 UTC. In Los Angeles the 18th ended on the 19th at 7:00 UTC; the 19th itself ended later.
    await it.round()
    assert attic.deleted == {1: START, 4: START}
    assert heard == [Hint(News.CAMPAIGN, 1), Hint(News.CAMPAIGN, 4)]
    clock.now += DAY
    await it.round()
    assert set(attic.deleted) == {1, 3, 4}


async def test_messages_of_people_are_removed_when_their_time_has_come() -> None:
    attic = Attic(messages=[START - DAY - 1, START - DAY, START])
    it, _, _ = remover(attic, incoming_ms=DAY)
    await it.round()
    assert attic.messages == [START - DAY, START]


async def test_what_is_not_set_is_kept_for_ever() -> None:
    attic = Attic([campaign_row(1, **until(1))], deleted={2: 0}, messages=[0])
    it, _, heard = remover(attic)
    await it.round()
    assert (attic.deleted, attic.messages, heard) == ({2: 0}, [0], [])


@pytest.mark.parametrize("is_away", [False, True])
async def test_rounds_go_on_for_ever_also_without_a_database(is_away: bool) -> None:
    attic = Attic(is_away=is_away)
    it, _, _ = remover(attic, deleted_ms=DAY, round_ms=1)
    running = asyncio.create_task(it.remove_for_ever())
    async with asyncio.timeout(20):
        for _ in range(3):
            attic.rounds.clear()
            await attic.rounds.wait()
    running.cancel()
