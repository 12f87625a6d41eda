"""Owns the door: from an HTTP request at the service's address to its answer.

Must not know what an operation does (operations.py), nor how messages are read and written.
"""

from __future__ import annotations

import html
import secrets
import traceback
from contextlib import aclosing
from dataclasses import dataclass, field
from time import perf_counter

import structlog

from campana.api import addresses
from campana.api.addresses import AbsurdAddress, Networks
from campana.api.exchange import BodyTooLarge, BrokenOff, ClientGone, Exchange, Header, Receive, Scope, Send
from campana.api.soap import wsdl
from campana.api.soap.answers import Answers, error_header
from campana.api.soap.envelope import Version, version_of
from campana.api.soap.faults import Blame, Fault, render
from campana.api.soap.operations import OPERATIONS, Asking
from campana.api.soap.parsing import Call, InvalidMessage, Limits, Parser
from campana.api.soap.schema import read
from campana.domain.errors import MethodCode, MethodError
from campana.services.house import Services
from campana.storage.store import StoreUnavailable
from campana.telemetry import Metrics

PATH = "/OutboundNotifications.svc"

MAX_BODY = 4 * 1024 * 1024
"""Bytes of a request beyond which no configuration goes."""

_NOT_XML = ("application/json", "application/x-www-form-urlencoded", "multipart/", "image/", "audio/", "video/")
_TEXT: Header = (b"content-type", b"text/plain; charset=utf-8")
_HTML: Header = (b"content-type", b"text/html; charset=utf-8")
_WSDL: Header = (b"content-type", b"text/xml; charset=utf-8")
_CLOSE: Header = (b"connection", b"close")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SoapOptions:
    """What the configuration says of the door. `max_body` is in bytes, at most MAX_BODY."""

    max_body: int = 1024 * 1024
    trusted_proxies: Networks = ()
    limits: Limits = field(default_factory=Limits)
    metrics: Metrics | None = None

    def __post_init__(self) -> None:
        if not 0 < self.max_body <= MAX_BODY:
            raise ValueError(f"max_body must be 1 to {MAX_BODY} bytes")


class SoapApp:
    """The SOAP service as an ASGI application: POST is a call, GET a document about it."""

    def __init__(self, services: Services, options: SoapOptions) -> None:
        schema = read()
        self._services = services
        self._options = options
        self._parser = Parser(schema, options.limits)
        self._answers = Answers(schema)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request for the service's address."""
        exchange = Exchange(scope, receive, send)
        if exchange.method == "POST":
            await self._call(exchange)
        elif exchange.method in ("GET", "HEAD"):
            await self._document(exchange)
        else:
            allow = (b"allow", b"GET, HEAD, POST")
            await exchange.answer(405, [_TEXT, allow], b"This address takes SOAP messages by POST.\n")

    # --- calls ---------------------------------------------------------------------------------------------------

    async def _call(self, exchange: Exchange) -> None:
        started = perf_counter()
        operation, code = "none", "fault"
        try:
            _check_media(exchange)
            call = self._parse(await exchange.body(self._options.max_body))
            operation, code = call.operation, "broken off"
            code = str(await self._carry_out(exchange, call))
        except InvalidMessage as invalid:
            await _answer_fault(exchange, invalid.fault, invalid.version)
        except _Refused as refused:
            await _answer_fault(exchange, refused.fault, None, refused.status)
        except BodyTooLarge as error:
            fault = Fault(f"The message is over the limit of {self._options.max_body} bytes.")
            await _answer_fault(exchange, fault, None, 413, () if error.drained else (_CLOSE,))
        except ClientGone:
            code = "broken off"
        finally:
            if self._options.metrics is not None:
                self._options.metrics.soap_requests.add(operation, code)
                self._options.metrics.soap_seconds.observe(operation, seconds=perf_counter() - started)

    def _parse(self, body: bytes) -> Call:
        try:
            return self._parser.parse(body)
        except InvalidMessage:
            raise
        except Exception as error:
            sentence = _failure(error, "none").sentence
            raise InvalidMessage(Fault(sentence, Blame.SERVER), None) from None

    async def _carry_out(self, exchange: Exchange, call: Call) -> int:
        """Carry out a valid call and answer it. Returns the code that its answer carries."""
        asking = Asking(
            self._services,
            agent=bool(exchange.headers.get(b"x-campana-agent", b"").strip()),
            source=addresses.source(exchange.scope, exchange.headers, self._options.trusted_proxies),
        )
        headers = [(b"content-type", call.version.content_type)]
        try:
            result = await OPERATIONS[call.operation](asking, call.arguments)
            if self._answers.is_list(call.operation):
                async with aclosing(self._answers.parts(call, result)) as parts:
                    await exchange.stream(headers, parts)
                return MethodCode.SUCCESS.value
            body = self._answers.whole(call, result)
        except BrokenOff as broken:
            _failure(broken.reason, call.operation)
            raise
        except Exception as error:
            failure = _failure(error, call.operation)
            await exchange.answer(200, [*headers, error_header(failure)], self._answers.failed(call, failure))
            return failure.code.value
        await exchange.answer(200, headers, body)
        return MethodCode.SUCCESS.value

    # --- documents -----------------------------------------------------------------------------------------------

    async def _document(self, exchange: Exchange) -> None:
        try:
            base = addresses.base(exchange.scope, exchange.headers, self._options.trusted_proxies)
        except AbsurdAddress as absurd:
            await exchange.answer(400, [_TEXT], f"{absurd}\n".encode())
            return
        address = base + PATH
        query = exchange.scope.get("query_string", b"").decode("latin-1")
        document = wsdl.document(query, address)
        if document is not None:
            await exchange.answer(200, [_WSDL], document)
        elif query:
            await exchange.answer(404, [_TEXT], b"There is ?wsdl, ?singleWsdl and, for SOAP 1.2, ?wsdl12.\n")
        else:
            await exchange.answer(200, [_HTML], _help_page(address))


