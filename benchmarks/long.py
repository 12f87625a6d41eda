"""Owns how one very long campaign is sent: whether its end goes as fast as its beginning, and memory stays.

Must not know how it is sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from benchmarks import sms
from benchmarks.processes import python, running
from benchmarks.report import Finding, Scale, Target, number
from benchmarks.stores import Place, on_each

NAME = "long"
SHARE = 80.0
"""Per cent of the messages a second that the second tenth had: the first one also warms up."""
GROWTH = 32.0
"""MiB by which memory may rise after the first tenth."""
PATIENCE = 14_400.0


def run(scale: Scale) -> Iterator[Finding]:
    """One drain without receipts, on each store."""
    yield from on_each(NAME, scale, lambda scale, place: iter([_measure(scale, place)]))


def _measure(scale: Scale, place: Place) -> Finding:
    count = scale.size(scale.contacts)
    with running(python("campana.sandbox", "smsc", "--sink", "--no-receipts")) as sink:
        found = sms.drain(place, int(sink.line()), count, receipts=False, patience=PATIENCE)
    ends = [0.0, *found["tenths"]]
    rates = [count / 10 / max(after - before, 1e-9) for before, after in pairwise(ends)]
    share = rates[-1] / rates[1] * 100
    growth = (found["memory"][-1] - found["memory"][0]) / 1024
    return Finding(
        f"{NAME}, {place.name}",
        f"{number(rates[-1])} msg/s over the last tenth of {count:,} messages, memory +{number(growth)} MiB",
        f"{number(rates[1])} msg/s over the second tenth",
        f"{share:.0f} %",
        (
            Target(share, SHARE, "% of the second tenth's msg/s"),
            Target(growth, GROWTH, "MiB", at_least=False, what="memory growth"),
        ),
        (
            f"each tenth: {', '.join(number(rate) for rate in rates)} msg/s",
            f"all in {number(found['seconds'])} s, {number(found['cpu'] / count * 1e6)} us CPU a message"
            f"{sms.of_server(place, [found], count)}; added in {number(found['fill_seconds'])} s",
        ),
    )
