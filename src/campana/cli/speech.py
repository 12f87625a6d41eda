"""Owns `campana voices` and `campana say`.

Must not know any engine, nor how a voice is found.
"""

from __future__ import annotations

import asyncio
import tempfile
import wave
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Final, TypeVar

import typer

from campana.channels.voice.media import g711
from campana.channels.voice.media.laws import SAMPLE_RATE
from campana.channels.voice.speech.contract import SpeechRefused, SpeechUnavailable, Voice
from campana.channels.voice.speech.speech import Speech
from campana.cli.asking import settings_of
from campana.cli.output import AsJson, CommandError, say_json, say_table
from campana.cli.output import say as say_sentence
from campana.config import Settings
from campana.telemetry import configure_logging

T = TypeVar("T")

_STDIN: Final = "-"


def voices(
    context: typer.Context,
    wanted: Annotated[
        str | None, typer.Option("--for", metavar="NAME", help="Only the voice that speaks for this voice name.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the voices that are here, the better liked engines' first, or the one that speaks for a name."""
    settings = settings_of(context)

    async def ask(speech: Speech) -> tuple[list[Voice], dict[str, str]]:
        found = await speech.voices() if wanted is None else [await speech.resolve(wanted)]
        return found, speech.absent

    found, absent = _with_speech(settings, ask)
    if as_json:
        say_json([_json(voice) for voice in found])
        return
    rows = [(voice.name, voice.language, voice.gender, voice.engine) for voice in found]
    say_table(("voice", "language", "gender", "engine"), rows)
    if wanted is None:
        for engine, reason in absent.items():
            say_sentence(f"{engine}: {reason}.")


def say(
    context: typer.Context,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to say; - reads it from standard input.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="The WAV file to write.")],
    voice: Annotated[
        str | None,
        typer.Option("--voice", metavar="NAME", help="A voice name as campaigns have it; none is the default."),
    ] = None,
) -> None:
    """Speak a text as a call would, and write what the telephone would hear as a WAV file."""
    settings = settings_of(context)
    name = voice or ""
    given = typer.get_text_stream("stdin").read(settings.speech.longest_text + 1) if text == _STDIN else text

    async def ask(speech: Speech) -> tuple[Voice, bytes]:
        clip = await speech.clip(given, name)
        return await speech.resolve(name), clip.pcma.read_bytes()

    try:
        spoken_by, octets = _with_speech(settings, ask)
    except SpeechRefused as error:
        raise CommandError(f"the text cannot be spoken: {error}") from None
    _write(output, octets)
    seconds = len(octets) / SAMPLE_RATE
    say_sentence(
        f"{output}: {seconds:.1f} seconds in the voice {spoken_by.name} ({spoken_by.language}) of {spoken_by.engine}."
    )


def _with_speech(settings: Settings, ask: Callable[[Speech], Awaitable[T]]) -> T:
    """Start speech beside a server that may be running: with a cache of its own, that goes with the command."""
    configure_logging("warning", "console")

    async def run(folder: Path) -> T:
        speech = Speech(settings.speech, folder)
        try:
            await speech.start()
            return await ask(speech)
        finally:
            await speech.close()

    with tempfile.TemporaryDirectory(prefix="campana-") as folder:
        try:
            return asyncio.run(run(Path(folder)))
        except SpeechUnavailable as error:
            raise CommandError(f"nothing can be spoken: {error}") from None


def _write(path: Path, octets: bytes) -> None:
    with path.open("wb") as file, wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(SAMPLE_RATE)
        sound.writeframes(g711.decode(octets, "PCMA").astype("<i2").tobytes())


def _json(voice: Voice) -> dict[str, str]:
    return {"name": voice.name, "language": voice.language, "gender": voice.gender, "engine": voice.engine}
