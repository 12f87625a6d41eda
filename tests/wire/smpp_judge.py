"""Owns the peers of the SMPP tests: an SMSC whose every PDU is parsed and packed by smpplib, and one of raw bytes.

Must not use Campana's own codec: it is what is being judged.
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from smpplib import smpp

from campana.channels.contract import Parcel
from campana.channels.sms import SmsRoute, SmsRouteSettings
from campana.domain.delivery import Medium
from campana.domain.message import Content, IncomingMessage
from campana.domain.outcome import Receipt

SOURCE = "+14165550000"
PHONE = "+14165550123"
SOON = 5.0
"""Seconds within which anything that is to happen has happened."""


class Numbers:
    """What smpplib asks of a client that packs PDUs: sequence numbers of our choice."""

    def __init__(self, sequence: int = 0) -> None:
        self.sequence = sequence

    def next_sequence(self) -> int:
        self.sequence += 1
        return self.sequence


def make(command: str, sequence: int, **fields: Any) -> bytes:
    """A PDU as smpplib packs it."""
    pdu = smpp.make_pdu(command, client=Numbers(sequence), **fields)
    pdu.sequence = sequence
    return pdu.generate()


def parse(raw: bytes) -> Any:
    """A PDU as smpplib understands it."""
    return smpp.parse_pdu(raw, client=Numbers(), allow_unknown_opt_params=True)


Handler = Callable[["Connection", Any], Sequence[bytes] | None]
"""(connection, PDU) to the PDUs to answer with; None is silence."""


class Connection:
    """One client of the judge."""

    def __init__(self, judge: Judge, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.judge = judge
        self.reader = reader
        self.writer = writer
        self.bound = ""
        self.sequence = 0

    async def serve(self) -> None:
        try:
            while True:
                head = await self.reader.readexactly(4)
                raw = head + await self.reader.readexactly(struct.unpack(">L", head)[0] - 4)
                pdu = parse(raw)
                self.judge.note(self, pdu)
                for answer in self.judge.answer(self, pdu):
                    self.writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.writer.close()
            self.judge.left()

    def send(self, command: str, **fields: Any) -> int:
        """Send a request of the SMSC's own; its sequence number."""
        self.sequence += 1
        self.writer.write(make(command, self.sequence, **fields))
        return self.sequence

    def hang_up(self) -> None:
        self.writer.transport.abort()


class Judge:
    """An SMSC over smpplib. `handlers` by command name take the place of the usual answers."""

    def __init__(self, **handlers: Handler) -> None:
        self.handlers = handlers
        self.seen: list[tuple[Connection, Any]] = []
        self.connections: list[Connection] = []
        self.open = 0
        self.most_open = 0
        self.port = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Judge:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for connection in self.connections:
            connection.hang_up()
        await asyncio.gather(*self._tasks)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(self, reader, writer)
        self.connections.append(connection)
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        task = asyncio.ensure_future(connection.serve())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def left(self) -> None:
        self.open -= 1
        self._changed.set()

    def note(self, connection: Connection, pdu: Any) -> None:
        self.seen.append((connection, pdu))
        if pdu.command.startswith("bind_"):
            connection.bound = pdu.command
        self._changed.set()

    def answer(self, connection: Connection, pdu: Any) -> Sequence[bytes]:
        handler = self.handlers.get(pdu.command)
        if handler is not None:
            return handler(connection, pdu) or ()
        if pdu.is_response():
            return ()
        fields: dict[str, Any] = {}
        if pdu.command.startswith("bind_"):
            fields = {"system_id": "judge"}
        if pdu.command == "submit_sm":
            fields = {"message_id": message_id(pdu)}
        return [make(f"{pdu.command}_resp", pdu.sequence, **fields)]

    def of(self, command: str) -> list[Any]:
        """The PDUs of one command, in the order in which they came."""
        return [pdu for _, pdu in self.seen if pdu.command == command]

    async def until(self, met: Callable[[], bool]) -> None:
        """Wait until what was seen meets a condition."""
        async with asyncio.timeout(SOON):
            while not met():
                self._changed.clear()
                await self._changed.wait()

    async def saw(self, command: str, count: int = 1) -> list[Any]:
        """Wait until `count` PDUs of a command have come."""
        await self.until(lambda: len(self.of(command)) >= count)
        return self.of(command)

    async def receiver(self) -> Connection:
        """Wait for a connection that may be delivered to."""
        wanted = ("bind_receiver", "bind_transceiver")
        await self.until(lambda: any(connection.bound in wanted for connection in self.connections))
        return next(connection for connection in reversed(self.connections) if connection.bound in wanted)


