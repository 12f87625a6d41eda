"""Owns one process full of calls that speak, or the bare loop that sends and reads as many packets and nothing else.

Must not judge anything. `python -m benchmarks.studio studio|bare CORE PORT CALLS SECONDS`; says one line of JSON: CPU
and wall seconds, and of a studio how late its beat was and how many of its packets did not come back to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import resource
import select
import socket
import sys
import time
from collections.abc import Callable

import uvloop

from benchmarks.rtp_echo import PAYLOAD, STOP
from campana.channels.voice.media.stream import Stream
from campana.channels.voice.media.studio import Studio
from campana.channels.voice.sip.sdp import MediaAnswer

PORTS = (20_000, 40_000)
CLIP = bytes(range(1, 256)) * 125
"""Four seconds of octets that are not silence."""
FRAME = 0.02
QUIET_SECONDS = 0.3
"""In which the last packets come back."""


def _limit(calls: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 2 * calls + 256), hard))


async def speak(port: int, calls: int, seconds: float) -> dict[str, float]:
    """So many streams that play one clip over and over."""
    studio = Studio(PORTS)
    answer = MediaAnswer("127.0.0.1", port, "PCMA", PAYLOAD, frozenset({101}), 20, ("127.0.0.1", port), False)
    streams = [studio.open("127.0.0.1") for _ in range(calls)]
    gc.freeze()
    for stream in streams:
        stream.connect(answer)
        stream.play(CLIP, _again(stream))
    began, used = time.perf_counter(), time.process_time()
    await asyncio.sleep(seconds)
    found = {"cpu": time.process_time() - used, "wall": time.perf_counter() - began}
    for stream in streams:
        stream.hold(True)
    await asyncio.sleep(QUIET_SECONDS)
    figures = studio.figures()
    _stop(port)
    studio.close()
    return found | {"late_p99": figures.late_p99, "missing": figures.packets_sent - figures.packets_heard}


def _again(stream: Stream) -> Callable[[], None]:
    def play() -> None:
        stream.play(CLIP, play)

    return play


def bare(port: int, calls: int, seconds: float) -> dict[str, float]:
    """Every 20 ms one packet out of each of so many sockets, then all that came back is read."""
    sockets = []
    poll = select.epoll()
    for _ in range(calls):
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.setblocking(False)
        one.connect(("127.0.0.1", port))
        poll.register(one, select.EPOLLIN)
        sockets.append(one)
    reads = {one.fileno(): one.recv_into for one in sockets}
    writes = [one.send for one in sockets]
    packet, buffer = bytes((0x80, PAYLOAD)) + bytes(170), bytearray(2_048)
    began, used = time.perf_counter(), time.process_time()
    for turn in range(int(seconds / FRAME)):
        for write in writes:
            write(packet)
        for descriptor, _ in poll.poll(0, calls):
            reads[descriptor](buffer)
        time.sleep(max(0.0, began + (turn + 1) * FRAME - time.perf_counter()))
    found = {"cpu": time.process_time() - used, "wall": time.perf_counter() - began}
    _stop(port)
    return found


def _stop(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.sendto(STOP, ("127.0.0.1", port))


def main() -> None:
    """Speak on one core."""
    what, core, port, calls, seconds = sys.argv[1], *map(int, sys.argv[2:5]), float(sys.argv[5])
    os.sched_setaffinity(0, {core})
    # As the media process does, where it may.
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(os.sched_get_priority_min(os.SCHED_RR)))
    _limit(calls)
    found = bare(port, calls, seconds) if what == "bare" else uvloop.run(speak(port, calls, seconds))
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
