"""Owns the life of a media process: what it is told, what it tells, and that it ends with the main process.

Must not know what happens in a call, nor anything of campaigns.
"""

from __future__ import annotations

import asyncio
import gc
import resource
import signal
import socket
from collections.abc import Coroutine
from typing import Any, Final

import structlog
from pydantic import ValidationError

from campana.channels.voice.media.studio import Studio
from campana.channels.voice.process.call import Equipment
from campana.channels.voice.process.exchange import Exchange
from campana.channels.voice.process.frames import (
    Check,
    Checked,
    Configure,
    Dial,
    Figures,
    Finish,
    Go,
    Settled,
    Settling,
    State,
    ToMain,
    ToMedia,
)
from campana.channels.voice.process.pipe import Pipe
from campana.channels.voice.settings import VoiceRouteSettings
from campana.channels.voice.sip.agent import Agent
from campana.channels.voice.sip.contract import TrunkState
from campana.channels.voice.sip.flow import Transports
from campana.channels.voice.sip.locating import Locator
from campana.channels.voice.sip.transport import open_transports

BEAT: Final = 1.0
"""Seconds between two Figures, by which the main process sees that this one lives."""
HANG: Final = 10
"""Seconds for which the event loop may stand still before the kernel ends the process: nobody else could, if the main
process were gone as well."""
FAREWELL: Final = 1.2
"""Seconds for which the other sides' answers to our goodbyes are waited for."""
UNREGISTERING: Final = 0.6

_SPARE_FILES: Final = 128

_log = structlog.get_logger(__name__)


class _House:
    """All that is made of the settings."""

    def __init__(self, settings: VoiceRouteSettings, process: MediaProcess) -> None:
        locator = Locator(settings)
        self.agent = Agent(settings, locator, process.tell_state)
        self.studio = Studio(
            settings.port_range, settings.local_address, settings.public_address, settings.symmetric_rtp
        )
        self.exchange = Exchange(Equipment(settings, self.agent, locator, self.studio, process.tell))
        self._settings = settings
        self._transports: Transports | None = None

    async def open(self) -> None:
        """Open what leads to the trunk. Raises OSError, and ValueError where a setting cannot be used."""
        self._transports = await open_transports(self._settings, self.agent)
        self.agent.use(self._transports)

    async def close(self) -> None:
        """Close all sockets."""
        self.studio.close()
        if self._transports is not None:
            await self._transports.close()


class MediaProcess:
    """One media process. `run` it once."""

    def __init__(self) -> None:
        self._pipe: Pipe[ToMedia] = Pipe(ToMedia, self._hear, self._main_is_gone)
        self._house: _House | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._grace = 0.0
        self._configured = asyncio.Event()
        self._ending = asyncio.Event()
        self._failed = False

    async def run(self, end: socket.socket) -> int:
        """Work until told to finish, or until the other end of the socket is gone; return the exit code."""
        loop = asyncio.get_running_loop()
        await loop.create_unix_connection(lambda: self._pipe, sock=end)
        self._spawn(self._beat())
        await self._ending.wait()
        if self._house is not None:
            await self._house.exchange.finish(self._grace, FAREWELL)
            try:
                async with asyncio.timeout(UNREGISTERING):
                    await self._house.agent.stop()
            except TimeoutError:
                _log.warning("voice.not_unregistered")
            await self._house.close()
        self._pipe.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        return 1 if self._failed else 0

    def tell(self, frame: ToMain) -> None:
        """Tell the main process."""
        self._pipe.send(frame)

    def tell_state(self, state: TrunkState, reason: str) -> None:
        """Tell the main process how the trunk is."""
        self._pipe.send(State(state.value, reason))

    # --- what it hears -------------------------------------------------------------------------------------------

    def _hear(self, frame: ToMedia) -> None:
        if isinstance(frame, Configure):
            self._spawn(self._configure(frame))
        elif isinstance(frame, Finish):
            self._grace = frame.grace_ms / 1_000
            self._ending.set()
        elif isinstance(frame, Check):
            self._spawn(self._check())
        elif self._house is None:
            if isinstance(frame, Dial):
                self.tell(Settled(frame.call, Settling.UNREACHABLE, None, "The route is being started."))
        elif isinstance(frame, Dial):
            self._house.exchange.dial(frame)
        else:
            self._house.exchange.answer(frame.call, isinstance(frame, Go))

    def _main_is_gone(self, why: str) -> None:
        # Also in the middle of a grace: nobody is left to hear how calls end.
        if not self._ending.is_set():
            _log.warning("voice.main_process_is_gone", reason=why)
        self._grace = 0.0
        if self._house is not None:
            self._house.exchange.hurry()
        self._ending.set()

    async def _configure(self, frame: Configure) -> None:
        try:
            settings = VoiceRouteSettings.model_validate(frame.settings)
            _allow_files(2 * settings.calls + _SPARE_FILES)
            house = _House(settings, self)
            await house.open()
        except (OSError, ValueError) as error:
            self._fail(_sentence(error))
            return
        self._house = house
        self._configured.set()
        if not frame.only_checks:
            await house.agent.start()
        # What is there now stays: the collector need not look at it again and again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 50, 100)

    async def _check(self) -> None:
        await self._configured.wait()
        if self._house is not None:
            self.tell(Checked(*await self._house.agent.check()))

    def _fail(self, reason: str) -> None:
        self.tell_state(TrunkState.DOWN, reason)
        self.tell(Checked(False, [], reason))
        self._failed = True
        self._ending.set()

    # --- that it lives -------------------------------------------------------------------------------------------

    async def _beat(self) -> None:
        while True:
            signal.alarm(HANG)
            self.tell(self._figures())
            await asyncio.sleep(BEAT)

    def _figures(self) -> Figures:
        house = self._house
        if house is None:
            return Figures(0, 0.0, 0.0, 0, 0)
        found = house.studio.figures()
        return Figures(house.exchange.count, found.late_p99, found.late_most, found.packets_sent, found.packets_heard)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:
            _log.exception("voice.media_process_defect")
            self._fail(f"A defect of the media process: {type(error).__name__}.")


def _sentence(error: OSError | ValueError) -> str:
    if isinstance(error, OSError):
        return f"The route's sockets cannot be opened: {error.strerror or error}."
    # The text of a ValidationError would quote the settings.
    what = f"{error.error_count()} of them" if isinstance(error, ValidationError) else str(error)
    return f"The route's settings cannot be used: {what}."


def _allow_files(wanted: int) -> None:
    """Raise the number of files that may be open to what the calls need, as far as we may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted and hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
