"""Owns that a route has a living media process: started, watched, ended when it hangs, started again.

Must not know calls: what it hears is handed on, and whoever has calls in a process that is gone is told so.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

import structlog

from campana.channels.voice.process.frames import Configure, Finish, ToMain, ToMedia
from campana.channels.voice.process.launching import MediaLink, launch
from campana.channels.voice.settings import VoiceRouteSettings

STARTS_WITHIN: Final = 30
"""Looks, a second apart, until the first sign of life; Python alone takes a while on a busy machine."""
SILENT_FOR: Final = 5
"""Looks, a second apart, without a sign of life, after which the process hangs. Looks, not seconds: where the main
process itself stood still, it reads what came meanwhile before it looks again."""
LOOK_SECONDS: Final = 1.0
GOODBYE: Final = 4.0
"""Seconds that a process has to hang up and exit once its pipe is closed."""
FAREWELL_SECONDS: Final = 2.5
"""Seconds of a stop's budget in which the calls that are left are hung up, spread over a moment, and told of."""
EXIT_SECONDS: Final = 0.5
"""For exiting once everything is told."""
FIRST_PAUSE: Final = 0.2
LONGEST_PAUSE: Final = 30.0
"""Seconds between an end and the next start; twice as long after each process that did not live `STEADY`."""
STEADY: Final = 30.0

_log = structlog.get_logger(__name__)


class Hearer(Protocol):
    """Who hears the media process. The calls never raise."""

    def heard(self, frame: ToMain) -> None:
        """It said something."""

    def started(self) -> None:
        """A new one is there; whether it can place calls is told by its State."""

    def gone(self, reason: str) -> None:
        """It is gone, and with it all that was in it."""


class Keeper:
    """Keeps one media process for a route. `start` it once, `stop` it once."""

    def __init__(self, settings: VoiceRouteSettings, hearer: Hearer) -> None:
        self._settings = settings
        self._hearer = hearer
        self._link: MediaLink | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopping = False

    @property
    def pid(self) -> int | None:
        """Process id of the media process; None while there is none."""
        return None if self._link is None else self._link.process.pid

    def start(self) -> None:
        """Start a process in the background, and again whenever it ends."""
        self._task = asyncio.create_task(self._run(), name=f"media process {self._settings.name}")

    def send(self, frame: ToMedia) -> None:
        """Tell the process; where there is none, `gone` has told so."""
        if self._link is not None:
            self._link.pipe.send(frame)

    async def stop(self, budget: float) -> None:
        """Let calls end by themselves as long as the budget allows, hang up the rest, and end the process."""
        self._stopping = True
        task, link = self._task, self._link
        if link is not None:
            link.pipe.send(Finish(max(0, round((budget - FAREWELL_SECONDS) * 1_000))))
            await asyncio.wait({link.lost}, timeout=max(0.0, budget - EXIT_SECONDS))
            if not link.lost.done():
                _log.error("voice.media_process_did_not_finish", route=self._settings.name)
                link.kill()
        if task is not None:
            await asyncio.wait({task}, timeout=EXIT_SECONDS if link is not None else 0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        pause = FIRST_PAUSE
        while not self._stopping:
            began = loop.time()
            reason = await self._live()
            if self._stopping:
                return
            pause = FIRST_PAUSE if loop.time() - began > STEADY else pause
            _log.warning("voice.media_process_gone", route=self._settings.name, reason=reason, restart_in=pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _live(self) -> str:
        """See one process from its start to its end; return why it ended."""
        try:
            link = await launch(self._hearer.heard)
        except OSError as error:
            reason = f"The media process cannot be started: {error.strerror}."
            self._hearer.gone(reason)
            return reason
        self._link = link
        try:
            link.pipe.send(Configure(self._settings.model_dump(mode="json")))
            self._hearer.started()
            why = await self._watch(link)
        finally:
            self._link = None
            # Calls of a process that is not heard any more may go on for a moment: nobody can tell how they end.
            self._hearer.gone("The media process is gone; another one is being started.")
            how = await self._end(link)
        return f"{why}; {how}"

    async def _watch(self, link: MediaLink) -> str:
        """Wait for the end, and kill what shows no sign of life."""
        silent, heard = 0, 0
        while not link.lost.done():
            await asyncio.wait({link.lost}, timeout=LOOK_SECONDS)
            silent = 0 if link.pipe.heard != heard else silent + 1
            heard = link.pipe.heard
            if silent >= (SILENT_FOR if heard else STARTS_WITHIN):
                link.kill()
                return "it did not answer"
        return link.lost.result()

    async def _end(self, link: MediaLink) -> str:
        # Shielded: a process must not outlive a keeper that is cancelled.
        ending = asyncio.ensure_future(link.end(GOODBYE))
        try:
            return await asyncio.shield(ending)
        except asyncio.CancelledError:
            link.kill()
            await ending
            raise
