"""What the server shows to a browser: the WSDL, the help page, health and metrics."""

from __future__ import annotations

import json
from typing import Any

import pytest
from soap_asgi import Request, send, stocked_house
from soap_house import MemoryHouse, front_of

from campana.api.addresses import networks
from campana.api.soap.app import PATH, SoapOptions


@pytest.fixture
def house() -> MemoryHouse:
    return stocked_house()


@pytest.fixture
def app(house: MemoryHouse) -> Any:
    return front_of(house)


def get(path: str, query: bytes = b"", host: bytes = b"campana.test:8080", **more: Any) -> Request:
    return Request([], "GET", path, query, [(b"host", host)], **more)


@pytest.mark.parametrize("query", [b"wsdl", b"WSDL", b"singleWsdl", b"singlewsdl"])
@pytest.mark.parametrize("path", [PATH, PATH.lower()])
async def test_wsdl(app: Any, path: str, query: bytes) -> None:
    answer = await send(app, get(path, query))
    assert (answer.status, answer.headers[b"content-type"]) == (200, b"text/xml; charset=utf-8")
    address = answer.xml().xpath("//*[local-name()='address']/@location")
    assert address == [f"http://campana.test:8080{PATH}"]


async def test_wsdl_for_soap_12(app: Any) -> None:
    answer = await send(app, get(PATH, b"wsdl12"))
    assert b"http://schemas.xmlsoap.org/wsdl/soap12/" in answer.body
    assert answer.xml().xpath("//*[local-name()='address']/@location") == [f"http://campana.test:8080{PATH}"]


async def test_wsdl_behind_a_proxy(house: MemoryHouse) -> None:
    request = get(PATH, b"wsdl", host=b"internal")
    request.headers += [(b"x-forwarded-proto", b"https"), (b"x-forwarded-host", b"api.test")]
    for proxies, expected in ((["198.51.100.0/24"], "https://api.test"), (["10.0.0.0/8"], "http://internal")):
        answer = await send(front_of(house, SoapOptions(trusted_proxies=networks(proxies))), request)
        assert answer.xml().xpath("//*[local-name()='address']/@location") == [f"{expected}{PATH}"]


@pytest.mark.parametrize("query", [b"", b"wsdl", b"wsdl12"])
async def test_an_absurd_host_gets_no_document(app: Any, query: bytes) -> None:
    answer = await send(app, get(PATH, query, host=b'a"><script>'))
    assert answer.status == 400
    assert b"script" not in answer.body


async def test_help_page(app: Any) -> None:
    answer = await send(app, get(PATH))
    assert (answer.status, answer.headers[b"content-type"]) == (200, b"text/html; charset=utf-8")
    for query in ("wsdl", "singleWsdl", "wsdl12"):
        assert f'<a href="http://campana.test:8080{PATH}?{query}">'.encode() in answer.body


@pytest.mark.parametrize("query", [b"xsd=xsd0", b"wsdl=wsdl0", b"disco", b"wsdl&x"])
async def test_other_queries_lead_nowhere(app: Any, query: bytes) -> None:
    assert (await send(app, get(PATH, query))).status == 404


@pytest.mark.parametrize(
    ("path", "status", "media", "part"),
    [
        ("/", 200, b"text/html; charset=utf-8", b'href="OutboundNotifications.svc?wsdl"'),
        ("/healthz", 200, b"text/plain; charset=utf-8", b"ok"),
        ("/readyz", 200, b"application/json", b'"ready":true'),
        ("/metrics", 200, b"text/plain; version=0.0.4; charset=utf-8", b"# metrics"),
        ("/nothing", 404, b"text/plain; charset=utf-8", b"nothing at this address"),
        (PATH + "/", 404, b"text/plain; charset=utf-8", b"nothing"),
        ("", 404, b"text/plain; charset=utf-8", b"nothing"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_pages(app: Any, method: str, path: str, status: int, media: bytes, part: bytes) -> None:
    request = get(path)
    request.method = method
    answer = await send(app, request)
    assert (answer.status, answer.headers[b"content-type"]) == (status, media)
    assert part in answer.body


async def test_pages_can_only_be_read(app: Any) -> None:
    answer = await send(app, Request([b""], path="/metrics"))
    assert (answer.status, answer.headers[b"allow"]) == (405, b"GET, HEAD")


async def test_not_ready(house: MemoryHouse) -> None:
    app = front_of(house)
    app._readiness = lambda: (False, {"store": "the disk is full"})
    answer = await send(app, get("/readyz"))
    assert answer.status == 503
    assert json.loads(answer.body) == {"ready": False, "store": "the disk is full"}


async def test_only_http(app: Any) -> None:
    with pytest.raises(ValueError, match="not websocket"):
        await app({"type": "websocket"}, None, None)
