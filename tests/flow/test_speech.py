"""Speech as a whole: real espeak-ng in its child, and a program at piper's place that counts what it is asked."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import uvloop
from speech_kit import Standin, speaking

from campana.channels.voice.media import g711
from campana.channels.voice.speech.contract import Clip, EngineFailed, SpeechRefused, SpeechUnavailable, Voice
from campana.channels.voice.speech.espeak import Espeak
from campana.channels.voice.speech.settings import SpeechSettings
from campana.channels.voice.speech.speech import MOST_FAILURES

ESPEAK = SpeechSettings(engines=("espeak",))
LONG = "The meeting was moved to Thursday. " * 300


@pytest.fixture
def standin(tmp_path: Path) -> Iterator[Standin]:
    program = Standin(tmp_path)
    program.add_voice("en_GB-one-medium", {"audio": {"sample_rate": 16_000}, "language": {"code": "en_GB"}})
    yield program
    program.close()


def samples(clip: Clip) -> np.ndarray:
    return g711.decode(clip.pcma.read_bytes(), "PCMA").astype(float)


def is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


# --- espeak-ng -------------------------------------------------------------------------------------------------------


async def test_a_text_becomes_a_clip_in_both_laws(tmp_path: Path) -> None:
    async with speaking(ESPEAK, tmp_path) as speech:
        clip = await speech.clip("Hello. Please press one to confirm.", "en-us")
        assert 1_000 < clip.ms < 6_000
        assert clip.pcmu.stat().st_size == clip.pcma.stat().st_size == clip.ms * 8 + clip.pcma.stat().st_size % 8
        sound = samples(clip)
        assert np.abs(sound[: 150 * 8]).max() < 10
        assert np.abs(sound).max() == pytest.approx(0.7 * 32_767, rel=0.05)


async def test_the_library_tells_its_voices(tmp_path: Path) -> None:
    async with speaking(ESPEAK, tmp_path) as speech:
        voices = await speech.voices()
        assert len({voice.name for voice in voices}) == len(voices) > 100
        assert Voice("espeak", "en-us", "en-US", "male") in voices
        assert {"de", "es", "fr-FR", "pt-BR", "cmn"} <= {voice.language for voice in voices}
        assert not [voice for voice in voices if "+" in voice.name or voice.name.startswith("mb")]
        assert (await speech.resolve("en-us+f3")).name == "en-us+f3"
        assert (await speech.resolve("en-us+nope")).name == "en-us"
        assert (await speech.resolve("-nope")).name == "en-us"


async def test_every_listed_voice_speaks(tmp_path: Path) -> None:
    async with speaking(ESPEAK, tmp_path) as speech:
        sounds = {}
        for voice in await speech.voices():
            clip = await speech.clip("test 1 2 3", f"espeak:{voice.name}")
            assert clip.ms > 300, voice
            sounds[voice.name] = clip.pcma.read_bytes()
        assert sounds["en-gb"] != sounds["en-us"] != sounds["en-029"]
        assert len(set(sounds.values())) > 100


async def test_voices_speeds_and_variants_are_different_sounds(tmp_path: Path) -> None:
    text = "A text that is the same for all of them."
    async with speaking(ESPEAK, tmp_path) as speech:
        sounds = [(await speech.clip(text, name)).pcma.read_bytes() for name in ("en-us", "en-us+f3", "de")]
        usual = await speech.clip(text, "en-us")
    assert len(set(sounds)) == 3
    async with speaking(SpeechSettings(engines=("espeak",), speed=2.0), tmp_path) as speech:
        assert (await speech.clip(text, "en-us")).ms < usual.ms * 0.75


@pytest.mark.parametrize("place", ["idle", "speaking"])
async def test_a_killed_child_costs_no_text(tmp_path: Path, place: str) -> None:
    engine = Espeak(SpeechSettings(workers=1))
    await engine.start()
    (pid,) = engine.pids
    voice = Voice("espeak", "en-us", "en-US")
    try:
        os.kill(pid, signal.SIGSTOP if place == "speaking" else signal.SIGKILL)
        spoken = asyncio.create_task(engine.speak(LONG, voice))
        if place == "speaking":
            await asyncio.sleep(0)
            os.kill(pid, signal.SIGKILL)
        assert len((await spoken).samples) > 1_000_000
        assert engine.pids != [pid]
        assert len(engine.pids) == 1
        assert (await engine.speak("Hello", voice)).samples
    finally:
        await engine.close()


async def test_a_child_that_does_not_answer_is_ended_and_another_one_speaks(tmp_path: Path) -> None:
    engine = Espeak(SpeechSettings(workers=1, timeout=1))
    await engine.start()
    (pid,) = engine.pids
    try:
        os.kill(pid, signal.SIGSTOP)
        assert (await engine.speak("Hello", Voice("espeak", "en-us", "en-US"))).samples
        assert not is_there(pid)
    finally:
        await engine.close()


async def test_a_text_that_costs_two_children_is_put_off_and_the_next_one_is_spoken(tmp_path: Path) -> None:
    engine = Espeak(SpeechSettings(workers=1))
    await engine.start()
    voice = Voice("espeak", "en-us", "en-US")

    async def kill_all() -> None:
        while True:
            for pid in engine.pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            await asyncio.sleep(0)

    killer = asyncio.create_task(kill_all())
    try:
        with pytest.raises(SpeechUnavailable, match="died twice"):
            await engine.speak(LONG, voice)
        killer.cancel()
        assert (await engine.speak("Hello", voice)).samples
    finally:
        killer.cancel()
        await engine.close()


async def test_who_gives_up_waiting_leaves_no_answer_to_the_next(tmp_path: Path) -> None:
    engine = Espeak(SpeechSettings(workers=1))
    await engine.start()
    voice = Voice("espeak", "en-us", "en-US")
    try:
        short = await engine.speak("Hello", voice)
        impatient = asyncio.create_task(engine.speak(LONG, voice))
        await asyncio.sleep(0)
        impatient.cancel()
        with pytest.raises(asyncio.CancelledError):
            await impatient
        assert len((await engine.speak("Hello", voice)).samples) == len(short.samples)
    finally:
        await engine.close()


async def test_no_child_outlives_speech(tmp_path: Path) -> None:
    engine = Espeak(SpeechSettings(workers=2))
    await engine.start()
    voice = Voice("espeak", "en-us", "en-US")
    await asyncio.gather(*(engine.speak("Hello", voice) for _ in range(6)))
    pids = engine.pids
    assert len(pids) == 2
    assert {os.getpriority(os.PRIO_PROCESS, pid) for pid in pids} == {os.getpriority(os.PRIO_PROCESS, 0) + 5}
    await engine.close()
    assert not [pid for pid in pids if is_there(pid)]


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("x" * 20_000, (100_000, 300_150)),
        ("[[h@'loU]] world", (500, 5_000)),
        ("<speak><break time='60s'/>hi</speak>", (500, 20_000)),
        ("שלום עולם", (300, 10_000)),
        ("\u202ereversed\u202c", (300, 3_000)),
        ("a\0b\x1b[2J\x07", (200, 3_000)),
        ("😀" * 50, (300, 200_000)),
        ("%s%n%x", (200, 5_000)),
    ],
    ids=["20,000 letters", "phonemes", "SSML", "Hebrew", "directions", "controls", "emoji", "formats"],
)
async def test_hostile_texts_are_spoken(tmp_path: Path, text: str, ms: tuple[int, int]) -> None:
    async with speaking(ESPEAK, tmp_path) as speech:
        assert ms[0] <= (await speech.clip(text, "en-us")).ms <= ms[1]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "nothing is to be heard"),
        (" \0\n\t\x07 ", "nothing is to be heard"),
        ("x" * 20_001, "more than 20000 characters"),
        ("9" * 20_000, "more than 300 seconds"),
    ],
    ids=["empty", "blank", "20,001 letters", "long numbers"],
)
async def test_texts_that_cannot_be_heard_are_refused(tmp_path: Path, text: str, why: str) -> None:
    async with speaking(ESPEAK, tmp_path) as speech:
        with pytest.raises(SpeechRefused, match=why):
            await speech.clip(text, "en-us")
        assert (await speech.clip("still here", "en-us")).ms > 300


async def test_phonemes_in_brackets_are_read_as_text(tmp_path: Path) -> None:
    async with speaking(ESPEAK, tmp_path) as speech:
        bracketed = await speech.clip("[[b'ata]]", "en-us")
        parted = await speech.clip("[ [b'ata] ]", "en-us")
        assert bracketed == parted


# --- the cache and who waits for it ----------------------------------------------------------------------------------


async def test_the_same_text_is_spoken_once(tmp_path: Path, standin: Standin) -> None:
    async with speaking(standin.settings(), tmp_path) as speech:
        asked = [asyncio.create_task(speech.clip("wait for it", "one")) for _ in range(50)]
        standin.open_gate()
        clips = await asyncio.gather(*asked)
        assert len(set(clips)) == 1
        assert await speech.clip("wait  for it ", "en-GB") == clips[0]
        assert len(standin.asked) == 1
    async with speaking(standin.settings(), tmp_path) as speech:
        assert await speech.clip("wait for it", "one") == clips[0]
    assert len(standin.asked) == 1


async def test_one_of_many_who_wait_may_go(tmp_path: Path, standin: Standin) -> None:
    async with speaking(standin.settings(), tmp_path) as speech:
        first = asyncio.create_task(speech.clip("wait for it", ""))
        second = asyncio.create_task(speech.clip("wait for it", ""))
        await asyncio.sleep(0)
        first.cancel()
        standin.open_gate()
        assert (await second).ms == 1_150
        assert first.cancelled()
    assert len(standin.asked) == 1


async def test_another_voice_file_or_speed_is_spoken_again(tmp_path: Path, standin: Standin) -> None:
    async with speaking(standin.settings(), tmp_path) as speech:
        await speech.clip("hello", "")
    async with speaking(standin.settings(speed=1.25), tmp_path) as speech:
        await speech.clip("hello", "")
    (standin.voices / "en_GB-one-medium.onnx").write_bytes(b"another model")
    async with speaking(standin.settings(), tmp_path) as speech:
        await speech.clip("hello", "")
    assert len(standin.asked) == 3
    assert [words[-2:] for words, _ in standin.asked if "--length_scale" in words] == [["--length_scale", "0.800"]]


async def test_a_clip_that_was_harmed_is_spoken_again(tmp_path: Path, standin: Standin) -> None:
    async with speaking(standin.settings(), tmp_path) as speech:
        clip = await speech.clip("hello", "")
        whole = clip.pcma.read_bytes()
        clip.pcma.write_bytes(whole[:100])
        assert (await speech.clip("hello", "")).pcma.read_bytes() == whole
    assert len(standin.asked) == 2


async def test_no_more_texts_wait_than_configured(tmp_path: Path, standin: Standin) -> None:
    async with speaking(standin.settings(workers=1, waiting=2), tmp_path) as speech:
        asked = [asyncio.create_task(speech.clip(f"wait, number {number}", "")) for number in range(3)]
        await asyncio.sleep(0.0)
        with pytest.raises(SpeechUnavailable, match="2 texts are waiting"):
            await speech.clip("one more", "")
        standin.open_gate(3)
        assert {clip.ms for clip in await asyncio.gather(*asked)} == {1_150}
        assert (await speech.clip("one more", "")).ms == 1_150


async def test_closing_ends_what_is_spoken(tmp_path: Path, standin: Standin) -> None:
    async with speaking(standin.settings(), tmp_path) as speech:
        asked = asyncio.create_task(speech.clip("wait", ""))
        await asyncio.sleep(0)
        await speech.close()
        with pytest.raises(SpeechUnavailable, match="closed"):
            await asked
        with pytest.raises(SpeechUnavailable, match="closed"):
            await speech.clip("hello", "")


async def test_a_disk_that_takes_nothing_puts_texts_off(tmp_path: Path, standin: Standin) -> None:
    async with speaking(standin.settings(), tmp_path) as speech:
        clips = tmp_path / "clips"
        clips.rmdir()
        clips.write_text("in the way")
        with pytest.raises(SpeechUnavailable, match="cannot be kept"):
            await speech.clip("hello", "")
        clips.unlink()
        assert (await speech.clip("hello", "")).ms == 1_150


# --- piper's command line --------------------------------------------------------------------------------------------


async def test_piper_is_asked_as_its_command_line_wants_it(tmp_path: Path, standin: Standin) -> None:
    async with speaking(standin.settings(), tmp_path) as speech:
        clip = await speech.clip("Two\nlines, [[one]] utterance; --output_file x", "en_GB-one-medium")
        assert clip.ms == 1_150
        assert await speech.voices() == [Voice("piper", "en_GB-one-medium", "en-GB")]
    ((words, text),) = standin.asked
    assert words == ["--model", str(standin.voices / "en_GB-one-medium.onnx"), "--output_raw"]
    assert text == "Two lines, [ [one] ] utterance; --output_file x\n"


@pytest.mark.parametrize(
    ("text", "error", "why"),
    [
        ("fail", SpeechUnavailable, "ended with 3"),
        ("hang", SpeechUnavailable, "more than 1 seconds"),
        ("mute", SpeechRefused, "nothing is to be heard"),
        ("endless", SpeechRefused, "more than 300 seconds"),
    ],
)
async def test_a_program_may_fail_and_the_next_text_is_spoken(
    tmp_path: Path, standin: Standin, text: str, error: type[Exception], why: str
) -> None:
    timeout = 1 if text == "hang" else 60
    async with speaking(standin.settings(timeout=timeout), tmp_path) as speech:
        with pytest.raises(error, match=why):
            await speech.clip(text, "")
    async with speaking(standin.settings(), tmp_path) as speech:
        assert (await speech.clip("hello", "")).ms == 1_150


async def test_voice_files_without_a_usable_description_are_left_out(tmp_path: Path, standin: Standin) -> None:
    for name, description in {"a": "{", "b": {"audio": {}}, "c": [], "d": {"audio": {"sample_rate": 1}}}.items():
        standin.add_voice(name, description)
    (standin.voices / "e.onnx").write_bytes(b"alone")
    async with speaking(standin.settings(), tmp_path) as speech:
        assert [voice.name for voice in await speech.voices()] == ["en_GB-one-medium"]


async def test_engines_that_are_not_here_are_left_out_and_say_why(tmp_path: Path) -> None:
    settings = SpeechSettings(flite="/nowhere/flite", piper_voices=tmp_path)
    async with speaking(settings.model_copy(update={"piper": "/nowhere/piper"}), tmp_path) as speech:
        assert speech.absent == {"piper": "piper is not installed", "flite": "flite is not installed"}
        assert {voice.engine for voice in await speech.voices()} == {"espeak"}
    async with speaking(SpeechSettings(engines=("piper",)), tmp_path) as speech:
        assert speech.absent == {"piper": "speech.piper_voices is not set"}
        with pytest.raises(SpeechUnavailable, match="no engine"):
            await speech.clip("hello", "")


# --- event loops -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_engines_speak_in_every_event_loop(
    tmp_path: Path, standin: Standin, loop: Callable[[], AbstractEventLoop]
) -> None:
    async def both() -> list[int]:
        async with speaking(standin.settings(engines=("piper", "espeak")), tmp_path) as speech:
            return [(await speech.clip("Hello " * 1_000, name)).ms for name in ("en_GB-one-medium", "de")]

    with asyncio.Runner(loop_factory=loop) as runner:
        spoken = runner.run(both())
    assert spoken[0] == 1_150
    assert spoken[1] > 100_000


async def test_a_text_that_ends_its_engine_again_and_again_is_refused(tmp_path: Path, standin: Standin) -> None:
    async with speaking(standin.settings(), tmp_path) as speech:
        for _ in range(MOST_FAILURES - 1):
            with pytest.raises(EngineFailed):
                await speech.clip("these words fail", "")
        with pytest.raises(SpeechRefused, match="ended the engine 3 times"):
            await speech.clip("these words fail", "")
        assert (await speech.clip("others do not", "")).ms > 0


async def test_no_text_is_blamed_for_an_engine_that_fails_at_everything(tmp_path: Path, standin: Standin) -> None:
    async with speaking(standin.settings(), tmp_path) as speech:
        whole = standin.program.read_text(encoding="utf-8")
        standin.program.write_text("#!/bin/sh\nexit 3\n", encoding="utf-8")
        for _ in range(MOST_FAILURES + 1):
            with pytest.raises(SpeechUnavailable):
                await speech.clip("hello", "")
        standin.program.write_text(whole, encoding="utf-8")
        assert (await speech.clip("hello", "")).ms > 0
