"""Owns what the sandbox's telephones say: a voicemail's greeting and beep, and a ringing tone, made of sines.

Must not know calls or packets. No speech: what Campana says is what is to be heard.
"""

from __future__ import annotations

import functools
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from campana.channels.voice.media.g711 import encode
from campana.channels.voice.media.laws import SAMPLE_RATE, Law

_LOUD: Final = 9_000
_BEEP_HERTZ, _BEEP_SECONDS = 1_000, 0.4
_RINGING_HERTZ, _RINGING_SECONDS = 425, 1.0
_HUM_HERTZ: Final = (140, 280, 420, 700)
"""A voice's fundamental and some of its harmonics."""
_SYLLABLES: Final = 4
"""A second."""

Samples = NDArray[np.floating[Any]]


@functools.lru_cache(maxsize=16)
def greeting(seconds: float, law: Law) -> bytes:
    """Somebody humming the way a greeting sounds through a wall, then the beep; octets of `law`."""
    at = _instants(seconds)
    voice = sum((np.sin(2 * np.pi * hertz * at) for hertz in _HUM_HERTZ), np.zeros_like(at)) / len(_HUM_HERTZ)
    syllables = np.abs(np.sin(np.pi * _SYLLABLES * at))
    return _encoded(np.concatenate((voice * syllables, _sine(_BEEP_HERTZ, _BEEP_SECONDS))), law)


@functools.lru_cache(maxsize=2)
def ringing(law: Law) -> bytes:
    """One second of ringing tone as in most of Europe; octets of `law`."""
    return _encoded(_sine(_RINGING_HERTZ, _RINGING_SECONDS), law)


def _instants(seconds: float) -> Samples:
    return np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE


def _sine(hertz: float, seconds: float) -> Samples:
    wave: Samples = np.sin(2 * np.pi * hertz * _instants(seconds))
    return wave


def _encoded(samples: Samples, law: Law) -> bytes:
    return encode((samples * _LOUD).astype(np.int16), law)
