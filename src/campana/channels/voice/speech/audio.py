"""Owns how an engine's sound becomes what a telephone hears: 8,000 samples a second, even loudness, both laws.

Must not know engines or files. It computes for long: call it in a thread.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

import numpy as np
import soxr  # type: ignore[import-untyped]  # - it ships no types
from numpy.typing import NDArray

from campana.channels.voice.media import g711
from campana.channels.voice.media.laws import OCTETS_PER_MS, SAMPLE_RATE, SILENCE
from campana.channels.voice.speech.contract import Sound, SpeechRefused, SpeechUnavailable

PEAK: Final = 0.7 * 32_767
"""Loudness of the loudest sample: as loud as leaves room for what networks do to it."""
LEAD_MS: Final = 150
"""Silence before the first word: the way of the sound opens late on some telephones."""
_INAUDIBLE: Final = 400
"""Samples that never exceed this, 38 dB below full scale, are no speech: flite makes some 100 of a pause."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A text's sound in both laws, one octet a sample, of the same length."""

    pcmu: bytes
    pcma: bytes

    @property
    def ms(self) -> int:
        """How long it is to be heard, silence included."""
        return len(self.pcmu) // OCTETS_PER_MS


def finished(sound: Sound, longest_seconds: float) -> Finished:
    """Resample, level and encode. Raises SpeechRefused where nothing is to be heard of it, or for too long."""
    samples = np.frombuffer(sound.samples[: len(sound.samples) & ~1], dtype="<i2")
    if samples.size > longest_seconds * sound.rate:
        raise SpeechRefused(f"the text takes more than {longest_seconds:.0f} seconds to hear")
    if not samples.size or np.abs(samples.astype(np.int32)).max() <= _INAUDIBLE:
        raise SpeechRefused("nothing is to be heard of the text")
    narrow = _at_8000(samples, sound.rate)
    peak = np.abs(narrow).max()
    if peak <= _INAUDIBLE:
        raise SpeechRefused("nothing is to be heard of the text")
    levelled = np.rint(narrow * (PEAK / peak)).astype(np.int16)
    lead = LEAD_MS * OCTETS_PER_MS
    return Finished(
        SILENCE["PCMU"] * lead + g711.encode(levelled, "PCMU"), SILENCE["PCMA"] * lead + g711.encode(levelled, "PCMA")
    )


def _at_8000(samples: NDArray[np.int16], rate: int) -> NDArray[np.float32]:
    narrow = samples.astype(np.float32)
    if rate != SAMPLE_RATE:
        narrow = soxr.resample(narrow, rate, SAMPLE_RATE, quality="HQ")
    return narrow


def sound_of_wav(wav: bytes) -> Sound:
    """The sound of a RIFF WAVE file of 16-bit samples, with however false a length of what it has: read to the end.

    Several channels become the first one. Raises SpeechUnavailable where it is no such file.
    """
    if len(wav) < 12 or wav[:4] != b"RIFF" or wav[8:12] != b"WAVE":
        raise SpeechUnavailable("the engine answered something that is no WAV")
    place, form = 12, None
    while place + 8 <= len(wav):
        name, length = wav[place : place + 4], int.from_bytes(wav[place + 4 : place + 8], "little")
        body = place + 8
        if name == b"fmt " and body + 16 <= len(wav):
            form = struct.unpack_from("<HHIIHH", wav, body)
        if name == b"data":
            return _pcm(form, wav[body:] if length in {0, 0x7FFFF000, 0xFFFFFFFF} else wav[body : body + length])
        place = body + length + (length & 1)
    raise SpeechUnavailable("the engine answered a WAV without any sound")


def _pcm(form: tuple[int, ...] | None, data: bytes) -> Sound:
    if form is None or form[0] not in {1, 0xFFFE} or form[5] != 16 or form[1] < 1 or not 4_000 <= form[2] <= 192_000:
        raise SpeechUnavailable("the engine answered a WAV that is not of 16-bit samples")
    frame = 2 * form[1]
    whole = data[: len(data) // frame * frame]
    if form[1] > 1:
        whole = np.frombuffer(whole, dtype="<i2").reshape(-1, form[1])[:, 0].tobytes()
    return Sound(whole, form[2])
