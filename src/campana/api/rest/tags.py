"""Owns entity tags: how one is written, and what If-Match and If-None-Match say of it (RFC 9110, 8.8.3 and 13.1).

Must not know what a tag stands for, but that a part of it may change without anybody's doing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from campana.domain.errors import MethodCode, MethodError

_TAGS = re.compile(r'\s*(?:,\s*)*(W/)?"([\x21\x23-\x7e\x80-\xff]*)"\s*(?=,|$)')
_LONGEST = 4_096


@dataclass(frozen=True, slots=True)
class Tag:
    """What a tag is made of."""

    version: str
    """Changes with what clients write."""
    rest: str
    """Changes by itself: who writes need not have seen the last of it."""


def tag_of(tag: Tag) -> str:
    """A tag as the ETag header has it: a strong one."""
    return f'"{tag.version}.{tag.rest}"'


def is_known(if_none_match: str | None, tag: Tag) -> bool:
    """Whether a client that says If-None-Match has what the tag stands for: the weak comparison."""
    if if_none_match is None:
        return False
    return if_none_match.strip() == "*" or any(
        opaque == f"{tag.version}.{tag.rest}" for _, opaque in _parsed(if_none_match, "If-None-Match")
    )


def demand_match(if_match: str | None, tag: Tag) -> None:
    """Raises 43 VersionMismatch where If-Match names other versions alone: the strong comparison, so that a weak tag
    never matches."""
    if if_match is None or if_match.strip() == "*":
        return
    for weak, opaque in _parsed(if_match, "If-Match"):
        if not weak and opaque.partition(".")[0] == tag.version:
            return
    raise VersionMismatch


class VersionMismatch(MethodError):
    """43: the campaign is another version by now."""

    def __init__(self) -> None:
        super().__init__(MethodCode.VERSION_MISMATCH)


def _parsed(header: str, name: str) -> list[tuple[bool, str]]:
    """The tags of a header, each with whether it is weak. Raises 42 InvalidRequest."""
    found: list[tuple[bool, str]] = []
    place = 0
    while place < len(header):
        match = _TAGS.match(header, place)
        if match is None or len(header) > _LONGEST:
            raise _refused(name)
        found.append((match[1] is not None, match[2]))
        place = match.end()
        if place < len(header) and header[place] == ",":
            place += 1
    if not found:
        raise _refused(name)
    return found


def _refused(name: str) -> MethodError:
    return MethodError(MethodCode.INVALID_REQUEST, f'{name} should be * or tags in quotes, such as "1.running".')
