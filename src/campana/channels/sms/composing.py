"""Owns how a text becomes ready-packed submit_sm PDUs, with everything that does not depend on the contact done once.

Must not know sequence numbers, connections or what becomes of a message.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Literal, NamedTuple

from campana.channels.contract import Composer, Parcel
from campana.channels.errors import RefusedForGood
from campana.channels.merging import merged
from campana.channels.sms import pdu
from campana.channels.sms.addressing import LONGEST_NUMBER, AddressError, Override, to_address
from campana.channels.sms.bodies import (
    ESM_UDHI,
    TAG_MESSAGE_PAYLOAD,
    Address,
    ShortMessage,
    pack_address,
    pack_head,
    pack_tail,
)
from campana.channels.sms.settings import SmsRouteSettings
from campana.domain.campaign import SMS_TEXT_MAX
from campana.domain.message import Content
from campana.domain.outcome import DeliveryCode
from campana.domain.text.merge import parse_template
from campana.domain.text.segments import Segmentation, plan_segments

DATA_CODING_UCS2: Final = 8

Part = tuple[bytes, bytes]
"""A submit_sm without its sequence number: the twelve octets before it, and what follows it."""
Payload = tuple[Part, ...]
"""What a parcel of this channel carries: one submit_sm a part, in order."""

_NOWHERE: Final = Address(0, 0, b"")
_LONGEST_ADDRESS: Final = LONGEST_NUMBER + 3


class _Long(NamedTuple):
    """How a route sends a text of several parts: the header's first octets and the size of its reference."""

    reference_bits: Literal[8, 16]
    header: bytes


_LONG: Final[dict[str, _Long]] = {
    "udh8": _Long(8, b"\x05\x00\x03"),  # 3GPP TS 23.040 section 9.2.3.24.1
    "udh16": _Long(16, b"\x06\x08\x04"),  # section 9.2.3.24.8
    "payload": _Long(16, b""),
}


def relative_time(seconds: int) -> bytes:
    """A validity period from now on, in the relative format of section 7.1.1.2: YYMMDDhhmmss000R."""
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    return b"0000%02d%02d%02d%02d000R" % (days, hour, minute, second)


class _Mould:
    """One part of a text for every contact: all but the destination and, in a long text, the reference."""

    __slots__ = ("after", "before", "heads", "middle")

    def __init__(self, message: ShortMessage, reference: slice | None) -> None:
        tail = pack_tail(message)
        self.before = pack_head(message)
        if reference is None:
            self.middle, self.after = tail, b""
        else:
            # The part's own octets end the PDU: the reference is found from there.
            start = len(tail) - len(message.short_message)
            self.middle, self.after = tail[: start + reference.start], tail[start + reference.stop :]
        size = pdu.HEADER_SIZE + len(self.before) + len(tail)
        self.heads = [pdu.HEADER.pack(size + n, pdu.SUBMIT_SM, 0, 0)[:12] for n in range(_LONGEST_ADDRESS + 1)]

    def cast(self, destination: bytes, reference: bytes) -> Part:
        """The PDU for one destination address, packed."""
        return self.heads[len(destination)], b"".join((self.before, destination, self.middle, reference, self.after))


class TextMould:
    """A text made ready for one route and from-number; `cast` adds the destination."""

    __slots__ = ("_international", "_override", "_parts", "_reference_size", "_references")

    def __init__(self, parts: list[_Mould], reference_size: int, override: Override, references: Iterator[int]) -> None:
        self._parts = parts
        self._reference_size = reference_size
        self._override = override
        self._international = pack_address(to_address("+1", override))[:2]
        self._references = references

    def cast(self, destination: str) -> Payload:
        """The PDUs for one destination. Raises RefusedForGood where it cannot be an SMPP address."""
        digits = destination[1:]
        if destination[:1] == "+" and digits.isascii() and digits.isdigit() and len(digits) <= LONGEST_NUMBER:
            address = self._international + digits.encode() + b"\0"
        else:
            address = _pack_destination(destination, self._override)
        size = self._reference_size
        if not size:
            return (self._parts[0].cast(address, b""),)
        reference = (next(self._references) % (1 << 8 * size)).to_bytes(size, "big")
        return tuple([part.cast(address, reference) for part in self._parts])


def _pack_destination(destination: str, override: Override) -> bytes:
    try:
        return pack_address(to_address(destination, override))
    except AddressError as error:
        raise RefusedForGood(DeliveryCode.SMS_INVALID_DESTINATION, None, f"The number: {error}.") from error


class Composers:
    """Makes the composers of one route. Long texts of the route count their references through `references`."""

    def __init__(self, settings: SmsRouteSettings, references: Iterator[int]) -> None:
        self._settings = settings
        self._references = references
        self._long = _LONG[settings.long_text]

    def composer(self, content: Content) -> Composer:
        """Prepare a campaign's text. Raises RefusedForGood where its from-number or text cannot be sent."""
        source = self._source(content.source)
        common = self._mould(source, content.text) if content.text else None
        template = parse_template(content.text)

        def compose(
            delivery_id: int,
            attempt: int,
            destination: str,
            text: str | None,
            fields: Mapping[str, str] | None = None,
            /,
        ) -> Parcel:
            if fields is not None and (own := parse_template(text) if text else template) is not None:
                text = merged(own, fields, SMS_TEXT_MAX)
            mould = self._mould(source, text) if text else common
            if mould is None:
                raise RefusedForGood(DeliveryCode.UNRENDERABLE, None, "There is no text.")
            return Parcel(delivery_id, attempt, destination, mould.cast(destination))

        return compose

    def _source(self, number: str) -> Address:
        try:
            return to_address(number, self._settings.source_override)
        except AddressError as error:
            raise RefusedForGood(DeliveryCode.SMS_INVALID_SOURCE, None, f"The from-number: {error}.") from error

    def _mould(self, source: Address, text: str) -> TextMould:
        try:
            plan = plan_segments(text, reference_bits=self._long.reference_bits)
        except ValueError as error:
            raise RefusedForGood(DeliveryCode.UNRENDERABLE, None, str(error)) from error
        if len(plan.parts) == 1:
            messages, reference = [self._message(source, plan, plan.parts[0])], None
        elif self._long.header:
            messages, reference = self._joined(source, plan)
        else:
            whole = self._message(source, plan, b"")
            whole.tlvs[TAG_MESSAGE_PAYLOAD] = b"".join(plan.parts)
            messages, reference = [whole], None
        return TextMould(
            [_Mould(message, reference) for message in messages],
            reference.stop - reference.start if reference else 0,
            self._settings.destination_override,
            self._references,
        )

    def _joined(self, source: Address, plan: Segmentation) -> tuple[list[ShortMessage], slice]:
        header, size = self._long.header, self._long.reference_bits // 8
        total = len(plan.parts)
        messages = []
        for number, octets in enumerate(plan.parts, start=1):
            message = self._message(source, plan, header + bytes(size) + bytes((total, number)) + octets)
            message.esm_class = ESM_UDHI
            messages.append(message)
        return messages, slice(len(header), len(header) + size)

    def _message(self, source: Address, plan: Segmentation, octets: bytes) -> ShortMessage:
        settings = self._settings
        return ShortMessage(
            source=source,
            destination=_NOWHERE,
            short_message=octets,
            data_coding=settings.gsm_data_coding if plan.encoding == "gsm" else DATA_CODING_UCS2,
            registered_delivery=1 if settings.receipts else 0,
            service_type=settings.service_type.encode("ascii"),
            validity=relative_time(settings.validity) if settings.validity else b"",
        )
