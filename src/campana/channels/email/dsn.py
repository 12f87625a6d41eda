"""Owns reading what mail servers send back: the few header fields and delivery statuses that tell a bounce.

Must not know what a status means to Campana. Whatever comes, the time spent grows with its size only: parts are
found by their delimiter lines, nothing is parsed recursively, and header blocks have a limit.
"""

from __future__ import annotations

import binascii
import quopri
import re
from base64 import b64decode
from dataclasses import dataclass
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message
from email.parser import BytesHeaderParser

_HEADER_LIMIT = 64 * 1024
_FIELD_LIMIT = 2000
_PARTS_LIMIT = 20
_STATUS_LIMIT = 64 * 1024
_BLOCKS_LIMIT = 50
_STATUS_TYPES = frozenset({"message/delivery-status", "message/global-delivery-status"})
_KEYWORD = re.compile(r"\s*[A-Za-z-]*")
_BLANK_LINE = re.compile(rb"\r?\n[ \t]*\r?\n")


@dataclass(frozen=True, slots=True)
class RecipientStatus:
    """The fields on one recipient (RFC 3464 section 2.3), as they came; empty where missing."""

    action: str
    """In lower case: failed, delayed, delivered, relayed or expanded."""
    status: str
    diagnostic: str


@dataclass(frozen=True, slots=True)
class Notice:
    """A message that came to a bounce address, as far as it matters."""

    subject: str
    content_type: str
    report_type: str
    auto_submitted: str
    """The keyword of RFC 3834; empty where the field is missing."""
    statuses: tuple[RecipientStatus, ...]


def read_notice(message: bytes) -> Notice:
    """Read a message with any line ends. Never raises for what stands in it: what is not understood is left out."""
    head, body = _split(message)
    return Notice(
        subject=_unfolded(_decoded(_field(head, "Subject"))),
        content_type=head.get_content_type(),
        report_type=_parameter(head, "report-type").lower(),
        auto_submitted=_keyword(_field(head, "Auto-Submitted")),
        statuses=_statuses(_parameter(head, "boundary"), body),
    )


def _statuses(boundary: str, body: bytes) -> tuple[RecipientStatus, ...]:
    """The recipients of the first part that is a delivery status."""
    if not boundary:
        return ()
    delimiter = b"\n--" + boundary.encode("utf-8", "surrogateescape")
    for part in (b"\n" + body).split(delimiter, _PARTS_LIMIT)[1:]:
        # What is left of the delimiter line is blank, or "--" at the very end.
        head, content = _split(part.partition(b"\n")[2])
        if head.get_content_type() in _STATUS_TYPES:
            return _recipients(_decoded_content(head, content[:_STATUS_LIMIT]))
    return ()


def _recipients(content: bytes) -> tuple[RecipientStatus, ...]:
    found = []
    for block in _BLANK_LINE.split(content.strip(), _BLOCKS_LIMIT)[:_BLOCKS_LIMIT]:
        fields = _parse(block)
        action = _unfolded(_field(fields, "Action")).lower()
        if action:
            status = _unfolded(_field(fields, "Status"))
            found.append(RecipientStatus(action, status, _unfolded(_field(fields, "Diagnostic-Code"))))
    return tuple(found)


def _split(message: bytes) -> tuple[Message, bytes]:
    """Header and body. A message may begin with its body: then there is no header."""
    if message[:1] == b"\n" or message[:2] == b"\r\n":
        return Message(), message
    blank = _BLANK_LINE.search(message, 0, _HEADER_LIMIT)
    if blank is None:
        return _parse(message[:_HEADER_LIMIT]), b""
    return _parse(message[: blank.start()]), message[blank.end() :]


def _parse(block: bytes) -> Message:
    message = BytesHeaderParser().parsebytes(block)
    kind = message.get("Content-Type")
    if kind is not None and len(str(kind)) > _FIELD_LIMIT:
        # The standard library's time for a parameter grows with the square of the field.
        del message["Content-Type"]
    return message


def _field(message: Message, name: str) -> str:
    return str(message.get(name, ""))[:_FIELD_LIMIT]


def _parameter(message: Message, name: str) -> str:
    try:
        value = message.get_param(name, "")
    except (ValueError, LookupError):  # an RFC 2231 parameter in an alphabet that is none
        return ""
    return value if isinstance(value, str) else str(value[2] if value else "")


def _decoded(field: str) -> str:
    try:
        return str(make_header(decode_header(field)))
    except (ValueError, LookupError, MessageError):  # words in an alphabet that is none, or not base64
        return field


def _keyword(field: str) -> str:
    found = _KEYWORD.match(field)
    return found[0].strip().lower() if found else ""


def _unfolded(field: str) -> str:
    return " ".join(field.split())


def _decoded_content(head: Message, content: bytes) -> bytes:
    encoding = _field(head, "Content-Transfer-Encoding").strip().lower()
    if encoding == "quoted-printable":
        return quopri.decodestring(content)
    if encoding == "base64":
        try:
            return b64decode(content)
        except (binascii.Error, ValueError):
            return b""
    return content
