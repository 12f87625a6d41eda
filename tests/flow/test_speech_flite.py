"""flite, where Debian's program is installed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from speech_kit import speaking

from campana.channels.voice.speech.contract import SpeechRefused
from campana.channels.voice.speech.settings import SpeechSettings

pytestmark = pytest.mark.skipif(shutil.which("flite") is None, reason="the program flite is not installed")

FLITE = SpeechSettings(engines=("flite",))


async def test_its_voices_are_those_of_its_list(tmp_path: Path) -> None:
    async with speaking(FLITE, tmp_path) as speech:
        names = [voice.name for voice in await speech.voices()]
        assert names[0] == "slt"
        assert "awb_time" not in names
        for name in names:
            assert 500 < (await speech.clip("Hello, this is a test.", name)).ms < 6_000
        assert len({(await speech.clip("Hello, this is a test.", name)).pcma.read_bytes() for name in names}) == len(
            names
        )
        assert (await speech.resolve("nope")).name == "slt"


async def test_speed_is_that_of_the_settings(tmp_path: Path) -> None:
    async with speaking(FLITE, tmp_path) as speech:
        usual = await speech.clip("Hello, this is a test.", "slt")
    async with speaking(FLITE.model_copy(update={"speed": 2.0}), tmp_path) as speech:
        assert (await speech.clip("Hello, this is a test.", "slt")).ms < usual.ms * 0.7


@pytest.mark.parametrize("text", ["😀😀", "שלום", "!?", "..."])
async def test_what_it_keeps_silent_about_is_refused(tmp_path: Path, text: str) -> None:
    async with speaking(FLITE, tmp_path) as speech:
        with pytest.raises(SpeechRefused, match="nothing is to be heard"):
            await speech.clip(text, "kal")


async def test_one_endless_word_takes_no_time_that_grows_with_its_square(tmp_path: Path) -> None:
    async with speaking(FLITE.model_copy(update={"timeout": 30.0, "longest_seconds": 3_600.0}), tmp_path) as speech:
        assert (await speech.clip("x" * 4_000, "kal")).ms > 100_000


async def test_a_text_that_is_longer_than_the_file_may_be_is_refused(tmp_path: Path) -> None:
    async with speaking(FLITE.model_copy(update={"longest_seconds": 1.0}), tmp_path) as speech:
        with pytest.raises(SpeechRefused, match=r"too long|more than 1 seconds"):
            await speech.clip("hello world. " * 100, "kal")
        assert (await speech.clip("hi", "kal")).ms < 1_200
