"""The thirteen operations of the contract, asked through either door in the same words, and answered in the same.

Campaigns and contacts are given and told as REST has them; what SOAP cannot say is left out on both sides.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import httpx
from rest_kit import PASSWORD
from zeep import Client, Settings
from zeep.plugins import Plugin

Told = tuple[int, Any]
"""A code, and the answer: None where there is none."""

_MEDIA = {
    "sms": ("OutboundSMSNotificationInfo", {"enabled": "Enabled", "from": "FromNumber", "text": "TextToSend"}),
    "voice": (
        "OutboundVoiceNotificationInfo",
        {
            "enabled": "Enabled",
            "dial_timeout_ms": "DialMsTimeout",
            "calling_name": "CallingName",
            "calling_number": "CallingNumber",
            "text": "TextToSpeak",
            "voice_name": "TTSVoiceName",
            "max_plays": "MaxTextPlays",
            "max_attempts": "MaxDeliveryRetries",
            "retry_minutes": "RetryMinutesInterval",
        },
    ),
    "email": (
        "OutboundEmailNotificationInfo",
        {"enabled": "Enabled", "from": "FromEmail", "subject": "Subject", "html": "HtmlContent"},
    ),
}
_PLAIN = {
    "id": "ID",
    "name": "ShortName",
    "description": "Description",
    "paused": "IsPaused",
    "allow_external_contacts": "AllowAddingContactsFromExternalApps",
    "progress_endpoint": "ProgressWSEndpoint",
}
_TIMES = {
    "from_date": ("ActiveFromDate", "%Y-%m-%d"),
    "to_date": ("ActiveToDate", "%Y-%m-%d"),
    "from_time": ("ActiveFromTime", "%H:%M:%S"),
    "to_time": ("ActiveToTime", "%H:%M:%S"),
}
_REQUIRED = {
    "sms": "SmsNotificationRequired",
    "voice": "VoiceNotificationRequired",
    "email": "EmailNotificationRequired",
}
_OF_CONTACT = {"sms": "SMSCommInfo", "voice": "VoiceCommInfo", "email": "EmailCommInfo"}
_OF_MEDIUM = {
    "destination": "Destination",
    "text": "TextToSendOverwrite",
    "attempts_left": "RetryCount",
    "status": "StatusCode",
    "error_code": "LastDeliveryErrorCode",
}
STATUSES = ("do_not_try", "pending", "sending", "delivering", "success")
STATUSES += ("waiting_for_retry", "permanent_failure", "cancelled")
NOT_SET = datetime(1, 1, 1)


class _Errors(Plugin):
    """Keeps the header that says why a call failed."""

    last: str | None = None

    def ingress(self, envelope: Any, http_headers: Any, operation: Any) -> tuple[Any, Any]:
        self.last = http_headers.get("X-Campana-Error")
        return envelope, http_headers


class SoapDoor:
    """The contract by SOAP."""

    def __init__(self, url: str, account: str) -> None:
        self._errors = _Errors()
        self._client = Client(
            url.removesuffix("/api/v1") + "/OutboundNotifications.svc?wsdl",
            settings=Settings(strict=True),
            plugins=[self._errors],
        )
        self.account = account
        self.session = ""

    def open(self, user: str, password: str = PASSWORD, account: str = "") -> Told:
        answer = self._client.service.OpenAPISession(account or self.account, user, password)
        self.session = answer.SessionId or self.session
        return answer.ErrorCode, bool(answer.SessionId)

    def close(self) -> Told:
        return self._client.service.CloseAPISession(self.session).ErrorCode, None

    def listing(self) -> Told:
        return self._told("GetCampaignListing", lambda ids: list(ids or []))

    def active(self) -> Told:
        return self._told("GetCampaigns", lambda found: [_campaign_told(one) for one in found or []])

    def add(self, campaign: dict[str, Any]) -> Told:
        return self._told("AddCampaign", _nothing, _campaign_given(campaign))

    def get(self, guid: str) -> Told:
        return self._told("GetCampaign", _campaign_told, guid)

    def update(self, guid: str, campaign: dict[str, Any]) -> Told:
        return self._told("UpdateCampaign", _nothing, _campaign_given({**campaign, "id": guid}))

    def delete(self, guid: str) -> Told:
        return self._told("DeleteCampaign", _nothing, guid)

    def contacts(self, guid: str) -> Told:
        return self._told("GetCampaignContactsListing", lambda ids: list(ids or []), guid)

    def whole_contacts(self, guid: str) -> Told:
        return self._told("GetCampaignContacts", lambda found: [_contact_told(one) for one in found or []], guid)

    def add_contact(self, guid: str, contact: dict[str, Any]) -> Told:
        return self._told("AddCampaignContact", _nothing, _contact_given(guid, contact))

    def update_contact(self, guid: str, contact: dict[str, Any]) -> Told:
        return self._told("UpdateCampaignContact", _nothing, _contact_given(guid, contact))

    def delete_contact(self, guid: str, contact: str) -> Told:
        return self._told("DeleteCampaignContact", _nothing, guid, contact)

    def _told(self, operation: str, shape: Callable[[Any], Any], *given: Any) -> Told:
        answer = self._client.service[operation](self.session, *given)
        code = int((self._errors.last or "0").split()[0])
        return code, None if code else shape(answer)


class RestDoor:
    """The contract by REST."""

    def __init__(self, url: str, account: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=30)
        self.account = account

    def close_client(self) -> None:
        self._client.close()

    def open(self, user: str, password: str = PASSWORD, account: str = "") -> Told:
        given = {"account": account or self.account, "user": user, "password": password}
        answer = self._client.post("/sessions", json=given)
        if answer.is_success:
            self._client.headers["authorization"] = f"Bearer {answer.json()['token']}"
        return _code(answer), answer.is_success

    def close(self) -> Told:
        return _code(self._client.delete("/sessions/current")), None

    def listing(self) -> Told:
        code, found = self.active()
        return code, None if code else [one["id"] for one in found]

    def active(self) -> Told:
        return self._told("GET", "/campaigns?active=true", lambda page: [_without_ours(one) for one in page["items"]])

    def add(self, campaign: dict[str, Any]) -> Told:
        return self._told("POST", "/campaigns", _nothing, campaign)

    def get(self, guid: str) -> Told:
        return self._told("GET", f"/campaigns/{guid}", _without_ours)

    def update(self, guid: str, campaign: dict[str, Any]) -> Told:
        return self._told("PUT", f"/campaigns/{guid}", _nothing, campaign)

    def delete(self, guid: str) -> Told:
        return self._told("DELETE", f"/campaigns/{guid}", _nothing)

    def contacts(self, guid: str) -> Told:
        code, found = self.whole_contacts(guid)
        return code, None if code else [one["id"] for one in found]

    def whole_contacts(self, guid: str) -> Told:
        return self._told(
            "GET", f"/campaigns/{guid}/contacts", lambda page: [_contact_of_rest(one) for one in page["items"]]
        )

    def add_contact(self, guid: str, contact: dict[str, Any]) -> Told:
        return self._told("POST", f"/campaigns/{guid}/contacts", _nothing, contact)

    def update_contact(self, guid: str, contact: dict[str, Any]) -> Told:
        return self._told("PUT", f"/campaigns/{guid}/contacts/{contact['id']}", _nothing, contact)

    def delete_contact(self, guid: str, contact: str) -> Told:
        return self._told("DELETE", f"/campaigns/{guid}/contacts/{contact}", _nothing)

    def _told(self, method: str, path: str, shape: Callable[[Any], Any], given: Any = None) -> Told:
        answer = self._client.request(method, path, json=given)
        code = _code(answer)
        return code, None if code or answer.status_code == 204 else shape(answer.json())


def _code(answer: httpx.Response) -> int:
    return 0 if answer.is_success else int(answer.json()["code"])


def _nothing(answer: Any) -> None:
    return None


def _without_ours(campaign: dict[str, Any]) -> dict[str, Any]:
    kept = {name: campaign[name] for name in (*_PLAIN, *_TIMES, "required_media", "created_at")}
    for medium, (_, members) in _MEDIA.items():
        told = campaign[medium]
        kept[medium] = None if told is None else {name: told[name] for name in members}
    return kept


def _contact_of_rest(contact: dict[str, Any]) -> dict[str, Any]:
    blank = {"destination": "", "text": None, "attempts_left": 0, "status": "do_not_try", "error_code": 0}
    return {"id": contact["id"], **{medium: contact[medium] or blank for medium in _OF_CONTACT}}


def _campaign_given(campaign: dict[str, Any]) -> dict[str, Any]:
    given: dict[str, Any] = {_PLAIN[name]: campaign[name] for name in _PLAIN if name in campaign}
    for name, (member, form) in _TIMES.items():
        if campaign.get(name):
            # Of a date only the day counts, of a time only the clock.
            text = f"2026-01-01T{campaign[name]}" if form == "%H:%M:%S" else campaign[name]
            given[member] = datetime.fromisoformat(text)
    for medium, (member, members) in _MEDIA.items():
        told = campaign.get(medium)
        if told is not None:
            given[member] = {members[name]: value for name, value in told.items()}
    for medium, member in _REQUIRED.items():
        given[member] = medium in campaign.get("required_media", ())
    return given


def _campaign_told(campaign: Any) -> dict[str, Any]:
    told: dict[str, Any] = {name: campaign[member] for name, member in _PLAIN.items()}
    told["id"] = str(told["id"])
    for name, (member, form) in _TIMES.items():
        told[name] = None if campaign[member] == NOT_SET else campaign[member].strftime(form)
    for medium, (member, members) in _MEDIA.items():
        settings = campaign[member]
        absent = settings is None or settings.Enabled is None
        told[medium] = None if absent else {name: settings[inner] for name, inner in members.items()}
    told["required_media"] = [medium for medium, member in _REQUIRED.items() if campaign[member]]
    told["created_at"] = campaign.CreationDateUtc.strftime("%Y-%m-%dT%H:%M:%S.") + "000Z"
    return told


def _contact_given(campaign: str, contact: dict[str, Any]) -> dict[str, Any]:
    given: dict[str, Any] = {"CampaignId": campaign}
    if "id" in contact:
        given["Id"] = contact["id"]
    for medium, member in _OF_CONTACT.items():
        if contact.get(medium) is not None:
            given[member] = {_OF_MEDIUM[name]: value for name, value in contact[medium].items()}
    return given


def _contact_told(contact: Any) -> dict[str, Any]:
    told: dict[str, Any] = {"id": str(contact.Id)}
    for medium, member in _OF_CONTACT.items():
        info = contact[member]
        told[medium] = {name: info[inner] for name, inner in _OF_MEDIUM.items()}
        told[medium]["status"] = STATUSES[info.StatusCode]
        told[medium]["destination"] = info.Destination or ""
    return told
