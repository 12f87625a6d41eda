"""Owns what a customer does in the demo: a real SOAP client opens a session, adds a campaign, and reads how it stands.

Must not know the server but by its WSDL. It blocks, and is to be run in a thread of its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

import requests
import zeep

from campana.domain.delivery import FINAL, Medium, Status
from campana.domain.errors import MethodCode
from campana.sandbox import demo_campaign
from campana.sandbox.demo_campaign import Person

_CALL_SECONDS: Final = 10
_LOOK_EVERY: Final = 0.2
_QUIET_SECONDS: Final = 2.5
"""A campaign is over when all is final and stays so for this long: the sandbox's bounces come in less."""
_LONGEST_SECONDS: Final = 90.0

_zeep: Final[Any] = zeep
"""It has no types of its own."""

_INFOS: Final = ((Medium.SMS, "SMSCommInfo"), (Medium.VOICE, "VoiceCommInfo"), (Medium.EMAIL, "EmailCommInfo"))


class DemoFailed(Exception):
    """A call was refused that should have been carried out: one sentence for a person."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a contact stands on one medium, as GetCampaignContacts answers it."""

    name: str
    medium: Medium
    destination: str
    status: Status
    error: int
    attempts_left: int


@dataclass(frozen=True, slots=True)
class Listener:
    """Who is told, from the client's thread, what was called and how the campaign stands."""

    called: Callable[[str, str, float], object]
    """Operation, what about, seconds that it took."""
    stands: Callable[[list[Standing]], object]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the client saw at the end."""

    campaign: str
    standings: list[Standing]
    seconds: float
    finished: bool
    names: dict[str, str] = field(default_factory=dict)
    """Names by contact Id."""


class Customer:
    """One session with the service."""

    def __init__(self, wsdl: str, listener: Listener) -> None:
        """Read the WSDL. Raises zeep.exceptions.Error or requests.RequestException where that fails."""
        # A proxy from the environment would be asked for an address on this very machine.
        session = requests.Session()
        session.trust_env = False
        transport = _zeep.Transport(session=session, timeout=_CALL_SECONDS, operation_timeout=_CALL_SECONDS)
        self._service: Any = _zeep.Client(wsdl, transport=transport).service
        self.listener = listener
        self._session = ""

    def log_in(self, account: str, user: str, password: str) -> None:
        """Open the session."""
        answer = self._call("OpenAPISession", f"{account}, {user}", account, user, password)
        _demand("OpenAPISession", answer.ErrorCode)
        self._session = answer.SessionId

    def log_out(self) -> None:
        """Close the session."""
        _demand("CloseAPISession", self._call("CloseAPISession", "", self._session).ErrorCode)

    def add_campaign(self) -> str:
        """Add the demo's campaign and return its ID."""
        guid = str(uuid4())
        campaign = {
            "ID": guid,
            "ShortName": demo_campaign.NAME,
            "OutboundSMSNotificationInfo": {
                "Enabled": True,
                "FromNumber": demo_campaign.SMS_FROM,
                "TextToSend": demo_campaign.SMS_TEXT,
            },
            "OutboundVoiceNotificationInfo": {
                "Enabled": True,
                "CallingName": demo_campaign.CALLING_NAME,
                "CallingNumber": demo_campaign.CALLING_NUMBER,
                "DialMsTimeout": demo_campaign.DIAL_MS,
                "MaxTextPlays": demo_campaign.PLAYS,
                "MaxDeliveryRetries": demo_campaign.CALL_ATTEMPTS,
                "RetryMinutesInterval": demo_campaign.RETRY_MINUTES,
                "TextToSpeak": demo_campaign.SPOKEN_TEXT,
            },
            "OutboundEmailNotificationInfo": {
                "Enabled": True,
                "FromEmail": demo_campaign.EMAIL_FROM,
                "Subject": demo_campaign.EMAIL_SUBJECT,
                "HtmlContent": demo_campaign.EMAIL_HTML,
            },
        }
        _demand("AddCampaign", self._call("AddCampaign", f'"{demo_campaign.NAME}"', self._session, campaign))
        return guid

    def add_contact(self, campaign: str, guid: str, person: Person) -> None:
        """Add one contact under an Id of our own."""
        contact: dict[str, Any] = {"CampaignId": campaign, "Id": guid}
        about = [person.name]
        for member, destination, text, attempts in (
            ("SMSCommInfo", person.sms, person.sms_text, person.attempts),
            ("VoiceCommInfo", person.voice, "", person.voice_attempts),
            ("EmailCommInfo", person.email, "", person.attempts),
        ):
            if destination:
                about.append(destination)
                contact[member] = {"Destination": destination, "RetryCount": attempts}
                if text:
                    contact[member]["TextToSendOverwrite"] = text
        _demand("AddCampaignContact", self._call("AddCampaignContact", " ".join(about), self._session, contact))

    def standings(self, campaign: str, names: dict[str, str]) -> list[Standing]:
        """How every contact stands on every medium that it has a destination on."""
        contacts = self._service.GetCampaignContacts(self._session, campaign)
        return [
            Standing(
                name=names[contact.Id.lower()],
                medium=medium,
                destination=contact[member].Destination,
                status=Status(contact[member].StatusCode),
                error=contact[member].LastDeliveryErrorCode,
                attempts_left=contact[member].RetryCount,
            )
            for contact in contacts or []
            if contact.Id.lower() in names
            for medium, member in _INFOS
            if contact[member] is not None and contact[member].Destination
        ]

    def _call(self, operation: str, about: str, *arguments: object) -> Any:
        started = time.perf_counter()
        answer = self._service[operation](*arguments)
        self.listener.called(operation, about, time.perf_counter() - started)
        return answer


def run_campaign(
    wsdl: str, credentials: tuple[str, str, str], listener: Listener, stop: threading.Event
) -> Outcome | None:
    """Run the demo's campaign to its end and tell how it went; None where `stop` was set before.

    `credentials` are account, user and password. Raises DemoFailed, zeep.exceptions.Error or
    requests.RequestException.
    """
    began = time.perf_counter()
    customer = Customer(wsdl, listener)
    customer.log_in(*credentials)
    campaign = customer.add_campaign()
    names: dict[str, str] = {}
    for person in demo_campaign.PEOPLE:
        if stop.is_set():
            return None
        guid = str(uuid4())
        names[guid] = person.name
        customer.add_contact(campaign, guid, person)
    outcome = _watch(customer, campaign, names, began, stop)
    if outcome is not None:
        customer.log_out()
    return outcome


def _watch(
    customer: Customer, campaign: str, names: dict[str, str], began: float, stop: threading.Event
) -> Outcome | None:
    """Read how the campaign stands, again and again, until nothing moves any more."""
    known: list[Standing] = []
    changed_at = began
    while not stop.wait(_LOOK_EVERY):
        standings = customer.standings(campaign, names)
        now = time.perf_counter()
        if standings != known:
            known, changed_at = standings, now
            customer.listener.stands(standings)
        finished = all(standing.status in FINAL for standing in standings)
        if finished and now - changed_at >= _QUIET_SECONDS:
            return Outcome(campaign, standings, changed_at - began, finished=True, names=names)
        if now - began >= _LONGEST_SECONDS:
            return Outcome(campaign, standings, now - began, finished=False, names=names)
    return None


def _demand(operation: str, code: int) -> None:
    if code:
        title = MethodCode(code).title if code in set(MethodCode) else "unknown"
        raise DemoFailed(f"{operation} answered {code} {title}")
