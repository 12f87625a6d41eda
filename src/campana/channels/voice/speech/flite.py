"""Owns flite as an engine: a program that is run for each text, and what its voices are.

Must not offer a voice that the program does not list: it would answer 0 and speak with another one.
"""

from __future__ import annotations

import re
import shutil
from typing import Final

from campana.channels.voice.speech import programs
from campana.channels.voice.speech.audio import sound_of_wav
from campana.channels.voice.speech.contract import Sound, SpeechUnavailable, Voice
from campana.channels.voice.speech.settings import SpeechSettings

_KNOWN: Final = {
    "slt": ("en-US", "female"),
    "rms": ("en-US", "male"),
    "awb": ("en-GB-scotland", "male"),
    "kal16": ("en-US", "male"),
    "kal": ("en-US", "male"),
}
"""Language and gender of the voices that flite brings along, the clearest ones first. awb_time tells the time alone."""
_LONG_WORD: Final = re.compile(r"(\S{40})(?=\S)")
_LONG_SENTENCE: Final = re.compile(r"([^.!?]{400}[^\s.!?]*)\s")
"""Both are cut here: the time that flite takes for one grows with the square of its length."""
_FASTEST_RATE: Final = 48_000
_ASK_SECONDS: Final = 20.0
_LONGEST_ANSWER: Final = 65_536
_TOLD: Final = (0, 1)
"""What flite ends with when it has told of itself."""


class Flite:
    """flite, as Debian has it."""

    name = "flite"

    def __init__(self, settings: SpeechSettings) -> None:
        self._settings = settings
        self._program = settings.flite
        self._voices: list[Voice] = []
        self._version = ""

    async def start(self) -> None:
        """Ask the program for its voices and version. Raises SpeechUnavailable where it is not here."""
        found = shutil.which(self._settings.flite)
        if found is None:
            raise SpeechUnavailable("flite is not installed")
        self._program = found
        listed = await programs.run([found, "-lv"], "", _ASK_SECONDS, _LONGEST_ANSWER, _TOLD)
        names = listed.decode("ascii", "replace").partition(":")[2].split()
        self._voices = [Voice(self.name, name, *_KNOWN[name]) for name in _KNOWN if name in names]
        if not self._voices:
            raise SpeechUnavailable("flite lists no voices that are known")
        told = await programs.run([found, "--version"], "", _ASK_SECONDS, _LONGEST_ANSWER, _TOLD)
        version = re.search(r"flite-[\w.-]+", told.decode("ascii", "replace"))
        self._version = version[0] if version else "flite"

    async def voices(self) -> list[Voice]:
        """Those of its list."""
        return self._voices

    async def version(self) -> str:
        """As the program says."""
        return self._version

    async def speak(self, text: str, voice: Voice) -> Sound:
        """Speak in a process. Raises SpeechUnavailable."""
        stretch = f"duration_stretch={1 / self._settings.speed:.3f}"
        words = [self._program, "-voice", voice.name, "--setf", stretch, "-f", "/dev/stdin", "-o", "FILE"]
        most = int((self._settings.longest_seconds + 1) * _FASTEST_RATE * 2)
        short = _LONG_SENTENCE.sub("\\1\n\n", _LONG_WORD.sub(r"\1 ", text))
        return sound_of_wav(await programs.run_into_file(words, short, self._settings.timeout, most))

    async def close(self) -> None:
        """Nothing stays: a process ends with its text."""
