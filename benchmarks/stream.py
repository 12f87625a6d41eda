"""Owns the streaming of a long list: a campaign's contacts as XML, and what the server's memory does meanwhile.

Must not know how a list is made.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.processes import Broken, Process, python, running
from benchmarks.report import Finding, Scale, Target, median, number
from benchmarks.server import campana
from benchmarks.soap import CAMPAIGN, request
from benchmarks.stores import Place, on_each, server_cpu
from campana.api.exchange import PART_BYTES

CONTACTS = 200_000
RATE = 120_000.0
GROWTH = 16.0
"""MiB."""

_ITEM = b"</a:OutboundNotificationContactInfo>"
_LAST_CHUNK = b"0\r\n\r\n"
_RECEIVE = 262_144


@dataclass(slots=True)
class Reading:
    """What one reading of a stream came to."""

    seconds: float
    octets: int
    items: int
    cpu: float
    growth: float
    """MiB by which the server's memory rose above what it had before."""


def run(scale: Scale) -> Iterator[Finding]:
    """One list, several times from one server, on each store."""
    yield from on_each("stream", scale, _run_on)


def _run_on(scale: Scale, place: Place) -> Iterator[Finding]:
    count = scale.size(CONTACTS)
    ask = "GetCampaignContacts"
    with place.fresh() as url, campana(url, filled=count) as server:
        message = request(ask, f"<sessionId>{server.token}</sessionId><campaignId>{CAMPAIGN}</campaignId>")
        ours = [_read(server.process, place.server, server.port, message) for _ in range(scale.rounds)]
    if any(reading.items != count for reading in ours):
        raise Broken(f"A list of {count} contacts had {ours[0].items}.")
    octets = ours[0].octets
    with running(python("benchmarks.constant", "stream", -(-octets // PART_BYTES))) as process:
        port = int(process.line())
        bare = [_read(process, 0, port, request(ask, "")) for _ in range(scale.rounds)]
    rate = median([count / one.seconds for one in ours])
    ceiling = median([count * one.octets / octets / one.seconds for one in bare])
    # The first list is the one for which everything has still to be allocated.
    growth = max(one.growth for one in ours)
    yield Finding(
        f"stream, {place.name}",
        f"{number(rate)} contacts/s, {number(median([one.cpu / count * 1e6 for one in ours]))} us CPU a contact, "
        f"memory +{growth:.1f} MiB",
        f"{number(ceiling)} contacts/s: the same web server, as many bytes from memory",
        f"{rate / ceiling * 100:.0f} %",
        (Target(rate, RATE, "contacts/s"), Target(growth, GROWTH, "MiB", at_least=False, what="memory growth")),
        (f"{count:,} contacts with SMS and email, {octets / 2**20:.0f} MiB of XML",),
    )


def _read(server: Process, database: int, port: int, message: bytes) -> Reading:
    """Ask, and count what comes: octets and items, without keeping any."""
    server.forget_peak()
    memory, used, began = server.memory(), server.cpu() + server_cpu(database), time.perf_counter()
    octets = items = 0
    tail = b""
    with socket.create_connection(("127.0.0.1", port), 60) as link:
        link.sendall(message)
        while not tail.endswith(_LAST_CHUNK):
            data = link.recv(_RECEIVE)
            if not data:
                raise Broken("A list was broken off.")
            octets += len(data)
            # What is counted may lie across two pieces.
            items += (tail + data).count(_ITEM)
            tail = (tail + data)[-len(_ITEM) + 1 :]
    seconds = time.perf_counter() - began
    used = server.cpu() + server_cpu(database) - used
    return Reading(seconds, octets, items, used, (server.memory() - memory) / 1024)
