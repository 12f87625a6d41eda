"""Owns what of a text an engine gets to see: nothing that it would take for an instruction.

Must not know any engine.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_UNSPOKEN: Final = frozenset({"Cc", "Cs", "Co", "Cn"})
"""General categories that nothing is to be heard of: controls, halves of pairs, private use, unassigned."""
_DIRECTIONS: Final = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0xFEFF])
"""Marks of writing direction: engines spell them out or stumble over them."""
_BRACKETS: Final = re.compile(r"\[(?=\[)|\](?=\])")
_BLANKS: Final = re.compile(r"[^\S\n]+")
_LINES: Final = re.compile(r"\s*\n\s*")


def speakable(text: str) -> str:
    """The text for an engine: no control characters, no `[[`, which begins phonemes with espeak-ng and piper.

    Line breaks stay, one at a time. What is blank in the end cannot be heard.
    """
    normal = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))
    plain = "".join(
        one if one == "\n" or unicodedata.category(one) not in _UNSPOKEN else " "
        for one in normal.translate(_DIRECTIONS)
    )
    return _LINES.sub("\n", _BLANKS.sub(" ", _BRACKETS.sub(lambda found: found[0] + " ", plain))).strip()
