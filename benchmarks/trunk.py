"""Owns calls through a real voice route: spoken text, media process and SIP, as a server has them, but for the engine.

Must not judge anything. Whoever uses it says how many calls there are, and how fast they are set up.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any, Final

from benchmarks.processes import cpu_of
from campana.channels.contract import Accepted, Health, Parcel
from campana.channels.voice.channel import VoiceRoute
from campana.channels.voice.process.frames import Figures, ToMain
from campana.channels.voice.settings import VoiceRouteSettings
from campana.channels.voice.speech.settings import SpeechSettings
from campana.channels.voice.speech.speech import Speech
from campana.domain.call import CallPlan
from campana.domain.delivery import Medium
from campana.domain.message import Content, IncomingMessage
from campana.domain.outcome import Receipt
from campana.wiring import now_ms

RATE: Final = 50.0
"""Calls set up a second, as many as a route may be set to."""
PORTS: Final = "20000-31999"
"""For sound: below those that the kernel gives to others."""
TEXT: Final = "Hello. This is to remind you of your appointment tomorrow at ten o'clock."
SHORT: Final = "Yes."
MANY: Final = 1_000
"""Plays: more than a benchmark lasts."""
PATIENCE: Final = 30.0
GOODBYE: Final = 4.0


def trunk_settings(sip_port: int, calls: int) -> dict[str, Any]:
    """A voice route to a far side on this machine, as its settings."""
    return {
        "name": "trunk",
        "channel": "voice",
        "url": f"sip:127.0.0.1:{sip_port}",
        "calls": calls,
        "rate": RATE,
        "rtp_ports": PORTS,
        "pause": 0.1,
    }


def tell(rtp_port: int, what: bytes) -> None:
    """Tell the far side that something begins or ends here."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.sendto(what, ("127.0.0.1", rtp_port))


def dropped_calls(rtp_port: int) -> int:
    """Sockets connected to the far side's sound for which the kernel had no room: what came back was never read."""
    # Their remote port, and packets that were dropped (proc_net(5), udp).
    lines = [line.split() for line in Path("/proc/net/udp").read_text().splitlines()[1:]]
    return sum(int(line[2].rpartition(":")[2], 16) == rtp_port and int(line[-1]) > 0 for line in lines)


class WatchedRoute(VoiceRoute):
    """A voice route that keeps what its media process says of its pace."""

    def __init__(self, settings: VoiceRouteSettings, speech: Speech) -> None:
        super().__init__(settings, now_ms, speech, token_hex(4))
        self.beats: list[Figures] = []
        self.beaten = asyncio.Event()

    def heard(self, frame: ToMain) -> None:
        """Called by the keeper of the media process."""
        super().heard(frame)
        if isinstance(frame, Figures):
            self.beats.append(frame)
            self.beaten.set()


class Trunk:
    """What an engine is to a voice route: it sends, and counts what comes late."""

    def __init__(self, settings: VoiceRouteSettings, speech: Speech) -> None:
        self.route = WatchedRoute(settings, speech)
        self.ended = 0
        self._changed = asyncio.Event()
        self._next = 0

    async def receipts(self, batch: Sequence[Receipt]) -> None:
        """Called by the route."""
        self.ended += len(batch)
        self._changed.set()

    async def message(self, message: IncomingMessage) -> None:
        """Called by the route."""
        raise RuntimeError("a telephone call is no message")

    def route_changed(self, name: str) -> None:
        """Called by the route."""
        self._changed.set()

    async def up(self) -> None:
        """Wait until the trunk has answered. Raises TimeoutError."""
        await self._until(lambda: self.route.state.health is Health.UP)

    async def all_ended(self, count: int) -> None:
        """Wait until so many calls have ended. Raises TimeoutError."""
        await self._until(lambda: self.ended >= count)

    async def _until(self, met: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not met():
                self._changed.clear()
                await self._changed.wait()

    def media_cpu(self) -> float:
        """Seconds of CPU of the media process."""
        pid = self.route.media_pid
        assert pid is not None
        return cpu_of(pid)

    def parcels(self, count: int, text: str, plays: int = 1) -> list[Parcel]:
        """Calls to so many numbers that were not called before."""
        content = Content(Medium.VOICE, "+14165550100", text, call=CallPlan(dial_ms=10_000, plays=plays))
        compose = self.route.composer(content)
        self._next += count
        numbers = range(self._next - count + 1, self._next + 1)
        return [compose(number, 1, f"+1416{number:07d}", None) for number in numbers]

    async def place(self, parcel: Parcel) -> tuple[str, int]:
        """Place a call; its Call-ID, and when that was asked for (epoch ns). Raises RuntimeError."""
        asked = time.time_ns()
        (result,) = await self.route.send([parcel], lambda: True)
        if not isinstance(result, Accepted):
            raise RuntimeError(f"a call was not placed: {result}")
        return result.carrier_ids[0], asked

    async def place_all(self, parcels: Sequence[Parcel], rate: float = RATE) -> dict[str, int]:
        """Place calls, so many a second; when each was asked for, by Call-ID."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        placing = []
        for place, parcel in enumerate(parcels):
            await asyncio.sleep(began + place / rate - loop.time())
            placing.append(asyncio.create_task(self.place(parcel)))
        return dict(await asyncio.gather(*placing))

    async def raise_calls(self, count: int) -> None:
        """Have so many calls up that speak until the route is stopped."""
        await self.place_all(self.parcels(count, TEXT, MANY))
        async with asyncio.timeout(PATIENCE):
            while self.route.figures is None or self.route.figures.calls < count:
                self.route.beaten.clear()
                await self.route.beaten.wait()


@asynccontextmanager
async def trunk_to(sip_port: int, calls: int, folder: Path) -> AsyncIterator[Trunk]:
    """A voice route that is up, with both texts spoken; stopped afterwards, with all its calls."""
    speech = Speech(SpeechSettings(), folder / "speech")
    await speech.start()
    try:
        for text in (TEXT, SHORT):
            await speech.clip(text, "")
        trunk = Trunk(VoiceRouteSettings(**trunk_settings(sip_port, calls)), speech)
        await trunk.route.start(trunk)
        try:
            await trunk.up()
            yield trunk
        finally:
            await trunk.route.stop(GOODBYE)
    finally:
        await speech.close()
