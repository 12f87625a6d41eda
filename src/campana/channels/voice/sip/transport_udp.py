"""Owns SIP over UDP: one socket for an IP version, and the errors that routers and hosts send back for it.

Must not know messages or transactions.

The sockets are read by hand, since an event loop's own datagram endpoints do not tell which datagram an ICMP error is
about: Linux keeps that in the socket's error queue (ip(7), IP_RECVERR).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import os
import socket
import struct
from typing import Final

import structlog

from campana.channels.voice.sip.flow import Receiver, Target
from campana.channels.voice.sip.framing import datagram_message
from campana.channels.voice.sip.own_address import OwnAddress
from campana.channels.voice.sip.uri import Transport

IP_RECVERR: Final = 11
IPV6_RECVERR: Final = 25
"""As in linux/in.h and linux/in6.h; Python does not name them."""
IP_MTU_DISCOVER: Final = 10
MOST_FLOWS: Final = 10_000
BATCH: Final = 64
"""Datagrams and errors read at a time: nothing else of the process waits for more."""
LARGE: Final = 1_300
"""Octets above which RFC 3261 wants another transport than UDP (section 18.1.1)."""

_ERROR_NUMBER = struct.Struct("=I")
"""What sock_extended_err begins with (ip(7))."""
_FULL: Final = frozenset({errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM})

_log = structlog.get_logger(__name__)


class UdpFlow:
    """The UDP socket with one address."""

    is_reliable = False

    def __init__(self, owner: UdpSocket, target: Target, sent_by: str) -> None:
        self.target = target
        self.sent_by = sent_by
        self._owner = owner

    def send(self, message: bytes) -> None:
        """Send one datagram. Raises OSError where the machine cannot send it at all."""
        self._owner.send(message, self.target)


class UdpSocket:
    """The socket of one IP version."""

    def __init__(self, family: socket.AddressFamily, own: OwnAddress, receiver: Receiver) -> None:
        """Bind to our own address. Raises OSError."""
        self._receiver = receiver
        self._own = own
        self._loop = asyncio.get_running_loop()
        self._flows: dict[tuple[str, int], UdpFlow] = {}
        self._large_told = False
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            if family == socket.AF_INET6:
                self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                self._socket.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)
            else:
                self._socket.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
                # Routers may fragment large INVITEs: the messages that would say so instead are often filtered.
                self._socket.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, 0)
            self._socket.bind((own.bound(family), own.port))
        except OSError:
            self._socket.close()
            raise
        self.port: int = self._socket.getsockname()[1]
        self._loop.add_reader(self._socket, self._readable)

    def flow(self, target: Target) -> UdpFlow:
        """The flow to an address and port; the name that led there does not matter to UDP.

        Raises OSError where no way leads there.
        """
        key = (str(ipaddress.ip_address(target.address)), target.port)
        flow = self._flows.get(key)
        if flow is None:
            if len(self._flows) >= MOST_FLOWS:
                del self._flows[next(iter(self._flows))]
            sent_by = self._own.sent_by(self._own.source(target.address), self.port)
            flow = self._flows[key] = UdpFlow(self, target, sent_by)
        return flow

    def send(self, message: bytes, target: Target) -> None:
        """Send a datagram. One that finds the send buffer full is lost, as it could be anywhere on its way."""
        if len(message) > LARGE and not self._large_told:
            self._large_told = True
            _log.info(
                "sip.large_datagram", route=self._own.route, octets=len(message), rule=f"{LARGE} at most over UDP"
            )
        place = (target.address, target.port)
        try:
            self._socket.sendto(message, place)
        except OSError as error:
            if error.errno in _FULL:
                return
            # What an earlier datagram met may be raised here, once, whoever this one is for.
            if not self._read_errors():
                raise
            self._socket.sendto(message, place)

    def close(self) -> None:
        """Close the socket; its flows raise OSError from now on."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._socket.close()
        self._flows.clear()

    # --- what comes in -------------------------------------------------------------------------------------------

    def _readable(self) -> None:
        heard = self._read_datagrams()
        if not self._read_errors() and not heard:
            self._listen_again()

    def _read_datagrams(self) -> int:
        for count in range(BATCH):
            try:
                datagram, (address, port, *_) = self._socket.recvfrom(65_535)
            except BlockingIOError:
                return count
            except OSError:
                # What it is about stands in the error queue.
                return 0
            message = datagram_message(datagram)
            if message is not None:
                self._receiver.received(self._heard_from(address, port), message)
                if self._socket.fileno() < 0:
                    return count + 1
        return BATCH

    def _heard_from(self, address: str, port: int) -> UdpFlow:
        """The flow to where a datagram came from. Those of strangers are not kept: anyone can make up addresses."""
        flow = self._flows.get((address, port))
        if flow is None:
            try:
                source = self._own.source(address)
            except OSError:
                source = self._socket.getsockname()[0]
            target = Target(Transport.UDP, address, port, address)
            flow = UdpFlow(self, target, self._own.sent_by(source, self.port))
        return flow

    def _read_errors(self) -> int:
        """Read the error queue; tell of targets that cannot be reached, and return how many errors there were."""
        count = 0
        while count < BATCH and self._socket.fileno() >= 0:
            try:
                _, ancillary, _, place = self._socket.recvmsg(1, 512, socket.MSG_ERRQUEUE)
            except OSError:
                break
            count += 1
            with contextlib.suppress(struct.error, IndexError):
                (code,) = _ERROR_NUMBER.unpack_from(ancillary[0][2])
                # Too large for the path means fragments from now on, and a retransmission.
                if code != errno.EMSGSIZE and place:
                    self._lost(place, code)
        if count:
            self._listen_again()
        return count

    def _lost(self, place: tuple[str, int], code: int) -> None:
        flow = self._flows.get(place[:2])
        if flow is not None:
            self._receiver.lost(flow, OSError(code, os.strerror(code)))

    def _listen_again(self) -> None:
        """Begin anew to wait for datagrams: libuv ends the wait for good when a socket has an error."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._loop.add_reader(self._socket, self._readable)
