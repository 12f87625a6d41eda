"""A door on a real port, by uvicorn on uvloop, on a thread of its own, for tests that come to it as clients do."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import uvicorn
import uvloop

from campana.api.http import HttpFront
from campana.api.server import ServerLimits, server_config


class _Server(uvicorn.Server):
    """Says when it is ready; the standard one has to be polled."""

    def __init__(self, config: uvicorn.Config, ready: threading.Event) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready.set()


@dataclass
class Served:
    """A door that is open: the house behind it, and where it is."""

    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    ready: threading.Event = field(default_factory=threading.Event)
    failure: BaseException | None = None
    house: Any = None
    server: uvicorn.Server | None = None
    loop: asyncio.AbstractEventLoop | None = None

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    def run(self, work: Awaitable[Any]) -> Any:
        """Do something in the house's own thread, and wait for it."""
        assert self.loop is not None

        async def do() -> Any:
            return await work

        return asyncio.run_coroutine_threadsafe(do(), self.loop).result(30)


D = TypeVar("D", bound=Served)


@contextmanager
def served(
    door: D,
    house: AbstractAsyncContextManager[Any],
    front_of: Callable[[Any], HttpFront],
    limits: ServerLimits | None = None,
    **settings: Any,
) -> Iterator[D]:
    """Serve a house by a door. The house is entered in the door's thread; `settings` are uvicorn's."""

    async def serve() -> None:
        async with house as door.house:
            door.loop = asyncio.get_running_loop()
            door.server = _Server(server_config(front_of(door.house), limits, **settings), door.ready)
            await door.server.serve(sockets=[door.listener])

    def run() -> None:
        try:
            uvloop.run(serve())
        except BaseException as error:
            door.failure = error
            door.ready.set()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert door.ready.wait(20)
        if door.failure is not None:
            raise door.failure
        yield door
    finally:
        if door.server is not None:
            door.server.should_exit = True
        thread.join(20)
        door.listener.close()
        assert not thread.is_alive()
