"""Owns which path of the server leads where: the SOAP service, the REST door, health, metrics and the index page.

Must not know what stands behind them. Raw ASGI, since the SOAP door is on the hot path.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from campana.api.exchange import Exchange, Header, Receive, Scope, Send
from campana.api.rest.app import PATH as REST_PATH
from campana.api.soap.app import PATH
from campana.telemetry import METRICS_CONTENT_TYPE

App = Callable[[Scope, Receive, Send], Awaitable[None]]
Readiness = Callable[[], tuple[bool, dict[str, Any]]]
Page = Callable[[], tuple[int, Header, bytes]]

_TEXT: Header = (b"content-type", b"text/plain; charset=utf-8")
_HTML: Header = (b"content-type", b"text/html; charset=utf-8")
_JSON: Header = (b"content-type", b"application/json")
_METRICS: Header = (b"content-type", METRICS_CONTENT_TYPE.encode())
_NOT_STORED: Header = (b"cache-control", b"no-store")

_INDEX = f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Campana</title></head>
<body><h1>Campana</h1>
<p>Outbound notification campaigns.</p>
<ul>
<li><a href="{PATH[1:]}">The SOAP service</a>, described by its <a href="{PATH[1:]}?wsdl">WSDL</a></li>
<li><a href="{REST_PATH[1:]}/docs">The REST API</a>, and its <a href="{REST_PATH[1:]}/openapi.json">OpenAPI</a></li>
<li><a href="healthz">Is it alive?</a> <a href="readyz">Is it ready?</a> <a href="metrics">Metrics</a></li>
</ul></body></html>
""".encode()


_WORKER_INDEX = b"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Campana worker</title></head>
<body><h1>Campana</h1>
<p>A worker: it sends, and answers no calls.</p>
<ul>
<li><a href="healthz">Is it alive?</a> <a href="readyz">Is it ready?</a> <a href="metrics">Metrics</a></li>
</ul></body></html>
"""


class HttpFront:
    """The one ASGI application that the server runs."""

    def __init__(
        self, soap: App | None, readiness: Readiness, metrics: Callable[[], bytes], rest: App | None = None
    ) -> None:
        """Without `soap` and `rest` there are only the pages that tell how the process is."""
        self._soap = soap
        self._rest = rest
        self._readiness = readiness
        self._metrics = metrics
        self._pages: dict[str, Page] = {
            "/": lambda: (200, _HTML, _INDEX if soap is not None else _WORKER_INDEX),
            "/healthz": lambda: (200, _TEXT, b"ok\n"),
            "/readyz": self._ready,
            "/metrics": lambda: (200, _METRICS, self._metrics()),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request; refuse everything that is none."""
        if scope["type"] != "http":
            raise ValueError(f"Campana speaks HTTP, not {scope['type']}")
        path: str = scope["path"].removeprefix(scope.get("root_path", ""))
        if self._soap is not None and path.lower() == PATH.lower():
            await self._soap(scope, receive, send)
            return
        if self._rest is not None and (path == REST_PATH or path.startswith(REST_PATH + "/")):
            await self._rest(scope, receive, send)
            return
        exchange = Exchange(scope, receive, send)
        page = self._pages.get(path)
        if page is None:
            await exchange.answer(404, [_TEXT], b"There is nothing at this address.\n")
        elif exchange.method not in ("GET", "HEAD"):
            await exchange.answer(405, [_TEXT, (b"allow", b"GET, HEAD")], b"This page can only be read.\n")
        else:
            status, media, body = page()
            await exchange.answer(status, [media, _NOT_STORED], body)

    def _ready(self) -> tuple[int, Header, bytes]:
        ready, facts = self._readiness()
        return 200 if ready else 503, _JSON, msgspec.json.encode({"ready": ready, **facts})
