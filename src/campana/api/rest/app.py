"""Owns the REST door: from an HTTP request below /api/v1 to its answer, in one order of steps for every operation.

Must not know any noun: the operations are in a file per noun, listed in nouns.py.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import msgspec
from litestar import Litestar, Request, Response
from litestar.datastructures import State
from litestar.enums import HttpMethod
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse

from campana.api import addresses
from campana.api.addresses import AbsurdAddress, Networks
from campana.api.exchange import BrokenOff, ClientGone, Exchange, Header, Receive, Scope, Send
from campana.api.rest.authentication import authenticate, demand_scope
from campana.api.rest.idempotency import carried_out_once
from campana.api.rest.limiting import Limited, Limiter
from campana.api.rest.nouns import NOUNS, OPERATIONS
from campana.api.rest.openapi import document
from campana.api.rest.operation import JSON, Answer, Call, Caller, Operation, Raw, Stream
from campana.api.rest.page import page
from campana.api.rest.problems import PROBLEM, Refusal, judged
from campana.api.rest.reading import check_accept, check_content, read_body, read_query
from campana.services.house import Services
from campana.telemetry import Metrics

PATH = "/api/v1"
ROOT = "campana.root_path"

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class RestOptions:
    """What the configuration says of the door. `max_body` is in bytes."""

    max_body: int = 1024 * 1024
    trusted_proxies: Networks = ()
    requests_per_minute: int = 6_000
    metrics: Metrics | None = None


class RestApp:
    """The REST door as an ASGI application; `path` begins with /api/v1."""

    def __init__(self, services: Services, options: RestOptions) -> None:
        self._desk = Desk(services, options)
        self._litestar = Litestar(
            route_handlers=[*_documents(options), *(_handler(one, self._desk) for one in OPERATIONS)],
            path=PATH,
            exception_handlers={Exception: _refuse_unrouted},
            openapi_config=None,
            logging_config=None,
            request_max_body_size=None,
            state=State(),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request, whatever path the service lies under."""
        root = scope.get("root_path", "")
        # The router would look for the root path anywhere in the path.
        inner = {**scope, "path": scope["path"].removeprefix(root), "root_path": "", ROOT: root}
        await self._litestar(inner, receive, send)  # type: ignore[arg-type]  # the same ASGI, written otherwise


def _documents(options: RestOptions) -> list[HTTPRouteHandler]:
    """The handlers of what the door says of itself: OpenAPI, a page for people, and the methods of each address."""

    async def openapi(request: Request[Any, Any, Any]) -> Response[bytes]:
        check_accept(request.headers.get("accept", ""), (JSON,))
        # Its characters need no escaping.
        written = _written()[0].replace(_HERE, _base(request, options).encode())
        return Response(written, media_type=JSON, headers=_NOT_STORED)

    async def docs(request: Request[Any, Any, Any]) -> Response[bytes]:
        return Response(_written()[1], media_type="text/html", headers=_PAGE)

    async def options_of(request: Request[Any, Any, Any]) -> Response[None]:
        return Response(None, status_code=204, headers={"allow": _allowed(request)})

    handlers = []
    for path in sorted({one.path for one in OPERATIONS} | {"/openapi.json", "/docs"}):
        options_of.__annotations__ = {"request": Request, "return": Response}
        handlers.append(HTTPRouteHandler(path.replace("}", ":str}"), http_method=HttpMethod.OPTIONS)(options_of))
    for path, work in (("/openapi.json", openapi), ("/docs", docs)):
        work.__annotations__ = {"request": Request, "return": Response}
        handlers.append(HTTPRouteHandler(path, http_method=[HttpMethod.GET, HttpMethod.HEAD])(work))
    return handlers


@functools.cache
def _written() -> tuple[bytes, bytes]:
    """The document, with _HERE for the address of the API, and the page: made once, for anybody may ask."""
    described = document(NOUNS, _HERE.decode())
    return _encode(described), page(described)


_HERE = b"https://the-address-of-the-api"


