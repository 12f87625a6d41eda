"""baresip as the telephone: it answers, records and presses keys; its recording is held against what was to be said."""

from __future__ import annotations

import asyncio
import difflib
import shutil
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soxr
import trustme
from baresip_kit import RATE, Phone, Samples, baresip, needs_baresip, plays
from voice_kit import NUMBER, FixedSpeech, Told, calling

from campana.channels.voice.speech.contract import Clip
from campana.channels.voice.speech.settings import SpeechSettings
from campana.channels.voice.speech.speech import Speech
from campana.domain.call import HungUpBy, VoiceSuccess
from campana.domain.outcome import DeliveryCode

pytestmark = [needs_baresip, pytest.mark.xdist_group("baresip")]
C = DeliveryCode
TEXT = "the water will be turned off on thursday morning from nine to eleven"
OTHER = "the bridge is closed until friday evening and nobody may cross it"


@asynccontextmanager
async def speaking(folder: Path, engine: str) -> AsyncIterator[Speech]:
    speech = Speech(SpeechSettings(engines=(engine,)), folder / "speech")
    await speech.start()
    try:
        yield speech
    finally:
        await speech.close()


def expanded(law: bytes, name: str) -> Samples:
    """G.711 as ITU-T's tables say, from -1 to 1."""
    code = np.frombuffer(law, np.uint8).astype(np.int32)
    code = code ^ 0x55 if name == "pcma" else ~code & 0xFF
    exponent, mantissa = code >> 4 & 7, code & 15
    if name == "pcma":
        size = np.where(exponent == 0, mantissa * 2 + 1, (mantissa * 2 + 33) << np.maximum(exponent - 1, 0)) << 3
        return np.where(code & 0x80, size, -size) / 32_768
    size = ((mantissa * 2 + 33) << exponent) - 33 << 2
    return np.where(code & 0x80, -size, size) / 32_768


def sound_of(clip: Clip, name: str) -> Samples:
    return expanded(getattr(clip, name).read_bytes(), name)


async def listen(folder: Path, clip: Clip, plan: dict, **route) -> tuple[Told, Phone]:
    """One call to a telephone that keeps all it hears."""
    async with (
        baresip(folder / "phone", NUMBER, f"audio_codecs={route.pop('only', 'pcma')}") as phone,
        calling(f"sip:127.0.0.1:{phone.port}", FixedSpeech(folder, clip=clip), **route) as caller,
    ):
        told = await caller.call(**plan)
        await phone.hang_up()
        return told, phone


@pytest.mark.parametrize("law", ["pcma", "pcmu"])
async def test_a_telephone_hears_each_play_as_it_was_spoken(law: str, tmp_path: Path) -> None:
    async with speaking(tmp_path, "espeak") as speech:
        clip = await speech.clip("No water.", "")
        silent = await speech.clip("Your table.", "")
    told, phone = await listen(tmp_path, clip, {"plays": 3}, only=law, pause=0.5)
    assert (told.code, told.report.plays, told.report.ended_by) == (C.OK, 3, HungUpBy.US)
    (recording,) = phone.recordings()
    found = plays(recording, sound_of(clip, law))
    assert len(found) == 3
    assert min(likeness for _, likeness in found) > 0.99
    for (before, _), (after, _) in pairwise(found):
        assert after - before == pytest.approx(clip.ms + 500, abs=45)
    assert not plays(recording, sound_of(silent, law)), "another text would be found as well"


