"""The REST door on a real port, in a thread of its own, on a real store."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
import uvloop
from rest_kit import RestHouse, rest_house

from campana.api.rest.app import RestOptions
from campana.api.server import server_config
from campana.domain.moment import DAY
from campana.services.keys import Wanted
from campana.services.scopes import ALL_SCOPES


@dataclass
class RestServer:
    """A door that is open."""

    listener: socket.socket
    ready: threading.Event = field(default_factory=threading.Event)
    failure: BaseException | None = None
    house: RestHouse | None = None
    loop: asyncio.AbstractEventLoop | None = None
    server: uvicorn.Server | None = None

    @property
    def url(self) -> str:
        """Where the API is."""
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}/api/v1"

    def run(self, work: Awaitable[Any]) -> Any:
        """Do something in the house's own thread, and wait for it."""
        assert self.loop is not None

        async def do() -> Any:
            return await work

        return asyncio.run_coroutine_threadsafe(do(), self.loop).result(30)

    def key(self, user: str = "admin", account: str = "acme") -> str:
        """A new API key of a user, for everything."""
        assert self.house is not None
        services, time = self.house.services, self.house.time

        async def make() -> str:
            operator = await services.accounts.operator_of(account)
            who = await services.users.get(operator, user)
            principal = type(operator)(who, agent=False)
            _, key = await services.keys.add(principal, ALL_SCOPES, Wanted("test", ALL_SCOPES, time() + DAY))
            return key

        return str(self.run(make()))


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: threading.Event) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready.set()


@contextlib.contextmanager
def rest_server(folder: Path, options: RestOptions | None = None, **settings: Any) -> Iterator[RestServer]:
    """Serve a house on a free port, by uvicorn on uvloop; `settings` are of rest_house."""
    door = RestServer(socket.create_server(("127.0.0.1", 0)))

    async def serve() -> None:
        async with rest_house(folder, options, **settings) as door.house:
            door.loop = asyncio.get_running_loop()
            door.server = _Server(server_config(door.house.front), door.ready)
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
