"""Owns which addresses Campana may call on a client's word: the syntax of a progress endpoint, and private networks.

Must not resolve names: whoever connects asks here about every address that a name turned out to be.
"""

from __future__ import annotations

import re
import unicodedata
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from campana.domain.text.characters import is_one_line

ENDPOINT_LENGTH_MAX = 2_048
SCHEMES = frozenset({"http", "https", "ws", "wss"})

_WHITE_SPACE = re.compile(r"\s")
_NAT64 = IPv6Network("64:ff9b::/96")
_UNICAST = IPv6Network("2000::/3")
"""All of IPv6 that was ever given out for the public Internet (RFC 4291, section 2.4). What lies beside it means
something on a site's own network at best: fec0::/10 (RFC 3879), NAT64 of one's own (RFC 8215), SIIT (RFC 7915)."""
_BESIDES = (
    # Python calls them global, in some versions; clouds answer there with what is a machine's own.
    IPv4Network("192.0.0.0/24"),
    IPv4Network("168.63.129.16/32"),
    IPv6Network("3fff::/20"),
)
_IPV4_COMPATIBLE = IPv6Network("::/96")
_LOCAL_NAMES = ("localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback")
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")


def check_endpoint(url: str, *, allow_private: bool = False) -> None:
    """Refuse what is not an http(s) or ws(s) URL with a host, or whose host is plainly not on the public Internet.

    Plainly means localhost and literal addresses in any spelling that resolvers take. Names pass: they are judged
    when they are resolved. Raises ValueError.
    """
    if len(url) > ENDPOINT_LENGTH_MAX:
        raise ValueError(f"A progress endpoint must not have more than {ENDPOINT_LENGTH_MAX} characters.")
    host = _host_of(url)
    if not allow_private and _is_plainly_private(host):
        raise ValueError("A progress endpoint must not be on this machine or in a private network.")


def is_private(address: IPv4Address | IPv6Address) -> bool:
    """Tell whether an address is not one of the public Internet: loopback, private, link-local, reserved, multicast.

    An IPv6 address that stands for an IPv4 address (mapped, compatible, 6to4, NAT64, Teredo) is judged by that, too.
    """
    if not address.is_global or address.is_multicast or any(address in network for network in _BESIDES):
        return True
    if isinstance(address, IPv6Address) and address not in _UNICAST and address not in _NAT64:
        return True
    return isinstance(address, IPv6Address) and any(map(is_private, _embedded(address)))


def _embedded(address: IPv6Address) -> list[IPv4Address]:
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64 or address in _IPV4_COMPATIBLE:
        found.append(IPv4Address(int(address) & 0xFFFF_FFFF))
    return [inner for inner in found if inner is not None]


def _host_of(url: str) -> str:
    rule = "A progress endpoint must be a URL such as https://example.com/progress, or with http, ws or wss."
    if _WHITE_SPACE.search(url) or "\\" in url or not is_one_line(url):
        raise ValueError(rule)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:  # its own sentence quotes the value
        raise ValueError(rule) from None
    if parts.scheme not in SCHEMES or not host or port == 0:
        raise ValueError(rule)
    return host


def _is_plainly_private(host: str) -> bool:
    name = unicodedata.normalize("NFKC", host).replace("。", ".").rstrip(".").lower()
    if name in _LOCAL_NAMES or name.endswith(".localhost"):
        return True
    parts = name.split(".")
    if len(parts) <= 4 and all(map(_NUMBER.fullmatch, parts)):
        # Some resolvers read 010 as eight, some as ten: neither may be private.
        readings = [_as_ipv4([_number(part, octal) for part in parts]) for octal in (8, 10)]
        return any(is_private(reading) for reading in readings if reading is not None)
    try:
        return is_private(ip_address(name.partition("%")[0]))
    except ValueError:
        return False


def _as_ipv4(numbers: list[int]) -> IPv4Address | None:
    """Put an IPv4 address together as inet_aton does, the last number filling what is left: 127.1, 2130706433."""
    *leading, last = numbers
    if any(value > 0xFF for value in leading) or last >= 1 << 8 * (4 - len(leading)):
        return None
    value = last
    for position, byte in enumerate(leading):
        value |= byte << 8 * (3 - position)
    return IPv4Address(value)


def _number(text: str, base_of_leading_zero: int) -> int:
    if text.startswith("0x"):
        return int(text[2:] or "0", 16)
    has_leading_zero = text.startswith("0") and not set(text) & {"8", "9"}
    return int(text, base_of_leading_zero if has_leading_zero else 10)
