"""A voice route as the engine meets it, before the sandbox's telephone network, with noise for a voice."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

from campana.channels.contract import Accepted, Health, Parcel, Result
from campana.channels.voice.channel import VoiceRoute
from campana.channels.voice.settings import VoiceRouteSettings
from campana.channels.voice.speech.contract import Clip, Voice
from campana.channels.voice.speech.speech import Speech
from campana.domain.call import CallPlan
from campana.domain.delivery import Medium
from campana.domain.message import Content, IncomingMessage
from campana.domain.outcome import DeliveryCode, Receipt, ReceiptState
from campana.sandbox.sip import SipSimulator

SOON = 15.0
"""Seconds: a media process is a Python of its own, on a machine that may be busy."""
CALLER = "+14165550000"
LISTENER = "+14165550123"
PROCESS = "5afe0c42"
"""The mark of the process whose route it is."""


def now_ms() -> int:
    """The clock of the routes: epoch milliseconds."""
    return time.time_ns() // 1_000_000


def magic(digits: str) -> str:
    """A magic number of the sandbox."""
    return f"+141655501{digits}"


class Saying:
    """Speech that says noise of a given length whatever the text, so that it needs no engine."""

    def __init__(self, folder: Path, ms: int = 600) -> None:
        self.folder = folder
        self.ms = ms
        self.noise = b""
        """What was said last, of either law."""
        self.asked: list[tuple[str, str]] = []
        self.problems: list[Exception] = []
        """Raised in turn instead."""
        self.on_clip: Callable[[Clip], None] = lambda clip: None

    async def clip(self, text: str, wanted: str) -> Clip:
        self.asked.append((text, wanted))
        if self.problems:
            raise self.problems.pop(0)
        self.folder.mkdir(parents=True, exist_ok=True)
        clip = Clip(self.folder / f"{len(self.asked)}.pcmu", self.folder / f"{len(self.asked)}.pcma", self.ms)
        self.noise = noise = random.Random(text).randbytes(8 * self.ms)
        clip.pcmu.write_bytes(noise)
        clip.pcma.write_bytes(noise)
        self.on_clip(clip)
        return clip

    async def resolve(self, wanted: str) -> Voice:
        return Voice("espeak", "en-gb", "en-GB")


class Engine:
    """What the engine is to a route: it sends, and hears late news."""

    def __init__(self, url: str, saying: Saying, **more: Any) -> None:
        values = {"name": "trunk", "url": url, "ping": 0, "rate": 50.0, "pause": 0.1, "key_wait": 0.3, "calls": 20}
        self.saying = saying
        self.route = VoiceRoute(VoiceRouteSettings(**(values | more)), now_ms, cast(Speech, saying), PROCESS)
        self.news: list[Receipt] = []
        self._changed = asyncio.Event()

    async def receipts(self, batch: Sequence[Receipt]) -> None:
        self.news += batch
        self._changed.set()

    async def message(self, message: IncomingMessage) -> None:
        raise AssertionError("a voice route has no incoming messages")

    def route_changed(self, name: str) -> None:
        self._changed.set()

    async def until(self, met: Callable[[], bool]) -> None:
        async with asyncio.timeout(SOON):
            while not met():
                self._changed.clear()
                await self._changed.wait()

    async def up(self) -> None:
        await self.until(lambda: self.route.state.health is Health.UP)

    def parcels(self, *numbers: str, text: str = "As agreed.", **plan: Any) -> list[Parcel]:
        asked = CallPlan(**({"dial_ms": 8_000, "plays": 1, "calling_name": "Campana"} | plan))
        compose = self.route.composer(Content(Medium.VOICE, CALLER, text, call=asked))
        return [compose(n, 1, number, None) for n, number in enumerate(numbers, 1)]

    async def send(self, *numbers: str, permit: Callable[[], bool] = lambda: True, **plan: Any) -> list[Result]:
        async with asyncio.timeout(SOON):
            return await self.route.send(self.parcels(*numbers, **plan), permit)

    async def accepted(self, *numbers: str, **plan: Any) -> list[str]:
        """Call, and return the Call-IDs once the trunk has the calls."""
        results = await self.send(*numbers, **plan)
        return [result.carrier_ids[0] for result in results if isinstance(result, Accepted)]

    async def receipt(self, call_id: str) -> Receipt:
        """The only receipt of a call."""
        await self.until(lambda: any(call_id in receipt.carrier_ids for receipt in self.news))
        (found,) = [receipt for receipt in self.news if call_id in receipt.carrier_ids]
        return found

    async def call(self, number: str = LISTENER, **plan: Any) -> Receipt:
        """Call, and wait for what became of it."""
        (call_id,) = await self.accepted(number, **plan)
        return await self.receipt(call_id)

    def fates(self) -> list[tuple[ReceiptState, DeliveryCode]]:
        return [(receipt.state, receipt.code) for receipt in self.news]


@asynccontextmanager
async def routed(url: str, folder: Path, ms: int = 600, **more: Any) -> AsyncIterator[Engine]:
    """A route to a trunk, up."""
    engine = Engine(url, Saying(folder / "said", ms), **more)
    await engine.route.start(engine)
    try:
        await engine.up()
        yield engine
    finally:
        await engine.route.stop(3.0)


@asynccontextmanager
async def network(folder: Path, ms: int = 600, phones: dict | None = None, **more: Any) -> AsyncIterator[tuple]:
    """The sandbox's telephone network, and a route to it, up."""
    options = {"ring": 0.05, "hang_up_after": 0.2, "press_after": 0.1} | (phones or {})
    async with (
        SipSimulator(**options) as trunk,
        routed(f"sip:127.0.0.1:{trunk.port}", folder, ms, **more) as engine,
    ):
        yield trunk, engine
