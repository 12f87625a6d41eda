"""Owns SOAP as quick as a load needs it: connections that are kept, requests put together by hand, answers looked up.

Must not know who asks, nor ask again: a request that was not answered is an OSError or an EOFError.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple, Self

from lxml import etree

from campana.domain.delivery import Medium
from campana.domain.errors import MethodCode
from campana.sandbox.drill_people import destination, guid_of, number_of

HOST: Final = "127.0.0.1"
PATH: Final = "/OutboundNotifications.svc"
ANSWER_SECONDS: Final = 60.0
EMAIL_ATTEMPTS: Final = 100
"""Each uncertain attempt counts: not so few that a contact which every incident hits could run out of them."""

_ENVELOPE: Final = (
    '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><{0} xmlns="http://tempuri.org/" '
    'xmlns:a="http://schemas.datacontract.org/2004/07/OutboundNotifications">{1}</{0}></s:Body></s:Envelope>'
)
_INFOS: Final = {Medium.SMS: "SMSCommInfo", Medium.VOICE: "VoiceCommInfo", Medium.EMAIL: "EmailCommInfo"}
_UNAVAILABLE: Final = b"\r\nx-campana-error: %d " % MethodCode.SERVICE_UNAVAILABLE
_NUMBERS: Final = ("StatusCode", "LastDeliveryErrorCode", "RetryCount")
_MESSAGES: Final = {
    Medium.EMAIL: (
        "<a:OutboundEmailNotificationInfo><a:Enabled>true</a:Enabled><a:FromEmail>news@example.com</a:FromEmail>"
        "<a:HtmlContent>&lt;p&gt;Hello&lt;/p&gt;</a:HtmlContent><a:Subject>Hello</a:Subject>"
        "</a:OutboundEmailNotificationInfo>"
    ),
    Medium.SMS: (
        "<a:OutboundSMSNotificationInfo><a:Enabled>true</a:Enabled><a:FromNumber>Campana</a:FromNumber>"
        "<a:TextToSend>Hello</a:TextToSend></a:OutboundSMSNotificationInfo>"
    ),
    Medium.VOICE: (
        "<a:OutboundVoiceNotificationInfo><a:CallingNumber>+14165550100</a:CallingNumber>"
        "<a:DialMsTimeout>30000</a:DialMsTimeout><a:Enabled>true</a:Enabled>"
        "<a:MaxDeliveryRetries>3</a:MaxDeliveryRetries><a:MaxTextPlays>1</a:MaxTextPlays>"
        "<a:RetryMinutesInterval>0</a:RetryMinutesInterval>"
        "<a:TextToSpeak>The northern bridge is closed.</a:TextToSpeak></a:OutboundVoiceNotificationInfo>"
    ),
}
"""What is sent on each medium, in the order in which the contract wants the elements."""


class NotAnswered(ConnectionError):
    """The server answered something else than the answer, or that it cannot at the moment."""


class Line:
    """One HTTP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> Self:
        """Connect. Raises OSError."""
        return cls(*await asyncio.open_connection(HOST, port))

    def close(self) -> None:
        """Hang up."""
        self._writer.close()

    async def ask(self, operation: str, inner: str, *, last: bool = False, within: float = ANSWER_SECONDS) -> bytes:
        """Call an operation; the body of the answer. Raises OSError or EOFError where there is none `within` seconds.

        After that, and where it is the `last` one, the connection is of no more use.
        """
        body = _ENVELOPE.format(operation, inner).encode()
        head = f"POST {PATH} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: text/xml\r\nContent-Length: {len(body)}\r\n"
        self._writer.write(head.encode() + (b"Connection: close\r\n\r\n" if last else b"\r\n") + body)
        try:
            async with asyncio.timeout(within):
                answer = await self._answer()
        except BaseException:
            self.close()
            raise
        if last:
            self.close()
        return answer

    async def _answer(self) -> bytes:
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        if not head.startswith(b"http/1.1 200") or _UNAVAILABLE in head:
            raise NotAnswered(head.partition(b"\r\n")[0].decode("latin-1"))
        if b"transfer-encoding: chunked" not in head:
            return await self._reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
        parts = []
        while size := int(await self._reader.readuntil(b"\r\n"), 16):
            parts.append(await self._reader.readexactly(size))
            await self._reader.readexactly(2)
        await self._reader.readexactly(2)
        return b"".join(parts)


