"""The SMTP client against a server that follows a script: every byte of the client, every answer of the server."""

from __future__ import annotations

import asyncio

import pytest
from smtp_kit import (
    EHLO,
    ENVELOPE_OK,
    GOODBYE,
    GREETING,
    OPEN_PIPELINED,
    OPEN_PLAIN,
    PIPELINING,
    TAKEN,
    Ears,
    HangUp,
    Hear,
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

from campana.channels.contract import Health
from campana.channels.email import EmailRoute

ONE_CONNECTION: list[tuple[str, Script, int, list[str]]] = [
    (
        "one message, pipelined",
        (*OPEN_PIPELINED, Hear(envelope()), Say(ENVELOPE_OK), Hear(body()), Say(TAKEN), *GOODBYE),
        1,
        ["Accepted 250 2.0.0"],
    ),
    (
        "the next envelope goes with the message",
        (
            *OPEN_PIPELINED,
            Hear(envelope(1)),
            Say(ENVELOPE_OK),
            Hear(body(1) + envelope(2)),
            Say(TAKEN + ENVELOPE_OK),
            Hear(body(2) + envelope(3)),
            Say(TAKEN + ENVELOPE_OK),
            Hear(body(3)),
            Say(TAKEN),
            *GOODBYE,
        ),
        3,
        ["Accepted 250 2.0.0"] * 3,
    ),
    (
        "answers in single octets",
        (
            *OPEN_PIPELINED,
            Hear(envelope(1)),
            *(Say(bytes([octet])) for octet in ENVELOPE_OK),
            Hear(body(1) + envelope(2)),
            *(Say(bytes([octet])) for octet in TAKEN + ENVELOPE_OK),
            Hear(body(2)),
            Say(TAKEN),
            *GOODBYE,
        ),
        2,
        ["Accepted 250 2.0.0"] * 2,
    ),
    (
        "without pipelining, one command at a time",
        (
            *OPEN_PLAIN,
            *(Hear(mail()), Say(b"250 ok\r\n"), Hear(rcpt()), Say(b"250 ok\r\n")),
            *(Hear(b"DATA\r\n"), Say(b"354 go\r\n"), Hear(body()), Say(b"250 ok\r\n")),
            *(Hear(mail(2)), Say(b"250 ok\r\n"), Hear(rcpt(2)), Say(b"251 will forward\r\n")),
            *(Hear(b"DATA\r\n"), Say(b"354 go\r\n"), Hear(body(2)), Say(b"250 ok\r\n")),
            *GOODBYE,
        ),
        2,
        ["Accepted 250"] * 2,
    ),
    (
        "EHLO unknown: HELO",
        (
            *(Say(GREETING), Hear(EHLO), Say(b"502 what?\r\n"), Hear(b"HELO client.test\r\n"), Say(b"250 hi\r\n")),
            *(Hear(mail()), Say(b"250 ok\r\n"), Hear(rcpt()), Say(b"250 ok\r\n")),
            *(Hear(b"DATA\r\n"), Say(b"354 go\r\n"), Hear(body()), Say(b"250 ok\r\n")),
            *GOODBYE,
        ),
        1,
        ["Accepted 250"],
    ),
    (
        "a recipient is refused: the group's DATA fails, RSET begins the next",
        (
            *OPEN_PIPELINED,
            Hear(envelope(1)),
            Say(b"250 ok\r\n550 5.1.1 no such user\r\n554 5.5.1 no valid recipients\r\n"),
            Hear(b"RSET\r\n" + envelope(2)),
            Say(b"250 ok\r\n" + ENVELOPE_OK),
            Hear(body(2)),
            Say(TAKEN),
            *GOODBYE,
        ),
        2,
        ["RefusedForGood EMAIL_MAILBOX_UNKNOWN 550 5.1.1", "Accepted 250 2.0.0"],
    ),
    (
        "the sender is refused: what follows from it does not count",
        (
            *OPEN_PIPELINED,
            Hear(envelope(1)),
            Say(b"550 5.1.8 bad sender\r\n503 5.5.1 MAIL first\r\n503 5.5.1 MAIL first\r\n"),
            Hear(b"RSET\r\n" + envelope(2)),
            Say(b"250 ok\r\n" + ENVELOPE_OK),
            Hear(body(2)),
            Say(TAKEN),
            *GOODBYE,
        ),
        2,
        ["RefusedForGood EMAIL_SENDER_REFUSED 550 5.1.8", "Accepted 250 2.0.0"],
    ),
    (
        "a server that answers 354 though it refused the recipient gets an empty message",
        (
            *OPEN_PIPELINED,
            Hear(envelope(1)),
            Say(b"250 ok\r\n452 4.2.2 full\r\n354 go\r\n"),
            Hear(b".\r\n"),
            Say(b"554 5.5.1 no valid recipients\r\n"),
            Hear(b"RSET\r\n" + envelope(2)),
            Say(b"250 ok\r\n" + ENVELOPE_OK),
            Hear(body(2)),
            Say(TAKEN),
            *GOODBYE,
        ),
        2,
        ["RefusedForNow EMAIL_MAILBOX_FULL 452 4.2.2", "Accepted 250 2.0.0"],
    ),
    (
        "refused without pipelining",
        (
            *OPEN_PLAIN,
            *(Hear(mail()), Say(b"250 ok\r\n"), Hear(rcpt()), Say(b"451 4.7.1 greylisted\r\n")),
            *(Hear(b"RSET\r\n"), Say(b"250 ok\r\n"), Hear(mail(2)), Say(b"550 5.7.1 not you\r\n")),
            *GOODBYE,
        ),
        2,
        ["RefusedForNow EMAIL_GREYLISTED 451 4.7.1", "RefusedForGood EMAIL_POLICY_REFUSED 550 5.7.1"],
    ),
    (
        "DATA itself is refused",
        (
            *OPEN_PIPELINED,
            Hear(envelope(1)),
            Say(b"250 ok\r\n250 ok\r\n451 4.3.0 not now\r\n"),
            Hear(b"RSET\r\n" + envelope(2)),
            Say(b"250 ok\r\n" + ENVELOPE_OK),
            Hear(body(2)),
            Say(TAKEN),
            *GOODBYE,
        ),
        2,
        ["RefusedForNow EMAIL_TEMPORARY 451 4.3.0", "Accepted 250 2.0.0"],
    ),
    (
        "the message is refused, the next one's envelope stands",
        (
            *OPEN_PIPELINED,
            Hear(envelope(1)),
            Say(ENVELOPE_OK),
            Hear(body(1) + envelope(2)),
            Say(b"554-5.7.1 This is spam\r\n554 5.7.1 or so we think\r\n" + ENVELOPE_OK),
            Hear(body(2)),
            Say(TAKEN),
            *GOODBYE,
        ),
        2,
        ["RefusedForGood EMAIL_CONTENT_REFUSED 554 5.7.1", "Accepted 250 2.0.0"],
    ),
    (
        "silence after the message: uncertain",
        (*OPEN_PIPELINED, Hear(envelope(1)), Say(ENVELOPE_OK), Hear(body(1)), HangUp()),
        1,
        ["Uncertain UNCERTAIN"],
    ),
    (
        "nonsense after the message: uncertain",
        (*OPEN_PIPELINED, Hear(envelope(1)), Say(ENVELOPE_OK), Hear(body(1)), Say(b"hello?\r\n")),
        1,
        ["Uncertain UNCERTAIN"],
    ),
    (
        "354 in place of the last answer: uncertain",
        (*OPEN_PIPELINED, Hear(envelope(1)), Say(ENVELOPE_OK), Hear(body(1)), Say(b"354 more\r\n")),
        1,
        ["Uncertain UNCERTAIN"],
    ),
]


@pytest.mark.parametrize(
    ("script", "letters", "results"), [row[1:] for row in ONE_CONNECTION], ids=[row[0] for row in ONE_CONNECTION]
)
async def test_one_connection(script: Script, letters: int, results: list[str]) -> None:
    async with scripted(script) as server:
        async with running(server.port) as route:
            assert await send(route, *(parcel(number + 1) for number in range(letters))) == results
        await server.until_finished(1)


FRESH: Script = (*OPEN_PIPELINED, Hear(envelope(2)), Say(ENVELOPE_OK), Hear(body(2)), Say(TAKEN), *GOODBYE)
FRESH_BOTH: Script = (
    *OPEN_PIPELINED,
    Hear(envelope(1)),
    Say(ENVELOPE_OK),
    Hear(body(1) + envelope(2)),
    Say(TAKEN + ENVELOPE_OK),
    Hear(body(2)),
    Say(TAKEN),
    *GOODBYE,
)

TWO_CONNECTIONS: list[tuple[str, Script, Script, list[str]]] = [
    (
        "lost after the first message: it is uncertain, the second goes over a fresh connection",
        (*OPEN_PIPELINED, Hear(envelope(1)), Say(ENVELOPE_OK), Hear(body(1) + envelope(2)), HangUp()),
        FRESH,
        ["Uncertain UNCERTAIN", "Accepted 250 2.0.0"],
    ),
    (
        "lost with the second envelope answered: it provably was not taken",
        (
            *OPEN_PIPELINED,
            Hear(envelope(1)),
            Say(ENVELOPE_OK),
            Hear(body(1) + envelope(2)),
            Say(TAKEN + b"250 ok\r\n"),
            HangUp(),
        ),
        FRESH,
        ["Accepted 250 2.0.0", "Accepted 250 2.0.0"],
    ),
    (
        "lost before anything was taken: both go again",
        (*OPEN_PIPELINED, Hear(envelope(1)), HangUp()),
        FRESH_BOTH,
        ["Accepted 250 2.0.0", "Accepted 250 2.0.0"],
    ),
    (
        "421 to a recipient is about that recipient, and closes",
        (*OPEN_PIPELINED, Hear(envelope(1)), Say(b"250 ok\r\n421 4.3.2 closing\r\n"), HangUp()),
        FRESH,
        ["RefusedForNow EMAIL_TEMPORARY 421 4.3.2", "Accepted 250 2.0.0"],
    ),
    (
        "421 after a message was taken: the next one goes over a fresh connection",
        (
            *(*OPEN_PIPELINED, Hear(envelope(1)), Say(ENVELOPE_OK), Hear(body(1) + envelope(2))),
            *(Say(TAKEN + b"421 4.7.0 too many messages in this connection\r\n"), HangUp()),
        ),
        FRESH,
        ["Accepted 250 2.0.0", "Accepted 250 2.0.0"],
    ),
    (
        "421 to a fresh connection's first MAIL: the server wants less of us",
        (*OPEN_PIPELINED, Hear(envelope(1)), Say(b"421 4.7.0 too many connections\r\n"), HangUp()),
        FRESH,
        ["Throttled EMAIL_THROTTLED 421 4.7.0", "Accepted 250 2.0.0"],
    ),
    (
        "421 for the message itself",
        (
            *OPEN_PIPELINED,
            Hear(envelope(1)),
            Say(ENVELOPE_OK),
            Hear(body(1) + envelope(2)),
            Say(b"421 4.3.0 oops\r\n"),
            HangUp(),
        ),
        FRESH,
        ["RefusedForNow EMAIL_TEMPORARY 421 4.3.0", "Accepted 250 2.0.0"],
    ),
    (
        "a flood at the end of the message slows the route",
        (
            *OPEN_PIPELINED,
            Hear(envelope(1)),
            Say(ENVELOPE_OK),
            Hear(body(1) + envelope(2)),
            Say(b"421 4.7.28 flood\r\n"),
            HangUp(),
        ),
        FRESH,
        ["Throttled EMAIL_THROTTLED 421 4.7.28", "Accepted 250 2.0.0"],
    ),
]


@pytest.mark.parametrize(
    ("first", "second", "results"), [row[1:] for row in TWO_CONNECTIONS], ids=[row[0] for row in TWO_CONNECTIONS]
)
async def test_a_fresh_connection_takes_over(first: Script, second: Script, results: list[str]) -> None:
    async with scripted(first, second) as server:
        async with running(server.port) as route:
            assert await send(route, parcel(1), parcel(2)) == results
            assert route.state.health is Health.UP
        await server.until_finished(2)


OPENINGS: list[tuple[str, Script, str, str]] = [
    ("no greeting", (HangUp(),), "Unreachable EMAIL_UNREACHABLE", "the connection was lost"),
    ("not SMTP", (Say(b"SSH-2.0-OpenSSH_9.2\r\n"),), "Unreachable EMAIL_UNREACHABLE", "not an SMTP reply"),
    ("busy", (Say(b"421 4.3.2 busy\r\n"),), "Unreachable EMAIL_UNREACHABLE 421 4.3.2", "busy"),
    ("no service", (Say(b"554 5.7.1 you are blocked\r\n"),), "Misconfigured EMAIL_MISCONFIGURED 554 5.7.1", "blocked"),
    (
        "EHLO refused",
        (Say(GREETING), Hear(EHLO), Say(b"421 4.7.0 go\r\n")),
        "Unreachable EMAIL_UNREACHABLE 421 4.7.0",
        "go",
    ),
    (
        "HELO refused too",
        (Say(GREETING), Hear(EHLO), Say(b"550 no\r\n"), Hear(b"HELO client.test\r\n"), Say(b"550 no\r\n")),
        "Misconfigured EMAIL_MISCONFIGURED 550",
        "no",
    ),
    (
        "talkative",
        (Say(GREETING), Hear(EHLO), Say(PIPELINING + b"250 and more\r\n")),
        "Misconfigured EMAIL_MISCONFIGURED",
        "more than it was asked",
    ),
    ("endless line", (Say(b"220 " + b"x" * 10_000),), "Unreachable EMAIL_UNREACHABLE", "too long"),
    ("endless lines", (Say(b"220-x\r\n" * 300),), "Unreachable EMAIL_UNREACHABLE", "too many lines"),
]


@pytest.mark.parametrize(("script", "result", "words"), [row[1:] for row in OPENINGS], ids=[row[0] for row in OPENINGS])
async def test_openings_that_fail(script: Script, result: str, words: str) -> None:
    async with scripted(script) as server:
        ears = Ears()
        async with running(server.port, ears) as route:
            assert await send(route, parcel(1), parcel(2)) == [result] * 2
            assert route.state.health is Health.DOWN
            assert words in route.state.reason
            assert ears.changes == ["mail"]


async def test_nobody_listens() -> None:
    async with scripted() as server:
        port = server.port
    async with running(port, connections=5) as route:
        assert await send(route, *(parcel(number) for number in range(50))) == ["Unreachable EMAIL_UNREACHABLE"] * 50
        assert route.state.health is Health.DOWN
        # Down, it answers at once and does not try for every message.
        assert await send(route, parcel(1), within=0.1) == ["Unreachable EMAIL_UNREACHABLE"]


async def test_a_route_comes_up_again_by_itself() -> None:
    ears = Ears()
    async with scripted((HangUp(),), (Say(b"421 busy\r\n"),), FRESH) as server, running(server.port, ears) as route:
        async with asyncio.timeout(5):
            while len(ears.changes) < 2:
                ears.changed.clear()
                await ears.changed.wait()
        assert route.state.health is Health.UP
        assert route.state.reason == ""
        assert await send(route, parcel(2)) == ["Accepted 250 2.0.0"]


async def test_a_server_that_always_hangs_up_brings_the_route_down() -> None:
    hopeless: Script = (*OPEN_PIPELINED, Hear(envelope(1)), HangUp())
    async with scripted(hopeless, hopeless, hopeless) as server, running(server.port) as route:
        assert await send(route, parcel(1)) == ["Unreachable EMAIL_UNREACHABLE"]
        assert route.state.health is Health.DOWN
        assert server.connections <= 3


async def test_without_an_answer_in_time_the_message_is_uncertain() -> None:
    silent: Script = (*OPEN_PIPELINED, Hear(envelope(1)), Say(ENVELOPE_OK), Hear(body(1)))
    async with scripted(silent) as server, running(server.port, final_timeout=0.1) as route:
        assert await send(route, parcel(1)) == ["Uncertain UNCERTAIN"]


async def test_without_an_answer_to_the_envelope_it_is_unreachable() -> None:
    silent: Script = (*OPEN_PIPELINED, Hear(envelope(1)))
    async with scripted(silent, silent, silent) as server, running(server.port, command_timeout=0.1) as route:
        assert await send(route, parcel(1)) == ["Unreachable EMAIL_UNREACHABLE"]


async def test_a_silent_server_does_not_hold_the_opening() -> None:
    async with scripted(()) as server, running(server.port, connect_timeout=0.1) as route:
        assert await send(route, parcel(1)) == ["Unreachable EMAIL_UNREACHABLE"]
        assert "in time" in route.state.reason


async def test_without_a_permit_nothing_is_written() -> None:
    async with scripted((*OPEN_PIPELINED, *GOODBYE)) as server, running(server.port) as route:
        results = await route.send([parcel(1), parcel(2)], lambda: False)
        assert [describe(result) for result in results] == ["Withdrawn OK"] * 2


async def test_a_permit_that_goes_away_before_the_message_stops_it() -> None:
    permits = iter([True, True, True, False, False])  # first MAIL, first message, second MAIL; then the pause
    script: Script = (
        *(*OPEN_PIPELINED, Hear(envelope(1)), Say(ENVELOPE_OK)),
        *(Hear(body(1) + envelope(2)), Say(TAKEN + ENVELOPE_OK), Hear(b"")),
    )
    async with scripted(script) as server, running(server.port) as route:
        results = await route.send([parcel(number) for number in (1, 2, 3, 4)], lambda: next(permits))
        assert [describe(result) for result in results] == ["Accepted 250 2.0.0", *["Withdrawn OK"] * 3]
        # The connection is cut, not told: after 354 whatever is said would be the message.
        await server.until_finished(1)


async def test_size_and_smtputf8_follow_what_is_offered() -> None:
    offers = b"250-relay.test\r\n250-SIZE 1000\r\n250-SMTPUTF8\r\n250 PIPELINING\r\n"
    first = mail(1, b" SIZE=21 SMTPUTF8") + rcpt(1) + b"DATA\r\n"
    script: Script = (
        Say(GREETING),
        Hear(EHLO),
        Say(offers),
        Hear(first),
        Say(ENVELOPE_OK),
        Hear(body(1)),
        Say(TAKEN),
        *GOODBYE,
    )
    async with scripted(script) as server, running(server.port) as route:
        results = await route.send([parcel(1, utf8=True), parcel(2, size=1001)], lambda: True)
        assert [describe(result) for result in results] == ["Accepted 250 2.0.0", "RefusedForGood EMAIL_TOO_LARGE"]


async def test_without_smtputf8_such_an_address_is_not_tried() -> None:
    async with scripted((*OPEN_PIPELINED, *GOODBYE)) as server, running(server.port) as route:
        assert await send(route, parcel(1, utf8=True)) == ["RefusedForGood EMAIL_ADDRESS_NOT_SUPPORTED"]


async def test_an_idle_connection_is_kept_and_then_closed() -> None:
    kept: Script = (
        *(*OPEN_PIPELINED, Hear(envelope(1)), Say(ENVELOPE_OK), Hear(body(1)), Say(TAKEN)),
        *(Hear(envelope(2)), Say(ENVELOPE_OK), Hear(body(2)), Say(TAKEN), *GOODBYE),
    )
    async with scripted(kept) as server, running(server.port, idle_seconds=0.2) as route:
        assert await send(route, parcel(1)) == ["Accepted 250 2.0.0"]
        assert await send(route, parcel(2)) == ["Accepted 250 2.0.0"]
        await server.until_finished(1)
        assert route.state.health is Health.UP


async def test_a_kept_connection_that_the_server_closed_is_replaced() -> None:
    closing: Script = (
        *OPEN_PIPELINED,
        Hear(envelope(1)),
        Say(ENVELOPE_OK),
        Hear(body(1)),
        Say(TAKEN + b"421 4.4.2 idle\r\n"),
        HangUp(),
    )
    async with scripted(closing, FRESH) as server, running(server.port) as route:
        assert await send(route, parcel(1)) == ["Accepted 250 2.0.0"]
        await server.until_finished(1)
        assert await send(route, parcel(2)) == ["Accepted 250 2.0.0"]


async def test_a_server_that_closes_an_idle_connection_is_not_at_fault() -> None:
    """One failure is forgiven; the closing of an idle connection must not count as one."""
    ears = Ears()
    closing: Script = (*OPEN_PIPELINED, Wait(ears.changed), Say(b"421 4.4.2 idle\r\n"))
    failing: Script = (*OPEN_PIPELINED, Hear(envelope(2)), HangUp())
    async with scripted(closing, failing, FRESH) as server, running(server.port, ears) as route:
        await server.until_finished(1)
        assert await send(route, parcel(2)) == ["Accepted 250 2.0.0"]


async def test_a_connection_is_replaced_after_its_share_of_messages() -> None:
    first: Script = (*OPEN_PIPELINED, Hear(envelope(1)), Say(ENVELOPE_OK), Hear(body(1)), Say(TAKEN), *GOODBYE)
    async with scripted(first, FRESH) as server, running(server.port, messages_per_connection=1) as route:
        assert await send(route, parcel(1), parcel(2)) == ["Accepted 250 2.0.0"] * 2
        await server.until_finished(2)


async def test_connections_do_not_disturb_each_other() -> None:
    """One connection breaks in the middle of its message, the other one carries on and takes the rest."""
    first_written, may_break = asyncio.Event(), asyncio.Event()
    breaking: Script = (*OPEN_PIPELINED, Hear(envelope(1)), Say(ENVELOPE_OK), Hear(body(1)), Wait(may_break), HangUp())
    async with scripted(breaking, FRESH) as server, running(server.port, connections=2) as route:
        lost = asyncio.create_task(route.send([parcel(1)], lambda: first_written.set() or True))
        async with asyncio.timeout(5):
            await first_written.wait()
        assert await send(route, parcel(2)) == ["Accepted 250 2.0.0"]
        assert not lost.done()
        may_break.set()
        assert [describe(result) for result in await lost] == ["Uncertain UNCERTAIN"]
        assert route.state.health is Health.UP


async def test_a_server_that_takes_one_connection_only() -> None:
    """The second connection is refused: what it was to take goes over the first, and the route stays up."""
    refused, ears = asyncio.Event(), Ears()
    one: Script = (
        *(*OPEN_PIPELINED, Hear(envelope(1)), Wait(refused), Say(ENVELOPE_OK), Hear(body(1))),
        *(Say(TAKEN), Hear(envelope(2)), Say(ENVELOPE_OK), Hear(body(2)), Say(TAKEN), *GOODBYE),
    )
    other: Script = (Say(b"421 4.7.0 too many connections\r\n"),)
    async with scripted(one, other) as server, running(server.port, ears, connections=2) as route:
        async with asyncio.timeout(5):
            await ears.changed.wait()
        sending = asyncio.create_task(send(route, parcel(1), parcel(2)))
        await server.until_finished(1)
        refused.set()
        assert await sending == ["Accepted 250 2.0.0"] * 2
        assert route.state.health is Health.UP
        assert ears.changes == ["mail"]


async def test_stop_waits_for_what_is_written_and_refuses_the_rest() -> None:
    go_on, written, ears = asyncio.Event(), asyncio.Event(), Ears()
    gone: Script = (*OPEN_PIPELINED, Wait(ears.changed), Say(b"421 4.4.2 idle\r\n"))
    script: Script = (
        *(*OPEN_PIPELINED, Hear(envelope(1)), Wait(go_on), Say(ENVELOPE_OK)),
        *(Hear(body(1)), Say(TAKEN), *GOODBYE),
    )
    async with scripted(gone, script) as server:
        async with running(server.port, ears) as route:
            await server.until_finished(1)  # a connection has come and gone before
            sending = asyncio.create_task(route.send([parcel(1), parcel(2)], lambda: written.set() or True))
            async with asyncio.timeout(5):
                await written.wait()
            stopping = asyncio.create_task(route.stop(5))
            done, _ = await asyncio.wait({stopping}, timeout=0.05)
            assert not done
            go_on.set()
            results = [describe(result) for result in await sending]
            assert results == ["Accepted 250 2.0.0", "Unreachable EMAIL_UNREACHABLE"]
            await stopping
            assert await send(route, parcel(3)) == ["Unreachable EMAIL_UNREACHABLE"]
        await server.until_finished(2)


async def test_stop_keeps_to_its_budget() -> None:
    written = asyncio.Event()
    script: Script = (*OPEN_PIPELINED, Hear(envelope(1)), Say(ENVELOPE_OK), Hear(body(1)), Wait(asyncio.Event()))
    listening: list[str] = []

    def permit() -> bool:
        listening.append("asked")
        if len(listening) == 2:  # the second time, right before the message itself
            written.set()
        return True

    async with scripted((*script[:-1],)) as server, running(server.port) as route:
        sending = asyncio.create_task(route.send([parcel(1)], permit))
        async with asyncio.timeout(5):
            await written.wait()
        async with asyncio.timeout(2):
            await route.stop(0.1)
        assert [describe(result) for result in await sending] == ["Uncertain UNCERTAIN"]


async def test_nothing_to_send() -> None:
    async with scripted((*OPEN_PIPELINED, *GOODBYE)) as server, running(server.port) as route:
        assert await send(route) == []


async def test_check_says_what_it_found() -> None:
    offers = b"250-relay.test\r\n250-SIZE 5000\r\n250 PIPELINING\r\n"
    async with scripted((Say(GREETING), Hear(EHLO), Say(offers), *GOODBYE)) as server:
        report = await EmailRoute(settings(server.port), lambda: 0).check()
        assert report.ok
        facts = dict(report.facts)
        assert facts["greeting"] == "relay.test ESMTP"
        assert facts["offers"] == "SIZE PIPELINING"
        assert facts["largest message"] == "5000"
        assert facts["TLS"] == "no"
    async with scripted((Say(b"554 5.7.1 blocked\r\n"),)) as server:
        report = await EmailRoute(settings(server.port), lambda: 0).check()
        assert not report.ok
        assert report.problem == "554 5.7.1 5.7.1 blocked"
