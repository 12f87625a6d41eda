"""Owns bodies that take something of each recipient: an html text encoded once, with places that stay open.

Must not know headers, recipients or signatures. Both parts are quoted-printable, where a soft line break before and
after each place keeps what was encoded beforehand apart from what comes later (RFC 2045 section 6.7).
"""

from __future__ import annotations

import binascii
import html
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from campana.channels.email.plain_text import plain_text
from campana.domain.campaign import HTML_MAX
from campana.domain.text.merge import Template, Unmergeable

_SOFT = b"=\r\n"
_MULTIPART = (
    b"MIME-Version: 1.0\r\n"
    b'Content-Type: multipart/alternative; boundary="%b"\r\n'
    b"\r\n"
    b"--%b\r\n"
    b'Content-Type: text/plain; charset="utf-8"\r\n'
    b"Content-Transfer-Encoding: quoted-printable\r\n"
    b"\r\n"
)
_NEXT_PART = (
    b'\r\n--%b\r\nContent-Type: text/html; charset="utf-8"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n'
)


@dataclass(frozen=True, slots=True)
class _Filling:
    """What stands in a place where there is no value."""

    key: str
    in_html: bytes | None
    in_text: bytes
    characters: int


class HtmlMould:
    """An html text and the plain text derived from it; `cast` fills their places."""

    def __init__(self, template: Template) -> None:
        """Raises UnicodeEncodeError for half surrogate pairs."""
        # No reader of html takes letters and digits apart, wherever they stand.
        token = secrets.token_hex(8)
        marks = [f"x{token}{number}x" for number in range(len(template.slots))]
        pieces = [piece.replace("\0", "") for piece in template.pieces]
        whole = pieces[0] + "".join(mark + piece for mark, piece in zip(marks, pieces[1:], strict=True))
        found = re.split(f"x{token}([0-9]+)x", plain_text(whole))
        self._fillings = [_filling(slot.key, slot.default) for slot in template.slots]
        self._characters = len(whole) - sum(map(len, marks))
        self._html = _encoded(pieces)
        self._text = _encoded(found[::2])
        self._text_order = [int(number) for number in found[1::2]]
        self._has_text = any(piece.strip() for piece in found[::2]) or bool(self._text_order)
        # It cannot stand in a body: what follows = there is a line's end or hexadecimal.
        boundary = b"=_" + token.encode()
        self._first = _MULTIPART % (boundary, boundary)
        self._second = _NEXT_PART % boundary
        self._end = b"\r\n--%b--\r\n" % boundary

    def cast(self, fields: Mapping[str, str], subject: str) -> bytes:
        """The fields on the body and the body, for one recipient; the subject is the text where the html shows none.

        Raises Unmergeable, and UnicodeEncodeError for half surrogate pairs.
        """
        in_html, in_text = self._fill(fields)
        text = _joined(self._text, [in_text[number] for number in self._text_order])
        if not self._has_text:
            text = _quoted(f"{subject}\n")
        return b"".join((self._first, text, self._second, _joined(self._html, in_html), self._end))

    def _fill(self, fields: Mapping[str, str]) -> tuple[list[bytes], list[bytes]]:
        in_html: list[bytes] = []
        in_text: list[bytes] = []
        characters = self._characters
        values: dict[str, tuple[int, bytes, bytes]] = {}
        for filling in self._fillings:
            value = fields.get(filling.key)
            if value:
                if filling.key not in values:
                    escaped = html.escape(value)
                    values[filling.key] = (len(escaped), _quoted(escaped), _quoted(value))
                length, for_html, for_text = values[filling.key]
                characters += length
                if characters > HTML_MAX:
                    raise Unmergeable(f"With its fields, the text has more than {HTML_MAX} characters.")
                in_html.append(for_html)
                in_text.append(for_text)
            elif filling.in_html is not None:
                characters += filling.characters
                in_html.append(filling.in_html)
                in_text.append(filling.in_text)
            else:
                raise Unmergeable(f"The field {filling.key} is missing.")
        return in_html, in_text


def _filling(key: str, default: str | None) -> _Filling:
    if default is None:
        return _Filling(key, None, b"", 0)
    return _Filling(key, _quoted(default), _quoted(plain_text(default) if default.strip() else default), len(default))


def _encoded(pieces: Sequence[str]) -> list[bytes]:
    """The pieces of a text, which ends with a line's end."""
    *most, last = pieces
    return [_quoted(piece) for piece in (*most, last if last.endswith(("\n", "\r")) else f"{last}\n")]


def _joined(pieces: Sequence[bytes], filled: Sequence[bytes]) -> bytes:
    parts = [pieces[0]]
    for filling, piece in zip(filled, pieces[1:], strict=True):
        parts += (_SOFT, filling, _SOFT, piece)
    return b"".join(parts)


def _quoted(text: str) -> bytes:
    """A piece of a text as quoted-printable, to which a soft line break can be added."""
    octets = text.replace("\0", "").replace("\r\n", "\n").replace("\r", "\n").encode()
    # The octet that is taken off again has the library leave room for a soft line break after the last one.
    return binascii.b2a_qp(octets + b"x", istext=True)[:-1].replace(b"\n", b"\r\n")
