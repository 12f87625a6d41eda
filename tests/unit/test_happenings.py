"""How what happened becomes rows, and what rows come to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campana.domain.delivery import Medium, Status
from campana.domain.progress import Balance, EventKind
from campana.storage.census import COUNTED_AT_ONCE, Census, Folding, compare, parts
from campana.storage.happenings import (
    LISTED_AT_ONCE,
    Folded,
    Happening,
    HappeningColumns,
    How,
    came,
    counted,
    happened,
    ids_of,
    may_stray,
    moved_alike,
    moved_all,
    no_tallies,
    shape_of,
)
from campana.storage.tables import delivery_id

S = Status
HOW = How(S.PENDING, S.SENDING, 0, 5)


def ids(*numbers: int, medium: Medium = Medium.SMS, campaign: int = 1) -> list[int]:
    """Deliveries of a campaign."""
    return [delivery_id(campaign, medium, number) for number in numbers]


def read(rows: list[HappeningColumns]) -> list[Happening]:
    """Rows as they are read again."""
    return [Happening(number, *row[1:]) for number, row in enumerate(rows, 1)]


def named(row: HappeningColumns) -> list[int]:
    """The deliveries that a row names."""
    first, last = row[7], row[8]
    assert first is not None
    assert last is not None
    return list(ids_of(first, last, row[9]))


def test_a_run_is_one_row_without_a_list() -> None:
    (row,) = moved_alike(ids(3, 4, 5), HOW)
    assert row == (1, 5, EventKind.STATUS_CHANGED, Medium.SMS, S.PENDING, S.SENDING, 0, *ids(3, 5), None, 3, None)


def test_what_does_not_move_is_nothing() -> None:
    assert moved_alike([], HOW) == []
    assert moved_alike(ids(1), HOW._replace(was=S.SENDING)) == []


@given(st.sets(st.integers(1, 3_000), min_size=1, max_size=1_300))
def test_all_that_moved_is_named_once_and_in_lists_that_are_short(numbers: set[int]) -> None:
    moving = ids(*sorted(numbers))
    rows = moved_alike(moving, HOW)
    assert [one for row in rows for one in named(row)] == moving
    assert all(row[10] == len(named(row)) for row in rows)
    assert all(row[9] is None or row[10] <= LISTED_AT_ONCE for row in rows)


def test_moves_are_parted_by_lane_and_by_how() -> None:
    moves = [
        *((one, 1, 2, 0) for one in ids(2, 1)),
        *((one, 1, 2, 0) for one in ids(1, medium=Medium.EMAIL)),
        *((one, 5, 2, 203) for one in ids(3)),
        *((one, 1, 2, 0) for one in ids(1, campaign=2)),
    ]
    rows = moved_all(moves, 9)
    assert [(row[0], row[3], row[4], row[10]) for row in rows] == [
        (1, 0, 1, 2),
        (1, 2, 1, 1),
        (1, 0, 5, 1),
        (2, 0, 1, 1),
    ]
    assert {row[1] for row in rows} == {9}


def test_contacts_are_counted_by_their_statuses() -> None:
    shape = shape_of([(Medium.SMS, S.PENDING), (Medium.EMAIL, S.CANCELLED)])
    assert (shape_of([]), shape) == (0, 1 | 7 << 6)
    rows = came([(1, shape), (1, 0), (2, 0), (1, shape)], 5)
    assert [row[0] for row in rows] == [1, 2]
    folded = Folded().take_all(read(rows[:1]))
    assert (folded.contacts, folded.events, folded.is_counted, folded.has_opened) == (3, [], True, True)
    assert folded.tallies[Medium.SMS][: S.SENDING] == [1, 2]
    assert folded.tallies[Medium.VOICE][S.DO_NOT_TRY] == 3
    assert folded.tallies[Medium.EMAIL][S.CANCELLED] == 2


def test_what_ends_is_nothing_new_to_do() -> None:
    folded = Folded().take_all(read([*moved_alike(ids(1), How(S.SENDING, S.SUCCESS, 0, 5)), counted(1, {1: -1}, 5)]))
    assert folded.has_opened is False


def test_strays_are_left_out_from_their_deletion_on() -> None:
    rows = [
        *moved_alike(ids(1, 2, 3), HOW),
        counted(1, {2: -1}, 5, ids(2)),
        *moved_alike(ids(1, 2, 3), How(S.SENDING, S.SUCCESS, 0, 6)),
        *moved_alike(ids(2), How(S.DELIVERING, S.SUCCESS, 0, 7)),
        happened(1, EventKind.PAUSED, 8),
        *moved_alike(ids(5, 6), How(S.SENDING, S.SUCCESS, 0, 9)),
    ]
    folded = Folded(number=10, strays=ids(6)).take_all(read(rows))
    assert [(row[0], row[10], row[9]) for row in folded.events] == [
        (11, 3, None),
        (14, 2, f"[{','.join(map(str, ids(1, 3)))}]"),
        (16, 1, None),
        (17, 1, None),
    ]
    assert (folded.number, folded.strayed) == (17, ids(2))
    assert folded.tallies[Medium.SMS] == [0, -3, -1, 0, 3, 0, 0, 0]


@pytest.mark.parametrize("medium", Medium)
def test_which_may_still_move_when_their_contact_is_gone(medium: Medium) -> None:
    expected = {S.SENDING, S.DELIVERING} | ({S.SUCCESS} if medium is Medium.EMAIL else set())
    assert {status for status in Status if may_stray(medium, status)} == expected


@pytest.mark.parametrize("contacts", [0, 1, COUNTED_AT_ONCE, COUNTED_AT_ONCE + 1, 3 * COUNTED_AT_ONCE])
def test_parts_are_all_of_a_campaign_and_no_more_than_is_counted_at_once(contacts: int) -> None:
    found = list(parts(contacts))
    assert [number for after, upto in found for number in range(after + 1, upto + 1)] == list(range(1, contacts + 1))
    assert all(0 < upto - after <= COUNTED_AT_ONCE for after, upto in found)


def test_what_a_row_lacks_is_what_it_and_the_unfolded_do_not_come_to() -> None:
    census = Census(contacts=2)
    census.add(Medium.SMS, [(S.SUCCESS, 2), (S.SENDING, 1)], [(ids(3)[0], S.SENDING)])
    unfolded = read(moved_alike(ids(1, 2, 3), How(S.SENDING, S.SUCCESS, 0, 5)))
    kept = no_tallies()
    kept[Medium.SMS][S.SENDING] = 3
    kept[Medium.VOICE][S.DO_NOT_TRY] = kept[Medium.EMAIL][S.DO_NOT_TRY] = 3
    lacks = compare(census, Folding(3, kept, unfolded, frozenset()))
    assert (lacks.contacts, lacks.strays) == (-1, ids(3))
    assert lacks.tallies == [[0, 0, -1, 0, 0, 0, 0, 0], [-1, *[0] * 7], [-1, *[0] * 7]]


@pytest.mark.parametrize(
    ("status", "media", "is_settled"),
    [
        (S.DO_NOT_TRY, tuple(Medium), True),
        (S.PENDING, (Medium.SMS,), False),
        (S.PENDING, (Medium.EMAIL,), True),
        (S.WAITING_FOR_RETRY, (Medium.SMS,), False),
        (S.SENDING, (), False),
        (S.DELIVERING, (Medium.EMAIL,), False),
        (S.SUCCESS, tuple(Medium), True),
        (S.PERMANENT_FAILURE, tuple(Medium), True),
        (S.CANCELLED, tuple(Medium), True),
    ],
)
def test_what_may_still_change_by_itself(status: Status, media: tuple[Medium, ...], is_settled: bool) -> None:
    sms = tuple(int(one is status) for one in Status)
    assert Balance(1, (sms, (1, *(0,) * 7), (1, *(0,) * 7))).is_settled(media) is is_settled
