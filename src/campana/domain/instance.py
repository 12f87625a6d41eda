"""Owns which database is the one that goes on: how a restored or copied one is told from the one that last ran.

Must not know where any of it is kept. A copy knows nothing of what was sent after it was made, so what cannot be told
from a copy is *held*: it sends nothing until an operator has said which it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

RECENT = 100
"""Epochs by which the database may be ahead of a memory that is still believed to be of its very last moments. Each
process raises the epoch once a second, so that this is some seconds of some dozens of them."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a database lies, now. A copy of it lies elsewhere."""

    where: str
    """The server and the place in it, or the machine and the file."""
    line: int = 0
    """Which of its server's histories it follows: a higher one after each promotion and each recovery to a point in
    time. 0 where there is but one."""


@dataclass(frozen=True, slots=True)
class Home:
    """Where a database lay when it last ran, and at which epoch it began to be there."""

    place: Place
    since: int


@dataclass(frozen=True, slots=True)
class Instance:
    """What a database says of itself."""

    id: str
    label: str | None
    """What its operator calls it."""
    epoch: int
    """Rises as long as something runs on it; 0 where nothing ever did."""
    home: Home | None
    """None where nothing ever ran on it, or where a process found that it is not what it was."""
    retired: bool
    """It is a copy to look at."""


@dataclass(frozen=True, slots=True)
class Found:
    """A database as it is found."""

    instance: Instance
    here: Place
    empty: bool
    """It has no campaign."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What a process last saw of the database on which it ran. It lies beside the process, and not in the database."""

    id: str
    epoch: int
    home: Home
    machine: str
    """On which machine it was written; blank where machines cannot be told from each other."""


@dataclass(frozen=True, slots=True)
class Self:
    """Who judges: a process, by its configuration and its machine."""

    label: str | None
    machine: str


class Doubt(Enum):
    """Why a database is held, as a clause for a person."""

    RETIRED = "it was retired: it is a copy to look at"
    LABEL = "its label is not the one in the configuration (database.label)"
    WENT_BACK = "it is older than what last ran here: restored from a backup, or it lost what it had confirmed"
    TOLD = "a process saw more of it than it knows: restored from a backup, or it lost what it had confirmed"
    ELSEWHERE = "it does not lie where it last ran: restored, copied or moved"
    STRANGER = "another database last ran here, and this one has campaigns but does not know that it ever ran"
    CHANGED = "an operator has said meanwhile which database it is"


def judge(found: Found, memory: Memory | None, who: Self) -> Doubt | None:
    """Why a database must not send; None where it goes on as the one that last ran."""
    instance = found.instance
    known = memory if memory is not None and memory.id == instance.id else None
    if instance.retired:
        return Doubt.RETIRED
    if instance.label is not None and instance.label != who.label:
        return Doubt.LABEL
    if known is not None and _went_back(instance, known):
        return Doubt.WENT_BACK
    if instance.epoch == 0:
        return None if memory is None or found.empty else Doubt.STRANGER
    if instance.home is None:
        return Doubt.TOLD
    return None if _at_home(found, instance.home, known, who) else Doubt.ELSEWHERE


def judge_running(found: Found, memory: Memory, who: Self) -> Doubt | None:
    """Why a process that runs on a database must not go on; `memory` is of its own last look."""
    if found.instance.id != memory.id:
        return Doubt.CHANGED
    return judge(found, memory, who)


def _went_back(instance: Instance, known: Memory) -> bool:
    """Whether a database has not got to the epoch that was seen of it.

    Where it follows another line since, others may have raised its epoch there: what counts is at which it began.
    """
    if instance.home is None or instance.home == known.home:
        return instance.epoch < known.epoch
    return instance.home.since < known.epoch


def _at_home(found: Found, home: Home, known: Memory | None, who: Self) -> bool:
    if found.here == home.place:
        return True
    # A standby was promoted, or a backup recovered to a point in time. Only who saw the last moments can tell.
    promoted = found.here.where == home.place.where
    saw_the_last = known is not None and known.machine == who.machine and found.instance.epoch - known.epoch <= RECENT
    return promoted and saw_the_last


def risen(found: Found, who: Self) -> Instance:
    """The database with one epoch more, at home where it is."""
    instance = found.instance
    home = instance.home
    if home is None or home.place != found.here:
        home = Home(found.here, instance.epoch)
    return replace(instance, epoch=instance.epoch + 1, home=home, label=instance.label or who.label)


def disowned(instance: Instance) -> Instance:
    """The database as all who come are to find it where one found that it went back."""
    return replace(instance, home=None, epoch=max(1, instance.epoch))


def adopted(found: Found, id: str, label: str | None) -> Instance:
    """The database as the one that goes on from here, under a new id: what is remembered of the old one is not it."""
    epoch = found.instance.epoch + 1
    return Instance(id, label, epoch, Home(found.here, epoch), retired=False)


def retired(instance: Instance) -> Instance:
    """The database as a copy that never sends."""
    return replace(instance, retired=True)


def memory_of(instance: Instance, who: Self) -> Memory:
    """What a process is to remember of a database on which it has just raised the epoch."""
    assert instance.home is not None  # `risen` has set it
    return Memory(instance.id, instance.epoch, instance.home, who.machine)
