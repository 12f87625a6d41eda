"""Owns what is done to whom in a drill, and when: by dice, so that the same seed gives the same plan.

Must not know processes: it names a role, and a moment by how much of the work is done.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import Final

from campana.domain.moment import SECOND
from campana.engine.membership import LEAST_LIFE_MS

FIRST: Final = 0.03
LAST: Final = 0.9
"""Shares of all messages between which something happens: before and after that there is nothing to disturb."""
LOADED: Final = 0.5
"""The share of all messages before which contacts are still being added, so that doors are busy."""
LONGEST_DELAY: Final = 0.06
"""Seconds by which a blow comes later at most. Messages come in bursts: not all blows are to come after the same step
of one."""
SECONDS_OF_A_KILL: Final = 3.0
SECONDS_OF_A_CUT: Final = 1.0
SECONDS_AROUND: Final = 8.0
FROZEN_LONGER: Final = 2.0


class Blow(Enum):
    """What is done."""

    KILL = "kill -9"
    FREEZE = "freeze"
    CUT = "cut"


class Role(Enum):
    """To whom."""

    SERVER = "serve"
    API = "api"
    WORKER = "worker"
    PLANNER = "planner"
    """Whichever process plans at that moment."""
    DATABASE = "database"
    """The connections of all to it."""


MANY: Final = (Role.WORKER, Role.PLANNER, Role.API)
"""Whom blows go to in turn where there are many processes."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """How many of what a drill has."""

    contacts: int
    kills: int
    freezes: int
    cuts: int
    lease_seconds: float

    @property
    def frozen_seconds(self) -> float:
        """How long a process stands still: until others have its work, and take it for dead."""
        return max(self.lease_seconds, LEAST_LIFE_MS / SECOND) + FROZEN_LONGER

    @property
    def seconds(self) -> float:
        """How long the campaign must go on for everything to come while it does, about."""
        return (
            SECONDS_AROUND
            + self.kills * SECONDS_OF_A_KILL
            + self.freezes * self.frozen_seconds
            + self.cuts * SECONDS_OF_A_CUT
        )

    @property
    def fitting_rate(self) -> int:
        """Messages a second of a route that take so long."""
        return max(2, math.ceil(self.contacts / self.seconds))


@dataclass(frozen=True, slots=True)
class Incident:
    """Something that is to happen."""

    share: float
    """Of all messages that are to arrive: it happens when so many have."""
    delay: float
    """Seconds after that."""
    blow: Blow
    role: Role


def plan(numbers: Numbers, roles: Sequence[Role], dice: Random) -> list[Incident]:
    """What is to happen, in order. Each role gets its share of the kills and of the freezes."""
    incidents = []
    blows = [Blow.KILL] * numbers.kills + [Blow.FREEZE] * numbers.freezes
    # Kills and freezes go around separately, so that a few freezes do not all hit the same role.
    turns = {blow: itertools.cycle(dice.sample(roles, len(roles))) for blow in (Blow.KILL, Blow.FREEZE)}
    for blow in blows:
        incidents.append(_incident(blow, next(turns[blow]), dice))
    for _ in range(numbers.cuts):
        incidents.append(_incident(Blow.CUT, Role.DATABASE, dice))
    return sorted(incidents, key=lambda one: one.share)


def _incident(blow: Blow, role: Role, dice: Random) -> Incident:
    last = LOADED if role is Role.API else LAST
    return Incident(dice.uniform(FIRST, last), dice.uniform(0, LONGEST_DELAY), blow, role)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that has happened. Times are epoch milliseconds."""

    blow: Blow
    role: Role
    whom: str
    began: int
    ended: int
    """When the process was there again, or went on."""
    arrived: int
    """How many messages and calls had arrived before."""
    taken_over_ms: int | None = None
    """How long it took until another process planned; None where that is not known or was not asked."""

    @property
    def is_felt_by_senders(self) -> bool:
        """Whether what sends was hit."""
        return self.role is not Role.API
