"""Owns how the bytes of a list become text: which encoding they are in, and where they are in none.

Must not know what the text is. What is found out does not depend on how the bytes are cut into pieces. An encoding is
never guessed against what the bytes say: what fits none, or could be two, ends with one sentence.
"""

from __future__ import annotations

import codecs
import re
from enum import StrEnum

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_LONGEST = 4
"""Bytes of one character in UTF-8."""
_NON_ASCII = re.compile(rb"[\x80-\xff]")
_UTF8_PAIR = re.compile(rb"[\xc3-\xf4][\x80-\xbf]")
"""What UTF-8 is full of, and what hardly a text in Windows-1252 has."""


class Encoding(StrEnum):
    """What a list may be said to be in."""

    AUTO = "auto"
    UTF_8 = "utf-8"
    UTF_16 = "utf-16"
    WINDOWS_1252 = "windows-1252"


class Decoder:
    """Makes text of pieces of bytes. Once `problem` is set, what was decoded before it was given out, and nothing more
    comes."""

    def __init__(self, encoding: Encoding) -> None:
        self.name: str | None = None
        """The encoding, once it is known; None as long as nothing but ASCII has come."""
        self.problem: str | None = None
        self._wanted = encoding
        self._waiting = b""
        self._began = False
        self._decoder: codecs.IncrementalDecoder | None = None
        self._last = b""
        self._watches = False
        """It was found out, by one character, that this is Windows-1252."""

    def feed(self, octets: bytes, *, final: bool = False) -> str:
        """The text of a piece, as far as it is known; of the last one, all that is left."""
        if self.problem is not None:
            return ""
        octets = self._waiting + octets
        self._waiting = b""
        if not self._began:
            if len(octets) < _LONGEST and not final:
                self._waiting = octets
                return ""
            octets = self._begin(octets)
        before = ""
        if self._decoder is None:
            before, octets = self._find_out(octets, final=final)
            if self._decoder is None:
                return before
        return before + self._decode(octets, final=final)

    def _begin(self, octets: bytes) -> bytes:
        """Look at the first bytes; what is left of them without a byte order mark."""
        self._began = True
        for mark, name in _BOMS:
            if octets.startswith(mark):
                if self._wanted is not Encoding.AUTO and not name.startswith(self._wanted):
                    self.problem = f"begins with the mark of {name[:6].upper()}, and is said to be {self._wanted}."
                    return b""
                self._settle(name)
                return octets[len(mark) :]
        if self._wanted is Encoding.UTF_16:
            self.problem = "must begin with a byte order mark, for it is said to be UTF-16."
            return b""
        if self._wanted is not Encoding.AUTO:
            self._settle(self._wanted)
        return octets

    def _find_out(self, octets: bytes, *, final: bool) -> tuple[str, bytes]:
        """Without a mark: it is ASCII up to the first byte that is not, and what stands there tells what it is."""
        found = _NON_ASCII.search(octets)
        if found is None:
            return octets.decode("ascii"), b""
        start = found.start()
        before, rest = octets[:start].decode("ascii"), octets[start:]
        if len(rest) < _LONGEST and not final:
            self._waiting = rest
            return before, b""
        self._settle("utf-8" if _begins_with_utf8(rest) else "windows-1252")
        self._watches = self.name == "windows-1252"
        return before, rest

    def _settle(self, name: str) -> None:
        self.name = name
        self._decoder = codecs.getincrementaldecoder("cp1252" if name == Encoding.WINDOWS_1252 else name)("strict")

    def _decode(self, octets: bytes, *, final: bool) -> str:
        assert self._decoder is not None
        if self._watches:
            looked_at = self._last + octets
            self._last = octets[-1:] or self._last
            pair = _UTF8_PAIR.search(looked_at)
            if pair is not None:
                self.problem = (
                    "is neither UTF-8 nor clearly Windows-1252: say which it is (encoding=utf-8 or windows-1252)."
                )
                return ""
        try:
            return self._decoder.decode(octets, final)
        except UnicodeDecodeError as error:
            self.problem = f"cannot be read as {(self.name or '').upper()}."
            whole: bytes = error.object
            return whole[: error.start].decode(error.encoding, "replace")


def _begins_with_utf8(octets: bytes) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")("strict")
    try:
        return any(decoder.decode(octets[end : end + 1]) for end in range(min(_LONGEST, len(octets))))
    except UnicodeDecodeError:
        return False
