"""A running Campana with both carriers and a session at its SOAP door: the words in which its life is told.

Whatever arrives that nobody expected can be asked for.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from river_door import Soap, door
from river_kit import River, email_route, flowing, sms_route

from campana.sandbox.mail import MailSimulator
from campana.sandbox.smsc import SmscSimulator


class World:
    """A running Campana with both carriers, and a session at its door."""

    def __init__(self, river: River, soap: Soap, smsc: SmscSimulator, mail: MailSimulator) -> None:
        self.river, self.soap, self.smsc, self.mail = river, soap, smsc, mail

    async def campaign(self, **changes: Any) -> dict[str, Any]:
        """Add a campaign; what was sent."""
        sent = campaign(**changes)
        assert await self.soap.ask("AddCampaign", campaign=sent) == 0, self.soap.reason
        return sent

    async def contact(self, of: dict[str, Any], sms: str = "", email: str = "", **more: Any) -> str:
        """Add a contact to a campaign; its id. `more` is said of both media."""
        sent = contact(of, sms, email, **more)
        assert await self.soap.ask("AddCampaignContact", contact=sent) == 0, self.soap.reason
        return str(sent["Id"])

    async def told(self, of: dict[str, Any], guid: str) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
        """Status, error and attempts left of a contact, on SMS and on email."""
        one = (await self.soap.contacts(of["ID"]))[guid]
        media = (one.SMSCommInfo, one.EmailCommInfo)
        sms, email = ((it.StatusCode, it.LastDeliveryErrorCode, it.RetryCount) for it in media)
        return sms, email

    async def number(self, of: dict[str, Any]) -> int:
        """A campaign's number inside."""
        who = await self.river.user()
        return await self.river.number(await self.river.services.campaigns.get(who, of["ID"]))

    def nothing_unexpected(self) -> bool:
        return not self.smsc.phones.unexpected and not self.mail.boxes.unexpected


def campaign(**changes: Any) -> dict[str, Any]:
    sms = {"Enabled": True, "FromNumber": "Campana", "TextToSend": "The clinic is closed"}
    email = {"Enabled": True, "FromEmail": "news@example.com", "Subject": "News", "HtmlContent": "<p>Closed</p>"}
    about = {
        "ID": str(uuid4()),
        "ShortName": "Autumn",
        "IsPaused": False,
        "OutboundSMSNotificationInfo": sms,
        "OutboundEmailNotificationInfo": email,
    }
    return about | changes


def contact(of: dict[str, Any], sms: str = "", email: str = "", **more: Any) -> dict[str, Any]:
    media = {"SMSCommInfo": {"Destination": sms} | more, "EmailCommInfo": {"Destination": email} | more}
    return {"Id": str(uuid4()), "CampaignId": of["ID"]} | media


def is_nothing(answer: Any) -> bool:
    """Whether an answer is null. (zeep makes an empty list of a null list, of a null object one whose members are.)"""
    return not answer or all(answer[name] is None for name in dir(answer))


@asynccontextmanager
async def a_world(folder: Path, rate: float | None = None, **options: Any) -> AsyncIterator[World]:
    async with SmscSimulator(receipt_delay=0.05) as smsc, MailSimulator() as mail:
        routes = [sms_route(smsc, rate=rate), email_route(mail)]
        async with flowing(folder, routes, **options) as river, door(river) as soap:
            await soap.open()
            yield World(river, soap, smsc, mail)
