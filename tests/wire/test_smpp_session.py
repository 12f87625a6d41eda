"""Our session against an SMSC that speaks through smpplib: binding, sending, and the answers."""

from __future__ import annotations

import asyncio

import pytest
from smpp_judge import Judge, Running, make, message_id, refuse, shares, silence

from campana.channels.contract import Accepted, Health
from campana.channels.errors import (
    Misconfigured,
    RefusedForGood,
    RefusedForNow,
    Throttled,
    Uncertain,
    Unreachable,
    Withdrawn,
)
from campana.domain.outcome import DeliveryCode

# --- binding -----------------------------------------------------------------------------------------------------


async def test_a_transceiver_binds_with_what_the_url_says():
    async with Judge() as judge, Running(judge.port, system_type="VMA") as running:
        await running.health("up")
        (bind,) = judge.of("bind_transceiver")
        assert (bind.system_id, bind.password, bind.system_type) == (b"campana", b"secret", b"VMA")
        assert bind.interface_version == 0x34
        assert running.route.state.reason == ""


async def test_percent_encoded_credentials_are_decoded():
    async with Judge() as judge:
        url = f"smpp://a%40b:p%2Fw%25@127.0.0.1:{judge.port}"
        async with Running(judge.port, url=url) as running:
            await running.health("up")
            (bind,) = judge.of("bind_transceiver")
            assert (bind.system_id, bind.password) == (b"a@b", b"p/w%")


async def test_a_pair_sends_on_the_transmitter_and_hears_on_the_receiver():
    async with Judge() as judge, Running(judge.port, bind="pair") as running:
        receiver = await judge.receiver()
        results = await running.send()
        assert results == [Accepted((message_id(judge.of("submit_sm")[0]),))]
        sender = next(connection for connection, seen in judge.seen if seen.command == "submit_sm")
        assert (sender.bound, receiver.bound) == ("bind_transmitter", "bind_receiver")
        receiver.send("deliver_sm", source_addr="1", destination_addr="2", short_message=b"hi")
        await running.recorder.until(lambda: len(running.recorder.messages) == 1)


async def test_a_pair_whose_receiver_is_refused_sends_and_says_so():
    async with Judge(bind_receiver=refuse(0x0D)) as judge, Running(judge.port, bind="pair") as running:
        await running.health("up")
        await judge.saw("bind_receiver", 2)
        assert [type(result) for result in await running.send()] == [Accepted]
        assert running.route.state.reason.startswith("No receipts for now: The SMSC refused the bind: ESME_RBINDFAIL")


@pytest.mark.parametrize("status", [0x0D, 0x0E, 0x0F, 0x53], ids=["RBINDFAIL", "RINVPASWD", "RINVSYSID", "RINVSYSTYP"])
async def test_refused_credentials_are_a_misconfigured_route_until_they_are_taken(status):
    async with Judge(bind_transceiver=refuse(status)) as judge, Running(judge.port) as running:
        await running.health("down")
        (result,) = await running.send()
        assert isinstance(result, Misconfigured)
        assert (result.code, result.carrier_code) == (DeliveryCode.SMS_MISCONFIGURED, f"0x{status:08X}")
        assert f"(0x{status:08X})" in running.route.state.reason
        assert "secret" not in running.route.state.reason
        del judge.handlers["bind_transceiver"]
        await running.health("up")
        assert [type(result) for result in await running.send()] == [Accepted]


async def test_an_account_still_bound_is_not_a_misconfigured_route():
    async with Judge(bind_transceiver=refuse(0x05)) as judge, Running(judge.port) as running:
        await running.health("down")
        (result,) = await running.send()
        assert isinstance(result, Unreachable)


async def test_without_a_listener_all_is_unreachable():
    async with Judge() as judge:
        port = judge.port
    async with Running(port) as running:
        await running.health("down")
        results = await running.send(3)
        assert [(type(result), result.code) for result in results] == [(Unreachable, DeliveryCode.SMS_UNREACHABLE)] * 3
        assert running.route.state.reason.startswith(f"Cannot connect to 127.0.0.1:{port}: ")


async def test_sending_waits_a_moment_for_a_connection_that_is_being_made():
    async with Judge() as judge, Running(judge.port) as running:
        assert running.route.state.health is Health.CONNECTING
        assert [type(result) for result in await running.send()] == [Accepted]


async def test_an_smsc_that_does_not_answer_the_bind_is_given_up_and_tried_again():
    async with Judge(bind_transceiver=silence) as judge, Running(judge.port, response_timeout=0.1) as running:
        await judge.saw("bind_transceiver", 2)
        await running.health("down")
        assert "did not answer within 0.1 seconds" in running.route.state.reason