# --- what is asked -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign as it is added or updated."""

    guid: str
    media: Collection[Medium]
    paused: bool = False
    window: tuple[datetime, datetime] | None = None
    """The day of the first from which on, and the times of day from which to which it sends; none is always."""


def campaign_of(session: str, campaign: Campaign) -> str:
    """What AddCampaign and UpdateCampaign are given."""
    window = ""
    if campaign.window is not None:
        begin, end = (f"{edge:%Y-%m-%dT%H:%M:%S}" for edge in campaign.window)
        window = (
            f"<a:ActiveFromDate>{begin}</a:ActiveFromDate><a:ActiveFromTime>{begin}</a:ActiveFromTime>"
            f"<a:ActiveToTime>{end}</a:ActiveToTime>"
        )
    messages = "".join(text for medium, text in _MESSAGES.items() if medium in campaign.media)
    return (
        f"<sessionId>{session}</sessionId><campaign>{window}<a:ID>{campaign.guid}</a:ID>"
        f"<a:IsPaused>{str(campaign.paused).lower()}</a:IsPaused>{messages}<a:ShortName>Drill</a:ShortName></campaign>"
    )


def contact_of(session: str, campaign: str, number: int, media: Collection[Medium]) -> str:
    """What AddCampaignContact is given: a contact with a destination on each of the media."""
    infos = {}
    for medium in media:
        attempts = f"<a:RetryCount>{EMAIL_ATTEMPTS}</a:RetryCount>" if medium is Medium.EMAIL else ""
        name = _INFOS[medium]
        infos[name] = f"<a:{name}><a:Destination>{destination(medium, number)}</a:Destination>{attempts}</a:{name}>"
    email = infos.pop(_INFOS[Medium.EMAIL], "")
    others = "".join(infos[name] for name in sorted(infos))
    return (
        f"<sessionId>{session}</sessionId><contact><a:CampaignId>{campaign}</a:CampaignId>{email}"
        f"<a:Id>{guid_of(number)}</a:Id>{others}</contact>"
    )


def about_campaign(session: str, campaign: str) -> str:
    """What operations are given that name a campaign."""
    return f"<sessionId>{session}</sessionId><campaignId>{campaign}</campaignId>"


# --- what is answered --------------------------------------------------------------------------------------------


class Standing(NamedTuple):
    """One medium of a contact, as GetCampaignContacts tells it."""

    destination: str
    status: int
    error: int
    left: int


Standings = dict[Medium, dict[int, Standing]]
"""How contacts stand on each medium, by their numbers."""


def text_of(answer: bytes, name: str) -> str:
    """The text of an answer's first element of that name; blank where there is none."""
    node = etree.fromstring(answer).find(f".//{{*}}{name}")
    return "" if node is None else node.text or ""


def standings_of(answer: bytes) -> Standings:
    """What GetCampaignContacts answered: of every contact all media, those without a destination too."""
    told: Standings = {medium: {} for medium in _INFOS}
    for contact in etree.fromstring(answer).iter("{*}OutboundNotificationContactInfo"):
        number = number_of(contact.findtext("{*}Id"))
        for medium, name in _INFOS.items():
            info = contact.find(f"{{*}}{name}")
            if info is not None:
                status, error, left = (int(info.findtext(f"{{*}}{one}") or 0) for one in _NUMBERS)
                told[medium][number] = Standing(info.findtext("{*}Destination") or "", status, error, left)
    return told


def guids_of(answer: bytes) -> list[str]:
    """What GetCampaignContactsListing answered."""
    return [node.text or "" for node in etree.fromstring(answer).iter("{*}guid")]
