"""Receipts that came before their own send was recorded: tried again at growing pauses, and never given up."""

from __future__ import annotations

import asyncio
import selectors
from typing import Any

import pytest
from engine_kit import HandClock

from campana.bus.local import LocalBus
from campana.engine.receipts import EARLY_DELAYS, Mailroom
from campana.storage.river import LateAnswer, Rules
from campana.storage.store import StoreUnavailable
from campana.telemetry import Metrics

LONG = sum(EARLY_DELAYS)


class _NoWaiting(selectors.SelectSelector):
    """Adds up the time for which it was asked to wait, instead of waiting."""

    waited = 0.0

    def select(self, timeout: float | None = None) -> Any:
        self.waited += timeout or 0.0
        return super().select(0)


class Leap(asyncio.SelectorEventLoop):
    """An event loop that never waits: where there is nothing to do, its clock leaps to the next timer."""

    def __init__(self) -> None:
        self._waiting = _NoWaiting()
        super().__init__(self._waiting)

    def time(self) -> float:
        return self._waiting.waited


class Shelf:
    """Early receipts as a store has them: `left` of them match nothing until their send is recorded."""

    def __init__(self, left: int) -> None:
        self.left = left
        self.is_away = False
        self.tried_at: list[float] = []

    async def settle_early(self, rules: Rules, now: int) -> LateAnswer:
        self.tried_at.append(asyncio.get_running_loop().time())
        if self.is_away:
            raise StoreUnavailable("away")
        return LateAnswer([], self.left)

    async def purge_early(self, before: int) -> None:
        pass


def watched(shelf: Shelf, story: Any) -> None:
    """Run a story beside a mailroom that settles what is on the shelf."""

    async def run() -> None:
        mailroom = Mailroom(shelf, lambda campaign, medium: None, LocalBus(), Metrics(), HandClock())
        task = asyncio.create_task(mailroom.settle_for_ever())
        await story(mailroom)
        assert not task.done()
        task.cancel()

    with asyncio.Runner(loop_factory=Leap) as runner:
        runner.run(run())


@pytest.mark.parametrize("is_away", [False, True], ids=["its send is recorded late", "the store was away meanwhile"])
def test_a_receipt_is_tried_until_its_send_is_recorded(is_away: bool) -> None:
    shelf = Shelf(1)

    async def story(mailroom: Mailroom) -> None:
        shelf.is_away = is_away
        await asyncio.sleep(LONG + 1)
        assert len(shelf.tried_at) == len(EARLY_DELAYS)
        shelf.is_away = False
        await asyncio.sleep(10 * EARLY_DELAYS[-1])
        assert len(shelf.tried_at) == len(EARLY_DELAYS) + 10
        shelf.left = 0
        await asyncio.sleep(EARLY_DELAYS[-1])
        tried = len(shelf.tried_at)
        await asyncio.sleep(100 * EARLY_DELAYS[-1])
        assert len(shelf.tried_at) == tried, "there is nothing left to try"

    watched(shelf, story)


def test_a_new_one_is_tried_at_once_though_others_have_waited_long() -> None:
    shelf = Shelf(1)

    async def story(mailroom: Mailroom) -> None:
        await asyncio.sleep(LONG + 1)
        told_at = asyncio.get_running_loop().time()
        mailroom.tell(LateAnswer([], 1))
        await asyncio.sleep(0.2)
        tried = [at - told_at for at in shelf.tried_at if at > told_at]
        assert tried == pytest.approx([EARLY_DELAYS[0], EARLY_DELAYS[0] + EARLY_DELAYS[1]])

    watched(shelf, story)
