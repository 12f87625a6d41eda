"""Owns when attempts of a campaign may begin: its window in its time zone, as arithmetic on instants.

Must not know the clock: every question is asked about an instant, in epoch milliseconds UTC.

The rules (docs: semantics, "Campaigns"): the window of a day begins on that day, on permitted days of the week
between the two dates, both included; what crosses midnight belongs to the day on which it begins. From = to, or
neither, is the whole day. A wall time that does not exist moves forward by the gap; one that occurs twice is the
first for an opening and the second for a closing. Quiet hours are cut out of every day, with both their edges read
so that they protect longest.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, available_timezones

from campana.domain.moment import DAY, MINUTE, SECOND

if TYPE_CHECKING:  # campaign.py asks here whether a campaign can ever be open
    from campana.domain.campaign import Campaign

_EVERY_DAY = frozenset(range(7))
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - wall-clock arithmetic
_EPOCH_DAY = _EPOCH.toordinal()
_MILLISECOND = timedelta(milliseconds=1)

_FIRST_DAY = date(2, 1, 1).toordinal()
_LAST_DAY = date(9998, 12, 31).toordinal()
"""Dates beyond are as good as none; so no zone's arithmetic leaves the years that datetime knows."""

_BEGINNING = (_FIRST_DAY - _EPOCH_DAY - 2) * DAY
"""An instant before every window."""

_BEFORE = 3
_AFTER = 3
"""Days around the UTC day of an instant on which a window that holds it may begin: offsets reach a day, a window that
crosses midnight another, and the one zone that skipped a whole day (Pacific/Apia, 2011) a third."""

_WEEK_AND_REACH = 7 + _BEFORE + _AFTER
_SEARCH_DAYS = 400
"""How far ahead an opening is looked for: over a year, for windows that quiet hours cover but on a day of changed
clocks. Others are found within a week of permitted days."""


@dataclass(frozen=True, slots=True)
class Window:
    """When attempts may begin, as wall-clock values of a zone. None leaves that side open."""

    from_date: date | None
    from_time: time | None
    to_date: date | None
    to_time: time | None
    zone: str
    """IANA name."""
    days: frozenset[int] = _EVERY_DAY
    """Days of the week on which windows begin, Monday = 0."""
    quiet_from: time | None = None
    quiet_to: time | None = None
    """Quiet hours exist where both are set and differ."""


def window_of(campaign: Campaign, zone: str) -> Window:
    """Take the window of a campaign, in the zone that applies (the campaign's own or its account's)."""
    return Window(
        from_date=day_of(campaign.active_from_date),
        from_time=_clock_of(campaign.active_from_time),
        to_date=day_of(campaign.active_to_date),
        to_time=_clock_of(campaign.active_to_time),
        zone=zone,
        days=campaign.days,
        quiet_from=campaign.quiet_from,
        quiet_to=campaign.quiet_to,
    )


def day_of(value: datetime | None) -> date | None:
    """Take the day of a date field. 0001-01-01, how several clients write "not set", is None."""
    if value is None:
        return None
    day = value.date()
    return None if day == date.min else day


def is_known_zone(name: str) -> bool:
    """Tell whether a time zone is one of the IANA database, in its exact spelling."""
    return name in _zone_names()


def is_open(window: Window, at: int) -> bool:
    """Tell whether an attempt may begin at an instant. The closing instant itself is outside."""
    plan = _plan(window)
    today = _utc_day(at)
    for day in range(today - _BEFORE, today + _AFTER):
        start, end = _span(plan, day)
        if start <= at < end:
            return _after_quiet(plan, at) == at
    return False


def next_opening(window: Window, at: int) -> int | None:
    """Find the earliest instant at or after `at` at which an attempt may begin; None where there is none any more."""
    plan = _plan(window)
    begin = max(_utc_day(at) - _BEFORE, plan.first)
    for day in range(begin, min(begin + _SEARCH_DAYS, plan.last) + 1):
        start, end = _span(plan, day)
        if max(start, at) < end:
            moment = _after_quiet(plan, max(start, at))
            if moment < end:
                return moment
    return None


def closes_at(window: Window, at: int) -> int | None:
    """Find the first instant at or after `at` at which no attempt may begin; None where it never closes.

    Windows that touch or overlap are one: a window of whole days does not close at midnight.
    """
    plan = _plan(window)
    closing = _end_of_run(plan, at)
    today = _utc_day(at)
    for day in range(today - _BEFORE, today + _AFTER):
        start, end = _quiet_span(plan, day)
        if at < end and start < end:
            quiet = max(start, at)
            return quiet if closing is None else min(closing, quiet)
    return closing


def has_ended(window: Window, at: int) -> bool:
    """Tell whether no attempt may begin at or after an instant any more."""
    return next_opening(window, at) is None


def ever_opens(window: Window) -> bool:
    """Tell whether there is any instant, past ones included, at which an attempt may begin."""
    return first_opening(window) is not None


def first_opening(window: Window) -> int | None:
    """Find the very first instant at which an attempt may begin; None where there is none."""
    return next_opening(window, _BEGINNING)


