"""Owns which characters a text may hold: those that no database keeps, and those that could end a line.

Must not know what the text is for.
"""

from __future__ import annotations

import re

_UNKEEPABLE = re.compile("[\x00\ud800-\udfff]")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def is_keepable(text: str) -> bool:
    """Tell whether every database can keep a text: no NUL (PostgreSQL), no lone surrogate (UTF-8)."""
    if text.isascii():
        return "\x00" not in text
    return _UNKEEPABLE.search(text) is None


def is_one_line(text: str) -> bool:
    """Tell whether a text is free of every character that any layer below could take for the end of a line.

    That is all control characters (so that none slips into a header, RFC 5322 section 2.2), the two Unicode
    separators of lines and paragraphs, and lone surrogates, which no wire can carry.
    """
    return text.isprintable() or _CONTROL.search(text) is None


def is_blank(text: str | None) -> bool:
    """Tell whether a text is missing, empty or white space alone."""
    return not text or text.isspace()
