"""Owns what processes that share a database ask of it about each other: who lives, who has which duty, what they use
of a route together.

Must not know which database it is, nor any rule of sharing (domain/sharing.py). It keeps time by the database's clock
alone, so that no machine's own clock decides who is dead. Every method may raise StoreUnavailable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from campana.domain.sharing import RouteState

T = TypeVar("T")

Change = Callable[[RouteState, int], T]
"""Changes a route's state in place, at an instant of the database's clock (epoch milliseconds), and answers. It may run
several times, each time on a fresh state."""


@dataclass(frozen=True, slots=True)
class Member:
    """A process that works on the database."""

    owner: str
    """Its name, unlike any other's, ever."""
    role: str
    """`serve`, `api` or `worker`."""
    host: str
    code: str
    """The newest revision of the schema that its program knows."""
    started_at: int
    routes: Mapping[str, str] = field(default_factory=dict)
    """The routes that it runs, and the health of each."""


class Cluster(Protocol):
    """What the processes on one database know of each other."""

    async def clock(self) -> int:
        """The database's clock, in epoch milliseconds."""

    async def beat(self, member: Member, lasts_ms: int) -> list[Member]:
        """Say that a process lives for another while; all that live now, itself included, by their owners' names."""

    async def oldest_code(self) -> str:
        """The oldest revision whose program still works on the tables."""

    async def dead(self) -> list[str]:
        """Owners that have not said for too long that they live, and have not been buried."""

    async def bury(self, owner: str) -> None:
        """Take a process out of everything here: its membership, its duties, its part of every route. Not its leases,
        which end by themselves. For one that stops, and for one that is dead."""

    async def hold(self, duty: str, owner: str, lasts_ms: int) -> bool:
        """Take a duty that nobody has, or keep it for another while; False where another process has it."""

    async def share(self, route: str, change: Change[T]) -> T:
        """Change what processes keep of a route between them; the change's answer. One change at a time.

        Not durable: after a crash of the database the state is a new one, which knows when it began.
        """
