"""The life of a campaign, driven by a SOAP client (zeep) over HTTP, in both versions of SOAP; and the requests of
other clients, as they were recorded.

Runs on the house in memory and on the real services over SQLite: what a client sees must be the same.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from soap_house import Door, memory_house, open_door
from zeep import Client, Settings
from zeep.exceptions import Fault
from zeep.plugins import Plugin

from campana.bus.local import LocalBus
from campana.services.house import ServiceOptions, Services, build_services
from campana.services.passwords import Cost
from campana.storage.sqlite import SqliteStore
from campana.telemetry import Metrics
from tests.contract.sqlite_kit import with_tables

SAMPLES = sorted((Path(__file__).parents[1] / "data" / "soap").glob("*.http"))
CAMPAIGN = "0190A1B2-c3d4-7000-8000-5827b474ed98"
PERSON = "8d862a28-a715-43c5-855e-5827b474ed99"
NOBODY = "00000000-0000-0000-0000-00000000dead"
NOW = 1_795_443_652_500  # 2026-11-23T14:20:52.5Z


@asynccontextmanager
async def real_house(path: Path) -> AsyncIterator[Services]:
    """The real services on a store of their own, with the user that the house in memory has."""
    store = await SqliteStore.open(with_tables(path / "campana.db"))
    options = ServiceOptions(hashing_cost=Cost(passes=1, memory_kib=8, lanes=1))
    services = build_services(store, LocalBus(), lambda: NOW, options, Metrics())
    try:
        await services.accounts.add_account("acme")
        await services.accounts.add_user("acme", "ann", "api", "open sesame")
        yield services
    finally:
        await services.close()
        await store.close()


@pytest.fixture(scope="module", params=["memory", "sqlite"])
def door(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    house: AbstractAsyncContextManager[Any] = memory_house()
    if request.param == "sqlite":
        house = real_house(tmp_path_factory.mktemp("house"))
    with open_door(house) as opened:
        yield opened


class Errors(Plugin):
    """Keeps the header that says why a call failed."""

    last: str | None = None

    def ingress(self, envelope: Any, http_headers: Any, operation: Any) -> tuple[Any, Any]:
        self.last = http_headers.get("X-Campana-Error")
        return envelope, http_headers


@pytest.fixture(params=["wsdl", "singleWsdl", "wsdl12"])
def client(request: pytest.FixtureRequest, door: Door) -> Client:
    return Client(f"{door.url}?{request.param}", settings=Settings(strict=True), plugins=[Errors()])


def error_of(client: Client) -> str | None:
    return client.plugins[0].last


def log_in(client: Client) -> str:
    answer = client.service.OpenAPISession(accountId="acme", username="ann", password="open sesame")
    assert (answer.ErrorCode, answer.Description or "") == (0, "")
    assert answer.SessionId
    return answer.SessionId


GIVEN_CAMPAIGN = {
    "ID": CAMPAIGN,
    "ShortName": "Rappel d'été <&> 漢字 📞",
    "Description": " two\nlines\t ]]> ",
    "IsPaused": True,
    "ActiveFromDate": datetime(2026, 11, 22),
    "ActiveFromTime": datetime(1999, 1, 2, 8, 30),
    "ActiveToDate": datetime(2027, 12, 28, 13, 14, 15),
    "OutboundSMSNotificationInfo": {"Enabled": True, "FromNumber": "+14165550100", "TextToSend": "Bonjour <vous>"},
    "OutboundEmailNotificationInfo": {
        "Enabled": True,
        "FromEmail": "noreply@example.com",
        "Subject": "Ça & là",
        "HtmlContent": "<p>&eacute;</p>",
    },
    "AllowAddingContactsFromExternalApps": True,
    "SmsNotificationRequired": True,
}


def test_the_life_of_a_campaign(client: Client) -> None:
    service = client.service
    session = log_in(client)
    before = service.GetCampaignListing(session) or []
    assert service.AddCampaign(session, GIVEN_CAMPAIGN) == 0
    assert error_of(client) is None
    assert service.AddCampaign(session, GIVEN_CAMPAIGN) == 11
    assert (error_of(client) or "").startswith("11 CampaignAlreadyExists; ")
    assert service.GetCampaignListing(session) == [*before, CAMPAIGN.lower()]
    check_campaign(service.GetCampaign(session, CAMPAIGN))
    check_campaign(service.GetCampaigns(session)[-1])
    live_of_a_contact(client, session)
    assert service.UpdateCampaign(session, {**GIVEN_CAMPAIGN, "ShortName": "Autre", "Description": None}) == 0
    changed = service.GetCampaign(session, CAMPAIGN)
    assert (changed.ShortName, changed.Description) == ("Autre", None)
    assert service.DeleteCampaign(session, CAMPAIGN) == 0
    assert service.DeleteCampaign(session, CAMPAIGN) == 10
    assert is_null(service.GetCampaign(session, CAMPAIGN))
    assert service.CloseAPISession(session).ErrorCode == 0
    assert service.CloseAPISession(session).ErrorCode == 1
    assert service.AddCampaign(session, GIVEN_CAMPAIGN) == 1
    assert (error_of(client) or "").startswith("1 InvalidSession; ")


def is_null(result: Any) -> bool:
    """zeep makes an empty list of a null list, and an object without values of a null object."""
    return not result or all(result[name] is None for name in dir(result))


def check_campaign(got: Any) -> None:
    assert str(got.ID) == CAMPAIGN.lower()
    assert got.CreationDateUtc.isoformat() == "2026-11-23T14:20:52.500000+00:00"
    for name in ("ShortName", "Description", "IsPaused", "ActiveFromDate", "ActiveFromTime", "ActiveToDate"):
        assert got[name] == GIVEN_CAMPAIGN[name]
    assert got.ActiveToTime == datetime(1, 1, 1)
    assert (got.SmsNotificationRequired, got.EmailNotificationRequired) == (True, False)
    assert is_null(got.OutboundVoiceNotificationInfo)
    assert got.OutboundSMSNotificationInfo.TextToSend == "Bonjour <vous>"
    assert got.OutboundEmailNotificationInfo.HtmlContent == "<p>&eacute;</p>"
    assert got.ProgressWSEndpoint is None


def live_of_a_contact(client: Client, session: str) -> None:
    service = client.service
    sms = {"Destination": "+14165550111", "TextToSendOverwrite": "Allô <&>", "StatusCode": 4, "RetryCount": 2}
    given = {"Id": PERSON, "CampaignId": CAMPAIGN, "SMSCommInfo": sms}
    assert service.AddCampaignContact(session, given) == 0
    assert service.AddCampaignContact(session, given) == 21
    assert service.GetCampaignContactsListing(session, CAMPAIGN) == [PERSON]
    (got,) = service.GetCampaignContacts(session, CAMPAIGN)
    assert (got.Id, got.CampaignId) == (PERSON, CAMPAIGN.lower())
    assert (got.SMSCommInfo.Destination, got.SMSCommInfo.TextToSendOverwrite) == ("+14165550111", "Allô <&>")
    assert (got.SMSCommInfo.StatusCode, got.SMSCommInfo.RetryCount) == (1, 2)
    for other in (got.VoiceCommInfo, got.EmailCommInfo):
        assert (other.Destination or "", other.TextToSendOverwrite) == ("", None)
        assert (other.StatusCode, other.LastDeliveryErrorCode, other.RetryCount) == (0, 0, 0)
    email = {"Destination": "ana@example.com"}
    assert service.UpdateCampaignContact(session, {**given, "SMSCommInfo": None, "EmailCommInfo": email}) == 0
    (got,) = service.GetCampaignContacts(session, CAMPAIGN)
    assert (got.SMSCommInfo.Destination or "", got.SMSCommInfo.StatusCode) == ("", 0)
    assert (got.EmailCommInfo.Destination, got.EmailCommInfo.StatusCode) == ("ana@example.com", 1)
    assert service.UpdateCampaignContact(session, {**given, "Id": NOBODY}) == 20
    assert service.DeleteCampaignContact(session, CAMPAIGN, PERSON) == 0
    assert service.DeleteCampaignContact(session, CAMPAIGN, PERSON) == 20


def test_what_goes_wrong_is_told_as_the_contract_has_it(client: Client) -> None:
    service = client.service
    refused = service.OpenAPISession("acme", "ann", "wrong")
    assert refused.ErrorCode == 2
    assert refused.Description
    assert not refused.SessionId
    session = log_in(client)
    for call in (service.GetCampaign, service.GetCampaignContacts, service.GetCampaignContactsListing):
        assert is_null(call(session, NOBODY))
        assert (error_of(client) or "").startswith("10 CampaignNotFound; ")
    assert service.AddCampaignContact(session, {"CampaignId": NOBODY}) == 10
    assert service.AddCampaign(session, {"ID": CAMPAIGN}) == 12
    with pytest.raises(Fault, match="The element GetCampaign/campaignId must be a Guid"):
        service.GetCampaign(session, "nonsense")


@pytest.mark.parametrize("sample", [s for s in SAMPLES if s.stem.endswith("AddCampaign")], ids=lambda s: s.stem)
def test_recorded_requests_of_other_clients(door: Door, sample: Path) -> None:
    """The campaign and its contact are added as they were recorded, but for the session."""
    service = Client(f"{door.url}?wsdl").service
    session = log_in(Client(f"{door.url}?wsdl"))
    for recorded in (sample, sample.with_name(sample.name.replace("AddCampaign.", "AddCampaignContact."))):
        head, _, body = recorded.read_bytes().partition(b"\n\n")
        body = body.rstrip(b"\n")
        old = body.partition(b"essionId>")[2].partition(b"<")[0]
        headers = dict(line.split(": ", 1) for line in head.decode().split("\n")[1:])
        del headers["Content-Length"]
        connection = HTTPConnection("127.0.0.1", door.port, timeout=10)
        connection.request("POST", "/OutboundNotifications.svc", body.replace(old, session.encode()), headers)
        answer = connection.getresponse()
        assert answer.getheader("X-Campana-Error") is None
        assert (answer.status, b"Result>0</" in answer.read()) == (200, True)
        connection.close()
    campaign = service.GetCampaigns(session)[-1]
    assert "é&<>\"'" in campaign.ShortName
    assert campaign.ActiveFromTime.time() == datetime(2000, 1, 1, 0, 15).time()
    (contact,) = service.GetCampaignContacts(session, campaign.ID)
    assert (contact.SMSCommInfo.Destination, contact.SMSCommInfo.RetryCount) == ("+14165550111", 3)
