"""Owns what a destination and an origination is: phone numbers to dial, email addresses, senders of SMS.

Must not know a campaign, a contact or a carrier. Nothing that comes out of here holds a control character.
Refusals are ValueErrors with one sentence that names the rule and never the value.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import email_validator
import phonenumbers
from email_validator.rfc_constants import CASE_INSENSITIVE_MAILBOX_NAMES

from campana.domain.text.characters import is_one_line
from campana.domain.text.gsm0338 import encode_gsm

PHONE_LENGTH_MAX = 64
"""Characters of a phone number as people write it."""
EMAIL_LENGTH_MAX = 254
"""Octets of an address (RFC 5321, section 4.5.3.1.3, errata 1690)."""
SENDER_SEPTETS_MAX = 11
"""Of an alphanumeric sender (3GPP TS 23.040, section 9.1.2.5)."""
DISPLAY_NAME_MAX = 200

# --- phone numbers ---------------------------------------------------------------------------------------------

_CLEAN_E164 = re.compile(r"\+[1-9][0-9]{5,14}")
_NOT_A_PHONE = "A phone number must be a possible one, best in international form such as +14165550100."


def dial_phone(text: str, region: str) -> str:
    """Read a phone number as people write it, to its E.164 form with plus.

    `region` (ISO 3166-1 alpha-2) reads numbers in national form. The number must be possible: a right length for
    its country; reserved and fictional ones are. Extensions, control characters and more than 64 characters are
    refused. Raises ValueError.
    """
    if len(text) > PHONE_LENGTH_MAX:
        raise ValueError(f"A phone number must not have more than {PHONE_LENGTH_MAX} characters.")
    if _CLEAN_E164.fullmatch(text) and _is_plainly_possible(text):
        return text
    written = text.strip()
    if not is_one_line(written):
        raise ValueError("A phone number must not hold control characters.")
    try:
        number = phonenumbers.parse(written, region)
    except phonenumbers.NumberParseException:
        raise ValueError(_NOT_A_PHONE) from None
    if number.extension:
        raise ValueError("A phone number must not have an extension.")
    if not phonenumbers.is_possible_number(number):
        raise ValueError(_NOT_A_PHONE)
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


@dataclass(frozen=True, slots=True)
class _Numbering:
    """What the library's metadata say of one country code."""

    lengths: frozenset[int]
    prefix: re.Pattern[str] | None
    """What the library might take off the national number; where it matches, the library decides."""


def _is_plainly_possible(number: str) -> bool:
    """Tell whether the library would give a clean E.164 number back as it is; False means to ask the library.

    Parsing takes 20 µs and most numbers come like this; the metadata are the library's own.
    """
    for end in (2, 3, 4):
        numbering = _numbering(number[1:end])
        if numbering is not None:
            national = number[end:]
            if len(national) not in numbering.lengths or national[0] == "0":
                return False
            return numbering.prefix is None or numbering.prefix.match(national) is None
    return False


@cache
def _numbering(country_code: str) -> _Numbering | None:
    code = int(country_code)
    regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(code)
    if regions is None:
        return None
    metadata = phonenumbers.PhoneMetadata.metadata_for_region_or_calling_code(code, regions[0])
    if metadata is None or metadata.general_desc is None:
        return None
    prefix = metadata.national_prefix_for_parsing
    return _Numbering(
        lengths=frozenset(metadata.general_desc.possible_length),
        prefix=re.compile(prefix) if prefix else None,
    )


# --- email addresses -------------------------------------------------------------------------------------------

_SPECIAL_USE = frozenset(email_validator.SPECIAL_USE_DOMAIN_NAMES) | {"example"}
# The library's own switch: these names are for tests and closed networks, where people run Campana too.
email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()

