"""What a drill does to whom: by dice that fall again as they fell, and by a way to the database that can be cut."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from campana.sandbox.drill_plan import FIRST, LAST, LOADED, MANY, Blow, Numbers, Role, plan
from campana.sandbox.drill_proxy import Place, places_of, through

NUMBERS = Numbers(contacts=2_000, kills=20, freezes=5, cuts=3, lease_seconds=3)


def test_the_same_seed_is_the_same_plan() -> None:
    assert plan(NUMBERS, MANY, Random(7)) == plan(NUMBERS, MANY, Random(7))
    assert plan(NUMBERS, MANY, Random(7)) != plan(NUMBERS, MANY, Random(8))


@pytest.mark.parametrize("seed", range(20))
def test_everybody_gets_a_share_while_there_is_something_to_disturb(seed: int) -> None:
    incidents = plan(NUMBERS, MANY, Random(seed))
    assert Counter(one.blow for one in incidents) == {Blow.KILL: 20, Blow.FREEZE: 5, Blow.CUT: 3}
    assert [one.share for one in incidents] == sorted(one.share for one in incidents)
    assert all(FIRST <= one.share <= (LOADED if one.role is Role.API else LAST) for one in incidents)
    kills = Counter(one.role for one in incidents if one.blow is Blow.KILL)
    assert set(kills) == set(MANY)
    assert max(kills.values()) - min(kills.values()) <= 1
    assert {one.role for one in incidents if one.blow is Blow.FREEZE} == set(MANY)
    assert all((one.blow is Blow.CUT) == (one.role is Role.DATABASE) for one in incidents)


def test_a_single_server_gets_it_all() -> None:
    assert {one.role for one in plan(Numbers(100, 3, 2, 0, 3), [Role.SERVER], Random(1))} == {Role.SERVER}


def test_a_process_stands_still_until_others_have_its_work_and_take_it_for_dead() -> None:
    assert NUMBERS.frozen_seconds == 7
    assert Numbers(1, 1, 1, 0, lease_seconds=30).frozen_seconds == 32


def test_the_campaign_lasts_as_long_as_what_is_to_happen() -> None:
    assert NUMBERS.contacts / NUMBERS.fitting_rate == pytest.approx(NUMBERS.seconds, rel=0.05)


@pytest.mark.parametrize(
    ("url", "places"),
    [
        ("postgresql://campana@db.example.net/drill", [Place("db.example.net", 5432)]),
        ("postgresql://u:p%40ss@db:6000/drill?sslmode=require", [Place("db", 6000)]),
        ("postgresql://u@one:1,two:2/drill", [Place("one", 1), Place("two", 2)]),
        ("postgresql://u@[::1]:7000/drill", [Place("::1", 7000)]),
        ("postgresql://u@/drill?host=/run/postgresql&port=5433", [Place("/run/postgresql", 5433)]),
        ("postgresql://u@/drill?host=one,two&port=1,2", [Place("one", 1), Place("two", 2)]),
        ("postgresql://u@%2Frun%2Fpostgresql/drill", [Place("/run/postgresql", 5432)]),
        ("postgresql:///drill", [Place("127.0.0.1", 5432)]),
    ],
)
def test_where_servers_listen(url: str, places: list[Place]) -> None:
    assert places_of(url) == places


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u:p%40ss@one:1,two:2/drill", "postgresql://u:p%40ss@127.0.0.1:9/drill"),
        ("postgresql:///drill", "postgresql://127.0.0.1:9/drill"),
        (
            "postgresql://u@/drill?host=/run/postgresql&port=5433&sslmode=require",
            "postgresql://u@127.0.0.1:9/drill?sslmode=require",
        ),
    ],
)
def test_the_way_through_keeps_who_and_what(url: str, expected: str) -> None:
    assert through(url, 9) == expected
