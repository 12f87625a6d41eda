"""From an engine's samples to what a telephone hears."""

from __future__ import annotations

import io
import struct
import wave

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from campana.channels.voice.media import g711
from campana.channels.voice.media.laws import SILENCE
from campana.channels.voice.speech.audio import LEAD_MS, PEAK, finished, sound_of_wav
from campana.channels.voice.speech.contract import Sound, SpeechRefused, SpeechUnavailable


def tone(rate: int, seconds: float = 1.0, loudness: float = 8_000, hertz: float = 440) -> Sound:
    moments = np.arange(int(rate * seconds)) / rate
    return Sound((loudness * np.sin(2 * np.pi * hertz * moments)).astype("<i2").tobytes(), rate)


def faded(sound: Sound) -> Sound:
    samples = np.frombuffer(sound.samples, "<i2")
    return Sound((samples * np.hanning(samples.size)).astype("<i2").tobytes(), sound.rate)


def wav_of(sound: Sound, channels: int = 1) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(channels)
        writer.setsampwidth(2)
        writer.setframerate(sound.rate)
        writer.writeframes(sound.samples)
    return file.getvalue()


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100, 48_000])
def test_sound_comes_out_at_8000_samples_with_the_same_pitch(rate: int) -> None:
    done = finished(tone(rate), 300)
    assert done.ms == pytest.approx(LEAD_MS + 1_000, abs=2)
    samples = g711.decode(done.pcma, "PCMA")[LEAD_MS * 8 :].astype(float)
    spectrum = np.abs(np.fft.rfft(samples))
    assert np.argmax(spectrum) * 8_000 / samples.size == pytest.approx(440, abs=2)


@pytest.mark.parametrize("loudness", [500, 8_000, 32_767])
@pytest.mark.parametrize("law", ["PCMU", "PCMA"])
def test_every_voice_is_as_loud_in_both_laws(loudness: float, law: g711.Law) -> None:
    done = finished(tone(22_050, loudness=loudness), 300)
    octets = done.pcmu if law == "PCMU" else done.pcma
    assert np.abs(g711.decode(octets, law).astype(int)).max() == pytest.approx(PEAK, rel=0.05)


def test_both_laws_begin_with_the_same_silence_and_are_as_long() -> None:
    done = finished(tone(22_050), 300)
    assert len(done.pcmu) == len(done.pcma)
    assert done.pcmu[: LEAD_MS * 8] == SILENCE["PCMU"] * LEAD_MS * 8
    assert done.pcma[: LEAD_MS * 8] == SILENCE["PCMA"] * LEAD_MS * 8
    assert set(done.pcma[LEAD_MS * 8 :]) != set(SILENCE["PCMA"])


def test_what_a_telephone_cannot_carry_does_not_fold_back() -> None:
    both = np.frombuffer(tone(22_050, hertz=440).samples, "<i2") // 2
    high = np.frombuffer(tone(22_050, hertz=7_000).samples, "<i2") // 2
    done = finished(Sound((both + high).astype("<i2").tobytes(), 22_050), 300)
    samples = g711.decode(done.pcma, "PCMA")[LEAD_MS * 8 :].astype(float)
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(samples.size)))
    assert spectrum[1_000] < spectrum.max() / 100


@pytest.mark.parametrize(
    "sound",
    [
        Sound(b"", 22_050),
        Sound(b"\0", 22_050),
        Sound(b"\0\0" * 5_000, 22_050),
        tone(16_000, loudness=103),
        Sound(
            (np.frombuffer(tone(22_050, hertz=9_000).samples, "<i2") * np.hanning(22_050)).astype("<i2").tobytes(),
            22_050,
        ),
    ],
    ids=["nothing", "half a sample", "silence", "a pause of flite", "beyond a telephone"],
)
def test_what_cannot_be_heard_is_refused(sound: Sound) -> None:
    with pytest.raises(SpeechRefused, match="nothing is to be heard"):
        finished(sound, 300)


def test_what_takes_too_long_is_refused() -> None:
    assert finished(tone(8_000, 2.0), 2).ms == LEAD_MS + 2_000
    with pytest.raises(SpeechRefused, match="more than 2 seconds"):
        finished(tone(8_000, 2.1), 2)


@pytest.mark.parametrize("length", [0, 0x7FFFF000, 0xFFFFFFFF])
def test_a_wav_with_a_false_length_is_read_to_its_end(length: int) -> None:
    sound = tone(22_050)
    wav = bytearray(wav_of(sound))
    wav[40:44] = struct.pack("<I", length)
    assert sound_of_wav(bytes(wav)) == sound


def test_a_wav_may_have_other_parts_and_channels() -> None:
    sound = tone(16_000)
    wav = wav_of(sound)
    listed = wav[:36] + b"LIST" + struct.pack("<I", 3) + b"abc\0" + wav[36:] + b"more" + struct.pack("<I", 2) + b"xx"
    assert sound_of_wav(listed) == sound
    twice = np.repeat(np.frombuffer(sound.samples, "<i2"), 2).tobytes()
    assert sound_of_wav(wav_of(Sound(twice, 16_000), channels=2)) == sound


@pytest.mark.parametrize("cut", [0, 3, 11, 12, 20, 36, 43])
def test_a_cut_off_wav_is_the_engine_s_fault(cut: int) -> None:
    with pytest.raises(SpeechUnavailable):
        sound_of_wav(wav_of(tone(8_000))[:cut])


@given(st.binary(max_size=200))
def test_whatever_an_engine_answers_is_a_sound_or_its_fault(data: bytes) -> None:
    for wav in (data, b"RIFF\0\0\0\0WAVE" + data, wav_of(tone(8_000, 0.01))[:36] + data):
        try:
            sound = sound_of_wav(wav)
        except SpeechUnavailable:
            continue
        assert len(sound.samples) % 2 == 0
