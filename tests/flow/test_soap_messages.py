"""Messages that are no calls, whatever their body, and messages that are too large."""

from __future__ import annotations

from typing import Any

import pytest
from soap_asgi import Request, envelope, post, send, stocked_house
from soap_house import MemoryHouse, front_of

from campana.api.soap.app import MAX_BODY, PATH, SoapOptions
from campana.api.soap.envelope import SOAP11, SOAP12, Version
from campana.api.soap.parsing import Limits


@pytest.fixture
def house() -> MemoryHouse:
    return stocked_house()


@pytest.fixture
def app(house: MemoryHouse) -> Any:
    return front_of(house)


OK = "<sessionId>T</sessionId>"


@pytest.mark.parametrize("version", [SOAP11, SOAP12], ids=lambda v: v.name)
async def test_a_fault_for_what_is_no_call(app: Any, version: Version) -> None:
    answer = await send(app, post(envelope("<DropTables/>", version)))
    assert (answer.status, answer.headers[b"content-type"]) == (500, version.content_type)
    assert answer.fault() == "The operation DropTables is not one of this service."
    assert answer.error is None


@pytest.mark.parametrize(
    ("content_type", "version"), [(b"text/xml", SOAP11), (b"Application/SOAP+xml; charset=utf-8", SOAP12)]
)
async def test_where_there_is_no_envelope_the_headers_tell_the_version(
    app: Any, content_type: bytes, version: Version
) -> None:
    request = Request([b"<a/>"], headers=[(b"content-type", content_type)])
    answer = await send(app, request)
    assert answer.headers[b"content-type"] == version.content_type
    assert answer.xml().tag == f"{{{version.namespace}}}Envelope"


@pytest.mark.parametrize(
    "content_type",
    [
        b"",
        b"text/xml",
        b"application/soap+xml; action=x",
        b"application/xml",
        b"text/plain",
        b"application/octet-stream",
    ],
)
async def test_content_types_that_may_be_xml(app: Any, content_type: bytes) -> None:
    headers = [(b"content-type", content_type)] if content_type else []
    answer = await send(app, Request([envelope(f"<GetCampaigns>{OK}</GetCampaigns>")], headers=headers))
    assert answer.status == 200


@pytest.mark.parametrize(
    "headers",
    [
        [(b"content-type", b"application/json; charset=utf-8")],
        [(b"content-type", b"multipart/related; type=application/xop+xml")],
        [(b"content-type", b"APPLICATION/X-WWW-FORM-URLENCODED")],
        [(b"content-type", b"image/png")],
        [(b"content-type", b"text/xml"), (b"content-encoding", b"gzip")],
        [(b"content-type", b"text/xml"), (b"content-encoding", b"br, identity")],
    ],
)
async def test_what_is_certainly_not_xml(app: Any, headers: list[tuple[bytes, bytes]]) -> None:
    answer = await send(app, Request([envelope(f"<GetCampaigns>{OK}</GetCampaigns>")], headers=headers))
    assert answer.status == 415
    assert answer.fault().startswith(("Compressed messages are", "The Content-Type must be"))


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
async def test_other_methods(app: Any, method: str) -> None:
    answer = await send(app, Request([b"x"], method=method))
    assert (answer.status, answer.headers[b"allow"]) == (405, b"GET, HEAD, POST")


# --- sizes -------------------------------------------------------------------------------------------------------


def padded(size: int) -> bytes:
    body = envelope(f"<GetCampaigns>{OK}</GetCampaigns>")
    return body + b" " * (size - len(body))


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("pieces", [1, 7])
@pytest.mark.parametrize(("size", "status"), [(2**20, 200), (2**20 + 1, 413)])
async def test_body_limit(app: Any, size: int, status: int, pieces: int, declared: bool) -> None:
    body = padded(size)
    step = -(-size // pieces)
    parts = [body[start : start + step] for start in range(0, size, step)]
    headers = [(b"content-length", b"%d" % size)] if declared else [(b"transfer-encoding", b"chunked")]
    answer = await send(app, Request(parts, headers=headers))
    assert answer.status == status
    assert answer.received == len(parts)
    assert b"connection" not in answer.headers
    if status == 413:
        assert answer.fault() == "The message is over the limit of 1048576 bytes."


@pytest.mark.parametrize(
    ("headers", "received"),
    [
        ([(b"content-length", b"%d" % 2**40)], 0),
        ([(b"content-length", b"%d" % (2**20 + 1)), (b"expect", b"100-Continue")], 0),
        ([(b"transfer-encoding", b"chunked")], 17),
    ],
)
async def test_what_is_far_too_large_is_not_read_to_its_end(
    app: Any, headers: list[tuple[bytes, bytes]], received: int
) -> None:
    answer = await send(app, Request([b" " * 2**20] * 40, headers=headers))
    assert (answer.status, answer.received) == (413, received)
    assert answer.headers[b"connection"] == b"close"


async def test_the_limit_is_the_configuration_s(house: MemoryHouse) -> None:
    app = front_of(house, SoapOptions(max_body=500))
    assert (await send(app, post(padded(500)))).status == 200
    assert (await send(app, post(padded(501)))).status == 413


@pytest.mark.parametrize("size", [0, -1, MAX_BODY + 1])
def test_no_configuration_goes_beyond(size: int) -> None:
    with pytest.raises(ValueError, match="max_body"):
        SoapOptions(max_body=size)


async def test_limits_of_depth_reach_the_parser(house: MemoryHouse) -> None:
    app = front_of(house, SoapOptions(limits=Limits(max_depth=6)))
    answer = await send(app, post(envelope("<GetCampaigns><x><x><x><x/></x></x></x></GetCampaigns>")))
    assert answer.fault() == "The message nests elements deeper than 6 levels."


async def test_a_client_that_leaves_before_the_end_is_not_answered(app: Any) -> None:
    messages: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def take(message: Any) -> None:
        messages.append(message)

    scope = {"type": "http", "method": "POST", "path": PATH, "headers": []}
    await app(scope, receive, take)
    assert messages == []
