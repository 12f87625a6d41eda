"""Routes as the engine sees them: which one fits, and who may send how much when."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from engine_kit import START, HandClock, Shelf, StandingRoute, campaign_row, lease, ways

from campana.channels.contract import Health
from campana.domain.delivery import Medium
from campana.domain.rate import RECOVERY_MS
from campana.engine.gates import Gates, Passage
from campana.engine.limits import Way

SMS, EMAIL = Medium.SMS, Medium.EMAIL

FITS: list[tuple[Medium, dict[str, Any], str, str, bool]] = [
    (SMS, {}, "acme", "+447700900123", True),
    (SMS, {"accounts": ["acme"]}, "acme", "+447700900123", True),
    (SMS, {"accounts": ["ACME", "other"]}, "acme", "+447700900123", True),
    (SMS, {"accounts": ["acme"]}, "Acme", "+447700900123", True),
    (SMS, {"accounts": ["acme"]}, "acme2", "+447700900123", False),
    (SMS, {"accounts": ["STRASSE"]}, "straße", "+447700900123", True),
    (SMS, {"destinations": ["+44"]}, "acme", "+447700900123", True),
    (SMS, {"destinations": ["+44"]}, "acme", "+14165550100", False),
    (SMS, {"destinations": ["+44", "+1416"]}, "acme", "+14165550100", True),
    (SMS, {"destinations": ["+1416"]}, "acme", "+1417", False),
    (SMS, {"destinations": ["44"]}, "acme", "+447700900123", False),
    (SMS, {"destinations": ["+44"], "accounts": ["acme"]}, "acme", "+447700900123", True),
    (SMS, {"destinations": ["+44"], "accounts": ["other"]}, "acme", "+447700900123", False),
    (EMAIL, {"destinations": ["example.com"]}, "acme", "ann@example.com", True),
    (EMAIL, {"destinations": ["example.com"]}, "acme", "ann@EXAMPLE.com", True),
    (EMAIL, {"destinations": ["Example.COM"]}, "acme", "ann@example.com", True),
    (EMAIL, {"destinations": ["example.com"]}, "acme", "ann@mail.example.com", True),
    (EMAIL, {"destinations": ["example.com"]}, "acme", "ann@notexample.com", False),
    (EMAIL, {"destinations": ["example.com"]}, "acme", "example.com@other.net", False),
    (EMAIL, {"destinations": [".example.com"]}, "acme", "ann@mail.example.com", True),
    (EMAIL, {"destinations": ["@example.com"]}, "acme", "ann@example.com", True),
    (EMAIL, {"destinations": ["a.net", "b.net"]}, "acme", "ann@b.net", True),
    (EMAIL, {"destinations": ["a.net", "b.net"]}, "acme", "ann@c.net", False),
    (EMAIL, {"destinations": ["example.com"]}, "acme", '"odd@local"@example.com', True),
]


@pytest.mark.parametrize(("medium", "changes", "account", "destination", "expected"), FITS)
def test_whom_a_route_serves(
    medium: Medium, changes: dict[str, Any], account: str, destination: str, expected: bool
) -> None:
    way = ways((StandingRoute("one", medium), changes)).all[0]
    assert way.fits(account, destination) is expected


UP, DOWN, CONNECTING = Health.UP, Health.DOWN, Health.CONNECTING

# Routes as (name, health, settings); the account and destination; the one that is chosen, and whether any fits.
CHOICES: list[tuple[list[tuple[str, Health, dict[str, Any]]], str, tuple[str | None, bool]]] = [
    ([], "+44", (None, False)),
    ([("a", UP, {}), ("b", UP, {})], "+44", ("a", True)),
    ([("a", UP, {"priority": 2}), ("b", UP, {"priority": 1})], "+44", ("b", True)),
    ([("a", DOWN, {"priority": 1}), ("b", UP, {"priority": 2})], "+44", ("b", True)),
    ([("a", CONNECTING, {"priority": 1}), ("b", UP, {"priority": 2})], "+44", ("b", True)),
    ([("a", DOWN, {}), ("b", DOWN, {})], "+44", (None, True)),
    ([("a", UP, {"destinations": ["+1"]}), ("b", UP, {"priority": 900})], "+44", ("b", True)),
    ([("a", UP, {"destinations": ["+1"]})], "+44", (None, False)),
    ([("a", DOWN, {"destinations": ["+44"]}), ("b", UP, {"destinations": ["+1"]})], "+44", (None, True)),
    ([("a", UP, {"accounts": ["other"]}), ("b", UP, {"accounts": ["acme"]})], "+44", ("b", True)),
]


@pytest.mark.parametrize(("routes", "destination", "expected"), CHOICES)
def test_the_first_that_fits_and_is_up(
    routes: list[tuple[str, Health, dict[str, Any]]], destination: str, expected: tuple[str | None, bool]
) -> None:
    mail = (StandingRoute("mail", EMAIL), {"priority": 0})
    all_ways = ways(mail, *((StandingRoute(name, SMS, health), changes) for name, health, changes in routes))
    choice = all_ways.choose(SMS, "acme", destination)
    assert (choice.way.name if choice.way else None, choice.way is not None or choice.is_down) == expected
    assert not choice.is_elsewhere
    assert all_ways.names == {"mail", *(name for name, _, _ in routes)}


@pytest.mark.parametrize(
    ("routes", "expected"),
    [
        ([], None),
        ([{"rate": 5}], 5),
        ([{"rate": 5}, {"rate": 50}], 50),
        ([{"rate": 5}, {}], None),
        ([{"rate": 5}, {"rate": 50, "accounts": ["other"]}], 5),
        ([{"rate": 5}, {"accounts": ["other"]}], 5),
        ([{"rate": 5, "destinations": ["+44"]}], 5),
        ([{"rate": 5, "destinations": ["+44"], "accounts": ["Acme"]}], 5),
        ([{"rate": 5, "destinations": ["+44"], "accounts": ["other"]}], None),
    ],
)
def test_the_rate_of_an_account_s_fastest_route(routes: list[dict[str, Any]], expected: float | None) -> None:
    mail = (StandingRoute("mail", EMAIL), {"rate": 1_000})
    all_ways = ways(mail, *((StandingRoute(f"r{place}"), changes) for place, changes in enumerate(routes)))
    assert all_ways.rate_of_a_lease(SMS, "acme", 1) == expected


# --- grants ------------------------------------------------------------------------------------------------------


async def passage(clock: HandClock) -> Passage:
    gate = await Gates(Shelf(campaign_row()), clock).enter(1, SMS)
    return Passage(gate, gate.revision, lease())


def way_of(**changes: Any) -> Way:
    return ways((StandingRoute("one"), changes)).all[0]


async def test_what_was_granted_while_the_route_was_slowed_down_is_counted() -> None:
    """Even where it has its full pace again a millisecond later: else the pace would wait for its leaving for ever."""
    clock = HandClock()
    way, ours = way_of(), await passage(clock)
    way.pace.slow_down(clock.now - RECOVERY_MS + 1)
    moments = iter([clock.now, clock.now + 1])
    grant = await way.grant(10, ours, lambda: next(moments, clock.now + 1))
    assert grant is not None
    assert grant.permit != ours.permit


async def test_without_a_limit_all_is_granted_at_once() -> None:
    clock = HandClock()
    way, ours = way_of(), await passage(clock)
    grant = await way.grant(100, ours, clock)
    assert grant is not None
    assert grant.count == 100
    assert grant.permit == ours.permit
    assert not way.makes_wait(clock.now)


async def test_a_grant_counts_what_leaves_and_returns_the_rest() -> None:
    clock = HandClock()
    way, ours = way_of(rate=100), await passage(clock)
    grant = await way.grant(100, ours, clock)
    assert grant is not None
    assert grant.count == 5
    assert way.makes_wait(clock.now)
    assert [grant.permit() for _ in range(3)] == [True] * 3
    grant.close()
    grant.close()
    rest = 0
    for clock.now in range(START, START + 1_000, 5):
        rest += way.pace.grant(5, clock.now)
    assert rest == 97, "three left, two were returned"


async def test_a_permit_asked_twice_for_a_message_counts_no_more_than_was_granted() -> None:
    clock = HandClock()
    way, ours = way_of(rate=20), await passage(clock)
    grant = await way.grant(1, ours, clock)
    assert grant is not None
    assert [grant.permit() for _ in range(10)] == [True] * 10
    clock.now += 50
    assert way.pace.grant(1, clock.now) == 1


async def test_what_is_asked_for_twice_leaves_when_it_is_asked_for_last() -> None:
    """As an email does, before MAIL and before its content: two of them at once, whose contents follow later."""
    clock = HandClock()
    way, ours = way_of(rate=40), await passage(clock)
    grant = await way.grant(2, ours, clock)
    assert grant is not None
    assert (grant.count, grant.permit(), grant.permit()) == (2, True, True)
    clock.now += 700
    assert (grant.permit(), grant.permit()) == (True, True)
    grant.close()
    assert way.pace.memory().departures[-1] == (START + 700, 2)
    assert sum(count for _, count in way.pace.memory().departures) == 2


async def test_a_grant_of_a_shut_gate_lets_nothing_leave() -> None:
    clock = HandClock()
    way, ours = way_of(rate=20), await passage(clock)
    grant = await way.grant(1, ours, clock)
    assert grant is not None
    ours.gate.stopped = True
    assert not grant.permit()
    assert await way.grant(1, ours, clock) is None


async def test_who_waits_for_the_pace_goes_when_the_gate_shuts() -> None:
    clock = HandClock()
    way, ours = way_of(rate=0.1), await passage(clock)
    assert await way.grant(1, ours, clock) is not None
    waiting = asyncio.create_task(way.grant(1, ours, clock))
    await asyncio.sleep(0)
    assert way.makes_wait(clock.now)
    ours.gate.stopped = True
    ours.gate.shut.set()
    assert await asyncio.wait_for(waiting, 5) is None


async def test_those_who_wait_are_served_in_turn() -> None:
    clock = HandClock()
    way, ours = way_of(rate=1_000), await passage(clock)
    await way.turn.acquire()
    served: list[int] = []

    async def ask(who: int) -> None:
        assert await way.grant(1, ours, clock) is not None
        served.append(who)

    asking = [asyncio.create_task(ask(who)) for who in range(5)]
    await asyncio.sleep(0)
    way.turn.release()
    await asyncio.gather(*asking)
    assert served == [0, 1, 2, 3, 4]
