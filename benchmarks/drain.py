"""Owns the process that is measured when a campaign drains: engine, store and one route, as a server has them.

Must not know what it is compared with. Says one line of JSON: seconds and CPU seconds of filling and of draining.
"""

from __future__ import annotations

import asyncio
import gc
import json
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import uvloop

from benchmarks.processes import folder
from benchmarks.stores import Store, cpu, open_store
from campana.bus.local import LocalBus
from campana.channels.registry import CHANNELS, Means
from campana.channels.voice.speech.settings import SpeechSettings
from campana.channels.voice.speech.speech import Speech
from campana.domain.campaign import Campaign, EmailSettings, SmsSettings
from campana.domain.contact import Admitted
from campana.domain.delivery import Medium, Status
from campana.engine.options import EngineOptions, Tools
from campana.engine.runner import Engine
from campana.storage.store import NewContact
from campana.telemetry import Metrics, configure_logging
from campana.wiring import SWITCH_SECONDS, now_ms

TEXT = "Hello, your appointment is tomorrow at 10:00."
SENTENCE = "<p>Dear customer, your parcel is on its way today, see <a href='https://example.com/x'>here</a>.</p>\n"
HTML = f"<html><body><h1>Hello</h1>{SENTENCE * 9}</body></html>"
"""About 1 kB."""
LOOK_SECONDS = 0.02
"""How often the end is looked for; no more often, since looking costs."""
TENTHS = 10
_OUTCOMES = "campana_outcomes_total"
_OPEN = "campana_chunks_open"


class Tenth(NamedTuple):
    """A tenth of a drain that was reached: when (`perf_counter`), and the most memory had by then (KiB)."""

    at: float
    memory: int


async def fill(store: Store, count: int, medium: Medium) -> int:
    """Add a campaign with so many contacts; its number."""
    account = await store.accounts.add_account("bench", "UTC", "CA", now_ms())
    user = await store.accounts.add_user(account.number, "bench", "api", "-", now_ms())
    campaign = Campaign(
        guid="00000000-0000-4000-8000-000000000000",
        name="bench",
        sms=SmsSettings(True, "+14165550100", TEXT),
        email=EmailSettings(True, "Shop <shop@example.com>", "Hello there", HTML),
    )
    row = await store.campaigns.add(account.number, user.number, campaign, now_ms())
    for start in range(0, count, 1_000):
        page = contacts(row.number, range(start, min(start + 1_000, count)), (medium,))
        await store.contacts.add_many(page, now_ms())
    return row.number


def contacts(campaign: int, numbers: Iterable[int], media: Sequence[Medium]) -> list[NewContact]:
    """A contact for each number, with a destination of its own on each of the media."""
    return [
        NewContact(
            campaign,
            f"00000000-0000-4000-8000-{number + 1:012x}",
            tuple(Admitted(medium, to, to, None, 3) for medium in media for to in [_destination(medium, number)]),
        )
        for number in numbers
    ]


def _destination(medium: Medium, number: int) -> str:
    return f"user{number}@example.org" if medium is Medium.EMAIL else f"+1416{number:07d}"


async def _succeeded(store: Store, campaign: int, medium: Medium) -> int:
    place = 3 if medium is Medium.SMS else 13
    return sum([line[place] == Status.SUCCESS async for page in store.contacts.pages(campaign, "") for line in page])


async def until_idle(metrics: Metrics, count: int) -> list[Tenth]:
    """Wait until so many outcomes are counted and every lease has ended: from then on all of it is on disk.

    Returns when each tenth of them had been reached.
    """
    tenths: list[Tenth] = []
    while True:
        values = _watched(metrics)
        while len(tenths) < TENTHS and values[_OUTCOMES] * TENTHS >= count * (len(tenths) + 1):
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            tenths.append(Tenth(time.perf_counter(), memory))
        if values[_OUTCOMES] >= count and not values[_OPEN]:
            return tenths
        await asyncio.sleep(LOOK_SECONDS)


def outcomes(metrics: Metrics) -> int:
    """Outcomes that were counted so far."""
    return _watched(metrics)[_OUTCOMES]


def _watched(metrics: Metrics) -> Counter[str]:
    # Of the two alone, since each look at all metrics would cost as much as sending dozens of messages.
    watched = metrics.registry.restricted_registry((_OUTCOMES, _OPEN))
    values = Counter[str]()
    for family in watched.collect():
        for sample in family.samples:
            values[sample.name] += int(sample.value)
    return values


async def drain(url: str, server: int, place: Path, count: int, route: dict[str, Any]) -> dict[str, Any]:
    """Fill a store, then send everything; on return every delivery stands as a success on disk."""
    kind = CHANNELS[route["channel"]]
    settings = kind.settings(**route)
    medium = Medium.SMS if route["channel"] == "sms" else Medium.EMAIL
    store = await open_store(url)
    fill_began, fill_cpu = time.perf_counter(), cpu(server)
    campaign = await fill(store, count, medium)
    filled = {"fill_seconds": time.perf_counter() - fill_began, "fill_cpu": cpu(server) - fill_cpu}
    metrics = Metrics()
    options = EngineOptions(owner="bench", retry_delays=(60_000,))
    means = Means(now_ms, Speech(SpeechSettings(), place))
    engine = Engine(store, [(kind.build(settings, means), settings)], LocalBus(), options, Tools(now_ms, metrics))
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    began, used, own = time.perf_counter(), cpu(server), cpu()
    await engine.start()
    tenths = await until_idle(metrics, count * (2 if route.get("receipts") else 1))
    drained: dict[str, Any] = {
        "seconds": time.perf_counter() - began,
        "cpu": cpu(server) - used,
        "own_cpu": cpu() - own,
    }
    drained |= {"tenths": [one.at - began for one in tenths], "memory": [one.memory for one in tenths]}
    succeeded = await _succeeded(store, campaign, medium)
    if succeeded != count:
        raise RuntimeError(f"{count - succeeded} of {count} deliveries are no success")
    await engine.stop(5)
    await store.close()
    return filled | drained


def main() -> None:
    """`python -m benchmarks.drain URL SERVER COUNT ROUTE`, the route as JSON."""
    configure_logging("warning", "json")
    sys.setswitchinterval(SWITCH_SECONDS)
    url, server, count, route = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), json.loads(sys.argv[4])
    with folder() as place, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(drain(url, server, place, count, route))))


if __name__ == "__main__":
    main()
