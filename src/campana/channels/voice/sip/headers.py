"""Owns the grammar of SIP header values: lists, addresses, URIs, Via, CSeq, Reason, challenges (RFC 3261, section 25).

Must not know messages, transactions, or what any value is for. Every reader raises SipSyntaxError and nothing else,
in time linear in the length of the value.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from campana.channels.voice.sip.uri import Transport

LONGEST_VALUE: Final = 8_192
"""Characters of one header value at most."""

_SPECIAL: Final = re.compile(r'["\\<>,]')
# Possessive quantifiers (*+) wherever two neighbours could share characters: hostile values cost linear time only.
_PARAMETER: Final = re.compile(
    r"[ \t]*+(?:(?P<name>[A-Za-z0-9.!%*_+`'~-]++)[ \t]*+"
    r'(?:=[ \t]*+(?:"(?P<quoted>(?:[^"\\]|\\.)*+)"|(?P<plain>[^;,"<>]*+)))?)?[ \t]*+(?:;|$)'
)
_AUTH: Final = re.compile(
    r"[ \t,]*+(?P<name>[A-Za-z0-9.!%*_+`'~-]++)[ \t]*+=[ \t]*+"
    r'(?:"(?P<quoted>(?:[^"\\]|\\.)*+)"|(?P<plain>[^\s,"]*+))[ \t]*+'
)
_URI: Final = re.compile(
    r"(?P<scheme>sips?):(?:(?P<user>[^@\s<>\"]*+)@)?(?P<host>\[[0-9A-Fa-f:.]++\]|[A-Za-z0-9._-]++)"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<parameters>(?:;[^?\s<>\"]*+)?)(?:\?[^\s<>]*+)?",
    re.IGNORECASE,
)
_VIA: Final = re.compile(
    r"SIP[ \t]*+/[ \t]*+2\.0[ \t]*+/[ \t]*+(?P<transport>[A-Za-z0-9-]++)[ \t]++"
    r"(?P<host>\[[0-9A-Fa-f:.]++\]|[A-Za-z0-9._-]++)[ \t]*+(?::[ \t]*+(?P<port>[0-9]{1,5}))?[ \t]*+"
    r"(?:;(?P<parameters>.*+))?",
    re.IGNORECASE,
)
_CSEQ: Final = re.compile(r"([0-9]{1,10})[ \t]++([A-Za-z0-9.!%*_+`'~-]++)")
_ESCAPE: Final = re.compile(r"\\(.)")


class SipSyntaxError(ValueError):
    """It is not SIP as RFC 3261 writes it. The sentence names the rule, never the value."""


@dataclass(frozen=True, slots=True)
class SipUri:
    """A sip: or sips: URI (section 19.1)."""

    scheme: str
    user: str
    """As written, escapes included; blank where there is none. With a password, `user:password`."""
    host: str
    """IPv6 without brackets."""
    port: int | None
    parameters: dict[str, str] = field(default_factory=dict)
    """Names in lower case; blank values where a parameter stands alone."""

    @property
    def transport(self) -> Transport:
        """How the URI wants to be reached; UDP where it says nothing that we know (names compare without case)."""
        if self.scheme == "sips":
            return Transport.TLS
        return Transport.__members__.get(self.parameters.get("transport", "").upper(), Transport.UDP)


@dataclass(frozen=True, slots=True)
class Via:
    """One Via value (section 20.42)."""

    transport: str
    host: str
    port: int | None
    parameters: dict[str, str]

    @property
    def branch(self) -> str:
        """The transaction it belongs to."""
        return self.parameters.get("branch", "")


@dataclass(frozen=True, slots=True)
class Reason:
    """One Reason value (RFC 3326)."""

    protocol: str
    """In upper case: `SIP` or `Q.850`."""
    cause: int | None
    text: str


def split_list(value: str) -> list[str]:
    """The values of a comma-separated header, split outside quotes and angle brackets, without blank ones."""
    if "," not in value:
        parts = [value]
    elif '"' not in value and "<" not in value:
        parts = value.split(",")
    else:
        parts = _split_carefully(value)
    return [part for part in (part.strip() for part in parts) if part]


def _split_carefully(value: str) -> list[str]:
    parts: list[str] = []
    begin, quoted, bracketed, skip = 0, False, False, -1
    for match in _SPECIAL.finditer(value):
        place, letter = match.start(), match[0]
        if place == skip:
            continue
        if letter == "\\":
            skip = place + 1 if quoted else -1
        elif letter == '"' and not bracketed:
            quoted = not quoted
        elif not quoted and letter in "<>":
            bracketed = letter == "<"
        elif letter == "," and not quoted and not bracketed:
            parts.append(value[begin:place])
            begin = place + 1
    parts.append(value[begin:])
    return parts


def parse_parameters(text: str) -> dict[str, str]:
    """`a=1;b="x;y";lr` as a dictionary: names in lower case, quotes undone, the first of a name counts."""
    found: dict[str, str] = {}
    place = 0
    while place < len(text):
        match = _PARAMETER.match(text, place)
        if match is None:
            raise SipSyntaxError("parameters must be NAME=VALUE, separated by ;")
        if match["name"]:
            quoted = match["quoted"]
            value = (match["plain"] or "").strip() if quoted is None else unquote(quoted)
            found.setdefault(match["name"].lower(), value)
        place = match.end()
    return found


def unquote(text: str) -> str:
    """The inside of a quoted string without its escapes."""
    return _ESCAPE.sub(r"\1", text) if "\\" in text else text


def quote(text: str) -> str:
    """A quoted string (section 25.1)."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def split_address(value: str) -> tuple[str, str]:
    """A From, To, Contact or (Record-)Route value as its URI and its parameters' text."""
    begin = _bracket(value)
    if begin < 0:
        uri, _, parameters = value.partition(";")
        return uri.strip(), parameters
    end = value.find(">", begin)
    if end < 0:
        raise SipSyntaxError("an address must end its < with >")
    rest = value[end + 1 :].strip()
    if rest and not rest.startswith(";"):
        raise SipSyntaxError("only parameters may follow an address")
    return value[begin + 1 : end].strip(), rest[1:]


