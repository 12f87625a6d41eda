"""How connections of an SMS route end, what becomes of what was on them, and what can be asked over them."""

from __future__ import annotations

import asyncio

import pytest
from smpp_judge import PHONE, SOURCE, Judge, Running, make, refuse, settings, shares, silence

from campana.channels.contract import Accepted, Content, Health
from campana.channels.errors import Uncertain, Unreachable
from campana.channels.sms import pdu
from campana.domain.delivery import Medium
from campana.domain.outcome import DeliveryCode

FOREVER = 300.0

# --- the end of connections --------------------------------------------------------------------------------------


async def test_an_answer_that_does_not_come_leaves_that_message_uncertain_and_the_others_alone():
    def not_the_third(connection, request):
        if request.destination_addr.endswith(b"2"):
            return None
        return [make("submit_sm_resp", request.sequence, message_id="x")]

    async with Judge(submit_sm=not_the_third) as judge, Running(judge.port, response_timeout=0.3) as running:
        results = await running.send(4)
        assert [type(result) for result in results] == [Accepted, Accepted, Uncertain, Accepted]
        assert [type(result) for result in await running.send(1)] == [Accepted]
        assert len(judge.connections) == 1


async def test_an_answer_that_comes_too_late_is_ignored():
    async with Judge(submit_sm=silence) as judge, Running(judge.port, response_timeout=0.2) as running:
        (result,) = await running.send()
        assert isinstance(result, Uncertain)
        late = judge.of("submit_sm")[0].sequence
        judge.handlers.clear()
        judge.connections[0].writer.write(make("submit_sm_resp", late, message_id="late"))
        assert [type(result) for result in await running.send(1)] == [Accepted]
        assert len(judge.connections) == 1


async def test_a_lost_connection_makes_the_written_uncertain_and_gives_the_rest_back():
    def hang_up_at_the_third(connection, request):
        if len(connection.judge.of("submit_sm")) == 3:
            connection.hang_up()

    async with Judge(submit_sm=hang_up_at_the_third) as judge, Running(judge.port, window=3) as running:
        results = await running.send(8)
        assert [type(result) for result in results] == [Uncertain] * 3 + [Unreachable] * 5
        judge.handlers.clear()
        await judge.saw("bind_transceiver", 2)
        assert [type(result) for result in await running.send(8)] == [Accepted] * 8


async def test_a_lost_connection_leaves_the_other_binds_at_work():
    hasty = {"binds": 2, "window": 2, "reconnect_min": 60, "reconnect_max": 60}
    async with Judge() as judge, Running(judge.port, **hasty) as running:
        await judge.saw("bind_transceiver", 2)
        async with asyncio.timeout(5):
            while 0 in shares(judge):
                await running.send(2)
        first = judge.connections[0]
        judge.handlers["submit_sm"] = lambda who, request: (
            first.hang_up() if who is first else [make("submit_sm_resp", request.sequence, message_id="x")]
        )
        kinds = [type(result) for result in await running.send(20)]
        assert (kinds.count(Uncertain), kinds.count(Accepted)) == (2, 18)
        assert running.route.state.health is Health.UP


async def test_an_idle_connection_is_tested_and_kept_while_it_answers():
    async with Judge() as judge, Running(judge.port, enquire_link=0.05) as running:
        await judge.saw("enquire_link", 3)
        assert running.route.state.health is Health.UP
        assert len(judge.connections) == 1


async def test_a_connection_that_answers_no_test_is_given_up():
    hasty = {"enquire_link": 0.05, "response_timeout": 0.1, "reconnect_min": 60, "reconnect_max": 60}
    async with Judge(enquire_link=silence) as judge, Running(judge.port, **hasty) as running:
        await running.health("up")
        await running.health("down")
        assert running.route.state.reason == "The SMSC stopped answering."


async def test_nothing_is_written_on_a_silent_connection_until_it_is_heard_again():
    hasty = {"response_timeout": 0.2, "reconnect_min": 60, "reconnect_max": 60}
    async with Judge(submit_sm=silence, enquire_link=silence) as judge, Running(judge.port, **hasty) as running:
        first = asyncio.ensure_future(running.send(2))
        await judge.saw("enquire_link")
        assert [type(result) for result in await first] == [Uncertain] * 2
        # The next ones wait for a sign of life, and none comes.
        assert [type(result) for result in await running.send(2)] == [Unreachable] * 2
        assert len(judge.of("submit_sm")) == 2


async def test_a_whole_window_without_answers_is_a_stuck_connection():
    async with Judge(submit_sm=silence) as judge, Running(judge.port, window=2, response_timeout=0.2) as running:
        results = await running.send(6)
        assert [type(result) for result in results] == [Uncertain] * 2 + [Unreachable] * 4
        await judge.saw("bind_transceiver", 2)


async def test_the_smscs_enquire_link_is_answered():
    async with Judge() as judge, Running(judge.port) as running:
        await running.health("up")
        sequence = judge.connections[0].send("enquire_link")
        (answer,) = await judge.saw("enquire_link_resp")
        assert (answer.sequence, answer.status) == (sequence, 0)


