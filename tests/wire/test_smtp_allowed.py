"""How an email route follows what it is allowed: connections that end after their message, and others that begin."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest
from smtp_kit import (
    BYE,
    ENVELOPE_OK,
    GOODBYE,
    OPEN_PIPELINED,
    OPEN_PLAIN,
    QUIT,
    TAKEN,
    Ears,
    HangUp,
    Hear,
    Reached,
    Say,
    Script,
    Wait,
    body,
    describe,
    envelope,
    mail,
    parcel,
    rcpt,
    running,
    scripted,
    send,
    settings,
)

from campana.channels.contract import NONE_LEFT, Health
from campana.channels.email import EmailRoute

ACCEPTED = "Accepted 250 2.0.0"
UNREACHABLE = "Unreachable EMAIL_UNREACHABLE"


def one_by_one(number: int = 1) -> Script:
    """An envelope without pipelining, up to where the message may come."""
    mail_answer, rcpt_answer = Say(b"250 2.1.0 Ok\r\n"), Say(b"250 2.1.5 Ok\r\n")
    envelope_taken = (Hear(mail(number)), mail_answer, Hear(rcpt(number)), rcpt_answer)
    return (*envelope_taken, Hear(b"DATA\r\n"), Say(b"354 Go ahead\r\n"))


def at_once(route: EmailRoute, number: int) -> list[str]:
    """What `send` answers without waiting for anything but its own future."""
    with pytest.raises(StopIteration) as answered:
        route.send([parcel(number)], lambda: True).send(None)
    return [describe(result) for result in answered.value.value]


async def within_limits(waiting: Awaitable[object]) -> None:
    async with asyncio.timeout(5):
        await waiting


async def until_is(route: EmailRoute, ears: Ears, health: Health) -> None:
    """Wait until the route's health is so."""
    async with asyncio.timeout(5):
        while route.state.health is not health:
            ears.changed.clear()
            await ears.changed.wait()


async def test_a_busy_connection_ends_after_its_message() -> None:
    there, taken = asyncio.Event(), asyncio.Event()
    script = (*OPEN_PLAIN, *one_by_one(), Hear(body()), Reached(there), Wait(taken), Say(TAKEN), *GOODBYE)
    async with scripted(script) as server, running(server.port) as route:
        sending = asyncio.create_task(send(route, parcel(1), parcel(2), parcel(3)))
        await within_limits(there.wait())
        route.allow(0)
        assert (route.connections, route.state.health, route.state.reason) == (1, Health.CONNECTING, NONE_LEFT)
        assert at_once(route, 4) == [UNREACHABLE]
        taken.set()
        assert await sending == [ACCEPTED, UNREACHABLE, UNREACHABLE]
        await server.until_finished(1)
        assert route.connections == 0


async def test_an_envelope_that_is_out_already_gets_its_message() -> None:
    there, taken = asyncio.Event(), asyncio.Event()
    script = (
        *OPEN_PIPELINED,
        Hear(envelope(1)),
        Say(ENVELOPE_OK),
        Hear(body(1) + envelope(2)),
        Reached(there),
        Wait(taken),
        Say(TAKEN + ENVELOPE_OK),
        Hear(body(2)),
        Say(TAKEN),
        *GOODBYE,
    )
    async with scripted(script) as server, running(server.port) as route:
        sending = asyncio.create_task(send(route, parcel(1), parcel(2), parcel(3)))
        await within_limits(there.wait())
        route.allow(0)
        taken.set()
        assert await sending == [ACCEPTED, ACCEPTED, UNREACHABLE]
        await server.until_finished(1)


async def test_an_idle_connection_ends_at_once_and_another_is_opened_as_soon_as_it_may_be() -> None:
    ears, again = Ears(), (*OPEN_PLAIN, *one_by_one(), Hear(body()), Say(TAKEN), *GOODBYE)
    async with scripted((*OPEN_PLAIN, *GOODBYE), again) as server, running(server.port, ears) as route:
        await until_is(route, ears, Health.UP)
        route.allow(0)
        assert (route.state.health, route.state.reason) == (Health.CONNECTING, NONE_LEFT)
        await server.until_finished(1)
        assert at_once(route, 1) == [UNREACHABLE]
        route.allow(1)
        assert route.state.reason != NONE_LEFT
        await until_is(route, ears, Health.UP)
        assert await send(route, parcel(1)) == [ACCEPTED]


