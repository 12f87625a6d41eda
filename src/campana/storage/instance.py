"""Owns what may be asked of a database about itself, and the spelling in which it keeps where its home is.

Must not know which database it is, nor judge what it finds (domain/instance.py). May raise StoreUnavailable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar

from campana.domain.instance import Found, Home, Instance, Place

T = TypeVar("T")

Change = Callable[[Found], tuple[Instance | None, T]]
"""Says how the database is to stand from now on (None: as it does) and what the caller is told. It may run several
times, each time on what is found then; it must be quick and pure."""


class Instances(Protocol):
    """The one row in which a database says which it is."""

    async def change(self, change: Change[T]) -> T:
        """Have a database found, changed and kept in one transaction, one caller at a time; the change's answer."""


def home_text(home: Home | None) -> str | None:
    """A home as it is kept: `WHERE|LINE|SINCE`."""
    return None if home is None else f"{home.place.where}|{home.place.line}|{home.since}"


def home_of(text: str | None) -> Home | None:
    """Read a home as it is kept. Raises ValueError where it is none."""
    if text is None:
        return None
    where, line, since = text.split("|")
    return Home(Place(where, int(line)), int(since))


def found_of(columns: Iterable[Any], here: Place) -> Found:
    """Make a Found of what `find` in queries/instance.py finds."""
    id, label, epoch, home, retired, begun = columns
    return Found(Instance(id, label, epoch, home_of(home), bool(retired)), here, empty=not begun)


def columns_of(instance: Instance) -> dict[str, Any]:
    """A database's row as `keep` in queries/instance.py writes it."""
    return {
        "to_id": instance.id,
        "to_label": instance.label,
        "to_epoch": instance.epoch,
        "to_home": home_text(instance.home),
        "to_retired": int(instance.retired),
    }
