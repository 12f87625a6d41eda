"""Owns how hints travel between processes: which are merged while they wait, and how they are written in a few words.

Must not know what carries them, nor what anybody does with them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import msgspec

from campana.bus.contract import Hint, News

LONGEST = 7_900
"""Bytes of a letter: PostgreSQL takes payloads of less than 8000."""
MOST_WAITING = 2_000
"""Hints that may wait; where more would, the others are told to look at everything."""

_EVERYTHING = Hint(News.MISSED)
_NEWS = {one.value: one for one in News if one is not News.ROUTE}

Natural = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class _Line(msgspec.Struct, array_like=True, omit_defaults=True):
    """A hint on its way. What a newer version writes behind is left unread."""

    news: str
    number: Natural = 0
    at: Natural = 0


class Letter(msgspec.Struct):
    """Some hints of one sender."""

    sender: str
    hints: list[_Line]


class Outbox:
    """Hints that wait to be sent, of each kind and campaign one: the earliest that falls due, else the latest."""

    def __init__(self, most: int = MOST_WAITING) -> None:
        self._most = most
        self._waiting: dict[tuple[News, int], int] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def put(self, hint: Hint) -> None:
        """Have a hint wait."""
        waiting, key = self._waiting, (hint.news, hint.number)
        if (News.MISSED, 0) in waiting:
            return  # they will look at everything after this
        if hint.news is News.MISSED or (len(waiting) >= self._most and key not in waiting):
            waiting.clear()
            waiting[News.MISSED, 0] = 0
            return
        before = waiting.get(key, hint.at)
        waiting[key] = min(before, hint.at) if hint.news is News.DUE else max(before, hint.at)

    def take(self) -> list[Hint]:
        """All that wait; none does any more."""
        taken = [Hint(news, number, at) for (news, number), at in self._waiting.items()]
        self._waiting.clear()
        return taken


def write(sender: str, hints: Iterable[Hint]) -> list[str]:
    """The hints in as few letters as they fit in."""
    empty = len(msgspec.json.encode(Letter(sender, [])))
    letters: list[Letter] = []
    room = 0
    for hint in hints:
        line = _Line(hint.news.value, hint.number, hint.at)
        length = len(msgspec.json.encode(line)) + 1
        if length > room:
            letters.append(Letter(sender, []))
            room = LONGEST - empty
        letters[-1].hints.append(line)
        room -= length
    return [msgspec.json.encode(letter).decode() for letter in letters]


def read(payload: str) -> tuple[str, list[Hint]]:
    """Who wrote a letter, and its hints but for those of a kind that only a newer version knows.

    Raises ValueError where it is no letter.
    """
    letter = _reader.decode(payload)
    return letter.sender, [Hint(_NEWS[line.news], line.number, line.at) for line in letter.hints if line.news in _NEWS]


_reader = msgspec.json.Decoder(Letter)
