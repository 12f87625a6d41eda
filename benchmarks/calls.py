"""Owns simultaneous calls: the sound of hundreds from one core, by itself and of calls set up by SIP.

Must not know how a studio or a route is built. The ceiling is a bare loop that sends and reads as many packets.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from benchmarks.processes import python, running
from benchmarks.report import Finding, Scale, Target, median, number
from benchmarks.setups import called

CALLS = 500
MORE_CALLS = 1_000
SECONDS = 5.0
GAP_MS = 25.0
"""Between two packets of a call, p99: a jitter buffer hears nothing of it."""


def run(scale: Scale) -> Iterator[Finding]:
    """The sound of as many as are asked for, and of twice as many; then as many calls through a voice route."""
    calls, more = scale.size(CALLS), scale.size(MORE_CALLS)
    seconds = 1.0 if scale.quick else SECONDS
    ours, bare, twice, dialled = [], [], [], []
    for _ in range(scale.rounds):
        bare.append(_measure("bare", calls, seconds))
        ours.append(_measure("studio", calls, seconds))
        twice.append(_measure("studio", more, seconds))
        dialled.append(_dialled(calls, seconds))
    ceiling = _cores(bare)
    notes = (
        f"{_said(more, twice)}, {_cores(twice):.0f} % of a core",
        "20 ms of G.711 both ways; gaps by the kernel's clock at the far side, on another core",
    )
    yield _finding("calls, sound alone", ours, calls, ceiling, notes)
    yield _finding("calls", dialled, calls, ceiling, ("set up by SIP, 50 a second, through a voice route",))


def _finding(name: str, found: list[dict[str, Any]], calls: int, ceiling: float, notes: tuple[str, ...]) -> Finding:
    return Finding(
        name,
        f"{_said(calls, found)}, {_cores(found):.0f} % of a core",
        f"{ceiling:.0f} % of a core: a bare loop that sends and reads as many packets",
        f"{_cores(found) / ceiling:.1f} x",
        (
            Target(min(_without_loss(one) for one in found), calls, "calls", what="without loss"),
            Target(median([one["p99"] for one in found]), GAP_MS, "ms", at_least=False, what="p99 gap"),
        ),
        notes,
    )


def _dialled(calls: int, seconds: float) -> dict[str, Any]:
    found = called("many", calls, seconds, min(os.sched_getaffinity(0)))
    return found | {"missing": found["dropped"] + found["refused"]}


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


def _cores(found: list[dict[str, Any]]) -> float:
    """Per cent of a core that the calls took."""
    return median([one["cpu"] / one["wall"] * 100 for one in found])


def _without_loss(found: dict[str, Any]) -> int:
    """Calls that lost nothing either way: what did not come back is taken for one more call each."""
    return max(0, int(found["lossless"] - found["missing"]))


_GAPS = ("p50", "p99", "most")
