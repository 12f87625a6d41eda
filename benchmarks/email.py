"""Owns the drain of an email campaign, beside Postfix's own load generator against the same sink.

Must not know how either is built.
"""

from __future__ import annotations

import json
import resource
import subprocess
import time
from collections.abc import Iterator
from typing import Any

from benchmarks.debian import NotThere, Program, program
from benchmarks.drain import HTML
from benchmarks.processes import PATIENCE, Broken, await_port, free_port, python, running
from benchmarks.report import Finding, Scale, Target, median, number
from benchmarks.sms import of_server
from benchmarks.stores import Place, on_each
from campana.channels.email import EmailRoute, EmailRouteSettings
from campana.domain.delivery import Medium
from campana.domain.message import Content
from campana.wiring import now_ms

NAME = "email"
COUNT = 50_000
CONNECTIONS = 10
SHARE = 100.0
"""Per cent of smtp-source's messages a second."""


def run(scale: Scale) -> Iterator[Finding]:
    """The drain of one campaign, on each store."""
    try:
        source, sink = (program(name, "postfix", fetch=not scale.quick) for name in ("smtp-source", "smtp-sink"))
    except NotThere as error:
        yield Finding(NAME, "", skipped=str(error))
        return
    yield from on_each(NAME, scale, lambda scale, place: iter([_measure(scale, place, source, sink)]))


def _measure(scale: Scale, place: Place, source: Program, sink: Program) -> Finding:
    count = scale.size(COUNT)
    length = message_length()
    ours, theirs = [], []
    for _ in range(scale.rounds):
        port = free_port()
        # Named, for a process of root's must say as whom it runs.
        command = [sink.path, "-u", "root", f"127.0.0.1:{port}", "1000"]
        with running(command, environ=sink.environ):
            await_port(port)
            theirs.append(_source(source, port, count, length))
            ours.append(_drain(place, port, count))
    rate = median([count / one["seconds"] for one in ours])
    ceiling = median([count / one["seconds"] for one in theirs])
    share = median([t["seconds"] / o["seconds"] for o, t in zip(ours, theirs, strict=True)]) * 100
    cost = [median([one["cpu"] / count * 1e6 for one in of]) for of in (ours, theirs)]
    return Finding(
        f"{NAME}, {place.name}",
        f"{number(rate)} msg/s, {number(cost[0])} us CPU a message{of_server(place, ours, count)}",
        f"{number(ceiling)} msg/s, {number(cost[1])} us: smtp-source -d (Postfix, C), same smtp-sink",
        f"{share:.0f} %",
        (Target(share, SHARE, "% of smtp-source's msg/s"),),
        (f"{count:,} messages of {length:,} octets ({len(HTML):,} of HTML), {CONNECTIONS} connections each, durable",),
    )


def message_length() -> int:
    """Octets of the message that Campana makes of the HTML: smtp-source sends as many."""
    settings = EmailRouteSettings(name="bench", channel="email", url="smtp://127.0.0.1:1", tls="off")
    compose = EmailRoute(settings, now_ms).composer(
        Content(Medium.EMAIL, "Shop <shop@example.com>", HTML, "Hello there", "00000000-0000-4000-8000-000000000000")
    )
    size: int = compose(1, 1, "user@example.org", None).payload.size
    return size


def _source(source: Program, port: int, count: int, length: int) -> dict[str, float]:
    command = [source.path, "-d", "-s", str(CONNECTIONS), "-m", str(count), "-l", str(length)]
    command += ["-f", "shop@example.com", "-t", "user@example.org", f"127.0.0.1:{port}"]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, env=source.environ, capture_output=True, text=True, timeout=PATIENCE, check=False)
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise Broken(f"smtp-source failed: {done.stderr.strip()}")
    return {"seconds": seconds, "cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime}


def _drain(place: Place, port: int, count: int) -> dict[str, Any]:
    url = f"smtp://127.0.0.1:{port}"
    route = {"name": "bench", "channel": "email", "url": url, "tls": "off", "connections": CONNECTIONS}
    with place.fresh() as url, running(python("benchmarks.drain", url, place.server, count, json.dumps(route))) as ours:
        return ours.answer()