class _Refused(Exception):
    """A request that cannot be a SOAP message, whatever its body."""

    def __init__(self, status: int, sentence: str) -> None:
        self.status = status
        self.fault = Fault(sentence)
        super().__init__(sentence)


def _check_media(exchange: Exchange) -> None:
    """Refuse what is certainly not XML, and only that: some clients send no Content-Type, or that of the other SOAP."""
    encoding = exchange.headers.get(b"content-encoding", b"identity").strip().lower()
    if encoding not in (b"", b"identity"):
        raise _Refused(415, "Compressed messages are not accepted: send no Content-Encoding.")
    media = exchange.headers.get(b"content-type", b"").decode("latin-1").strip().lower()
    if media.startswith(_NOT_XML):
        raise _Refused(415, "The Content-Type must be text/xml or application/soap+xml.")


async def _answer_fault(
    exchange: Exchange,
    fault: Fault,
    version: Version | None,
    status: int = 500,
    more: tuple[Header, ...] = (),
) -> None:
    """Answer a fault, in the version of SOAP that the message had or, failing that, that its headers suggest."""
    if version is None:
        version = version_of(exchange.headers.get(b"content-type", b"").decode("latin-1"))
    await exchange.answer(status, [(b"content-type", version.content_type), *more], render(fault, version))


def _failure(error: Exception, operation: str) -> MethodError:
    """What a call that was not carried out answers."""
    if isinstance(error, MethodError):
        return error
    if isinstance(error, StoreUnavailable):
        log.warning("soap call without a store", operation=operation, error=type(error).__name__)
        return MethodError(MethodCode.SERVICE_UNAVAILABLE)
    reference = secrets.token_hex(4)
    # Only where and what, never the error's own words: they may repeat values.
    trace = "".join(traceback.format_tb(error.__traceback__))
    log.error("soap call failed", reference=reference, operation=operation, error=type(error).__name__, trace=trace)
    return MethodError(MethodCode.INTERNAL_ERROR, f"A defect in Campana; the log has it under {reference}.")


def _help_page(address: str) -> bytes:
    address = html.escape(address)
    links = "".join(
        f'<li><a href="{address}?{query}">{address}?{query}</a>: {what}</li>\n'
        for query, what in (
            ("wsdl", "the service in one document (SOAP 1.1)"),
            ("singleWsdl", "the same document"),
            ("wsdl12", "the same service for clients that speak SOAP 1.2"),
        )
    )
    return (
        "<!DOCTYPE html>\n"
        '<html lang="en"><head><meta charset="utf-8"><title>OutboundNotifications</title></head>\n'
        "<body><h1>OutboundNotifications</h1>\n"
        "<p>This is a SOAP service. Generate a client from one of its descriptions:</p>\n"
        f"<ul>\n{links}</ul></body></html>\n"
    ).encode()
