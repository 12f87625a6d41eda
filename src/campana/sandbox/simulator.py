"""Owns what every simulator has: a listening socket, connections to cut, letter boxes to read, and a journal.

Must not know any protocol.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import time
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, Protocol, Self, TypeVar


class Cuttable(Protocol):
    """A connection of a simulator."""

    def cut(self) -> None:
        """End the connection without a word."""


LinkT = TypeVar("LinkT", bound=Cuttable)
MessageT = TypeVar("MessageT")


def wall_clock() -> int:
    """Epoch milliseconds."""
    return time.time_ns() // 1_000_000


class Simulator(ABC, Generic[LinkT]):
    """A server for tests, the demo and benchmarks. `start` it, give `port` to a client, `stop` it."""

    def __init__(self, host: str, port: int, journal: Path | None) -> None:
        self.host = host
        self.port = port
        """The port asked for; once started, the one that is listened on."""
        self.links: set[LinkT] = set()
        """The connections that stand."""
        self.most_links = 0
        """Connections that stood at a time, at most."""
        self._journal = Journal(journal) if journal else None
        self._server: asyncio.Server | None = None

    @abstractmethod
    def _link(self) -> asyncio.Protocol:
        """A new connection."""

    def _tls_from_the_start(self) -> ssl.SSLContext | None:
        """The context where connections begin with TLS."""
        return None

    async def _end(self) -> None:
        """End what runs beside the connections."""

    async def start(self) -> Self:
        """Listen. Raises OSError where the port is taken."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._link, self.host, self.port, ssl=self._tls_from_the_start())
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        """Cut every connection and listen no more; what is not out yet is lost."""
        await self._end()
        if self._server is not None:
            self._server.close()
            self.disconnect_all()
            await self._server.wait_closed()
        if self._journal is not None:
            self._journal.close()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def disconnect_all(self) -> None:
        """Cut every connection without a word."""
        for link in tuple(self.links):
            link.cut()

    def came(self, link: LinkT) -> None:
        """A client has come."""
        self.links.add(link)
        self.most_links = max(self.most_links, len(self.links))

    def went(self, link: LinkT) -> None:
        """It has gone."""
        self.links.discard(link)

    def flush_journal(self) -> None:
        """Before answers are written: what they promise is in the journal."""
        if self._journal is not None:
            self._journal.flush()


async def run(simulator: Simulator[Any], ready: Callable[[int], None] | None) -> None:
    """Run a simulator until cancelled; `ready` is told the port. Raises OSError where the port is taken."""
    async with simulator:
        if ready is not None:
            ready(simulator.port)
        await asyncio.get_running_loop().create_future()


class Boxes(Generic[MessageT]):
    """What has reached people: the latest messages, how many to whom, and which a test still has to expect."""

    def __init__(self, keep: int, on_message: Callable[[MessageT], None] | None) -> None:
        self.messages: deque[MessageT] = deque(maxlen=keep)
        self.counts: Counter[str] = Counter()
        self._unread: deque[MessageT] = deque(maxlen=keep)
        self._news = asyncio.Event()
        self._on_message = on_message

    def put(self, message: MessageT) -> None:
        """A message has reached its person."""
        self.messages.append(message)
        self._unread.append(message)
        self._news.set()
        if self._on_message is not None:
            self._on_message(message)

    async def expect(self, wanted: Callable[[MessageT], bool], within: float) -> MessageT | None:
        """The oldest wanted message that was not expected before; None where none came within so many seconds."""
        try:
            async with asyncio.timeout(within):
                while True:
                    self._news.clear()
                    for message in self._unread:
                        if wanted(message):
                            self._unread.remove(message)
                            return message
                    await self._news.wait()
        except TimeoutError:
            return None

    @property
    def unexpected(self) -> list[MessageT]:
        """The messages that nobody has expected, oldest first."""
        return list(self._unread)


class Journal:
    """A file with one JSON object a line for everything that was taken, without its text."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._lines: list[str] = []

    def note(self, entry: Mapping[str, object]) -> None:
        """Note what was taken; `flush` makes it outlive us."""
        self._lines.append(json.dumps(entry, separators=(",", ":")) + "\n")

    def flush(self) -> None:
        """Hand what was noted to the operating system."""
        if self._lines:
            data = memoryview("".join(self._lines).encode())
            self._lines.clear()
            while data:
                data = data[os.write(self._file, data) :]

    def close(self) -> None:
        """Flush and close."""
        self.flush()
        os.close(self._file)
