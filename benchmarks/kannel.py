"""Owns the CPU of one SMS, beside Kannel (C) with its spool store, both durable, both against the same sink.

Must not know how either works. Kannel runs from Debian's package, unpacked, as its own users run it: bearerbox keeps
each message in a file until the SMSC has answered, smsbox takes them over HTTP.
"""

from __future__ import annotations

import asyncio
import re
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import uvloop

from benchmarks import sms
from benchmarks.debian import NotThere, Program, program
from benchmarks.processes import PATIENCE, Broken, Process, await_port, folder, free_port, python, running
from benchmarks.report import Finding, Scale, Target, median, number
from benchmarks.stores import SQLITE

NAME = "kannel"
COUNT = 20_000
CONNECTIONS = 20
SHARE = 12.5
"""Per cent of Kannel's CPU: one eighth."""

_CONFIGURATION = """
group = core
admin-port = {admin}
admin-port-ssl = no
admin-password = bench
smsbox-port = {boxes}
log-level = 3
store-type = spool
store-location = {spool}
dlr-storage = internal

group = smsc
smsc = smpp
smsc-id = sink
host = 127.0.0.1
port = {sink}
smsc-username = bench
smsc-password = bench
system-type = bench
transceiver-mode = true
max-pending-submits = {window}

group = smsbox
bearerbox-host = 127.0.0.1
sendsms-port = {door}
log-level = 3

group = sendsms-user
username = bench
password = bench
"""


@dataclass(slots=True)
class _Kannel:
    """Its two processes, and where they listen."""

    bearerbox: Process
    smsbox: Process
    admin: int
    door: int

    def sent(self) -> int:
        """Messages that the SMSC has taken."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/status.txt", timeout=10) as answer:
            found = re.search(r"SMS: received \d+ \(\d+ queued\), sent (\d+)", answer.read().decode())
        if found is None:
            raise Broken("Kannel's status does not say how much was sent.")
        return int(found[1])


def run(scale: Scale) -> Iterator[Finding]:
    """The same number of messages through Kannel and through Campana."""
    try:
        bearerbox, smsbox = (program(name, "kannel", fetch=not scale.quick) for name in ("bearerbox", "smsbox"))
    except NotThere as error:
        yield Finding(NAME, "", skipped=str(error))
        return
    count = scale.size(COUNT, 200)
    ours, bearer, boxes = [], [], []
    for _ in range(scale.rounds):
        with running(python("campana.sandbox", "smsc", "--sink", "--no-receipts")) as sink:
            port = int(sink.line())
            core, door = _through_kannel((bearerbox, smsbox), port, count)
            bearer.append(core / count * 1e6)
            boxes.append(door / count * 1e6)
            drained = sms.drain(SQLITE, port, count, receipts=False)
            ours.append((drained["cpu"] + drained["fill_cpu"]) / count * 1e6)
    share = median([one / core for one, core in zip(ours, bearer, strict=True)]) * 100
    yield Finding(
        NAME,
        f"{number(median(ours))} us CPU an SMS, from its adding (in bulk) to its recorded end",
        f"{number(median(bearer))} us: Kannel's bearerbox with a spool store, from taking it to its removal",
        f"{share:.0f} %",
        (Target(share, SHARE, "% of Kannel's CPU", at_least=False),),
        (
            f"{count:,} messages; the doors are left out on both sides: Kannel's smsbox (HTTP) takes another "
            f"{number(median(boxes))} us, ours is the benchmark add-contact",
        ),
    )


def _through_kannel(programs: tuple[Program, Program], sink: int, count: int) -> tuple[float, float]:
    """CPU seconds of bearerbox and of smsbox for so many messages."""
    with folder() as place, ExitStack() as stack:
        kannel = _start(programs, sink, place, stack)
        before = kannel.bearerbox.cpu(), kannel.smsbox.cpu()
        uvloop.run(_hand_in(kannel.door, count))
        deadline = time.monotonic() + PATIENCE
        while kannel.sent() < count:
            if time.monotonic() > deadline:
                raise Broken(f"Kannel sent {kannel.sent()} of {count} messages.")
            time.sleep(0.1)
        return kannel.bearerbox.cpu() - before[0], kannel.smsbox.cpu() - before[1]


def _start(programs: tuple[Program, Program], sink: int, place: Path, stack: ExitStack) -> _Kannel:
    spool = place / "spool"
    spool.mkdir()
    admin, boxes, door = free_port(), free_port(), free_port()
    file = place / "kannel.conf"
    file.write_text(
        _CONFIGURATION.format(admin=admin, boxes=boxes, door=door, spool=spool, sink=sink, window=sms.WINDOW)
    )
    started = []
    for one, port in zip(programs, (boxes, door), strict=True):
        output = place / f"{Path(one.path).name}.log"
        started.append(stack.enter_context(running([one.path, str(file)], environ=one.environ, output=output)))
        await_port(port)
    return _Kannel(started[0], started[1], admin, door)


async def _hand_in(door: int, count: int) -> None:
    """Hand messages to smsbox over connections that stay, each as soon as the last one was taken."""
    loop = asyncio.get_running_loop()
    numbers = iter(range(count))
    made = [(await loop.create_connection(lambda: _Hand(numbers), "127.0.0.1", door))[1] for _ in range(CONNECTIONS)]
    for one in made:
        await asyncio.wait_for(one.done, PATIENCE)


class _Hand(asyncio.Protocol):
    """One connection to smsbox."""

    def __init__(self, numbers: Iterator[int]) -> None:
        self._numbers = numbers
        self._answer = b""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, ended, body = self._answer.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        if not ended or length is None or len(body) < int(length[1]):
            return
        self._answer = b""
        if not body.startswith((b"0:", b"3:")):
            self.done.set_exception(Broken(f"Kannel refused a message: {body.decode()}"))
            return
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(Broken("Kannel closed a connection."))

    def _ask(self) -> None:
        number = next(self._numbers, None)
        if number is None:
            self.done.set_result(None)
            self._transport.close()
            return
        query = f"username=bench&password=bench&from=14165550100&to=%2B1416{number:07d}&text="
        text = "Hello%2C+your+appointment+is+tomorrow+at+10%3A00."
        self._transport.write(f"GET /cgi-bin/sendsms?{query}{text} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
