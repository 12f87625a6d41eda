"""Owns SIP messages as octets: requests and responses, their headers, parsed and rendered (RFC 3261, section 7).

Must not know transactions, dialogs, or how octets travel.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from campana.channels.voice.sip.headers import (
    LONGEST_VALUE,
    SipSyntaxError,
    parse_cseq,
    parse_via,
    split_list,
    tag_of,
    uri_of,
)

__all__ = [
    "Headers",
    "Request",
    "Response",
    "SipSyntaxError",
    "cseq_of",
    "parse",
    "render",
    "response_to",
    "tag_of",
    "uri_of",
    "via_branch",
]

LARGEST: Final = 65_536
"""Octets of a message at most."""
MOST_HEADERS: Final = 200
MANDATORY: Final = ("via", "from", "to", "call-id", "cseq")
"""Section 8.1.1, without Max-Forwards, which elder implementations leave out."""

_COMPACT: Final = {
    "a": "Accept-Contact",
    "b": "Referred-By",
    "c": "Content-Type",
    "d": "Request-Disposition",
    "e": "Content-Encoding",
    "f": "From",
    "i": "Call-ID",
    "j": "Reject-Contact",
    "k": "Supported",
    "l": "Content-Length",
    "m": "Contact",
    "n": "Identity-Info",
    "o": "Event",
    "r": "Refer-To",
    "s": "Subject",
    "t": "To",
    "u": "Allow-Events",
    "v": "Via",
    "x": "Session-Expires",
    "y": "Identity",
}
"""IANA's registry of SIP parameters, header fields."""

_LISTS: Final = frozenset(
    {"via", "route", "record-route", "contact", "path", "service-route", "reason", "allow", "supported"}
    | {"require", "proxy-require", "unsupported", "accept", "allow-events", "p-asserted-identity", "history-info"}
)
"""Headers whose values may share a line, separated by commas (section 7.3.1)."""

_NAME: Final = re.compile(r"[A-Za-z0-9.!%*_+`'~-]{1,64}")
_FORBIDDEN: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_REQUEST_LINE: Final = re.compile(r"([A-Za-z0-9.!%*_+`'~-]{1,32}) ([^\s<>\"]{1,2048}) SIP/2\.0", re.IGNORECASE)
_STATUS_LINE: Final = re.compile(r"SIP/2\.0 ([1-6][0-9]{2})(?: (.*))?", re.IGNORECASE)
_FOLD: Final = re.compile(r"\r\n[ \t]+")


