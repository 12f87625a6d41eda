"""Owns how personal data is written where people look for faults: recognisable to who knows it, useless to others.

Must not know where the masked text goes.
"""

from __future__ import annotations

import re

_MASK = "***"
_NUMBER_LIKE = re.compile(r"\+?[0-9 ()./\-]+")
_NOT_DIGIT = re.compile(r"[^0-9]")
_LONG_NUMBER = 11
_DOMAIN_MAX = 253


def mask_number(number: str) -> str:
    """Mask a phone number: +14165550123 becomes +1416***0123, a shorter one keeps its last two digits only.

    Anything that is not a number (people type names into the wrong field) shows nothing of itself.
    """
    if _NUMBER_LIKE.fullmatch(number) is None:
        return _MASK
    plus = "+" if number.startswith("+") else ""
    digits = _NOT_DIGIT.sub("", number)
    if len(digits) >= _LONG_NUMBER:
        return f"{plus}{digits[:4]}{_MASK}{digits[-4:]}"
    return f"{plus}{_MASK}{digits[-2:]}" if len(digits) > 4 else f"{plus}{_MASK}"


def mask_address(address: str) -> str:
    """Mask an email address: john.doe@example.com becomes j***@example.com. No control character comes through."""
    local, at, domain = address.rpartition("@")
    if not at or not local or not domain.isprintable() or len(domain) > _DOMAIN_MAX or " " in domain:
        return _MASK
    first = local[0] if len(local) > 1 and local[0].isalnum() else ""
    return f"{first}{_MASK}@{domain}"


def mask_text(text: str) -> str:
    """Say of a text only how long it is: <23 characters>."""
    return f"<{len(text)} characters>"
