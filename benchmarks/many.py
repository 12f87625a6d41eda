"""Owns the process that is measured when thousands of campaigns are sent at a time: engine, store and one SMS route.

Must not judge anything. `python -m benchmarks.many URL SERVER CAMPAIGNS CONTACTS ROUTE` says one line of JSON: seconds
and CPU of the drain, after how many seconds the first message of each campaign was recorded, and what one look at all
lanes took before and after.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from pathlib import Path
from typing import Any

import asyncpg
import uvloop

from benchmarks.drain import TEXT, contacts, until_idle
from benchmarks.processes import folder
from benchmarks.stores import Store, cpu, file_of, is_file, open_store
from campana.bus.local import LocalBus
from campana.channels.registry import CHANNELS, Means
from campana.channels.voice.speech.settings import SpeechSettings
from campana.channels.voice.speech.speech import Speech
from campana.domain.campaign import Campaign, SmsSettings
from campana.domain.delivery import Medium
from campana.engine.options import EngineOptions, Tools
from campana.engine.runner import Engine
from campana.storage.sqlite.database import connect
from campana.telemetry import Metrics, configure_logging
from campana.wiring import SWITCH_SECONDS, now_ms

PER_ACCOUNT = 10
LOOKS = 5
_FIRST = "SELECT min(at) FROM attempts GROUP BY delivery >> 34"
"""Of each campaign, whose number stands in a delivery's upper bits."""


async def fill(store: Store, campaigns: int, each: int) -> None:
    """Add accounts with some campaigns each, all of the same size."""
    account = user = 0
    for number in range(campaigns):
        if number % PER_ACCOUNT == 0:
            name = f"bench{number // PER_ACCOUNT}"
            account = (await store.accounts.add_account(name, "UTC", "CA", now_ms())).number
            user = (await store.accounts.add_user(account, "bench", "api", "-", now_ms())).number
        guid = f"00000000-0000-4000-8000-{number:012x}"
        campaign = Campaign(guid=guid, name="bench", sms=SmsSettings(True, "+14165550100", TEXT))
        row = await store.campaigns.add(account, user, campaign, now_ms())
        await store.contacts.add_many(contacts(row.number, range(each), (Medium.SMS,)), now_ms())


async def first_recorded(url: str) -> list[int]:
    """When the first message of each campaign was recorded, in order (epoch milliseconds)."""
    if is_file(url):
        connection = connect(file_of(url), read_only=True)
        found = [row[0] for row in connection.execute(_FIRST)]
        connection.close()
        return sorted(found)
    direct = await asyncpg.connect(url)
    try:
        return sorted(row[0] for row in await direct.fetch(_FIRST))
    finally:
        await direct.close()


async def look(store: Store) -> float:
    """Seconds that a look at all lanes takes."""
    began = time.perf_counter()
    for _ in range(LOOKS):
        await store.river.lanes()
    return (time.perf_counter() - began) / LOOKS


async def drain(url: str, server: int, place: Path, campaigns: int, each: int, route: dict[str, Any]) -> dict[str, Any]:
    """Fill a store, then send everything."""
    kind = CHANNELS[route["channel"]]
    settings = kind.settings(**route)
    store = await open_store(url)
    await fill(store, campaigns, each)
    found: dict[str, Any] = {"lanes_before": await look(store)}
    metrics = Metrics()
    means = Means(now_ms, Speech(SpeechSettings(), place))
    options = EngineOptions(owner="bench", retry_delays=(60_000,))
    engine = Engine(store, [(kind.build(settings, means), settings)], LocalBus(), options, Tools(now_ms, metrics))
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    began, used, at = time.perf_counter(), cpu(server), now_ms()
    await engine.start()
    await until_idle(metrics, campaigns * each)
    found |= {"seconds": time.perf_counter() - began, "cpu": cpu(server) - used, "lanes_after": await look(store)}
    await engine.stop(5)
    await store.close()
    return found | {"first": [(one - at) / 1_000 for one in await first_recorded(url)]}


def main() -> None:
    """Drain, and say what came of it."""
    configure_logging("warning", "json")
    sys.setswitchinterval(SWITCH_SECONDS)
    url, server, campaigns, each, route = sys.argv[1], *map(int, sys.argv[2:5]), json.loads(sys.argv[5])
    with folder() as place, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(drain(url, server, place, campaigns, each, route))))


if __name__ == "__main__":
    main()
