"""Every field that the specification has for voice, from a SOAP client to what a telephone shows, hears and lives."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from secrets import token_hex
from typing import Any, cast
from uuid import uuid4

import pytest
from river_door import door
from river_kit import MovedClock, flowing, magic, phone
from voice_route_kit import Saying

from campana.channels.voice import VoiceRouteSettings
from campana.channels.voice.channel import VoiceRoute
from campana.channels.voice.speech.speech import Speech
from campana.sandbox.sip import SipSimulator
from campana.sandbox.sip_phones import EndedBy, PhoneCall

MS = 400
PAUSE = 0.3
NAME = 'Clinic "North" \\ Zürich'
FIELDS: dict[str, Any] = {
    "Enabled": True,
    "CallingName": NAME,
    "CallingNumber": "+41 44 555 01 00",
    "DialMsTimeout": 1_500,
    "MaxDeliveryRetries": 2,
    "MaxTextPlays": 3,
    "RetryMinutesInterval": 0,
    "TTSVoiceName": "Polly.Vicki",
    "TextToSpeak": "The text of all.",
}
OWN = "A text of one's own."
USUAL, OTHERS, BUSY_ONCE, NEVER, IMPATIENT = phone(1), phone(2), magic(43), magic(44), magic(40)


def sound(text: str) -> bytes:
    """What Saying makes of a text."""
    return random.Random(text).randbytes(8 * MS)


def pauses(call: PhoneCall, text: str) -> list[float]:
    """Seconds between the plays of a text that a telephone heard."""
    between = bytes(call.heard).split(sound(text))[1:-1]
    return [len(octets) / 8_000 for octets in between]


async def test_every_field_reaches_the_telephone(tmp_path: Path) -> None:
    async with SipSimulator(ring=0.05, hang_up_after=0.1) as network:
        settings = VoiceRouteSettings(
            name="trunk", url=f"sip:127.0.0.1:{network.port}", pause=PAUSE, rate=50, number_format="digits"
        )
        clock, saying = MovedClock(), Saying(tmp_path / "said", MS)
        route = VoiceRoute(settings, clock, cast("Speech", saying), token_hex(4))
        async with flowing(tmp_path, [], clock=clock, built=[(route, settings)]) as river, door(river) as soap:
            await soap.open()
            guid = str(uuid4())
            campaign = {"ID": guid, "ShortName": "Autumn", "OutboundVoiceNotificationInfo": FIELDS}
            assert await soap.ask("AddCampaign", campaign=campaign) == 0
            for number in (USUAL, OTHERS, BUSY_ONCE, NEVER, IMPATIENT):
                info = {"Destination": number} | ({"TextToSendOverwrite": OWN} if number == OTHERS else {})
                assert await soap.ask("AddCampaignContact", contact={"CampaignId": guid, "VoiceCommInfo": info}) == 0
            await soap.until(guid, {(4, 0): 3, (6, 304): 1, (6, 305): 1}, "VoiceCommInfo")
            told = [one.VoiceCommInfo for one in (await soap.contacts(guid)).values()]
            left = {one.Destination: one.RetryCount for one in told}
        calls = list(network.calls)
        assert list(network.complaints) == []
    assert left == {USUAL: 1, OTHERS: 1, BUSY_ONCE: 0, NEVER: 0, IMPATIENT: 0}
    assert Counter(call.number for call in calls) == {
        number.removeprefix("+"): 2 if number in (BUSY_ONCE, NEVER, IMPATIENT) else 1
        for number in (USUAL, OTHERS, BUSY_ONCE, NEVER, IMPATIENT)
    }
    for call in calls:
        assert (call.caller_name, call.caller) == (NAME, "41445550100"), "the same in every attempt"
        assert [header for header, _ in call.identity] == ["P-Asserted-Identity"]
        assert "<sip:41445550100@127.0.0.1>" in call.identity[0][1]
    assert set(saying.asked) == {("The text of all.", "Polly.Vicki"), (OWN, "Polly.Vicki")}
    lived = {call.number: call for call in calls}
    for number, text in ((USUAL, "The text of all."), (OTHERS, OWN), (BUSY_ONCE, "The text of all.")):
        call = lived[number.removeprefix("+")]
        assert pauses(call, text) == pytest.approx([PAUSE] * 2, abs=0.1), "three plays"
        assert call.ended_by is EndedBy.CALLER
    for call in calls:
        if call.number == NEVER.removeprefix("+"):
            assert call.ended_at is not None
            assert call.ended_at - call.invited_at == pytest.approx(1.5, abs=0.15)
