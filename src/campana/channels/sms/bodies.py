"""Owns the bodies of the SMPP 3.4 PDUs that Campana speaks, packed and parsed by hand, and their optional parameters.

Must not know sessions, sequence numbers or what a text means. Every parser raises PduError and nothing else.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from campana.channels.sms.codes import (
    RINVCMDLEN,
    RINVDSTADR,
    RINVEXPIRY,
    RINVMSGID,
    RINVMSGLEN,
    RINVOPTPARSTREAM,
    RINVPASWD,
    RINVSCHED,
    RINVSERTYP,
    RINVSRCADR,
    RINVSYSID,
    RINVSYSTYP,
)
from campana.channels.sms.pdu import VERSION, PduError

# Tags of optional parameters (section 5.3.2).
TAG_RECEIPTED_MESSAGE_ID: Final = 0x001E
TAG_SAR_MSG_REF_NUM: Final = 0x020C
TAG_SAR_TOTAL_SEGMENTS: Final = 0x020E
TAG_SAR_SEGMENT_SEQNUM: Final = 0x020F
TAG_SC_INTERFACE_VERSION: Final = 0x0210
TAG_NETWORK_ERROR_CODE: Final = 0x0423
TAG_MESSAGE_PAYLOAD: Final = 0x0424
TAG_MESSAGE_STATE: Final = 0x0427

# Bits of esm_class (section 5.2.12).
ESM_UDHI: Final = 0x40
ESM_TYPE_MASK: Final = 0x3C
ESM_TYPE_RECEIPT: Final = 0x04
ESM_TYPE_INTERMEDIATE: Final = 0x20

_LONGEST_MESSAGE_ID: Final = 255
"""Section 5.2.23 says 65 octets; carriers that send more are understood."""
_LONGEST_SHORT_MESSAGE: Final = 254
_TLV_HEADER: Final = struct.Struct(">HH")


class Address(NamedTuple):
    """A number or name with its type of number and numbering plan (sections 5.2.5 to 5.2.9)."""

    ton: int
    npi: int
    text: bytes


Tlvs = dict[int, bytes]
"""Optional parameters: tag to value. Of a tag that stands twice the last counts."""


@dataclass(slots=True)
class ShortMessage:
    """The body of submit_sm and deliver_sm (sections 4.4.1 and 4.6.1), and what data_sm has of it (4.7.1)."""

    source: Address
    destination: Address
    short_message: bytes = b""
    esm_class: int = 0
    data_coding: int = 0
    registered_delivery: int = 0
    service_type: bytes = b""
    protocol_id: int = 0
    priority: int = 0
    schedule: bytes = b""
    validity: bytes = b""
    replace_if_present: int = 0
    default_message: int = 0
    tlvs: Tlvs = field(default_factory=dict)

    @property
    def octets(self) -> bytes:
        """What the message carries, wherever it stands: message_payload or short_message."""
        return self.tlvs.get(TAG_MESSAGE_PAYLOAD, self.short_message)


class Bind(NamedTuple):
    """The body of the three bind requests (section 4.1.1)."""

    system_id: bytes
    password: bytes
    system_type: bytes = b""
    interface_version: int = VERSION
    address_range: Address = Address(0, 0, b"")


class Query(NamedTuple):
    """The body of query_sm (section 4.8.1)."""

    message_id: bytes
    source: Address


class QueryAnswer(NamedTuple):
    """The body of query_sm_resp (section 4.8.2)."""

    message_id: bytes
    final_date: bytes
    state: int
    error: int


# --- packing -----------------------------------------------------------------------------------------------------


def pack_address(address: Address) -> bytes:
    """TON, NPI and the address as a C-octet string."""
    return bytes((address.ton, address.npi)) + address.text + b"\0"


def pack_tlv(tag: int, value: bytes) -> bytes:
    """One optional parameter (section 3.2.4.1)."""
    return _TLV_HEADER.pack(tag, len(value)) + value


def pack_head(message: ShortMessage) -> bytes:
    """What stands before the destination address."""
    return message.service_type + b"\0" + pack_address(message.source)


def pack_tail(message: ShortMessage) -> bytes:
    """What stands after the destination address, optional parameters included."""
    return b"".join(
        (
            bytes((message.esm_class, message.protocol_id, message.priority)),
            message.schedule + b"\0" + message.validity + b"\0",
            bytes((message.registered_delivery, message.replace_if_present, message.data_coding)),
            bytes((message.default_message, len(message.short_message))),
            message.short_message,
            *(pack_tlv(tag, value) for tag, value in message.tlvs.items()),
        )
    )


def pack_short_message(message: ShortMessage) -> bytes:
    """The body of submit_sm or deliver_sm."""
    return pack_head(message) + pack_address(message.destination) + pack_tail(message)


def pack_bind(bind: Bind) -> bytes:
    """The body of a bind request."""
    return b"".join(
        (
            bind.system_id + b"\0" + bind.password + b"\0" + bind.system_type + b"\0",
            bytes((bind.interface_version,)),
            pack_address(bind.address_range),
        )
    )


def pack_query(query: Query) -> bytes:
    """The body of query_sm."""
    return query.message_id + b"\0" + pack_address(query.source)


def pack_query_answer(answer: QueryAnswer) -> bytes:
    """The body of query_sm_resp."""
    return answer.message_id + b"\0" + answer.final_date + b"\0" + bytes((answer.state, answer.error))


# --- parsing -----------------------------------------------------------------------------------------------------


def _text(body: bytes, position: int, size: int, status: int) -> tuple[bytes, int]:
    """A C-octet string of at most `size` octets with its NUL, and where the next field begins."""
    end = body.find(0, position, position + size)
    if end < 0:
        raise PduError(status, f"no NUL within {size} octets from octet {position}")
    return body[position:end], end + 1


def _octets(body: bytes, position: int, count: int) -> tuple[bytes, int]:
    end = position + count
    if end > len(body):
        raise PduError(RINVCMDLEN, f"the body ends before octet {end}")
    return body[position:end], end


def _address(body: bytes, position: int, size: int, status: int) -> tuple[Address, int]:
    (ton, npi), position = _octets(body, position, 2)
    text, position = _text(body, position, size, status)
    return Address(ton, npi, text), position


def parse_tlvs(body: bytes, position: int) -> Tlvs:
    """The optional parameters from `position` to the end."""
    tlvs: Tlvs = {}
    size = len(body)
    while position < size:
        if size - position < 4:
            raise PduError(RINVOPTPARSTREAM, "an optional parameter is cut off")
        tag, length = _TLV_HEADER.unpack_from(body, position)
        position += 4
        if length > size - position:
            raise PduError(RINVOPTPARSTREAM, f"optional parameter {tag:#06x} is longer than the PDU")
        tlvs[tag] = body[position : position + length]
        position += length
    return tlvs


def parse_short_message(body: bytes) -> ShortMessage:
    """The body of submit_sm or deliver_sm."""
    service_type, position = _text(body, 0, 6, RINVSERTYP)
    source, position = _address(body, position, 21, RINVSRCADR)
    destination, position = _address(body, position, 21, RINVDSTADR)
    (esm_class, protocol_id, priority), position = _octets(body, position, 3)
    schedule, position = _text(body, position, 17, RINVSCHED)
    validity, position = _text(body, position, 17, RINVEXPIRY)
    (registered, replace, coding, default, length), position = _octets(body, position, 5)
    if length > _LONGEST_SHORT_MESSAGE or length > len(body) - position:
        raise PduError(RINVMSGLEN, "sm_length is longer than allowed or than the PDU")
    return ShortMessage(
        source=source,
        destination=destination,
        short_message=body[position : position + length],
        esm_class=esm_class,
        data_coding=coding,
        registered_delivery=registered,
        service_type=service_type,
        protocol_id=protocol_id,
        priority=priority,
        schedule=schedule,
        validity=validity,
        replace_if_present=replace,
        default_message=default,
        tlvs=parse_tlvs(body, position + length) if len(body) > position + length else {},
    )


def parse_data(body: bytes) -> ShortMessage:
    """The body of data_sm: the message stands in message_payload."""
    service_type, position = _text(body, 0, 6, RINVSERTYP)
    source, position = _address(body, position, 65, RINVSRCADR)
    destination, position = _address(body, position, 65, RINVDSTADR)
    (esm_class, registered, coding), position = _octets(body, position, 3)
    return ShortMessage(
        source=source,
        destination=destination,
        esm_class=esm_class,
        data_coding=coding,
        registered_delivery=registered,
        service_type=service_type,
        tlvs=parse_tlvs(body, position),
    )


def parse_bind(body: bytes) -> Bind:
    """The body of a bind request. Passwords longer than the specification's 8 octets are understood."""
    system_id, position = _text(body, 0, 64, RINVSYSID)
    password, position = _text(body, position, 128, RINVPASWD)
    system_type, position = _text(body, position, 13, RINVSYSTYP)
    (version,), position = _octets(body, position, 1)
    address_range, position = _address(body, position, 41, RINVCMDLEN)
    return Bind(system_id, password, system_type, version, address_range)


