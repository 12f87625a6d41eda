"""A trunk that says what a test tells it to, over real sockets, and an ear for what a call tells."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest

from campana.channels.voice.settings import VoiceRouteSettings
from campana.channels.voice.sip.agent import Agent
from campana.channels.voice.sip.contract import Invitation, LegEnded, Timers, TrunkState
from campana.channels.voice.sip.flow import Target
from campana.channels.voice.sip.leg import OutgoingLeg
from campana.channels.voice.sip.locating import Locator
from campana.channels.voice.sip.message import Headers, Request, Response, parse, render, response_to, tag_of, uri_of
from campana.channels.voice.sip.transport import NetworkTransports, open_transports

FAST = Timers(t1=0.05, t2=0.2, t4=0.25)
"""A tenth of the usual times: a transaction lasts 3.2 s, a silent host is given 0.4 s."""
QUICK = Timers(t1=0.01, t2=0.04, t4=0.05)
"""A fiftieth: a transaction lasts 0.64 s."""

OFFER = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n"
ANSWER = b"v=0\r\no=- 2 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 5000 RTP/AVP 8\r\n"
SDP = (("Content-Type", "application/sdp"),)

Extra = Iterable[tuple[str, str]]


@dataclass
class Heard:
    """A message that came, when, and the way back."""

    message: Request | Response
    at: float
    back: Callable[[bytes], None]

    @property
    def request(self) -> Request:
        assert isinstance(self.message, Request), self.message
        return self.message

    @property
    def response(self) -> Response:
        assert isinstance(self.message, Response), self.message
        return self.message

    @property
    def headers(self) -> Headers:
        return self.message.headers

    @property
    def name(self) -> str:
        return self.message.method if isinstance(self.message, Request) else str(self.message.status)


class Trunk(asyncio.DatagramProtocol):
    """One host of a trunk. Every message that comes waits until it is heard; repetitions are counted beside."""

    def __init__(self) -> None:
        self.port = 0
        self.transport_name = "UDP"
        self.log: list[Heard] = []
        self.repeated: dict[bytes, int] = {}
        self.unheard: list[Heard] = []
        self.changed = asyncio.Condition()
        self.last_sent = b""
        self.lag: Lag
        self._seen: set[bytes] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    # --- coming in -----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.udp: asyncio.DatagramTransport = transport  # type: ignore[assignment]  # it is one, by its factory
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.came(data, lambda octets: self.udp.sendto(octets, addr))

    def came(self, data: bytes, back: Callable[[bytes], None]) -> None:
        heard = Heard(parse(data), asyncio.get_running_loop().time(), back)
        self.log.append(heard)
        if data in self._seen:
            self.repeated[data] = self.repeated.get(data, 0) + 1
        else:
            self._seen.add(data)
            self.unheard.append(heard)
        task = asyncio.get_running_loop().create_task(self._tell())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    async def hear(self, name: str, within: float = 3.0) -> Heard:
        """The next message; it must be of this method or status."""
        async with asyncio.timeout(within), self.changed:
            await self.changed.wait_for(lambda: self.unheard)
        heard = self.unheard.pop(0)
        assert heard.name == name, f"wanted {name}, heard {heard.name}"
        return heard

    async def until(self, holds: Callable[[], bool], within: float = 3.0) -> None:
        """Wait until what came makes it true."""
        async with asyncio.timeout(within), self.changed:
            await self.changed.wait_for(holds)

    def near(self, seconds: float, within: float) -> Any:
        """To compare a time with; where the machine was busy, as much later as that made everything."""
        return pytest.approx(seconds, abs=within + 2 * self.lag.most)

    def times(self, name: str) -> list[float]:
        """When messages of this method or status came, repetitions included."""
        return [heard.at for heard in self.log if heard.name == name]

    # --- going out -----------------------------------------------------------------------------------------------

    def say(
        self, to: Heard, status: int, reason: str = "So", extra: Extra = (), body: bytes = b"", tag: str = "callee"
    ) -> Response:
        """Answer a request; responses above 100 bear a tag and a Contact."""
        response = response_to(to.request, status, reason, tag if status > 100 else "")
        if status > 100 and to.name == "INVITE":
            response.headers.add("Contact", self.contact)
        self.send(to, response, extra, body)
        return response

    @property
    def contact(self) -> str:
        parameter = "" if self.transport_name == "UDP" else f";transport={self.transport_name.lower()}"
        return f"<sip:callee@127.0.0.1:{self.port}{parameter}>"

    def send(self, to: Heard, message: Request | Response, extra: Extra = (), body: bytes = b"") -> None:
        for name, value in extra:
            message.headers.set(name, value)
        message.body = body
        self.last_sent = render(message)
        to.back(self.last_sent)

    def ask(
        self, invite: Heard, method: str, number: int = 1, extra: Extra = (), body: bytes = b"", tag: str = "callee"
    ) -> Request:
        """Send a request within the dialog of an INVITE that came."""
        request = Request(method, uri_of(invite.headers.get("Contact") or ""))
        headers = request.headers
        branch = f"z9hG4bK-{method}-{number}"
        headers.add("Via", f"SIP/2.0/{self.transport_name} 127.0.0.1:{self.port};branch={branch};rport")
        headers.add("Max-Forwards", "70")
        headers.add("From", f"{invite.headers.get('To')};tag={tag}")
        headers.add("To", invite.headers.get("From") or "")
        headers.add("Call-ID", invite.headers.get("Call-ID") or "")
        headers.add("CSeq", f"{number} {method}")
        headers.add("Contact", self.contact)
        self.send(invite, request, extra, body)
        return request


class Lag:
    """How late this process is woken: what a busy machine adds to every time that a test measures."""

    def __init__(self) -> None:
        self.most = 0.0
        self._loop = asyncio.get_running_loop()
        self._beat(self._loop.time())

    def _beat(self, due: float) -> None:
        self.most = max(self.most, self._loop.time() - due)
        self._handle = self._loop.call_at(due + 0.005, self._beat, max(due + 0.005, self._loop.time()))

    def stop(self) -> None:
        self._handle.cancel()


class StreamTrunk(Trunk):
    """The same over TCP: messages are framed by Content-Length."""

    def __init__(self) -> None:
        super().__init__()
        self.transport_name = "TCP"
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if not head.strip():
                    continue
                length = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
                self.came(head + await reader.readexactly(int(length.split(b":")[1])), writer.write)
        writer.close()


class Ear:
    """Hears what a call tells."""

    def __init__(self, sdp: bytes | None = b"ours") -> None:
        self.events: list[tuple[object, ...]] = []
        self.at: list[float] = []
        self.sdp = sdp
        self.changed = asyncio.Event()

    def _tell(self, *event: object) -> None:
        self.events.append(event)
        self.at.append(asyncio.get_running_loop().time())
        self.changed.set()

    def sent(self) -> None:
        self._tell("sent")

    def responded(self, status: int) -> None:
        self._tell("responded", status)

    def early_media(self, answer: bytes) -> None:
        self._tell("early_media", answer)

    def answered(self, answer: bytes) -> None:
        self._tell("answered", answer)

    def digit(self, key: str, ms: int) -> None:
        self._tell("digit", key, ms)

    def reoffered(self, offer: bytes) -> bytes | None:
        self._tell("reoffered", offer)
        return self.sdp

    def reanswered(self, answer: bytes) -> None:
        self._tell("reanswered", answer)

    def ended(self, ended: LegEnded) -> None:
        self._tell("ended", ended)

    async def until(self, name: str, within: float = 5.0) -> tuple[object, ...]:
        """The first event of that name, now or later."""
        async with asyncio.timeout(within):
            while True:
                self.changed.clear()
                found = next((event for event in self.events if event[0] == name), None)
                if found is not None:
                    return found
                await self.changed.wait()

    async def end(self, within: float = 5.0) -> LegEnded:
        """How it ended."""
        _, ended = await self.until("ended", within)
        assert isinstance(ended, LegEnded)
        return ended

    @property
    def names(self) -> list[object]:
        return [event[0] if event[0] != "responded" else event[1] for event in self.events]


@dataclass
class House:
    """An agent with its transports, and the trunk's hosts."""

    agent: Agent
    settings: VoiceRouteSettings
    transports: NetworkTransports
    states: list[tuple[TrunkState, str]]
    permits: list[bool] = field(default_factory=list)
    asked: int = 0
    calls: int = 0
    told: asyncio.Event = field(default_factory=asyncio.Event)
    soundless: set[int] = field(default_factory=set)
    """Ports of hosts from which no sound could come."""

    async def until_told(self, state: tuple[TrunkState, str], within: float = 3.0) -> None:
        """Wait until that is the last state told."""
        async with asyncio.timeout(within):
            while not self.states or self.states[-1] != state:
                self.told.clear()
                await self.told.wait()

    def dial(self, ear: Ear, dial_ms: int = 5_000, call_id: str = "") -> OutgoingLeg:
        """Place a call."""
        self.calls += 1
        invitation = Invitation(
            call_id=call_id or f"call-{self.calls}",
            destination="+15550100",
            from_header='"Us" <sip:+15550199@trunk.test>',
            identity=(("P-Asserted-Identity", "<sip:+15550199@trunk.test>"),),
            offer=self.offer,
            dial_ms=dial_ms,
        )
        return self.agent.place(invitation, ear, self.may_leave)

    def offer(self, towards: Target) -> bytes:
        """The SDP of a caller who hears sound from some hosts only."""
        if towards.port in self.soundless:
            raise OSError(errno.EADDRINUSE, "every port of rtp_ports is taken")
        return OFFER

    async def may_leave(self) -> bool:
        self.asked += 1
        return self.permits.pop(0) if self.permits else True


