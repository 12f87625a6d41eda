"""A peer that breaks the protocol costs one connection at most, never the process, and nobody else's messages."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from smpp_judge import Judge, RawPeer, Running, accept_bind, make, read_pdu

from campana.channels.contract import Accepted
from campana.channels.errors import SendError, Uncertain, Unreachable

GARBAGE = [
    ("text of another protocol", b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    ("a length of zero", bytes(16)),
    ("a length below a header", b"\0\0\0\x0f" + bytes(12)),
    ("a length of 4 GB", b"\xff" * 16),
    ("a length a little too large", b"\0\x01\x04\x01" + bytes(12)),
]


@pytest.mark.parametrize("garbage", [row[1] for row in GARBAGE], ids=[row[0] for row in GARBAGE])
async def test_garbage_instead_of_a_bind_answer_ends_that_connection(garbage):
    async def script(reader, writer):
        await read_pdu(reader)
        writer.write(garbage)
        nack = await read_pdu(reader)
        assert (nack.command, nack.status) == ("generic_nack", 0x02)
        assert await reader.read() == b""

    async with RawPeer(script) as peer, Running(peer.port, reconnect_min=60, reconnect_max=60) as running:
        await running.health("down")
        assert "The SMSC sent a PDU whose length cannot be." in running.route.state.reason


@pytest.mark.parametrize("garbage", [row[1] for row in GARBAGE], ids=[row[0] for row in GARBAGE])
async def test_garbage_on_one_bind_leaves_the_other_alone(garbage):
    async with Judge() as judge, Running(judge.port, binds=2, reconnect_min=60, reconnect_max=60) as running:
        await judge.saw("bind_transceiver", 2)
        await running.health("up")
        judge.connections[0].writer.write(garbage)
        (nack,) = await judge.saw("generic_nack")
        assert nack.status == 0x02
        results = await running.send(20)
        assert [type(result) for result in results] == [Accepted] * 20
        assert {who for who, seen in judge.seen if seen.command == "submit_sm"} == {judge.connections[1]}


async def test_half_a_pdu_and_then_nothing_is_found_out_by_the_link_test():
    async def script(reader, writer):
        await accept_bind(reader, writer)
        writer.write(make("enquire_link", 1)[:9])
        while await reader.read(1000):
            pass

    hasty = {"enquire_link": 0.05, "response_timeout": 0.1, "reconnect_min": 60, "reconnect_max": 60}
    async with RawPeer(script) as peer, Running(peer.port, **hasty) as running:
        await running.health("up")
        await running.health("down")
        assert running.route.state.reason == "The SMSC stopped answering."


async def test_answers_that_nobody_waits_for_are_ignored():
    strangers = [
        make("submit_sm_resp", 4711, message_id="x"),
        make("submit_sm_resp", 0, status=0x58),
        make("query_sm_resp", 4711, message_id="x"),
        make("bind_transceiver_resp", 4711, system_id="x"),
        make("unbind_resp", 4711),
        make("deliver_sm_resp", 4711, message_id=""),
        make("generic_nack", 4711, status=3),
        make("enquire_link_resp", 4711),
        b"\0\0\0\x10\x80\0\x77\x77" + bytes(8),
    ]

    async with Judge() as judge, Running(judge.port) as running:
        await running.health("up")
        judge.connections[0].writer.write(b"".join(strangers))
        assert [type(result) for result in await running.send(3)] == [Accepted] * 3
        assert len(judge.connections) == 1
        assert judge.of("generic_nack") == []


async def test_answers_of_another_kind_do_not_settle_a_message():
    def confuse(connection, request):
        return [make("query_sm_resp", request.sequence, message_id="x"), make("enquire_link_resp", request.sequence)]

    async with Judge(submit_sm=confuse) as judge, Running(judge.port, response_timeout=0.2) as running:
        assert [type(result) for result in await running.send(2)] == [Uncertain] * 2


async def test_an_answer_settles_a_message_once():
    def thrice(connection, request):
        return [
            make("submit_sm_resp", request.sequence, message_id="first"),
            make("submit_sm_resp", request.sequence, status=0x0B),
            make("submit_sm_resp", request.sequence, message_id="third"),
        ]

    async with Judge(submit_sm=thrice) as judge, Running(judge.port) as running:
        assert await running.send(5) == [Accepted(("first",))] * 5


async def test_pdus_in_single_octets_are_understood():
    async def script(reader, writer):
        bind = await read_pdu(reader)
        answers = [make("bind_transceiver_resp", bind.sequence, system_id="slow")]
        while True:
            for octet in b"".join(answers):
                writer.write(bytes((octet,)))
                await writer.drain()
            request = await read_pdu(reader)
            fields = {"message_id": "x"} if request.command == "submit_sm" else {}
            answers = [make(f"{request.command}_resp", request.sequence, **fields)]

    async with RawPeer(script) as peer, Running(peer.port) as running:
        assert await running.send(3) == [Accepted(("x",))] * 3


async def test_a_bind_answer_with_a_body_that_cannot_be_read_still_counts():
    async def script(reader, writer):
        bind = await read_pdu(reader)
        writer.write(b"\0\0\0\x13\x80\0\0\x09\0\0\0\0" + bind.sequence.to_bytes(4, "big") + b"abc")
        submit = await read_pdu(reader)
        writer.write(make("submit_sm_resp", submit.sequence, message_id="x"))
        await reader.read()

    async with RawPeer(script) as peer, Running(peer.port) as running:
        assert await running.send() == [Accepted(("x",))]


@hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(min_size=1, max_size=64), min_size=1, max_size=6), st.booleans())
def test_whatever_a_bound_peer_sends_every_parcel_gets_one_result(pieces, framed):
    async def script(reader, writer):
        await accept_bind(reader, writer)
        await read_pdu(reader)
        for piece in pieces:
            writer.write((16 + len(piece)).to_bytes(4, "big") + piece.ljust(12, b"\0") if framed else piece)
            await writer.drain()

    async def scene():
        async with RawPeer(script) as peer, Running(peer.port, response_timeout=0.5) as running:
            results = await running.send(3)
            assert len(results) == 3
            assert all(isinstance(result, (Accepted, SendError)) for result in results)

    asyncio.run(scene())


async def test_a_peer_that_hangs_up_at_once_is_approached_ever_more_slowly():
    times = []
    enough = asyncio.Event()

    async def script(reader, writer):
        times.append(asyncio.get_running_loop().time())
        if len(times) == 6:
            enough.set()
        await accept_bind(reader, writer)

    async with RawPeer(script) as peer, Running(peer.port, reconnect_min=0.01, reconnect_max=60):
        async with asyncio.timeout(5):
            await enough.wait()
        for n, (earlier, later) in enumerate(itertools.pairwise(times)):
            # Jitter takes at most half of a pause.
            assert later - earlier >= 0.01 * 2**n / 2


async def test_sending_while_the_peer_comes_and_goes_settles_everything():
    async def script(reader, writer):
        await accept_bind(reader, writer)
        for _ in range(3):
            request = await read_pdu(reader)
            writer.write(make("submit_sm_resp", request.sequence, message_id="x"))

    async with RawPeer(script) as peer, Running(peer.port, window=5) as running:
        kinds = set()
        for _ in range(6):
            results = await running.send(10)
            assert len(results) == 10
            kinds |= {type(result) for result in results}
        assert kinds <= {Accepted, Uncertain, Unreachable}
        assert Accepted in kinds
