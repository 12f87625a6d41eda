"""Drives the SOAP door as an ASGI application, without a server, for its flow tests."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from lxml import etree
from soap_house import MemoryHouse

from campana.api.soap.app import PATH
from campana.api.soap.envelope import SOAP11, Version

XSI = "http://www.w3.org/2001/XMLSchema-instance"
DATA = "http://schemas.datacontract.org/2004/07/OutboundNotifications"
CAMPAIGN = "73862a28-a715-43c5-855e-5827b474ed98"
PERSON = "8d862a28-a715-43c5-855e-5827b474ed99"
NOBODY = "00000000-0000-0000-0000-00000000dead"


@dataclass
class Request:
    """An HTTP request as an ASGI server gives it; `parts` are the body's pieces."""

    parts: list[bytes] = field(default_factory=list)
    method: str = "POST"
    path: str = PATH
    query: bytes = b""
    headers: list[tuple[bytes, bytes]] = field(default_factory=lambda: [(b"host", b"campana.test")])
    version: str = "1.1"
    peer: tuple[str, int] | None = ("198.51.100.1", 5)
    gone_after: int | None = None
    """The client closes the connection after so many parts of the answer."""


@dataclass
class Answer:
    """What the application sent."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    received: int = 0

    @property
    def status(self) -> int:
        return self.messages[0]["status"]

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.messages[0]["headers"])

    @property
    def parts(self) -> list[bytes]:
        return [message["body"] for message in self.messages[1:]]

    @property
    def body(self) -> bytes:
        return b"".join(self.parts)

    @property
    def is_whole(self) -> bool:
        return not self.messages[-1].get("more_body", False)

    @property
    def error(self) -> str | None:
        value = self.headers.get(b"x-campana-error")
        return None if value is None else value.decode("ascii")

    def xml(self) -> etree._Element:
        return etree.fromstring(self.body)

    def result(self) -> etree._Element:
        """The element of the result."""
        return self.xml()[-1][0][0]

    def fault(self) -> str:
        """The sentence of a fault, of either version."""
        return self.xml().xpath("string(//*[local-name()='faultstring' or local-name()='Text'])")


async def send(app: Any, request: Request) -> Answer:
    """Give the application a request, and take its answer."""
    answer = Answer()
    left = list(request.parts) or [b""]
    gone = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if left:
            answer.received += 1
            body = left.pop(0)
            return {"type": "http.request", "body": body, "more_body": bool(left)}
        await gone.wait()
        return {"type": "http.disconnect"}

    async def take(message: dict[str, Any]) -> None:
        answer.messages.append(message)
        if request.gone_after is not None and len(answer.messages) > request.gone_after:
            gone.set()
            await asyncio.sleep(0)

    scope = {
        "type": "http",
        "method": request.method,
        "path": request.path,
        "query_string": request.query,
        "headers": request.headers,
        "http_version": request.version,
        "client": request.peer,
        "scheme": "http",
        "root_path": "",
    }
    await asyncio.wait_for(app(scope, receive, take), 20)
    return answer


def envelope(body: str, version: Version = SOAP11) -> bytes:
    return (
        f'<s:Envelope xmlns:s="{version.namespace}" xmlns="http://tempuri.org/" xmlns:d="{DATA}" xmlns:i="{XSI}">'
        f"<s:Body>{body}</s:Body></s:Envelope>"
    ).encode()


def post(body: bytes, *headers: tuple[bytes, bytes], **more: Any) -> Request:
    return Request([body], headers=[(b"host", b"campana.test"), (b"content-type", b"text/xml"), *headers], **more)


def stocked_house() -> MemoryHouse:
    """A house with the open session T and a campaign of three contacts."""
    made = MemoryHouse()
    made.sessions.open_tokens.add("T")
    made.fill(CAMPAIGN, 3)
    return made
