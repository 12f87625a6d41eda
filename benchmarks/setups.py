"""Owns how fast calls are set up, what each costs, and whether those that are up hear anything of it.

Must not know how a route is built. The ceiling is SIPp's caller (C) against the same far side; it speaks nothing.
"""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.debian import NotThere, Program, program
from benchmarks.processes import PATIENCE, Broken, python, running
from benchmarks.report import Finding, Scale, Target, median, number, percentile
from benchmarks.rtp_echo import STOP
from benchmarks.trunk import RATE, tell

NAME = "setups"
CALLS = 400
THEIR_CALLS = 2_000
THEIR_RATE = 2_000
"""Calls a second that SIPp is asked for."""
UP = 300
"""Calls that are up while others are set up."""
SECONDS = 5.0
GAP_MS = 25.0
SUSTAINED = 0.98
"""Of the pace that is allowed: the first and the last call are not a whole interval apart from others."""


def run(scale: Scale) -> Iterator[Finding]:
    """As fast as they are taken, apart from each other, and among others."""
    try:
        sipp = program("sipp", "sip-tester", fetch=not scale.quick)
    except NotThere as error:
        yield Finding(NAME, "", skipped=str(error))
        return
    yield _measure(scale, sipp)


def _measure(scale: Scale, sipp: Program) -> Finding:
    calls, up, seconds = scale.size(CALLS, 20), scale.size(UP), 1.5 if scale.quick else SECONDS
    theirs, fast, calm, among = [], [], [], []
    for _ in range(scale.rounds):
        theirs.append(_sipp(sipp, scale.size(THEIR_CALLS, 100)))
        fast.append(called("fast", calls))
        calm.append(called("calm", calls // 2))
        among.append(called("among", up, seconds))
    rate, most = (median([_rate(one) for one in of]) for of in (fast, theirs))
    media, main = (median([one[of] / calls * 1e3 for one in fast]) for of in ("media_cpu", "main_cpu"))
    least = median([one["cpu"] / len(one["invite"]) * 1e3 for one in theirs])
    gap = median([one["p99"] for one in among])
    return Finding(
        NAME,
        f"{number(rate)} calls/s, CPU a call {number(media)} ms in the media process, {number(main)} ms in the main",
        f"{number(most)} calls/s, {number(least)} ms: SIPp (C), same far side, without any sound",
        f"{(media + main) / least:.0f} x the CPU",
        (
            Target(rate, RATE * SUSTAINED, "calls/s"),
            Target(gap, GAP_MS, "ms", at_least=False, what=f"p99 gap of {up} others meanwhile"),
        ),
        (
            f"from send() to the INVITE {_spread(calm, _before_invite)}; to the ACK {_spread(calm, _to_ack)} more",
            f"{up} others meanwhile: {min(one['lossless'] for one in among)} without loss, gaps "
            f"p50 {number(median([one['p50'] for one in among]))}, p99 {number(gap)}, "
            f"most {number(median([one['most'] for one in among]))} ms",
            f"a media process takes {RATE:.0f} calls a second and no more; each speaks a word and hangs up",
        ),
    )


def called(what: str, calls: int, seconds: float = 0.0, far_core: int | str = "") -> dict[str, Any]:
    """Place calls of a kind (see benchmarks.caller); what both sides say of them. Raises Broken where one is missed."""
    with running(python("benchmarks.far_side", far_core)) as far:
        sip_port, rtp_port = far.line().split()
        with running(python("benchmarks.caller", what, sip_port, rtp_port, calls, seconds)) as caller:
            found = caller.answer()
        found |= far.answer()
    if found["ack"].keys() != found["invite"].keys() or len(found["invite"]) < calls:
        raise Broken(f"of {calls} calls, {len(found['invite'])} were set up and {len(found['ack'])} answered")
    return found


def _sipp(sipp: Program, calls: int) -> dict[str, Any]:
    with running(python("benchmarks.far_side", "")) as far:
        sip_port, rtp_port = far.line().split()
        command = [sipp.path, "-sn", "uac", "-m", str(calls), "-r", str(THEIR_RATE), "-l", "60", "-d", "0"]
        command += ["-i", "127.0.0.1", "-nostdin", f"127.0.0.1:{sip_port}"]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, env=sipp.environ, capture_output=True, timeout=PATIENCE, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode:
            raise Broken(f"sipp failed with {done.returncode}: {done.stderr.decode(errors='replace')[-500:]}")
        tell(int(rtp_port), STOP)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return far.answer() | {"cpu": cpu}


def _rate(found: dict[str, Any]) -> float:
    """Calls a second from the first INVITE to the last."""
    times: list[int] = sorted(found["invite"].values())
    return (len(times) - 1) / (times[-1] - times[0]) * 1e9


def _before_invite(found: dict[str, Any]) -> list[float]:
    return [(found["invite"][call] - asked) / 1e6 for call, asked in found["asked"].items()]


def _to_ack(found: dict[str, Any]) -> list[float]:
    return [(found["ack"][call] - at) / 1e6 for call, at in found["invite"].items()]


def _spread(rounds: list[dict[str, Any]], times: Callable[[dict[str, Any]], list[float]]) -> str:
    middle, late = (median([percentile(times(one), share) for one in rounds]) for share in (0.5, 0.99))
    return f"p50 {number(middle)}, p99 {number(late)} ms"