# --- sending -----------------------------------------------------------------------------------------------------


async def test_results_come_in_the_parcels_order_whatever_the_answers_order():
    held = []

    def last_first(connection, request):
        held.append(make("submit_sm_resp", request.sequence, message_id=message_id(request)))
        return list(reversed(held)) if len(held) == 5 else None

    async with Judge(submit_sm=last_first) as judge, Running(judge.port) as running:
        results = await running.send(5)
        assert results == [Accepted((message_id(seen),)) for seen in judge.of("submit_sm")]
        assert [seen.destination_addr for seen in judge.of("submit_sm")] == [b"1416555%04d" % n for n in range(5)]


async def test_without_receipts_accepted_is_final():
    async with Judge() as judge, Running(judge.port, receipts=False) as running:
        assert [result.final for result in await running.send(2)] == [True, True]
        assert {seen.registered_delivery for seen in judge.of("submit_sm")} == {0}


async def test_no_more_are_outstanding_than_the_window_allows():
    async with Judge(submit_sm=silence) as judge, Running(judge.port, window=3) as running:
        sending = asyncio.ensure_future(running.send(7))
        for answered in range(7):
            expected = min(7, 3 + answered)
            seen = await judge.saw("submit_sm", expected)
            # What was written is in one stream: a ping's answer comes after all of it.
            connection = judge.connections[0]
            connection.send("enquire_link")
            await judge.saw("enquire_link_resp", answered + 1)
            assert len(judge.of("submit_sm")) == expected
            connection.writer.write(make("submit_sm_resp", seen[answered].sequence, message_id="x"))
        assert await sending == [Accepted(("x",))] * 7


async def test_several_binds_share_the_parcels():
    async with Judge() as judge, Running(judge.port, binds=3, window=10) as running:
        await judge.saw("bind_transceiver", 3)
        async with asyncio.timeout(5):
            while 0 in shares(judge):
                await running.send(3)
        before = shares(judge)
        assert [type(result) for result in await running.send(90)] == [Accepted] * 90
        gained = [after - earlier for after, earlier in zip(shares(judge), before, strict=True)]
        assert sum(gained) == 90
        assert min(gained) >= 10


STATUSES = [
    (0x58, Throttled, DeliveryCode.SMS_THROTTLED),
    (0x14, Throttled, DeliveryCode.SMS_THROTTLED),
    (0x08, RefusedForNow, DeliveryCode.SMS_TEMPORARY),
    (0x64, RefusedForNow, DeliveryCode.SMS_TEMPORARY),
    (0x0B, RefusedForGood, DeliveryCode.SMS_INVALID_DESTINATION),
    (0x0A, RefusedForGood, DeliveryCode.SMS_INVALID_SOURCE),
    (0x45, RefusedForGood, DeliveryCode.SMS_REFUSED),
    (0x01, RefusedForGood, DeliveryCode.SMS_INVALID_MESSAGE),
    (0x15, Misconfigured, DeliveryCode.SMS_MISCONFIGURED),
    (0x450, RefusedForNow, DeliveryCode.SMS_TEMPORARY),
]


@pytest.mark.parametrize(("status", "kind", "code"), STATUSES, ids=[f"0x{row[0]:X}" for row in STATUSES])
async def test_a_refusal_says_whose_fault_it_is(status, kind, code):
    async with Judge(submit_sm=refuse(status)) as judge, Running(judge.port) as running:
        (result,) = await running.send()
        assert (type(result), result.code, result.carrier_code) == (kind, code, f"0x{status:08X}")


async def test_a_generic_nack_refuses_the_message_that_it_names():
    def nack(connection, request):
        return [make("generic_nack", request.sequence, status=0x02)]

    async with Judge(submit_sm=nack) as judge, Running(judge.port) as running:
        (result,) = await running.send()
        assert (type(result), result.code) == (RefusedForGood, DeliveryCode.SMS_INVALID_MESSAGE)


async def test_what_has_no_permit_is_never_written():
    async with Judge() as judge, Running(judge.port) as running:
        permits = iter([True, False, True, False])
        results = await running.route.send(running.parcels(4), lambda: next(permits))
        assert [type(result) for result in results] == [Accepted, Withdrawn, Accepted, Withdrawn]
        assert [seen.destination_addr[-1:] for seen in judge.of("submit_sm")] == [b"0", b"2"]


async def test_the_permit_is_asked_right_before_each_writing():
    async with Judge(submit_sm=silence) as judge, Running(judge.port, window=1) as running:
        allowed = True
        sending = asyncio.ensure_future(running.route.send(running.parcels(3), lambda: allowed))
        (first,) = await judge.saw("submit_sm")
        allowed = False
        judge.connections[0].writer.write(make("submit_sm_resp", first.sequence, message_id="x"))
        async with asyncio.timeout(5):
            assert [type(result) for result in await sending] == [Accepted, Withdrawn, Withdrawn]