async def test_a_telephone_that_hangs_up_has_heard_what_is_told(tmp_path: Path) -> None:
    async with speaking(tmp_path, "espeak") as speech:
        clip = await speech.clip(f"{TEXT}. {OTHER}.", "")
    async with (
        baresip(tmp_path / "phone", NUMBER, says=1_500) as phone,
        calling(f"sip:127.0.0.1:{phone.port}", FixedSpeech(tmp_path, clip=clip)) as caller,
    ):
        told = await caller.call()
        await phone.hang_up()
    assert (told.code, told.report.ended_by, told.report.plays) == (C.VOICE_CUT_SHORT, HungUpBy.CALLEE, 0)
    (recording,) = phone.recordings()
    law = phone.folder.joinpath("baresip.log").read_text(encoding="utf-8", errors="replace")
    name = "pcma" if "decoder: PCMA" in law else "pcmu"
    heard = sound_of(clip, name)[: told.report.heard_ms * RATE // 1_000 - RATE // 5]
    assert len(plays(recording, heard)) == 1
    assert len(recording) / RATE * 1_000 == pytest.approx(told.report.heard_ms, abs=120)


async def test_keys_that_a_telephone_presses_are_heard(tmp_path: Path) -> None:
    speech = FixedSpeech(tmp_path, 4_000)
    async with (
        baresip(tmp_path / "phone", NUMBER) as phone,
        calling(f"sip:127.0.0.1:{phone.port}", speech) as caller,
    ):
        asked = asyncio.ensure_future(caller.call(success=VoiceSuccess.ACKNOWLEDGED, acknowledge_keys="#"))
        await phone.established()
        await phone.press("42#")
        told = await asked
    assert (told.code, told.report.digits, told.report.acknowledged) == (C.OK, "42#", True)


async def test_a_telephone_over_tls_is_called(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    certificate = tmp_path / "phone.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(certificate)
    speech = FixedSpeech(tmp_path)
    async with (
        baresip(tmp_path / "phone", NUMBER, "audio_codecs=pcma", certificate=certificate) as phone,
        calling(f"sips:127.0.0.1:{phone.port + 1}", speech, tls_ca=tmp_path / "ca.pem") as caller,
    ):
        told = await caller.call()
        await phone.hang_up()
    assert (told.code, told.report.plays) == (C.OK, 1)
    (recording,) = phone.recordings()
    assert len(plays(recording, expanded(speech.pcma, "pcma"))) == 1


# --- a recogniser ----------------------------------------------------------------------------------------------------

needs_recogniser = pytest.mark.skipif(
    shutil.which("flite") is None or shutil.which("pocketsphinx_continuous") is None,
    reason="flite or pocketsphinx is not here (Debian: flite, pocketsphinx, pocketsphinx-en-us)",
)


async def recognised(recording: Samples, folder: Path) -> list[str]:
    """The words that pocketsphinx hears, of those of both texts, in any order and number.

    Its model is of wide-band speech: a little noise stands in for what a telephone takes away above 4 kHz.
    """
    words = " | ".join(sorted({*TEXT.split(), *OTHER.split()}))
    (folder / "words.jsgf").write_text(
        f"#JSGF V1.0;\ngrammar words;\npublic <text> = ( {words} )+;\n", encoding="ascii"
    )
    wide = soxr.resample(recording / np.abs(recording).max() * 0.7 * 32_767, RATE, 16_000)
    wide = np.concatenate([np.zeros(4_000), wide, np.zeros(4_000)])
    wide = np.clip(wide + np.random.default_rng(1).normal(0, 100, len(wide)), -32_767, 32_767)
    with wave.open(str(folder / "wide.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(wide.astype("<i2").tobytes())
    arguments = ["-infile", "wide.wav", "-jsgf", "words.jsgf", "-logfn", "nowhere.log"]
    process = await asyncio.create_subprocess_exec(
        "pocketsphinx_continuous",
        *arguments,
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    said, _ = await process.communicate()
    return said.decode().split()


def recall(text: str, said: list[str]) -> float:
    """The part of the text's words that were recognised, in their order."""
    words = text.split()
    blocks = difflib.SequenceMatcher(None, words, said, False).get_matching_blocks()
    return sum(block.size for block in blocks) / len(words)


@needs_recogniser
async def test_what_flite_says_is_understood_by_a_recogniser(tmp_path: Path) -> None:
    async with speaking(tmp_path, "flite") as speech:
        clips = [await speech.clip(text, "flite:rms") for text in (TEXT, OTHER)]
    calls = [listen(tmp_path / str(n), clip, {}) for n, clip in enumerate(clips)]
    phones = [phone for _, phone in await asyncio.gather(*calls)]
    words = await asyncio.gather(*(recognised(phone.recordings()[0], phone.folder) for phone in phones))
    assert recall(TEXT, words[0]) >= 0.75, words
    assert recall(OTHER, words[0]) <= 0.4, words
    assert recall(OTHER, words[1]) >= 0.75, words
