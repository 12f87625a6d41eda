"""Owns how steps are taken: by blocking on httpx, or by awaiting it.

Must not know why a step is taken: whatever there is to decide stands in the courses.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Generic, TypeVar

import httpx

from campana.client.steps import Body, Course, Finds, Hand, Lost, Open, Pause, Read, Reply, Request, Send, Shut

T = TypeVar("T")

API = "/api/v1"
_CONNECT_S, _USUAL_S = 5.0, 30.0


@dataclass(frozen=True, slots=True)
class Way:
    """How the server is reached."""

    url: str
    """The server's address, with or without `/api/v1` at its end."""
    verify: ssl.SSLContext | bool = True
    """Whom to trust where the address is https."""

    def address(self) -> httpx.URL:
        """Where the API is. Raises ValueError where that is no address."""
        try:
            address = httpx.URL(self.url.rstrip("/").removesuffix(API) + API)
        except httpx.InvalidURL:
            address = httpx.URL()
        if address.scheme not in ("http", "https") or not address.host:
            raise ValueError("the server's address should be http://HOST:PORT or https://HOST:PORT")
        return address

    def place(self) -> str:
        """Where the server is, for a person: without what else an address may hold."""
        address = self.address()
        return f"{address.scheme}://{address.netloc.decode('ascii')}"

    def options(self) -> dict[str, Any]:
        """What httpx makes a client of."""
        headers = {"user-agent": f"campana/{version('campana')}"}
        return {"base_url": self.address(), "headers": headers, "verify": self.verify}


class _Walk(Generic[T]):
    """A course at the step that is to be taken next."""

    def __init__(self, course: Course[T] | Finds[Any]) -> None:
        self._course: Any = course
        self.ended = False
        self.value: Any = None
        self.step: Any = None
        self._go(lambda: next(self._course))

    def tell(self, answer: Any) -> None:
        """Tell it what came of its step."""
        if isinstance(answer, Lost):
            self._go(lambda: self._course.throw(answer))
        else:
            self._go(lambda: self._course.send(answer))

    def close(self) -> None:
        """Leave it where it is."""
        self._course.close()

    def _go(self, move: Callable[[], Any]) -> None:
        try:
            self.step = move()
        except StopIteration as end:
            self.ended, self.value = True, end.value


class Blocking:
    """Takes steps in the caller's thread. Several threads may use one."""

    def __init__(self, way: Way) -> None:
        self._http = httpx.Client(**way.options())

    def run(self, course: Course[T]) -> T:
        """Go through a course to its end; what it returns."""
        walk, held = _Walk[T](course), _Held()
        try:
            while not walk.ended:
                walk.tell(self._take(walk.step, held))
        finally:
            held.shut()
            walk.close()
        returned: T = walk.value
        return returned

    def find(self, course: Finds[Any]) -> Generator[Any, None, None]:
        """Hand out what a course finds, going on when the next is asked for."""
        walk, held = _Walk[None](course), _Held()
        try:
            while not walk.ended:
                if isinstance(walk.step, Hand):
                    yield walk.step.value
                    walk.tell(None)
                else:
                    walk.tell(self._take(walk.step, held))
        finally:
            held.shut()
            walk.close()

    def _take(self, step: object, held: _Held) -> Any:
        try:
            match step:
                case Pause(seconds):
                    time.sleep(seconds)
                case Send(request):
                    return _reply(self._http.send(self._built(request)))
                case Open(request):
                    response = self._http.send(self._built(request), stream=True)
                    held.hold(response)
                    return _reply(response, response.read() if response.status_code >= 400 else b"")
                case Read():
                    return held.read()
                case Shut():
                    held.shut()
        except httpx.RequestError as broken:
            return Lost(_words(broken))
        return None

    def _built(self, request: Request) -> httpx.Request:
        content = request.body.parts() if isinstance(request.body, Body) else request.body
        return self._http.build_request(request.method, _path(request), content=content, **_more(request))

    def close(self) -> None:
        """Close all connections."""
        self._http.close()


