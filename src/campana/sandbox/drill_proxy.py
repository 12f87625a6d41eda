"""Owns a way to the database that can be cut: a relay on the loopback interface between the processes and the server.

Must not know what is said over it. Cutting it needs no privileges on the server, unlike ending its sessions.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Final, NamedTuple, Self
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

HOST: Final = "127.0.0.1"
_PORT: Final = 5432
_PIECE: Final = 65_536


class Place(NamedTuple):
    """Where a server listens: a host's port, or where the host is a folder, the socket in there."""

    host: str
    port: int


class Proxy:
    """Connects whoever comes to the first of the places that answers."""

    def __init__(self, places: Sequence[Place]) -> None:
        self._places = places
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._relays: set[asyncio.Task[None]] = set()
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._come, HOST, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        self.cut()
        await asyncio.gather(*self._relays, return_exceptions=True)

    @property
    def connections(self) -> int:
        """How many stand."""
        return len(self._writers) // 2

    def cut(self) -> int:
        """Cut every connection without a word; how many there were."""
        count = self.connections
        for writer in tuple(self._writers):
            writer.transport.abort()
        return count

    def _come(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        relay = asyncio.get_running_loop().create_task(self._relay(reader, writer))
        self._relays.add(relay)
        relay.add_done_callback(self._relays.discard)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there = await self._connect()
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, there[1]}
        try:
            await asyncio.gather(_pump(reader, there[1]), _pump(there[0], writer))
        finally:
            self._writers -= {writer, there[1]}

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reason: OSError = ConnectionRefusedError()
        for place in self._places:
            try:
                if place.host.startswith("/"):
                    return await asyncio.open_unix_connection(f"{place.host}/.s.PGSQL.{place.port}")
                return await asyncio.open_connection(place.host, place.port)
            except OSError as error:
                reason = error
        raise reason


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hand on what comes until one side is gone; then the other one goes, too."""
    with contextlib.suppress(OSError):
        while (piece := await reader.read(_PIECE)) and not writer.is_closing():
            writer.write(piece)
            await writer.drain()
    writer.close()


def places_of(url: str) -> list[Place]:
    """Where the servers of a libpq URL listen, in its order.

    Raises ValueError with a sentence where a port is none.
    """
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    hosts = query["host"].split(",") if "host" in query else [unquote(one) for one in _hosts(parts.netloc)]
    ports = query["port"].split(",") if "port" in query else []
    places = []
    for place, host in enumerate(hosts):
        name, port = (host, "") if host.startswith("/") else _host_and_port(host)
        given = port or (ports[min(place, len(ports) - 1)] if ports else "") or str(_PORT)
        if not (given.isascii() and given.isdigit()):
            raise ValueError("the port should be a number")
        places.append(Place(name or HOST, int(given)))
    return places


def through(url: str, port: int) -> str:
    """The same database and user by way of a proxy's port."""
    parts = urlsplit(url)
    who, at, _ = parts.netloc.rpartition("@")
    query = [(name, value) for name, value in parse_qsl(parts.query) if name not in ("host", "port")]
    return urlunsplit((parts.scheme, f"{who}{at}{HOST}:{port}", parts.path, urlencode(query), ""))


def _hosts(netloc: str) -> list[str]:
    return netloc.rpartition("@")[2].split(",")


def _host_and_port(text: str) -> tuple[str, str]:
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        return host, rest.removeprefix(":")
    host, _, port = text.partition(":")
    return host, port
