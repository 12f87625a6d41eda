"""Owns how a message that a person sent is read: its alphabet, its header, and the joining of its parts.

Must not know connections, nor what the message means to a campaign.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, Generic, NamedTuple, TypeVar

from campana.channels.sms.bodies import (
    ESM_UDHI,
    TAG_SAR_MSG_REF_NUM,
    TAG_SAR_SEGMENT_SEQNUM,
    TAG_SAR_TOTAL_SEGMENTS,
    Address,
    ShortMessage,
)
from campana.domain.text.gsm0338 import decode_gsm

_IE_CONCATENATED_8: Final = 0x00
_IE_CONCATENATED_16: Final = 0x08


def _utf16(octets: bytes) -> str:
    return octets.decode("utf-16-be", errors="replace")


def _by_codec(name: str) -> Callable[[bytes], str]:
    return lambda octets: octets.decode(name, errors="replace")


_latin_1: Final = _by_codec("latin-1")
_hexadecimal: Final = bytes.hex

# Section 5.2.19; from 0x10 on 3GPP TS 23.038 section 4, where bits 3 and 2 choose the alphabet.
_ALPHABETS: Final[dict[int, Callable[[bytes], str]]] = {
    0x00: decode_gsm,
    0x01: _latin_1,
    0x02: _hexadecimal,
    0x03: _latin_1,
    0x04: _hexadecimal,
    0x05: _by_codec("shift_jis"),
    0x06: _by_codec("iso8859-5"),
    0x07: _by_codec("iso8859-8"),
    0x08: _utf16,
    0x0A: _by_codec("iso2022_jp"),
    0x0E: _by_codec("euc_kr"),
}
_BY_BITS: Final = (decode_gsm, _hexadecimal, _utf16, _latin_1)


def decode_text(octets: bytes, data_coding: int) -> str:
    """The text of a message's octets; binary ones as hexadecimal digits. Never raises, never yields a NUL."""
    alphabet = _ALPHABETS.get(data_coding)
    if alphabet is None:
        alphabet = _latin_1 if data_coding < 0x10 else _BY_BITS[data_coding >> 2 & 3]
    return alphabet(octets).replace("\0", "")


class Concatenation(NamedTuple):
    """Where a part stands in its message."""

    reference: int
    total: int
    number: int
    """1 for the first part."""


def split_header(message: ShortMessage) -> tuple[bytes, Concatenation | None]:
    """A message's user data without its header, and where it stands in a longer message.

    A header that breaks its own lengths, or a number out of its range, counts as none.
    """
    octets = message.octets
    if message.esm_class & ESM_UDHI and octets and octets[0] < len(octets):
        size = 1 + octets[0]
        return octets[size:], _valid(_from_elements(octets[1:size]))
    return octets, _valid(_from_tlvs(message))


def _from_elements(header: bytes) -> Concatenation | None:
    position = 0
    while position + 2 <= len(header):
        identifier, length = header[position], header[position + 1]
        value = header[position + 2 : position + 2 + length]
        position += 2 + length
        if identifier == _IE_CONCATENATED_8 and len(value) == length == 3:
            return Concatenation(value[0], value[1], value[2])
        if identifier == _IE_CONCATENATED_16 and len(value) == length == 4:
            return Concatenation(int.from_bytes(value[:2], "big"), value[2], value[3])
    return None


def _from_tlvs(message: ShortMessage) -> Concatenation | None:
    tlvs = message.tlvs
    values = [tlvs.get(tag) for tag in (TAG_SAR_MSG_REF_NUM, TAG_SAR_TOTAL_SEGMENTS, TAG_SAR_SEGMENT_SEQNUM)]
    numbers = [int.from_bytes(value, "big") for value in values if value]
    return Concatenation(*numbers) if len(numbers) == len(values) else None


def _valid(place: Concatenation | None) -> Concatenation | None:
    return place if place and 1 < place.total <= 255 and 1 <= place.number <= place.total else None


T = TypeVar("T")


@dataclass(slots=True)
class Letter(Generic[T]):
    """A message as far as it has come: from whom to whom, its parts' texts, and what hangs on each part."""

    source: Address
    destination: Address
    deadline: float
    parts: dict[int, str] = field(default_factory=dict)
    attached: list[T] = field(default_factory=list)
    """One a part that came, twins included: what must be answered once the letter is kept."""

    @property
    def text(self) -> str:
        """What came of the text, in order."""
        return "".join(self.parts[number] for number in sorted(self.parts))


class Desk(Generic[T]):
    """Joins parts to letters. Bounded in number and time: what is never completed is given out as it came."""

    def __init__(self, patience: float, capacity: int) -> None:
        """`patience` in seconds of the loop's clock; `capacity` in unfinished letters."""
        self._patience = patience
        self._capacity = capacity
        self._open: dict[tuple[Address, Address, int, int], Letter[T]] = {}

    def put(self, message: ShortMessage, attached: T, now: float) -> Iterator[Letter[T]]:
        """Take one message or part; yield what may be kept now: a complete letter, or one that had to make room."""
        octets, place = split_header(message)
        text = decode_text(octets, message.data_coding)
        if place is None:
            yield Letter(message.source, message.destination, now, {1: text}, [attached])
            return
        key = (message.source, message.destination, place.reference, place.total)
        if key not in self._open and len(self._open) >= self._capacity:
            yield self._open.pop(next(iter(self._open)))
        letter = self._open.setdefault(key, Letter(message.source, message.destination, now + self._patience))
        letter.parts[place.number] = text
        letter.attached.append(attached)
        if len(letter.parts) == place.total:
            yield self._open.pop(key)

    def overdue(self, now: float) -> Iterator[Letter[T]]:
        """Yield the letters that waited too long, as they are."""
        while self._open:
            key = next(iter(self._open))
            if self._open[key].deadline > now:
                return
            yield self._open.pop(key)

    def next_deadline(self) -> float | None:
        """When `overdue` will have something to give, None while nothing is unfinished."""
        return next(iter(self._open.values())).deadline if self._open else None
