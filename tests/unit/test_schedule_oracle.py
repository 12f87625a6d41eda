"""Windows against an oracle that only watches the clock on the wall, minute by minute, around every kind of change."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from campana.domain.moment import MINUTE
from campana.domain.schedule import Window, closes_at, ends_at, has_ended, is_open, next_opening

CHANGES = [
    ("UTC", date(2026, 3, 29)),
    ("Europe/Berlin", date(2026, 3, 29)),
    ("Europe/Berlin", date(2026, 10, 25)),
    ("America/New_York", date(2026, 3, 8)),
    ("America/New_York", date(2026, 11, 1)),
    ("Australia/Lord_Howe", date(2026, 10, 4)),
    ("Australia/Lord_Howe", date(2026, 4, 5)),
    ("Africa/Casablanca", date(2026, 2, 15)),
    ("Africa/Casablanca", date(2026, 3, 22)),
    ("America/Sao_Paulo", date(2018, 11, 4)),
    ("America/Sao_Paulo", date(2018, 2, 18)),
    ("Atlantic/Azores", date(2026, 10, 25)),
    ("America/Havana", date(2026, 11, 1)),
    ("America/Nuuk", date(2026, 3, 28)),
    ("America/Nuuk", date(2026, 10, 24)),
    ("America/St_Johns", date(2010, 11, 7)),
    ("America/St_Johns", date(2011, 3, 13)),
    ("Antarctica/Troll", date(2026, 3, 29)),
    ("Pacific/Apia", date(2011, 12, 30)),
    ("Asia/Kathmandu", date(2026, 3, 29)),
]
GRID_DAYS = 8
ASKED_DAYS = 3
MIDNIGHT = time()


@dataclass(frozen=True)
class Wall:
    """What the clock on the wall showed at each minute around a change of clocks."""

    start: int
    """Epoch milliseconds of the first minute."""
    minutes: int
    first: dict[datetime, int]
    """Wall time to the index of the minute at which it was shown first."""
    last: dict[datetime, int]
    skipped: list[tuple[datetime, datetime]]
    """Wall times that were left out: from, and up to but without."""

    def odd_times(self) -> list[time]:
        """Clock times that are missing or shown twice, or their neighbours; they deserve most of the attention."""
        odd = [wall for wall, index in self.first.items() if self.last[wall] != index]
        odd += [since for since, _ in self.skipped] + [to for _, to in self.skipped]
        odd += [wall + timedelta(minutes=shift) for wall in odd[:1] + odd[-1:] for shift in (-20, -1, 1, 20, 45)]
        return [wall.time() for wall in odd] or [MIDNIGHT]

    def gap_at(self, wall: datetime) -> timedelta | None:
        return next((to - since for since, to in self.skipped if since <= wall < to), None)

    def opening(self, wall: datetime) -> int:
        return self._find(self.first, wall)

    def closing(self, wall: datetime) -> int:
        return self._find(self.last, wall)

    def _find(self, shown: dict[datetime, int], wall: datetime) -> int:
        gap = self.gap_at(wall)
        if gap is not None:
            return shown[wall + gap]
        if wall in shown:
            return shown[wall]
        return -1 if wall < min(shown) else self.minutes

    def quiet_start(self, wall: datetime) -> int:
        """The first occurrence; of a missing time, where the clock after the change would have shown it."""
        gap = self.gap_at(wall)
        return self._find(self.first, wall) if gap is None else self.first[wall + gap] - gap // timedelta(minutes=1)


@cache
def watch(zone: str, around: date) -> Wall:
    begin = datetime.combine(around, MIDNIGHT, UTC) - timedelta(days=GRID_DAYS)
    minutes = 2 * GRID_DAYS * 24 * 60
    first: dict[datetime, int] = {}
    last: dict[datetime, int] = {}
    skipped = []
    tz = ZoneInfo(zone)
    before = None
    for index in range(minutes):
        wall = (begin + timedelta(minutes=index)).astimezone(tz).replace(tzinfo=None, fold=0)
        first.setdefault(wall, index)
        last[wall] = index
        if before is not None and wall > before + timedelta(minutes=1):
            skipped.append((before + timedelta(minutes=1), wall))
        before = wall
    return Wall(round(begin.timestamp() * 1000), minutes, first, last, skipped)


def spans(wall: Wall, around: date, subject: Window) -> list[tuple[int, int]]:
    """Opening and closing minute of each day's window, as the rules word them."""
    since, until = subject.from_time or MIDNIGHT, subject.to_time
    found = []
    for offset in range(-GRID_DAYS + 2, GRID_DAYS - 2):
        day = around + timedelta(days=offset)
        if subject.from_date and day < subject.from_date:
            continue
        if (subject.to_date and day > subject.to_date) or day.weekday() not in subject.days:
            continue
        after = day + timedelta(days=1)
        opening = wall.opening(datetime.combine(day, MIDNIGHT if since == until else since))
        if until is None or since == until:
            closing = wall.opening(datetime.combine(after, MIDNIGHT))
        else:
            closing = wall.closing(datetime.combine(after if until < since else day, until))
        found.append((opening, closing))
    return found


