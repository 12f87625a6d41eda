"""Every row of the sandbox's tables, end to end: what arrives, and what Campana finally shows over SOAP."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from secrets import token_hex
from typing import Any, NamedTuple, cast
from uuid import uuid4

import pytest
from river_door import door
from river_kit import MovedClock, River, email_route, flowing, magic, phone, sms_route
from voice_route_kit import Saying

from campana.channels.email.listener import BounceListener
from campana.channels.voice import VoiceRouteSettings
from campana.channels.voice.channel import VoiceRoute
from campana.channels.voice.speech.speech import Speech
from campana.sandbox.magic_mail import MAGIC_ADDRESSES
from campana.sandbox.magic_sms import MAGIC_NUMBERS
from campana.sandbox.magic_voice import FATES, MAGIC_TELEPHONES
from campana.sandbox.mail import MailSimulator
from campana.sandbox.mail_notices import Office
from campana.sandbox.sip import SipSimulator
from campana.sandbox.smsc import SmscSimulator


class Shows(NamedTuple):
    """What becomes of a contact with three attempts."""

    status: int
    error: int
    left: int
    arrived: int
    route: dict[str, Any] | None = None
    """What is set of the route, so that it does not take long."""


SMS = {
    "00-79": Shows(4, 0, 2, 1),
    "80": Shows(6, 210, 2, 1),
    "81": Shows(6, 211, 0, 3),
    "82": Shows(6, 213, 2, 1),
    "83": Shows(6, 212, 2, 1),
    "84": Shows(6, 214, 2, 1),
    "85": Shows(4, 0, 2, 1, {"receipt_timeout": 1}),
    "86": Shows(6, 215, 2, 1, {"receipt_timeout": 1}),
    "87": Shows(4, 0, 2, 1),
    "88": Shows(1, 0, 3, 0),
    "89": Shows(6, 204, 2, 0),
    "90": Shows(4, 0, 1, 1),
    "91": Shows(6, 207, 2, 0),
    "92": Shows(4, 0, 2, 1),
    "93": Shows(4, 0, 2, 1),
    "94": Shows(4, 0, 2, 1),
    "95": Shows(4, 0, 2, 1),
    "96": Shows(6, 106, 2, 0),
    "97": Shows(6, 106, 2, 1, {"response_timeout": 0.5}),
    "98": Shows(4, 0, 2, 1, {"receipt_ids": "hex"}),
    "99": Shows(4, 0, 2, 1),
}

EMAIL = {
    "(any other)": Shows(4, 0, 2, 1),
    "defer-N@": Shows(4, 0, 0, 1),
    "defer@": Shows(6, 404, 0, 0),
    "full@": Shows(6, 405, 0, 0),
    "unknown@": Shows(6, 410, 2, 0),
    "disabled@": Shows(6, 411, 2, 0),
    "nodomain@": Shows(6, 412, 2, 0),
    "policy@": Shows(6, 415, 2, 0),
    "spam@": Shows(6, 414, 2, 0),
    "toolarge@": Shows(6, 416, 2, 0),
    "throttle-N@": Shows(4, 0, 2, 1),
    "421@": Shows(4, 0, 1, 1),
    "slow@": Shows(4, 0, 2, 1),
    "hang@": Shows(6, 106, 0, 3, {"final_timeout": 0.3}),
    "lost@": Shows(4, 0, 1, 2),
    "disconnect@": Shows(4, 0, 1, 1),
    "bounce@": Shows(6, 410, 2, 1),
    "bounce-late@": Shows(6, 419, 2, 1),
    "delayed@": Shows(4, 0, 2, 1),
    "vacation@": Shows(4, 0, 2, 1),
}

VOICE = {
    "": Shows(4, 0, 2, 1),
    "40": Shows(6, 305, 0, 3),
    "41": Shows(4, 0, 1, 2),
    "42": Shows(6, 303, 0, 3),
    "43": Shows(4, 0, 1, 2),
    "44": Shows(6, 304, 0, 3),
    "45": Shows(6, 310, 2, 1),
    "46": Shows(6, 311, 2, 1),
    "47": Shows(4, 0, 2, 1),
    "48": Shows(4, 0, 2, 1),
    "49": Shows(4, 0, 2, 1),
    "50": Shows(6, 301, 0, 3),
    "51": Shows(6, 302, 0, 3),
    "52": Shows(6, 312, 2, 1),
    "53": Shows(4, 0, 2, 1),
    "54": Shows(4, 0, 2, 1),
    "55": Shows(4, 0, 2, 1),
    "56": Shows(6, 301, 0, 3),
    "57": Shows(6, 308, 0, 3),
}
IMPATIENT = {"44", "56"}
"""Called by a campaign that waits for a second."""


def campaign(guid: str) -> dict[str, Any]:
    return {
        "ID": guid,
        "ShortName": "Autumn",
        "OutboundSMSNotificationInfo": {"Enabled": True, "FromNumber": "Campana", "TextToSend": "Hello"},
        "OutboundEmailNotificationInfo": {
            "Enabled": True,
            "FromEmail": "news@example.com",
            "Subject": "Hello",
            "HtmlContent": "<p>Hello</p>",
        },
    }


def test_no_row_was_forgotten() -> None:
    assert set(SMS) == {row.pattern.rpartition(" 01")[2] for row in MAGIC_NUMBERS}
    assert set(VOICE) == {fate.digits for fate in FATES}
    assert len(MAGIC_TELEPHONES) == len(FATES)
    assert set(EMAIL) == {row.pattern for row in MAGIC_ADDRESSES}


async def attempted(river: River) -> bool:
    """Whether anything was handed to the route."""
    return b'campana_attempts_sent_total{medium="sms",route="sms"} ' in river.metrics.render()


@pytest.mark.parametrize("row", SMS)
async def test_a_magic_number_meets_its_fate(tmp_path: Path, row: str) -> None:
    shows, number, guid = SMS[row], magic(int(row[:2])), str(uuid4())
    async with SmscSimulator(receipt_delay=0.02) as smsc:
        async with flowing(tmp_path, [sms_route(smsc, **(shows.route or {}))]) as river, door(river) as soap:
            await soap.open()
            assert await soap.ask("AddCampaign", campaign=campaign(guid)) == 0
            contact = {"CampaignId": guid, "SMSCommInfo": {"Destination": number}}
            assert await soap.ask("AddCampaignContact", contact=contact) == 0
            await river.until(lambda: attempted(river))
            await soap.until(guid, {(shows.status, shows.error): 1})
            (told,) = (await soap.contacts(guid)).values()
            assert told.SMSCommInfo.RetryCount == shows.left
        assert smsc.counts == ({number: shows.arrived} if shows.arrived else {})


@pytest.mark.parametrize("row", EMAIL)
async def test_a_magic_address_meets_its_fate(tmp_path: Path, row: str) -> None:
    shows, guid = EMAIL[row], str(uuid4())
    address = f"{'person@' if row.startswith('(') else row.replace('-N', '-2')}example.com"
    secrets = {"bounce_domain": "bounces.example.com", "verp_secret": "sixteen letters or more"}
    async with MailSimulator(bounce_delay=0.02, slow_delay=0.3) as mail:
        route = email_route(mail, **secrets, **(shows.route or {}))
        async with flowing(tmp_path, [route]) as river, door(river) as soap:
            listener = BounceListener(("127.0.0.1", 0), "lmtp", [route], river.engine.mailroom, river.clock)
            await listener.start()
            mail.bounce_to = Office("127.0.0.1", listener.port)
            await soap.open()
            assert await soap.ask("AddCampaign", campaign=campaign(guid)) == 0
            contact = {"CampaignId": guid, "EmailCommInfo": {"Destination": address}}
            assert await soap.ask("AddCampaignContact", contact=contact) == 0
            await soap.until(guid, {(shows.status, shows.error): 1}, "EmailCommInfo")
            if row in ("delayed@", "vacation@"):
                # A bounce after it comes after its own news.
                other = {"CampaignId": guid, "EmailCommInfo": {"Destination": "bounce@example.com"}}
                assert await soap.ask("AddCampaignContact", contact=other) == 0
                await soap.until(guid, {(shows.status, shows.error): 1, (6, 410): 1}, "EmailCommInfo")
            told = next(iter((await soap.contacts(guid)).values())).EmailCommInfo
            assert (told.StatusCode, told.LastDeliveryErrorCode, told.RetryCount) == shows[:3]
            await listener.stop()
        assert mail.counts[address] == shows.arrived


def calling(guid: str, dial_ms: int) -> dict[str, Any]:
    return {
        "ID": guid,
        "ShortName": f"Autumn, {dial_ms} ms",
        "OutboundVoiceNotificationInfo": {
            "Enabled": True,
            "CallingNumber": "+14165550000",
            "DialMsTimeout": dial_ms,
            "MaxTextPlays": 1,
            "MaxDeliveryRetries": 3,
            "RetryMinutesInterval": 0,
            "TextToSpeak": "Hello",
        },
    }


async def test_magic_telephones_meet_their_fates(tmp_path: Path) -> None:
    """All at once: each call rings, is answered or refused beside the others."""
    numbers = {digits: magic(int(digits)) if digits else phone(1) for digits in VOICE}
    async with SipSimulator(ring=0.05, hang_up_after=0.2, press_after=0.1, greeting=0.2) as network:
        url = f"sip:127.0.0.1:{network.port}"
        settings = VoiceRouteSettings(name="trunk", url=url, calls=len(numbers), rate=50, pause=0.1)
        clock = MovedClock()
        route = VoiceRoute(settings, clock, cast("Speech", Saying(tmp_path / "said")), token_hex(4))
        async with flowing(tmp_path, [], clock=clock, built=[(route, settings)]) as river, door(river) as soap:
            await soap.open()
            called = {str(uuid4()): (8_000, set(VOICE) - IMPATIENT), str(uuid4()): (1_000, IMPATIENT)}
            for guid, (dial_ms, rows) in called.items():
                assert await soap.ask("AddCampaign", campaign=calling(guid, dial_ms)) == 0
                for row in rows:
                    contact = {"CampaignId": guid, "VoiceCommInfo": {"Destination": numbers[row]}}
                    assert await soap.ask("AddCampaignContact", contact=contact) == 0
            for guid, (_, rows) in called.items():
                wanted = Counter((VOICE[row].status, VOICE[row].error) for row in rows)
                await soap.until(guid, wanted, "VoiceCommInfo")
                told = [one.VoiceCommInfo for one in (await soap.contacts(guid)).values()]
                ends = {one.Destination: (one.StatusCode, one.LastDeliveryErrorCode, one.RetryCount) for one in told}
                assert ends == {numbers[row]: VOICE[row][:3] for row in rows}
        assert network.counts == {numbers[row]: shows.arrived for row, shows in VOICE.items()}
        assert list(network.complaints) == []
        assert {call.record.number for call in network.live.values()} <= {numbers["56"]}, "it hears of no end"
