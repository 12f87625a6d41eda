"""Owns the sockets of sound: pairs of UDP ports from a range, for RTP and RTCP, and how the kernel treats them.

Must not know what is sent through them.
"""

from __future__ import annotations

import errno
import random
import socket
from typing import Final, NamedTuple

from campana.channels.voice.addresses import family_of

EXPEDITED: Final = 46 << 2
"""DSCP EF in the octet of IPv4's TOS and IPv6's traffic class (RFC 4594, section 4.1: telephony)."""
RECEIVE_BUFFER: Final = 32_768
"""Octets, of which the kernel counts a packet of 20 ms as some 800: more than half a second, and no more than that,
since what waited longer is of no use."""
SEND_BUFFER: Final = 65_536


class Pair(NamedTuple):
    """Two bound, non-blocking sockets of one address: RTP on an even port, RTCP on the odd one after it."""

    rtp: socket.socket
    rtcp: socket.socket
    address: str
    port: int


class PortRange:
    """Even ports from `first` to `last`, given out in turn from a random one on (RFC 3550, section 11).

    In turn, so that a port rests as long as can be before it is used again: late packets of the call before find
    nobody.
    """

    def __init__(self, first: int, last: int) -> None:
        even = first + first % 2
        self._ports = range(even, last, 2)
        self._next = random.SystemRandom().randrange(max(1, len(self._ports)))
        self._taken: set[int] = set()

    def open(self, address: str) -> Pair:
        """Bind the next free pair on a local address.

        Raises OSError: EADDRINUSE where all are taken, and whatever the kernel says where it refuses the address.
        """
        for _ in self._ports:
            port = self._ports[self._next]
            self._next = (self._next + 1) % len(self._ports)
            if port in self._taken:
                continue
            pair = _bind(address, port)
            if pair is not None:
                self._taken.add(port)
                return pair
        raise OSError(errno.EADDRINUSE, "every port of rtp_ports is taken")

    def close(self, pair: Pair) -> None:
        """Close a pair, and give its ports out again."""
        pair.rtp.close()
        pair.rtcp.close()
        self._taken.discard(pair.port)


def _bind(address: str, port: int) -> Pair | None:
    """Both sockets of a pair; None where another program has one of the ports."""
    opened: list[socket.socket] = []
    try:
        for offset in (0, 1):
            opened.append(socket.socket(family_of(address), socket.SOCK_DGRAM))
            _tune(opened[-1])
            opened[-1].bind((address, port + offset))
    except OSError as error:
        for one in opened:
            one.close()
        if error.errno == errno.EADDRINUSE:
            return None
        raise
    return Pair(opened[0], opened[1], address, port)


def _tune(one: socket.socket) -> None:
    one.setblocking(False)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    if one.family == socket.AF_INET6:
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, EXPEDITED)
    else:
        one.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, EXPEDITED)
