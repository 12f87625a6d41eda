"""The SOAP door before a running river, and zeep as the client that comes through it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import uvicorn
from river_kit import PASSWORD, PATIENCE, River
from zeep import Client, Settings
from zeep.plugins import Plugin

from campana.api.http import HttpFront
from campana.api.server import server_config
from campana.api.soap.app import SoapApp, SoapOptions

BINDING = "{http://tempuri.org/}BasicHttpBinding_IOutboundNotifications"


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the test runner's."""
        yield


class _Reason(Plugin):
    """Keeps the header that says why a call failed."""

    last: str | None = None

    def ingress(self, envelope: Any, http_headers: Any, operation: Any) -> tuple[Any, Any]:
        self.last = http_headers.get("X-Campana-Error")
        return envelope, http_headers


@cache
def _client(wsdl: str) -> Client:
    """Reading a WSDL takes zeep longer than most tests: once a process, wherever the service is."""
    return Client(wsdl, settings=Settings(strict=True), plugins=[_Reason()])


class Soap:
    """What a program that integrates Campana does: sessions, and calls within them."""

    def __init__(self, wsdl: str, url: str, river: River) -> None:
        self._zeep = _client(wsdl)
        self._service = self._zeep.create_service(BINDING, url)
        self._river = river
        self.session = ""

    @property
    def reason(self) -> str:
        """Why the last call failed, as its header said; empty where it did not."""
        return self._zeep.plugins[0].last or ""

    async def call(self, operation: str, **arguments: Any) -> Any:
        """Call an operation by its name."""
        self._zeep.plugins[0].last = None
        return await asyncio.to_thread(getattr(self._service, operation), **arguments)

    async def open(self, user: str = "ann", account: str = "acme") -> str:
        """Open a session, which later calls use."""
        answer = await self.call("OpenAPISession", accountId=account, username=user, password=PASSWORD)
        assert (answer.ErrorCode, answer.Description or "") == (0, "")
        self.session = answer.SessionId
        return self.session

    async def ask(self, operation: str, **arguments: Any) -> Any:
        """Call an operation within the session."""
        return await self.call(operation, sessionId=self.session, **arguments)

    async def ask_list(self, operation: str, **arguments: Any) -> list[Any] | None:
        """Call an operation that answers a list; None where it failed. (zeep makes None of an empty list.)"""
        answer = await self.ask(operation, **arguments)
        return None if self.reason else answer or []

    @contextlib.contextmanager
    def as_agent(self) -> Iterator[None]:
        """Calls are marked as made for an agent."""
        headers = self._zeep.transport.session.headers
        headers["X-Campana-Agent"] = "1"
        try:
            yield
        finally:
            del headers["X-Campana-Agent"]

    async def contacts(self, campaign: str) -> dict[str, Any]:
        """All contacts of a campaign, by their ids."""
        return {one.Id: one for one in await self.ask("GetCampaignContacts", campaignId=campaign) or []}

    async def until(self, campaign: str, wanted: dict[tuple[int, int], int], medium: str = "SMSCommInfo") -> None:
        """Wait until so many contacts have each of these statuses and errors."""
        seen: Counter[tuple[int, int]] = Counter()

        async def there() -> bool:
            seen.clear()
            for one in (await self.contacts(campaign)).values():
                told = one[medium]
                seen[told.StatusCode, told.LastDeliveryErrorCode] += 1
            return seen == Counter(wanted)

        try:
            await self._river.until(there, PATIENCE)
        except TimeoutError:
            raise AssertionError(f"the statuses and errors are {dict(seen)}, not {wanted}") from None


@asynccontextmanager
async def door(river: River) -> AsyncIterator[Soap]:
    """Serve a river's services by SOAP, with the users ann (admin) and joe (agent) of the account acme."""
    await river.user()
    await river.services.accounts.add_user("acme", "joe", "agent", PASSWORD)
    front = HttpFront(
        SoapApp(river.services, SoapOptions()), lambda: (True, {"routes": river.engine.routes()}), river.metrics.render
    )
    listening = socket.create_server(("127.0.0.1", 0))
    server = _Server(server_config(front))
    serving = asyncio.create_task(server.serve([listening]))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}/OutboundNotifications.svc"
    wsdl = await asyncio.to_thread(_wsdl, url)
    try:
        yield Soap(wsdl, url, river)
    finally:
        server.should_exit = True
        await serving


_kept: list[str] = []


def _wsdl(url: str) -> str:
    """The address of the first door's WSDL, which is read while that door is open."""
    if not _kept:
        _client(f"{url}?singleWsdl")
        _kept.append(f"{url}?singleWsdl")
    return _kept[0]
