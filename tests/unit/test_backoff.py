"""When an endpoint that failed is told again: the rests as a table."""

from __future__ import annotations

import pytest

from campana.domain.backoff import next_try, rests
from campana.domain.moment import DAY, HOUR, SECOND

NOW = 1_800_000_000_000


@pytest.mark.parametrize(
    ("failures", "rest"),
    [(1, 5), (2, 10), (3, 20), (4, 40), (9, 1_280), (10, 2_560), (11, 3_600), (12, 3_600), (500, 3_600)],
)
def test_rests_double_up_to_an_hour(failures: int, rest: int) -> None:
    assert next_try(failures, NOW, NOW, asked=0, chance=0.5) == NOW + rest * SECOND


def test_chance_spreads_them_by_a_fifth() -> None:
    assert next_try(1, NOW, NOW, asked=0, chance=0.0) == NOW + 4 * SECOND
    assert next_try(1, NOW, NOW, asked=0, chance=1.0) == NOW + 6 * SECOND


def test_an_endpoint_may_ask_for_more_but_not_for_ever() -> None:
    assert next_try(1, NOW, NOW, asked=60 * SECOND, chance=0.5) == NOW + 60 * SECOND
    assert next_try(1, NOW, NOW, asked=SECOND, chance=0.5) == NOW + 5 * SECOND
    assert next_try(1, NOW, NOW, asked=DAY, chance=0.5) == NOW + HOUR


def test_after_a_day_it_is_given_up() -> None:
    assert next_try(30, NOW - DAY + 1, NOW, asked=0, chance=0.5) is not None
    assert next_try(30, NOW - DAY, NOW, asked=0, chance=0.5) is None


@pytest.mark.parametrize(
    ("from_now", "rest"),
    [(-1, False), (0, False), (1, True), (HOUR, True), (HOUR * 6 // 5, True), (HOUR * 6 // 5 + 1, False), (DAY, False)],
)
def test_a_rest_that_a_clock_told_which_was_set_back_is_over(from_now: int, rest: bool) -> None:
    assert rests(NOW + from_now, NOW) is rest
