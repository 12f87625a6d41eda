"""Speech under test, and a program that has piper's command line and is none: it makes a tone and notes its calls."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from campana.channels.voice.speech.settings import SpeechSettings
from campana.channels.voice.speech.speech import Speech

RATE = 16_000

_PROGRAM = """#!{python} -I
import json, math, os, struct, sys
words = sys.argv[1:]
text = sys.stdin.buffer.read().decode()
line = json.dumps([words, text]) + "\\n"
log = os.open({log!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
os.write(log, line.encode())
if "wait" in text:
    os.read(os.open({gate!r}, os.O_RDONLY), 1)
if "fail" in text:
    sys.exit(3)
if "hang" in text:
    os.close(1)
    os.read(os.open({gate!r}, os.O_RDONLY), 1)
seconds = 400 if "endless" in text else 0 if "mute" in text else 1
part = b"".join(struct.pack("<h", int(9000 * math.sin(number / 5))) for number in range({rate}))
try:
    for _ in range(seconds):
        sys.stdout.buffer.write(part)
except BrokenPipeError:
    os._exit(1)
"""


class Standin:
    """The program, the folder of its voices, and what it was asked. A text with `wait` waits for `open_gate`."""

    def __init__(self, folder: Path) -> None:
        self.voices = folder / "voices"
        self.voices.mkdir()
        self.program = folder / "piper"
        self._log = folder / "asked"
        self._gate = folder / "gate"
        os.mkfifo(self._gate)
        self._key = os.open(self._gate, os.O_RDWR)
        text = _PROGRAM.format(python=sys.executable, log=str(self._log), gate=str(self._gate), rate=RATE)
        self.program.write_text(text, encoding="utf-8")
        self.program.chmod(0o755)

    def add_voice(self, name: str, description: Any) -> None:
        (self.voices / f"{name}.onnx").write_bytes(b"model")
        text = description if isinstance(description, str) else json.dumps(description)
        (self.voices / f"{name}.onnx.json").write_text(text, encoding="utf-8")

    @property
    def asked(self) -> list[tuple[list[str], str]]:
        lines = self._log.read_text(encoding="utf-8").splitlines() if self._log.exists() else []
        return [(words, text) for words, text in map(json.loads, lines)]

    def open_gate(self, times: int = 1) -> None:
        """Let so many that wait, or will, go on."""
        os.write(self._key, b"g" * times)

    def close(self) -> None:
        os.close(self._key)

    def settings(self, **more: Any) -> SpeechSettings:
        return SpeechSettings(
            engines=more.pop("engines", ("piper",)), piper=str(self.program), piper_voices=self.voices, **more
        )


@asynccontextmanager
async def speaking(settings: SpeechSettings, folder: Path) -> AsyncIterator[Speech]:
    speech = Speech(settings, folder / "clips")
    await speech.start()
    try:
        yield speech
    finally:
        await speech.close()
