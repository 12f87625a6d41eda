"""Owns how numbers and callers are written on the wire: formats of the trunk, From, and the headers of identity.

Must not know calls or SIP messages. Names and numbers come from outside: whatever they hold, what leaves here has no
control character, and in the user part nothing but what a telephone number or an account's name consists of.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Final, Literal

from campana.channels.voice.settings import VoiceRouteSettings

Format = Literal["e164", "digits", "national", "as given"]

LONGEST_NAME: Final = 80
"""Characters of a display name, before escaping."""
LONGEST_USER: Final = 64

ANONYMOUS: Final = "sip:anonymous@anonymous.invalid"
"""The URI of a caller that has none (RFC 3323, section 4.1)."""

_URI = re.compile(r"^(?:sips?|tel):", re.IGNORECASE)
_TRUNK_ZERO = re.compile(r"\( *0 *\)")
_NOT_DIALLED = re.compile(r"[^0-9*#]")
_NOT_USER = re.compile(r"[^0-9+*#A-Za-z._-]")
_LETTER = re.compile(r"[A-Za-z]")
_JOINERS: Final = "\u200c\u200d"
"""Invisible, and yet part of how some scripts are written."""


@dataclass(frozen=True, slots=True)
class Origination:
    """Who calls, as the headers of an INVITE say it; From has no tag yet."""

    from_header: str
    identity: tuple[tuple[str, str], ...]
    """Headers beside it: name and value."""


def dialled(destination: str, settings: VoiceRouteSettings) -> str:
    """Write a number of E.164 as the trunk wants it dialled. Raises ValueError where there is no digit in it."""
    digits = re.sub(r"[^0-9]", "", destination)
    if not digits:
        raise ValueError("destination: must be a number of E.164")
    return _in_format(digits, settings.number_format, settings)


def origination(caller_name: str, caller_number: str, settings: VoiceRouteSettings, trunk_host: str) -> Origination:
    """Tell who calls: the campaign's name and number, else the route's, else nobody (RFC 3323).

    `trunk_host` is the domain where the route sets none. Any text will do; what may not stand on the wire is left out.
    """
    name = _display_name(caller_name) or _display_name(settings.caller_name)
    user = _first_user((caller_number, settings.caller_number, settings.username), settings)
    if not user:
        return Origination(_name_address(name or "Anonymous", ANONYMOUS), ())
    address = _name_address(name, f"sip:{user}@{_domain(settings.from_domain or trunk_host)}")
    identity = tuple((header, address + _SUFFIXES.get(header, "")) for header in settings.identity)
    return Origination(address, identity)


_SUFFIXES: Final = {"Remote-Party-ID": ";party=calling;privacy=off;screen=no"}
"""What a header has behind the address: nobody but ourselves has checked the number (draft-ietf-sip-privacy-04)."""


def _first_user(numbers: tuple[str, ...], settings: VoiceRouteSettings) -> str:
    for number in numbers:
        user = _user(number, settings)
        if user:
            return user
    return ""


def _user(number: str, settings: VoiceRouteSettings) -> str:
    """The user part of a calling number. A number without + or 00 before it is not known to be international."""
    text = _URI.sub("", unicodedata.normalize("NFKC", number[:300]).strip()).partition("@")[0].partition(";")[0]
    if _LETTER.search(text):
        return _NOT_USER.sub("", text)[:LONGEST_USER].replace("#", "%23")
    international = text.startswith(("+", "00"))
    if international:
        text = _TRUNK_ZERO.sub("", text)
    digits = _NOT_DIALLED.sub("", text)[:LONGEST_USER]
    if digits.startswith("00") and international:
        digits = digits[2:]
    if not re.search(r"[0-9]", digits):
        return ""
    wanted = settings.number_format if settings.caller_format == "same" else settings.caller_format
    if wanted == "as given":
        digits = ("+" if text.startswith("+") else "00" if international else "") + digits
    elif international:
        digits = _in_format(digits, wanted, settings)
    # `#` ends a URI's part wherever it is not escaped (RFC 3261, section 25.1: user).
    return digits.replace("#", "%23")


def _in_format(digits: str, wanted: Format, settings: VoiceRouteSettings) -> str:
    """A number of E.164 without its + in a format of the settings."""
    if wanted == "digits":
        return digits
    if wanted != "national":
        return "+" + digits
    code = settings.country_code
    if digits.startswith(code):
        return settings.national_prefix + digits.removeprefix(code)
    return settings.international_prefix + digits


def _display_name(name: str) -> str:
    """A name without control characters, of one line and bounded length; not escaped yet."""
    kept = []
    for character in name[: 4 * LONGEST_NAME]:
        category = unicodedata.category(character)
        if category[0] == "Z" or character in "\t\r\n":
            kept.append(" ")
        elif category[0] != "C" or character in _JOINERS:
            kept.append(character)
    return " ".join("".join(kept).split())[:LONGEST_NAME].strip()


def _name_address(name: str, uri: str) -> str:
    """A name-addr (RFC 3261, section 25.1)."""
    if not name:
        return f"<{uri}>"
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}" <{uri}>'


def _domain(host: str) -> str:
    return f"[{host}]" if host.count(":") > 1 and not host.startswith("[") else host
