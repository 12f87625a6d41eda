"""Owns what signalling and sound both ask of an IP address: its version, and from where this machine reaches it.

Must not know what is sent there.
"""

from __future__ import annotations

import socket
from typing import Final

_DISCARD: Final = 9
"""A port to look for a way with; nothing is sent to it."""


def family_of(address: str) -> socket.AddressFamily:
    """The IP version of an address."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def source_address(towards: str) -> str:
    """The address that this machine sends from to another one. Nothing is sent. Raises OSError without a way there."""
    with socket.socket(family_of(towards), socket.SOCK_DGRAM) as probe:
        # Connecting a UDP socket asks for the way and no more.
        probe.connect((towards, _DISCARD))
        return str(probe.getsockname()[0])
