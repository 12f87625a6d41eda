"""Owns how much slower SMS drain while hundreds of calls are up in the same server, and what the calls hear of it.

Must not know how either is built. The ceiling is the same drain with nobody on the telephone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from operator import sub
from typing import Any

from benchmarks.processes import Broken, folder, machine_cpu, python, running
from benchmarks.report import Finding, Scale, Target, median, number
from benchmarks.sms import WINDOW
from benchmarks.trunk import trunk_settings

NAME = "beside"
MESSAGES = 150_000
CALLS = 300
SHARE = 80.0
"""Per cent of the messages a second without calls."""
GAP_MS = 25.0


def run(scale: Scale) -> Iterator[Finding]:
    """Without calls and with them, in turn."""
    messages, calls = scale.size(MESSAGES), scale.size(CALLS)
    alone, beside = [], []
    for _ in range(scale.rounds):
        alone.append(_drain(messages, 0))
        beside.append(_drain(messages, calls))
    rates = [median([messages / one["seconds"] for one in of]) for of in (beside, alone)]
    costs = [number(median([one["cpu"] / messages * 1e6 for one in of])) for of in (beside, alone)]
    share = median([a["seconds"] / b["seconds"] for a, b in zip(alone, beside, strict=True)]) * 100
    gap, most = (median([one[of] for one in beside]) for of in ("p99", "most"))
    media, far, sink = (_per_cent(beside, of) for of in ("media_cpu", "far_cpu", "sink_cpu"))
    yield Finding(
        NAME,
        f"{number(rates[0])} msg/s, {costs[0]} us CPU a message, while {calls} calls are up",
        f"{number(rates[1])} msg/s, {costs[1]} us: the same with nobody on the telephone",
        f"{share:.0f} %",
        (
            Target(share, SHARE, "% of the msg/s without calls"),
            Target(gap, GAP_MS, "ms", at_least=False, what="p99 gap of the calls"),
        ),
        (
            f"of {calls} calls {min(_without_loss(one) for one in beside)} without loss, gaps p99 {number(gap)}, "
            f"most {number(most)} ms",
            f"beside the main process worked: the media process ({media} of a core), the calls' far side ({far}) and "
            f"the SMS sink ({sink})",
            f"programs that are not ours took {_others(beside)} of a core, and {_others(alone)} without calls",
        ),
    )


def _drain(messages: int, calls: int) -> dict[str, Any]:
    """One drain with so many calls up; what the process says of it, and what the far side heard meanwhile."""
    with (
        folder() as place,
        running(python("campana.sandbox", "smsc", "--sink", "--no-receipts")) as sink,
        running(python("benchmarks.far_side", "")) as far,
    ):
        sip_port, rtp_port = map(int, far.line().split())
        url = f"smpp://bench:bench@127.0.0.1:{sink.line()}"
        sms = {"name": "sms", "channel": "sms", "url": url, "window": WINDOW, "receipts": False}
        voice = trunk_settings(sip_port, CALLS)
        asked = {"sms": sms, "voice": voice, "messages": messages, "calls": calls, "rtp_port": rtp_port}
        with running(python("benchmarks.beside_drain", place / "beside.db", json.dumps(asked))) as house:
            house.line()
            before = far.cpu(), sink.cpu(), machine_cpu()
            house.line()
            after = far.cpu(), sink.cpu(), machine_cpu()
            used = dict(zip(("far_cpu", "sink_cpu", "all_cpu"), map(sub, after, before), strict=True))
            found = house.answer() | used | far.answer()
    if len(found["ack"]) != calls:
        raise Broken(f"of {calls} calls, {len(found['ack'])} were answered")
    return found


def _per_cent(found: list[dict[str, Any]], what: str) -> str:
    return f"{median([one[what] / one['seconds'] * 100 for one in found]):.0f} %"


def _others(found: list[dict[str, Any]]) -> str:
    ours = ("cpu", "media_cpu", "far_cpu", "sink_cpu")
    return f"{median([(one['all_cpu'] - sum(one[of] for of in ours)) / one['seconds'] * 100 for one in found]):.0f} %"


def _without_loss(found: dict[str, Any]) -> int:
    return max(0, int(found["lossless"] - found["dropped"] - found["refused"]))
