"""Owns how a text is cut into short messages, and so how many of them carriers count and charge.

Must not know the headers that tie the parts together (only the room they take), or how parts are carried.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from campana.domain.text.gsm0338 import ESCAPE, encode_gsm

Encoding = Literal["gsm", "ucs2"]

PARTS_MAX = 255
"""The concatenation header counts parts in one octet (3GPP TS 23.040, section 9.2.3.24.1)."""

_SINGLE = {"gsm": 160, "ucs2": 70}
_JOINED: dict[int, dict[Encoding, int]] = {
    8: {"gsm": 153, "ucs2": 67},  # 140 octets less a header of 6
    16: {"gsm": 152, "ucs2": 66},  # 140 octets less a header of 7; UCS-2 units stay whole
}
_LENGTH_MAX = PARTS_MAX * 153
"""No text of more characters fits, whatever they are: each takes a septet at least."""

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_HIGH_SURROGATE_TOP = range(0xD8, 0xDC)


@dataclass(frozen=True, slots=True)
class Segmentation:
    """A text as short messages."""

    encoding: Encoding
    units: int
    """Septets, or UTF-16 code units, of the whole text; an extension character or a surrogate pair counts two."""
    parts: list[bytes]
    """User data without header, in order: GSM with one septet a byte, UCS-2 as big-endian UTF-16. Never empty."""


def plan_segments(text: str, *, reference_bits: Literal[8, 16] = 8) -> Segmentation:
    """Cut a text into the fewest short messages: GSM 7-bit where its alphabet suffices, UCS-2 otherwise.

    One message holds 160 septets or 70 units; each of several holds 153 or 67 (152 or 66 with a 16-bit reference).
    No escape sequence and no surrogate pair is cut in two; a lone surrogate becomes U+FFFD. Raises ValueError where
    more than 255 parts would be needed.
    """
    if len(text) > _LENGTH_MAX:
        raise ValueError(f"The text needs more than {PARTS_MAX} parts.")
    septets = encode_gsm(text)
    if septets is not None:
        if len(septets) <= _SINGLE["gsm"]:
            return Segmentation("gsm", len(septets), [septets])
        return Segmentation("gsm", len(septets), _cut_septets(septets, _JOINED[reference_bits]["gsm"]))
    octets = _utf16(text)
    units = len(octets) // 2
    if units <= _SINGLE["ucs2"]:
        return Segmentation("ucs2", units, [octets])
    return Segmentation("ucs2", units, _cut_utf16(octets, 2 * _JOINED[reference_bits]["ucs2"]))


def count_segments(text: str) -> int:
    """Count the short messages of a text, with 8-bit references. Raises ValueError beyond 255."""
    return len(plan_segments(text).parts)


def _utf16(text: str) -> bytes:
    try:
        return text.encode("utf-16-be")
    except UnicodeEncodeError:
        return _LONE_SURROGATE.sub("\ufffd", text).encode("utf-16-be")


def _cut_septets(septets: bytes, size: int) -> list[bytes]:
    parts: list[bytes] = []
    start, total = 0, len(septets)
    while start < total:
        end = start + size
        if end < total and septets[end - 1] == ESCAPE:
            end -= 1
        parts.append(septets[start:end])
        start = end
    return _bounded(parts)


def _cut_utf16(octets: bytes, size: int) -> list[bytes]:
    parts: list[bytes] = []
    start, total = 0, len(octets)
    while start < total:
        end = start + size
        if end < total and octets[end - 2] in _HIGH_SURROGATE_TOP:
            end -= 2
        parts.append(octets[start:end])
        start = end
    return _bounded(parts)


def _bounded(parts: list[bytes]) -> list[bytes]:
    if len(parts) > PARTS_MAX:
        raise ValueError(f"The text needs more than {PARTS_MAX} parts.")
    return parts
