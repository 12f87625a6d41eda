"""What processes share of a route: no limit is ever passed, and nobody who wants some is left without for long."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campana.domain.sharing import (
    GRANT_MS,
    REST_MS,
    TURN_MS,
    Allotment,
    Ask,
    Holding,
    RouteState,
    Wish,
    allot_connections,
    allot_lines,
    forget,
    pace,
)

NOW = 1_790_000_000_000


def kept(state: RouteState) -> RouteState:
    """The state as the next process reads it."""
    return msgspec.json.decode(msgspec.json.encode(state), type=RouteState)


# --- rate --------------------------------------------------------------------------------------------------------


def most_in_a_second(departures: list[int]) -> int:
    ordered = sorted(departures)
    return max((sum(1 for at in ordered if first <= at < first + 1_000) for first in ordered), default=0)


@settings(max_examples=60, deadline=None)
@given(
    rate=st.sampled_from([1, 3, 10, 50, 200]),
    steps=st.lists(
        st.tuples(st.sampled_from("abcd"), st.integers(1, 100), st.integers(0, 60), st.integers(0, 900), st.booleans()),
        min_size=20,
        max_size=120,
    ),
)
def test_no_second_ever_sees_more_than_the_rate(rate: int, steps: list[tuple[str, int, int, int, bool]]) -> None:
    """Owners ask, send a while later what they were granted, tell it or die: together they keep to the rate."""
    state, now, departures, untold = RouteState(), NOW, [], Counter[str]()
    told: dict[str, list[tuple[int, int]]] = {}
    for owner, wanted, pause, flight, dies in steps:
        now += pause
        answer = pace(state := kept(state), rate, Ask(owner, wanted, told.pop(owner, [])), now)
        assert answer.granted <= wanted
        assert answer.granted or answer.next_at > now
        if answer.granted and not dies:
            leaves = min(now + flight, answer.lapses_at - 1)
            departures += [leaves] * answer.granted
            told.setdefault(owner, []).append((leaves, answer.granted))
        untold[owner] += answer.granted
    assert most_in_a_second(departures) <= rate


def test_one_after_the_other_they_get_nearly_all_of_it() -> None:
    state, now, sent = RouteState(), NOW, 0
    left: dict[str, list[tuple[int, int]]] = {}
    while now < NOW + 20_000:
        for owner in "abcd":
            answer = pace(state, 100, Ask(owner, 100, left.pop(owner, [])), now)
            if answer.granted:
                left[owner] = [(now + 3, answer.granted)]
                sent += answer.granted
        now += 2
    assert 1_900 <= sent <= 2_000


def test_what_is_given_back_may_be_granted_at_once() -> None:
    state = RouteState()
    first = pace(state, 20, Ask("a", 1), NOW)
    assert first.granted == 1
    for _ in range(19):
        pace(state, 20, Ask("a", 1, [(NOW, 1)]), NOW)
    again = pace(state, 20, Ask("a", 0, unspent=1), NOW + 60)
    assert (again.granted, state.pending) == (0, {})
    assert pace(state, 20, Ask("b", 1), NOW + 60).granted == 1


def test_grants_of_one_who_says_nothing_lapse() -> None:
    state = RouteState()
    assert pace(state, 1, Ask("dead", 1), NOW).granted == 1
    assert pace(state, 1, Ask("b", 1), NOW + GRANT_MS - 1).granted == 0
    # It may have left at the last moment.
    assert pace(state, 1, Ask("b", 1), NOW + GRANT_MS + 900).granted == 0
    assert pace(state, 1, Ask("b", 1), NOW + GRANT_MS + 1_100).granted == 1


def test_a_state_whose_past_is_lost_rests() -> None:
    state = RouteState(rests_until=NOW + REST_MS)
    answer = pace(state, 100, Ask("a", 5), NOW)
    assert (answer.granted, answer.next_at) == (0, NOW + REST_MS)
    assert pace(state, 100, Ask("a", 5), NOW + REST_MS).granted == 5
    assert allot_lines(RouteState(rests_until=NOW + 1), 10, Wish("a", 3, 7), NOW).may == 3


def test_all_slow_down_where_the_carrier_throttles_one() -> None:
    state = RouteState()
    pace(state, 100, Ask("a", 0, throttled=True), NOW)
    assert pace(kept(state), 100, Ask("b", 100), NOW).granted == 0
    sent = 0
    for now in range(NOW + 200, NOW + 1_200, 10):
        granted = pace(state, 100, Ask("b", 100), now).granted
        pace(state, 100, Ask("b", 0, [(now, granted)]), now)
        sent += granted
    assert 0 < sent <= 60


def test_times_told_in_the_other_order_are_no_clock_set_back() -> None:
    state = RouteState()
    for at in (NOW + 5, NOW, NOW + 5, NOW + 1):
        pace(state, 2, Ask("a", 1, [(at, 1)]), at)
    assert state.pace.latest == NOW + 5


def test_a_state_stays_small() -> None:
    state = RouteState()
    for now in range(NOW, NOW + 5_000, 3):
        granted = pace(state, 100_000, Ask("a", 500), now).granted
        pace(state, 100_000, Ask("a", 0, [(now, granted)]), now)
    assert len(msgspec.json.encode(state)) < 6_000


# --- lines and connections ---------------------------------------------------------------------------------------

# Who holds and wants what, who asks with what in use and wanted, of how many; what it may use then.
ALLOTMENTS: list[tuple[str, dict[str, tuple[int, int]], Wish, int, int]] = [
    ("alone it gets what it wants", {}, Wish("a", 0, 7), 10, 7),
    ("alone it gets no more than there is", {}, Wish("a", 0, 70), 10, 10),
    ("what it uses stays its own", {"a": (4, 4)}, Wish("a", 4, 4), 10, 4),
    ("it gives back what it does not want", {"a": (9, 9)}, Wish("a", 2, 3), 10, 3),
    ("what others do not want is anybody's", {"b": (1, 1)}, Wish("a", 0, 9), 10, 9),
    ("no more than others leave", {"b": (8, 8)}, Wish("a", 0, 9), 10, 2),
    ("who has more than its share gives way", {"a": (10, 10), "b": (0, 5)}, Wish("a", 3, 10), 10, 5),
    ("also where it uses more, as soon as it can", {"a": (10, 10), "b": (0, 5)}, Wish("a", 8, 10), 10, 5),
    ("the short one gets what is free", {"a": (8, 10)}, Wish("b", 0, 5), 10, 2),
    ("nobody is short who wants little and has it", {"b": (2, 2)}, Wish("a", 0, 10), 10, 8),
    ("nothing left", {"b": (10, 10)}, Wish("a", 0, 5), 10, 0),
]


@pytest.mark.parametrize(
    ("there", "wish", "total", "expected"), [row[1:] for row in ALLOTMENTS], ids=[r[0] for r in ALLOTMENTS]
)
def test_what_one_may_use(there: dict[str, tuple[int, int]], wish: Wish, total: int, expected: int) -> None:
    state = RouteState(lines={name: Holding(*values) for name, values in there.items()})
    assert allot_lines(state, total, wish, 0).may == expected
    assert state.lines[wish.owner].held == max(wish.used, expected)


def test_who_wants_nothing_is_forgotten() -> None:
    state = RouteState(lines={"a": Holding(3, 3)})
    assert allot_lines(state, 10, Wish("a", 0, 0), NOW) == Allotment(0, others_short=False)
    assert state.lines == {}


@given(
    total=st.integers(1, 20),
    steps=st.lists(
        st.tuples(st.sampled_from("abcd"), st.integers(0, 25), st.floats(0, 1), st.integers(0, TURN_MS)), max_size=60
    ),
    kind=st.sampled_from([allot_lines, allot_connections]),
)
def test_together_they_never_hold_more_than_there_is(
    total: int, steps: list[tuple[str, int, float, int]], kind: object
) -> None:
    """Whoever asks, however often, and uses any part of what it may use."""
    state, has, now = RouteState(), Counter[str](), NOW
    for owner, wanted, part, pause in steps:
        now += pause
        used = int(has[owner] * part)
        may = kind(state := kept(state), total, Wish(owner, used, wanted), now).may  # type: ignore[operator]
        has[owner] = max(used, may)
        assert sum(has.values()) <= total


@pytest.mark.parametrize(("total", "shares"), [(4, [1, 1, 1, 1]), (6, [1, 1, 2, 2]), (2, [0, 0, 1, 1])])
def test_those_who_want_all_come_to_the_same(total: int, shares: list[int]) -> None:
    state, may = RouteState(), dict.fromkeys("abcd", 0)
    for _ in range(4):
        for owner in may:
            may[owner] = allot_connections(state, total, Wish(owner, 0, total), NOW).may
    assert sorted(may.values()) == shares


def test_a_connection_stays_where_it_is_while_lines_go_around() -> None:
    holders: dict[object, set[str]] = {allot_lines: set(), allot_connections: set()}
    for kind, seen in holders.items():
        state = RouteState()
        for now in range(NOW, NOW + 4 * TURN_MS, TURN_MS // 4):
            for owner in "zab":
                if kind(state, 1, Wish(owner, 0, 1), now).may:  # type: ignore[operator]
                    seen.add(owner)
    assert holders == {allot_lines: {"a", "b", "z"}, allot_connections: {"z"}}


def test_others_are_told_of_what_one_gives_back_where_they_lack_it() -> None:
    state = RouteState()
    assert allot_lines(state, 2, Wish("a", 2, 2), NOW) == Allotment(2, others_short=False)
    assert allot_lines(state, 2, Wish("b", 0, 1), NOW) == Allotment(0, others_short=False)
    assert allot_lines(state, 2, Wish("a", 0, 0), NOW) == Allotment(0, others_short=True)
    assert allot_lines(state, 2, Wish("b", 0, 1), NOW) == Allotment(1, others_short=False)


def test_what_the_dead_held_is_free() -> None:
    state = RouteState()
    assert pace(state, 10, Ask("a", 1), NOW).granted == 1
    assert allot_lines(state, 3, Wish("a", 0, 3), NOW).may == 3
    assert allot_connections(state, 1, Wish("a", 0, 1), NOW).may == 1
    forget(state, "a", NOW + 100)
    assert (state.pending, state.lines, state.connections) == ({}, {}, {})
    assert sum(count for _, count in state.pace.departures) == 1
    forget(state, "nobody", NOW + 100)