async def test_the_smscs_unbind_is_answered_and_we_bind_again():
    async with Judge() as judge, Running(judge.port) as running:
        await running.health("up")
        sequence = judge.connections[0].send("unbind")
        (answer,) = await judge.saw("unbind_resp")
        assert (answer.sequence, answer.status) == (sequence, 0)
        await judge.saw("bind_transceiver", 2)
        assert [type(result) for result in await running.send()] == [Accepted]


async def test_answers_still_count_after_the_smsc_unbound():
    async with Judge(submit_sm=silence) as judge, Running(judge.port) as running:
        sending = asyncio.ensure_future(running.send(1))
        (seen,) = await judge.saw("submit_sm")
        judge.connections[0].send("unbind")
        await judge.saw("unbind_resp")
        judge.connections[0].writer.write(make("submit_sm_resp", seen.sequence, message_id="x"))
        assert await sending == [Accepted(("x",))]


async def test_stopping_waits_for_the_answers_and_unbinds():
    async with Judge(submit_sm=silence) as judge:
        running = Running(judge.port)
        await running.route.start(running.recorder)
        sending = asyncio.ensure_future(running.send(1))
        (seen,) = await judge.saw("submit_sm")
        stopping = asyncio.ensure_future(running.route.stop(FOREVER))
        judge.connections[0].writer.write(make("submit_sm_resp", seen.sequence, message_id="x"))
        async with asyncio.timeout(5):
            await stopping
            assert await sending == [Accepted(("x",))]
        assert len(judge.of("unbind")) == 1
        assert running.route.state.health is Health.DOWN


async def test_stopping_keeps_to_its_budget_and_leaves_the_unanswered_uncertain():
    async with Judge(submit_sm=silence, unbind=silence) as judge:
        running = Running(judge.port, response_timeout=60, window=1)
        await running.route.start(running.recorder)
        sending = asyncio.ensure_future(running.route.send(running.parcels(3), lambda: True))
        await judge.saw("submit_sm")
        async with asyncio.timeout(2):
            await running.route.stop(0.2)
            assert [type(result) for result in await sending] == [Uncertain, Unreachable, Unreachable]


async def test_a_route_that_never_connected_stops_at_once():
    async with Running(1) as running:
        await running.health("down")
        async with asyncio.timeout(1):
            await running.route.stop(FOREVER)


async def test_sequence_numbers_begin_again_after_the_largest():
    async with Judge() as judge, Running(judge.port) as running:
        await running.health("up")
        running.route._binds.sessions[0].link._sequence = pdu.LARGEST_SEQUENCE - 1
        assert [type(result) for result in await running.send(3)] == [Accepted] * 3
        assert [seen.sequence for seen in judge.of("submit_sm")] == [pdu.LARGEST_SEQUENCE, 1, 2]


# --- asking ------------------------------------------------------------------------------------------------------


async def test_a_query_asks_with_the_source_as_it_was_sent():
    def answer(connection, request):
        return [make("query_sm_resp", request.sequence, message_id="0042", message_state=5, error_code=11)]

    async with Judge(query_sm=answer) as judge, Running(judge.port) as running:
        await running.health("up")
        receipt = await running.route.query("0042", SOURCE, PHONE)
        (seen,) = judge.of("query_sm")
        assert (seen.message_id, seen.source_addr_ton, seen.source_addr) == (b"0042", 1, b"14165550000")
        assert (receipt.carrier_ids, receipt.code) == (("0042",), DeliveryCode.SMS_UNDELIVERABLE)
        assert (receipt.carrier_code, receipt.carrier_text) == ("UNDELIV", "err:011")


NO_NEWS = [
    ("refused", refuse(0x67)),
    ("no answer", silence),
    ("fate unknown to it", lambda _, r: [make("query_sm_resp", r.sequence, message_id="1", message_state=7)]),
    ("an answer cut off", lambda _, r: [pdu.pack(pdu.QUERY_SM | pdu.RESPONSE, 0, r.sequence, b"1\0\0")]),
]


@pytest.mark.parametrize("handler", [row[1] for row in NO_NEWS], ids=[row[0] for row in NO_NEWS])
async def test_a_query_without_news_is_none(handler):
    async with Judge(query_sm=handler) as judge, Running(judge.port, response_timeout=0.2) as running:
        await running.health("up")
        assert await running.route.query("0042", SOURCE, PHONE) is None


async def test_a_query_without_a_connection_is_none():
    async with Running(1) as running:
        assert await running.route.query("0042", SOURCE, PHONE) is None


# --- what a person is told ---------------------------------------------------------------------------------------


async def test_a_composer_of_a_route_needs_no_connection():
    async with Running(1) as running:
        compose = running.route.composer(Content(Medium.SMS, SOURCE, "Hello"))
        assert compose(3, 2, PHONE, None).destination == PHONE


async def test_route_changes_are_told():
    async with Judge() as judge, Running(judge.port) as running:
        await running.health("up")
        up = running.route.state.since
        assert up > 0
        judge.connections[0].hang_up()
        await judge.saw("bind_transceiver", 2)
        await running.health("up")
        assert running.recorder.changes == 3
        assert running.route.state.since >= up


def test_settings_do_not_show_their_secret():
    assert "secret" not in repr(settings(2775))
