"""Owns G.711: 16-bit samples to A-law and mu-law octets and back, as ITU-T G.711 has it.

Must not know packets, files or where samples come from.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from campana.channels.voice.media.laws import SILENCE, Law

__all__ = ["SILENCE", "Law", "decode", "encode"]

Samples = NDArray[np.int16]

_MU_BIAS: Final = 33
"""What is added to a magnitude of 14 bits, so that the segments of table 2a begin at powers of two."""
_MU_LARGEST: Final = 0x1FFF


def encode(samples: Samples, law: Law) -> bytes:
    """Octets of `law` for 16-bit linear samples of one channel, one octet a sample."""
    return _TO_OCTETS[law][np.ascontiguousarray(samples, dtype=np.int16).view(np.uint16)].tobytes()


def decode(octets: bytes | bytearray | memoryview, law: Law) -> Samples:
    """16-bit linear samples for octets of `law`, one sample an octet."""
    return _TO_SAMPLES[law][np.frombuffer(octets, dtype=np.uint8)]


def _expand_mu() -> Samples:
    """The decoder output values of table 2a and 2b, scaled from 14 to 16 bits."""
    octet = np.arange(256)
    turned = ~octet & 0xFF
    segment, step = turned >> 4 & 7, turned & 0x0F
    magnitude = ((2 * step + _MU_BIAS << segment) - _MU_BIAS) << 2
    return np.where(octet & 0x80, magnitude, -magnitude).astype(np.int16)


def _expand_a() -> Samples:
    """The decoder output values of table 1a and 1b, scaled from 13 to 16 bits."""
    octet = np.arange(256)
    turned = octet ^ 0x55
    segment, step = turned >> 4 & 7, turned & 0x0F
    first = 2 * step + 1
    magnitude = np.where(segment == 0, first, first + 32 << np.maximum(segment - 1, 0)) << 3
    return np.where(octet & 0x80, magnitude, -magnitude).astype(np.int16)


def _compress_mu() -> NDArray[np.uint8]:
    """The octet for each sample, by the decision values of table 2a and 2b; indexed by the sample as unsigned."""
    sample = np.arange(65_536).astype(np.uint16).view(np.int16).astype(np.int64)
    magnitude = np.minimum((np.where(sample < 0, ~sample, sample) >> 2) + _MU_BIAS, _MU_LARGEST)
    segment = np.floor(np.log2(magnitude)).astype(np.int64) - 5
    turned = segment << 4 | magnitude >> segment + 1 & 0x0F
    octets: NDArray[np.uint8] = (~turned & 0x7F | np.where(sample < 0, 0, 0x80)).astype(np.uint8)
    return octets


def _compress_a() -> NDArray[np.uint8]:
    """The octet for each sample, by the decision values of table 1a and 1b; indexed by the sample as unsigned."""
    sample = np.arange(65_536).astype(np.uint16).view(np.int16).astype(np.int64)
    magnitude = np.where(sample < 0, ~sample, sample) >> 4
    segment = np.maximum(np.floor(np.log2(np.maximum(magnitude, 1))).astype(np.int64) - 3, 0)
    step = magnitude >> np.maximum(segment - 1, 0) & 0x0F
    octets: NDArray[np.uint8] = ((segment << 4 | step | np.where(sample < 0, 0, 0x80)) ^ 0x55).astype(np.uint8)
    return octets


_TO_OCTETS: Final[dict[Law, NDArray[np.uint8]]] = {"PCMU": _compress_mu(), "PCMA": _compress_a()}
_TO_SAMPLES: Final[dict[Law, Samples]] = {"PCMU": _expand_mu(), "PCMA": _expand_a()}
