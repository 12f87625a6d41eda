"""Owns how a trunk's address is written in the configuration.

Must not look anything up: what a name stands for is found by locating.py.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from enum import Enum

_TRUNK = re.compile(
    r"(?P<scheme>sips?):(?://)?(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<parameters>(?:;[A-Za-z0-9=-]+)*)",
    re.IGNORECASE,
)


class Transport(Enum):
    """How SIP is carried (RFC 3261, section 18). The values are the spellings of Via headers."""

    UDP = "UDP"
    TCP = "TCP"
    TLS = "TLS"


@dataclass(frozen=True, slots=True)
class TrunkUri:
    """A host of a trunk. Without `port`, a name is looked up by DNS SRV first (RFC 3263)."""

    host: str
    """A name, or an address; IPv6 without brackets."""
    port: int | None
    transport: Transport

    @property
    def is_address(self) -> bool:
        """Whether the host is an IP address."""
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return False
        return True


def parse_trunk(url: str) -> TrunkUri:
    """Read `sip:host:5060;transport=udp`, `sip:[2001:db8::1];transport=tcp` or `sips:host`.

    Without a transport, `sip:` means UDP and `sips:` TLS. Raises ValueError with a sentence that names the rule and
    not the value.
    """
    found = _TRUNK.fullmatch(url.strip())
    if found is None:
        raise ValueError("must be sip:HOST:PORT;transport=udp|tcp|tls or sips:HOST:PORT; users are keys of the route")
    secure = found["scheme"].lower() == "sips"
    transport = Transport.TLS if secure else Transport.UDP
    for parameter in filter(None, found["parameters"].split(";")):
        name, _, value = parameter.partition("=")
        if name.lower() != "transport" or value.upper() not in Transport.__members__:
            raise ValueError("may have one parameter: transport=udp, tcp or tls")
        if secure and value.upper() == "UDP":
            raise ValueError("sips: cannot go with transport=udp")
        transport = Transport.TLS if secure else Transport[value.upper()]
    port = int(found["port"]) if found["port"] else None
    if port is not None and not 1 <= port <= 65_535:
        raise ValueError("the port must be a number from 1 to 65535")
    host = found["host"].strip("[]")
    if ":" in host:
        try:
            ipaddress.IPv6Address(host)
        except ValueError as error:
            raise ValueError("an IPv6 address stands in [ ]") from error
    return TrunkUri(host, port, transport)