def ends_at(window: Window) -> int | None:
    """Find the instant from which on no attempt may ever begin; None where there is no last day.

    Where a window with a last day is never open at all, it is an instant long past.
    """
    plan = _plan(window)
    if plan.endless:
        return None
    for day in range(plan.last, max(plan.first, plan.last - _SEARCH_DAYS) - 1, -1):
        start, end = _span(plan, day)
        last = _before_quiet(plan, end)
        if start < last:
            return last
    return _BEGINNING


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """A window made ready to calculate with. Offsets are milliseconds of wall clock since the day's midnight."""

    zone: ZoneInfo
    first: int
    """Ordinals of the first and last day on which a window may begin."""
    last: int
    endless: bool
    days: frozenset[int]
    opens: int
    closes: int
    """DAY and above is on the next day."""
    whole_day: bool
    """It closes as the day ends, not at a wall time that somebody set."""
    quiet: tuple[int, int] | None


@lru_cache(maxsize=4096)
def _plan(window: Window) -> _Plan:
    from_time = window.from_time or time.min
    whole_day = window.to_time is None or window.to_time == from_time
    opens, closes = _offset(from_time), DAY
    if window.to_time is not None and not whole_day:
        closes = _offset(window.to_time) + (DAY if window.to_time < from_time else 0)
    elif window.to_time is not None:
        opens = 0
    first = window.from_date.toordinal() if window.from_date else _FIRST_DAY
    last = window.to_date.toordinal() if window.to_date else _LAST_DAY
    return _Plan(
        zone=ZoneInfo(window.zone),
        first=min(max(first, _FIRST_DAY), _LAST_DAY),
        last=min(last, _LAST_DAY),
        endless=last >= _LAST_DAY,
        days=window.days,
        opens=opens,
        closes=closes,
        whole_day=whole_day,
        quiet=_quiet_of(window),
    )


def _quiet_of(window: Window) -> tuple[int, int] | None:
    if window.quiet_from is None or window.quiet_to is None or window.quiet_from == window.quiet_to:
        return None
    end = _offset(window.quiet_to)
    return _offset(window.quiet_from), end if window.quiet_from < window.quiet_to else end + DAY


def _clock_of(value: datetime | None) -> time | None:
    return None if value is None else value.time()


def _offset(clock: time) -> int:
    """Milliseconds since midnight, rounded up: an instant is at or after the clock exactly if it is not below this."""
    whole = clock.hour * 60 * MINUTE + clock.minute * MINUTE + clock.second * SECOND
    return whole - (-clock.microsecond // 1000)


def _utc_day(at: int) -> int:
    return at // DAY + _EPOCH_DAY


_NEVER = (0, 0)


@lru_cache(maxsize=16_384)
def _span(plan: _Plan, day: int) -> tuple[int, int]:
    """Opening and closing of the window that begins on a day; where the opening is not the earlier, there is none."""
    if not plan.first <= day <= plan.last or (day - 1) % 7 not in plan.days:
        return _NEVER
    opening, _ = _readings(plan.zone, day, plan.opens)
    if plan.whole_day:
        return opening, _readings(plan.zone, day + 1, 0)[0]
    return opening, max(_readings(plan.zone, day, plan.closes))


@lru_cache(maxsize=16_384)
def _quiet_span(plan: _Plan, day: int) -> tuple[int, int]:
    """Beginning and end of the quiet hours that begin on a day."""
    if plan.quiet is None or not _FIRST_DAY <= day <= _LAST_DAY:
        return _NEVER
    start, end = plan.quiet
    return min(_readings(plan.zone, day, start)), max(_readings(plan.zone, day, end))


def _readings(zone: ZoneInfo, day: int, offset: int) -> tuple[int, int]:
    """Read a wall time as an instant with the offset before, and after, a change of clocks near it (PEP 495).

    A time that occurs twice yields its first and its second instant. For one that does not exist the first is moved
    forward by the gap, the second back. For all others both are the same.
    """
    wall = datetime.fromordinal(day) + timedelta(milliseconds=offset)
    naive = (wall - _EPOCH) // _MILLISECOND
    local = wall.replace(tzinfo=zone)
    before, after = zone.utcoffset(local), zone.utcoffset(local.replace(fold=1))
    assert before is not None  # ZoneInfo answers None for None alone
    assert after is not None
    return naive - before // _MILLISECOND, naive - after // _MILLISECOND


def _after_quiet(plan: _Plan, at: int) -> int:
    """Move an instant to the end of the quiet hours that it is in."""
    if plan.quiet is not None:
        today = _utc_day(at)
        for day in range(today - _BEFORE, today + _AFTER + 1):
            start, end = _quiet_span(plan, day)
            if start <= at < end:
                at = end
    return at


def _before_quiet(plan: _Plan, end: int) -> int:
    """Move the end of a span back to the beginning of the quiet hours that reach or pass it."""
    if plan.quiet is not None:
        today = _utc_day(end)
        for day in range(today + _AFTER, today - _BEFORE - 1, -1):
            quiet_start, quiet_end = _quiet_span(plan, day)
            if quiet_start < end <= quiet_end:
                end = quiet_start
    return end


def _end_of_run(plan: _Plan, at: int) -> int | None:
    """Find where the windows around an instant, those that touch taken as one, end; None for never."""
    if plan.closes - plan.opens == DAY and plan.days >= _EVERY_DAY:
        if not _span(plan, plan.first)[0] <= at < _span(plan, plan.last)[1]:
            return at
        return None if plan.endless else _span(plan, plan.last)[1]
    today = _utc_day(at)
    for day in range(today - _BEFORE, today + _WEEK_AND_REACH):
        start, end = _span(plan, day)
        if start <= at < end:
            at = end
    return at


@lru_cache(maxsize=1)
def _zone_names() -> frozenset[str]:
    return frozenset(available_timezones() - {"Factory", "localtime"})
