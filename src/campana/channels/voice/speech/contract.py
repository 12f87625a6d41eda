"""Owns what every speech engine promises, and what the rest of the channel gets from speech.

Must not know any engine.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice that an engine has in fact."""

    engine: str
    name: str
    """As the engine calls it; unique with the engine."""
    language: str
    """BCP 47, as in `en-US` or `de`."""
    gender: str = ""
    """`female`, `male`, or blank where the engine does not say."""


@dataclass(frozen=True, slots=True)
class Sound:
    """Speech as an engine makes it: 16-bit signed little-endian samples, one channel."""

    samples: bytes
    rate: int
    """Samples a second."""


@dataclass(frozen=True, slots=True)
class Clip:
    """A finished text: files of G.711 at 8,000 octets a second without any header, one a law, of the same length."""

    pcmu: Path
    pcma: Path
    ms: int


class SpeechRefused(Exception):
    """This text cannot be spoken, now or later: nothing is to be heard of it, or it is too long."""


class SpeechUnavailable(Exception):
    """No engine can speak just now; later it may."""


class EngineFailed(SpeechUnavailable):
    """An engine came to a bad end over this very text, or took too long: the text may be at fault, or the engine."""


class SpeechEngine(Protocol):
    """A program that speaks. Its work is done in child processes, never in this one."""

    name: str

    async def start(self) -> None:
        """Find the program and ask it for its voices. Raises SpeechUnavailable where it is not here."""

    async def voices(self) -> list[Voice]:
        """The voices that it can speak with, its best ones first."""

    async def version(self) -> str:
        """Name and version of the program: what it said with another one is spoken again."""

    async def speak(self, text: str, voice: Voice) -> Sound:
        """Speak a text of at most the configured length. Raises SpeechRefused, SpeechUnavailable or EngineFailed."""

    async def close(self) -> None:
        """End its processes."""
