"""What is over is forgotten at once: the collector of circles looks at old objects once in thousands of calls."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from campana.channels.voice.media.studio import Studio
from campana.channels.voice.process.call import Call, Equipment
from campana.channels.voice.process.exchange import Exchange
from campana.channels.voice.process.frames import Caller, Dial, Ended, Ready, Script, ToMain
from campana.channels.voice.settings import VoiceRouteSettings
from campana.channels.voice.sip.agent import Agent
from campana.channels.voice.sip.conversation import Conversation
from campana.channels.voice.sip.leg import OutgoingLeg
from campana.channels.voice.sip.locating import Locator
from campana.channels.voice.sip.transaction import ClientTransaction
from campana.channels.voice.sip.transport import open_transports
from campana.sandbox.sip import SipSimulator
from tests.wire.sip_kit import QUICK

SOON = 15.0
OF_A_CALL = (Call, OutgoingLeg, Conversation, ClientTransaction)


class Switchboard:
    """The calls of a media process, in this one, and the main process's side of them."""

    def __init__(self, settings: VoiceRouteSettings, agent: Agent, clip: Path) -> None:
        self.agent = agent
        self.ends = 0
        self._clip = str(clip)
        self._studio = Studio(settings.port_range)
        self._loop = asyncio.get_running_loop()
        self._exchange = Exchange(Equipment(settings, agent, Locator(settings), self._studio, self._tell))
        self._changed = asyncio.Event()

    def _tell(self, frame: ToMain) -> None:
        if isinstance(frame, Ready):
            self._loop.call_soon(self._exchange.answer, frame.call, True)
        self.ends += isinstance(frame, Ended)
        self._changed.set()

    async def call(self, number: str, times: int) -> None:
        """Call, and wait until all is over, the last timer too."""
        wanted = self.ends + times
        script = Script({"PCMA": self._clip, "PCMU": self._clip}, 1, "", False)
        for n in range(wanted - times, wanted):
            self._exchange.dial(Dial(n, f"call-{n}", number, Caller("", "+14165550000"), 1_500, script))
        async with asyncio.timeout(SOON):
            while self.ends < wanted or self.agent.remembered:
                self._changed.clear()
                # The last timers tell nobody of their end: look again now and then.
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), 0.05)

    def close(self) -> None:
        self._studio.close()


@asynccontextmanager
async def switchboard(folder: Path) -> AsyncIterator[Switchboard]:
    clip = folder / "clip"
    clip.write_bytes(b"\xd5" * 800)
    async with SipSimulator(ring=0.02, hang_up_after=0.05, press_after=0.05) as trunk:
        settings = VoiceRouteSettings(name="trunk", url=f"sip:127.0.0.1:{trunk.port}", ping=0)
        agent = Agent(settings, Locator(settings), lambda state, reason: None, QUICK)
        transports = await open_transports(settings, agent)
        agent.use(transports)
        board = Switchboard(settings, agent, clip)
        try:
            yield board
        finally:
            board.close()
            await agent.stop(0.02)
            await transports.close()


@pytest.mark.parametrize("phone", ["23", "40", "42", "44", "48", "52", "54"])
async def test_nothing_of_a_call_that_is_over_waits_for_the_collector(phone: str, tmp_path: Path) -> None:
    """It listens, hangs up early, is busy, rings for ever, presses keys, has no common media, plays a tone first."""
    async with switchboard(tmp_path) as board:
        await board.call(f"+141655501{phone}", 1)
        gc.collect()
        gc.disable()
        try:
            await board.call(f"+141655501{phone}", 3)
            left = [type(one).__name__ for one in gc.get_objects() if isinstance(one, OF_A_CALL)]
        finally:
            gc.enable()
    assert left == []
