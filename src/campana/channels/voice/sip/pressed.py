"""Owns keys that are told by INFO: application/dtmf-relay and application/dtmf.

Must not know RTP, nor what a key means. (Both are older than RFC 6086 and described by vendors only.)
"""

from __future__ import annotations

import re
from typing import Final

from campana.domain.call import KEYS

CONTENT_TYPES: Final = ("application/dtmf-relay", "application/dtmf")
LONGEST_MS: Final = 60_000

_BY_NUMBER: Final = {"10": "*", "11": "#", "12": "A", "13": "B", "14": "C", "15": "D"}
_SIGNAL: Final = re.compile(r"^[ \t]*Signal[ \t]*=[ \t]*([0-9A-Da-d*#]{1,2})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_DURATION: Final = re.compile(r"^[ \t]*Duration[ \t]*=[ \t]*([0-9]{1,6})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_BARE: Final = re.compile(r"\s*([0-9A-Da-d*#]{1,2})\s*")


def read_key(body: bytes) -> tuple[str, int] | None:
    """The key of an INFO body and its length in milliseconds, 0 where it does not tell; None where it tells no key."""
    text = body[:256].decode("ascii", "replace")
    found = _SIGNAL.search(text) or _BARE.fullmatch(text)
    if found is None:
        return None
    key = _BY_NUMBER.get(found[1], found[1].upper())
    length = _DURATION.search(text)
    return (key, min(int(length[1]), LONGEST_MS) if length else 0) if key in KEYS else None
