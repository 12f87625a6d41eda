"""Owns cursors: where the next page of a list begins, as text that only this door reads.

Must not know any list. A cursor is checked before it is used: it holds nothing but where to go on, so that a made-up
one leads to another page of the same list, and nowhere else.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

import msgspec

from campana.domain.errors import MethodCode, MethodError
from campana.domain.ids import parse_guid

_WHOLE = (1 << 63) - 1


def write_cursor(kind: str, *place: int | str) -> str:
    """A cursor of a list of a kind. `kind` tells lists apart, and what they were asked for (filters, order)."""
    packed = msgspec.msgpack.encode([_mark(kind), *place])
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def read_cursor(text: str, kind: str, *types: type) -> tuple[Any, ...] | None:
    """What a cursor of the kind holds, values of such types, texts being ids; None for no cursor.

    Raises 42 InvalidRequest.
    """
    if not text:
        return None
    try:
        packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        mark, *place = msgspec.msgpack.decode(packed, type=list[int | str])
    except (binascii.Error, ValueError, msgspec.DecodeError):
        raise _refused() from None
    sound = len(place) == len(types) and all(
        type(value) is of and _is_sound(value) for value, of in zip(place, types, strict=True)
    )
    if mark != _mark(kind) or not sound:
        raise _refused()
    return tuple(place)


def _is_sound(value: int | str) -> bool:
    """Whether a database takes a value where it keeps numbers, or ids."""
    if isinstance(value, int):
        return 0 <= value <= _WHOLE
    try:
        return parse_guid(value) == value != ""
    except ValueError:
        return False


def _mark(kind: str) -> int:
    return binascii.crc32(kind.encode())


def _refused() -> MethodError:
    said = "cursor should be `next` of a page of the same list, asked for in the same way."
    return MethodError(MethodCode.INVALID_REQUEST, said, field="cursor")
