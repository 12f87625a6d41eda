"""Owns what the transaction layer and the transports promise each other.

Must not know sockets or transactions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from campana.channels.voice.sip.uri import Transport


@dataclass(frozen=True, slots=True)
class Target:
    """One place to send to, after all looking up (RFC 3263)."""

    transport: Transport
    address: str
    """An IP address; IPv6 without brackets."""
    port: int
    name: str
    """The name that led here, which a certificate must bear; the address where there was none."""


class Flow(Protocol):
    """A way to one target: a connection, or the UDP socket with an address."""

    target: Target
    is_reliable: bool
    """TCP and TLS: no retransmissions."""
    sent_by: str
    """Host and port by which the other side reaches us, for Via and Contact; IPv6 in brackets."""

    def send(self, message: bytes) -> None:
        """Send one message. Raises OSError where the flow is closed; a failure heard of later comes as `lost`."""


class Receiver(Protocol):
    """Who hears what comes in. The calls never raise."""

    def received(self, flow: Flow, message: bytes) -> None:
        """One whole message came: a datagram, or as many octets of a stream as Content-Length says."""

    def lost(self, flow: Flow, error: OSError) -> None:
        """The connection broke, or an ICMP error came for what was sent to the target."""


class Transports(Protocol):
    """All flows of a process."""

    async def flow(self, target: Target) -> Flow:
        """The flow to a target; a connection is made where there is none. Raises OSError, ssl.SSLError included."""

    async def close(self) -> None:
        """Close everything."""