def _base(request: Request[Any, Any, Any], options: RestOptions) -> str:
    """The address of the API as the client came. Raises Refusal."""
    outer: Any = {**request.scope, "root_path": request.scope[ROOT]}  # type: ignore[literal-required]  # ours
    try:
        return addresses.base(outer, dict(request.scope["headers"]), options.trusted_proxies) + PATH
    except AbsurdAddress as absurd:
        raise Refusal(400, str(absurd)) from None


def _handler(operation: Operation, desk: Desk) -> HTTPRouteHandler:
    async def handle(request: Request[Any, Any, Any]) -> Response[Any] | ASGIResponse:
        return await desk.serve(operation, request)

    handle.__annotations__ = {"request": Request, "return": Response}
    methods = [HttpMethod.GET, HttpMethod.HEAD] if operation.method == "GET" else [HttpMethod(operation.method)]
    path = operation.path.replace("}", ":str}")
    return HTTPRouteHandler(path, http_method=methods, name=operation.name, status_code=200)(handle)


def _refuse_unrouted(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """What no operation has seen: no such address, or no such method of it."""
    refusal: Exception = error
    if isinstance(error, Refusal):
        pass
    elif isinstance(error, NotFoundException):
        refusal = Refusal(404, "There is nothing at this address.")
    elif isinstance(error, MethodNotAllowedException):
        refusal = Refusal(405, "This address has no such method.", {"allow": _allowed(request)})
    elif isinstance(error, HTTPException) and error.status_code < 500:
        refusal = Refusal(error.status_code, "The request cannot be understood.")
    return _problem(refusal, "none", {})


def _allowed(request: Request[Any, Any, Any]) -> str:
    """The methods of an address."""
    given = request.scope["path"].removeprefix(PATH).strip("/").split("/")
    methods = {"OPTIONS"}
    if given in (["openapi.json"], ["docs"]):
        methods |= {"GET", "HEAD"}
    for one in OPERATIONS:
        known = one.path.strip("/").split("/")
        if len(known) == len(given) and all(a == b or a[0] == "{" for a, b in zip(known, given, strict=True)):
            methods |= {"GET", "HEAD"} if one.method == "GET" else {one.method}
    return ", ".join(sorted(methods))


def _problem(error: Exception, operation: str, headers: dict[str, str]) -> Response[bytes]:
    problem, more = judged(error, operation)
    return Response(
        _encode(problem), media_type=PROBLEM, status_code=problem.status, headers={**headers, **more, **_NOT_STORED}
    )


_NOT_STORED = {"cache-control": "no-store"}
_PAGE = _NOT_STORED | {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'"}


class Desk:
    """Where every request is dealt with, step by step: the same for all operations."""

    def __init__(self, services: Services, options: RestOptions) -> None:
        self._services = services
        self._options = options
        self._limiter = Limiter(options.requests_per_minute)

    async def serve(self, operation: Operation, request: Request[Any, Any, Any]) -> Response[Any] | ASGIResponse:
        """Answer a request for an operation."""
        started, headers = perf_counter(), dict[str, str]()
        status = 499
        try:
            answer = await self._carry_out(operation, request, headers)
            status = answer.status or operation.status
            return _response(answer, status, {**_NOT_STORED, **headers, **answer.headers})
        except ClientGone:
            return Response(b"", status_code=400)
        except Exception as error:
            if isinstance(error, Limited):
                headers |= error.allowance.headers()
            response = _problem(error, operation.name, headers)
            status = response.status_code or 500
            return response
        finally:
            if self._options.metrics is not None:
                self._options.metrics.rest_requests.add(operation.name, str(status))
                self._options.metrics.rest_seconds.observe(operation.name, seconds=perf_counter() - started)

    async def _carry_out(
        self, operation: Operation, request: Request[Any, Any, Any], headers: dict[str, str]
    ) -> Answer[Any]:
        trusted = self._options.trusted_proxies
        scope: Any = request.scope
        source = addresses.source(scope, dict(request.scope["headers"]), trusted)
        caller = None if operation.public else await self._admit(operation, request, source, headers)
        check_accept(request.headers.get("accept", ""), operation.gives)
        query = read_query(request.scope["query_string"], operation.query)
        body = await self._body(operation, request)
        call: Call[Any, Any] = Call(
            services=self._services,
            caller=caller,
            request=request,
            path=request.path_params,
            body=body.value,
            query=None if operation.query is None else query,
            base=_base(request, self._options),
            source=source,
        )
        return await carried_out_once(operation, call, body.content)

    async def _admit(
        self, operation: Operation, request: Request[Any, Any, Any], source: str, headers: dict[str, str]
    ) -> Caller:
        """Who calls: known, within the limit of requests, and let do it."""
        agent = bool(request.headers.get("x-campana-agent", "").strip())
        caller = await authenticate(
            self._services, request.headers.get("authorization", ""), agent=agent, source=source
        )
        allowance = self._limiter.take(caller.credential, caller.per_minute)
        if allowance is not None:
            headers |= allowance.headers()
        demand_scope(caller, operation.scope)
        return caller

    async def _body(self, operation: Operation, request: Request[Any, Any, Any]) -> _Body:
        media = request.headers.get("content-type", ""), request.headers.get("content-encoding", "")
        if operation.streams_body:
            check_content(*media, operation.takes)
            return _Body()
        exchange = Exchange(request.scope, request.receive, _unused)  # type: ignore[arg-type]  # the same
        content = await exchange.body(self._options.max_body)
        if operation.body is None:
            if content:
                raise Refusal(415, "This operation takes no body.")
            return _Body()
        check_content(*media, operation.takes)
        return _Body(content, read_body(content, operation.body, operation.broken))


@dataclass(frozen=True, slots=True)
class _Body:
    """A request's body, as it came and as it was read."""

    content: bytes = b""
    value: Any = None


async def _unused(message: Any) -> None:
    raise AssertionError("An exchange that only reads was to answer.")


def _response(answer: Answer[Any], status: int, headers: dict[str, str]) -> Response[Any] | ASGIResponse:
    if isinstance(answer.body, Stream):
        return Streamed(answer.body, headers)
    if isinstance(answer.body, Raw):
        return Response(answer.body.content, status_code=status, media_type=answer.body.media_type, headers=headers)
    if answer.body is None:
        return Response(None, status_code=status, headers=headers)
    return Response(_encode(answer.body), status_code=status, media_type="application/json", headers=headers)


class Streamed(ASGIResponse):
    """An answer that leaves in parts; what breaks it off drops the connection."""

    def __init__(self, stream: Stream, headers: dict[str, str]) -> None:
        super().__init__()
        self._stream = stream
        self._own: list[Header] = [(b"content-type", stream.media_type.encode())]
        self._own += [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]

    def to_asgi_response(self, *_: Any, **__: Any) -> ASGIResponse:
        """Itself: Litestar asks for it, as of a Response."""
        return self

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Send it."""
        exchange = Exchange(scope, receive, send)
        parts = self._stream.parts
        async with contextlib.AsyncExitStack() as closing:
            if hasattr(parts, "aclose"):
                closing.push_async_callback(parts.aclose)
            if exchange.method == "HEAD" and not self._stream.is_live:
                # Nobody gets its parts: so none is made.
                await send({"type": "http.response.start", "status": 200, "headers": self._own})
                await send({"type": "http.response.body", "body": b""})
                return
            try:
                send_parts = exchange.follow if self._stream.is_live else exchange.stream
                await send_parts(self._own, parts)
            except BrokenOff:
                raise
            except Exception as error:
                problem, more = judged(error, "stream")
                extra = [(name.encode(), value.encode("latin-1")) for name, value in more.items()]
                await exchange.answer(problem.status, [(b"content-type", PROBLEM.encode()), *extra], _encode(problem))


def operations() -> Sequence[Operation]:
    """All operations of the door."""
    return OPERATIONS
