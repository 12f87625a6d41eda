"""Owns how an endpoint is told over a WebSocket that we open: one connection a campaign, a message, and its receipt.

Must not know what is told, nor when it goes again. A message is taken when the receiver says so: that bytes were
written means nothing where the connection breaks.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections import OrderedDict
from typing import Final
from urllib.parse import urlsplit

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.protocol import State

from campana.bus.endpoints import TAKEN, Answer, Message, Outcome, signed
from campana.bus.outside import Guard, OutsideError
from campana.domain.moment import Clock

OPEN_SECONDS: Final = 10.0
ACK_SECONDS: Final = 20.0
"""How long a receipt is waited for."""
PING_SECONDS: Final = 20.0
IDLE_SECONDS: Final = 300.0
"""A connection by which nothing was told for so long is closed."""
CLOSE_SECONDS: Final = 2.0
MOST_OPEN: Final = 256
"""Connections that are kept; where there would be more, the one that was used longest ago is closed."""
LARGEST_FRAME: Final = 4 * 1024
"""Bytes of what a receiver says: a receipt has some twenty."""

_GONE = 410


class _Receipt(msgspec.Struct):
    """What a receiver says: it has all events up to this number."""

    ack: int


_decode = msgspec.json.Decoder(_Receipt).decode
_encode = msgspec.json.Encoder().encode

_log = logging.getLogger("campana.websocket")
# The library's own lines are about frames, and hold them.
_log.setLevel(logging.WARNING)


class WebSockets:
    """Tells endpoints over WebSockets. Used from one event loop."""

    def __init__(
        self, guard: Guard, clock: Clock, tls: ssl.SSLContext | None = None, patience: float = ACK_SECONDS
    ) -> None:
        """`tls` says whose certificates are believed: those of the system, unless given; `patience` how many seconds a
        receipt may take."""
        self._guard = guard
        self._clock = clock
        self._patience = patience
        self._tls = tls or ssl.create_default_context()
        self._open: OrderedDict[tuple[str, str], ClientConnection] = OrderedDict()
        self._timers: dict[tuple[str, str], asyncio.TimerHandle] = {}
        self._closing: set[asyncio.Task[None]] = set()

    async def tell(self, endpoint: str, message: Message) -> Answer:
        """Send a message and wait until the receiver has acknowledged its last event, or a later one."""
        key = (message.campaign, endpoint)
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
        try:
            connection = self._open.pop(key, None)
            if connection is None or connection.state is not State.OPEN:
                connection = await self._connected(endpoint, message)
        except OutsideError as error:
            return Answer(Outcome.FAILED, str(error))
        except InvalidStatus as error:
            status = error.response.status_code
            said = f"It answered with HTTP status {status} instead of a WebSocket."
            return Answer(Outcome.GONE if status == _GONE else Outcome.FAILED, said)
        except (OSError, EOFError, InvalidHandshake, ValueError) as error:
            is_tls = isinstance(error, ssl.SSLError)
            said = "No secure connection could be made." if is_tls else "No WebSocket could be opened."
            return Answer(Outcome.FAILED, said)
        answer = None
        try:
            answer = await self._told(connection, message)
        finally:
            if answer is TAKEN:
                self._keep(key, connection)
            else:
                self._end(connection)
        return answer

    async def close(self) -> None:
        """Close every connection."""
        for timer in self._timers.values():
            timer.cancel()
        while self._open:
            self._end(self._open.popitem()[1])
        if self._closing:
            await asyncio.wait(set(self._closing))

    async def _connected(self, endpoint: str, message: Message) -> ClientConnection:
        """Open a WebSocket. The opening is signed like a message with an empty body, so that it can be refused.

        Raises OutsideError, InvalidHandshake, OSError (TimeoutError included), EOFError and ValueError.
        """
        self._guard.check(endpoint)
        parts = urlsplit(endpoint)
        secure, host = parts.scheme == "wss", parts.hostname or ""
        raw = await self._guard.connect(host, parts.port or (443 if secure else 80))
        try:
            return await connect(
                endpoint,
                sock=raw,
                ssl=self._tls if secure else None,
                server_hostname=host if secure else None,
                proxy=None,
                compression=None,
                additional_headers=signed(f"{message.campaign}.opening", "", message.secrets, self._clock()),
                user_agent_header="Campana",
                open_timeout=OPEN_SECONDS,
                ping_interval=PING_SECONDS,
                ping_timeout=PING_SECONDS,
                close_timeout=CLOSE_SECONDS,
                max_size=LARGEST_FRAME,
                logger=_log,
            )
        except BaseException:
            raw.close()
            raise

    async def _told(self, connection: ClientConnection, message: Message) -> Answer:
        """Send a message, and wait for its receipt."""
        try:
            async with asyncio.timeout(self._patience):
                await connection.send(self._envelope(message))
                await _acknowledged(connection, message.last)
        except TimeoutError:
            return Answer(Outcome.FAILED, "It did not acknowledge in time.")
        except (ConnectionClosed, OSError):
            return Answer(Outcome.FAILED, "The connection was closed before it had acknowledged.")
        return TAKEN

    def _envelope(self, message: Message) -> str:
        headers = signed(message.id, message.body, message.secrets, self._clock())
        return _encode({**headers, "body": message.body}).decode()

    def _keep(self, key: tuple[str, str], connection: ClientConnection) -> None:
        self._open[key] = connection
        self._timers[key] = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._drop, key)
        if len(self._open) > MOST_OPEN:
            self._drop(next(iter(self._open)))

    def _drop(self, key: tuple[str, str]) -> None:
        self._timers.pop(key).cancel()
        self._end(self._open.pop(key))

    def _end(self, connection: ClientConnection) -> None:
        task = asyncio.ensure_future(_closed(connection))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


async def _acknowledged(connection: ClientConnection, last: int) -> None:
    """Wait for the receipt of an event, or a later one. What else is said is passed over."""
    while True:
        said = await connection.recv()
        with contextlib.suppress(msgspec.MsgspecError):
            if _decode(said).ack >= last:
                return


async def _closed(connection: ClientConnection) -> None:
    with contextlib.suppress(Exception):
        await connection.close()
