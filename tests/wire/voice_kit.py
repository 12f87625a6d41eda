"""Owns a voice route under judgement: a VoiceRoute with its media process, a clip of known bytes, and what it tells."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any, cast

from ear_kit import Ear, ear
from sipp_kit import SOON, Sipp, free_port, sipp

from campana.channels.contract import Accepted, Health, Result
from campana.channels.voice import VoiceRouteSettings
from campana.channels.voice.channel import VoiceRoute
from campana.channels.voice.speech.contract import Clip
from campana.channels.voice.speech.speech import Speech
from campana.domain.call import CallPlan, CallReport
from campana.domain.delivery import Medium
from campana.domain.message import Content, IncomingMessage
from campana.domain.outcome import DeliveryCode, Receipt, ReceiptState

CALLER = "+14165550000"
NUMBER = "+14165550123"


class FixedSpeech:
    """Says the same whatever the text: noise, so that it is found again wherever it is heard, and nowhere else."""

    def __init__(self, folder: Path, ms: int = 400, clip: Clip | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        dice = random.Random(ms)
        self.pcma, self.pcmu = (bytes(dice.randrange(256) for _ in range(8 * ms)) for _ in range(2))
        self._clip = clip or Clip(folder / "clip.pcmu", folder / "clip.pcma", ms)
        if clip is None:
            self._clip.pcmu.write_bytes(self.pcmu)
            self._clip.pcma.write_bytes(self.pcma)

    async def clip(self, text: str, wanted: str) -> Clip:
        """The clip."""
        return self._clip


@dataclass
class Told:
    """What became of one call, as the route told it."""

    result: Result
    receipt: Receipt | None = None

    @property
    def code(self) -> DeliveryCode:
        """The delivery code of the receipt, or of the refusal where the call was never accepted."""
        if isinstance(self.result, Accepted):
            return self.late.code
        return self.result.code

    @property
    def late(self) -> Receipt:
        """The receipt of an accepted call."""
        assert self.receipt is not None, self.result
        return self.receipt

    @property
    def delivered(self) -> bool:
        """Whether the receipt says that the message was delivered."""
        return self.late.state is ReceiptState.DELIVERED

    @property
    def report(self) -> CallReport:
        """The report of an accepted call."""
        assert self.late.call is not None
        return self.late.call


class Caller:
    """What the engine is to a route: it sends, and hears late news."""

    def __init__(self, route: VoiceRoute) -> None:
        self.route = route
        self.news: list[Receipt] = []
        self._changed = asyncio.Event()

    async def receipts(self, batch: Sequence[Receipt]) -> None:
        self.news += batch
        self._changed.set()

    async def message(self, message: IncomingMessage) -> None:
        raise AssertionError("a voice route has no incoming messages")

    def route_changed(self, name: str) -> None:
        self._changed.set()

    async def until(self, met) -> None:
        async with asyncio.timeout(SOON * 2):
            while not met():
                self._changed.clear()
                await self._changed.wait()

    async def call(self, number: str = NUMBER, *, caller: str = CALLER, **plan) -> Told:
        """Call, and wait for what becomes of it."""
        asked = CallPlan(**({"dial_ms": 8_000, "plays": 1} | plan))
        content = Content(Medium.VOICE, caller, "As it was agreed.", call=asked)
        parcel = self.route.composer(content)(1, 1, number, None)
        async with asyncio.timeout(SOON):
            (result,) = await self.route.send([parcel], lambda: True)
        if not isinstance(result, Accepted):
            return Told(result)
        (call_id,) = result.carrier_ids
        await self.until(lambda: any(call_id in receipt.carrier_ids for receipt in self.news))
        (receipt,) = [receipt for receipt in self.news if call_id in receipt.carrier_ids]
        return Told(result, receipt)


async def each(rows: Sequence[Sequence[Any]], check: Callable[..., Awaitable[None]], folder: Path) -> None:
    """Check all rows of a table side by side, since calls mostly wait; what fails says which row it was.

    `check` is given a folder of its own and the row's values.
    """

    async def one(number: int, row: Sequence[Any]) -> None:
        try:
            await check(folder / str(number), *row)
        except BaseException as error:
            error.add_note(f"row {number}: {row}")
            raise

    await asyncio.gather(*(one(number, row) for number, row in enumerate(rows)))


@contextlib.asynccontextmanager
async def calling(url: str, speech: FixedSpeech, **more) -> AsyncIterator[Caller]:
    """A voice route with a trunk at `url`, up: it asks nothing of the trunk and takes it for granted."""
    values = {"name": "trunk", "channel": "voice", "url": url, "ping": 0, "rate": 50, "pause": 0.1, "key_wait": 0.3}
    settings = VoiceRouteSettings(**(values | {"calls": 50} | more))
    route = VoiceRoute(settings, lambda: time.time_ns() // 1_000_000, cast(Speech, speech), token_hex(4))
    caller = Caller(route)
    await route.start(caller)
    try:
        await caller.until(lambda: route.state.health is Health.UP)
        yield caller
    finally:
        await route.stop(2.0)


@dataclass
class Line:
    """A route that many tests call over, one after the other: a media process takes its time to start."""

    port: int
    """Where its trunk is to be."""
    speech: FixedSpeech
    caller: Caller

    @contextlib.asynccontextmanager
    async def trunk(
        self, story: Sequence[str], folder: Path, keys: dict[str, int] | None = None, **more
    ) -> AsyncIterator[tuple[Sipp, Ear, Caller, FixedSpeech]]:
        """A SIPp with an ear as the trunk; with settings of its own (`own=True`: with none), a route of its own."""
        async with ear() as listener:
            heard = {"ear": listener.port} | (keys or {})
            if not more:
                async with sipp(story, folder, port=self.port, **heard) as judge:
                    yield judge, listener, self.caller, self.speech
                return
            more.pop("own", None)
            speech = FixedSpeech(folder)
            async with sipp(story, folder, **heard) as judge, calling(judge.url, speech, **more) as caller:
                yield judge, listener, caller, speech


@contextlib.asynccontextmanager
async def open_line(folder: Path) -> AsyncIterator[Line]:
    """A route whose trunk is at a UDP port that a SIPp takes for each call anew."""
    port, speech = free_port(), FixedSpeech(folder)
    with socket.socket() as keeper:
        keeper.bind(("127.0.0.1", port))  # over TCP, so that nobody else finds the port free between two calls
        async with calling(f"sip:127.0.0.1:{port}", speech) as caller:
            yield Line(port, speech, caller)
