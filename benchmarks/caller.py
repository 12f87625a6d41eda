"""Owns the process that places calls for a benchmark: a voice route that is told how many, and how fast.

Must not judge anything. `python -m benchmarks.caller WHAT SIP_PORT RTP_PORT CALLS SECONDS`, WHAT one of
`many` (so many calls up at a time), `fast` (so many short ones, as fast as they are taken), `calm` (so many, apart from
each other) and `among` (so many up, and 50 short ones a second beside them); says one line of JSON.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import time
from typing import Any, Final

import uvloop

from benchmarks.processes import folder
from benchmarks.rtp_echo import MARK, STOP
from benchmarks.trunk import RATE, SHORT, Trunk, dropped_calls, tell, trunk_to
from campana.telemetry import configure_logging

AT_A_TIME: Final = 60
"""Calls that the engine places at a time at 50 a second."""
CALM: Final = 40.0
"""Calls a second: fewer than may be, so that none waits for its turn."""
SETTLE_SECONDS: Final = 0.5


async def many(trunk: Trunk, rtp_port: int, calls: int, seconds: float) -> dict[str, Any]:
    """So many calls up at a time: what they cost, and what was lost on the way back."""
    # The media process alone on one core, all others on the other one.
    cores = sorted(os.sched_getaffinity(0))
    assert trunk.route.media_pid is not None
    os.sched_setaffinity(trunk.route.media_pid, {cores[-1]})
    os.sched_setaffinity(0, {cores[0]})
    await trunk.raise_calls(calls)
    await asyncio.sleep(SETTLE_SECONDS)
    since = len(trunk.route.beats)
    tell(rtp_port, MARK)
    began, used = time.perf_counter(), trunk.media_cpu()
    await asyncio.sleep(seconds)
    found = {"cpu": trunk.media_cpu() - used, "wall": time.perf_counter() - began}
    tell(rtp_port, MARK)
    return found | {"late_p99": max((one.late_p99 for one in trunk.route.beats[since:]), default=0.0)}


async def fast(trunk: Trunk, rtp_port: int, calls: int, seconds: float) -> dict[str, Any]:
    """So many short calls, as many at a time as the engine would place: what both processes used."""
    waiting = trunk.parcels(calls, SHORT)

    async def work() -> None:
        while waiting:
            await trunk.place(waiting.pop())

    media, main = trunk.media_cpu(), time.process_time()
    await asyncio.gather(*(work() for _ in range(AT_A_TIME)))
    await trunk.all_ended(calls)
    return {"media_cpu": trunk.media_cpu() - media, "main_cpu": time.process_time() - main}


async def calm(trunk: Trunk, rtp_port: int, calls: int, seconds: float) -> dict[str, Any]:
    """So many short calls: when each was asked for."""
    asked = await trunk.place_all(trunk.parcels(calls, SHORT), CALM)
    await trunk.all_ended(calls)
    return {"asked": asked}


async def among(trunk: Trunk, rtp_port: int, calls: int, seconds: float) -> dict[str, Any]:
    """So many calls up, and 50 short ones a second beside them."""
    await trunk.raise_calls(calls)
    await asyncio.sleep(SETTLE_SECONDS)
    tell(rtp_port, MARK)
    await trunk.place_all(trunk.parcels(round(seconds * RATE), SHORT))
    tell(rtp_port, MARK)
    return {}


WHAT: Final = {"many": many, "fast": fast, "calm": calm, "among": among}


async def call(what: str, sip_port: int, rtp_port: int, calls: int, seconds: float) -> dict[str, Any]:
    """Place calls of a kind; the far side is told to stop when all is over."""
    with folder() as place:
        async with trunk_to(sip_port, calls + 2 * AT_A_TIME, place) as trunk:
            gc.freeze()
            found = await WHAT[what](trunk, rtp_port, calls, seconds)
            found["dropped"] = dropped_calls(rtp_port)
    tell(rtp_port, STOP)
    return found


def main() -> None:
    """Place calls, and say what came of it."""
    configure_logging("warning", "json")
    what, sip_port, rtp_port, calls, seconds = sys.argv[1], *map(int, sys.argv[2:5]), float(sys.argv[5])
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(call(what, sip_port, rtp_port, calls, seconds))))


if __name__ == "__main__":
    main()
