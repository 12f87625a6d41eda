"""Owns what the carriers' journals say: who got what and when, and whether a limit was ever passed.

Must not know what Campana says of it. Times are epoch milliseconds. What came is known to have come between two
instants, since a busy carrier reads late (`Looks` in simulator.py): a limit counts as passed only where it was passed
wherever between them everything came.
"""

from __future__ import annotations

import heapq
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from campana.domain.delivery import Medium
from campana.domain.moment import SECOND
from campana.sandbox.sip_phones import Moment

Line = dict[str, Any]


class Span(NamedTuple):
    """Two instants, the later one last."""

    since: int
    at: int


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message that a carrier took, or a call that it was asked for."""

    destination: str
    began: Span
    """It began no earlier and no later: that is when a pace counts it."""
    at: int
    """It was here as a whole, and said to be taken."""


@dataclass(frozen=True, slots=True)
class Use:
    """How much a carrier saw used of what a limit allows."""

    limit: int
    most: int
    """The most that was used at a time, or in any second."""
    above: int
    """Moments, or seconds, in which it was more than the limit."""


def read(journal: Path) -> list[Line]:
    """The lines of a journal; one that is being written is left out."""
    lines = journal.read_bytes().split(b"\n")[:-1] if journal.exists() else []
    return [json.loads(line) for line in lines]


class Tail:
    """Reads a journal as it grows."""

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._place = 0

    def more(self) -> list[Line]:
        """The lines that have come since the last time."""
        if not self._journal.exists():
            return []
        with self._journal.open("rb") as file:
            file.seek(self._place)
            whole, newline, _ = file.read().rpartition(b"\n")
        self._place += len(whole) + len(newline)
        return [json.loads(line) for line in whole.splitlines()]


def arrivals(medium: Medium, lines: Iterable[Line]) -> list[Arrival]:
    """What came, in the order of the journal."""
    return [
        Arrival(
            line["number" if medium is Medium.VOICE else "destination"],
            Span(line["since"], line["begun"] if "begun" in line else line["at"]),
            line["at"],
        )
        for line in lines
        if is_arrival(line)
    ]


def is_arrival(line: Line) -> bool:
    """Whether a line tells of something that came, and not of how a call goes on."""
    return bool(line.get("moment", _INVITED) == _INVITED)


def heard_ms(lines: Iterable[Line]) -> dict[str, int]:
    """How many milliseconds of sound each telephone heard at most, of the calls that are over."""
    heard: dict[str, int] = {}
    for line in lines:
        if line["moment"] == Moment.ENDED.value:
            heard[line["number"]] = max(heard.get(line["number"], 0), line["heard_ms"])
    return heard


def calls_now(lines: Iterable[Line]) -> int:
    """How many calls have begun and not ended."""
    moments = Counter(line["moment"] for line in lines)
    return moments[_INVITED] - moments[Moment.ENDED.value]


_INVITED: Final = Moment.INVITED.value


# --- limits ------------------------------------------------------------------------------------------------------


def in_any_second(began: Iterable[Span], limit: int) -> Use:
    """How many began in any second: sliding ones, each from the earliest moment of something that began."""
    spans = sorted(began)
    ends: list[int] = []
    most = above = 0
    # From the last one backwards: the heap has what began within a second of where we are, the latest on top.
    for place in range(len(spans) - 1, -1, -1):
        start = spans[place].since
        heapq.heappush(ends, -spans[place].at)
        while ends and -ends[0] >= start + SECOND:
            heapq.heappop(ends)
        if place and spans[place - 1].since == start:
            continue
        most = max(most, len(ends))
        above += len(ends) > limit
    return Use(limit, most, above)


def calls_at_a_time(lines: Iterable[Line], limit: int) -> Use:
    """How many calls there were at a time: each from when its INVITE had surely come until it may have been over."""
    began: dict[str, int] = {}
    changes: list[tuple[int, int]] = []
    for line in lines:
        if line["moment"] == _INVITED:
            began[line["call"]] = line["at"]
        elif line["moment"] == Moment.ENDED.value and line["call"] in began:
            start = began.pop(line["call"])
            if start < line["since"]:
                changes += [(start, 1), (line["since"], -1)]
    changes += [(start, 1) for start in began.values()]
    calls: list[int] = []
    for _, change in sorted(changes):
        calls.append((calls[-1] if calls else 0) + change)
    return at_a_time(calls, limit)


def at_a_time(figures: Sequence[int], limit: int) -> Use:
    """How much there was at a time, by what was seen from moment to moment."""
    return Use(limit, max(figures, default=0), sum(figure > limit for figure in figures))