_ATOM = r"[A-Za-z0-9_!#$%&'*+\-/=?^`{|}~]+"
_LABEL = r"[a-z0-9]+(?:-[a-z0-9]+)*"
_PLAIN_ADDRESS = re.compile(rf"({_ATOM}(?:\.{_ATOM})*)@((?:{_LABEL}\.)+[a-z]{{2,}})")
_LABEL_MAX = 63
_DOMAIN_MAX = 253
_ROLES = frozenset(CASE_INSENSITIVE_MAILBOX_NAMES)
"""Local parts that the library writes in lower case (RFC 2142)."""


def normalise_email(text: str) -> str:
    """Read an email address to its normalised form: domain in lower case and Unicode, local part as it is (NFC).

    Syntax alone decides, without DNS; special-use domains (localhost, example.test) and internationalised addresses
    are fine, quoted local parts, address literals and display names are not. Raises ValueError.
    """
    address = text.strip()
    if len(address) > EMAIL_LENGTH_MAX:
        raise ValueError(f"An email address must not have more than {EMAIL_LENGTH_MAX} characters.")
    if _is_plain_address(address):
        return address
    if not is_one_line(address):
        raise ValueError("An email address must not hold control characters.")
    try:
        return email_validator.validate_email(
            address,
            check_deliverability=False,
            globally_deliverable=address.rpartition("@")[2].lower() not in _SPECIAL_USE,
        ).normalized
    except email_validator.EmailNotValidError:
        raise ValueError("An email address must have the form name@example.com.") from None


def _is_plain_address(address: str) -> bool:
    """Tell whether the library would give an address back as it is; False means to ask the library, at 40 µs."""
    match = _PLAIN_ADDRESS.fullmatch(address)
    if match is None:
        return False
    local, domain = match.groups()
    if len(domain) > _DOMAIN_MAX or max(map(len, domain.split("."))) > _LABEL_MAX:
        return False
    return local.islower() or local.lower() not in _ROLES


class Mailbox(NamedTuple):
    """A display name, "" where there is none, and a normalised address."""

    name: str
    address: str


_QUOTED_PAIR = re.compile(r"\\(.)")


def parse_mailbox(text: str) -> Mailbox:
    """Read an origination such as `noreply@example.com` or `Town Hall <noreply@example.com>`.

    The name may be quoted and is given back without quotes; it holds no control character, so it cannot end a
    header. Raises ValueError.
    """
    written = text.strip()
    if not is_one_line(written):
        raise ValueError("A from-address must not hold control characters.")
    if not written.endswith(">"):
        return Mailbox("", normalise_email(written))
    name, bracket, address = written[:-1].rpartition("<")
    if not bracket:
        raise ValueError("A from-address must have the form name@example.com or Name <name@example.com>.")
    name = name.strip()
    if len(name) > 1 and name[0] == name[-1] == '"':
        name = _QUOTED_PAIR.sub(r"\1", name[1:-1])
    if len(name) > DISPLAY_NAME_MAX:
        raise ValueError(f"The name of a from-address must not have more than {DISPLAY_NAME_MAX} characters.")
    return Mailbox(name, normalise_email(address))


# --- senders of SMS --------------------------------------------------------------------------------------------

_SEPARATORS = str.maketrans("", "", " ().-/")
_DIGITS = re.compile(r"[0-9]{3,15}")
_LETTER = re.compile(r"[A-Za-z]")


def check_sender(text: str) -> None:
    """Refuse what no carrier shows as the origin of an SMS.

    It is a name of letters (up to 11 septets of printable ASCII), a short code or number of 3 to 15 digits, or a
    possible number in international form with plus. Raises ValueError.
    """
    sender = text.strip()
    if sender.startswith("+"):
        dial_phone(sender, "ZZ")
        return
    if _DIGITS.fullmatch(sender.translate(_SEPARATORS)):
        return
    septets = encode_gsm(sender) if sender.isascii() and sender.isprintable() else None
    if septets is None or not _LETTER.search(sender) or len(septets) > SENDER_SEPTETS_MAX:
        raise ValueError(
            f"The sender of an SMS must be a number, a short code, or a name of at most {SENDER_SEPTETS_MAX} letters"
            " and digits."
        )