class Headers:
    """Header fields in their order; names compare without case, and compact forms are spelled out."""

    __slots__ = ("_fields",)

    def __init__(self) -> None:
        self._fields: list[tuple[str, str, str]] = []

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Names and values as they stand on the wire."""
        return ((name, value) for _, name, value in self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __contains__(self, name: str) -> bool:
        key = name.lower()
        return any(field[0] == key for field in self._fields)

    def get(self, name: str) -> str | None:
        """The first value; of a header that is a list, the first of the list."""
        key = name.lower()
        for own, _, value in self._fields:
            if own == key:
                if key not in _LISTS:
                    return value
                if parts := split_list(value):
                    return parts[0]
        return None

    def all(self, name: str) -> list[str]:
        """Every value in order; lists are taken apart."""
        key = name.lower()
        values = [value for own, _, value in self._fields if own == key]
        return [part for value in values for part in split_list(value)] if key in _LISTS else values

    def add(self, name: str, value: str) -> None:
        """Add a value after those that are there. Raises SipSyntaxError for control characters, length and number."""
        spelled = _COMPACT.get(name.lower(), name)
        if _NAME.fullmatch(spelled) is None:
            raise SipSyntaxError("a header's name must be a token of at most 64 characters")
        if _FORBIDDEN.search(value) is not None:
            raise SipSyntaxError("a header's value must be without control characters")
        if len(value) > LONGEST_VALUE:
            raise SipSyntaxError(f"a header's value must have at most {LONGEST_VALUE} characters")
        if len(self._fields) >= MOST_HEADERS:
            raise SipSyntaxError(f"a message must have at most {MOST_HEADERS} headers")
        self._fields.append((spelled.lower(), spelled, value))

    def set(self, name: str, value: str) -> None:
        """Put one value in the place of all."""
        self.remove(name)
        self.add(name, value)

    def prepend(self, name: str, value: str) -> None:
        """Add a value before all others."""
        self.add(name, value)
        self._fields.insert(0, self._fields.pop())

    def remove(self, name: str) -> None:
        """Take every value away."""
        key = name.lower()
        self._fields = [field for field in self._fields if field[0] != key]

    def copy(self) -> Headers:
        """Headers of the same fields that change on their own."""
        twin = Headers()
        twin._fields = self._fields.copy()
        return twin


@dataclass(slots=True)
class Request:
    """A SIP request."""

    method: str
    uri: str
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""


@dataclass(slots=True)
class Response:
    """A SIP response."""

    status: int
    reason: str
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""


def parse(data: bytes) -> Request | Response:
    """Read one message: the start line, headers, and as much of the rest as Content-Length says (section 18.3).

    On return the mandatory headers are there, CSeq can be read and names a request's method. Raises SipSyntaxError.
    """
    if len(data) > LARGEST:
        raise SipSyntaxError(f"a message must have at most {LARGEST} octets")
    head, blank, body = data.lstrip(b"\r\n").partition(b"\r\n\r\n")
    if not blank:
        raise SipSyntaxError("the headers must end with an empty line")
    text = head.decode("utf-8", "replace")
    if "\r\n " in text or "\r\n\t" in text:
        text = _FOLD.sub(" ", text)
    lines = text.split("\r\n")
    message = _start(lines[0])
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon:
            raise SipSyntaxError("a header must be NAME: VALUE")
        message.headers.add(name.rstrip(" \t"), value.strip(" \t"))
    _check(message)
    message.body = _cut(message.headers.get("Content-Length"), body)
    return message


def _start(line: str) -> Request | Response:
    if _FORBIDDEN.search(line) is not None:
        raise SipSyntaxError("the start line must be without control characters")
    if (found := _STATUS_LINE.fullmatch(line)) is not None:
        return Response(int(found[1]), (found[2] or "").strip())
    if (found := _REQUEST_LINE.fullmatch(line)) is not None:
        return Request(found[1], found[2])
    raise SipSyntaxError("the start line must be METHOD URI SIP/2.0 or SIP/2.0 STATUS REASON")


def _check(message: Request | Response) -> None:
    for name in MANDATORY:
        if name not in message.headers:
            raise SipSyntaxError(f"a message must have the header {name}")
    _, method = cseq_of(message)
    if isinstance(message, Request) and method != message.method:
        raise SipSyntaxError("CSeq must name the request's method")


def _cut(length: str | None, body: bytes) -> bytes:
    if length is None:
        return body
    if not (length.isascii() and length.isdigit() and len(length) <= 6):
        raise SipSyntaxError("Content-Length must be a number")
    if int(length) > len(body):
        raise SipSyntaxError("a message must have as many octets as Content-Length says")
    return body[: int(length)]


def render(message: Request | Response) -> bytes:
    """The octets of a message. Content-Length is set to what it is. Raises SipSyntaxError for an unfit start line."""
    if isinstance(message, Request):
        start = f"{message.method} {message.uri} SIP/2.0"
    else:
        start = f"SIP/2.0 {message.status} {message.reason}"
    if _FORBIDDEN.search(start) is not None:
        raise SipSyntaxError("the start line must be without control characters")
    lines = [start]
    lines += [f"{name}: {value}" for name, value in message.headers if name.lower() != "content-length"]
    lines += [f"Content-Length: {len(message.body)}", "", ""]
    return "\r\n".join(lines).encode("utf-8", "replace") + message.body


def response_to(request: Request, status: int, reason: str, tag: str = "") -> Response:
    """A response with what must be repeated of the request (section 8.2.6.2); `tag` goes into a To without one."""
    response = Response(status, reason)
    for name in ("Via", "Record-Route"):
        for value in request.headers.all(name):
            response.headers.add(name, value)
    for name in ("From", "To", "Call-ID", "CSeq"):
        value = request.headers.get(name) or ""
        if name == "To" and tag and not tag_of(value):
            value += f";tag={tag}"
        response.headers.add(name, value)
    return response


def via_branch(message: Request | Response) -> str:
    """The branch of the first Via, by which transactions are told apart; blank where there is none."""
    return parse_via(message.headers.get("Via") or "").branch


def cseq_of(message: Request | Response) -> tuple[int, str]:
    """Number and method of CSeq."""
    return parse_cseq(message.headers.get("CSeq") or "")
