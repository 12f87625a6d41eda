"""Owns how thousands of small campaigns of many accounts are sent at a time, beside one campaign in the same store.

Must not know how the engine chooses among them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from benchmarks import sms
from benchmarks.processes import Broken, python, running
from benchmarks.report import Finding, Scale, Target, number, percentile
from benchmarks.stores import Place, on_each

NAME = "tenants"
CAMPAIGNS, EACH = 2_000, 500
ALONE = 100_000
SHARE = 75.0
"""Per cent of the messages a second of one campaign."""
PATIENCE = 1_800.0


def run(scale: Scale) -> Iterator[Finding]:
    """All campaigns at a time, on each store."""
    yield from on_each(NAME, scale, lambda scale, place: iter([_measure(scale, place)]))


def _measure(scale: Scale, place: Place) -> Finding:
    campaigns, alone = scale.size(CAMPAIGNS), scale.size(ALONE)
    each = EACH if not scale.quick else EACH // 10
    with running(python("campana.sandbox", "smsc", "--sink", "--no-receipts")) as sink:
        port = int(sink.line())
        one = sms.drain(place, port, alone, receipts=False)
        url = f"smpp://bench:bench@127.0.0.1:{port}"
        route = {"name": "bench", "channel": "sms", "url": url, "window": sms.WINDOW, "receipts": False}
        arguments = (place.server, campaigns, each, json.dumps(route))
        with place.fresh() as database, running(python("benchmarks.many", database, *arguments)) as process:
            found = process.answer(PATIENCE)
    if len(found["first"]) != campaigns:
        raise Broken(f"of {campaigns} campaigns, {len(found['first'])} were sent")
    count, ceiling = campaigns * each, alone / one["seconds"]
    rate, cost = count / found["seconds"], number(found["cpu"] / count * 1e6)
    return Finding(
        f"{NAME}, {place.name}",
        f"{number(rate)} msg/s, {cost} us CPU a message: {campaigns:,} campaigns of {each}",
        f"{number(ceiling)} msg/s, {number(one['cpu'] / alone * 1e6)} us: one campaign of {alone:,}",
        f"{rate / ceiling * 100:.0f} %",
        (Target(rate / ceiling * 100, SHARE, "% of one campaign's msg/s"),),
        (_waits(found["first"], found["seconds"]), _looks(found)),
    )


def _waits(first: list[float], seconds: float) -> str:
    waits = [number(percentile(first, share)) for share in (0.0, 0.5, 0.99, 1.0)]
    return (
        f"a campaign's first message was recorded after {waits[0]} s (the first one's), {waits[1]} s (half of them), "
        f"{waits[2]} s (99 %) and {waits[3]} s (all); everything after {number(seconds)} s"
    )


def _looks(found: dict[str, Any]) -> str:
    before, after = (number(found[when] * 1_000) for when in ("lanes_before", "lanes_after"))
    return f"the planner's look at all lanes takes {before} ms before and {after} ms after"
