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
from typing import Any, Final, Generic, Protocol, Self, TypeVar

from campana.domain.moment import Clock


class Cuttable(Protocol):
    """A connection of a simulator."""

    def cut(self) -> None:
        """End the connection without a word."""


LinkT = TypeVar("LinkT", bound=Cuttable)
MessageT = TypeVar("MessageT")


LOOK_SECONDS: Final = 0.005


def wall_clock() -> int:
    """Epoch milliseconds."""
    return time.time_ns() // 1_000_000


class Simulator(ABC, Generic[LinkT]):
    """A server for tests, the demo and benchmarks. `start` it, give `port` to a client, `stop` it."""

    def __init__(self, host: str, port: int, journal: Path | None, clock: Clock | None = None) -> None:
        self.host = host
        self.port = port
        """The port asked for; once started, the one that is listened on."""
        self.links: set[LinkT] = set()
        """The connections that stand."""
        self.most_links = 0
        """Connections that stood at a time, at most."""
        self.clock = clock or wall_clock
        self.looks = Looks(self.clock)
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
        if self._journal is not None:
            self.looks.begin()
        return self

    async def stop(self) -> None:
        """Cut every connection and listen no more; what is not out yet is lost."""
        await self._end()
        self.looks.end()
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


class Looks:
    """Knows since when what is read now may have been waiting to be read.

    A machine that is busy with something else leaves it lying in the socket for a while: what came in the course of
    that while is read all at once. Who judges a pace by a journal must know how far its times can be trusted.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._latest = self._before = clock()
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Take note of every time that the loop comes round to its sockets."""
        self._before = self._latest = self._clock()
        self._look()

    def end(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    @property
    def since(self) -> int:
        """Epoch milliseconds: whatever came before was read before."""
        # Between two looks the loop came round to its sockets; after the latest it may not have yet.
        return self._before

    def _look(self) -> None:
        self._before, self._latest = self._latest, self._clock()
        self._timer = asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look)


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
