"""Owns how a number or name becomes an SMPP address: type of number and numbering plan by rule.

Must not know which PDU the address stands in.

The rule (sections 5.2.5 and 5.2.6), each part of which a route's settings may override:

| the number or name | TON | NPI | as sent |
|---|---|---|---|
| `+` and digits, or `00` and 7 digits and more, or 9 digits and more | 1 international | 1 E.164 | digits alone |
| up to 8 digits without `+` (a short code) | 3 network specific | 0 unknown | as it is |
| anything with another character (a name) | 5 alphanumeric | 0 unknown | as it is, 11 characters at most |
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from campana.channels.sms.bodies import Address

TON_INTERNATIONAL: Final = 1
TON_NETWORK: Final = 3
TON_ALPHANUMERIC: Final = 5
NPI_UNKNOWN: Final = 0
NPI_E164: Final = 1

LONGEST_SHORT_CODE: Final = 8
LONGEST_NUMBER: Final = 20
"""Section 5.2.8: 21 octets with the NUL."""
LONGEST_NAME: Final = 11
"""3GPP TS 23.040 section 9.1.2.5: ten octets of seven-bit characters."""

_SEPARATORS: Final = str.maketrans("", "", " -./()")
_NUMBER: Final = re.compile(r"(\+|00(?=[0-9]{7}))?([0-9]{1,20})")


class AddressError(ValueError):
    """It cannot stand in an SMPP address. The sentence names the rule, never the value."""


@dataclass(frozen=True, slots=True)
class Override:
    """TON and NPI that a route's settings give instead of the rule's; None leaves the rule's."""

    ton: int | None = None
    npi: int | None = None


NO_OVERRIDE: Final = Override()


def to_address(text: str, override: Override = NO_OVERRIDE) -> Address:
    """The SMPP address of a number or name. Raises AddressError."""
    ton, npi, octets = _by_rule(text.strip())
    return Address(ton if override.ton is None else override.ton, npi if override.npi is None else override.npi, octets)


def from_address(address: Address) -> str:
    """A number as people write it: with + where the carrier says that it is international."""
    text = address.text.decode("latin-1")
    return f"+{text}" if address.ton == TON_INTERNATIONAL and text.isdigit() else text


def _by_rule(text: str) -> tuple[int, int, bytes]:
    number = _NUMBER.fullmatch(text.translate(_SEPARATORS))
    if number is None:
        return TON_ALPHANUMERIC, NPI_UNKNOWN, _name(text)
    prefix, digits = number.groups()
    if prefix is None and len(digits) <= LONGEST_SHORT_CODE:
        return TON_NETWORK, NPI_UNKNOWN, digits.encode("ascii")
    return TON_INTERNATIONAL, NPI_E164, digits.encode("ascii")


def _name(text: str) -> bytes:
    if not text:
        raise AddressError("it is blank")
    if len(text) > LONGEST_NAME:
        raise AddressError(f"a name has at most {LONGEST_NAME} characters, a number at most {LONGEST_NUMBER} digits")
    if not (text.isascii() and text.isprintable()):
        raise AddressError("a name has printable ASCII characters only")
    return text.encode("ascii")
