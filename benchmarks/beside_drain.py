"""Owns the process that is measured when SMS drain beside calls: engine, store, an SMS route and a voice route.

Must not judge anything. `python -m benchmarks.beside_drain FILE JSON`, the JSON with `sms` and `voice` (routes),
`messages`, `calls` (none are made where it is 0) and `rtp_port`; says a line when the drain begins and one when it has
ended, then one of JSON: seconds and CPU seconds of the drain, of this process and of the media process.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import uvloop

from benchmarks.drain import TEXT, contacts, outcomes, until_idle
from benchmarks.processes import cpu_of
from benchmarks.rtp_echo import MARK, STOP
from benchmarks.stores import Store, cpu, open_store
from benchmarks.trunk import MANY, WatchedRoute, dropped_calls, tell
from benchmarks.trunk import TEXT as SPOKEN
from campana.bus.contract import Hint, News
from campana.bus.local import LocalBus
from campana.channels.registry import CHANNELS, Means
from campana.channels.voice.settings import VoiceRouteSettings
from campana.channels.voice.speech.settings import SpeechSettings
from campana.channels.voice.speech.speech import Speech
from campana.domain.campaign import Campaign, SmsSettings, VoiceSettings
from campana.domain.delivery import Medium
from campana.engine.options import EngineOptions, Tools
from campana.engine.runner import Engine
from campana.telemetry import Metrics, configure_logging
from campana.wiring import SWITCH_SECONDS, now_ms

PAGE: Final = 1_000
PATIENCE: Final = 60.0
NEVER_MS: Final = 3_600_000
"""Nothing is looked for but what a hint tells of: so each campaign begins when it is meant to."""
SMS: Final = Campaign(guid=f"{1:08}-0000-4000-8000-{0:012}", name="sms", sms=SmsSettings(True, "+14165550100", TEXT))
CALLS: Final = Campaign(
    guid=f"{2:08}-0000-4000-8000-{0:012}",
    name="calls",
    voice=VoiceSettings(True, 10_000, "Bench", "+14165550100", SPOKEN, "", MANY, 1, 1),
)


@dataclass(slots=True)
class House:
    """What a server has, but for its doors."""

    store: Store
    bus: LocalBus
    metrics: Metrics
    trunk: WatchedRoute

    async def fill(self, campaign: Campaign, medium: Medium, count: int) -> int:
        """Add a campaign with so many contacts, of which the engine is not told yet; its number."""
        account = await self.store.accounts.add_account(medium.name, "UTC", "CA", now_ms())
        user = await self.store.accounts.add_user(account.number, "bench", "api", "-", now_ms())
        row = await self.store.campaigns.add(account.number, user.number, campaign, now_ms())
        for start in range(0, count, PAGE):
            page = contacts(row.number, range(start, min(start + PAGE, count)), (medium,))
            await self.store.contacts.add_many(page, now_ms())
        return row.number

    def begin(self, campaign: int) -> None:
        """Have the engine look at a campaign."""
        self.bus.tell(Hint(News.CONTACTS, campaign))

    def media_cpu(self) -> float:
        """Seconds of CPU of the media process."""
        assert self.trunk.media_pid is not None
        return cpu_of(self.trunk.media_pid)

    async def call(self, count: int) -> None:
        """Have so many people called, all of whom listen for longer than all this lasts."""
        self.begin(await self.fill(CALLS, Medium.VOICE, count))
        async with asyncio.timeout(PATIENCE):
            while self.trunk.figures is None or self.trunk.figures.calls < count:
                self.trunk.beaten.clear()
                await self.trunk.beaten.wait()
            await until_idle(self.metrics, count)

    async def drain(self, count: int, rtp_port: int) -> dict[str, float]:
        """Send so many messages; on return all outcomes are on disk."""
        campaign = await self.fill(SMS, Medium.SMS, count)
        before = outcomes(self.metrics)
        gc.collect()
        gc.freeze()
        tell(rtp_port, MARK)
        print("begins", flush=True)
        began, used, media = time.perf_counter(), cpu(), self.media_cpu()
        self.begin(campaign)
        await until_idle(self.metrics, before + count)
        found = {"seconds": time.perf_counter() - began, "cpu": cpu() - used, "media_cpu": self.media_cpu() - media}
        print("ended", flush=True)
        tell(rtp_port, MARK)
        return found


async def measure(path: Path, asked: dict[str, Any]) -> dict[str, float]:
    """A house that drains a campaign, with calls up where they are asked for."""
    store = await open_store(f"sqlite:///{path}")
    speech = Speech(SpeechSettings(), path.parent / "speech")
    await speech.start()
    sms = CHANNELS["sms"].settings(**asked["sms"])
    voice = VoiceRouteSettings(**asked["voice"])
    house = House(store, LocalBus(), Metrics(), WatchedRoute(voice, speech))
    routes = [(CHANNELS["sms"].build(sms, Means(now_ms, speech)), sms), (house.trunk, voice)]
    options = EngineOptions(owner="bench", retry_delays=(60_000,), rescan_ms=NEVER_MS)
    engine = Engine(store, routes, house.bus, options, Tools(now_ms, house.metrics))
    gc.set_threshold(20_000, 20, 50)
    await engine.start()
    while house.trunk.figures is None:
        await house.trunk.beaten.wait()
    if asked["calls"]:
        await house.call(asked["calls"])
    found = await house.drain(asked["messages"], asked["rtp_port"])
    found["dropped"] = dropped_calls(asked["rtp_port"])
    found["late_p99"] = max(one.late_p99 for one in house.trunk.beats)
    await engine.stop(5)
    await speech.close()
    await store.close()
    tell(asked["rtp_port"], STOP)
    return found


def main() -> None:
    """Measure, and say what came of it."""
    configure_logging("warning", "json")
    sys.setswitchinterval(SWITCH_SECONDS)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(measure(Path(sys.argv[1]), json.loads(sys.argv[2])))))


if __name__ == "__main__":
    main()
