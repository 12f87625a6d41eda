"""Telling endpoints over WebSockets that we open: messages, receipts, and connections that break."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trustme
from standardwebhooks import Webhook
from websockets.asyncio.server import ServerConnection, serve

from campana.bus.endpoints import Answer, Message, Outcome
from campana.bus.outside import Guard
from campana.bus.websocket import WebSockets
from tests.endpoint_kit import HANG, acknowledging, last_of, names, receiving, receiving_socket

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
EARLIER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
OPEN = Guard(allow_private=True)


def now() -> int:
    return time.time_ns() // 1_000_000


def message(last: int = 2, campaign: str = "c") -> Message:
    body = json.dumps({"data": {"last": last, "events": [{"number": last - 1}, {"number": last}]}})
    return Message(campaign, f"{campaign}.{last - 1}-{last}", last, body, (SECRET, EARLIER))


@asynccontextmanager
async def telling(guard: Guard = OPEN, **options: Any) -> AsyncIterator[WebSockets]:
    sockets = WebSockets(guard, now, **options)
    try:
        yield sockets
    finally:
        await sockets.close()


async def test_messages_go_over_one_connection_and_are_signed_one_by_one() -> None:
    async with receiving_socket() as receiver, telling() as sockets:
        for last in (2, 4, 6):
            assert await sockets.tell(receiver.url, message(last)) == Answer(Outcome.TAKEN)
        assert receiver.numbers == [1, 2, 3, 4, 5, 6]
    assert len(receiver.openings) == 1
    for envelope in receiver.envelopes:
        for secret in (SECRET, EARLIER):
            assert Webhook(secret).verify(envelope["body"], envelope) == json.loads(envelope["body"])
    assert receiver.envelopes[0]["webhook-id"] == "c.1-2"


async def test_the_opening_is_signed_so_that_strangers_can_be_refused() -> None:
    async with receiving_socket() as receiver, telling() as sockets:
        await sockets.tell(receiver.url, message())
    (opening,) = receiver.openings
    Webhook(SECRET).verify("", opening, json_parse=False)
    assert opening["webhook-id"] == "c.opening"


async def test_each_campaign_has_a_connection_of_its_own() -> None:
    async with receiving_socket() as receiver, telling() as sockets:
        for campaign in ("a", "b", "a"):
            await sockets.tell(receiver.url, message(campaign=campaign))
    assert sorted(one["webhook-id"] for one in receiver.openings) == ["a.opening", "b.opening"]


async def test_what_was_not_acknowledged_was_not_taken() -> None:
    answers = iter([None, [], ['{"ack":1}', "so what", '{"ack":"2"}', "[]"], ['{"ack":5}']])

    def next_one(envelope: dict[str, Any]) -> Sequence[str] | None:
        return next(answers)

    async with receiving_socket(next_one) as receiver, telling(patience=0.3) as sockets:
        closed = "The connection was closed before it had acknowledged."
        assert await sockets.tell(receiver.url, message()) == Answer(Outcome.FAILED, closed)
        late = "It did not acknowledge in time."
        assert await sockets.tell(receiver.url, message()) == Answer(Outcome.FAILED, late)
        assert await sockets.tell(receiver.url, message()) == Answer(Outcome.FAILED, late)
        # One that has more than this has this as well.
        assert await sockets.tell(receiver.url, message()) == Answer(Outcome.TAKEN)
    assert len(receiver.openings) == 4


async def test_a_connection_that_the_receiver_closed_is_made_again() -> None:
    closing: list[asyncio.Event] = []

    async def one_each(connection: ServerConnection) -> None:
        said = json.loads(await connection.recv())
        await connection.send(json.dumps({"ack": last_of(said)}))
        await connection.close()
        closing[-1].set()

    async with serve(one_each, "127.0.0.1", 0) as server, telling() as sockets:
        port = next(iter(server.sockets)).getsockname()[1]
        for last in (2, 4):
            closing.append(asyncio.Event())
            assert await sockets.tell(f"ws://127.0.0.1:{port}/", message(last)) == Answer(Outcome.TAKEN)
            await closing[-1].wait()


@pytest.mark.parametrize(("status", "outcome"), [(401, Outcome.FAILED), (503, Outcome.FAILED), (410, Outcome.GONE)])
async def test_an_opening_that_is_refused(status: int, outcome: Outcome) -> None:
    async with receiving_socket(refuses=lambda: status) as receiver, telling() as sockets:
        said = f"It answered with HTTP status {status} instead of a WebSocket."
        assert await sockets.tell(receiver.url, message()) == Answer(outcome, said)
    assert receiver.envelopes == []


async def test_no_redirect_is_followed() -> None:
    async with receiving_socket() as second, telling() as sockets:
        moved = f"location: {second.url}\r\n"
        async with receiving(lambda post: (307, moved)) as first:
            answer = await sockets.tell(first.url(scheme="ws"), message())
    assert answer == Answer(Outcome.FAILED, "No WebSocket could be opened.")
    assert (len(first.posts), second.openings) == (1, [])


async def test_a_receiver_that_says_too_much_at_once_is_left() -> None:
    async with receiving_socket(lambda envelope: ["x" * 10_000]) as receiver, telling() as sockets:
        closed = "The connection was closed before it had acknowledged."
        assert await sockets.tell(receiver.url, message()) == Answer(Outcome.FAILED, closed)


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("127.0.0.1", "A progress endpoint must not be on this machine or in a private network."),
        ("shop.example.com", "Its name leads to this machine or into a private network."),
        ("nowhere.example.com", "Its name does not resolve."),
    ],
)
async def test_no_name_leads_into_a_private_network(host: str, reason: str) -> None:
    guard = Guard(resolve=names(shop=["8.8.8.8", "127.0.0.1"]))
    async with receiving(lambda post: HANG) as receiver, telling(guard) as sockets:
        url = receiver.url(host=host, scheme="ws")
        assert await sockets.tell(url, message()) == Answer(Outcome.FAILED, reason)
        assert receiver.connections == 0


@pytest.mark.parametrize(("certified", "outcome"), [("shop", Outcome.TAKEN), ("other", Outcome.FAILED)])
async def test_wss_is_on_the_name_though_the_address_is_connected_to(certified: str, outcome: Outcome) -> None:
    authority = trustme.CA()
    serving, believing = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert(f"{certified}.example.com").configure_cert(serving)
    authority.configure_trust(believing)

    async def take(connection: ServerConnection) -> None:
        await connection.send(acknowledging(json.loads(await connection.recv()))[0])
        await connection.wait_closed()

    guard = Guard(allow_private=True, resolve=names(shop=["127.0.0.1"]))
    async with serve(take, "127.0.0.1", 0, ssl=serving) as server, telling(guard, tls=believing) as sockets:
        port = next(iter(server.sockets)).getsockname()[1]
        answer = await sockets.tell(f"wss://shop.example.com:{port}/", message())
    assert answer.outcome is outcome
    assert answer.reason in ("", "No secure connection could be made.")
