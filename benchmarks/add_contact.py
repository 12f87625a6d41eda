"""Owns adding contacts over SOAP, each durable before its answer, beside the same web server with a constant answer.

Must not know how either works.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.processes import Process, python, running
from benchmarks.report import Finding, Scale, Target, median, number
from benchmarks.server import campana
from benchmarks.stores import Place, on_each, server_cpu

CONNECTIONS = 64
SECONDS = 5
RATE = 5_000.0
P99 = 50.0


def run(scale: Scale) -> Iterator[Finding]:
    """Contacts into one campaign over 64 connections that stay, on each store."""
    yield from on_each("add-contact", scale, _run_on)


def _run_on(scale: Scale, place: Place) -> Iterator[Finding]:
    seconds = max(0.3, SECONDS / scale.shrink)
    ours, constant = [], []
    for _ in range(scale.rounds):
        with running(python("benchmarks.constant", "answer")) as server:
            constant.append(_press(server, 0, int(server.line()), seconds, "none"))
        with place.fresh() as url, campana(url) as server:
            ours.append(_press(server.process, place.server, server.port, seconds, server.token))
    rate, ceiling = (median([one["rate"] for one in of]) for of in (ours, constant))
    p50, p99 = (median([one[name] for one in ours]) for name in ("p50", "p99"))
    cost, bare = (median([one["server_cpu"] for one in of]) for of in (ours, constant))
    share = median([o["rate"] / c["rate"] for o, c in zip(ours, constant, strict=True)]) * 100
    load = median([one["cpu"] / one["rate"] / seconds * 1e6 for one in ours])
    yield Finding(
        f"add-contact, {place.name}",
        f"{number(rate)} req/s, p50 {p50:.1f} ms, p99 {p99:.1f} ms, {number(cost)} us CPU a request",
        f"{number(ceiling)} req/s, {number(bare)} us: the same web server with a constant answer",
        f"{share:.0f} %",
        (Target(rate, RATE, "req/s"), Target(p99, P99, "ms", at_least=False, what="p99")),
        (f"{CONNECTIONS} connections for {seconds:g} s, every contact new; the load took {number(load)} us a request",),
    )


def _press(server: Process, database: int, port: int, seconds: float, token: str) -> dict[str, Any]:
    with running(python("benchmarks.load", port, CONNECTIONS, seconds, token)) as load:
        before = server.cpu() + server_cpu(database)
        found = load.answer()
        found["server_cpu"] = (server.cpu() + server_cpu(database) - before) / found["total"] * 1e6
        return found
