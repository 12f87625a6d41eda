"""Owns piper as an engine: a program that is run for each text, with voice files that the operator gives.

Must not fetch voices, nor import piper: the current one is under the GPL.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any, Final

import structlog

from campana.channels.voice.speech import programs
from campana.channels.voice.speech.contract import Sound, SpeechUnavailable, Voice
from campana.channels.voice.speech.settings import SpeechSettings

log = structlog.get_logger(__name__)

_LARGEST_DESCRIPTION: Final = 1_048_576


class Piper:
    """piper with the voices of a folder: `NAME.onnx`, described by `NAME.onnx.json`."""

    name = "piper"

    def __init__(self, settings: SpeechSettings) -> None:
        self._settings = settings
        self._program = settings.piper
        self._models: dict[str, tuple[Path, int]] = {}
        self._voices: list[Voice] = []
        self._version = ""

    async def start(self) -> None:
        """Look for the program and the voices. Raises SpeechUnavailable where either is not here."""
        if self._settings.piper_voices is None:
            raise SpeechUnavailable("speech.piper_voices is not set")
        found = shutil.which(self._settings.piper)
        if found is None:
            raise SpeechUnavailable("piper is not installed")
        self._program = found
        await asyncio.to_thread(self._look, self._settings.piper_voices)
        if not self._voices:
            raise SpeechUnavailable("there are no voices of piper in the folder speech.piper_voices")

    def _look(self, folder: Path) -> None:
        stamps = []
        for model in sorted(folder.glob("*.onnx")):
            described = _described(model)
            if described is None:
                log.warning("speech.voice_unusable", engine=self.name, file=model.name)
                continue
            language, rate = described
            self._models[model.stem] = (model, rate)
            self._voices.append(Voice(self.name, model.stem, language))
            stamps.append(f"{model.stat().st_size}.{model.stat().st_mtime_ns}")
        program = Path(self._program).stat()
        self._version = f"piper {program.st_size}.{program.st_mtime_ns} {' '.join(stamps)}"

    async def voices(self) -> list[Voice]:
        """Those of the folder."""
        return self._voices

    async def version(self) -> str:
        """What tells program and voice files from others: piper says no version of its own."""
        return self._version

    async def speak(self, text: str, voice: Voice) -> Sound:
        """Speak in a process. Raises SpeechUnavailable."""
        model, rate = self._models[voice.name]
        words = [self._program, "--model", str(model), "--output_raw"]
        if self._settings.speed != 1.0:
            words += ["--length_scale", f"{1 / self._settings.speed:.3f}"]
        most = int((self._settings.longest_seconds + 1) * rate * 2)
        samples = await programs.run(words, text.replace("\n", " ") + "\n", self._settings.timeout, most)
        return Sound(samples, rate)

    async def close(self) -> None:
        """Nothing stays: a process ends with its text."""


def _described(model: Path) -> tuple[str, int] | None:
    """Language (BCP 47) and sample rate of a voice file; None where its description is missing or wrong."""
    path = model.with_name(f"{model.name}.json")
    try:
        if path.stat().st_size > _LARGEST_DESCRIPTION:
            return None
        told: Any = json.loads(path.read_text(encoding="utf-8"))
        rate = int(told["audio"]["sample_rate"])
        language = str(told.get("language", {}).get("code") or model.stem.split("-")[0]).replace("_", "-")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return (language, rate) if 4_000 <= rate <= 192_000 else None
