"""A server that misbehaves as it is told, at the socket; and the two Python clients, asked alike."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from campana.client import AsyncClient, Client, LogIn, Retries

QUICK = Retries(patience_s=10.0, first_s=0.01, longest_s=0.02)


@dataclass
class Seen:
    """A request as it came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def key(self) -> str:
        return self.headers["idempotency-key"]


Writer = asyncio.StreamWriter
Behaviour = Callable[[Writer], Awaitable[None]]


@dataclass
class Peer:
    """Behaves in turn as listed; whoever comes after the last one is cut off."""

    behaviours: list[Behaviour]
    seen: list[Seen] = field(default_factory=list)
    read_most: int | None = None
    """Bytes of the first body that are read before the connection is cut; None: all."""
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def targets(self) -> list[str]:
        return [f"{one.method} {one.target}" for one in self.seen]

    async def talk(self, reader: asyncio.StreamReader, writer: Writer) -> None:
        try:
            while await self._answer(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: Writer) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        method, target, _ = first.split(" ")
        one = Seen(method, target, headers, b"")
        self.seen.append(one)
        if self.read_most is not None:
            most, self.read_most = self.read_most, None
            await reader.readexactly(most)
            return False
        one.body = await _body(reader, headers)
        if not self.behaviours:
            return False
        await self.behaviours.pop(0)(writer)
        await writer.drain()
        return not writer.is_closing()


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if "content-length" in headers:
        return await reader.readexactly(int(headers["content-length"]))
    if headers.get("transfer-encoding") != "chunked":
        return b""
    body = b""
    while size := int(await reader.readline(), 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return body


@asynccontextmanager
async def peer(*behaviours: Behaviour, read_most: int | None = None) -> AsyncIterator[Peer]:
    one = Peer(list(behaviours), read_most=read_most)
    async with await asyncio.start_server(one.talk, "127.0.0.1", 0) as server:
        one.port = server.sockets[0].getsockname()[1]
        yield one


def says(status: int, value: Any = None, headers: str = "", raw: bytes | None = None) -> Behaviour:
    """Answer so."""
    body = raw if raw is not None else b"" if value is None else json.dumps(value).encode()

    async def behave(writer: Writer) -> None:
        writer.write(f"HTTP/1.1 {status} Said\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body)

    return behave


def problem(status: int, code: int = 0, detail: str = "", field: str = "", headers: str = "") -> Behaviour:
    """Refuse so."""
    return says(status, {"status": status, "code": code, "title": "T", "detail": detail, "field": field}, headers)


async def cuts(writer: Writer) -> None:
    """Cut the connection instead of an answer."""
    writer.close()


def streams(*parts: bytes, ends: bool = True, kind: str = "text/event-stream") -> Behaviour:
    """Answer in parts, and end well or be cut."""

    async def behave(writer: Writer) -> None:
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        for part in parts:
            writer.write(b"%x\r\n%b\r\n" % (len(part), part))
        if ends:
            writer.write(b"0\r\n\r\n")
        else:
            await writer.drain()
            writer.close()

    return behave


@dataclass
class Asked:
    """A client of either kind."""

    client: Any

    async def once(self, name: str, *arguments: Any, **named: Any) -> Any:
        """What a method returns."""
        method = getattr(self.client, name)
        if isinstance(self.client, AsyncClient):
            return await method(*arguments, **named)
        return await asyncio.to_thread(method, *arguments, **named)

    async def many(self, name: str, *arguments: Any, most: int | None = None, **named: Any) -> list[Any]:
        """What a method hands out, up to some."""
        found = getattr(self.client, name)(*arguments, **named)
        if not isinstance(self.client, AsyncClient):
            return await asyncio.to_thread(lambda: _and_close(found, most))
        values: list[Any] = []
        async for value in found:
            values.append(value)
            if len(values) == most:
                break
        await found.aclose()
        return values


def _and_close(found: Any, most: int | None) -> list[Any]:
    values = list(islice(found, most))
    found.close()
    return values


@asynccontextmanager
async def asked(kind: str, url: str, retries: Retries = QUICK, log_in: LogIn | None = None) -> AsyncIterator[Asked]:
    """A client of a kind: blocking or awaiting."""
    key = None if log_in else "ck_abcdefgh_secret"
    if kind == "awaiting":
        async with AsyncClient(url, api_key=key, log_in=log_in, retries=retries) as client:
            yield Asked(client)
        return
    client = Client(url, api_key=key, log_in=log_in, retries=retries)
    try:
        yield Asked(client)
    finally:
        await asyncio.to_thread(client.close)
