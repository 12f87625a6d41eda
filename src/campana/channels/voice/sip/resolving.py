"""Owns how names are looked up: SRV records by DNS, addresses as the machine does.

Must not know SIP, nor keep any answer.

Addresses are asked of the machine (getaddrinfo) and not of a name server, so that its hosts file and its order of
addresses (RFC 6724) hold for trunks as for everything else; SRV records only a name server has.
"""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from typing import Final, Protocol

import dns.asyncresolver
import dns.exception
import dns.resolver

from campana.channels.voice.addresses import source_address

SECONDS: Final = 5.0
"""How long one look-up may take."""


class UnresolvedError(Exception):
    """A name could not be looked up; the text says why, for people."""


@dataclass(frozen=True, slots=True)
class SrvRecord:
    """One SRV record (RFC 2782)."""

    host: str
    """Without the dot at its end; blank where the service is declared not to be there."""
    port: int
    priority: int
    weight: int


class Resolver(Protocol):
    """Who looks names up."""

    async def services(self, name: str) -> tuple[list[SrvRecord], float]:
        """The SRV records of a name and their time to live in seconds; none where there are none.

        Raises UnresolvedError where nobody could say.
        """

    async def addresses(self, host: str) -> list[str]:
        """The addresses of a host, the better ones first. Raises UnresolvedError, also where it has none."""


class NameResolver:
    """The machine's own resolvers."""

    def __init__(self, dns_resolver: dns.asyncresolver.Resolver | None = None) -> None:
        self._dns = dns_resolver

    async def services(self, name: str) -> tuple[list[SrvRecord], float]:
        """Ask the name servers of resolv.conf."""
        try:
            # Read as late as this: a machine without name servers may yet have a hosts file.
            self._dns = self._dns or _system_resolver()
            answer = await self._dns.resolve(name, "SRV", search=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return [], 0.0
        except (dns.exception.DNSException, OSError) as error:
            raise UnresolvedError(f"asking for SRV records failed: {type(error).__name__}") from None
        records = [
            SrvRecord(str(record.target).rstrip("."), record.port, record.priority, record.weight) for record in answer
        ]
        return records, float(answer.rrset.ttl) if answer.rrset is not None else 0.0

    async def addresses(self, host: str) -> list[str]:
        """Ask the machine: hosts file, then DNS, as nsswitch.conf says; addresses that no way leads to are left out."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(SECONDS):
                found = await loop.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
        except TimeoutError:
            raise UnresolvedError("looking the name up took too long") from None
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise UnresolvedError(f"the name does not resolve: {reason}") from None
        infos = [info for info in found if info[0] in (socket.AF_INET, socket.AF_INET6)]
        addresses = list(dict.fromkeys(str(info[4][0]) for info in infos))
        if not addresses:
            raise UnresolvedError("the name has no address")
        # A machine without IPv6 is not to try half of the hosts in vain; without any network, let it try.
        return [address for address in addresses if _has_way(address)] or addresses


def _has_way(address: str) -> bool:
    try:
        source_address(address)
    except OSError:
        return False
    return True


def _system_resolver() -> dns.asyncresolver.Resolver:
    resolver = dns.asyncresolver.Resolver()
    resolver.lifetime = SECONDS
    return resolver
