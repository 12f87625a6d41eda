"""Owns how the rest of the channel gets a text spoken: voices, engines and cache put together.

Must not know any single engine, nor calls.
"""

from __future__ import annotations

from pathlib import Path

from campana.channels.voice.speech.contract import Clip, SpeechUnavailable, Voice
from campana.channels.voice.speech.settings import SpeechSettings


class Speech:
    """Speaks texts. One a process; `start` before anything else, `close` at the end."""

    def __init__(self, settings: SpeechSettings, folder: Path) -> None:
        """`folder` is where clips are kept; it is created where it is missing."""
        self._settings = settings
        self._folder = folder

    async def start(self) -> None:
        """Find the engines and what was spoken before. An engine that is not here is left out."""

    async def close(self) -> None:
        """End the engines' processes. What waits raises SpeechUnavailable."""

    async def voices(self) -> list[Voice]:
        """All voices of all engines, the better liked engines' first."""
        return []

    async def resolve(self, wanted: str) -> Voice:
        """The voice that a campaign's voice name stands for. Raises SpeechUnavailable where no engine is here."""
        raise SpeechUnavailable(f"there is no engine for {wanted}")

    async def clip(self, text: str, wanted: str) -> Clip:
        """The text as finished sound in the voice that `wanted` stands for; from the cache where it was spoken before.

        Raises SpeechRefused where this text cannot be spoken, SpeechUnavailable where it may be later.
        """
        raise SpeechUnavailable(f"there is no engine for {wanted} ({len(text)} characters)")
