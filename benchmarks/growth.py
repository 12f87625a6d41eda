"""Owns whether cost stays flat while one campaign grows from a thousand contacts to millions.

Must not know how anything is stored. The ceiling is the same store with a thousand contacts in a campaign.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.grow import LOOKED_UP
from benchmarks.grow import LOOKS as LOOKS_OF_LANES
from benchmarks.processes import python, running
from benchmarks.report import Finding, Scale, Target, number
from benchmarks.stores import Place, on_each

NAME = "scale"
SAMPLE = 20_000
SMALLEST, COMPARED = 1_000, 10_000
"""Contacts of the smallest campaign, and of the one with which the largest is compared."""
FLAT = 1.5
"""A cost is flat where it rises by no more than this from the one to the other."""
PATIENCE = 7_200.0
SAMPLED = {
    "adding": (1, "adding (in bulk)"),
    "planning": (1, "planning"),
    "claim and complete": (2, "claim and complete"),
    "with carriers' ids": (2, "the same with a carrier's id"),
    "receipts": (2, "receipt"),
}
"""What is measured with the last contacts of a campaign: with which part of them, and what it is."""
LOOKS = {
    "looking up": (LOOKED_UP, "a contact by its guid"),
    "lanes of one": (LOOKS_OF_LANES, "the campaign's lanes"),
    "lanes": (LOOKS_OF_LANES, "all lanes"),
    "overdue": (LOOKS_OF_LANES, "overdue receipts"),
}
"""What is asked again and again: how often it was, and what it is."""
JUDGED = ("planning", "claim and complete", "looking up", "lanes of one", "overdue")
"""What must be flat. Not among them is what writes into an index without order: adding (guids and numbers), and waiting
for receipts (carriers' ids), of which there are the more the more messages wait."""
LEAST_US = 20.0
"""Microseconds below which nothing is judged: it is the clock that is measured there."""


def run(scale: Scale) -> Iterator[Finding]:
    """A campaign that grows, on each store."""
    yield from on_each(NAME, scale, lambda scale, place: iter([_measure(scale, place)]))


def _measure(scale: Scale, place: Place) -> Finding:
    sample = scale.size(SAMPLE, SMALLEST)
    sizes = [SMALLEST]
    while sizes[-1] * 10 <= scale.size(scale.contacts, COMPARED):
        sizes.append(sizes[-1] * 10)
    with (
        place.fresh() as url,
        running(python("benchmarks.grow", url, place.server, sample, *sizes)) as process,
    ):
        found = [process.answer(PATIENCE) for _ in sizes]
    rises = {what: _rise(found, what, sample) for what in JUDGED}
    pages = found[-1]["pages"]["late"] / found[-1]["pages"]["early"]
    worst = max(rises, key=lambda what: rises[what])
    cost, small = (_cpu(one, "claim and complete", sample) for one in (found[-1], found[0]))
    return Finding(
        f"{NAME}, {place.name}",
        f"{number(cost)} us CPU to claim and complete a delivery at the end of a campaign of {sizes[-1]:,}",
        f"{number(small)} us in campaigns of {SMALLEST:,}",
        f"{number(cost / small)} x; the steepest is {worst}: {number(rises[worst])} x",
        (
            *(Target(rise, FLAT, "x", at_least=False, what=f"{what}: rise") for what, rise in rises.items()),
            Target(pages, FLAT, "x", at_least=False, what="the last page of a list against its first one: rise"),
        ),
        (*_table(found, sample), _growth(found[-1])),
    )


def _cpu(found: dict[str, Any], what: str, sample: int) -> float:
    """Microseconds of CPU, client and server, that one of something took."""
    times = LOOKS[what][0] if what in LOOKS else sample / SAMPLED[what][0]
    cpu: float = found["costs"][what]["cpu"] / times * 1e6
    return cpu


def _rise(found: list[dict[str, Any]], what: str, sample: int) -> float:
    """By how much a cost rises from the campaign that is compared to the largest; 1 where it is too small to judge."""
    (small,) = (_cpu(one, what, sample) for one in found if one["size"] == COMPARED)
    large = _cpu(found[-1], what, sample)
    return large / small if large > LEAST_US else 1.0


def _table(found: list[dict[str, Any]], sample: int) -> Iterator[str]:
    yield f"{'us CPU of one':<28}" + "".join(f"{one['size']:>12,}" for one in found)
    for what, (_, words) in (SAMPLED | LOOKS).items():
        yield f"{words:<28}" + "".join(f"{number(_cpu(one, what, sample)):>12}" for one in found)
    for what, words, factor in (("first_ms", "first page, ms", 1.0), ("late", "contact of the last page, us", 1e6)):
        yield f"{words:<28}" + "".join(f"{number(one['pages'][what] * factor):>12}" for one in found)


def _growth(found: dict[str, Any]) -> str:
    parts = (
        f"{table} {number(sizes[0] / found['contacts'])} + {number(sizes[1] / found['contacts'])}"
        for table, sizes in found["sizes"].items()
    )
    return f"octets of each table + its indexes, a contact: {', '.join(parts)}"
