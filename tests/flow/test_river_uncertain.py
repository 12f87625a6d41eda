"""What nobody can be sure of goes by the campaign's policy; receipts early, late, lost or in parts find their own."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from river_kit import (
    Line,
    River,
    email_campaign,
    email_route,
    flowing,
    magic,
    phone,
    sms_campaign,
    sms_route,
)

from campana.domain.campaign import Campaign, SmsSettings, UncertainPolicy
from campana.domain.delivery import Medium
from campana.sandbox.mail import MailSimulator
from campana.sandbox.smsc import SmscSimulator

GIVE_UP, RESEND, HOLD = UncertainPolicy.GIVE_UP, UncertainPolicy.RESEND, UncertainPolicy.HOLD


async def ends(river: River, campaign: Campaign, status: int, medium: Medium = Medium.SMS) -> Line:
    """Wait until the only contact has this status; how it stands."""
    await river.until_statuses(campaign, {status: 1}, medium)
    return (await river.lines(campaign, medium))[0]


# policy -> status, code, attempts left, messages that arrived; where the carrier did not take the first one ...
NOT_TAKEN = [(GIVE_UP, (6, 106, 2, 0)), (RESEND, (4, 0, 1, 1)), (HOLD, (5, 107, 2, 0))]
# ... and where it did.
TAKEN = [(GIVE_UP, (6, 106, 2, 1)), (RESEND, (4, 0, 1, 2)), (HOLD, (5, 107, 2, 1))]


@pytest.mark.parametrize(("policy", "expected"), NOT_TAKEN)
async def test_an_sms_connection_cut_in_place_of_the_answer(
    tmp_path: Path, policy: UncertainPolicy, expected: tuple[int, int, int, int]
) -> None:
    async with SmscSimulator() as smsc, flowing(tmp_path, [sms_route(smsc)]) as river:
        campaign = await river.add(sms_campaign(sms_uncertain=policy))
        await river.contact(campaign, magic(96))
        line = await ends(river, campaign, expected[0])
        assert (line.status, line.error, line.left, smsc.accepted) == expected


@pytest.mark.parametrize(("policy", "expected"), TAKEN)
async def test_an_sms_that_was_taken_and_never_answered(
    tmp_path: Path, policy: UncertainPolicy, expected: tuple[int, int, int, int]
) -> None:
    async with SmscSimulator(latency=3_600, receipts=False) as smsc, flowing(tmp_path, [sms_route(smsc)]) as river:
        campaign = await river.add(sms_campaign(sms_uncertain=policy))
        await river.contact(campaign, phone(1))
        await smsc.expect(phone(1), 5)
        smsc.latency, smsc.receipts = 0.0, True
        smsc.disconnect_all()
        line = await ends(river, campaign, expected[0])
        assert (line.status, line.error, line.left, smsc.accepted) == expected


@pytest.mark.parametrize(
    ("local", "policy", "expected"),
    [("disconnect", *row) for row in NOT_TAKEN] + [("lost", *row) for row in TAKEN],
)
async def test_an_email_connection_cut_in_place_of_the_answer(
    tmp_path: Path, local: str, policy: UncertainPolicy, expected: tuple[int, int, int, int]
) -> None:
    async with MailSimulator() as mail, flowing(tmp_path, [email_route(mail)]) as river:
        campaign = await river.add(email_campaign(email_uncertain=policy))
        await river.contact(campaign, email=f"{local}@example.com")
        line = await ends(river, campaign, expected[0], Medium.EMAIL)
        assert (line.status, line.error, line.left, mail.accepted) == expected


async def test_a_whole_window_that_was_cut_off_is_uncertain_and_nothing_else(tmp_path: Path) -> None:
    async with SmscSimulator() as smsc, flowing(tmp_path, [sms_route(smsc, window=30)], flush_size=50) as river:
        campaign = await river.add(sms_campaign())
        smsc.latency = 3_600
        await river.fill(campaign, [phone(number) for number in range(200)])
        await smsc.expect(phone(29), 5)
        smsc.latency = 0.0
        smsc.disconnect_all()
        await river.until_statuses(campaign, {4: 170, 6: 30})
        uncertain = {line.destination for line in await river.lines(campaign) if line.status == 6}
        assert smsc.counts == Counter({phone(number): 1 for number in range(200)})
        assert len(uncertain) == 30


async def test_held_messages_are_claimed_by_nobody(tmp_path: Path) -> None:
    async with SmscSimulator() as smsc, flowing(tmp_path, [sms_route(smsc)]) as river:
        campaign = await river.add(sms_campaign(sms_uncertain=HOLD))
        await river.contact(campaign, magic(96))
        await ends(river, campaign, 5)
        await river.move_clock(365 * 86_400_000, await river.number(campaign))
        await river.contact(campaign, phone(1))
        await smsc.expect(phone(1), 5)
        assert smsc.counts == {phone(1): 1}


# --- receipts ----------------------------------------------------------------------------------------------------


async def test_receipts_that_outrun_the_record_of_their_send(tmp_path: Path) -> None:
    async with SmscSimulator(receipt_delay=0.0) as smsc, flowing(tmp_path, [sms_route(smsc)]) as river:
        campaign = await river.add(sms_campaign())
        early = [magic(93, area) for area in (212, 310, 416, 613)]
        await river.fill(campaign, [phone(number) for number in range(500)] + early)
        await river.until_statuses(campaign, {4: 504})
        assert smsc.accepted == 504


async def test_receipts_find_messages_whose_neighbour_is_never_answered(tmp_path: Path) -> None:
    """The record of a whole flush waits for the one answer that does not come."""
    async with SmscSimulator() as smsc, flowing(tmp_path, [sms_route(smsc, response_timeout=1.0)]) as river:
        campaign = await river.add(sms_campaign())
        await river.fill(campaign, [phone(number) for number in range(50)] + [magic(97)])
        await river.until_statuses(campaign, {4: 50, 6: 1})


@pytest.mark.parametrize(
    ("policy", "status", "code", "arrived"), [(GIVE_UP, 6, 215, 1), (RESEND, 4, 0, 2), (HOLD, 5, 107, 1)]
)
async def test_a_receipt_that_never_comes_and_a_carrier_that_knows_nothing(
    tmp_path: Path, policy: UncertainPolicy, status: int, code: int, arrived: int
) -> None:
    first = await SmscSimulator(receipt_delay=3_600).start()
    async with flowing(tmp_path, [sms_route(first, receipt_timeout=1.0)]) as river:
        campaign = await river.add(sms_campaign(sms_uncertain=policy))
        await river.contact(campaign, phone(1))
        await river.until_statuses(campaign, {3: 1})
        await first.stop()
        async with SmscSimulator(port=first.port) as second:
            line = await ends(river, campaign, status)
            assert line.error == code
            assert first.accepted + second.accepted == arrived


async def test_a_carrier_that_is_asked_says_delivered(tmp_path: Path) -> None:
    async with SmscSimulator() as smsc, flowing(tmp_path, [sms_route(smsc, receipt_timeout=1.0)]) as river:
        campaign = await river.add(sms_campaign())
        await river.contact(campaign, magic(85))
        await river.until_statuses(campaign, {3: 1})
        assert (await ends(river, campaign, 4)).left == 2
        assert smsc.accepted == 1


async def test_a_receipt_after_a_restart(tmp_path: Path) -> None:
    async with SmscSimulator(receipt_delay=1.0) as smsc:
        async with flowing(tmp_path, [sms_route(smsc)]) as river:
            campaign = await river.add(sms_campaign())
            await river.fill(campaign, [phone(number) for number in range(30)])
            await river.until_statuses(campaign, {3: 30})
        async with flowing(tmp_path, [sms_route(smsc)]) as river:
            await river.until_statuses(campaign, {4: 30})
        assert smsc.accepted == 30


# --- messages of several parts, and messages to us ---------------------------------------------------------------

LONG = "All who live in the lower streets leave now by the northern bridge. " * 6


@pytest.mark.parametrize(("long_text", "parts"), [("udh8", 3), ("udh16", 3), ("payload", 1)])
async def test_a_long_text_arrives_whole_and_counts_when_every_part_has(
    tmp_path: Path, long_text: str, parts: int
) -> None:
    async with SmscSimulator() as smsc, flowing(tmp_path, [sms_route(smsc, long_text=long_text)]) as river:
        campaign = await river.add(sms_campaign(sms=SmsSettings(True, "Campana", LONG)))
        await river.fill(campaign, [phone(number) for number in range(60)])
        await river.until_statuses(campaign, {4: 60})
        assert {message.text for message in smsc.messages} == {LONG}
        assert [message.parts for message in smsc.messages] == [parts] * 60
        assert smsc.accepted == 60 * parts


async def test_a_contact_may_have_a_text_of_its_own(tmp_path: Path) -> None:
    async with SmscSimulator() as smsc, flowing(tmp_path, [sms_route(smsc)]) as river:
        campaign = await river.add(sms_campaign())
        await river.contact(campaign, phone(1), text="Žluťoučký kůň, 你好 🎈")
        await river.contact(campaign, phone(2))
        assert (await smsc.expect(phone(1), 5)).text == "Žluťoučký kůň, 你好 🎈"
        assert (await smsc.expect(phone(2), 5)).text == "Hello"
        await river.until_statuses(campaign, {4: 2})


async def test_what_people_answer_is_kept_with_their_contact(tmp_path: Path) -> None:
    async with SmscSimulator() as smsc, flowing(tmp_path, [sms_route(smsc)]) as river:
        campaign = await river.add(sms_campaign())
        await river.contact(campaign, phone(1))
        await river.contact(campaign, phone(2))
        await river.until_statuses(campaign, {4: 2})
        assert await smsc.send_mo(phone(2), "12345", "STOP") == [0]
        assert await smsc.send_mo(phone(3), "12345", LONG) == [0, 0, 0]
        known, unknown = await river.store.receipts.messages()
        lanes = await river.number(campaign)
        assert (known.source, known.destination, known.text, known.route) == (phone(2), "12345", "STOP", "sms")
        assert known.delivery is not None
        assert (known.delivery >> 34, known.delivery & 0xFFFFFFFF) == (lanes, 2)
        assert (unknown.source, unknown.text, unknown.delivery) == (phone(3), LONG, None)
