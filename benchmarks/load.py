"""Owns the load of add-contact: a process that keeps connections busy, as cheaply as Python can.

Must not know what answers. `python -m benchmarks.load PORT CONNECTIONS SECONDS TOKEN`; says one line of JSON: requests
a second, the percentiles of their times in milliseconds, and its own CPU seconds.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from typing import cast

import uvloop

from benchmarks.report import percentile
from benchmarks.soap import CAMPAIGN, request

ANSWER = b">0</AddCampaignContactResult>"
END = b"</s:Envelope>"
WARM_SECONDS = 0.5

_NIL = ' i:nil="true"/>'


def template(token: str) -> bytes:
    """An AddCampaignContact as WCF clients write it, with %% places for the contact's id and number (12 digits, 7)."""
    types = "http://schemas.datacontract.org/2004/07/OutboundNotifications"
    sms = (
        "<a:Destination>+1416%07d</a:Destination><a:LastDeliveryErrorCode>0</a:LastDeliveryErrorCode>"
        f"<a:RetryCount>0</a:RetryCount><a:StatusCode>0</a:StatusCode><a:TextToSendOverwrite{_NIL}"
    )
    contact = (
        f"<a:CampaignId>{CAMPAIGN}</a:CampaignId><a:EmailCommInfo{_NIL}"
        f"<a:Id>00000000-0000-4000-8000-%012d</a:Id><a:SMSCommInfo>{sms}</a:SMSCommInfo><a:VoiceCommInfo{_NIL}"
    )
    namespaces = f'xmlns:a="{types}" xmlns:i="http://www.w3.org/2001/XMLSchema-instance"'
    arguments = f"<sessionId>{token}</sessionId><contact {namespaces}>{contact}</contact>"
    # The places are longer once filled; the length in the header must be that of the filled message.
    sample = request("AddCampaignContact", arguments.replace("%07d", "0" * 7).replace("%012d", "0" * 12)).decode()
    head, _, _ = sample.partition("\r\n\r\n")
    body = request("AddCampaignContact", arguments).decode().partition("\r\n\r\n")[2]
    return (head.replace("%", "%%") + "\r\n\r\n" + body).encode()


class Load:
    """What all connections share: the next number, and the times that requests took."""

    def __init__(self, filled: bytes) -> None:
        self.template = filled
        self.number = 0
        self.seconds: list[float] = []
        self.refused = 0
        self.going = True


class Connection(asyncio.Protocol):
    """One connection: the next request as soon as the last one is answered."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._answer = b""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._ask()

    def data_received(self, data: bytes) -> None:
        if not data.endswith(END):
            self._answer += data
            if not self._answer.endswith(END):
                return
            data, self._answer = self._answer, b""
        load = self._load
        load.seconds.append(time.perf_counter() - self._asked)
        if ANSWER not in data:
            load.refused += 1
        if load.going:
            self._ask()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)

    def _ask(self) -> None:
        load = self._load
        load.number = number = load.number + 1
        self._asked = time.perf_counter()
        self._transport.write(load.template % (number, number % 10_000_000))


async def press(port: int, connections: int, seconds: float, token: str) -> dict[str, float]:
    """Keep the connections busy for so long. Raises RuntimeError where an answer is not a success."""
    loop = asyncio.get_running_loop()
    load = Load(template(token))
    made = [(await loop.create_connection(lambda: Connection(load), "127.0.0.1", port))[1] for _ in range(connections)]
    await asyncio.sleep(min(WARM_SECONDS, seconds))
    load.seconds.clear()
    began, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    await asyncio.sleep(seconds)
    taken, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    times = list(load.seconds)
    load.going = False
    await asyncio.wait([one.done for one in made], timeout=10)
    if load.refused or not times:
        raise RuntimeError(f"{load.refused} of {load.number} requests were not answered with success")
    return {
        "rate": len(times) / taken,
        "p50": percentile(times, 0.5) * 1_000,
        "p99": percentile(times, 0.99) * 1_000,
        "cpu": after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime,
        "total": load.number,
    }


def main() -> None:
    """Press, and say what came of it."""
    port, connections, seconds, token = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(press(port, connections, seconds, token))))


if __name__ == "__main__":
    main()
