"""Merge fields on their whole way: what a telephone shows, what is spoken in a call, and what lies in an inbox."""

from __future__ import annotations

from pathlib import Path
from secrets import token_hex
from typing import cast

from calls_kit import voice_campaign
from river_kit import MovedClock, River, email_route, flowing, inbox, phone, sms_route
from voice_route_kit import Saying

from campana.channels.voice import VoiceRouteSettings
from campana.channels.voice.channel import VoiceRoute
from campana.channels.voice.speech.speech import Speech
from campana.domain.campaign import Campaign, EmailSettings, SmsSettings
from campana.domain.contact import Communication, Contact
from campana.domain.delivery import Medium
from campana.domain.person import Person
from campana.sandbox.mail import MailSimulator
from campana.sandbox.sip import SipSimulator
from campana.sandbox.smsc import SmscSimulator

ANN = Person("Ann Lee", "A-7", {"Day": "Monday <script>alert(1)</script>"})
HTML = "<p>Dear {{name}}, on {{day|some day}}: {{reference|no number}}.</p>"


async def add(river: River, to: Campaign, person: Person | None, **media: Communication) -> None:
    await river.services.contacts.add(await river.user(), Contact("", to.guid, person=person, **media))


async def test_a_phone_and_an_inbox_show_what_is_each_ones_own(tmp_path: Path) -> None:
    async with SmscSimulator() as smsc, MailSimulator() as mail:
        async with flowing(tmp_path, [sms_route(smsc), email_route(mail)]) as river:
            sms = SmsSettings(True, "+14165550100", "{{name}}: {{day|some day}}, {{!literal}}")
            email = EmailSettings(True, "office@example.com", "{{name}} on {{day|some day}}", HTML)
            campaign = await river.add(Campaign("", "Autumn", sms=sms, email=email))
            await add(river, campaign, ANN, sms=Communication(phone(1)), email=Communication(inbox(1)))
            await add(river, campaign, Person("Bo"), sms=Communication(phone(2)), email=Communication(inbox(2)))
            own = Communication(phone(3), "Own to {{fullname}}")
            await add(river, campaign, Person("Cy"), sms=own, email=Communication(inbox(3), "<b>{{name}}</b>"))
            await river.until_statuses(campaign, {4: 3})
            await river.until_statuses(campaign, {4: 3}, Medium.EMAIL)
        assert {one.destination: one.text for one in smsc.messages} == {
            phone(1): "Ann Lee: Monday <script>alert(1)</script>, {{literal}}",
            phone(2): "Bo: some day, {{literal}}",
            phone(3): "Own to Cy",
        }
        read = {one.recipients[0]: one for one in mail.messages}
        assert [read[inbox(number)].subject for number in (1, 2, 3)] == [
            "Ann Lee on Monday <script>alert(1)</script>",
            "Bo on some day",
            "Cy on some day",
        ]
        escaped = "Monday &lt;script&gt;alert(1)&lt;/script&gt;"
        assert read[inbox(1)].html.strip() == f"<p>Dear Ann Lee, on {escaped}: A-7.</p>"
        assert read[inbox(1)].text.strip() == "Dear Ann Lee, on Monday <script>alert(1)</script>: A-7."
        assert read[inbox(2)].html.strip() == "<p>Dear Bo, on some day: no number.</p>"
        assert (read[inbox(3)].html.strip(), read[inbox(3)].text.strip()) == ("<b>Cy</b>", "Cy")


async def test_what_came_over_soap_is_sent_to_the_letter(tmp_path: Path) -> None:
    async with SmscSimulator() as smsc:
        async with flowing(tmp_path, [sms_route(smsc)]) as river:
            who = await river.user()
            given = Campaign("", "Autumn", sms=SmsSettings(True, "+14165550100", "Hi {{name|you}}"))
            guid = await river.services.campaigns.add(who, given)
            campaign = await river.services.campaigns.get(who, guid)
            await add(river, campaign, None, sms=Communication(phone(1)))
            await add(river, campaign, Person(), sms=Communication(phone(2)))
            await river.until_statuses(campaign, {4: 2})
        assert {one.destination: one.text for one in smsc.messages} == {
            phone(1): "Hi {{name|you}}",
            phone(2): "Hi you",
        }


async def test_a_call_speaks_what_is_each_ones_own(tmp_path: Path) -> None:
    async with SipSimulator(ring=0.02, hang_up_after=0.1) as network:
        settings = VoiceRouteSettings(
            name="trunk", url=f"sip:127.0.0.1:{network.port}", pause=0.1, rate=50, number_format="digits"
        )
        clock, saying = MovedClock(), Saying(tmp_path / "said", 100)
        route = VoiceRoute(settings, clock, cast("Speech", saying), token_hex(4))
        async with flowing(tmp_path, [], clock=clock, built=[(route, settings)]) as river:
            campaign = await river.add(voice_campaign(text="Hello {{name}}, see you on {{day|some day}}."))
            await add(river, campaign, Person("Ann", "", {"day": "Monday"}), voice=Communication(phone(1)))
            await add(river, campaign, Person("Bo"), voice=Communication(phone(2)))
            await river.until_statuses(campaign, {4: 2}, Medium.VOICE)
    assert {text for text, _ in saying.asked} == {
        "Hello Ann, see you on Monday.",
        "Hello Bo, see you on some day.",
    }