class _Held:
    """The answer that is being read."""

    def __init__(self) -> None:
        self._response: httpx.Response | None = None
        self._parts: Iterator[bytes] = iter(())

    def hold(self, response: httpx.Response) -> None:
        self._response, self._parts = response, response.iter_bytes()

    def read(self) -> bytes:
        return next(self._parts, b"")

    def shut(self) -> None:
        if self._response is not None:
            self._response.close()
        self._response, self._parts = None, iter(())


class Awaiting:
    """Takes steps in the running event loop."""

    def __init__(self, way: Way) -> None:
        self._http = httpx.AsyncClient(**way.options())

    async def run(self, course: Course[T]) -> T:
        """Go through a course to its end; what it returns."""
        walk, held = _Walk[T](course), _HeldAsync()
        try:
            while not walk.ended:
                walk.tell(await self._take(walk.step, held))
        finally:
            await held.shut()
            walk.close()
        returned: T = walk.value
        return returned

    async def find(self, course: Finds[Any]) -> AsyncGenerator[Any, None]:
        """Hand out what a course finds, going on when the next is asked for."""
        walk, held = _Walk[None](course), _HeldAsync()
        try:
            while not walk.ended:
                if isinstance(walk.step, Hand):
                    yield walk.step.value
                    walk.tell(None)
                else:
                    walk.tell(await self._take(walk.step, held))
        finally:
            await held.shut()
            walk.close()

    async def _take(self, step: object, held: _HeldAsync) -> Any:
        try:
            match step:
                case Pause(seconds):
                    await asyncio.sleep(seconds)
                case Send(request):
                    return _reply(await self._http.send(self._built(request)))
                case Open(request):
                    response = await self._http.send(self._built(request), stream=True)
                    held.hold(response)
                    return _reply(response, await response.aread() if response.status_code >= 400 else b"")
                case Read():
                    return await held.read()
                case Shut():
                    await held.shut()
        except httpx.RequestError as broken:
            return Lost(_words(broken))
        return None

    def _built(self, request: Request) -> httpx.Request:
        content = _in_threads(request.body) if isinstance(request.body, Body) else request.body
        return self._http.build_request(request.method, _path(request), content=content, **_more(request))

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()


class _HeldAsync:
    """The answer that is being read."""

    def __init__(self) -> None:
        self._response: httpx.Response | None = None
        self._parts: AsyncIterator[bytes] | None = None

    def hold(self, response: httpx.Response) -> None:
        self._response, self._parts = response, response.aiter_bytes()

    async def read(self) -> bytes:
        return b"" if self._parts is None else await anext(self._parts, b"")

    async def shut(self) -> None:
        if self._response is not None:
            await self._response.aclose()
        self._response, self._parts = None, None


async def _in_threads(body: Body) -> AsyncIterator[bytes]:
    """A body whose parts are read from a disk or made by somebody: the event loop does not wait for that."""
    parts = await asyncio.to_thread(body.parts)
    while part := await asyncio.to_thread(next, parts, b""):
        yield part


def _path(request: Request) -> str:
    return request.path.lstrip("/")


def _more(request: Request) -> dict[str, Any]:
    timeout = httpx.Timeout(_USUAL_S, connect=_CONNECT_S, pool=None, read=request.patience_s or _USUAL_S)
    return {"params": dict(request.query) or None, "headers": dict(request.headers), "timeout": timeout}


def _reply(response: httpx.Response, body: bytes | None = None) -> Reply:
    return Reply(response.status_code, response.headers, response.content if body is None else body)


def _words(broken: httpx.RequestError) -> str:
    if isinstance(broken, httpx.TimeoutException):
        return "it did not answer in time"
    said = str(broken).partition("] ")[2] or str(broken)
    return said.strip().rstrip(".") or type(broken).__name__