def _bracket(value: str) -> int:
    """Where the < of an address stands outside a quoted display name; -1 where there is none."""
    start = value.find('"')
    bracket = value.find("<")
    if start < 0 or 0 <= bracket < start:
        return bracket
    place = start + 1
    while place < len(value) and value[place] != '"':
        place += 2 if value[place] == "\\" else 1
    if place >= len(value):
        raise SipSyntaxError("a display name must end its quote")
    return value.find("<", place)


def uri_of(value: str) -> str:
    """The URI of an address."""
    return split_address(value)[0]


def tag_of(value: str) -> str:
    """The tag of a From or To value; blank where there is none."""
    return parse_parameters(split_address(value)[1]).get("tag", "")


def parse_uri(text: str) -> SipUri:
    """Read a sip: or sips: URI; headers after a question mark are left out."""
    match = _URI.fullmatch(text)
    if match is None or len(text) > LONGEST_VALUE:
        raise SipSyntaxError("a URI must be sip:USER@HOST:PORT;PARAMETERS")
    return SipUri(
        scheme=match["scheme"].lower(),
        user=match["user"] or "",
        host=match["host"].strip("[]"),
        port=_port(match["port"]),
        parameters=_uri_parameters(match["parameters"]),
    )


def _uri_parameters(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in text.split(";"):
        name, _, value = part.partition("=")
        if name:
            found.setdefault(name.lower(), value)
    return found


def _port(text: str | None) -> int | None:
    port = int(text) if text else None
    if port is not None and not 1 <= port <= 65_535:
        raise SipSyntaxError("a port must be from 1 to 65535")
    return port


def parse_via(value: str) -> Via:
    """Read one Via value."""
    match = _VIA.fullmatch(value)
    if match is None:
        raise SipSyntaxError("Via must be SIP/2.0/TRANSPORT HOST:PORT;PARAMETERS")
    port, parameters = _port(match["port"]), parse_parameters(match["parameters"] or "")
    return Via(match["transport"].upper(), match["host"].strip("[]"), port, parameters)


def parse_cseq(value: str) -> tuple[int, str]:
    """Read a CSeq value: its number, below 2**31 (section 8.1.1.5), and its method."""
    match = _CSEQ.fullmatch(value)
    if match is None or int(match[1]) >= 1 << 31:
        raise SipSyntaxError("CSeq must be a number below 2**31 and a method")
    return int(match[1]), match[2]


def parse_reason(value: str) -> Reason:
    """Read one Reason value."""
    protocol, _, rest = value.partition(";")
    parameters = parse_parameters(rest)
    cause = parameters.get("cause", "")
    number = int(cause) if cause.isascii() and cause.isdigit() and len(cause) <= 3 else None
    return Reason(protocol.strip().upper(), number, parameters.get("text", ""))


def parse_challenge(value: str) -> tuple[str, dict[str, str]]:
    """Read a WWW-Authenticate or Authorization value: its scheme in lower case, and its parameters by lower name."""
    scheme, _, rest = value.strip(" \t,").partition(" ")
    found: dict[str, str] = {}
    place = 0
    while place < len(rest):
        match = _AUTH.match(rest, place)
        if match is None or (match.end() < len(rest) and rest[match.end()] != ","):
            raise SipSyntaxError("a challenge must be a scheme and NAME=VALUE, separated by commas")
        quoted = match["quoted"]
        found.setdefault(match["name"].lower(), match["plain"] if quoted is None else unquote(quoted))
        place = match.end()
    return scheme.lower(), found
