"""Owns a trunk of raw datagrams: what comes is kept with the kernel's time, and anything at all can be said.

Must not use Campana's own SIP: it is what is being judged.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from sipp_kit import SOON

STAMPS = 35
"""SO_TIMESTAMPNS of Linux, which the standard library does not name."""


@dataclass(frozen=True)
class Heard:
    """One datagram of the caller."""

    at: float
    """Seconds of the kernel's clock when it came."""
    text: str
    sender: tuple[str, int]

    @property
    def method(self) -> str:
        """Of a request; of a response `SIP/2.0`."""
        return self.text.split(" ", 1)[0]

    def __getitem__(self, header: str) -> str:
        found = re.search(rf"^{header}\s*:\s*(.*?)\r$", self.text, re.MULTILINE | re.IGNORECASE)
        assert found is not None, header
        return found[1]

    def response(self, status: int, *headers: str, body: str = "", tag: str = "raw") -> bytes:
        """A response to this request."""
        to = self["To"] if "tag=" in self["To"] or status == 100 else f"{self['To']};tag={tag}"
        lines = [f"SIP/2.0 {status} Raw", f"Via: {self['Via']}", f"From: {self['From']}", f"To: {to}"]
        lines += [f"Call-ID: {self['Call-ID']}", f"CSeq: {self['CSeq']}", *headers]
        lines += ["Content-Type: application/sdp"] if body else []
        return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", body]).encode()


@dataclass
class RawTrunk:
    """A trunk that does what its `answer` does."""

    socket: socket.socket
    answer: Callable[[RawTrunk, Heard], None]
    heard: list[Heard] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.socket.getsockname()[1])

    @property
    def url(self) -> str:
        """The trunk's URL."""
        return f"sip:127.0.0.1:{self.port}"

    @property
    def contact(self) -> str:
        """The Contact of its answers."""
        return f"Contact: <sip:raw@127.0.0.1:{self.port}>"

    def say(self, to: Heard, *datagrams: bytes) -> None:
        """Send datagrams to where that came from."""
        for datagram in datagrams:
            with contextlib.suppress(OSError):  # an ICMP error of an earlier one
                self.socket.sendto(datagram, to.sender)

    def of(self, method: str, call_id: str | None = None) -> list[Heard]:
        """The requests of a method heard so far, of one call or of all."""
        found = [heard for heard in self.heard if heard.method == method]
        return [heard for heard in found if call_id is None or heard["Call-ID"] == call_id]

    async def until(self, met: Callable[[], bool]) -> None:
        """Wait until something is so; looked at with every datagram."""
        async with asyncio.timeout(SOON):
            while not met():
                self.changed.clear()
                await self.changed.wait()

    def read(self) -> None:
        """Take what has come."""
        with contextlib.suppress(BlockingIOError):
            while True:
                data, extra, _, sender = self.socket.recvmsg(65_536, 256)
                stamps = [value for level, kind, value in extra if (level, kind) == (socket.SOL_SOCKET, STAMPS)]
                seconds, nanos = struct.unpack("@ll", stamps[0])
                heard = Heard(seconds + nanos / 1e9, data.decode("utf-8", "replace"), sender)
                self.heard.append(heard)
                self.answer(self, heard)
                self.changed.set()


@contextlib.asynccontextmanager
async def raw_trunk(answer: Callable[[RawTrunk, Heard], None]) -> AsyncIterator[RawTrunk]:
    """A trunk of raw datagrams on a free port."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, STAMPS, 1)
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        trunk = RawTrunk(sock, answer)
        loop.add_reader(sock, trunk.read)
        try:
            yield trunk
        finally:
            loop.remove_reader(sock)


def sdp(port: int, law: int = 8) -> str:
    """Sound at such a port."""
    head = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "c=IN IP4 127.0.0.1", "t=0 0"]
    return "\r\n".join([*head, f"m=audio {port} RTP/AVP {law} 101", "a=rtpmap:101 telephone-event/8000", ""])