async def test_another_is_not_opened_before_the_one_that_ends_has_ended() -> None:
    ears, there, gone = Ears(), asyncio.Event(), asyncio.Event()
    first = (*OPEN_PLAIN, Hear(QUIT), Reached(there), Wait(gone), Say(BYE))
    async with scripted(first, (*OPEN_PLAIN, *GOODBYE)) as server, running(server.port, ears) as route:
        await until_is(route, ears, Health.UP)
        route.allow(0)
        route.allow(1)
        await within_limits(there.wait())
        assert (route.connections, server.connections, route.state.health) == (1, 1, Health.CONNECTING)
        gone.set()
        await until_is(route, ears, Health.UP)
        assert (route.connections, server.connections) == (1, 2)


async def test_of_an_idle_and_a_busy_one_the_idle_one_ends() -> None:
    there, taken = asyncio.Event(), asyncio.Event()
    busy = (*OPEN_PLAIN, *one_by_one(), Hear(body()), Reached(there), Wait(taken), Say(TAKEN), *GOODBYE)
    idle = (*OPEN_PLAIN, Hear(mail(2)), Say(b"550 5.1.1 No\r\n"), *GOODBYE)
    async with scripted(busy, idle) as server, running(server.port, connections=2) as route:
        sending = asyncio.create_task(send(route, parcel(1)))
        await within_limits(there.wait())
        assert await send(route, parcel(2)) == ["RefusedForGood EMAIL_MAILBOX_UNKNOWN 550 5.1.1"]
        route.allow(1)
        await server.until_finished(1)
        assert route.connections == 1
        taken.set()
        assert await sending == [ACCEPTED]


async def test_a_connection_that_is_being_opened_is_given_up() -> None:
    ears, there = Ears(), asyncio.Event()
    async with scripted((Reached(there),), (*OPEN_PLAIN, *GOODBYE)) as server, running(server.port, ears) as route:
        sending = asyncio.create_task(send(route, parcel(1)))
        await within_limits(there.wait())
        assert route.connections == 1
        route.allow(0)
        route.allow(1)
        assert route.connections == 1
        assert await sending == [UNREACHABLE]
        await until_is(route, ears, Health.UP)
        assert (route.connections, server.finished, server.connections) == (1, 1, 2)


async def test_a_route_that_is_down_and_allowed_none_tries_no_more_until_it_may() -> None:
    ears = Ears()
    refused = (Say(b"554 5.3.2 Not now\r\n"),)
    async with scripted(refused, (*OPEN_PLAIN, *GOODBYE)) as server, running(server.port, ears) as route:
        await until_is(route, ears, Health.DOWN)
        route.allow(0)
        assert (route.state.health, route.state.reason, route.connections) == (Health.CONNECTING, NONE_LEFT, 0)
        route.allow(1)
        assert route.connections == 1
        await until_is(route, ears, Health.UP)
        assert server.connections == 2


async def test_connections_lost_while_they_end_do_not_say_that_the_route_is_down() -> None:
    lost, there = asyncio.Event(), [asyncio.Event(), asyncio.Event()]
    scripts = [(*OPEN_PLAIN, Hear(b"MAIL"), Reached(one), Wait(lost), HangUp()) for one in there]
    async with scripted(*scripts) as server, running(server.port, connections=2) as route:
        sending = asyncio.create_task(send(route, parcel(1), parcel(2)))
        await within_limits(asyncio.gather(*(one.wait() for one in there)))
        route.allow(0)
        lost.set()
        assert await sending == [UNREACHABLE] * 2
        assert (route.state.health, route.state.reason, route.connections) == (Health.CONNECTING, NONE_LEFT, 0)


async def test_allowed_none_before_its_start_it_connects_only_when_it_may() -> None:
    ears = Ears()
    both = [step for number in (1, 2) for step in (*one_by_one(number), Hear(body(number)), Say(TAKEN))]
    async with scripted((*OPEN_PLAIN, *both, *GOODBYE)) as server:
        route = EmailRoute(settings(server.port), lambda: 0)
        route.allow(0)
        assert (route.connections, route.state.reason) == (0, NONE_LEFT)
        await route.start(ears)
        assert at_once(route, 1) == [UNREACHABLE]
        assert (route.connections, route.state.health, route.state.reason) == (0, Health.CONNECTING, NONE_LEFT)
        route.allow(99)
        await until_is(route, ears, Health.UP)
        assert await send(route, parcel(1), parcel(2)) == [ACCEPTED] * 2
        assert (route.connections, server.connections) == (1, 1)
        await route.stop(2)
        route.allow(1)
        assert route.connections == 0