def quiet_spans(wall: Wall, around: date, subject: Window) -> list[tuple[int, int]]:
    since, until = subject.quiet_from, subject.quiet_to
    if since is None or until is None or since == until:
        return []
    found = []
    for offset in range(-GRID_DAYS + 2, GRID_DAYS - 2):
        day = around + timedelta(days=offset)
        end = day + timedelta(days=1) if until < since else day
        found.append((wall.quiet_start(datetime.combine(day, since)), wall.closing(datetime.combine(end, until))))
    return found


def open_minutes(wall: Wall, around: date, subject: Window) -> bytearray:
    """One byte a minute: 1 where an attempt may begin."""
    minutes = bytearray(wall.minutes)
    for opening, closing in spans(wall, around, subject):
        if opening < closing:
            minutes[opening:closing] = bytes([1]) * (closing - opening)
    for start, end in quiet_spans(wall, around, subject):
        minutes[start:end] = bytes(end - start)
    return minutes


def clocks(odd: list[time]) -> st.SearchStrategy[time | None]:
    ordinary = st.builds(time, st.integers(0, 23), st.sampled_from([0, 15, 30, 59]))
    return st.none() | st.sampled_from(odd) | ordinary


@st.composite
def situations(draw: st.DrawFn) -> tuple[date, Window, int]:
    zone, around = draw(st.sampled_from(CHANGES))
    times = clocks(watch(zone, around).odd_times())
    near = st.none() | st.integers(-ASKED_DAYS, ASKED_DAYS).map(lambda offset: around + timedelta(days=offset))
    subject = Window(
        from_date=draw(near),
        from_time=draw(times),
        to_date=draw(near),
        to_time=draw(times),
        zone=zone,
        days=draw(st.just(frozenset(range(7))) | st.frozensets(st.integers(0, 6))),
        quiet_from=draw(st.none() | times),
        quiet_to=draw(st.none() | times),
    )
    asked = draw(st.integers(-ASKED_DAYS * 24 * 60, ASKED_DAYS * 24 * 60)) + GRID_DAYS * 24 * 60
    return around, subject, asked


@settings(max_examples=500, deadline=None)
@given(situations())
def test_windows_are_as_the_clock_on_the_wall_shows_them(situation: tuple[date, Window, int]) -> None:
    around, subject, asked = situation
    wall = watch(subject.zone, around)
    minutes = open_minutes(wall, around, subject)
    reliable = wall.minutes - 4 * 24 * 60
    at = wall.start + asked * MINUTE

    assert is_open(subject, at) is bool(minutes[asked])
    _check_edge(next_opening(subject, at), at, wall, minutes.find(1, asked), reliable)
    _check_edge(closes_at(subject, at), at, wall, minutes.find(0, asked), reliable)
    if minutes[asked]:
        assert is_open(subject, at + MINUTE - 1), "an open minute is open to its last millisecond"


def _check_edge(found: int | None, at: int, wall: Wall, index: int, reliable: int) -> None:
    """Compare as far as the oracle sees; beyond it, only the direction can be told."""
    if 0 <= index < reliable:
        assert found == wall.start + index * MINUTE
    else:
        assert found is None or found >= wall.start + reliable * MINUTE
        assert found is None or found >= at


@settings(max_examples=200, deadline=None)
@given(situations())
def test_the_end_is_where_the_last_open_minute_ends(situation: tuple[date, Window, int]) -> None:
    around, subject, asked = situation
    wall = watch(subject.zone, around)
    at = wall.start + asked * MINUTE
    end = ends_at(subject)

    assert has_ended(subject, at) is (next_opening(subject, at) is None)
    if subject.to_date is None:
        assert end is None
        return
    assert end is not None
    assert has_ended(subject, at) is (at >= end)
    minutes = open_minutes(wall, around, subject)
    if subject.from_date is not None and any(minutes):
        assert end == wall.start + (minutes.rfind(1) + 1) * MINUTE


@settings(max_examples=150, deadline=None)
@given(situations(), st.lists(st.integers(0, 10 * 24 * 60 * MINUTE), min_size=1, max_size=20))
def test_edges_follow_each_other_and_agree_with_the_state_between(
    situation: tuple[date, Window, int], offsets: list[int]
) -> None:
    """Walk from edge to edge; at any millisecond the state is that of the stretch that it falls into."""
    around, subject, _ = situation
    start = watch(subject.zone, around).start
    edges, at, opened = [start], start, is_open(subject, start)
    states = [opened]
    while at < start + 10 * 24 * 60 * MINUTE:
        edge = closes_at(subject, at) if opened else next_opening(subject, at)
        if edge is None:
            break
        assert edge > at
        at, opened = edge, not opened
        edges.append(at)
        states.append(opened)
    for moment in (start + offset for offset in offsets):
        assert is_open(subject, moment) is states[bisect_left(edges, moment + 1) - 1]
