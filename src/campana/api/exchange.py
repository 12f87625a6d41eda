"""Owns one HTTP request and its answer over ASGI: reading within a limit, answering whole or in parts.

Must not know what the bodies mean. Source: ASGI HTTP specification 2.3.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Header = tuple[bytes, bytes]

PART_BYTES = 64 * 1024
"""A streamed answer leaves in parts of at least this many bytes; a shorter one leaves whole."""

_DRAIN_BYTES = 16 * 1024 * 1024
"""So much of a body that is too large is read and thrown away, so that its sender can read why."""


class BodyTooLarge(Exception):
    """The body is over the limit. `drained` tells whether it was read to its end and the connection can go on."""

    def __init__(self, *, drained: bool) -> None:
        self.drained = drained
        super().__init__("The body is over the limit.")


class ClientGone(Exception):
    """The client closed the connection before its request was whole; nobody waits for an answer."""


class BrokenOff(Exception):
    """A streamed answer that cannot be ended: raised to the server so that it drops the connection.

    Ending it would make a list that lacks items look whole. `reason` is what broke it off.
    """

    def __init__(self, reason: Exception) -> None:
        self.reason = reason
        super().__init__(f"A streamed answer was broken off: {type(reason).__name__}.")


class Exchange:
    """One request and its answer."""

    __slots__ = ("_receive", "_send", "headers", "method", "scope")

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.method: str = scope["method"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self._receive = receive
        self._send = send

    async def body(self, limit: int) -> bytes:
        """The request's whole body. Raises BodyTooLarge and ClientGone."""
        declared = self.headers.get(b"content-length", b"")
        if declared.isdigit() and int(declared[:20]) > limit:
            await self._refuse_body(int(declared[:20]))
        message = await self._next()
        body: bytes = message.get("body", b"")
        if message.get("more_body", False):
            body = await self._rest(body, limit)
        if len(body) > limit:
            raise BodyTooLarge(drained=True)
        return body

    async def _rest(self, first: bytes, limit: int) -> bytes:
        parts, size, more = [first], len(first), True
        while more:
            message = await self._next()
            part = message.get("body", b"")
            more = message.get("more_body", False)
            size += len(part)
            if size > _DRAIN_BYTES:
                raise BodyTooLarge(drained=False)
            if size <= limit:
                parts.append(part)
        if size > limit:
            raise BodyTooLarge(drained=True)
        return b"".join(parts)

    async def _refuse_body(self, declared: int) -> None:
        """Raise BodyTooLarge, after throwing away what is sent anyway."""
        if declared > _DRAIN_BYTES or self.headers.get(b"expect", b"").lower() == b"100-continue":
            raise BodyTooLarge(drained=False)
        while (await self._next()).get("more_body", False):
            pass
        raise BodyTooLarge(drained=True)

    async def _next(self) -> Message:
        message = await self._receive()
        if message["type"] != "http.request":
            raise ClientGone
        return message

    async def answer(self, status: int, headers: list[Header], body: bytes) -> None:
        """Answer whole."""
        headers = [*headers, (b"content-length", b"%d" % len(body))]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})

    async def stream(self, headers: list[Header], parts: AsyncIterator[bytes]) -> None:
        """Answer 200 with parts as they come; whole where there is only one.

        What `parts` raises comes through while nothing was sent; later it becomes BrokenOff. Where the client is
        gone, it returns before the end of `parts`.
        """
        first, second = await anext(parts, b""), await anext(parts, None)
        if second is None:
            await self.answer(200, headers, first)
        elif self.scope.get("http_version") == "1.0":
            await self._answer_spooled(headers, first, second, parts)
        else:
            await self._send({"type": "http.response.start", "status": 200, "headers": headers})
            await self._send_part(first)
            await self._send_part(second)
            await self._stream_rest(parts)

    async def _stream_rest(self, parts: AsyncIterator[bytes]) -> None:
        gone = asyncio.ensure_future(self._disconnected())
        try:
            async for part in parts:
                await self._send_part(part)
                if gone.done():
                    return
        except Exception as error:
            raise BrokenOff(error) from None
        finally:
            gone.cancel()
        await self._send({"type": "http.response.body", "body": b""})

    async def follow(self, headers: list[Header], parts: AsyncIterator[bytes]) -> None:
        """Answer 200 at once, and with parts whenever they come, however seldom. Where the client goes away, `parts` is
        left waiting: whoever made it closes it. What it raises becomes BrokenOff."""
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        gone = asyncio.ensure_future(self._disconnected())
        coming: asyncio.Future[bytes | None] | None = None
        try:
            while True:
                coming = asyncio.ensure_future(_next_of(parts))
                await asyncio.wait({coming, gone}, return_when=asyncio.FIRST_COMPLETED)
                if gone.done():
                    return
                part = coming.result()
                if part is None:
                    break
                await self._send_part(part)
        except Exception as error:
            raise BrokenOff(error) from None
        finally:
            gone.cancel()
            if coming is not None and not coming.done():
                coming.cancel()
                await asyncio.wait({coming})
        await self._send({"type": "http.response.body", "body": b""})

    async def _answer_spooled(
        self, headers: list[Header], first: bytes, second: bytes, parts: AsyncIterator[bytes]
    ) -> None:
        """HTTP/1.0 has no chunks: collect the answer in a file, since only its length can tell that it is whole."""
        with tempfile.TemporaryFile() as spool:
            spool.write(first)
            spool.write(second)
            async for part in parts:
                spool.write(part)
                await asyncio.sleep(0)
            headers = [*headers, (b"content-length", b"%d" % spool.tell())]
            spool.seek(0)
            await self._send({"type": "http.response.start", "status": 200, "headers": headers})
            while part := spool.read(PART_BYTES):
                await self._send_part(part)
            await self._send({"type": "http.response.body", "body": b""})

    async def _send_part(self, part: bytes) -> None:
        await self._send({"type": "http.response.body", "body": part, "more_body": True})
        # A client that reads fast, or is gone, never makes the server wait: others would get no turn.
        await asyncio.sleep(0)

    async def _disconnected(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass


async def _next_of(parts: AsyncIterator[bytes]) -> bytes | None:
    """The next part; None at the end."""
    return await anext(parts, None)
