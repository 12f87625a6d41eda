"""Scripted receivers of progress at real sockets: one that is POSTed to, one that speaks WebSocket, and their judge.

The judge is the library of the Standard Webhooks convention itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from standardwebhooks import Webhook
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request as OpeningRequest
from websockets.http11 import Response

PATIENCE = 20.0
OK = (204, "")

HANG = (0, "")
"""Never answers."""
CUT = (-1, "")
"""Closes the connection instead of an answer."""


@dataclass(frozen=True)
class Post:
    """A request that came."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: str

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def told(self) -> dict[str, Any]:
        said: dict[str, Any] = json.loads(self.body)
        return said

    @property
    def events(self) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = self.told["data"]["events"]
        return events

    def judge(self, secret: str) -> Any:
        """Raises WebhookVerificationError where the signature is not by this secret, or is not of now."""
        return Webhook(secret).verify(self.body, dict(self.headers))


Script = Callable[[Post], tuple[int, str] | tuple[int, str, str]]
"""Status, further header lines and a body, for each request."""


@dataclass
class Receiver:
    """A web server that does as its script says, and remembers what came."""

    script: Script = lambda post: OK
    posts: list[Post] = field(default_factory=list)
    port: int = 0
    connections: int = 0
    _came: asyncio.Event = field(default_factory=asyncio.Event)
    _server: asyncio.Server | None = None
    _handlers: set[asyncio.Task[None]] = field(default_factory=set)

    def url(self, path: str = "/progress", host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    @property
    def numbers(self) -> list[int]:
        """The numbers of all events that came, in the order in which they did."""
        return [event["number"] for post in self.posts for event in post.events]

    async def until(self, happened: Callable[[], bool], within: float = PATIENCE) -> None:
        """Wait, looking after each request."""
        async with asyncio.timeout(within):
            while not happened():
                self._came.clear()
                await self._came.wait()

    async def listen(self, tls: ssl.SSLContext | None = None, port: int = 0) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Be down."""
        assert self._server is not None
        self._server.close()
        for handler in list(self._handlers):
            handler.cancel()
        await asyncio.gather(*self._handlers, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handler = asyncio.current_task()
        assert handler is not None
        self._handlers.add(handler)
        self.connections += 1
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while await self._one(reader, writer):
                pass
        writer.close()
        self._handlers.discard(handler)

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.strip().split("\r\n")
        method, path, _ = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        post = Post(method, path, headers, body.decode())
        self.posts.append(post)
        status, more, *content = self.script(post)
        self._came.set()
        if status == HANG[0]:
            await asyncio.Event().wait()
        if status == CUT[0]:
            return False
        said = "".join(content)
        writer.write(f"HTTP/1.1 {status} So\r\n{more}content-length: {len(said)}\r\n\r\n{said}".encode())
        await writer.drain()
        return True


@asynccontextmanager
async def receiving(script: Script = lambda post: OK, tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    receiver = Receiver(script)
    await receiver.listen(tls)
    try:
        yield receiver
    finally:
        await receiver.close()


@dataclass
class SocketReceiver:
    """A WebSocket server that acknowledges as its script says, and remembers what came."""

    acknowledges: Callable[[dict[str, Any]], Sequence[str] | None]
    refuses: Callable[[], int | None]
    envelopes: list[dict[str, Any]] = field(default_factory=list)
    openings: list[dict[str, str]] = field(default_factory=list)
    port: int = 0
    _came: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/progress"

    @property
    def numbers(self) -> list[int]:
        return [event["number"] for one in self.envelopes for event in json.loads(one["body"])["data"]["events"]]

    async def until(self, happened: Callable[[], bool], within: float = PATIENCE) -> None:
        async with asyncio.timeout(within):
            while not happened():
                self._came.clear()
                await self._came.wait()

    async def serve(self, connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for said in connection:
                self.envelopes.append(json.loads(said))
                answers = self.acknowledges(self.envelopes[-1])
                self._came.set()
                if answers is None:
                    await connection.close()
                    return
                for answer in answers:
                    await connection.send(answer)

    def open(self, connection: ServerConnection, request: OpeningRequest) -> Response | None:
        self.openings.append({name.lower(): value for name, value in request.headers.raw_items()})
        status = self.refuses()
        return None if status is None else connection.respond(status, "no")


def last_of(envelope: dict[str, Any]) -> int:
    """The number of the last event of a message."""
    last: int = json.loads(envelope["body"])["data"]["last"]
    return last


def acknowledging(envelope: dict[str, Any]) -> list[str]:
    """What a receiver answers that has everything."""
    return [json.dumps({"ack": last_of(envelope)})]


@asynccontextmanager
async def receiving_socket(
    acknowledges: Callable[[dict[str, Any]], Sequence[str] | None] = acknowledging,
    refuses: Callable[[], int | None] = lambda: None,
    port: int = 0,
) -> AsyncIterator[SocketReceiver]:
    receiver = SocketReceiver(acknowledges, refuses)
    async with serve(receiver.serve, "127.0.0.1", port, process_request=receiver.open, compression=None) as server:
        receiver.port = next(iter(server.sockets)).getsockname()[1]
        yield receiver


def names(**hosts: list[str]) -> Callable[[str], Awaitable[list[str]]]:
    """A resolver: addresses by the first label of a name, none for others."""

    async def resolve(host: str) -> list[str]:
        addresses = hosts.get(host.split(".", maxsplit=1)[0])
        if addresses is None:
            raise OSError("no such name")
        return addresses

    return resolve