def parse_bind_answer(body: bytes) -> tuple[str, int | None]:
    """The peer's system_id and its sc_interface_version where it told one; a refusal may come without a body."""
    if not body:
        return "", None
    system_id, position = _text(body, 0, 64, RINVSYSID)
    version = parse_tlvs(body, position).get(TAG_SC_INTERFACE_VERSION, b"")
    return system_id.decode("latin-1"), version[0] if version else None


def parse_query(body: bytes) -> Query:
    """The body of query_sm."""
    message_id, position = _text(body, 0, _LONGEST_MESSAGE_ID, RINVMSGID)
    source, position = _address(body, position, 21, RINVSRCADR)
    return Query(message_id, source)


def parse_query_answer(body: bytes) -> QueryAnswer:
    """The body of query_sm_resp."""
    message_id, position = _text(body, 0, _LONGEST_MESSAGE_ID, RINVMSGID)
    final_date, position = _text(body, position, 17, RINVSCHED)
    (state, error), position = _octets(body, position, 2)
    return QueryAnswer(message_id, final_date, state, error)


def read_message_id(body: bytes) -> str:
    """The message_id of submit_sm_resp, "" where there is none.

    Never raises: status 0 says that the message was taken, and no flaw of the id makes that untrue.
    """
    return body.split(b"\0", 1)[0][:_LONGEST_MESSAGE_ID].decode("latin-1")
