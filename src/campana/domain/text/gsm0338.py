"""Owns the GSM 7-bit default alphabet and its extension table (3GPP TS 23.038, sections 6.2.1 and 6.2.1.1).

Must not know how septets are packed or carried: here each septet is one byte.
"""

from __future__ import annotations

import codecs
import re

ESCAPE = 0x1B

_BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅå"
    "Δ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ"
    " !\"#¤%&'()*+,-./"
    "0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNO"
    "PQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmno"
    "pqrstuvwxyzäöñüà"
)

_EXTENSION = {
    0x0A: "\f",
    0x14: "^",
    0x28: "{",
    0x29: "}",
    0x2F: "\\",
    0x3C: "[",
    0x3D: "~",
    0x3E: "]",
    0x40: "|",
    0x65: "€",
}

_ENCODE: dict[int, int | bytes] = {
    **{ord(character): septet for septet, character in enumerate(_BASIC) if septet != ESCAPE},
    **{ord(character): bytes((ESCAPE, septet)) for septet, character in _EXTENSION.items()},
}

_SAME_AS_ASCII = re.compile(r"[A-Za-z0-9\n\r !\"#%&'()*+,\-./:;<=>?]*")
"""Texts whose septets are their ASCII codes; most texts are such, and a copy is several times faster than a look-up."""

_REPLACEMENT = "\ufffd"
_DECODE = _BASIC + _REPLACEMENT * 128
_ESCAPE_SEQUENCE = re.compile("\x1b(.?)", re.DOTALL)
_ESCAPED = {_BASIC[septet]: character for septet, character in _EXTENSION.items()} | {"\x1b": " ", "": " "}


def encode_gsm(text: str) -> bytes | None:
    """Encode to septets, one a byte, an extension character as 0x1B and its septet; None where a character is missing.

    Nothing is approximated: a text with a character outside both tables needs another encoding.
    """
    if _SAME_AS_ASCII.fullmatch(text):
        return text.encode("ascii")
    try:
        return codecs.charmap_encode(text, "strict", _ENCODE)[0]
    except UnicodeEncodeError:
        return None


def decode_gsm(septets: bytes) -> str:
    """Decode septets, one a byte. Never raises: a byte above 0x7F becomes U+FFFD.

    As section 6.2.1.1 asks of a receiver, an escape before a septet that the extension table lacks is skipped, and
    an escape before an escape, or at the end, shows as a space.
    """
    text = codecs.charmap_decode(septets, "strict", _DECODE)[0]
    return _ESCAPE_SEQUENCE.sub(_unescape, text) if "\x1b" in text else text


def _unescape(sequence: re.Match[str]) -> str:
    follower = sequence[1]
    return _ESCAPED.get(follower, follower)
