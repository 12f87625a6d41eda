"""Owns the drain of an SMS campaign, beside a bare SMPP loop against the same sink.

Must not know how either is built.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from benchmarks.processes import PATIENCE, python, running
from benchmarks.report import Finding, Scale, Target, median, number
from benchmarks.stores import Place, on_each

COUNT = 100_000
WINDOW = 500
RECEIPT_SECONDS = 0.2
"""After which the sink sends a receipt; the wait for the last one is taken off both times."""
SHARE = 25.0
"""Per cent of the bare loop's messages a second."""


def run(scale: Scale) -> Iterator[Finding]:
    """Without receipts, then with them, on each store."""
    yield from on_each("sms", scale, _run_on)


def _run_on(scale: Scale, place: Place) -> Iterator[Finding]:
    for receipts in (False, True):
        yield _measure(scale, place, receipts)


def _measure(scale: Scale, place: Place, receipts: bool) -> Finding:
    count = scale.size(COUNT if not receipts else COUNT // 2)
    ours, bare, sink_cpu = [], [], []
    for _ in range(scale.rounds):
        options = ["--sink", "--receipt-delay", RECEIPT_SECONDS] if receipts else ["--sink", "--no-receipts"]
        with running(python("campana.sandbox", "smsc", *options)) as sink:
            port = int(sink.line())
            bare.append(_bare(port, count, receipts))
            before = sink.cpu()
            ours.append(drain(place, port, count, receipts))
            sink_cpu.append((sink.cpu() - before) / count)
    rate = median([count / one["seconds"] for one in ours])
    ceiling = median([count / one["seconds"] for one in bare])
    share = median([b["seconds"] / o["seconds"] for o, b in zip(ours, bare, strict=True)]) * 100
    cost = [median([one["cpu"] / count * 1e6 for one in of]) for of in (ours, bare)]
    return Finding(
        f"sms, {'with' if receipts else 'without'} receipts, {place.name}",
        f"{number(rate)} msg/s, {number(cost[0])} us CPU a message{of_server(place, ours, count)}",
        f"{number(ceiling)} msg/s, {number(cost[1])} us: a bare SMPP loop in Python, same sink",
        f"{share:.0f} %",
        (Target(share, SHARE, "% of the ceiling's msg/s"),),
        (
            f"{count:,} messages, window {WINDOW}, durable; the sink took "
            f"{number(median(sink_cpu) * 1e6)} us CPU a message",
        ),
    )


def _bare(port: int, count: int, receipts: bool) -> dict[str, Any]:
    with running(python("benchmarks.bare_smpp", port, count, WINDOW, int(receipts))) as process:
        return _without_wait(process.answer(), receipts)


def drain(place: Place, port: int, count: int, receipts: bool, patience: float = PATIENCE) -> dict[str, Any]:
    """Drain a campaign of so many contacts into the SMSC at a port; what benchmarks.drain says of it."""
    url = f"smpp://bench:bench@127.0.0.1:{port}"
    route = {"name": "bench", "channel": "sms", "url": url, "window": WINDOW, "receipts": receipts}
    with place.fresh() as database:
        command = python("benchmarks.drain", database, place.server, count, json.dumps(route))
        with running(command) as ours:
            return _without_wait(ours.answer(patience), receipts)


def of_server(place: Place, drains: list[dict[str, Any]], count: int) -> str:
    """How much of the CPU of drains was the database server's; blank where there is none."""
    if not place.server:
        return ""
    share = median([(one["cpu"] - one["own_cpu"]) / count * 1e6 for one in drains])
    return f", {number(share)} of it the database server's"


def _without_wait(found: dict[str, Any], receipts: bool) -> dict[str, Any]:
    return found | {"seconds": found["seconds"] - RECEIPT_SECONDS} if receipts else found
