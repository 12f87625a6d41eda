"""Every way in which a call can end: its result, its code or null, and the header that says why."""

from __future__ import annotations

import re
from typing import Any

import pytest
import structlog
from lxml import etree
from soap_asgi import CAMPAIGN, DATA, NOBODY, PERSON, XSI, envelope, post, send, stocked_house
from soap_house import CREATED, MemoryHouse, front_of

from campana.api.addresses import networks
from campana.api.soap.app import SoapOptions
from campana.api.soap.envelope import SOAP11, SOAP12, Version
from campana.domain.errors import MethodCode, MethodError
from campana.storage.store import StoreUnavailable
from campana.telemetry import Metrics


@pytest.fixture
def house() -> MemoryHouse:
    return stocked_house()


@pytest.fixture
def app(house: MemoryHouse) -> Any:
    return front_of(house)


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
