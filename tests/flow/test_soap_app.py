"""The door as an application, without a server: every way in which a call can end, and every document."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass, field
from typing import Any

import pytest
import structlog
from lxml import etree
from soap_house import CREATED, PAGE, MemoryHouse, front_of

from campana.api.exchange import PART_BYTES, BrokenOff
from campana.api.soap.addresses import networks
from campana.api.soap.app import MAX_BODY, PATH, SoapOptions
from campana.api.soap.envelope import SOAP11, SOAP12, Version
from campana.api.soap.parsing import Limits
from campana.domain.errors import MethodCode, MethodError
from campana.storage.store import StoreUnavailable
from campana.telemetry import Metrics

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


@pytest.fixture
def house() -> MemoryHouse:
    made = MemoryHouse()
    made.sessions.open_tokens.add("T")
    made.fill(CAMPAIGN, 3)
    return made


@pytest.fixture
def app(house: MemoryHouse) -> Any:
    return front_of(house)


# --- what every operation answers --------------------------------------------------------------------------------

OK = "<sessionId>T</sessionId>"
BAD = "<sessionId>X</sessionId>"
OURS = f"<campaignId>{CAMPAIGN}</campaignId>"
OTHER = f"<campaignId>{NOBODY}</campaignId>"
FIRST = "00000000-0000-0000-0000-000000000001"
CREDENTIALS = "<accountId>acme</accountId><username>ann</username><password>{}</password>"
CAMPAIGN_IN = "<campaign><d:ID>{}</d:ID><d:ShortName>N</d:ShortName></campaign>"
CONTACT_IN = f"<contact><d:CampaignId>{CAMPAIGN}</d:CampaignId><d:Id>{{}}</d:Id></contact>"

NULL = "null"

ENDINGS: list[tuple[str, str, int, object]] = [
    ("OpenAPISession", CREDENTIALS.format("open sesame"), 0, "session"),
    ("OpenAPISession", CREDENTIALS.format("wrong"), 2, "session"),
    ("OpenAPISession", "", 2, "session"),
    ("CloseAPISession", OK, 0, "session"),
    ("CloseAPISession", BAD, 1, "session"),
    ("CloseAPISession", "", 1, "session"),
    ("GetCampaignListing", OK, 0, 1),
    ("GetCampaignListing", BAD, 1, NULL),
    ("GetCampaigns", OK, 0, 1),
    ("GetCampaigns", BAD, 1, NULL),
    ("AddCampaign", OK + CAMPAIGN_IN.format(NOBODY), 0, "code"),
    ("AddCampaign", OK + CAMPAIGN_IN.format(CAMPAIGN), 11, "code"),
    ("AddCampaign", OK + "<campaign/>", 12, "code"),
    ("AddCampaign", OK, 12, "code"),
    ("AddCampaign", BAD, 1, "code"),
    ("GetCampaign", OK + OURS, 0, 17),
    ("GetCampaign", OK + OTHER, 10, NULL),
    ("GetCampaign", OK, 10, NULL),
    ("UpdateCampaign", OK + CAMPAIGN_IN.format(CAMPAIGN), 0, "code"),
    ("UpdateCampaign", OK + CAMPAIGN_IN.format(NOBODY), 10, "code"),
    ("UpdateCampaign", OK, 12, "code"),
    ("DeleteCampaign", OK + OURS, 0, "code"),
    ("DeleteCampaign", OK + OTHER, 10, "code"),
    ("GetCampaignContactsListing", OK + OURS, 0, 3),
    ("GetCampaignContactsListing", OK + OTHER, 10, NULL),
    ("GetCampaignContacts", OK + OURS, 0, 3),
    ("GetCampaignContacts", OK + OTHER, 10, NULL),
    ("GetCampaignContacts", OK, 10, NULL),
    ("GetCampaignContacts", BAD + OURS, 1, NULL),
    ("AddCampaignContact", OK + CONTACT_IN.format(PERSON), 0, "code"),
    ("AddCampaignContact", OK + CONTACT_IN.format(FIRST), 21, "code"),
    ("AddCampaignContact", OK, 22, "code"),
    ("AddCampaignContact", BAD + CONTACT_IN.format(PERSON), 1, "code"),
    ("UpdateCampaignContact", OK + CONTACT_IN.format(FIRST), 0, "code"),
    ("UpdateCampaignContact", OK + CONTACT_IN.format(PERSON), 20, "code"),
    ("UpdateCampaignContact", OK, 22, "code"),
    ("DeleteCampaignContact", f"{OK}{OURS}<contactId>{FIRST}</contactId>", 0, "code"),
    ("DeleteCampaignContact", f"{OK}{OURS}<contactId>{PERSON}</contactId>", 20, "code"),
    ("DeleteCampaignContact", OK, 20, "code"),
]


@pytest.mark.parametrize("version", [SOAP11, SOAP12], ids=lambda v: v.name)
@pytest.mark.parametrize(("operation", "arguments", "code", "form"), ENDINGS)
async def test_ending(app: Any, version: Version, operation: str, arguments: str, code: int, form: object) -> None:
    answer = await send(app, post(envelope(f"<{operation}>{arguments}</{operation}>", version)))
    assert answer.status == 200
    assert answer.headers[b"content-type"] == version.content_type
    assert answer.headers[b"content-length"] == b"%d" % len(answer.body)
    assert answer.xml().tag == f"{{{version.namespace}}}Envelope"
    result = answer.result()
    assert etree.QName(result).localname == f"{operation}Result"
    assert (result.get(f"{{{XSI}}}nil") == "true") is (form == NULL)
    if form == "code":
        assert result.text == str(code)
    elif form == "session":
        assert result.findtext(f"{{{DATA}}}ErrorCode") == str(code)
        assert bool(result.findtext(f"{{{DATA}}}Description")) is bool(code)
        if operation == "OpenAPISession":
            assert bool(result.findtext(f"{{{DATA}}}SessionId")) is not bool(code)
    elif form != NULL:
        assert len(result) == form
    if code:
        name = MethodCode(code).title
        assert re.fullmatch(rf"{code} {name}; [ -~]+\.", answer.error or "")
    else:
        assert answer.error is None


def test_every_operation_has_a_success_and_a_failure() -> None:
    operations = {row[0] for row in ENDINGS}
    assert len(operations) == 13
    assert {row[0] for row in ENDINGS if row[2] == 0} == {row[0] for row in ENDINGS if row[2] != 0} == operations


async def test_an_empty_list_is_an_empty_element(app: Any, house: MemoryHouse) -> None:
    house.campaigns.kept.clear()
    house.contacts.kept.clear()
    house.fill(CAMPAIGN, 0)
    for operation in ("GetCampaignContacts", "GetCampaignContactsListing"):
        result = (await send(app, post(envelope(f"<{operation}>{OK}{OURS}</{operation}>")))).result()
        assert (len(result), result.text, dict(result.attrib)) == (0, None, {})


async def test_get_campaign_says_when_it_was_created(app: Any) -> None:
    result = (await send(app, post(envelope(f"<GetCampaign>{OK}{OURS}</GetCampaign>")))).result()
    assert CREATED == 1_795_443_652_500
    assert result.findtext(f"{{{DATA}}}CreationDateUtc") == "2026-11-23T14:20:52.500Z"


@pytest.mark.parametrize(("header", "agent"), [(b"CTI toolbar", True), (b"  ", False), (None, False)])
async def test_a_request_may_be_made_for_an_agent(
    app: Any, house: MemoryHouse, header: bytes | None, agent: bool
) -> None:
    headers = [] if header is None else [(b"x-campana-agent", header)]
    await send(app, post(envelope(f"<GetCampaigns>{OK}</GetCampaigns>"), *headers))
    assert house.sessions.resumed == [("T", agent)]


async def test_the_source_of_a_log_in_is_the_client_s(house: MemoryHouse) -> None:
    app = front_of(house, SoapOptions(trusted_proxies=networks(["10.0.0.0/8"])))
    body = envelope(f"<OpenAPISession>{CREDENTIALS.format('x')}</OpenAPISession>")
    forwarded = (b"x-forwarded-for", b"203.0.113.9")
    await send(app, post(body, forwarded))
    await send(app, post(body, forwarded, peer=("10.0.0.1", 9)))
    assert house.sessions.sources == ["198.51.100.1", "203.0.113.9"]


# --- failures that are not refusals ------------------------------------------------------------------------------


class Broken(MemoryHouse):
    """A house whose services fail in one way."""

    def __init__(self, failure: Exception) -> None:
        super().__init__()
        self.sessions.resume = self._fail
        self.failure = failure

    async def _fail(self, token: str, *, agent: bool = False) -> str:
        raise self.failure


FAILURES = [
    (StoreUnavailable("disk on fire"), 90, "ServiceUnavailable"),
    (ValueError("secret +14165550111"), 99, "InternalError"),
    (MethodError(MethodCode.LIMIT_EXCEEDED, "No\r\nmore — it's\tfull…\x00 \ud800"), 30, "LimitExceeded"),
    (MethodError(MethodCode.LIMIT_EXCEEDED, "x" * 5000), 30, "LimitExceeded"),
]


@pytest.mark.parametrize(("failure", "code", "name"), FAILURES)
@pytest.mark.parametrize(("operation", "null"), [("AddCampaign", False), ("GetCampaigns", True)])
async def test_failure(failure: Exception, code: int, name: str, operation: str, null: bool) -> None:
    with structlog.testing.capture_logs() as logs:
        answer = await send(front_of(Broken(failure)), post(envelope(f"<{operation}/>")))
    assert answer.status == 200
    assert answer.error is not None
    assert answer.error.startswith(f"{code} {name}; ")
    assert re.fullmatch(r"[ -~]{1,500}", answer.error)
    assert "secret" not in answer.error
    assert (answer.result().get(f"{{{XSI}}}nil") == "true") is null
    if not null:
        assert answer.result().text == str(code)
    assert "secret" not in str(logs)
    if code == 99:
        (entry,) = logs
        assert entry["reference"] in answer.error
        assert (entry["log_level"], entry["error"], entry["operation"]) == ("error", "ValueError", operation)
        assert "_fail" in entry["trace"]


async def test_a_sentence_is_made_one_line_of_ascii() -> None:
    answer = await send(front_of(Broken(FAILURES[2][0])), post(envelope("<AddCampaign/>")))
    assert answer.error == "30 LimitExceeded; No  more ? it's full?  ?"


# --- messages that are no calls ----------------------------------------------------------------------------------


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


# --- long lists --------------------------------------------------------------------------------------------------

LONG = 5_000
GET_CONTACTS = envelope(f"<GetCampaignContacts>{OK}{OURS}</GetCampaignContacts>")
GET_IDS = envelope(f"<GetCampaignContactsListing>{OK}{OURS}</GetCampaignContactsListing>")


@pytest.fixture
def long_house(house: MemoryHouse) -> MemoryHouse:
    house.fill(CAMPAIGN, LONG)
    return house


@pytest.mark.parametrize("body", [GET_CONTACTS, GET_IDS], ids=["contacts", "ids"])
@pytest.mark.parametrize("http", ["1.1", "1.0"])
async def test_a_long_list(app: Any, long_house: MemoryHouse, body: bytes, http: str) -> None:
    answer = await send(app, post(body, version=http))
    assert (answer.status, answer.is_whole) == (200, True)
    assert len(answer.result()) == LONG
    *parts, last, end = answer.parts
    assert all(PART_BYTES <= len(part) < 8 * PART_BYTES for part in parts)
    assert len(last) < 8 * PART_BYTES
    assert end == b""
    length = answer.headers.get(b"content-length")
    assert length == (b"%d" % len(answer.body) if http == "1.0" else None)
    assert long_house.contacts.closed.is_set()


@pytest.mark.parametrize("http", ["1.1", "1.0"])
async def test_a_list_that_fails_before_it_left_is_null(app: Any, long_house: MemoryHouse, http: str) -> None:
    long_house.contacts.fail_after = 0
    answer = await send(app, post(GET_CONTACTS, version=http))
    assert answer.result().get(f"{{{XSI}}}nil") == "true"
    assert (answer.error or "").startswith("90 ServiceUnavailable")


async def test_an_http_10_list_that_fails_late_is_null(app: Any, long_house: MemoryHouse) -> None:
    long_house.contacts.fail_after = 8
    answer = await send(app, post(GET_CONTACTS, version="1.0"))
    assert answer.result().get(f"{{{XSI}}}nil") == "true"
    assert (answer.error or "").startswith("90 ServiceUnavailable")


@pytest.mark.parametrize("failure", [StoreUnavailable("x"), ValueError("x"), MethodError(MethodCode.ACCESS_DENIED)])
async def test_a_list_that_fails_half_way_is_broken_off(app: Any, long_house: MemoryHouse, failure: Exception) -> None:
    long_house.contacts.fail_after = 8
    long_house.contacts.failure = failure
    with pytest.raises(BrokenOff, match=f"broken off: {type(failure).__name__}") as caught:
        await send(app, post(GET_CONTACTS))
    assert caught.value.__cause__ is None
    assert long_house.contacts.closed.is_set()


async def test_a_list_ends_with_its_client(app: Any, long_house: MemoryHouse) -> None:
    long_house.contacts.extra_lines = 10**9
    answer = await send(app, post(GET_CONTACTS, gone_after=5))
    assert len(answer.messages) < 10
    assert not answer.is_whole
    assert long_house.contacts.closed.is_set()


async def test_a_list_of_one_page_leaves_whole(app: Any, house: MemoryHouse) -> None:
    house.fill(CAMPAIGN, 20)
    answer = await send(app, post(GET_CONTACTS))
    assert len(answer.messages) == 2
    assert int(answer.headers[b"content-length"]) == len(answer.body)


def test_pages_are_longer_than_parts() -> None:
    assert PAGE * 100 < PART_BYTES < PAGE * 600


# --- documents ---------------------------------------------------------------------------------------------------


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


# --- counting ----------------------------------------------------------------------------------------------------


async def test_calls_are_counted_and_timed(house: MemoryHouse) -> None:
    metrics = Metrics()
    app = front_of(house, SoapOptions(metrics=metrics))
    for body in (
        envelope(f"<GetCampaigns>{OK}</GetCampaigns>"),
        envelope("<GetCampaigns/>"),
        envelope("<X/>"),
        b"<a/>",
    ):
        await send(app, post(body))
    text = metrics.render().decode()
    for line in (
        'campana_soap_requests_total{code="0",operation="GetCampaigns"} 1.0',
        'campana_soap_requests_total{code="1",operation="GetCampaigns"} 1.0',
        'campana_soap_requests_total{code="fault",operation="none"} 2.0',
        'campana_soap_seconds_count{operation="GetCampaigns"} 2.0',
    ):
        assert line in text
    assert "X" not in re.findall(r'operation="([^"]*)"', text)


async def test_a_list_that_was_broken_off_is_counted_so(long_house: MemoryHouse) -> None:
    metrics = Metrics()
    long_house.contacts.fail_after = 8
    with pytest.raises(BrokenOff):
        await send(front_of(long_house, SoapOptions(metrics=metrics)), post(GET_CONTACTS))
    assert 'code="broken off",operation="GetCampaignContacts"} 1.0' in metrics.render().decode()
