"""Owns how an email address stands in an SMTP command and in a header field.

Must not know sessions or message bodies. Syntax is email-validator's; here it is only brought onto the wire.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from email_validator import EmailNotValidError, ValidatedEmail, validate_email

_PLAIN = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@[A-Za-z0-9.-]{1,253}")
_NAMED = re.compile(r"(?P<name>.*?)\s*<(?P<address>[^<>]*)>")
_QUOTED = re.compile(r'"(?P<name>(?:[^"\\]|\\.)*)"')
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_LIMIT = 254  # RFC 5321 section 4.5.3.1.3


class BadAddress(ValueError):
    """It cannot stand in a command or header. The sentence never quotes the address."""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """An address on the wire. `utf8` says that its local part is beyond ASCII: RFC 6531 is needed to carry it."""

    wire: bytes
    domain: str
    """In ASCII (IDNA)."""
    utf8: bool = False
    name: str = ""
    """The display name, where there was one."""

    @property
    def text(self) -> str:
        """The address as text: `local@domain`, the domain in ASCII."""
        return self.wire.decode()


def wire_address(address: str) -> bytes | None:
    """Return the address as bytes where it is one that any server takes as it stands; else None: ask mailbox().

    It exists because it is asked once a message.
    """
    if len(address) > _LIMIT or _PLAIN.fullmatch(address) is None:
        return None
    return address.encode("ascii")


def mailbox(address: str) -> Mailbox:
    """Parse a bare address. Raises BadAddress. RFC 5321 section 4.1.2, RFC 6531 section 3.3, RFC 5891."""
    plain = wire_address(address)
    if plain is not None:
        return Mailbox(plain, address.rpartition("@")[2])
    valid = _validated(address)
    if _CONTROL.search(valid.local_part) is not None:
        raise BadAddress("an address must not hold control characters")
    wire = f"{valid.local_part}@{valid.ascii_domain}".encode()
    return Mailbox(wire, valid.ascii_domain, utf8=not valid.local_part.isascii())


def named_mailbox(source: str) -> Mailbox:
    """Parse `local@domain`, or `Name <local@domain>` with the name bare or quoted. Raises BadAddress.

    The name may hold any printable characters, also those that RFC 5322 wants quoted: quoting is done here.
    """
    source = source.strip(" \t")
    if _CONTROL.search(source) is not None:
        raise BadAddress("an address must not hold line breaks or control characters")
    match = _NAMED.fullmatch(source)
    if match is None:
        return mailbox(source)
    name = match["name"].strip()
    quoted = _QUOTED.fullmatch(name)
    if quoted is not None:
        name = re.sub(r"\\(.)", r"\1", quoted["name"])
    bare = mailbox(match["address"].strip())
    return Mailbox(bare.wire, bare.domain, bare.utf8, name)


def _validated(address: str) -> ValidatedEmail:
    try:
        return validate_email(
            address,
            check_deliverability=False,
            allow_quoted_local=True,
            allow_domain_literal=False,
            globally_deliverable=False,
        )
    except EmailNotValidError:
        raise BadAddress("not an email address") from None