@contextlib.asynccontextmanager
async def open_trunk() -> AsyncIterator[Trunk]:
    """A trunk's host on UDP."""
    loop = asyncio.get_running_loop()
    transport, trunk = await loop.create_datagram_endpoint(Trunk, local_addr=("127.0.0.1", 0))
    trunk.lag = Lag()
    try:
        yield trunk
    finally:
        trunk.lag.stop()
        transport.close()


@contextlib.asynccontextmanager
async def open_stream_trunk() -> AsyncIterator[StreamTrunk]:
    """A trunk's host on TCP."""
    trunk = StreamTrunk()
    server = await asyncio.start_server(trunk.serve, "127.0.0.1", 0)
    trunk.port = server.sockets[0].getsockname()[1]
    try:
        yield trunk
    finally:
        server.close()
        for writer in trunk.writers:
            writer.close()


@contextlib.asynccontextmanager
async def house(*trunks: Trunk, timers: Timers = FAST, **more: object) -> AsyncIterator[House]:
    """An agent for the trunks, in the order given."""
    urls = [f"sip:127.0.0.1:{trunk.port};transport={trunk.transport_name.lower()}" for trunk in trunks]
    settings = VoiceRouteSettings.model_validate(
        {"name": "trunk", "url": urls[0], "backups": urls[1:], "local_address": "127.0.0.1", "ping": 0, **more}
    )
    states: list[tuple[TrunkState, str]] = []
    told = asyncio.Event()

    def tell(state: TrunkState, reason: str) -> None:
        states.append((state, reason))
        told.set()

    agent = Agent(settings, Locator(settings), tell, timers)
    transports = await open_transports(settings, agent)
    agent.use(transports)
    try:
        yield House(agent, settings, transports, states, told=told)
    finally:
        await agent.stop(0.02)
        await transports.close()


def dead_port() -> int:
    """A UDP port on which nobody listens."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


async def answered(trunk: Trunk, ear: Ear) -> Heard:
    """Let a call that was placed be answered; returns its INVITE."""
    invite = await trunk.hear("INVITE")
    trunk.say(invite, 200, "OK", SDP, ANSWER)
    await trunk.hear("ACK")
    await ear.until("answered")
    return invite


def tag(heard: Heard, header: str = "From") -> str:
    return tag_of(heard.headers.get(header) or "")
