"""A mail server that follows a script, and letters of known bytes: what the tests of the SMTP client share."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from campana.channels.contract import Accepted, Parcel, Result
from campana.channels.email import EmailRoute, EmailRouteSettings
from campana.channels.email.message import Letter
from campana.domain.message import IncomingMessage
from campana.domain.outcome import Receipt

EHLO = b"EHLO client.test\r\n"
GREETING = b"220 relay.test ESMTP\r\n"
PIPELINING = b"250-relay.test\r\n250-PIPELINING\r\n250 ENHANCEDSTATUSCODES\r\n"
PLAIN = b"250 relay.test\r\n"
ENVELOPE_OK = b"250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 Go ahead\r\n"
TAKEN = b"250 2.0.0 Ok: queued as 1\r\n"
QUIT = b"QUIT\r\n"
BYE = b"221 2.0.0 Bye\r\n"


@dataclass(frozen=True)
class Say:
    data: bytes


@dataclass(frozen=True)
class Hear:
    data: bytes


@dataclass(frozen=True)
class HangUp:
    pass


@dataclass(frozen=True)
class Wait:
    event: asyncio.Event


@dataclass(frozen=True)
class Reached:
    event: asyncio.Event


Script = Sequence[Say | Hear | HangUp | Wait | Reached]

OPEN_PIPELINED: Script = (Say(GREETING), Hear(EHLO), Say(PIPELINING))
OPEN_PLAIN: Script = (Say(GREETING), Hear(EHLO), Say(PLAIN))


GOODBYE: Script = (Hear(QUIT), Say(BYE))


def mail(number: int = 1, parameters: bytes = b"") -> bytes:
    return b"MAIL FROM:<s%d@a.test>%b\r\n" % (number, parameters)


def rcpt(number: int = 1) -> bytes:
    return b"RCPT TO:<r%d@b.test>\r\n" % number


def envelope(number: int = 1) -> bytes:
    return mail(number) + rcpt(number) + b"DATA\r\n"


def body(number: int = 1) -> bytes:
    return b"Subject: %d\r\n\r\nHello\r\n.\r\n" % number


def letter(number: int = 1, *, utf8: bool = False, size: int = 21) -> Letter:
    head, rest = b"Subject: %d\r\n" % number, b"\r\nHello\r\n.\r\n"
    return Letter(b"s%d@a.test" % number, b"r%d@b.test" % number, head, rest, size, utf8)


def parcel(number: int = 1, *, utf8: bool = False, size: int = 21) -> Parcel:
    return Parcel(number, 1, f"r{number}@b.test", letter(number, utf8=utf8, size=size))


@dataclass
class Scripted:
    """Plays one script per connection, in the order of connecting; `problems` says where a client differed."""

    scripts: list[Script]
    port: int = 0
    connections: int = 0
    problems: list[str] = field(default_factory=list)
    finished: int = 0
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def until_finished(self, number: int, within: float = 5.0) -> None:
        async with asyncio.timeout(within), self.changed:
            await self.changed.wait_for(lambda: self.finished >= number)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = self.connections
        self.connections += 1
        script = self.scripts[number] if number < len(self.scripts) else (HangUp(),)
        try:
            for place, step in enumerate(script):
                match step:
                    case Say(data):
                        writer.write(data)
                    case Hear(data):
                        await self._hear(reader, data, f"connection {number}, step {place}")
                    case Wait(event):
                        await event.wait()
                    case Reached(event):
                        event.set()
                    case HangUp():
                        writer.transport.abort()
                        return
            await reader.read()
        except (ConnectionError, TimeoutError, asyncio.IncompleteReadError) as error:
            self.problems.append(f"connection {number}: {error!r}")
        except asyncio.CancelledError:
            pass  # the test is over; asyncio would log a cancelled handler as an error
        finally:
            self.finished += 1
            async with self.changed:
                self.changed.notify_all()
            writer.close()

    async def _hear(self, reader: asyncio.StreamReader, wanted: bytes, where: str) -> None:
        async with asyncio.timeout(5):
            try:
                heard = await reader.readexactly(len(wanted))
            except asyncio.IncompleteReadError as error:
                heard = error.partial
        if heard != wanted:
            self.problems.append(f"{where}: wanted {wanted!r}, heard {heard!r}")


@contextlib.asynccontextmanager
async def scripted(*scripts: Script) -> AsyncIterator[Scripted]:
    """Serve the scripts; at the end, fail where a client did not keep to them."""
    server = Scripted(list(scripts))
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        await listening.wait_closed()
    assert server.problems == []


class Ears:
    """An Inbound that remembers."""

    def __init__(self) -> None:
        self.taken: list[Receipt] = []
        self.changes: list[str] = []
        self.changed = asyncio.Event()
        self.news = asyncio.Event()

    async def receipts(self, batch: Sequence[Receipt]) -> None:
        self.taken.extend(batch)
        self.news.set()

    async def message(self, message: IncomingMessage) -> None:
        raise AssertionError("email brings no incoming messages")

    def route_changed(self, name: str) -> None:
        self.changes.append(name)
        self.changed.set()


def settings(port: int, **options: object) -> EmailRouteSettings:
    values: dict[str, object] = {"tls": "off", "ehlo_name": "client.test", "connections": 1, **options}
    url = values.pop("url", f"smtp://127.0.0.1:{port}")
    return EmailRouteSettings.model_validate({"name": "mail", "channel": "email", "url": url, **values})


@contextlib.asynccontextmanager
async def running(port: int, ears: Ears | None = None, **options: object) -> AsyncIterator[EmailRoute]:
    """A started route to 127.0.0.1:port; stopped at the end."""
    route = EmailRoute(settings(port, **options), lambda: 1_700_000_000_000)
    await route.start(ears or Ears())
    try:
        yield route
    finally:
        await route.stop(2)


async def send(route: EmailRoute, *parcels: Parcel, within: float = 5.0) -> list[str]:
    """Send, and describe each result in a line."""
    async with asyncio.timeout(within):
        return [describe(result) for result in await route.send(parcels, lambda: True)]


def describe(result: Result) -> str:
    """`Accepted 250 2.0.0`, or `RefusedForGood EMAIL_MAILBOX_UNKNOWN 550 5.1.1`."""
    if isinstance(result, Accepted):
        assert result.final
        return f"Accepted {result.carrier_code}"
    words = [type(result).__name__, result.code.name, result.carrier_code]
    return " ".join(word for word in words if word)