def message_id(pdu: Any) -> str:
    """The id that the judge gives to a submission."""
    return f"m{pdu.sequence:04d}"


def refuse(status: int) -> Handler:
    """Answer every request with a status."""
    return lambda _, pdu: [make(f"{pdu.command}_resp", pdu.sequence, status=status)]


def silence(connection: Connection, pdu: Any) -> None:
    """Answer nothing."""


def shares(judge: Judge) -> list[int]:
    """Messages by connection."""
    return [
        sum(1 for who, seen in judge.seen if who is connection and seen.command == "submit_sm")
        for connection in judge.connections
    ]


class Recorder:
    """The engine's ear: keeps what a route tells. With `gate` cleared, nothing becomes durable."""

    def __init__(self) -> None:
        self.told: list[Receipt] = []
        self.messages: list[IncomingMessage] = []
        self.changes = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.fail = False
        self._changed = asyncio.Event()

    async def receipts(self, batch: Sequence[Receipt]) -> None:
        await self.gate.wait()
        if self.fail:
            raise RuntimeError("not kept")
        self.told += batch
        self._changed.set()

    async def message(self, message: IncomingMessage) -> None:
        await self.gate.wait()
        self.messages.append(message)
        self._changed.set()

    def route_changed(self, name: str) -> None:
        self.changes += 1
        self._changed.set()

    async def until(self, met: Callable[[], bool]) -> None:
        """Wait until what was told meets a condition."""
        async with asyncio.timeout(SOON):
            while not met():
                self._changed.clear()
                await self._changed.wait()


def clock() -> int:
    return time.time_ns() // 1_000_000


def settings(port: int, **more: Any) -> SmsRouteSettings:
    """Settings of a route to a local SMSC, in haste."""
    values: dict[str, Any] = {
        "name": "sms",
        "url": f"smpp://campana:secret@127.0.0.1:{port}",
        "response_timeout": 3.0,
        "reconnect_min": 0.02,
        "reconnect_max": 0.05,
    }
    return SmsRouteSettings(**(values | more))


class Running:
    """A started route with its recorder."""

    def __init__(self, port: int, **more: Any) -> None:
        self.route = SmsRoute(settings(port, **more), clock)
        self.recorder = Recorder()

    async def __aenter__(self) -> Running:
        await self.route.start(self.recorder)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.route.stop(1.0)

    async def health(self, value: str) -> None:
        """Wait until the route's health is `value`."""
        await self.recorder.until(lambda: self.route.state.health.value == value)

    def parcels(self, count: int = 1, text: str = "Hello", first: int = 0) -> list[Parcel]:
        """Parcels with a text to consecutive numbers."""
        compose = self.route.composer(Content(Medium.SMS, SOURCE, text))
        return [compose(index, 1, f"+1416555{first + index:04d}", None) for index in range(count)]

    async def send(self, count: int = 1, text: str = "Hello") -> list[Any]:
        """Send parcels that may all leave."""
        async with asyncio.timeout(SOON):
            return await self.route.send(self.parcels(count, text), lambda: True)


class RawPeer:
    """A server that is told byte by byte what to do with each connection."""

    def __init__(self, script: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> None:
        self._script = script
        self._failures: list[AssertionError] = []
        self.port = 0
        self.count = 0

    async def __aenter__(self) -> RawPeer:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        if self._failures:
            raise self._failures[0]

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.count += 1
        try:
            await self._script(reader, writer)
        except AssertionError as failure:
            self._failures.append(failure)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


async def read_pdu(reader: asyncio.StreamReader) -> Any:
    """The next PDU on a raw connection, as smpplib understands it."""
    head = await reader.readexactly(4)
    return parse(head + await reader.readexactly(struct.unpack(">L", head)[0] - 4))


async def accept_bind(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the bind that opens a raw connection."""
    bind = await read_pdu(reader)
    writer.write(make(f"{bind.command}_resp", bind.sequence, system_id="raw"))
