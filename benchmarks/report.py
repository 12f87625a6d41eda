"""Owns how a benchmark says what it found: figure, ceiling, ratio, target, and by how much that was missed.

Must not measure anything.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from statistics import median as _median


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured: rounds of which the median counts, a divisor of every size, and on which stores."""

    rounds: int = 3
    shrink: int = 1
    stores: tuple[str, ...] = ("sqlite", "postgresql")
    """The kinds of database on which is measured what may lie on either."""
    contacts: int = 1_000_000
    """Contacts of the largest campaign."""

    @property
    def quick(self) -> bool:
        """Whether it is only to be seen that the benchmarks run."""
        return self.shrink > 1

    def size(self, full: int, least: int = 1) -> int:
        """A number of things: the full one, or in a quick run a small part of it."""
        return max(least, full // self.shrink)


@dataclass(frozen=True, slots=True)
class Target:
    """What the design asks of one number: at least or at most `value` of `unit`."""

    measured: float
    value: float
    unit: str
    at_least: bool = True
    what: str = ""

    @property
    def reached(self) -> bool:
        """Whether it is."""
        return self.measured >= self.value if self.at_least else self.measured <= self.value

    def __str__(self) -> str:
        sign = ">=" if self.at_least else "<="
        what = f"{self.what} " if self.what else ""
        asked = f"{what}{sign} {number(self.value)} {self.unit}"
        if self.reached:
            return f"{asked}: reached"
        miss = abs(self.measured - self.value) / self.value * 100
        return f"{asked}: missed by {number(abs(self.measured - self.value))} {self.unit} ({miss:.0f} %)"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the table: what was measured, and beside it what nothing on this machine could do better."""

    name: str
    figure: str
    ceiling: str = ""
    ratio: str = ""
    targets: tuple[Target, ...] = ()
    notes: tuple[str, ...] = field(default=())
    skipped: str = ""

    def lines(self) -> list[str]:
        """The finding for people, one fact a line."""
        if self.skipped:
            return [f"{self.name}: skipped. {self.skipped}"]
        facts = [("figure", self.figure), ("ceiling", self.ceiling), ("ratio", self.ratio)]
        facts += [("target", str(target)) for target in self.targets]
        facts += [("note", note) for note in self.notes]
        return [f"{self.name}", *(f"  {label:<8} {text}" for label, text in facts if text)]


def number(value: float) -> str:
    """A number with as many digits as are worth reading: three, or all of an integer."""
    if value >= 99.95:
        return f"{value:,.0f}"
    return (f"{value:.1f}" if value >= 9.995 else f"{value:.2f}").rstrip("0").rstrip(".")


def median(values: list[float]) -> float:
    """The middle one: what other work on the machine does to one round is left out."""
    return float(_median(values))


def percentile(values: list[float], share: float) -> float:
    """The smallest value that at least `share` (0 to 1) of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]
