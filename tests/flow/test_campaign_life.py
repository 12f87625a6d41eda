"""The life of a campaign as a program sees it that uses Campana: zeep on one side, phones and inboxes on the other.

Whatever arrives that nobody expected fails the test.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from river_kit import inbox, magic, phone
from river_world import World, a_world, campaign, contact, is_nothing

from campana.domain.campaign import Sharing
from campana.domain.moment import DAY
from campana.services.campaigns import CampaignOptions
from campana.services.contacts import ContactOptions
from campana.services.house import ServiceOptions

NOBODY = "00000000-0000-4000-8000-00000000dead"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with a_world(tmp_path) as it:
        yield it
        assert it.nothing_unexpected()


# --- the story ---------------------------------------------------------------------------------------------------


async def test_from_the_first_session_to_the_last(world: World) -> None:
    soap, smsc, mail = world.soap, world.smsc, world.mail
    assert await soap.ask_list("GetCampaignListing") == []
    sent = await world.campaign(IsPaused=True)
    guid = sent["ID"]

    # Added and paused: to be seen everywhere, and nothing leaves.
    assert await soap.ask("GetCampaignListing") == [guid]
    (listed,) = await soap.ask("GetCampaigns")
    got = await soap.ask("GetCampaign", campaignId=guid)
    assert listed.ID == got.ID == guid
    assert (got.ShortName, got.IsPaused) == ("Autumn", True)
    assert got.OutboundSMSNotificationInfo.TextToSend == "The clinic is closed"
    age = datetime.now(UTC).replace(tzinfo=None) - got.CreationDateUtc.replace(tzinfo=None)
    assert abs(age.total_seconds()) < 60
    both = await world.contact(sent, phone(1), inbox(1))
    ours = await world.contact(sent, phone(2), RetryCount=7, StatusCode=4, LastDeliveryErrorCode=77)
    nobody = await world.contact(sent)
    assert set(await soap.ask("GetCampaignContactsListing", campaignId=guid)) == {both, ours, nobody}
    assert await world.told(sent, both) == ((1, 0, 3), (1, 0, 3))
    assert await world.told(sent, ours) == ((1, 0, 7), (0, 0, 0))
    assert await world.told(sent, nobody) == ((0, 0, 0), (0, 0, 0))
    assert smsc.accepted == mail.accepted == 0

    # Resumed: everybody gets theirs, once.
    assert await soap.ask("UpdateCampaign", campaign=sent | {"IsPaused": False}) == 0
    assert (await smsc.expect(phone(1), 5)).text == "The clinic is closed"
    assert (await smsc.expect(phone(2), 5)).source == "Campana"
    letter = await mail.expect(inbox(1), 5)
    assert (letter.subject, letter.html.strip(), letter.text.strip()) == ("News", "<p>Closed</p>", "Closed")
    await soap.until(guid, {(4, 0): 2, (0, 0): 1})
    await soap.until(guid, {(4, 0): 1, (0, 0): 2}, "EmailCommInfo")
    assert await world.told(sent, both) == ((4, 0, 2), (4, 0, 2))
    assert await world.told(sent, ours) == ((4, 0, 6), (0, 0, 0))

    # Other words: for those who come now, not for those who have theirs.
    words = sent["OutboundSMSNotificationInfo"] | {"TextToSend": "It is open again"}
    changed = sent | {"IsPaused": False, "OutboundSMSNotificationInfo": words}
    assert await soap.ask("UpdateCampaign", campaign=changed) == 0
    late = await world.contact(changed, phone(3))
    assert (await smsc.expect(phone(3), 5)).text == "It is open again"
    await soap.until(guid, {(4, 0): 3, (0, 0): 1})

    # A contact changed: another number starts again, the same one in another spelling does not.
    other = contact(changed, phone(4), TextToSendOverwrite="For you alone") | {"Id": late}
    assert await soap.ask("UpdateCampaignContact", contact=other) == 0
    assert (await smsc.expect(phone(4), 5)).text == "For you alone"
    await soap.until(guid, {(4, 0): 3, (0, 0): 1})
    spelled = contact(changed, f"{phone(4)[:2]} ({phone(4)[2:5]}) {phone(4)[5:]}") | {"Id": late}
    assert await soap.ask("UpdateCampaignContact", contact=spelled) == 0
    assert await world.told(changed, late) == ((4, 0, 2), (0, 0, 0))

    # Paused, a contact comes and goes; resumed, it has left nothing behind.
    assert await soap.ask("UpdateCampaign", campaign=changed | {"IsPaused": True}) == 0
    leaves = await world.contact(changed, phone(5), inbox(5))
    stays = await world.contact(changed, phone(6))
    assert await soap.ask("DeleteCampaignContact", campaignId=guid, contactId=leaves) == 0
    assert leaves not in await soap.contacts(guid)
    assert await soap.ask("UpdateCampaign", campaign=changed) == 0
    await smsc.expect(phone(6), 5)
    await soap.until(guid, {(4, 0): 4, (0, 0): 1})
    assert await world.told(changed, stays) == ((4, 0, 2), (0, 0, 0))

    # Deleted: gone from every answer.
    assert await soap.ask("DeleteCampaign", campaignId=guid) == 0
    assert await soap.ask_list("GetCampaignListing") == []
    assert await soap.ask_list("GetCampaigns") == []
    for operation in ("GetCampaign", "GetCampaignContacts", "GetCampaignContactsListing"):
        assert is_nothing(await soap.ask(operation, campaignId=guid))
        assert soap.reason.startswith("10 CampaignNotFound")
    closed = await soap.call("CloseAPISession", sessionId=soap.session)
    assert closed.ErrorCode == 0
    assert await soap.ask_list("GetCampaignListing") is None
    assert soap.reason.startswith("1 InvalidSession")
    assert smsc.counts == {phone(number): 1 for number in (1, 2, 3, 4, 6)}
    assert mail.counts == {inbox(1): 1}


# --- statuses and attempts ---------------------------------------------------------------------------------------


async def test_every_status_can_be_seen(tmp_path: Path) -> None:
    """But 7: what it is told of is gone from every answer; the records say so."""
    async with a_world(tmp_path, retry_delays=(60_000,)) as world:
        soap, smsc = world.soap, world.smsc
        sent, paused = await world.campaign(), await world.campaign(IsPaused=True)
        await world.contact(sent)
        for number in (magic(80), phone(1), magic(90)):
            await world.contact(sent, number)
        await soap.until(sent["ID"], {(0, 0): 1, (6, 210): 1, (4, 0): 1, (5, 203): 1})
        smsc.receipt_delay = 3_600
        await world.contact(sent, phone(2))
        await smsc.expect(phone(2), 5)
        await soap.until(sent["ID"], {(0, 0): 1, (6, 210): 1, (4, 0): 1, (5, 203): 1, (3, 0): 1})
        smsc.latency = 3_600
        await world.contact(sent, phone(3))
        await smsc.expect(phone(3), 5)
        await soap.until(sent["ID"], {(0, 0): 1, (6, 210): 1, (4, 0): 1, (5, 203): 1, (3, 0): 1, (2, 0): 1})
        await world.contact(paused, phone(4))
        await soap.until(paused["ID"], {(1, 0): 1})

        number = await world.number(sent)
        assert await soap.ask("DeleteCampaign", campaignId=sent["ID"]) == 0
        smsc.latency = 0.0
        smsc.disconnect_all()

        async def ended() -> bool:
            pages = world.river.store.contacts.pages(number, sent["ID"])
            statuses = [line[3] async for page in pages for line in page]
            return statuses == [0, 6, 4, 7, 3, 6]

        await world.river.until(ended)


async def test_a_retry_waits_its_time(tmp_path: Path) -> None:
    async with a_world(tmp_path, retry_delays=(60_000, 300_000)) as world:
        river, soap, smsc = world.river, world.soap, world.smsc
        sent = await world.campaign(OutboundEmailNotificationInfo=None)
        guid = await world.contact(sent, magic(81))
        number = await world.number(sent)
        for wait, left in ((60_000, 2), (300_000, 1)):
            await smsc.expect(magic(81), 5)
            await soap.until(sent["ID"], {(5, 211): 1})
            assert (await world.told(sent, guid))[0] == (5, 211, left)
            await river.move_clock(wait - 30_000, number)
            await soap.until(sent["ID"], {(5, 211): 1})
            assert not smsc.phones.unexpected, "not before its time"
            await river.move_clock(30_000, number)
        await smsc.expect(magic(81), 5)
        await soap.until(sent["ID"], {(6, 211): 1})
        assert (await world.told(sent, guid))[0] == (6, 211, 0)
        assert not smsc.phones.unexpected


@pytest.mark.parametrize("attempts", [1, 2, 5])
async def test_as_many_attempts_as_the_contact_says(world: World, attempts: int) -> None:
    sent = await world.campaign()
    guid = await world.contact(sent, magic(81), RetryCount=attempts)
    for _ in range(attempts):
        await world.smsc.expect(magic(81), 5)
    await world.soap.until(sent["ID"], {(6, 211): 1})
    assert (await world.told(sent, guid))[0] == (6, 211, 0)


async def test_attempts_given_while_it_waits_replace_those_left(tmp_path: Path) -> None:
    async with a_world(tmp_path, retry_delays=(60_000,)) as world:
        soap = world.soap
        sent = await world.campaign(OutboundEmailNotificationInfo=None)
        guid = await world.contact(sent, magic(81), RetryCount=2)
        await soap.until(sent["ID"], {(5, 211): 1})
        more = contact(sent, magic(81), RetryCount=9) | {"Id": guid}
        assert await soap.ask("UpdateCampaignContact", contact=more) == 0
        assert (await world.told(sent, guid))[0] == (5, 211, 9)


# --- what is refused ---------------------------------------------------------------------------------------------


async def test_what_is_refused_and_why(world: World) -> None:
    soap = world.soap
    sent = await world.campaign(IsPaused=True)
    guid = await world.contact(sent, phone(1))
    yesterday = datetime.now(UTC).replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0)
    ended = await world.campaign(ActiveToDate=datetime.fromtimestamp(yesterday.timestamp() - DAY / 1_000, UTC))
    refused = [
        (10, "UpdateCampaign", {"campaign": campaign()}),
        (10, "DeleteCampaign", {"campaignId": NOBODY}),
        (10, "AddCampaignContact", {"contact": contact(campaign(), phone(1))}),
        (10, "UpdateCampaignContact", {"contact": contact(campaign(), phone(1))}),
        (10, "DeleteCampaignContact", {"campaignId": NOBODY, "contactId": guid}),
        (11, "AddCampaign", {"campaign": sent}),
        (12, "AddCampaign", {"campaign": campaign(ShortName="")}),
        (
            12,
            "AddCampaign",
            {"campaign": {"ID": str(uuid4()), "ShortName": "Nothing to say"}},
        ),
        (12, "UpdateCampaign", {"campaign": sent | {"ShortName": " "}}),
        (13, "AddCampaignContact", {"contact": contact(ended, phone(1))}),
        (20, "UpdateCampaignContact", {"contact": contact(sent, phone(1))}),
        (20, "DeleteCampaignContact", {"campaignId": sent["ID"], "contactId": NOBODY}),
        (21, "AddCampaignContact", {"contact": contact(sent, phone(1)) | {"Id": guid}}),
        (22, "AddCampaignContact", {"contact": contact(sent, "no number")}),
        (22, "AddCampaignContact", {"contact": contact(sent, "", "no address")}),
        (22, "AddCampaignContact", {"contact": contact(sent, phone(1), RetryCount=256)}),
        (22, "UpdateCampaignContact", {"contact": contact(sent, "no number") | {"Id": guid}}),
    ]
    for code, operation, arguments in refused:
        assert await soap.ask(operation, **arguments) == code, (operation, soap.reason)
        assert soap.reason.startswith(f"{code} ")
    assert set(await soap.contacts(sent["ID"])) == {guid}
    assert sorted(await soap.ask("GetCampaignListing")) == [sent["ID"]]
    assert world.smsc.accepted == 0


async def test_what_is_in_progress_keeps_its_destination(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        world.smsc.receipt_delay = 3_600
        sent = await world.campaign()
        guid = await world.contact(sent, phone(1))
        await world.soap.until(sent["ID"], {(3, 0): 1})
        other = contact(sent, phone(2)) | {"Id": guid}
        assert await world.soap.ask("UpdateCampaignContact", contact=other) == 23
        assert "SMSCommInfo.Destination" in world.soap.reason


async def test_an_account_has_limits(tmp_path: Path) -> None:
    limits = ServiceOptions(campaigns=CampaignOptions(most_per_account=2), contacts=ContactOptions(most_per_campaign=1))
    async with a_world(tmp_path, services=limits) as world:
        first = await world.campaign(IsPaused=True)
        await world.campaign(IsPaused=True)
        assert await world.soap.ask("AddCampaign", campaign=campaign()) == 30
        await world.contact(first, phone(1))
        assert await world.soap.ask("AddCampaignContact", contact=contact(first, phone(2))) == 30


# --- agents ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("marked", [True, False], ids=["marked as made for one", "by the role"])
async def test_what_binds_agents(world: World, marked: bool) -> None:
    soap = world.soap
    closed = await world.campaign(IsPaused=True)
    demanding = await world.campaign(
        IsPaused=True, AllowAddingContactsFromExternalApps=True, SmsNotificationRequired=True
    )
    open_ = await world.campaign(AllowAddingContactsFromExternalApps=True)
    if not marked:
        for of in (closed, demanding, open_):
            await share(world, of)
        await soap.open("joe")
    tries = [
        (24, contact(closed, phone(1), inbox(1))),
        (25, contact(demanding, "", inbox(2))),
        (0, contact(demanding, phone(3))),
        (0, contact(open_, "", inbox(4))),
    ]
    if marked:
        with soap.as_agent():
            for code, one in tries:
                assert await soap.ask("AddCampaignContact", contact=one) == code, soap.reason
        assert await soap.ask("AddCampaignContact", contact=contact(demanding, "", inbox(2))) == 0, "others are free"
    else:
        for code, one in tries:
            assert await soap.ask("AddCampaignContact", contact=one) == code, soap.reason
        assert await soap.ask("DeleteCampaign", campaignId=open_["ID"]) == 3
    await world.mail.expect(inbox(4), 5)


async def share(world: World, of: dict[str, Any]) -> None:
    """SOAP has no field to share a campaign: have it done as the console would."""
    who = await world.river.user()
    kept = await world.river.services.campaigns.get(who, of["ID"])
    await world.river.services.campaigns.update(who, replace(kept, sharing=Sharing.ALL), whole=True)


# --- windows -----------------------------------------------------------------------------------------------------


def day(world: World, ahead: int) -> datetime:
    """The day so many days from today, as a client writes it."""
    moment = datetime.fromtimestamp(world.river.clock() / 1_000, UTC)
    return datetime.fromtimestamp(moment.timestamp() + ahead * DAY / 1_000, UTC).replace(
        tzinfo=None, hour=0, minute=0, second=0, microsecond=0
    )


async def test_before_its_first_day_nothing_leaves_and_on_its_last_everything_may(world: World) -> None:
    soap, river = world.soap, world.river
    sent = await world.campaign(ActiveFromDate=day(world, 1), ActiveToDate=day(world, 1))
    await world.contact(sent, phone(1), inbox(1))
    other = await world.campaign()
    await world.contact(other, phone(2), inbox(2))
    await world.smsc.expect(phone(2), 5)
    await world.mail.expect(inbox(2), 5)
    assert set(await soap.ask("GetCampaignListing")) == {sent["ID"], other["ID"]}
    assert world.nothing_unexpected()

    number = await world.number(sent)
    await river.move_clock(DAY, number)
    # The session has expired with the day.
    await soap.open()
    await world.smsc.expect(phone(1), 5)
    await world.mail.expect(inbox(1), 5)
    await soap.until(sent["ID"], {(4, 0): 1})

    await river.move_clock(DAY, number)
    await soap.open()
    assert await soap.ask("GetCampaignListing") == [other["ID"]], "it has ended"
    assert sent["ID"] == (await soap.ask("GetCampaign", campaignId=sent["ID"])).ID
    assert await soap.ask("AddCampaignContact", contact=contact(sent, phone(3))) == 13


async def test_what_was_not_sent_when_the_campaign_ends_is_never_sent(world: World) -> None:
    soap, river = world.soap, world.river
    sent = await world.campaign(IsPaused=True, ActiveToDate=day(world, 0))
    guid = await world.contact(sent, phone(1))
    number = await world.number(sent)
    await river.move_clock(DAY, number)
    await soap.open()
    assert await soap.ask("UpdateCampaign", campaign=sent | {"IsPaused": False}) == 0
    other = await world.campaign()
    await world.contact(other, phone(2))
    await world.smsc.expect(phone(2), 5)
    assert (await world.told(sent, guid))[0] == (1, 0, 3)
