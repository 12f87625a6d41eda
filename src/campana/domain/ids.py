"""Owns the ids of campaigns and contacts: how a Guid is read, and how one is made where the client gave none.

Must not know the clock or the source of randomness: both are handed in.
"""

from __future__ import annotations

import re

_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ZERO = "00000000-0000-0000-0000-000000000000"
_BRACED_LENGTH = 38
_TEXT_MAX = 256
"""Longer text is refused unread; it leaves room for the white space around a Guid in pretty-printed messages."""

UUID7_RANDOM_BYTES = 10


def parse_guid(text: str | None) -> str:
    """Read a Guid in any case, with or without braces and white space around it, to its canonical lower-case form.

    None, blank text and the zero Guid mean "not given" and answer "". Everything else that is not 8-4-4-4-12
    hexadecimal digits raises ValueError (stricter than uuid.UUID, which takes urn: and misplaced hyphens).
    """
    if text is None:
        return ""
    if len(text) > _TEXT_MAX:
        raise ValueError("It is too long to be a Guid.")
    guid = text.strip()
    if not guid:
        return ""
    if len(guid) == _BRACED_LENGTH and guid[0] == "{" and guid[-1] == "}":
        guid = guid[1:-1]
    guid = guid.lower() if guid.isascii() else ""
    if _GUID.fullmatch(guid) is None:
        raise ValueError("It is not a Guid of 8-4-4-4-12 hexadecimal digits.")
    return "" if guid == _ZERO else guid


def uuid7(now_ms: int, random: bytes) -> str:
    """Make a time-ordered UUID (RFC 9562, section 5.7) of an instant in epoch milliseconds and 10 random bytes.

    74 of the 80 random bits are used. Raises ValueError for another number of bytes or an instant that does not
    fit into 48 bits.
    """
    if len(random) != UUID7_RANDOM_BYTES:
        raise ValueError("Exactly 10 random bytes are needed.")
    if not 0 <= now_ms < 1 << 48:
        raise ValueError("The instant does not fit into 48 bits of milliseconds.")
    noise = int.from_bytes(random, "big") >> 6
    high, low = noise >> 62, noise & ((1 << 62) - 1)
    digits = f"{now_ms << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def uuid7_run(now_ms: int, random: bytes, count: int) -> list[str]:
    """Make UUIDs as `uuid7` does, many of one instant, each greater than the one before (RFC 9562, section 6.2).

    They count up from a random number, so that whoever stores them in their order appends. Raises ValueError as
    `uuid7`, and for more than 2^32 of them.
    """
    first = uuid7(now_ms, random)
    if not 0 <= count < 1 << 32:
        raise ValueError("So many ids cannot be made at once.")
    # The last twelve digits count. The highest bit of the first of them is 0, so that they never run over.
    before, start = first[:-12], int(first[-12:], 16) & ~(1 << 47)
    return [f"{before}{number:012x}" for number in range(start, start + count)]
