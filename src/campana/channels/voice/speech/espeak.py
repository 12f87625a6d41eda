"""Owns espeak-ng as an engine: child processes that stay, each speaking one text at a time, and their misfortunes.

Must not load the library itself: it is under the GPL, and a text that kills it must not kill more than a child.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from pathlib import Path
from typing import Any, Final

import structlog

from campana.channels.voice.speech.contract import EngineFailed, Sound, SpeechRefused, SpeechUnavailable, Voice
from campana.channels.voice.speech.settings import SpeechSettings

log = structlog.get_logger(__name__)

CHILD: Final = Path(__file__).with_name("espeak_child.py")
_START_SECONDS: Final = 20.0
_BACK_OFF: Final = (0.0, 0.0, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Seconds to wait before a child is started, by how many died since one answered."""
_SAMPLE_RATE: Final = 22_050


class _Child:
    """One process."""

    def __init__(self, process: Process) -> None:
        self._process = process

    @classmethod
    async def start(cls) -> _Child:
        words = (sys.executable, "-I", str(CHILD))
        return cls(await asyncio.create_subprocess_exec(*words, stdin=PIPE, stdout=PIPE, stderr=DEVNULL))

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ask(self, request: dict[str, Any], seconds: float) -> tuple[bytes, bytes]:
        """Kind and body of the answer. Raises OSError, EOFError or TimeoutError: then the child is of no more use."""
        pipe_in, pipe_out = self._process.stdin, self._process.stdout
        if pipe_in is None or pipe_out is None:
            raise EOFError
        frame = json.dumps(request).encode()
        async with asyncio.timeout(seconds):
            pipe_in.write(len(frame).to_bytes(4, "big") + frame)
            await pipe_in.drain()
            length = int.from_bytes(await pipe_out.readexactly(4), "big")
            answer = await pipe_out.readexactly(length)
        return answer[:1], answer[1:]

    async def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()


class Espeak:
    """espeak-ng from the package espeakng-loader."""

    name = "espeak"

    def __init__(self, settings: SpeechSettings) -> None:
        self._settings = settings
        self._idle: list[_Child] = []
        self._all: set[_Child] = set()
        self._slots = asyncio.Semaphore(settings.workers)
        self._files: dict[str, str] = {}
        self._voices: list[Voice] = []
        self._genders: dict[str, str] = {}
        self._version = ""
        self._failures = 0
        self._failed_at = 0.0

    async def start(self) -> None:
        """Start the first child and ask for its voices. Raises SpeechUnavailable."""
        kind, body = await self._asked({"voices": True}, _START_SECONDS)
        if kind != b"V":
            await self.close()
            raise SpeechUnavailable(json.loads(body))
        told = json.loads(body)
        self._version = f"espeak-ng {told['version']}"
        listed = _listed(told["voices"])
        self._files = {voice.name: file for file, voice in listed.items()}
        self._voices = list(listed.values())
        self._genders = {one["file"].removeprefix("!v/"): one["gender"] for one in told["variants"]}

    async def voices(self) -> list[Voice]:
        """Its voices by language; variants (`en-us+f3`) are not listed."""
        return self._voices

    def variant(self, voice: Voice, wanted: str) -> Voice | None:
        """The voice with a variant, as in `f3`; None where there is no such variant."""
        found = next((name for name in self._genders if name.casefold() == wanted.casefold()), None)
        if found is None or "+" in voice.name:
            return None
        return Voice(self.name, f"{voice.name}+{found}", voice.language, self._genders[found])

    async def version(self) -> str:
        """As the library says."""
        return self._version

    async def speak(self, text: str, voice: Voice) -> Sound:
        """Speak in a child; once again in a fresh one where that died. Raises SpeechRefused or SpeechUnavailable."""
        octets = int((self._settings.longest_seconds + 1) * _SAMPLE_RATE * 2)
        base, plus, variant = voice.name.partition("+")
        file = self._files[base] + plus + variant
        request = {"voice": file, "text": text, "speed": self._settings.speed, "octets": octets}
        kind, body = await self._asked(request, self._settings.timeout)
        if kind == b"S":
            return Sound(body[4:], int.from_bytes(body[:4], "big"))
        raise SpeechRefused(json.loads(body))

    async def close(self) -> None:
        """End all children."""
        children, self._all, self._idle = list(self._all), set(), []
        await asyncio.gather(*(child.end() for child in children))

    @property
    def pids(self) -> list[int]:
        """The children's process ids."""
        return sorted(child.pid for child in self._all)

    async def _asked(self, request: dict[str, Any], seconds: float) -> tuple[bytes, bytes]:
        async with self._slots:
            for _ in range(2):
                child = await self._child()
                try:
                    answer = await child.ask(request, seconds)
                except (OSError, EOFError, TimeoutError) as error:
                    await self._lost(child, error)
                except BaseException:
                    # Whoever asked is gone; the child would answer that question to the next one.
                    await self._discard(child)
                    raise
                else:
                    self._failures = 0
                    self._idle.append(child)
                    return answer
            raise EngineFailed("espeak-ng died twice over a text, or took too long")

    async def _child(self) -> _Child:
        if self._idle:
            return self._idle.pop()
        wait = _BACK_OFF[min(self._failures, len(_BACK_OFF) - 1)] - (time.monotonic() - self._failed_at)
        if wait > 0:
            await asyncio.sleep(wait)
        try:
            child = await _Child.start()
        except OSError as error:
            self._failures, self._failed_at = self._failures + 1, time.monotonic()
            raise SpeechUnavailable(f"espeak-ng cannot be started: {error.strerror}") from error
        self._all.add(child)
        return child

    async def _lost(self, child: _Child, error: Exception) -> None:
        self._failures, self._failed_at = self._failures + 1, time.monotonic()
        log.warning("speech.child_lost", engine=self.name, pid=child.pid, reason=type(error).__name__)
        await self._discard(child)

    async def _discard(self, child: _Child) -> None:
        self._all.discard(child)
        await child.end()


def _listed(told: list[dict[str, Any]]) -> dict[str, Voice]:
    """Voices by their files, under the name that people know from `espeak-ng -v`: the language, or where that is taken
    the file's own."""
    found: dict[str, Voice] = {}
    taken: set[str] = set()
    for one in told:
        language = one["languages"][0]
        name = language if language not in taken else one["file"].rpartition("/")[2]
        if name not in taken:
            taken.add(name)
            found[one["file"]] = Voice("espeak", name, _bcp47(language), one["gender"])
    return found


def _bcp47(language: str) -> str:
    """A language as BCP 47 writes it, where espeak-ng writes it small: `en-us` is `en-US`."""
    parts = language.split("-")
    later = [
        part.upper() if len(part) == 2 else part.title() if len(part) == 4 and part.isalpha() else part
        for part in parts[1:]
    ]
    return "-".join([parts[0], *later])
