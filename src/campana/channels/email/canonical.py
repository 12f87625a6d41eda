"""Owns the relaxed canonical form of header fields and bodies (RFC 6376 sections 3.4.2 and 3.4.4).

Must not know keys, or which fields are signed. Lines end in CR LF throughout, as message.py writes them.
"""

from __future__ import annotations

import re

_BLANKS = re.compile(rb"[ \t]+")
_FOLDS = re.compile(rb"[ \t\r\n]+")
_FIELD_END = re.compile(rb"\r\n(?![ \t])")


def relaxed_value(value: bytes) -> bytes:
    """Return a field's value unfolded, each run of blanks as one space; blanks at the ends are kept as one."""
    return _FOLDS.sub(b" ", value)


def relaxed_fields(head: bytes) -> dict[bytes, bytes]:
    """Return the canonical form of each of these whole header fields, line end included, by its name in small letters.

    No field may stand there twice.
    """
    fields = {}
    for field in _FIELD_END.split(head):
        name, colon, value = field.partition(b":")
        if colon:
            name = name.rstrip(b" \t").lower()
            fields[name] = b"%b:%b\r\n" % (name, relaxed_value(value).strip(b" "))
    return fields


def relaxed_body(body: bytes) -> bytes:
    """Return the canonical form of a body: an empty one, and one of nothing but empty lines, is empty."""
    # Blanks first become one, so that finding those at a line's end takes no second look at them.
    lines = (_BLANKS.sub(b" ", body) + b"\r\n").replace(b" \r\n", b"\r\n")
    end = len(lines)
    while lines.endswith(b"\r\n", 0, end):
        end -= 2
    return lines[:end] + b"\r\n" if end else b""
