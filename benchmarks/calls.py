"""Owns simultaneous calls: the sound of hundreds from one core, as the far side hears it.

Must not know how a studio is built. The ceiling is a bare loop that sends and reads as many packets.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from benchmarks.processes import python, running
from benchmarks.report import Finding, Scale, Target, median, number

CALLS = 500
MORE_CALLS = 1_000
SECONDS = 5.0
GAP_MS = 25.0
"""Between two packets of a call, p99: a jitter buffer hears nothing of it."""


def run(scale: Scale) -> Iterator[Finding]:
    """The calls that are asked for, and twice as many to see what is left."""
    calls, more = scale.size(CALLS), scale.size(MORE_CALLS)
    seconds = 1.0 if scale.quick else SECONDS
    ours, bare, twice = [], [], []
    for _ in range(scale.rounds):
        bare.append(_measure("bare", calls, seconds))
        ours.append(_measure("studio", calls, seconds))
        twice.append(_measure("studio", more, seconds))
    core, least = (median([one["cpu"] / one["wall"] * 100 for one in of]) for of in (ours, bare))
    gap = median([one["p99"] for one in ours])
    yield Finding(
        "calls",
        f"{_said(calls, ours)}, {core:.0f} % of a core",
        f"{least:.0f} % of a core: a bare loop that sends and reads as many packets",
        f"{core / least:.1f} x",
        (
            Target(min(_without_loss(one) for one in ours), calls, "calls", what="without loss"),
            Target(gap, GAP_MS, "ms", at_least=False, what="p99 gap"),
        ),
        (
            f"{_said(more, twice)}, {median([one['cpu'] / one['wall'] * 100 for one in twice]):.0f} % of a core",
            "20 ms of G.711 both ways; gaps by the kernel's clock at the far side, on another core",
        ),
    )


def _measure(what: str, calls: int, seconds: float) -> dict[str, Any]:
    cores = sorted(os.sched_getaffinity(0))
    with running(python("benchmarks.rtp_echo", cores[0])) as echo:
        port = int(echo.line())
        with running(python("benchmarks.studio", what, cores[-1], port, calls, seconds)) as studio:
            found = studio.answer()
        return found | echo.answer()


def _said(calls: int, found: list[dict[str, Any]]) -> str:
    gaps = "p50 {}, p99 {}, most {} ms".format(*(number(median([one[of] for one in found])) for of in _GAPS))
    lossless = min(_without_loss(one) for one in found)
    return f"{calls:,} calls at a time, {lossless:,} without loss, gaps {gaps}"


def _without_loss(found: dict[str, Any]) -> int:
    """Calls that lost nothing either way: what did not come back is taken for one more call each."""
    return max(0, int(found["lossless"] - found["missing"]))


_GAPS = ("p50", "p99", "most")
