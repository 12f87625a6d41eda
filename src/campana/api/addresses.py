"""Owns what a request's headers say about where the client is and by which address it came, and whom to believe.

Must not know of messages or operations. What a proxy adds (X-Forwarded-*) counts only where the peer of the
connection is one of the configured proxies: anyone else could write it too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

Networks = Sequence[IPv4Network | IPv6Network]
Headers = Mapping[bytes, bytes]

_HOST = re.compile(r"(?:[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?", re.ASCII)
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]{1,100}){0,10}/?", re.ASCII)
_PORT = re.compile(r"[0-9]{1,5}", re.ASCII)
_HOP = re.compile(r"\[([^\]]*)\](?::[0-9]{1,5})?|([0-9.]+):[0-9]{1,5}", re.ASCII)
_DEFAULT_PORTS = {"http": "80", "https": "443"}


class AbsurdAddress(ValueError):
    """A header that cannot name the address by which a client came."""


def networks(texts: Sequence[str]) -> Networks:
    """Read the list of trusted proxies: addresses or networks in CIDR notation. Raises ValueError."""
    return tuple(ip_network(text, strict=False) for text in texts)


def is_trusted(scope: MutableMapping[str, Any], trusted: Networks) -> bool:
    """Tell whether the peer of the request's connection is one of the trusted proxies."""
    client = scope.get("client")
    return bool(trusted) and client is not None and _is_in(client[0], trusted)


def source(scope: MutableMapping[str, Any], headers: Headers, trusted: Networks) -> str:
    """The address from which the client comes, for limiting failures; empty where the server does not tell.

    Behind trusted proxies it is the last address of X-Forwarded-For that is none of theirs.
    """
    client = scope.get("client")
    found: str = client[0] if client else ""
    if not is_trusted(scope, trusted):
        return found
    for hop in reversed(headers.get(b"x-forwarded-for", b"").decode("latin-1").split(",")):
        address = _without_port(hop.strip())
        if not address or not _is_address(address):
            break
        found = address
        if not _is_in(address, trusted):
            break
    return found


def base(scope: MutableMapping[str, Any], headers: Headers, trusted: Networks) -> str:
    """Scheme, host, port and path prefix by which the client came, for example `https://api.example.test/sms`.

    It has only characters that need no escaping in XML or HTML. Raises AbsurdAddress where a header does not name
    an address.
    """
    scheme = str(scope.get("scheme", "http"))
    if sum(name == b"host" for name, _ in scope["headers"]) > 1:
        raise AbsurdAddress("The request must not have more than one Host header.")
    host = headers.get(b"host", b"").decode("latin-1") or _own_host(scope)
    prefix = str(scope.get("root_path", ""))
    if is_trusted(scope, trusted):
        scheme = _first(headers, b"x-forwarded-proto").lower() or scheme
        host = _first(headers, b"x-forwarded-host") or host
        host = _with_port(scheme, host, _first(headers, b"x-forwarded-port"))
        prefix = _first(headers, b"x-forwarded-prefix") or prefix
    if scheme not in _DEFAULT_PORTS:
        raise AbsurdAddress("The scheme of the request must be http or https.")
    if len(host) > 255 or _HOST.fullmatch(host) is None:
        raise AbsurdAddress("The Host header must be a host name or an address, with a port or without.")
    if _PREFIX.fullmatch(prefix) is None:
        raise AbsurdAddress("The X-Forwarded-Prefix header must be a plain path.")
    return f"{scheme}://{host}{prefix.rstrip('/')}"


def _own_host(scope: MutableMapping[str, Any]) -> str:
    """What stands in for the Host header that HTTP/1.0 clients need not send."""
    server = scope.get("server")
    if not server:
        return "localhost"
    host = f"[{server[0]}]" if ":" in server[0] else server[0]
    return f"{host}:{server[1]}" if server[1] else host


def _with_port(scheme: str, host: str, port: str) -> str:
    if not port:
        return host
    if _PORT.fullmatch(port) is None:
        raise AbsurdAddress("The X-Forwarded-Port header must be a number.")
    bare = re.sub(r":[0-9]*$", "", host)
    return bare if port == _DEFAULT_PORTS.get(scheme) else f"{bare}:{port}"


def _first(headers: Headers, name: bytes) -> str:
    """The value that the proxy nearest to the client gave."""
    return headers.get(name, b"").decode("latin-1").split(",")[0].strip()


def _without_port(hop: str) -> str:
    """Some proxies add the client's port: 203.0.113.9:5000, [2001:db8::1]:5000."""
    found = _HOP.fullmatch(hop)
    return hop if found is None else found[1] or found[2] or ""


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _is_in(text: str, trusted: Networks) -> bool:
    try:
        address = ip_address(text)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in network for network in trusted)
