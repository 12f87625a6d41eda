"""Owns what happens on an answered line: plays, pauses, pressed keys, and when it is time to hang up.

Must not know SIP, nor what the campaign makes of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from campana.channels.voice.media.laws import OCTETS_PER_MS
from campana.channels.voice.media.stream import Stream
from campana.channels.voice.process.frames import Script
from campana.channels.voice.settings import VoiceRouteSettings
from campana.domain.call import KEYS

MOST_DIGITS: Final = 64
SAME_PRESS: Final = 0.2
"""Seconds within which a key told by RTP and by INFO is one press: some gateways tell it both ways."""
TAIL: Final = 0.25
"""Seconds of silence before hanging up: what was sent last still waits in the other side's jitter buffer."""


@dataclass(slots=True)
class Heard:
    """What a person on the line has lived, as far as it is known."""

    ms: int = 0
    plays: int = 0
    digits: str = ""
    acknowledged: bool = False


class Recital:
    """Plays a clip as the script says. `done` is called once, when there is nothing more to do on the line."""

    def __init__(
        self, stream: Stream, clip: bytes, script: Script, settings: VoiceRouteSettings, done: Callable[[], None]
    ) -> None:
        self.heard = Heard()
        self._stream = stream
        self._clip = clip
        self._script = script
        self._settings = settings
        self._done = done
        self._loop = asyncio.get_running_loop()
        self._answered = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._begun = 0
        self._playing = False
        self._over = False
        self._told_once: dict[str, tuple[str, float]] = {}
        """For each key whose last press was told one way so far: which, and when."""

    def begin(self) -> None:
        """The line was answered just now, and the stream is connected."""
        self._answered = self._loop.time()
        self._play()

    def key(self, key: str, way: str) -> None:
        """A key was pressed, told by `way` (rtp or info). One that acknowledges ends the play."""
        if self._over or key not in KEYS or self._is_same_press(key, way):
            return
        if len(self.heard.digits) < MOST_DIGITS:
            self.heard.digits += key
        if key in self._script.keys and not self.heard.acknowledged:
            self.heard.acknowledged = True
            self._stop_playing()
            self._after(TAIL, self._finish)

    def end(self) -> Heard:
        """The line is gone, or is being given up: nothing more is played or heard. Returns what was."""
        self._over = True
        self._stop_playing()
        if self._timer is not None:
            self._timer.cancel()
        return self.heard

    # --- plays ---------------------------------------------------------------------------------------------------

    def _play(self) -> None:
        self._begun += 1
        self._playing = True
        self._stream.play(self._clip, self._played)

    def _played(self) -> None:
        """The last packet of a play has left."""
        self._playing = False
        if self._over:
            return
        if not self._stream.nobody_listens:
            self.heard.plays += 1
            self.heard.ms += len(self._clip) // OCTETS_PER_MS
        if self._begun < self._script.plays and self._would_end_in_time():
            self._after(self._settings.pause, self._play)
        elif self._script.waits_for_key:
            self._after(max(TAIL, self._settings.key_wait), self._finish)
        else:
            self._after(TAIL, self._finish)

    def _would_end_in_time(self) -> bool:
        seconds = self._settings.pause + len(self._clip) / OCTETS_PER_MS / 1_000
        return self._loop.time() - self._answered + seconds <= self._settings.longest_call

    def _stop_playing(self) -> None:
        if self._playing:
            self._playing = False
            self.heard.ms += self._stream.stop_playing() // OCTETS_PER_MS

    def _finish(self) -> None:
        if not self._over:
            self._done()

    def _after(self, seconds: float, then: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, then)

    def _is_same_press(self, key: str, way: str) -> bool:
        now = self._loop.time()
        told, at = self._told_once.pop(key, (way, now))
        if told != way and now - at < SAME_PRESS:
            return True
        self._told_once[key] = (way, now)
        return False
