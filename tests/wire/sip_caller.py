"""Owns a caller for the tests of the sandbox's SIP carrier: it writes its messages by hand, at a real socket.

Must not use Campana's own SIP: what it sends and expects is spelled out, so that it can judge.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

SOON = 5.0
OFFER = """\
v=0
o=- 1 0 IN IP4 127.0.0.1
s=-
c=IN IP4 127.0.0.1
t=0 0
m=audio {port} RTP/AVP {laws}
a=rtpmap:101 telephone-event/8000
a=ptime:20
"""
_ids = itertools.count(1)


@dataclass(frozen=True)
class Heard:
    """One message as it came."""

    text: str

    @property
    def first(self) -> str:
        return self.text.split("\r\n", 1)[0]

    @property
    def status(self) -> int:
        return int(self.first.split()[1]) if self.first.startswith("SIP/2.0 ") else 0

    @property
    def body(self) -> str:
        return self.text.partition("\r\n\r\n")[2]

    def all(self, name: str) -> list[str]:
        head = self.text.partition("\r\n\r\n")[0]
        return re.findall(rf"^{name}: ?(.*?)\r?$", head, re.MULTILINE | re.IGNORECASE)

    def __getitem__(self, name: str) -> str:
        (value,) = self.all(name)
        return str(value)


class Caller(asyncio.DatagramProtocol):
    """A UDP socket, or a connection, that speaks to the carrier."""

    def __init__(self, port: int) -> None:
        self._carrier = ("127.0.0.1", port)
        self.heard: list[Heard] = []
        self._read = 0
        self._news = asyncio.Event()
        self._writer: asyncio.StreamWriter | None = None
        self.transport: Any = None

    async def open(self, tcp: bool = False) -> Caller:
        if tcp:
            reader, self._writer = await asyncio.open_connection(*self._carrier)
            self._task = asyncio.create_task(self._listen(reader))
            self.place = _place(self._writer)
        else:
            loop = asyncio.get_running_loop()
            self.transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
            self.place = _place(self.transport)
        self.kind = "TCP" if tcp else "UDP"
        return self

    async def close(self) -> None:
        if self._writer is not None:
            self._task.cancel()
            self._writer.close()
        else:
            self.transport.close()

    async def __aenter__(self) -> Caller:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def send(self, text: str) -> None:
        data = text.encode()
        if self._writer is not None:
            self._writer.write(data)
        else:
            self.transport.sendto(data, self._carrier)

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        self.heard.append(Heard(data.decode()))
        self._news.set()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(re.findall(rb"Content-Length: (\d+)", head)[0])
            self.datagram_received(head + await reader.readexactly(length), ())

    async def hear(self, start: str) -> Heard:
        """The next message whose first line matches; those before it are passed over."""
        async with asyncio.timeout(SOON):
            while True:
                self._news.clear()
                while self._read < len(self.heard):
                    self._read += 1
                    if re.match(start, self.heard[self._read - 1].first):
                        return self.heard[self._read - 1]
                await self._news.wait()

    def count(self, start: str) -> int:
        return sum(1 for message in self.heard if re.match(start, message.first))

    async def until(self, start: str, count: int) -> None:
        """Wait until so many messages have come whose first line matches."""
        async with asyncio.timeout(SOON):
            while self.count(start) < count:
                self._news.clear()
                await self._news.wait()


def _place(transport: Any) -> str:
    address, port = transport.get_extra_info("sockname")
    return f"{address}:{port}"


class Dialled:
    """One call of a caller, step by step."""

    def __init__(self, caller: Caller, number: str, laws: str = "8 0 101") -> None:
        self.caller = caller
        self.number = number
        self.call_id = f"call-{next(_ids)}@judge"
        self.branch = f"z9hG4bK-{next(_ids)}"
        self.cseq = 1
        self.to = f"<sip:{number}@carrier.example>"
        self.uri = f"sip:{number}@carrier.example"
        self.rtp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.rtp.setblocking(False)
        self.rtp.bind(("127.0.0.1", 0))
        self.offer = OFFER.format(port=self.rtp.getsockname()[1], laws=laws)
        self.ear: tuple[str, int] = ("", 0)
        self._sequence, self._timestamp = 65_530, 2**32 - 400

    def close(self) -> None:
        self.rtp.close()

    # --- signalling ----------------------------------------------------------------------------------------------

    def request(
        self, method: str, headers: Sequence[str] = (), body: str = "", branch: str = "", cseq: int | None = None
    ) -> str:
        lines = [
            f"{method} {self.uri} SIP/2.0",
            f"Via: SIP/2.0/{self.caller.kind} {self.caller.place};branch={branch or self.branch};rport",
            f'From: "The Judge" <sip:+14165550000@judge.example>;tag=judge-{self.call_id}',
            f"To: {self.to}",
            f"Call-ID: {self.call_id}",
            f"CSeq: {self.cseq if cseq is None else cseq} {method}",
            "Max-Forwards: 70",
            *headers,
        ]
        if method == "INVITE":
            lines.append(f"Contact: <sip:judge@{self.caller.place}>")
        if body:
            lines.append("Content-Type: application/sdp")
            body = body.replace("\n", "\r\n")
        return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", body])

    def invite(self, *headers: str, body: str | None = None) -> None:
        self.caller.send(self.request("INVITE", headers, self.offer if body is None else body))

    async def answer(self, status: int) -> Heard:
        """Wait for this response, and take over what it settles: To's tag, target, where sound goes."""
        told = await self.caller.hear(rf"SIP/2\.0 {status} ")
        assert told["Call-ID"] == self.call_id
        if status > 100:
            self.to = told["To"]
        if 200 <= status < 300:
            self.uri = re.findall(r"<(.*)>", told["Contact"])[0]
        if told.body:
            port, address = re.findall(r"m=audio (\d+)", told.body)[0], re.findall(r"c=IN IP4 (\S+)", told.body)[0]
            self.ear = (address, int(port))
        return told

    def ack(self, success: bool = True) -> None:
        """To a 2xx in a transaction of its own, to a failure in the INVITE's."""
        self.caller.send(self.request("ACK", branch=f"{self.branch}-ack" if success else ""))

    def cancel(self) -> None:
        self.caller.send(self.request("CANCEL"))

    def bye(self) -> None:
        self.cseq += 1
        self.caller.send(self.request("BYE", branch=f"{self.branch}-bye"))

    def reply(self, asked: Heard, status: int = 200) -> None:
        """Answer a request of the telephone."""
        lines = [f"SIP/2.0 {status} Heard", *(f"Via: {value}" for value in asked.all("Via"))]
        lines += [f"{name}: {asked[name]}" for name in ("From", "To", "Call-ID", "CSeq")]
        self.caller.send("\r\n".join([*lines, "Content-Length: 0", "", ""]))

    async def connect(self, *headers: str) -> None:
        """Call, and be answered."""
        self.invite(*headers)
        await self.answer(200)
        self.ack()

    async def hang_up(self) -> None:
        self.bye()
        await self.caller.hear(r"SIP/2\.0 200 ")

    # --- sound -----------------------------------------------------------------------------------------------------

    def packet(self, payload: bytes, kind: int = 8) -> bytes:
        """The next packet in order."""
        head = struct.pack(">BBHII", 0x80, kind, self._sequence, self._timestamp, 7)
        self._sequence = (self._sequence + 1) % 2**16
        self._timestamp = (self._timestamp + len(payload)) % 2**32
        return head + payload

    def speak(self, *payloads: bytes, kind: int = 8) -> None:
        for payload in payloads:
            self.rtp.sendto(self.packet(payload, kind), self.ear)

    async def listen(self) -> tuple[int, bool, int, bytes]:
        """The next packet of the telephone: payload type, marker, timestamp, payload."""
        async with asyncio.timeout(SOON):
            data = await asyncio.get_running_loop().sock_recv(self.rtp, 2_048)
        _, kind, _, timestamp, _ = struct.unpack_from(">BBHII", data)
        return kind & 0x7F, bool(kind & 0x80), timestamp, data[12:]
