"""Chunks whose routes are down: passed over ever longer, and tried at once when a route comes up."""

from __future__ import annotations

import pytest
from engine_kit import START, StandingRoute, ways

from campana.channels.contract import Health
from campana.domain.delivery import Medium
from campana.engine.stranded import FIRST_MS, LONGEST_MS, REMEMBERED, Stranded

SMS, EMAIL = Medium.SMS, Medium.EMAIL


def test_each_rest_is_twice_as_long_up_to_a_limit() -> None:
    stranded, now, rests = Stranded(ways()), START, []
    for _ in range(9):
        until = stranded.add(7, SMS, now)
        assert stranded.chunks(now) == stranded.chunks(until - 1) == [7]
        assert stranded.chunks(until) == []
        rests.append(until - now)
        now = until
    assert rests[:4] == [FIRST_MS, 2 * FIRST_MS, 4 * FIRST_MS, 8 * FIRST_MS]
    assert rests[-2:] == [LONGEST_MS, LONGEST_MS]


def test_a_clock_that_is_set_back_holds_nothing_up() -> None:
    stranded = Stranded(ways())
    stranded.add(7, SMS, START)
    assert stranded.chunks(START - 1) == []


@pytest.mark.parametrize(
    ("before", "after", "left"),
    [
        ("down", "up", [2]),
        ("down", "down", [1, 2]),
        ("up", "up", [1, 2]),
        ("up", "down", [1, 2]),
    ],
)
def test_a_route_that_comes_up_frees_the_chunks_of_its_medium(before: str, after: str, left: list[int]) -> None:
    route, mail = StandingRoute("main", SMS, Health(before)), StandingRoute("mail", EMAIL)
    stranded = Stranded(ways((route, {}), (mail, {})))
    stranded.look()
    stranded.add(1, SMS, START)
    stranded.add(2, EMAIL, START)
    route.state.health = Health(after)
    stranded.look()
    assert stranded.chunks(START) == left


def test_it_remembers_so_many_and_no_more() -> None:
    stranded = Stranded(ways())
    for chunk in range(REMEMBERED + 5):
        stranded.add(chunk, SMS, START)
    assert stranded.chunks(START) == list(range(5, REMEMBERED + 5))