async def test_nothing_to_send_needs_no_connection():
    async with Running(1) as running:
        assert await running.route.send([], lambda: True) == []


async def test_throttling_pauses_the_writing_and_then_goes_on():
    count = 0

    def twice(connection, request):
        nonlocal count
        count += 1
        return (refuse(0x58) if count <= 2 else judge_accepts)(connection, request)

    def judge_accepts(connection, request):
        return [make("submit_sm_resp", request.sequence, message_id="x")]

    async with Judge(submit_sm=twice) as judge, Running(judge.port, window=2) as running:
        results = await running.send(5)
        assert [type(result) for result in results] == [Throttled, Throttled, Accepted, Accepted, Accepted]


async def test_an_smsc_that_only_throttles_gets_a_few_windows_and_no_more():
    async with Judge(submit_sm=refuse(0x58)) as judge, Running(judge.port, window=1) as running:
        async with asyncio.timeout(20):
            results = await running.route.send(running.parcels(50), lambda: True)
        assert {type(result) for result in results} == {Throttled}
        assert len(judge.of("submit_sm")) == 6


# --- messages of several parts -----------------------------------------------------------------------------------

LONG = "x" * 400


async def test_a_long_text_is_accepted_with_every_id():
    async with Judge() as judge, Running(judge.port) as running:
        (result,) = await running.send(1, LONG)
        parts = judge.of("submit_sm")
        assert result == Accepted(tuple(message_id(part) for part in parts))
        assert [part.short_message[4:6] for part in parts] == [b"\x03\x01", b"\x03\x02", b"\x03\x03"]
        assert len({part.short_message[3] for part in parts}) == 1


async def test_a_long_text_passes_a_window_smaller_than_itself():
    async with Judge() as judge, Running(judge.port, window=2) as running:
        results = await running.send(3, LONG)
        assert [len(result.carrier_ids) for result in results] == [3, 3, 3]


async def test_consecutive_long_texts_have_references_of_their_own():
    async with Judge() as judge, Running(judge.port) as running:
        await running.send(4, LONG)
        assert len({part.short_message[3] for part in judge.of("submit_sm")}) == 4


def part_number(request):
    return request.short_message[5]


async def test_a_part_refused_once_is_repeated_when_others_were_taken():
    refused = []

    def second_part_once(connection, request):
        if part_number(request) == 2 and not refused:
            refused.append(request)
            return refuse(0x58)(connection, request)
        return [make("submit_sm_resp", request.sequence, message_id=f"p{part_number(request)}")]

    async with Judge(submit_sm=second_part_once) as judge, Running(judge.port) as running:
        (result,) = await running.send(1, LONG)
        assert result == Accepted(("p1", "p2", "p3"))
        first, second = [part.short_message for part in judge.of("submit_sm") if part_number(part) == 2]
        assert first == second


PARTS = [
    ("one refused for good", {2: 0x0B}, RefusedForGood, DeliveryCode.SMS_INVALID_DESTINATION, 3),
    ("one refused again and again", {2: 0x08}, RefusedForNow, DeliveryCode.SMS_TEMPORARY, 6),
    ("all throttled", {1: 0x58, 2: 0x58, 3: 0x14}, Throttled, DeliveryCode.SMS_THROTTLED, 3),
    ("all refused for now", {1: 0x08, 2: 0x08, 3: 0x08}, RefusedForNow, DeliveryCode.SMS_TEMPORARY, 3),
]


@pytest.mark.parametrize(("statuses", "kind", "code", "written"), [row[1:] for row in PARTS], ids=[r[0] for r in PARTS])
async def test_what_becomes_of_a_message_when_parts_are_refused(statuses, kind, code, written):
    def by_part(connection, request):
        status = statuses.get(part_number(request))
        if status:
            return refuse(status)(connection, request)
        return [make("submit_sm_resp", request.sequence, message_id="x")]

    async with Judge(submit_sm=by_part) as judge, Running(judge.port) as running:
        (result,) = await running.send(1, LONG)
        assert (type(result), result.code) == (kind, code)
        assert len(judge.of("submit_sm")) == written


async def test_a_part_without_an_answer_makes_the_message_uncertain():
    def not_the_second(connection, request):
        if part_number(request) == 2:
            return None
        return [make("submit_sm_resp", request.sequence, message_id="x")]

    async with Judge(submit_sm=not_the_second) as judge, Running(judge.port, response_timeout=0.3) as running:
        (result,) = await running.send(1, LONG)
        assert isinstance(result, Uncertain)
