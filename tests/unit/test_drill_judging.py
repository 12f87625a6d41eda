"""What the drill judges by: fabricated journals with each kind of fault in them, so that none can go unseen."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from campana.domain.delivery import Medium
from campana.sandbox.drill_balance import Account, Balance, Evidence, allowed, settle
from campana.sandbox.drill_journals import (
    Arrival,
    Span,
    Tail,
    Use,
    arrivals,
    at_a_time,
    calls_at_a_time,
    calls_now,
    heard_ms,
    in_any_second,
    read,
)
from campana.sandbox.drill_people import destination, guid_of, number_of, number_of_destination
from campana.sandbox.drill_plan import Blow, Event, Role
from campana.sandbox.drill_soap import Standing

SMS, VOICE, EMAIL = Medium.SMS, Medium.VOICE, Medium.EMAIL
SUCCESS, FAILED, WAITING, DELIVERING = (4, 0), (6, 210), (5, 404), (3, 0)
UNCERTAIN = (6, 106)
KILL = Event(Blow.KILL, Role.WORKER, "worker 1", began=10_000, ended=13_000, arrived=5)
API_KILL = replace(KILL, role=Role.API, whom="api 1")
CUT = Event(Blow.CUT, Role.DATABASE, "9 connections", began=10_000, ended=10_000, arrived=5)


def came(medium: Medium, number: int, at: int = 1_000) -> Arrival:
    return Arrival(destination(medium, number), Span(at, at), at)


def stands(medium: Medium, **ends: tuple[int, int]) -> dict[int, Standing]:
    """Standings of contacts n0, n1, ..."""
    return {int(name[1:]): Standing(destination(medium, int(name[1:])), *end, 3) for name, end in ends.items()}


def kept(medium: Medium = SMS) -> Evidence:
    """Three contacts that got what they were promised."""
    return Evidence(
        medium,
        promised=frozenset({0, 1, 2}),
        standings=stands(medium, n0=SUCCESS, n1=SUCCESS, n2=SUCCESS),
        arrivals=[came(medium, number) for number in range(3)],
        heard_ms={destination(medium, number): 2_000 for number in range(3)} if medium is VOICE else {},
    )


def balanced(evidence: Evidence, *events: Event, uncertain: int = 0) -> Account:
    return settle(evidence, events, uncertain)


@pytest.mark.parametrize("medium", Medium)
def test_where_all_is_well_nothing_is_found(medium: Medium) -> None:
    account = balanced(kept(medium))
    assert account.broken() == []
    assert (account.promised, account.succeeded, account.lost, account.doubled) == (3, 3, 0, ())
    assert Balance([account], {"SMS in any second": Use(10, 10, 0)}).broken() == []


def test_an_accepted_contact_that_is_gone_is_lost() -> None:
    account = balanced(replace(kept(), standings=stands(SMS, n0=SUCCESS, n2=SUCCESS)))
    assert (account.missing, account.lost) == ((1,), 1)
    assert account.broken() == ["sms: 1 accepted and not there any more"]


@pytest.mark.parametrize("end", [SUCCESS, FAILED])
def test_what_is_over_and_never_arrived_is_lost(end: tuple[int, int]) -> None:
    evidence = replace(
        kept(), standings=stands(SMS, n0=SUCCESS, n1=end, n2=SUCCESS), arrivals=[came(SMS, 0), came(SMS, 2)]
    )
    account = balanced(evidence)
    assert (account.never_arrived, account.lost) == ((1,), 1)
    assert account.broken() == ["sms: 1 said to be over and never arrived whole"]


def test_a_call_of_which_not_all_was_heard_is_lost() -> None:
    evidence = kept(VOICE)
    account = balanced(replace(evidence, heard_ms={**evidence.heard_ms, destination(VOICE, 1): 900}))
    assert account.never_arrived == (1,)
    assert account.broken() == ["voice: 1 said to be over and never arrived whole"]


@pytest.mark.parametrize("end", [WAITING, DELIVERING, (1, 0), (2, 0)])
def test_what_does_not_end_is_lost(end: tuple[int, int]) -> None:
    account = balanced(replace(kept(), standings=stands(SMS, n0=SUCCESS, n1=end, n2=SUCCESS)))
    assert (account.unfinished, account.lost) == (1, 1)
    assert account.broken() == ["sms: 1 not finished"]


def test_what_arrived_is_not_to_be_called_failed() -> None:
    account = balanced(replace(kept(), standings=stands(SMS, n0=SUCCESS, n1=FAILED, n2=SUCCESS)))
    assert account.denied == (1,)
    assert account.broken() == ["sms: 1 arrived and said to have failed"]


@pytest.mark.parametrize("arrived", [True, False])
def test_nobody_can_know_of_what_is_uncertain_but_there_may_not_be_more_than_was_under_way(arrived: bool) -> None:
    ones = [came(SMS, 0), came(SMS, 2)] + ([came(SMS, 1)] if arrived else [])
    evidence = replace(kept(), standings=stands(SMS, n0=SUCCESS, n1=UNCERTAIN, n2=SUCCESS), arrivals=ones)
    assert balanced(evidence, uncertain=1).broken() == []
    assert balanced(evidence).broken() == ["sms: 1 uncertain"]


@pytest.mark.parametrize("medium", [SMS, VOICE])
def test_nothing_arrives_twice_where_the_uncertain_is_given_up(medium: Medium) -> None:
    evidence = kept(medium)
    account = balanced(replace(evidence, arrivals=[*evidence.arrivals, came(medium, 1, 9_000)]), KILL, uncertain=100)
    assert (account.doubled, account.allowed_doubles) == ((1,), 0)
    assert account.broken()[0] == f"{medium.name.lower()}: 1 arrived once too often"


def test_what_is_sent_again_may_arrive_twice_as_often_as_it_may_be_uncertain() -> None:
    evidence = kept(EMAIL)
    twice = [*evidence.arrivals, came(EMAIL, 1, 9_500), came(EMAIL, 1, 9_900)]
    evidence = replace(evidence, arrivals=[*twice[:1], *twice[2:]])
    account = balanced(evidence, KILL, uncertain=1)
    assert (account.doubled, account.allowed_doubles, account.broken()) == ((1,), 1, [])
    assert balanced(evidence, KILL).broken() == ["email: 1 arrived once too often"]


@pytest.mark.parametrize(
    ("at", "events", "explained"),
    [
        (9_900, [KILL], True),
        (8_000, [KILL], True),
        (7_999, [KILL], False),
        (15_000, [KILL], True),
        (15_001, [KILL], False),
        (9_900, [], False),
        (9_900, [API_KILL], False),
        (9_900, [CUT], True),
    ],
)
def test_twice_needs_a_reason(at: int, events: list[Event], explained: bool) -> None:
    """Something that has happened to what sends, about when it arrived the first time."""
    evidence = kept(EMAIL)
    arrived = [came(EMAIL, 0), came(EMAIL, 2), came(EMAIL, 1, at), came(EMAIL, 1, 60_000)]
    account = balanced(replace(evidence, arrivals=arrived), *events, uncertain=100)
    assert account.doubled == (1,)
    assert account.unexplained == (() if explained else (1,))
    assert account.broken() == ([] if explained else ["email: 1 arrived once too often though nothing had happened"])


@pytest.mark.parametrize(
    ("began", "inside"),
    [
        (Span(4_999, 4_999), False),
        (Span(4_990, 5_000), True),
        (Span(5_000, 5_000), True),
        (Span(8_000, 8_000), True),
        (Span(9_000, 9_000), True),
        (Span(9_001, 9_010), False),
        (Span(9_000, 9_500), True),
        (Span(30_000, 30_000), True),
        (Span(29_000, 29_001), False),
    ],
)
def test_nothing_begins_outside_a_window(began: Span, inside: bool) -> None:
    """But for the second that what began inside may be on its way."""
    windows = [Span(5_000, 8_000), Span(30_000, 1 << 62)]
    arrival = Arrival(destination(SMS, 1), began, began.at)
    evidence = replace(kept(), arrivals=[came(SMS, 0), arrival, came(SMS, 2)], windowed=frozenset({1}), windows=windows)
    account = balanced(evidence)
    assert account.outside == (() if inside else (1,))
    assert account.broken() == ([] if inside else ["sms: 1 outside a window"])


@pytest.mark.parametrize("stranger", ["+14165600007", "+12025550100", "somebody@example.com", ""])
def test_nothing_arrives_for_nobody(stranger: str) -> None:
    evidence = kept()
    account = balanced(replace(evidence, arrivals=[*evidence.arrivals, Arrival(stranger, Span(0, 0), 0)]))
    assert account.strangers == (stranger,)
    assert account.broken() == ["sms: 1 arrived for nobody"]


def test_a_limit_that_was_passed_breaks_the_promise() -> None:
    assert Balance([balanced(kept())], {"calls at a time": Use(5, 7, 2)}).broken() == [
        "calls at a time: above the limit of 5 2 times, 7 at most"
    ]


def test_as_much_may_be_uncertain_as_was_under_way_where_something_was_hit() -> None:
    assert allowed([], 6, 10, 3) == 0
    assert allowed([KILL, API_KILL, KILL], 6, 10, 3) == 120
    assert allowed([CUT], 6, 10, 3) == 180, "a cut hits all"


# --- limits ------------------------------------------------------------------------------------------------------


def at(*instants: int) -> list[Span]:
    return [Span(one, one) for one in instants]


@pytest.mark.parametrize(
    ("began", "limit", "most", "above"),
    [
        ([], 1, 0, 0),
        (at(0, 1_000, 2_000), 1, 1, 0),
        (at(0, 999), 1, 2, 1),
        (at(0, 500, 999, 1_000, 1_499), 3, 4, 1),
        (at(1_999, 0, 1_000), 1, 2, 1),
        (at(7, 7, 7), 2, 3, 1),
        ([Span(0, 0), Span(900, 1_100)], 1, 1, 0),
        ([Span(0, 0), Span(900, 950)], 1, 2, 1),
        ([Span(0, 300), Span(0, 1_200), Span(250, 900)], 1, 2, 1),
    ],
    ids=str,
)
def test_seconds_slide(began: list[Span], limit: int, most: int, above: int) -> None:
    """Only what surely came within one second counts."""
    assert in_any_second(began, limit) == Use(limit, most, above)


def test_seconds_are_counted_as_by_looking_at_each() -> None:
    """The quick way against the plain one."""
    began = [Span(one, one + late) for one, late in zip(range(0, 9_000, 37), [0, 5, 300, 1_100] * 70, strict=False)]
    plain = [
        sum(start <= span.since and span.at < start + 1_000 for span in began) for start in {one.since for one in began}
    ]
    assert in_any_second(began, 20) == Use(20, max(plain), sum(count > 20 for count in plain))


def moment(call: str, what: str, at: int, since: int | None = None) -> dict[str, object]:
    number = destination(VOICE, int(call))
    return {
        "at": at,
        "since": at if since is None else since,
        "moment": what,
        "call": call,
        "number": number,
        "heard_ms": at,
    }


def test_calls_at_a_time_are_those_that_surely_were() -> None:
    lines = [
        moment("1", "invited", 0),
        moment("2", "invited", 100),
        moment("1", "answered", 150),
        moment("1", "ended", 200),
        moment("3", "invited", 200),
        moment("4", "invited", 300),
        moment("2", "ended", 310, since=250),
        moment("3", "ended", 400),
    ]
    assert calls_at_a_time(lines, 2) == Use(2, 2, 0)
    assert calls_at_a_time(lines, 1) == Use(1, 2, 3)
    assert calls_now(lines) == 1
    assert [one.destination for one in arrivals(VOICE, lines)] == [destination(VOICE, call) for call in (1, 2, 3, 4)]
    assert heard_ms(lines) == {destination(VOICE, 1): 200, destination(VOICE, 2): 310, destination(VOICE, 3): 400}


def test_what_is_seen_at_a_time_is_taken_as_it_is() -> None:
    assert at_a_time([], 3) == Use(3, 0, 0)
    assert at_a_time([1, 4, 3, 5], 3) == Use(3, 5, 2)


# --- journals and people -----------------------------------------------------------------------------------------


def test_a_journal_is_read_as_it_grows_and_only_whole_lines(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    tail = Tail(journal)
    assert tail.more() == read(journal) == []
    lines = [
        {"at": 5 + one, "since": one, "begun": one + 2, "destination": destination(EMAIL, one)} for one in range(3)
    ]
    with journal.open("w") as file:
        file.write(f"{json.dumps(lines[0])}\n{json.dumps(lines[1])[:20]}")
        file.flush()
        assert tail.more() == [lines[0]]
        assert tail.more() == []
        file.write(f"{json.dumps(lines[1])[20:]}\n{json.dumps(lines[2])}\n")
    assert tail.more() == lines[1:]
    assert read(journal) == lines
    assert arrivals(EMAIL, lines)[1] == Arrival(destination(EMAIL, 1), Span(1, 3), 6)


@pytest.mark.parametrize("medium", Medium)
def test_a_contact_is_known_by_its_destinations(medium: Medium) -> None:
    assert number_of_destination(destination(medium, 1_234)) == 1_234
    assert number_of(guid_of(1_234)) == 1_234
