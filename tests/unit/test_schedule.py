"""Windows of campaigns, as tables: dates, times, midnight, weekdays, quiet hours, the edges of the calendar."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

import pytest

from campana.domain.campaign import Campaign
from campana.domain.moment import DAY, HOUR, MINUTE
from campana.domain.schedule import (
    Window,
    closes_at,
    day_of,
    ends_at,
    has_ended,
    is_known_zone,
    is_open,
    next_opening,
    window_of,
)

MONDAY = 0


def instant(text: str, zone: str = "UTC", fold: int = 0) -> int:
    """A wall time of a zone as epoch milliseconds; only for times that exist there."""
    local = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)
    assert local.astimezone(UTC).astimezone(ZoneInfo(zone)).replace(fold=fold) == local, "no such wall time"
    return round(local.timestamp() * 1000)


def clock(text: str | None) -> time | None:
    return None if text is None else time.fromisoformat(text)


def day(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)


def window(dates: str = "/", times: str = "/", zone: str = "UTC", **more) -> Window:
    """`dates` and `times` as from/to, either side may be missing."""
    (from_date, to_date), (from_time, to_time) = ([side or None for side in pair.split("/")] for pair in (dates, times))
    return Window(day(from_date), clock(from_time), day(to_date), clock(to_time), zone, **more)


WEEK = "2026-03-02/2026-03-06"  # Monday to Friday
MEMBERSHIP = [
    # window, wall time, open
    (window(), "1999-12-31T23:59:59", True),
    (window(WEEK), "2026-03-01T23:59:59.999", False),
    (window(WEEK), "2026-03-02T00:00:00", True),
    (window(WEEK), "2026-03-06T23:59:59.999", True),
    (window(WEEK), "2026-03-07T00:00:00", False),
    (window("2026-03-02/"), "2026-03-01T23:00:00", False),
    (window("2026-03-02/"), "2050-03-01T23:00:00", True),
    (window("/2026-03-02"), "1980-03-01T23:00:00", True),
    (window("/2026-03-02"), "2026-03-02T23:00:00", True),
    (window("/2026-03-02"), "2026-03-03T00:00:00", False),
    (window(WEEK, "08:00/18:00"), "2026-03-02T07:59:59.999", False),
    (window(WEEK, "08:00/18:00"), "2026-03-02T08:00:00", True),
    (window(WEEK, "08:00/18:00"), "2026-03-02T17:59:59.999", True),
    (window(WEEK, "08:00/18:00"), "2026-03-02T18:00:00", False),
    (window(WEEK, "08:00/18:00"), "2026-03-07T12:00:00", False),
    # across midnight: the night belongs to the day on which it begins
    (window(WEEK, "22:00/06:00"), "2026-03-02T05:00:00", False),
    (window(WEEK, "22:00/06:00"), "2026-03-02T12:00:00", False),
    (window(WEEK, "22:00/06:00"), "2026-03-02T22:00:00", True),
    (window(WEEK, "22:00/06:00"), "2026-03-03T05:59:59.999", True),
    (window(WEEK, "22:00/06:00"), "2026-03-07T05:00:00", True),
    (window(WEEK, "22:00/06:00"), "2026-03-07T06:00:00", False),
    (window(WEEK, "22:00/06:00"), "2026-03-07T22:00:00", False),
    (window(WEEK, "18:00/00:00"), "2026-03-06T23:59:59.999", True),
    (window(WEEK, "18:00/00:00"), "2026-03-07T00:00:00", False),
    # from = to, and a side left open
    (window(WEEK, "09:00/09:00"), "2026-03-02T03:00:00", True),
    (window(WEEK, "09:00/09:00"), "2026-03-07T03:00:00", False),
    (window(WEEK, "00:00/00:00"), "2026-03-06T23:59:00", True),
    (window(WEEK, "/00:00"), "2026-03-06T23:59:00", True),
    (window(WEEK, "08:00/"), "2026-03-02T07:00:00", False),
    (window(WEEK, "08:00/"), "2026-03-06T23:59:59.999", True),
    (window(WEEK, "08:00/"), "2026-03-07T00:00:00", False),
    (window(WEEK, "/18:00"), "2026-03-02T00:00:00", True),
    (window(WEEK, "/18:00"), "2026-03-02T18:00:00", False),
    # seconds and microseconds
    (window(WEEK, "08:00:30.250/18:00"), "2026-03-02T08:00:30.249", False),
    (window(WEEK, "08:00:30.250/18:00"), "2026-03-02T08:00:30.250", True),
    (window(WEEK, "08:00:30.250001/18:00"), "2026-03-02T08:00:30.250", False),
    (window(WEEK, "08:00/17:59:59.999999"), "2026-03-02T17:59:59.999", True),
    (window(WEEK, "08:00/17:59:59.999999"), "2026-03-02T18:00:00", False),
    # days of the week are the days on which windows begin
    (window(times="22:00/06:00", days=frozenset({MONDAY})), "2026-03-03T05:00:00", True),
    (window(times="22:00/06:00", days=frozenset({MONDAY})), "2026-03-02T05:00:00", False),
    (window(times="22:00/06:00", days=frozenset({MONDAY})), "2026-03-03T23:00:00", False),
    (window(days=frozenset({5, 6})), "2026-03-06T23:59:59", False),
    (window(days=frozenset({5, 6})), "2026-03-07T00:00:00", True),
    (window(days=frozenset()), "2026-03-07T00:00:00", False),
    # quiet hours
    (window(quiet_from=time(21), quiet_to=time(8)), "2026-03-02T20:59:59.999", True),
    (window(quiet_from=time(21), quiet_to=time(8)), "2026-03-02T21:00:00", False),
    (window(quiet_from=time(21), quiet_to=time(8)), "2026-03-02T07:59:59.999", False),
    (window(quiet_from=time(21), quiet_to=time(8)), "2026-03-02T08:00:00", True),
    (window(quiet_from=time(12), quiet_to=time(13)), "2026-03-02T12:30:00", False),
    (window(quiet_from=time(12), quiet_to=time(12)), "2026-03-02T12:00:00", True),
    (window(quiet_from=time(12)), "2026-03-02T12:30:00", True),
    (window(quiet_to=time(12)), "2026-03-02T11:30:00", True),
]


@pytest.mark.parametrize(("subject", "wall", "expected"), MEMBERSHIP)
def test_an_attempt_may_begin_inside_the_window_alone(subject: Window, wall: str, expected: bool) -> None:
    assert is_open(subject, instant(wall)) is expected


BERLIN, NEW_YORK, LORD_HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"
DAYLIGHT_SAVING = [
    # zone, date, times, opening and closing of that day's window in UTC (None: no window)
    # 29 March 2026: 02:00 -> 03:00
    (BERLIN, "2026-03-29", "02:30/12:00", "2026-03-29T01:30:00", "2026-03-29T10:00:00"),
    (BERLIN, "2026-03-29", "01:00/02:30", "2026-03-29T00:00:00", "2026-03-29T01:30:00"),
    (BERLIN, "2026-03-29", "02:10/02:40", "2026-03-29T01:10:00", "2026-03-29T01:40:00"),
    (BERLIN, "2026-03-29", "02:00/03:00", None, None),
    (BERLIN, "2026-03-29", "02:30/03:15", None, None),
    (BERLIN, "2026-03-28", "22:00/06:00", "2026-03-28T21:00:00", "2026-03-29T04:00:00"),
    (BERLIN, "2026-03-28", "22:00/02:15", "2026-03-28T21:00:00", "2026-03-29T01:15:00"),
    (BERLIN, "2026-03-29", "/", "2026-03-28T23:00:00", "2026-03-29T22:00:00"),
    # 25 October 2026: 03:00 -> 02:00
    (BERLIN, "2026-10-25", "02:30/12:00", "2026-10-25T00:30:00", "2026-10-25T11:00:00"),
    (BERLIN, "2026-10-25", "01:00/02:30", "2026-10-24T23:00:00", "2026-10-25T01:30:00"),
    (BERLIN, "2026-10-25", "02:30/02:45", "2026-10-25T00:30:00", "2026-10-25T01:45:00"),
    (BERLIN, "2026-10-24", "22:00/02:00", "2026-10-24T20:00:00", "2026-10-25T01:00:00"),
    (BERLIN, "2026-10-25", "/", "2026-10-24T22:00:00", "2026-10-25T23:00:00"),
    # 8 March and 1 November 2026
    (NEW_YORK, "2026-03-08", "02:30/12:00", "2026-03-08T07:30:00", "2026-03-08T16:00:00"),
    (NEW_YORK, "2026-03-07", "20:00/02:30", "2026-03-08T01:00:00", "2026-03-08T07:30:00"),
    (NEW_YORK, "2026-11-01", "01:30/12:00", "2026-11-01T05:30:00", "2026-11-01T17:00:00"),
    (NEW_YORK, "2026-10-31", "20:00/01:30", "2026-11-01T00:00:00", "2026-11-01T06:30:00"),
    # half an hour: 4 October 2026 02:00 -> 02:30, 5 April 2026 02:00 -> 01:30
    (LORD_HOWE, "2026-10-04", "02:15/05:00", "2026-10-03T15:45:00", "2026-10-03T18:00:00"),
    (LORD_HOWE, "2026-10-04", "01:00/02:15", "2026-10-03T14:30:00", "2026-10-03T15:45:00"),
    (LORD_HOWE, "2026-04-05", "01:45/05:00", "2026-04-04T14:45:00", "2026-04-04T18:30:00"),
    (LORD_HOWE, "2026-04-05", "00:00/01:45", "2026-04-04T13:00:00", "2026-04-04T15:15:00"),
    # midnight itself does not exist: 4 November 2018 00:00 -> 01:00
    ("America/Sao_Paulo", "2018-11-04", "/", "2018-11-04T03:00:00", "2018-11-05T02:00:00"),
    ("America/Sao_Paulo", "2018-11-03", "/", "2018-11-03T03:00:00", "2018-11-04T03:00:00"),
    ("America/Sao_Paulo", "2018-11-03", "20:00/00:30", "2018-11-03T23:00:00", "2018-11-04T03:30:00"),
    ("America/Sao_Paulo", "2018-11-04", "00:30/06:00", "2018-11-04T03:30:00", "2018-11-04T08:00:00"),
    # and back: 18 February 2018 00:00 -> 23:00 of the 17th
    ("America/Sao_Paulo", "2018-02-17", "/", "2018-02-17T02:00:00", "2018-02-18T03:00:00"),
    ("America/Sao_Paulo", "2018-02-17", "22:00/23:30", "2018-02-18T00:00:00", "2018-02-18T02:30:00"),
    # midnight twice: 25 October 2026 01:00 -> 00:00; a whole day ends as the next begins, a set time at its second
    ("Atlantic/Azores", "2026-10-24", "/", "2026-10-24T00:00:00", "2026-10-25T00:00:00"),
    ("Atlantic/Azores", "2026-10-24", "20:00/00:00", "2026-10-24T20:00:00", "2026-10-25T01:00:00"),
    # Ramadan: clocks go back on 15 February 2026 03:00 -> 02:00, forward on 22 March 02:00 -> 03:00
    ("Africa/Casablanca", "2026-02-15", "02:30/04:00", "2026-02-15T01:30:00", "2026-02-15T04:00:00"),
    ("Africa/Casablanca", "2026-03-22", "02:30/04:00", "2026-03-22T02:30:00", "2026-03-22T03:00:00"),
    # 30 December 2011 was skipped
    ("Pacific/Apia", "2011-12-29", "/", "2011-12-29T10:00:00", "2011-12-30T10:00:00"),
    ("Pacific/Apia", "2011-12-30", "/", None, None),
    ("Pacific/Apia", "2011-12-31", "/", "2011-12-30T10:00:00", "2011-12-31T10:00:00"),
    ("Pacific/Apia", "2011-12-29", "22:00/06:00", "2011-12-30T08:00:00", "2011-12-30T16:00:00"),
    # far ahead, by the rule of the zone
    (BERLIN, "2199-07-01", "08:00/18:00", "2199-07-01T06:00:00", "2199-07-01T16:00:00"),
]


@pytest.mark.parametrize(("zone", "on", "times", "opening", "closing"), DAYLIGHT_SAVING)
def test_the_window_of_one_day_when_clocks_change(
    zone: str, on: str, times: str, opening: str | None, closing: str | None
) -> None:
    subject = window(f"{on}/{on}", times, zone)
    before = instant(f"{on}T00:00:00") - 2 * DAY
    if opening is None or closing is None:
        assert next_opening(subject, before) is None
        assert has_ended(subject, before)
        return
    start, end = instant(opening), instant(closing)
    assert next_opening(subject, before) == start
    assert closes_at(subject, start) == end
    assert ends_at(subject) == end
    assert [is_open(subject, at) for at in (start - 1, start, end - 1, end)] == [False, True, True, False]
    assert [has_ended(subject, at) for at in (start, end - 1, end)] == [False, False, True]


def test_quiet_hours_protect_longest_when_clocks_change() -> None:
    quiet = window(zone=BERLIN, quiet_from=time(2, 30), quiet_to=time(6))
    # The repeated hour: from the first 02:30 on. The missing hour: from where 02:30 would have been before the change.
    assert closes_at(quiet, instant("2026-10-24T12:00:00")) == instant("2026-10-25T00:30:00")
    assert closes_at(quiet, instant("2026-03-28T12:00:00")) == instant("2026-03-29T00:30:00")
    until = window(zone=BERLIN, quiet_from=time(21), quiet_to=time(2, 30))
    assert next_opening(until, instant("2026-10-24T20:00:00")) == instant("2026-10-25T01:30:00")
    assert next_opening(until, instant("2026-03-28T22:00:00")) == instant("2026-03-29T01:30:00")


OPENINGS = [
    # window, asked at, next opening
    (window(WEEK, "08:00/18:00"), "2020-01-01T00:00:00", "2026-03-02T08:00:00"),
    (window(WEEK, "08:00/18:00"), "2026-03-02T09:30:00.123", "2026-03-02T09:30:00.123"),
    (window(WEEK, "08:00/18:00"), "2026-03-02T18:00:00", "2026-03-03T08:00:00"),
    (window(WEEK, "08:00/18:00"), "2026-03-06T18:00:00", None),
    (window("2900-01-01/", "08:00/18:00"), "2026-03-02T18:00:00", "2900-01-01T08:00:00"),
    (window(times="08:00/18:00", days=frozenset({MONDAY})), "2026-03-02T18:00:00", "2026-03-09T08:00:00"),
    (window("/2026-03-08", days=frozenset({MONDAY})), "2026-03-03T00:00:00", None),
    (window("2026-03-03/2026-03-08", days=frozenset({MONDAY})), "2026-01-01T00:00:00", None),
    (window(days=frozenset()), "2026-01-01T00:00:00", None),
    (window(quiet_from=time(21), quiet_to=time(8)), "2026-03-02T22:00:00", "2026-03-03T08:00:00"),
    (window(times="07:00/09:00", quiet_from=time(21), quiet_to=time(8)), "2026-03-02T09:00:00", "2026-03-03T08:00:00"),
    (window(times="22:00/23:00", quiet_from=time(21), quiet_to=time(8)), "2026-03-02T09:00:00", None),
    (window(quiet_from=time(0), quiet_to=time(23, 59, 59, 999999)), "2026-03-02T09:00:00", None),
]


@pytest.mark.parametrize(("subject", "asked", "expected"), OPENINGS)
def test_the_next_opening_is_computed(subject: Window, asked: str, expected: str | None) -> None:
    assert next_opening(subject, instant(asked)) == (instant(expected) if expected else None)
    assert has_ended(subject, instant(asked)) is (expected is None)


CLOSINGS = [
    # window, asked at, first instant that is closed
    (window(), "2026-03-02T12:00:00", None),
    (window("2026-03-02/"), "2026-03-02T12:00:00", None),
    (window("2026-03-02/"), "2026-03-01T12:00:00", "2026-03-01T12:00:00"),
    (window("/9999-12-31"), "2026-03-02T12:00:00", None),
    (window(WEEK), "2026-03-02T12:00:00", "2026-03-07T00:00:00"),
    (window("1026-03-02/3026-03-02", "10:00/10:00"), "2026-03-02T12:00:00", "3026-03-03T00:00:00"),
    (window(WEEK, "00:00/23:59:59.999999"), "2026-03-02T12:00:00", "2026-03-07T00:00:00"),
    (window(WEEK, "22:00/21:59:59.999999"), "2026-03-02T23:00:00", "2026-03-07T22:00:00"),
    (window(WEEK, "00:00/23:59:59"), "2026-03-02T12:00:00", "2026-03-02T23:59:59"),
    (window(WEEK, "08:00/18:00"), "2026-03-02T12:00:00", "2026-03-02T18:00:00"),
    (window(WEEK, "08:00/18:00"), "2026-03-02T18:00:00", "2026-03-02T18:00:00"),
    (window(WEEK, "22:00/06:00"), "2026-03-03T01:00:00", "2026-03-03T06:00:00"),
    (window(days=frozenset({0, 1, 2, 3, 4})), "2026-03-02T12:00:00", "2026-03-07T00:00:00"),
    (window(days=frozenset({6, 0})), "2026-03-01T12:00:00", "2026-03-03T00:00:00"),
    (window(quiet_from=time(21), quiet_to=time(8)), "2026-03-02T12:00:00", "2026-03-02T21:00:00"),
    (window(WEEK, quiet_from=time(2), quiet_to=time(3)), "2026-03-06T12:00:00", "2026-03-07T00:00:00"),
    (window(times="20:00/23:00", quiet_from=time(21), quiet_to=time(8)), "2026-03-02T20:30:00", "2026-03-02T21:00:00"),
    (window(quiet_from=time(21), quiet_to=time(8)), "2026-03-02T22:00:00", "2026-03-02T22:00:00"),
]


@pytest.mark.parametrize(("subject", "asked", "expected"), CLOSINGS)
def test_touching_windows_close_as_one(subject: Window, asked: str, expected: str | None) -> None:
    assert closes_at(subject, instant(asked)) == (instant(expected) if expected else None)


ENDS = [
    (window(), None),
    (window("2026-03-02/"), None),
    (window("/9999-12-31", "08:00/18:00"), None),
    (window(WEEK), "2026-03-07T00:00:00"),
    (window(WEEK, "08:00/18:00"), "2026-03-06T18:00:00"),
    (window(WEEK, "22:00/06:00"), "2026-03-07T06:00:00"),
    (window(WEEK, days=frozenset({MONDAY})), "2026-03-03T00:00:00"),
    (window(WEEK, quiet_from=time(21), quiet_to=time(8)), "2026-03-06T21:00:00"),
    (window(WEEK, "20:00/22:00", quiet_from=time(21), quiet_to=time(8)), "2026-03-06T21:00:00"),
    (window(WEEK, "08:00/18:00", quiet_from=time(17), quiet_to=time(18)), "2026-03-06T17:00:00"),
    (window(WEEK, "22:00/06:00", quiet_from=time(5), quiet_to=time(7)), "2026-03-07T05:00:00"),
]


@pytest.mark.parametrize(("subject", "expected"), ENDS)
def test_the_end_is_the_last_closing(subject: Window, expected: str | None) -> None:
    assert ends_at(subject) == (instant(expected) if expected else None)


def test_a_window_that_never_opens_has_always_ended() -> None:
    reversed_dates = window("2026-03-06/2026-03-02")
    end = ends_at(reversed_dates)
    assert end is not None
    assert end < instant("1000-01-01T00:00:00")
    assert has_ended(reversed_dates, end)


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Etc/GMT+12", "America/New_York"])
@pytest.mark.parametrize("dates", ["0001-01-02/9999-12-31", "9999-12-31/9999-12-31", "0001-01-01/0001-01-02"])
@pytest.mark.parametrize("at", [-(10**17), -62_135_596_800_000, 0, 253_402_300_799_999, 10**17])
def test_the_edges_of_the_calendar_do_not_overflow(zone: str, dates: str, at: int) -> None:
    for subject in (window(dates, "22:00/06:00", zone), window(dates, zone=zone, quiet_from=time(1), quiet_to=time(2))):
        opened = is_open(subject, at)
        closing = closes_at(subject, at)
        assert opened == (next_opening(subject, at) == at)
        assert closing is None or closing >= at
        ends_at(subject)


def test_a_campaigns_fields_become_its_window() -> None:
    campaign = Campaign(
        guid="",
        active_from_date=datetime.fromisoformat("2026-03-02T17:45"),
        active_from_time=datetime.fromisoformat("1999-09-09T08:00"),
        active_to_date=datetime.fromisoformat("2026-03-06T01:00"),
        active_to_time=datetime.fromisoformat("2030-01-01T18:00"),
        days=frozenset({0, 1}),
        quiet_from=time(12),
        quiet_to=time(13),
    )
    expected = window(WEEK, "08:00/18:00", BERLIN, days=frozenset({0, 1}), quiet_from=time(12), quiet_to=time(13))
    assert window_of(campaign, BERLIN) == expected
    assert window_of(Campaign(guid=""), "UTC") == window()


def test_the_least_date_is_not_set() -> None:
    assert day_of(datetime.fromisoformat("0001-01-01T00:00")) is None
    assert day_of(None) is None
    assert day_of(datetime.fromisoformat("2026-03-02T23:00")) == date(2026, 3, 2)


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("UTC", True),
        ("Europe/Berlin", True),
        ("Etc/GMT+5", True),
        ("", False),
        ("europe/berlin", False),
        ("America", False),
        ("Factory", False),
        ("localtime", False),
        ("../../etc/passwd", False),
        ("/etc/localtime", False),
        ("UTC\x00", False),
        ("X" * 1000, False),
    ],
)
def test_known_zones_are_those_of_the_database(name: str, known: bool) -> None:
    assert is_known_zone(name) is known


def test_questions_about_one_instant_agree_around_it() -> None:
    subject = window(WEEK, "08:00/18:00", "Asia/Kathmandu")
    opening = next_opening(subject, 0)
    assert opening == instant("2026-03-02T02:15:00")
    assert closes_at(subject, opening) == opening + 10 * HOUR
    assert next_opening(subject, opening + 10 * HOUR) == opening + DAY
    assert is_open(subject, opening + 10 * HOUR - MINUTE)
