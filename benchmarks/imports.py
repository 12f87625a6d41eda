"""Owns the import of a long list over HTTP: its rate and memory, and how fast the campaign is looked at afterwards.

Must not know how a list is taken in.
"""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.processes import Broken, folder, python, running
from benchmarks.report import Finding, Scale, Target, median, number
from benchmarks.server import Server, campana
from benchmarks.soap import CAMPAIGN
from benchmarks.stores import Place, on_each, server_cpu

RATE = 40_000.0
GROWTH = 64.0
"""MiB."""
FIRST_PAGE_MS = 50.0
PATIENCE = 1_200.0
HEADER = "Fullname,externalRefNo,SMS,City,Amount\n"
_API = "/api/v1"
_LOOKS = {
    "contacts": f"{_API}/campaigns/{CAMPAIGN}/contacts",
    "deliveries": f"{_API}/campaigns/{CAMPAIGN}/deliveries",
    "balance": f"{_API}/campaigns/{CAMPAIGN}/balance",
    "events": f"{_API}/campaigns/{CAMPAIGN}/events",
}


def run(scale: Scale) -> Iterator[Finding]:
    """One list into an empty campaign, on each store."""
    with folder() as place:
        path = place / "list.csv"
        count = scale.size(scale.contacts, 2_000)
        _write(path, count)
        yield from on_each("imports", scale, lambda scale, store: iter([_run_on(store, path, count)]))


def _run_on(place: Place, path: Path, count: int) -> Finding:
    with place.fresh() as url, campana(url) as server:
        server.process.forget_peak()
        memory, used = server.process.memory(), server.process.cpu() + server_cpu(place.server)
        seconds = _send(server, path, count)
        used = server.process.cpu() + server_cpu(place.server) - used
        growth = (server.process.memory() - memory) / 1024
        looks = {name: median([_look(server, address) for _ in range(5)]) for name, address in _LOOKS.items()}
    # This server has made the tables and the campaign, and is idle.
    with (
        place.fresh() as url,
        campana(url),
        running(python("benchmarks.bare_imports", url, 1, path)) as process,
    ):
        bare = count / float(process.answer(PATIENCE)["seconds"])
    rate = count / seconds
    return Finding(
        f"imports, {place.name}",
        f"{number(rate)} contacts/s, {number(used / count * 1e6)} us CPU a contact, memory +{growth:.1f} MiB",
        f"{number(bare)} contacts/s: a loop that writes the same rows with the driver, by no rules",
        f"{rate / bare * 100:.0f} %",
        (
            Target(rate, RATE, "contacts/s"),
            Target(growth, GROWTH, "MiB", at_least=False, what="memory growth"),
            *(
                Target(took, FIRST_PAGE_MS, "ms", at_least=False, what=f"first page of {name}")
                for name, took in looks.items()
            ),
        ),
        (
            f"{count:,} rows of CSV over HTTP, each with an SMS and two merge fields",
            "first pages, ms: " + ", ".join(f"{name} {number(took)}" for name, took in looks.items()),
        ),
    )


def _write(path: Path, count: int) -> None:
    """A list of people whose numbers are in no order."""
    with path.open("w", encoding="utf-8") as file:
        file.write(HEADER)
        for row in range(count):
            phone = 2_000_000 + row * 7_919 % 7_999_993
            file.write(f"Person Number {row},R{row:09d},+1416{phone:07d},Toronto,{row % 977}.50\n")


def _send(server: Server, path: Path, count: int) -> float:
    """Send the list; seconds until the report came."""
    head = (
        f"POST {_API}/campaigns/{CAMPAIGN}/imports HTTP/1.1\r\nhost: 127.0.0.1\r\n"
        f"authorization: Bearer {server.token}\r\ncontent-type: text/csv\r\nconnection: close\r\n"
        f"idempotency-key: the-list\r\ncontent-length: {path.stat().st_size}\r\n\r\n"
    )
    began = time.perf_counter()
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as link, path.open("rb") as file:
        link.sendall(head.encode())
        link.sendfile(file)
        answer = http.client.HTTPResponse(link)
        answer.begin()
        told: dict[str, Any] = json.loads(answer.read())
    seconds = time.perf_counter() - began
    if (told.get("state"), told.get("accepted")) != ("done", count):
        raise Broken(f"The import ended as {told}")
    return seconds


def _look(server: Server, address: str) -> float:
    """Milliseconds until the first page of something was read."""
    link = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    link.connect()
    began = time.perf_counter()
    link.request("GET", address, headers={"authorization": f"Bearer {server.token}"})
    answer = link.getresponse()
    content = answer.read()
    took = (time.perf_counter() - began) * 1_000
    link.close()
    if answer.status != 200:
        raise Broken(f"{address} was answered {answer.status}: {content.decode()}")
    return took
