"""Whether the trunk is there: OPTIONS, registration, and what is told of it."""

from __future__ import annotations

import asyncio

import pytest

from campana.channels.voice.sip.contract import Timers, TrunkState
from campana.channels.voice.sip.message import tag_of
from tests.wire.sip_kit import Ear, Trunk, dead_port, house, open_trunk
from tests.wire.test_sip_agent_hosts import CHALLENGE, USER, proof

UP = (TrunkState.UP, "")
CONNECTING = (TrunkState.CONNECTING, "")
BRISK = Timers(t1=0.02, t2=0.08, t4=0.1)
"""A silent host is given 0.16 s."""


@pytest.mark.parametrize(
    ("status", "reason", "state"),
    [
        (200, "OK", UP),
        (404, "Not Found", UP),
        (405, "Method Not Allowed", UP),
        (483, "Too Many Hops", UP),
        (401, "Unauthorized", UP),
        (503, "Service Unavailable", (TrunkState.DOWN, "the trunk answers 503 Service Unavailable")),
        (408, "Request Timeout", (TrunkState.DOWN, "the trunk answers 408 Request Timeout")),
    ],
)
async def test_any_answer_but_408_and_503_shows_that_the_trunk_is_there(
    status: int, reason: str, state: tuple[TrunkState, str]
) -> None:
    async with open_trunk() as trunk, house(trunk, ping=60) as home:
        await home.agent.start()
        ping = await trunk.hear("OPTIONS")
        assert home.states == [CONNECTING]
        assert ping.request.uri == f"sip:127.0.0.1:{trunk.port}"
        assert tag_of(ping.headers.get("From") or "")
        trunk.say(ping, status, reason)
        await home.until_told(state)


async def test_a_trunk_that_goes_and_comes_back() -> None:
    async with open_trunk() as trunk, house(trunk, timers=BRISK, ping=0.1) as home:
        await home.agent.start()
        trunk.say(await trunk.hear("OPTIONS"), 200)
        await home.until_told(UP)
        await home.until_told((TrunkState.DOWN, "127.0.0.1: no answer in time"))
        trunk.unheard.clear()
        trunk.say(await trunk.hear("OPTIONS"), 200)
        await home.until_told(UP)
        assert home.states[:4] == [CONNECTING, UP, (TrunkState.DOWN, "127.0.0.1: no answer in time"), UP]


async def test_the_second_host_suffices() -> None:
    gone = Trunk()
    gone.port = dead_port()
    async with open_trunk() as trunk, house(gone, trunk, ping=60) as home:
        await home.agent.start()
        trunk.say(await trunk.hear("OPTIONS"), 200)
        await home.until_told(UP)


async def test_without_ping_the_trunk_is_taken_for_granted() -> None:
    async with open_trunk() as trunk, house(trunk, ping=0) as home:
        await home.agent.start()
        assert home.states == [UP]
        assert trunk.log == []


async def test_options_are_answered_with_credentials_and_a_refusal_is_our_configuration() -> None:
    async with open_trunk() as trunk, house(trunk, ping=60, **USER) as home:
        await home.agent.start()
        trunk.say(await trunk.hear("OPTIONS"), 401, "No", [("WWW-Authenticate", CHALLENGE)])
        second = await trunk.hear("OPTIONS")
        proof(second)
        trunk.say(second, 401, "No", [("WWW-Authenticate", CHALLENGE.replace("n1", "n2"))])
        await home.until_told((TrunkState.DOWN, "misconfigured: the trunk refuses username and password"))


async def test_a_call_that_reaches_nobody_makes_us_ask_at_once() -> None:
    async with open_trunk() as trunk, house(trunk, timers=BRISK, ping=600) as home:
        await home.agent.start()
        trunk.say(await trunk.hear("OPTIONS"), 200)
        await home.until_told(UP)
        ear = Ear()
        home.dial(ear, dial_ms=100)
        await trunk.hear("INVITE")
        await ear.end()
        trunk.say(await trunk.hear("OPTIONS"), 503, "Service Unavailable")
        await home.until_told((TrunkState.DOWN, "the trunk answers 503 Service Unavailable"))


async def test_registering_renewing_and_taking_back() -> None:
    async with open_trunk() as trunk, house(trunk, register_every=600, **USER) as home:
        await home.agent.start()
        first = await trunk.hear("REGISTER")
        assert home.states == [CONNECTING]
        assert first.request.uri == f"sip:127.0.0.1:{trunk.port}"
        assert first.headers.get("To") == "<sip:alice@127.0.0.1>"
        assert first.headers.get("Expires") == "600"
        trunk.say(first, 401, "No", [("WWW-Authenticate", CHALLENGE)])
        second = await trunk.hear("REGISTER")
        proof(second)
        assert (first.headers.get("CSeq"), second.headers.get("CSeq")) == ("1 REGISTER", "2 REGISTER")
        assert first.headers.get("Call-ID") == second.headers.get("Call-ID")
        trunk.say(second, 200, "OK", [("Contact", f"{second.headers.get('Contact')};expires=300")])
        await home.until_told(UP)
        stopping = asyncio.create_task(home.agent.stop())
        last = await trunk.hear("REGISTER")
        assert last.headers.get("Expires") == "0"
        assert proof(last)["nc"] == "00000002"
        trunk.say(last, 200)
        await stopping


async def test_an_interval_that_is_too_brief_is_lengthened() -> None:
    async with open_trunk() as trunk, house(trunk, register_every=60, **USER) as home:
        await home.agent.start()
        trunk.say(await trunk.hear("REGISTER"), 423, "Interval Too Brief", [("Min-Expires", "1800")])
        second = await trunk.hear("REGISTER")
        assert second.headers.get("Expires") == "1800"
        trunk.say(second, 200)
        await home.until_told(UP)


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (403, "misconfigured: the trunk refuses username and password"),
        (500, "the registration was refused with 500 No"),
    ],
)
async def test_a_refused_registration_is_told(status: int, sentence: str) -> None:
    async with open_trunk() as trunk, house(trunk, register_every=60, **USER) as home:
        await home.agent.start()
        trunk.say(await trunk.hear("REGISTER"), status, "No")
        await home.until_told((TrunkState.DOWN, sentence))


async def test_a_check_asks_and_registers_and_says_what_it_found() -> None:
    async with open_trunk() as trunk, house(trunk, register_every=60, **USER) as home:
        checking = asyncio.create_task(home.agent.check())
        ping = await trunk.hear("OPTIONS")
        await asyncio.sleep(0.06)
        trunk.say(ping, 200, "Fine")
        trunk.say(await trunk.hear("REGISTER"), 200, "Welcome")
        ok, facts, problem = await checking
        assert (ok, problem) == (True, "")
        assert facts == [
            ("trunk", f"UDP 127.0.0.1:{trunk.port}"),
            ("OPTIONS", facts[1][1]),
            ("REGISTER", "200 Welcome"),
        ]
        status, _, milliseconds = facts[1][1].partition(", after ")
        assert status == "200 Fine"
        assert 50 <= int(milliseconds.removesuffix(" ms")) < 1_000, "as long as the trunk took"


async def test_a_check_of_a_trunk_that_is_not_there() -> None:
    gone = Trunk()
    gone.port = dead_port()
    async with house(gone, timers=BRISK) as home:
        ok, facts, problem = await home.agent.check()
        assert (ok, facts) == (False, [])
        assert problem.startswith("127.0.0.1: ")
