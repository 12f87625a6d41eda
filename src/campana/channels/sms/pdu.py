"""Owns the frame of SMPP 3.4: command numbers, the header, and cutting a stream of bytes into PDUs.

Must not know what stands in a body (bodies.py) nor what a session does with it.
"""

from __future__ import annotations

import struct
from typing import Final

# SMPP 3.4 section 5.1.2.1. Plain integers: these are compared for every PDU.
GENERIC_NACK: Final = 0x80000000
BIND_RECEIVER: Final = 0x00000001
BIND_TRANSMITTER: Final = 0x00000002
QUERY_SM: Final = 0x00000003
SUBMIT_SM: Final = 0x00000004
DELIVER_SM: Final = 0x00000005
UNBIND: Final = 0x00000006
BIND_TRANSCEIVER: Final = 0x00000009
OUTBIND: Final = 0x0000000B
ENQUIRE_LINK: Final = 0x00000015
ALERT_NOTIFICATION: Final = 0x00000102
DATA_SM: Final = 0x00000103

RESPONSE: Final = 0x80000000
"""The bit that makes a response of a request's number."""
SUBMIT_SM_RESP: Final = SUBMIT_SM | RESPONSE
DELIVER_SM_RESP: Final = DELIVER_SM | RESPONSE

HEADER: Final = struct.Struct(">LLLL")
"""command_length, command_id, command_status, sequence_number (section 3.2)."""
HEADER_SIZE: Final = 16
LARGEST_PDU: Final = 66_560
"""A message_payload of 65,535 octets and everything else that may stand beside it."""
LARGEST_SEQUENCE: Final = 0x7FFFFFFF
VERSION: Final = 0x34

Frame = tuple[int, int, int, bytes]
"""(command_id, command_status, sequence_number, body)."""

_unpack_header = HEADER.unpack_from


class PduError(ValueError):
    """A PDU breaks the specification. `status` is the command_status to answer it with."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def pack(command: int, status: int, sequence: int, body: bytes = b"") -> bytes:
    """One whole PDU."""
    return HEADER.pack(HEADER_SIZE + len(body), command, status, sequence) + body


class Framer:
    """Cuts what arrives into PDUs, whatever pieces it arrives in.

    Once a command_length cannot be one (shorter than a header, longer than LARGEST_PDU) nothing after it can be
    found any more: `broken` turns true and stays so.
    """

    __slots__ = ("_missing", "_rest", "broken", "broken_sequence")

    def __init__(self) -> None:
        self._rest = bytearray()
        self._missing = 0
        self.broken = False
        self.broken_sequence = 0
        """The sequence number beside the broken length, for the generic_nack; 0 where none had come."""

    def feed(self, data: bytes) -> list[Frame]:
        """Take bytes as they came; return the PDUs that are now complete, in order. Never raises."""
        if self._rest:
            self._rest += data
            if len(self._rest) < self._missing:
                return []
            data = bytes(self._rest)
            self._rest.clear()
        frames: list[Frame] = []
        position, size = 0, len(data)
        while size - position >= HEADER_SIZE and not self.broken:
            length, command, status, sequence = _unpack_header(data, position)
            if not HEADER_SIZE <= length <= LARGEST_PDU:
                self.broken, self.broken_sequence = True, sequence
                break
            end = position + length
            if end > size:
                break
            frames.append((command, status, sequence, data[position + HEADER_SIZE : end]))
            position = end
        if position < size and not self.broken:
            self._keep(data[position:])
        return frames

    def _keep(self, rest: bytes) -> None:
        self._rest += rest
        self._missing = HEADER_SIZE
        if len(rest) >= 4:
            self._missing = int.from_bytes(rest[:4], "big")
            if not HEADER_SIZE <= self._missing <= LARGEST_PDU:
                self.broken = True
