"""The pace of a route: never too much in any second, however long a message takes to leave, and hardly too little."""

from __future__ import annotations

from bisect import bisect_left

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campana.domain.rate import MARGIN_MS, RECOVERY_MS, Pace

START = 1_800_000_000_000
RATES = [1, 2, 3, 7, 10, 19, 20, 21, 50, 99.9, 100, 333, 1_000, 5_000]


def most_in_a_second(departures: list[int], span: int = 1_000) -> int:
    """The largest number of departures in any stretch of a second."""
    departures = sorted(departures)
    return max((bisect_left(departures, at + span) - index for index, at in enumerate(departures)), default=0)


def drive(pace: Pace, seconds: float, wanted: int = 100, leaves_after: int = 0) -> list[int]:
    """Ask whenever something may be granted; each message leaves a while after its grant. When each left."""
    now, end, left = START, START + int(seconds * 1_000), []
    while now < end:
        granted = pace.grant(wanted, now)
        if granted:
            now += leaves_after
            pace.left(granted, now)
            left += [now] * granted
        now = max(now, pace.next_at(now))
    return left


@pytest.mark.parametrize("rate", RATES)
def test_asked_constantly_it_uses_the_rate_and_no_more(rate: float) -> None:
    left = drive(Pace(rate), seconds=20)
    assert most_in_a_second(left) <= rate
    assert len(left) >= 0.9 * int(rate) * 20


@pytest.mark.parametrize("rate", [10, 100, 1_000])
def test_a_second_is_not_used_up_at_its_beginning(rate: float) -> None:
    left = drive(Pace(rate), seconds=1)
    assert most_in_a_second(left, span=100) <= 0.15 * rate + 1


@pytest.mark.parametrize(("rate", "seconds", "least"), [(0.5, 20, 9), (0.1, 60, 5), (1.5, 20, 18)])
def test_what_is_no_whole_number_a_second(rate: float, seconds: float, least: int) -> None:
    left = drive(Pace(rate), seconds=seconds)
    assert len(left) >= least
    assert most_in_a_second(left) <= 1
    assert most_in_a_second(left, span=int(1_000 / min(rate, 1))) == 1


@pytest.mark.parametrize("delay", [1, 20, 300, 2_500])
def test_slow_departures_do_not_let_more_leave(delay: int) -> None:
    left = drive(Pace(100), seconds=10, leaves_after=delay)
    assert most_in_a_second(left) <= 100


def test_what_was_granted_counts_until_it_leaves_and_a_second_more() -> None:
    pace = Pace(1)
    assert pace.grant(5, START) == 1
    assert pace.grant(1, START + 60_000) == 0
    assert START + 60_000 < pace.next_at(START + 60_000) <= START + 60_010
    pace.left(1, START + 60_000)
    assert pace.next_at(START + 60_000) == START + 61_001 + MARGIN_MS
    assert pace.grant(1, START + 61_000) == 0
    assert pace.grant(1, START + 61_001 + MARGIN_MS) == 1


def test_what_was_given_back_never_was() -> None:
    pace = Pace(20)
    for slot in range(20):
        assert pace.grant(1, START + slot * 50) == 1
    now = START + 1_000
    assert pace.grant(1, now) == 0
    pace.give_back(3)
    assert [pace.grant(1, now + slot * 50) for slot in range(4)] == [1, 1, 1, 0]


def test_more_given_back_than_granted_does_not_raise_the_limit() -> None:
    pace = Pace(5)
    pace.give_back(100)
    assert len(drive(pace, seconds=0.999)) == 5


STEPS = st.lists(
    st.tuples(st.sampled_from(["ask", "leave", "give back", "throttled"]), st.integers(0, 400), st.integers(1, 120)),
    max_size=120,
)


@settings(max_examples=300, deadline=None)
@given(rate=st.one_of(st.integers(1, 200), st.floats(0.2, 50)), steps=STEPS)
def test_never_more_in_any_second_whatever_happens(rate: float, steps: list[tuple[str, int, int]]) -> None:
    pace, now, pending, left = Pace(rate), START, 0, []
    for what, later, many in steps:
        now += later
        if what == "ask":
            pending += pace.grant(many, now)
        elif what == "leave":
            leaving = min(many, pending)
            pace.left(leaving, now)
            pending -= leaving
            left += [now] * leaving
        elif what == "give back":
            pace.give_back(min(many, pending))
            pending -= min(many, pending)
        else:
            pace.slow_down(now)
    assert most_in_a_second(left) <= max(1, int(rate))


@settings(max_examples=100, deadline=None)
@given(rate=st.integers(1, 500), now=st.integers(0, 5_000), wanted=st.integers(1, 200))
def test_at_the_moment_it_names_it_grants(rate: int, now: int, wanted: int) -> None:
    pace = Pace(rate)
    for earlier in range(0, now, 37):
        granted = pace.grant(wanted, START + earlier)
        if granted:
            pace.left(granted, START + earlier)
    at = pace.next_at(START + now)
    assert pace.grant(wanted, at) > 0


# --- throttling --------------------------------------------------------------------------------------------------


def test_throttled_it_pauses_halves_and_climbs_back() -> None:
    pace = Pace(100)
    pace.slow_down(START)
    assert pace.next_at(START) == START + 200
    assert pace.grant(1, START + 199) == 0
    assert pace.grant(1, START + 200) == 1
    rates = [pace.current(START + RECOVERY_MS * tenth // 10) for tenth in range(11)]
    assert rates[0] == 50
    assert rates == sorted(rates)
    assert rates[5] == 75
    assert rates[10] == 100


def test_answers_of_one_burst_count_once() -> None:
    pace = Pace(100)
    for later in range(0, 200, 10):
        pace.slow_down(START + later)
    assert pace.current(START) == 50
    pace.slow_down(START + 200)
    assert 25 <= pace.current(START + 200) <= 26


def test_throttled_again_and_again_it_still_goes() -> None:
    pace, now = Pace(1_000), START
    for _ in range(100):
        pace.slow_down(now)
        now += 200
    assert pace.current(now) >= 1
    assert len(drive(pace, seconds=0)) == 0
    assert pace.grant(1, now + 2_000) == 1


def test_an_unlimited_route_is_limited_only_while_it_recovers() -> None:
    pace = Pace(None)
    assert pace.rate is None
    assert not pace.is_limited(START)
    assert pace.grant(10_000, START) == 10_000
    assert pace.next_at(START) == START
    pace.slow_down(START)
    assert pace.is_limited(START)
    assert pace.current(START) == 500
    assert pace.current(START + RECOVERY_MS // 2) == 750
    assert 0 < pace.grant(10_000, START + 200) <= 50
    assert not pace.is_limited(START + RECOVERY_MS)
    assert pace.grant(10_000, START + RECOVERY_MS) == 10_000


# --- the clock ---------------------------------------------------------------------------------------------------


def test_a_clock_set_back_does_not_stop_the_route() -> None:
    pace = Pace(10)
    assert len(drive(pace, seconds=2)) >= 18
    pace.slow_down(START + 2_000)
    back = START - 3_600_000
    assert back < pace.next_at(back) <= back + 1_100
    assert pace.grant(1, back + 1_100) == 1


def test_a_clock_set_back_does_not_raise_the_limit() -> None:
    pace = Pace(10)
    for slot in range(10):
        pace.left(pace.grant(1, START + slot * 100), START + slot * 100)
    back = START - 3_600_000
    granted = sum(pace.grant(1, back + later) for later in range(0, 100, 10))
    assert granted <= 1
