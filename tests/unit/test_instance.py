"""Which database goes on and which is held: the judgement as a table, and what a look at a database does to it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campana.domain.instance import (
    RECENT,
    Doubt,
    Found,
    Home,
    Instance,
    Memory,
    Place,
    Self,
    adopted,
    disowned,
    judge,
    judge_running,
    memory_of,
    retired,
    risen,
)

HERE, THERE = Place("cluster/1"), Place("cluster/2")
PROMOTED = Place("cluster/1", 2)
LIVED = Home(HERE, 0)
ROW = Instance("one", None, 500, LIVED, retired=False)
NEW = Instance("one", None, 0, None, retired=False)
WHO = Self(None, "machine")
SEEN = Memory("one", 500, LIVED, "machine")
OTHER = Memory("other", 9_000, LIVED, "machine")


def found(instance: Instance = ROW, here: Place = HERE, *, empty: bool = False) -> Found:
    return Found(instance, here, empty)


def at(epoch: int, home: Home | None = LIVED) -> Instance:
    return replace(ROW, epoch=epoch, home=home)


MOVED_LINE = Home(PROMOTED, 500)
"""Where a standby was promoted at epoch 500, and a process has noticed."""

CASES = [
    ("never ran, and nothing is remembered", found(NEW), None, None),
    ("never ran and is empty, where another ran before", found(NEW, empty=True), OTHER, None),
    ("never ran but has campaigns, where another ran before", found(NEW), OTHER, Doubt.STRANGER),
    ("restored from before it ever ran", found(NEW), SEEN, Doubt.WENT_BACK),
    ("a restart", found(), SEEN, None),
    ("a restart after others went on", found(at(9_000)), SEEN, None),
    ("killed between the commit and the memory", found(at(501)), SEEN, None),
    ("restored in its place", found(at(499)), SEEN, Doubt.WENT_BACK),
    ("another machine of the same cluster", found(), None, None),
    ("a machine that worked for another database before", found(), OTHER, None),
    ("copied elsewhere with its folder", found(here=THERE), SEEN, Doubt.ELSEWHERE),
    ("copied elsewhere without it", found(here=THERE), None, Doubt.ELSEWHERE),
    ("copied to where another ran", found(here=THERE), OTHER, Doubt.ELSEWHERE),
    ("promoted with nothing lost", found(here=PROMOTED), SEEN, None),
    ("promoted a moment after the last memory", found(at(500 + RECENT), PROMOTED), SEEN, None),
    ("recovered to a moment after an old memory", found(at(501 + RECENT), PROMOTED), SEEN, Doubt.ELSEWHERE),
    ("promoted with loss", found(at(499), PROMOTED), SEEN, Doubt.WENT_BACK),
    ("promoted, seen by nobody", found(here=PROMOTED), None, Doubt.ELSEWHERE),
    ("recovered beside a copied memory", found(here=PROMOTED), replace(SEEN, machine="m2"), Doubt.ELSEWHERE),
    ("promoted, and others went on", found(at(700, MOVED_LINE), PROMOTED), SEEN, None),
    ("promoted with loss, and others went on", found(at(700, Home(PROMOTED, 499)), PROMOTED), SEEN, Doubt.WENT_BACK),
    ("restored from before a promotion", found(at(650)), replace(SEEN, epoch=700, home=MOVED_LINE), Doubt.WENT_BACK),
    ("a process has found that it went back", found(at(500, None)), None, Doubt.TOLD),
    ("the same, for one that saw nothing of it", found(at(500, None)), SEEN, Doubt.TOLD),
    ("retired", found(retired(ROW)), SEEN, Doubt.RETIRED),
    ("retired before it ever ran", found(retired(NEW)), None, Doubt.RETIRED),
]


@pytest.mark.parametrize(("here", "memory", "doubt"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_it_is_held_where_it_may_be_a_copy(here: Found, memory: Memory | None, doubt: Doubt | None) -> None:
    assert judge(here, memory, WHO) is doubt


@pytest.mark.parametrize(
    ("of_database", "configured", "doubt"),
    [
        (None, None, None),
        (None, "production", None),
        ("production", "production", None),
        ("production", "staging", Doubt.LABEL),
        ("production", None, Doubt.LABEL),
    ],
)
def test_a_label_has_to_be_the_configured_one(
    of_database: str | None, configured: str | None, doubt: Doubt | None
) -> None:
    here = found(replace(ROW, label=of_database))
    assert judge(here, SEEN, replace(WHO, label=configured)) is doubt


def test_a_label_is_kept_at_the_first_run_with_one_and_stays() -> None:
    first = risen(found(NEW), replace(WHO, label="production"))
    assert first == Instance("one", "production", 1, Home(HERE, 0), retired=False)
    assert risen(found(first), replace(WHO, label="other")).label == "production"
    assert risen(found(ROW), replace(WHO, label="production")).label == "production"


def test_a_home_begins_where_the_database_was_found_and_stays() -> None:
    assert risen(found(), WHO) == at(501)
    assert risen(found(here=PROMOTED), WHO) == at(501, Home(PROMOTED, 500))
    assert risen(found(at(501, Home(PROMOTED, 500)), PROMOTED), WHO) == at(502, Home(PROMOTED, 500))


def test_a_running_process_does_not_go_on_where_an_operator_has_spoken() -> None:
    assert judge_running(found(), SEEN, WHO) is None
    assert judge_running(found(adopted(found(), "two", None)), SEEN, WHO) is Doubt.CHANGED
    assert judge_running(found(retired(ROW)), SEEN, WHO) is Doubt.RETIRED
    assert judge_running(found(at(499)), SEEN, WHO) is Doubt.WENT_BACK
    assert judge_running(found(at(500, None)), SEEN, WHO) is Doubt.TOLD
    assert judge_running(found(here=THERE), SEEN, WHO) is Doubt.ELSEWHERE
    assert judge_running(found(here=PROMOTED), SEEN, WHO) is None


@pytest.mark.parametrize("here", [case[1] for case in CASES], ids=[case[0] for case in CASES])
@pytest.mark.parametrize("memory", [None, SEEN, OTHER])
def test_an_operators_word_frees_whatever_held_it(here: Found, memory: Memory | None) -> None:
    freed = adopted(here, "two", "label")
    assert judge(replace(here, instance=freed), memory, Self("label", "machine")) is None
    assert freed.epoch > here.instance.epoch


def test_what_one_process_found_holds_all_that_come() -> None:
    for row in (ROW, NEW):
        told = disowned(row)
        assert judge(found(told), None, WHO) is Doubt.TOLD
        assert judge(found(told), OTHER, WHO) is Doubt.TOLD
        assert disowned(told) == told


@given(st.integers(1, 10_000), st.integers(0, 200), st.lists(st.integers(0, 1), max_size=20))
def test_processes_that_take_turns_never_hold_each_other_and_a_lost_epoch_is_always_seen(
    before: int, lost: int, turns: list[int]
) -> None:
    """Two processes ran; then the database is promoted with some epochs lost, and each of them comes back in turn."""
    row, memories = at(before), [Memory("one", before - 1, LIVED, "a"), Memory("one", before, LIVED, "b")]
    for turn in (0, 1):
        row = risen(found(row), WHO)
        memories[turn] = replace(memory_of(row, WHO), machine="ab"[turn])
    row = replace(row, epoch=max(0, row.epoch - lost))
    for turn in turns:
        who, here = Self(None, "ab"[turn]), Found(row, PROMOTED, empty=False)
        doubt = judge_running(here, memories[turn], who)
        really_lost = memories[turn].home == LIVED and memories[turn].epoch > before + 2 - lost
        assert (doubt is None) != really_lost
        if doubt is not None:
            return
        row = risen(here, who)
        memories[turn] = memory_of(row, who)
