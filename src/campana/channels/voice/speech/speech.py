"""Owns how the rest of the channel gets a text spoken: voices, engines and cache put together.

Must not know any single engine but by its name, nor calls.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from campana.channels.voice.speech.audio import finished
from campana.channels.voice.speech.cache import ClipCache
from campana.channels.voice.speech.contract import (
    Clip,
    EngineFailed,
    Sound,
    SpeechEngine,
    SpeechRefused,
    SpeechUnavailable,
    Voice,
)
from campana.channels.voice.speech.espeak import Espeak
from campana.channels.voice.speech.flite import Flite
from campana.channels.voice.speech.piper import Piper
from campana.channels.voice.speech.settings import SpeechSettings
from campana.channels.voice.speech.texts import speakable
from campana.channels.voice.speech.voices import VoiceBook

log = structlog.get_logger(__name__)

_ENGINES: Final[dict[str, Callable[[SpeechSettings], SpeechEngine]]] = {
    "piper": Piper,
    "flite": Flite,
    "espeak": Espeak,
}
MOST_FAILURES: Final = 3
"""Bad ends of an engine over one text, after which the text is to blame."""
_REMEMBERED: Final = 10_000
"""Texts of which failures are known."""
_PROBE: Final = "1"
"""What every voice can speak."""
_FINISH_VERSION: Final = "1"
"""Changes when audio.py makes another sound of the same samples."""


class Speech:
    """Speaks texts. One a process; `start` before anything else, `close` at the end."""

    def __init__(self, settings: SpeechSettings, folder: Path) -> None:
        """`folder` is where clips are kept; it is created where it is missing."""
        self._settings = settings
        self._cache = ClipCache(folder, settings.cache_mb * 1_000_000)
        self._engines: dict[str, SpeechEngine] = {}
        self._absent: dict[str, str] = {}
        self._book = VoiceBook((), {}, "", _no_variant)
        self._voices: list[Voice] = []
        self._flights: dict[str, asyncio.Task[Clip]] = {}
        self._failures: dict[str, int] = {}
        self._slots = asyncio.Semaphore(settings.workers)
        self._disk = asyncio.Lock()
        self._closed = False

    @property
    def absent(self) -> dict[str, str]:
        """The engines that are not here, and why: a sentence each."""
        return dict(self._absent)

    async def start(self) -> None:
        """Find the engines and what was spoken before. An engine that is not here is left out.

        Raises OSError where the folder cannot be used.
        """
        await asyncio.to_thread(self._cache.open)
        for name in dict.fromkeys(self._settings.engines):
            engine = _ENGINES[name](self._settings)
            try:
                await engine.start()
            except SpeechUnavailable as error:
                self._absent[name] = str(error)
                log.info("speech.engine_absent", engine=name, reason=str(error))
                await engine.close()
                continue
            self._engines[name] = engine
            self._voices += await engine.voices()
        self._book = VoiceBook(self._voices, self._settings.aliases, self._settings.default, self._variant)

    async def close(self) -> None:
        """End the engines' processes. What waits raises SpeechUnavailable."""
        self._closed = True
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)
        await asyncio.gather(*(engine.close() for engine in self._engines.values()))

    async def voices(self) -> list[Voice]:
        """All voices of all engines, the better liked engines' first."""
        return list(self._voices)

    async def resolve(self, wanted: str) -> Voice:
        """The voice that a campaign's voice name stands for. Raises SpeechUnavailable where no engine is here."""
        return self._book.resolve(wanted)

    async def clip(self, text: str, wanted: str) -> Clip:
        """The text as finished sound in the voice that `wanted` stands for; from the cache where it was spoken before.

        Raises SpeechRefused where this text cannot be spoken, SpeechUnavailable where it may be later.
        """
        if len(text) > self._settings.longest_text:
            raise SpeechRefused(f"the text has more than {self._settings.longest_text} characters")
        plain = speakable(text)
        if not plain:
            raise SpeechRefused("nothing is to be heard of the text")
        voice = await self.resolve(wanted)
        key = await self._key(plain, voice)
        flight = self._flights.get(key)
        if flight is None:
            flight = self._begin(key, plain, voice)
        try:
            return await asyncio.shield(flight)
        except asyncio.CancelledError:
            if self._closed and flight.cancelled():
                raise SpeechUnavailable("speech is being closed") from None
            raise

    def _begin(self, key: str, text: str, voice: Voice) -> asyncio.Task[Clip]:
        """One flight a key: whoever wants the same text meanwhile waits for the same clip."""
        if self._closed:
            raise SpeechUnavailable("speech is being closed")
        if len(self._flights) >= self._settings.waiting + self._settings.workers:
            raise SpeechUnavailable(f"{self._settings.waiting} texts are waiting to be spoken")
        flight = asyncio.create_task(self._made(key, text, voice))
        self._flights[key] = flight
        flight.add_done_callback(lambda done: self._landed(key, done))
        return flight

    def _landed(self, key: str, flight: asyncio.Task[Clip]) -> None:
        del self._flights[key]
        if not flight.cancelled():
            # Taken, so that it is not reported as forgotten where all who waited have gone.
            flight.exception()

    async def _made(self, key: str, text: str, voice: Voice) -> Clip:
        async with self._disk:
            clip = await asyncio.to_thread(self._cache.get, key)
        if clip is not None:
            return clip
        async with self._slots:
            sound = await self._spoken(key, text, voice)
            done = await asyncio.to_thread(finished, sound, self._settings.longest_seconds)
        try:
            async with self._disk:
                return await asyncio.to_thread(self._cache.put, key, done)
        except OSError as error:
            log.error("speech.cache_failed", reason=error.strerror)
            raise SpeechUnavailable(f"the spoken text cannot be kept: {error.strerror}") from error

    async def _spoken(self, key: str, text: str, voice: Voice) -> Sound:
        """Have it spoken. A text that ends its engine again and again is refused: who waits behind it would wait for
        ever. An engine that fails at anything is another matter, and no text's fault."""
        engine = self._engines[voice.engine]
        try:
            return await engine.speak(text, voice)
        except EngineFailed as error:
            await engine.speak(_PROBE, voice)
            failures = self._failures.pop(key, 0) + 1
            self._failures[key] = failures
            if len(self._failures) > _REMEMBERED:
                del self._failures[next(iter(self._failures))]
            if failures >= MOST_FAILURES:
                raise SpeechRefused(f"its text has ended the engine {failures} times") from error
            raise

    async def _key(self, text: str, voice: Voice) -> str:
        version = await self._engines[voice.engine].version()
        parts = (voice.engine, version, voice.name, f"{self._settings.speed:.3f}", _FINISH_VERSION, text)
        return hashlib.sha256("\0".join(parts).encode("utf-8", "ignore")).hexdigest()

    def _variant(self, voice: Voice, name: str) -> Voice | None:
        engine = self._engines.get(voice.engine)
        return engine.variant(voice, name) if isinstance(engine, Espeak) else None


def _no_variant(_voice: Voice, _name: str) -> Voice | None:
    return None
