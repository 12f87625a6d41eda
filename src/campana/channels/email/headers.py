"""Owns how free text stands in a header field: RFC 2047 encoded words, folding, and what may never stand there.

Must not know which message it is for.
"""

from __future__ import annotations

import re
from email.header import Header

from campana.channels.email.address import Mailbox

_LINE = 76
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_CONTROLS = re.compile(f"(?:{_FORBIDDEN.pattern})+")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+")


class BadHeader(ValueError):
    """The text cannot stand in a header field. The sentence never quotes it."""


def unstructured(name: str, text: str) -> bytes:
    """Return the field `name: text` with its line end, folded, in ASCII (RFC 5322 section 2.2.1, RFC 2047).

    Raises BadHeader where the text holds a line break or another control character: a header cannot be injected.
    """
    _refuse_controls(text)
    return f"{name}: {_folded(name, text)}\r\n".encode("ascii")


def sender(box: Mailbox) -> bytes:
    """Return the From field with its line end. In ASCII, unless the address itself needs RFC 6532."""
    if not box.name:
        return b"From: " + box.wire + b"\r\n"
    _refuse_controls(box.name)
    phrase = _phrase(box.name).encode("ascii")
    last_line = len(phrase) - phrase.rfind(b"\n")
    gap = b" " if last_line + len(box.wire) + 3 <= _LINE - len("From: ") else b"\r\n "
    return b"From: " + phrase + gap + b"<" + box.wire + b">\r\n"


def without_controls(text: str) -> str:
    """A text that holds no line break and no other control character: a blank stands in the place of each run."""
    return text if _FORBIDDEN.search(text) is None else _CONTROLS.sub(" ", text)


def _refuse_controls(text: str) -> None:
    if _FORBIDDEN.search(text) is not None:
        raise BadHeader("a header must not hold line breaks or control characters")


def _phrase(name: str) -> str:
    if not name.isascii() or "=?" in name or len(name) > _LINE // 2:
        return _encoded("From", name)
    if _ATOMS.fullmatch(name) is not None:
        return name
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _folded(name: str, text: str) -> str:
    if text.isascii() and "=?" not in text and text == text.strip():
        folded = Header(text, "us-ascii", maxlinelen=_LINE, header_name=name).encode(linesep="\r\n")
        lines = folded.split("\r\n")
        # Only what unfolds to the same text again: a line of blanks does not, an overlong word is no line.
        if "".join(lines) == text and all(line.strip() and len(line) <= 10 * _LINE for line in lines):
            return folded
    return _encoded(name, text)


def _encoded(name: str, text: str) -> str:
    if not text:
        return ""
    return Header(text, "utf-8", maxlinelen=_LINE, header_name=name).encode(linesep="\r\n")
