"""Receipts that do not come: all of them are asked about in time, also where a route is not configured any more."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from engine_kit import START, HandClock, StandingRoute, ways

from campana.bus.local import LocalBus
from campana.domain.delivery import Medium
from campana.domain.moment import DAY
from campana.domain.outcome import DeliveryCode, Receipt, ReceiptState
from campana.engine.duties import Duty
from campana.engine.receipts import OVERDUE_AT_ONCE, Asker, Mailroom
from campana.storage.river import Handover, LateAnswer
from campana.storage.store import StoreUnavailable
from campana.storage.tables import delivery_id
from campana.telemetry import Metrics


def rules(campaign: Any, medium: Any) -> Any:
    raise NotImplementedError


class Ledger:
    """Hand-overs in memory, shaped as the parts of the store that the asker uses."""

    def __init__(self, *handovers: Handover) -> None:
        self.open = {one.id: one for one in handovers}
        self.told: list[str] = []
        self.given_up: list[int] = []
        self.settled = asyncio.Event()

    async def routes(self) -> list[str]:
        return sorted({one.route for one in self.open.values()})

    async def overdue(self, route: str, before: int, now: int, limit: int) -> list[Handover]:
        found = [one for one in self.open.values() if one.route == route and one.at < before]
        return found[:limit]

    async def settle_early(self, rules: Any, now: int) -> LateAnswer:
        return LateAnswer([])

    async def purge_early(self, before: int) -> None:
        return None

    async def content(self, campaign: int, revision: int, medium: Medium) -> None:
        return None

    async def missing(self, handover: Handover, rules: Any, now: int) -> LateAnswer:
        self.given_up.append(self.open.pop(handover.id).id)
        self._note()
        return LateAnswer([])

    async def postpone(self, handover: Handover, now: int) -> None:
        self.open[handover.id] = replace(handover, at=now)
        self._note()

    async def receipts(self, batch: Any, rules: Any, now: int) -> LateAnswer:
        for receipt in batch:
            self.told += receipt.carrier_ids
            self.open = {id: one for id, one in self.open.items() if one.carrier_id not in receipt.carrier_ids}
        self._note()
        return LateAnswer([])

    def _note(self) -> None:
        if not [one for one in self.open.values() if one.at < START - DAY]:
            self.settled.set()


class AskedRoute(StandingRoute):
    """A route whose carrier says the same of all messages, once as many as are expected are asked about."""

    def __init__(self, says: ReceiptState | None, at_a_time: int) -> None:
        super().__init__("main")
        self._says = says
        self._together = asyncio.Barrier(at_a_time)

    async def query(self, carrier_id: str, source: str, destination: str) -> Receipt | None:
        await self._together.wait()
        if self._says is None:
            return None
        return Receipt("main", self._says, DeliveryCode.OK, START, (carrier_id,))


def handovers(count: int, route: str, at: int, medium: Medium = Medium.SMS) -> list[Handover]:
    return [
        Handover(number, route, f"id-{number}", delivery_id(1, medium, number), 1, at, at, "+14165550001", 1)
        for number in range(1, count + 1)
    ]


def asker(ledger: Any, *routes: StandingRoute) -> Asker:
    clock = HandClock()
    mailroom = Mailroom(ledger, rules, LocalBus(), Metrics(), clock)
    all_ways = ways(*((route, {}) for route in routes))
    return Asker(ledger, ledger, all_ways, mailroom, duty_of=lambda name: Duty(None, name, "test", clock), clock=clock)


@pytest.mark.parametrize(
    ("says", "became"),
    [(ReceiptState.DELIVERED, "told"), (None, "given up"), (ReceiptState.INTERIM, "open")],
    ids=["delivered", "unknown", "still on its way"],
)
async def test_a_carrier_is_asked_about_many_at_a_time(says: ReceiptState | None, became: str) -> None:
    """One that is slow to answer would otherwise hold up all the others."""
    ledger = Ledger(*handovers(OVERDUE_AT_ONCE, "main", START - 2 * DAY))
    route = AskedRoute(says, OVERDUE_AT_ONCE)
    asked = await asyncio.wait_for(asker(ledger, route).ask(ways((route, {})).all[0], DAY, rules), 10)
    counts = {"told": len(ledger.told), "given up": len(ledger.given_up), "open": len(ledger.open)}
    assert asked == OVERDUE_AT_ONCE
    assert counts == {"told": 0, "given up": 0, "open": 0} | {became: OVERDUE_AT_ONCE}


async def test_what_a_route_that_is_gone_has_taken_is_given_up() -> None:
    many = 2 * OVERDUE_AT_ONCE + 1
    young = Handover(999, "gone", "young", 1, 1, START, START, "", 1)
    ledger = Ledger(*handovers(many, "gone", START - 2 * DAY), young)
    task = asyncio.create_task(asker(ledger, StandingRoute("main")).ask_for_ever(rules))
    await asyncio.wait_for(ledger.settled.wait(), 10)
    task.cancel()
    assert (len(ledger.given_up), list(ledger.open)) == (many, [999])


async def test_at_the_start_calls_of_a_route_that_is_gone_are_given_up_and_messages_are_waited_for() -> None:
    many = 2 * OVERDUE_AT_ONCE + 1
    calls = handovers(many, "gone-trunk", START, Medium.VOICE)
    messages = [replace(one, id=many + one.id) for one in handovers(OVERDUE_AT_ONCE, "gone-smsc", START)]
    ledger = Ledger(*calls, *messages)
    await asyncio.wait_for(asker(ledger, StandingRoute("main")).settle_dead_calls(rules), 10)
    assert ledger.given_up == [one.id for one in calls]
    assert list(ledger.open) == [one.id for one in messages]


async def test_nothing_is_given_up_at_the_start_before_the_store_has_told_what_is_known() -> None:
    class Failing(Ledger):
        async def settle_early(self, rules: Any, now: int) -> LateAnswer:
            raise StoreUnavailable("the disk is full")

    ledger = Failing(*handovers(1, "gone-trunk", START, Medium.VOICE))
    with pytest.raises(StoreUnavailable):
        await asker(ledger, StandingRoute("main")).settle_dead_calls(rules)
    assert ledger.given_up == []


async def test_a_name_that_both_a_trunk_and_an_smsc_had_holds_nothing_up() -> None:
    call, message = handovers(1, "gone", START, Medium.VOICE) + handovers(1, "gone", START)
    ledger = Ledger(call, replace(message, id=2))
    await asyncio.wait_for(asker(ledger, StandingRoute("main")).settle_dead_calls(rules), 10)
    assert (ledger.given_up, list(ledger.open)) == ([1], [2])
