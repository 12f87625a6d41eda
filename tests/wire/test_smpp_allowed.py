"""How an SMS route follows what it is allowed: connections that end without losing anything, and others that begin."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from smpp_judge import SOON, Connection, Judge, Running, make, message_id, shares, silence

from campana.channels.contract import NONE_LEFT, Accepted, Health
from campana.channels.errors import Uncertain, Unreachable

PATIENT = {"reconnect_min": 60, "reconnect_max": 60}


def answer_all(judge: Judge, answered: set[tuple[int, int]]) -> None:
    """Answer the submissions that are not answered yet, first on the latest connection: it is the one that goes."""
    for place, connection in reversed(list(enumerate(judge.connections))):
        for who, seen in judge.seen:
            if who is connection and seen.command == "submit_sm" and (place, seen.sequence) not in answered:
                answered.add((place, seen.sequence))
                connection.writer.write(make("submit_sm_resp", seen.sequence, message_id=message_id(seen)))


def unbinding(judge: Judge) -> list[Connection]:
    """The connections that were said goodbye to."""
    return [who for who, seen in judge.seen if seen.command == "unbind"]


def at_once(running: Running, count: int) -> list[Any]:
    """What `send` answers without waiting for anything."""
    with pytest.raises(StopIteration) as answered:
        running.route.send(running.parcels(count), lambda: True).send(None)
    return answered.value.value


async def test_what_is_in_flight_on_a_connection_too_many_is_answered_and_then_it_is_unbound():
    async with Judge(submit_sm=silence) as judge, Running(judge.port, binds=2, window=5) as running:
        await judge.saw("bind_transceiver", 2)
        first = asyncio.ensure_future(running.send(10))
        await judge.until(lambda: shares(judge) == [5, 5])
        running.route.allow(1)
        second = asyncio.ensure_future(running.send(3))
        answered: set[tuple[int, int]] = set()
        answer_all(judge, answered)
        assert [type(result) for result in await first] == [Accepted] * 10
        await judge.saw("unbind")
        await judge.until(lambda: len(answered) + 3 == len(judge.of("submit_sm")))
        (ended,) = unbinding(judge)
        assert shares(judge) == [5 if connection is ended else 8 for connection in judge.connections]
        answer_all(judge, answered)
        assert [type(result) for result in await second] == [Accepted] * 3
        await judge.until(lambda: judge.open == 1)
        assert (running.route.connections, running.route.state.health) == (1, Health.UP)


async def test_a_connection_that_ends_counts_until_it_has_ended():
    async with Judge(submit_sm=silence, unbind=silence) as judge, Running(judge.port, binds=2, window=1) as running:
        await judge.saw("bind_transceiver", 2)
        sending = asyncio.ensure_future(running.send(2))
        await judge.saw("submit_sm", 2)
        running.route.allow(1)
        assert running.route.connections == 2
        answer_all(judge, set())
        await judge.saw("unbind")
        await sending
        assert running.route.connections == 2
        judge.handlers.clear()
        unbinding(judge)[0].hang_up()
        # What is heard of it is over by the time that another may begin.
        running.route.allow(2)
        await judge.saw("bind_transceiver", 3)
        assert (running.route.connections, judge.most_open) == (2, 2)


async def test_none_begins_while_another_ends_in_its_place():
    async with Judge(submit_sm=silence) as judge, Running(judge.port, binds=2, window=1) as running:
        await judge.saw("bind_transceiver", 2)
        sending = asyncio.ensure_future(running.send(2))
        await judge.saw("submit_sm", 2)
        for most in (0, 2, 1, 2):
            running.route.allow(most)
        answer_all(judge, set())
        assert [type(result) for result in await sending] == [Accepted] * 2
        await judge.saw("bind_transceiver", 4)
        assert (len(unbinding(judge)), judge.most_open) == (2, 2)


async def test_a_receipt_that_comes_meanwhile_is_durable_and_acknowledged_before_the_goodbye():
    async with Judge(submit_sm=silence) as judge, Running(judge.port) as running:
        sending = asyncio.ensure_future(running.send())
        await judge.saw("submit_sm")
        running.recorder.gate.clear()
        running.route.allow(0)
        (connection,) = judge.connections
        text = b"id:7 stat:DELIVRD err:000"
        sequence = connection.send("deliver_sm", esm_class=4, source_addr="1", destination_addr="2", short_message=text)
        answer_all(judge, set())
        await sending
        connection.send("enquire_link")
        await judge.saw("enquire_link_resp")
        assert (judge.of("deliver_sm_resp"), judge.of("unbind")) == ([], [])
        running.recorder.gate.set()
        await judge.saw("unbind")
        commands = [seen.command for _, seen in judge.seen]
        assert commands.index("deliver_sm_resp") < commands.index("unbind")
        assert [(seen.sequence, seen.status) for seen in judge.of("deliver_sm_resp")] == [(sequence, 0)]
        assert [receipt.carrier_ids for receipt in running.recorder.told] == [("7",)]


async def test_a_message_of_several_parts_is_finished_where_it_was_begun():
    refused: list[int] = []

    def slow_down_once(connection, request):
        if len(judge.of("submit_sm")) == 2 and not refused:
            refused.append(request.sequence)
            return [make("submit_sm_resp", request.sequence, status=0x58)]
        return [make("submit_sm_resp", request.sequence, message_id=message_id(request))]

    async with Judge(submit_sm=silence) as judge, Running(judge.port, window=1) as running:
        sending = asyncio.ensure_future(running.route.send(running.parcels(2, "x" * 400), lambda: True))
        (first,) = await judge.saw("submit_sm")
        running.route.allow(0)
        judge.handlers["submit_sm"] = slow_down_once
        judge.connections[0].writer.write(make("submit_sm_resp", first.sequence, message_id="first"))
        async with asyncio.timeout(SOON):
            whole, never = await sending
        assert (len(refused), len(whole.carrier_ids), whole.carrier_ids[0]) == (1, 3, "first")
        assert (type(never), never.carrier_text) == (Unreachable, NONE_LEFT)
        await judge.saw("unbind")
        assert len(judge.of("submit_sm")) == 4


async def test_with_none_left_nothing_waits_and_with_some_again_it_connects_at_once():
    async with Judge(submit_sm=silence) as judge, Running(judge.port, window=1, **PATIENT) as running:
        sending = asyncio.ensure_future(running.send(3))
        await judge.saw("submit_sm")
        running.route.allow(0)
        assert (running.route.state.health, running.route.state.reason) == (Health.CONNECTING, NONE_LEFT)
        assert [(type(one), one.carrier_text) for one in at_once(running, 2)] == [(Unreachable, NONE_LEFT)] * 2
        answer_all(judge, set())
        assert [type(result) for result in await sending] == [Accepted, Unreachable, Unreachable]
        await judge.saw("unbind")
        await judge.until(lambda: judge.open == 0)
        assert await running.route.query("7", "+14165550000", "+14165550123") is None
        judge.handlers.clear()
        running.route.allow(1)
        assert running.route.state.reason != NONE_LEFT
        assert [type(result) for result in await running.send()] == [Accepted]
        assert running.route.state.health is Health.UP


async def test_it_grows_to_what_it_is_allowed_and_never_beyond_its_settings():
    async with Judge() as judge:
        running = Running(judge.port, binds=3)
        running.route.allow(1)
        async with running:
            await running.health("up")
            assert running.route.connections == 1
            running.route.allow(99)
            await judge.saw("bind_transceiver", 3)
            running.route.allow(1)
            await judge.saw("unbind", 2)
            await judge.until(lambda: judge.open == 1)
            assert [type(result) for result in await running.send(4)] == [Accepted] * 4
            assert (judge.most_open, len(judge.connections)) == (3, 3)


async def test_allowed_none_before_its_start_it_connects_only_when_it_may():
    async with Judge() as judge:
        running = Running(judge.port)
        running.route.allow(0)
        assert (running.route.connections, running.route.state.reason) == (0, NONE_LEFT)
        async with running:
            assert [type(one) for one in at_once(running, 1)] == [Unreachable]
            assert (running.route.state.health, running.route.state.reason) == (Health.CONNECTING, NONE_LEFT)
            running.route.allow(1)
            await running.health("up")
            assert len(judge.connections) == 1


async def test_a_pair_counts_as_one_and_goes_as_one():
    async with Judge() as judge, Running(judge.port, binds=2, bind="pair") as running:
        await judge.saw("bind_receiver", 2)
        await judge.saw("bind_transmitter", 2)
        assert running.route.connections == 2
        running.route.allow(1)
        await judge.saw("unbind", 2)
        await judge.until(lambda: judge.open == 2)
        assert sorted(connection.bound for connection in unbinding(judge)) == ["bind_receiver", "bind_transmitter"]
        assert [type(result) for result in await running.send(4)] == [Accepted] * 4
        assert running.route.connections == 1


async def test_the_one_that_is_not_bound_goes_first():
    judge = Judge()
    binds: list[Connection] = []

    def only_the_second(connection, request):
        binds.append(connection)
        status = 0 if len(binds) == 2 else 0x0D
        return [make("bind_transceiver_resp", request.sequence, status=status, system_id="judge")]

    judge.handlers["bind_transceiver"] = only_the_second
    async with judge, Running(judge.port, binds=2, **PATIENT) as running:
        await running.health("up")
        await judge.until(lambda: judge.open == 1)
        running.route.allow(1)
        assert [type(result) for result in await running.send(4)] == [Accepted] * 4
        assert (judge.of("unbind"), running.route.connections) == ([], 1)


async def test_one_that_is_just_being_bound_is_unbound():
    async with Judge(bind_transceiver=silence) as judge, Running(judge.port) as running:
        (bind,) = await judge.saw("bind_transceiver")
        running.route.allow(0)
        assert running.route.connections == 1
        judge.connections[0].writer.write(make("bind_transceiver_resp", bind.sequence, system_id="judge"))
        await judge.saw("unbind")
        await judge.until(lambda: judge.open == 0)
        assert running.route.connections == 0
        assert (running.route.state.health, running.route.state.reason) == (Health.CONNECTING, NONE_LEFT)


async def test_one_that_waits_to_connect_again_waits_no_longer():
    async with Running(1, **PATIENT) as running:
        await running.health("down")
        assert running.route.connections == 0
        running.route.allow(0)
        assert running.route.state.health is Health.CONNECTING
        running.route.allow(1)
        await running.health("down")


async def test_a_connection_lost_while_it_ends_leaves_uncertain_what_it_always_would():
    async with Judge(submit_sm=silence) as judge, Running(judge.port) as running:
        sending = asyncio.ensure_future(running.send())
        await judge.saw("submit_sm")
        running.route.allow(0)
        judge.connections[0].hang_up()
        assert [type(result) for result in await sending] == [Uncertain]
        assert (running.route.connections, running.route.state.reason) == (0, NONE_LEFT)


@pytest.mark.parametrize("answers", [True, False])
async def test_stopping_while_connections_end(answers):
    async with Judge(submit_sm=silence) as judge:
        running = Running(judge.port, binds=2, window=1, response_timeout=60)
        await running.route.start(running.recorder)
        await judge.saw("bind_transceiver", 2)
        sending = asyncio.ensure_future(running.send(2))
        await judge.saw("submit_sm", 2)
        running.route.allow(1)
        stopping = asyncio.ensure_future(running.route.stop(2.2))
        running.route.allow(2)
        if answers:
            answer_all(judge, set())
        async with asyncio.timeout(SOON):
            await stopping
        assert [type(result) for result in await sending] == [Accepted if answers else Uncertain] * 2
        assert (len(judge.of("unbind")), len(judge.connections)) == (2, 2)
        assert (running.route.connections, running.route.state.health) == (0, Health.DOWN)
        running.route.allow(2)
        assert (running.route.connections, running.route.state.health) == (0, Health.DOWN)
