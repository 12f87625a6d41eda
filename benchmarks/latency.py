"""Owns the time from AddCampaignContact to the carrier while the system is idle.

Must not know what happens in between.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator

import uvloop

from benchmarks.load import ANSWER, END, template
from benchmarks.processes import PATIENCE, Broken
from benchmarks.report import Finding, Scale, Target, number, percentile
from benchmarks.server import Server, campana
from benchmarks.stores import Place, on_each
from campana.sandbox.smsc import SmscSimulator

ADDS = 300
PAUSE = 0.03
"""Seconds between two, plus as much again by chance, so that no timer of the server's beats in step."""
P50, P99 = 50.0, 250.0


def run(scale: Scale) -> Iterator[Finding]:
    """Single adds over one connection, on each store; each is waited for at the simulated SMSC."""
    yield from on_each("latency", scale, _run_on)


def _run_on(scale: Scale, place: Place) -> Iterator[Finding]:
    adds = scale.size(ADDS, 10)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        came: asyncio.Queue[float] = asyncio.Queue()
        smsc = SmscSimulator(on_message=lambda _: came.put_nowait(time.perf_counter()), magic=False)
        runner.run(smsc.start())
        route = f'[[routes]]\nname = "bench"\nchannel = "sms"\nurl = "smpp://bench:bench@127.0.0.1:{smsc.port}"'
        with place.fresh() as url, campana(url, [route]) as server:
            answered, arrived = runner.run(_measure(server, came, adds))
        runner.run(smsc.stop())
    p50, p99 = percentile(arrived, 0.5), percentile(arrived, 0.99)
    yield Finding(
        f"latency, {place.name}",
        f"add to carrier p50 {number(p50)} ms, p99 {number(p99)} ms, worst {number(max(arrived))} ms",
        f"p50 {number(percentile(answered, 0.5))} ms: the durable answer to the add alone",
        f"{p50 / percentile(answered, 0.5):.1f} x",
        (Target(p50, P50, "ms", at_least=False, what="p50"), Target(p99, P99, "ms", at_least=False, what="p99")),
        (f"{adds} single adds over SOAP, one SMSC bind, receipts asked for",),
    )


async def _measure(server: Server, came: asyncio.Queue[float], adds: int) -> tuple[list[float], list[float]]:
    """Milliseconds from each add's first byte to its answer, and to its arrival at the SMSC."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    message = template(server.token)
    answered, arrived = [], []
    for contact in range(1, adds + 2):
        await asyncio.sleep(PAUSE * (1 + random.random()))
        asked = time.perf_counter()
        writer.write(message % (contact, contact))
        answer = await asyncio.wait_for(reader.readuntil(END), PATIENCE)
        if ANSWER not in answer:
            raise Broken(f"An add was refused: {answer.decode()}")
        answered.append((time.perf_counter() - asked) * 1_000)
        arrived.append((await asyncio.wait_for(came.get(), PATIENCE) - asked) * 1_000)
    writer.close()
    # The first one waited for the route to come up.
    return answered[1:], arrived[1:]
