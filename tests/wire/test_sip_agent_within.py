"""What the other side may ask within a dialog and outside of any, and what of it we do not believe."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import pytest

from campana.channels.voice.sip.contract import LegEnded
from campana.channels.voice.sip.dialog import ALLOW
from campana.channels.voice.sip.flow import Target
from campana.channels.voice.sip.headers import parse_via
from campana.channels.voice.sip.message import Request, render, tag_of
from campana.channels.voice.sip.transactions import MOST_OF_A_CALL
from campana.channels.voice.sip.uri import Transport
from campana.domain.call import HungUpBy
from tests.wire.sip_kit import ANSWER, QUICK, SDP, Ear, Heard, House, Trunk, answered, house, open_trunk

RELIABLE = ("Require", "100rel")


# --- within a dialog ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "body", "event"),
    [
        ("application/dtmf-relay", b"Signal=5\r\nDuration=160\r\n", ("digit", "5", 160)),
        ("application/dtmf-relay", b"Signal= 10\r\nDuration= 90\r\n", ("digit", "*", 90)),
        ("Application/DTMF-Relay; x=y", b"signal=11\n", ("digit", "#", 0)),
        ("application/dtmf", b"7", ("digit", "7", 0)),
        ("application/dtmf", b"#\r\n", ("digit", "#", 0)),
    ],
)
async def test_a_key_told_by_info_is_told_once(kind: str, body: bytes, event: tuple[object, ...]) -> None:
    async with open_trunk() as trunk, house(trunk) as home:
        ear = Ear()
        home.dial(ear)
        invite = await answered(trunk, ear)
        info = trunk.ask(invite, "INFO", 1, [("Content-Type", kind)], body)
        await trunk.hear("200")
        invite.back(render(info))
        await trunk.until(lambda: sum(trunk.repeated.values()) == 1)
        assert ear.events[-1] == event
        assert [name for name in ear.names if name == "digit"] == ["digit"]


@pytest.mark.parametrize(
    ("method", "extra", "body", "status"),
    [
        ("OPTIONS", [], b"", "200"),
        ("NOTIFY", [("Event", "talk")], b"", "200"),
        ("INFO", [], b"", "200"),
        ("INFO", [("Content-Type", "text/plain")], b"5", "415"),
        ("UPDATE", [], b"", "200"),
        ("MESSAGE", [], b"", "405"),
        ("REFER", [("Refer-To", "<sip:x@y>")], b"", "405"),
        ("PRACK", [], b"", "405"),
        ("INFO", [("Require", "timer, foo")], b"", "420"),
    ],
)
async def test_requests_within_a_dialog(method: str, extra: list[tuple[str, str]], body: bytes, status: str) -> None:
    async with open_trunk() as trunk, house(trunk) as home:
        ear = Ear()
        leg = home.dial(ear)
        invite = await answered(trunk, ear)
        trunk.ask(invite, method, 1, extra, body)
        response = await trunk.hear(status)
        if status == "405":
            assert response.headers.get("Allow") == "INVITE"  # the first of the list
            assert ", ".join(response.headers.all("Allow")) == ALLOW
        if status == "420":
            assert response.headers.all("Unsupported") == ["timer", "foo"]
        assert leg.is_answered
        assert ear.names == ["sent", 200, "answered"]


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
async def test_an_offer_within_the_dialog_is_answered_with_our_sdp(method: str) -> None:
    async with open_trunk() as trunk, house(trunk) as home:
        ear = Ear(sdp=b"our sdp")
        leg = home.dial(ear)
        invite = await answered(trunk, ear)
        moved = f"<sip:moved@127.0.0.1:{trunk.port}>"
        request = trunk.ask(invite, method, 5, [*SDP, ("Contact", moved)], b"their sdp")
        response = await trunk.hear("200")
        assert (response.response.body, response.headers.get("Content-Type")) == (b"our sdp", "application/sdp")
        assert response.headers.get("Contact") == invite.headers.get("Contact")
        assert ear.events[-1] == ("reoffered", b"their sdp")
        if method == "INVITE":
            acknowledge(trunk, invite, request)
        leg.hang_up()
        assert (await trunk.hear("BYE")).request.uri == moved[1:-1]


def acknowledge(trunk: Trunk, invite: Heard, request: Request, body: bytes = b"") -> None:
    """Send the ACK to the 2xx of a re-INVITE."""
    number = (request.headers.get("CSeq") or "").split()[0]
    trunk.ask(invite, "ACK", int(number), (), body)


async def test_a_refused_offer_leaves_the_call_as_it_is() -> None:
    async with open_trunk() as trunk, house(trunk) as home:
        ear = Ear(sdp=None)
        leg = home.dial(ear)
        invite = await answered(trunk, ear)
        trunk.ask(invite, "INVITE", 1, SDP, b"video only")
        await trunk.hear("488")
        assert leg.is_answered


async def test_our_answer_to_a_reinvite_is_repeated_until_its_ack() -> None:
    async with open_trunk() as trunk, house(trunk, timers=QUICK) as home:
        ear = Ear()
        leg = home.dial(ear)
        invite = await answered(trunk, ear)
        request = trunk.ask(invite, "INVITE", 1, SDP, b"theirs")
        await trunk.until(lambda: len(trunk.times("200")) == 4)
        acknowledge(trunk, invite, request)
        await trunk.hear("200")
        # Nothing more comes, not even the BYE that would follow a lack of acknowledgement.
        with pytest.raises(TimeoutError):
            await trunk.until(lambda: bool(trunk.unheard) or len(trunk.times("200")) > 5, within=0.8)
        assert leg.is_answered


async def test_a_reinvite_without_offer_gets_ours_and_the_ack_brings_the_answer() -> None:
    async with open_trunk() as trunk, house(trunk) as home:
        ear = Ear(sdp=b"our offer")
        home.dial(ear)
        invite = await answered(trunk, ear)
        request = trunk.ask(invite, "INVITE", 1)
        assert (await trunk.hear("200")).response.body == b"our offer"
        acknowledge(trunk, invite, request, b"their answer")
        await ear.until("reanswered")
        assert ear.events[-2:] == [("reoffered", b""), ("reanswered", b"their answer")]


async def test_a_reinvite_whose_ack_never_comes_ends_the_call() -> None:
    async with open_trunk() as trunk, house(trunk, timers=QUICK) as home:
        ear = Ear()
        home.dial(ear)
        invite = await answered(trunk, ear)
        trunk.ask(invite, "INVITE", 1, SDP, b"theirs")
        await trunk.hear("200")
        await trunk.hear("BYE")
        assert (await ear.end()).by is HungUpBy.NETWORK


async def test_a_reinvite_while_ours_is_pending_meets_glare() -> None:
    async with open_trunk() as trunk, house(trunk) as home:
        ear = Ear()
        home.dial(ear)
        invite = await trunk.hear("INVITE")
        trunk.say(invite, 183)
        await ear.until("responded")
        trunk.ask(invite, "INVITE", 1, SDP, b"theirs")
        await trunk.hear("491")
        trunk.ask(invite, "UPDATE", 2, SDP, b"theirs")
        await trunk.hear("491")
        trunk.ask(invite, "INFO", 3, [("Content-Type", "application/dtmf")], b"1")
        await trunk.hear("200")
        assert ear.names == ["sent", 183]


async def test_requests_out_of_order_are_refused() -> None:
    async with open_trunk() as trunk, house(trunk) as home:
        ear = Ear()
        leg = home.dial(ear)
        invite = await answered(trunk, ear)
        trunk.ask(invite, "OPTIONS", 9)
        await trunk.hear("200")
        trunk.ask(invite, "BYE", 8)
        await trunk.hear("500")
        assert leg.is_answered


async def test_a_cancel_of_a_reinvite_comes_too_late() -> None:
    async with open_trunk() as trunk, house(trunk) as home:
        ear = Ear()
        home.dial(ear)
        invite = await answered(trunk, ear)
        request = trunk.ask(invite, "INVITE", 1, SDP, b"theirs")
        await trunk.hear("200")
        cancel = Request("CANCEL", request.uri, request.headers.copy())
        cancel.headers.set("CSeq", "1 CANCEL")
        trunk.send(invite, cancel)
        assert (await trunk.hear("200")).headers.get("CSeq") == "1 CANCEL"
        cancel.headers.set("CSeq", "4 CANCEL")
        trunk.send(invite, cancel)
        await trunk.hear("481")
        assert ear.names == ["sent", 200, "answered", "reoffered"]


# --- reliable provisional responses ------------------------------------------------------------------------------


async def test_reliable_provisional_responses_are_acknowledged_in_their_order() -> None:
    async with open_trunk() as trunk, house(trunk) as home:
        ear = Ear()
        home.dial(ear)
        invite = await trunk.hear("INVITE")
        assert "100rel" in invite.headers.all("Supported")
        first = trunk.say(invite, 183, "Progress", [RELIABLE, ("RSeq", "41"), *SDP], b"early")
        prack = await trunk.hear("PRACK")
        assert (prack.headers.get("RAck"), prack.headers.get("CSeq")) == ("41 1 INVITE", "2 PRACK")
        assert prack.request.uri == f"sip:callee@127.0.0.1:{trunk.port}"
        trunk.say(prack, 200)
        invite.back(render(first))
        trunk.say(invite, 180, "Ringing", [RELIABLE, ("RSeq", "43")])
        trunk.say(invite, 180, "Ringing", [RELIABLE, ("RSeq", "42")])
        prack = await trunk.hear("PRACK")
        assert (prack.headers.get("RAck"), prack.headers.get("CSeq")) == ("42 1 INVITE", "3 PRACK")
        trunk.say(prack, 200)
        trunk.ask(invite, "UPDATE", 1, SDP, b"update")
        await trunk.hear("200")
        trunk.say(invite, 200, "OK")
        await trunk.hear("ACK")
        await ear.until("answered")
        assert ear.names == ["sent", 183, "early_media", 180, "reoffered", 200, "answered"]
        assert ear.events[-1] == ("answered", b"early")


async def test_a_prack_that_is_not_answered_is_repeated_by_its_transaction_alone() -> None:
    async with open_trunk() as trunk, house(trunk, timers=QUICK) as home:
        home.dial(Ear())
        invite = await trunk.hear("INVITE")
        response = trunk.say(invite, 183, "Progress", [RELIABLE, ("RSeq", "1")])
        for _ in range(5):
            invite.back(render(response))
        await trunk.until(lambda: len(trunk.times("PRACK")) >= 4)
        assert {heard.headers.get("CSeq") for heard in trunk.log if heard.name == "PRACK"} == {"2 PRACK"}


# --- outside of any dialog ---------------------------------------------------------------------------------------


def stranger(trunk: Trunk, method: str, to: str = "<sip:us@x>", call_id: str = "strange") -> bytes:
    return (
        f"{method} sip:us@x SIP/2.0\r\nVia: SIP/2.0/UDP 10.9.8.7:5060;branch=z9hG4bK-s;rport\r\n"
        f"f: <sip:them@y>;tag=t\r\nt: {to}\r\ni: {call_id}\r\nCSeq: 1 {method}\r\nl: 0\r\n\r\n"
    ).encode()


async def agents_address(trunk: Trunk, home: House) -> tuple[Heard, Ear]:
    ear = Ear()
    home.dial(ear)
    return await answered(trunk, ear), ear


@pytest.mark.parametrize(
    ("method", "to", "status"),
    [
        ("OPTIONS", "<sip:us@x>", "200"),
        ("INVITE", "<sip:us@x>", "403"),
        ("BYE", "<sip:us@x>;tag=nobody", "481"),
        ("BYE", "<sip:us@x>", "481"),
        ("INVITE", "<sip:us@x>;tag=nobody", "481"),
        ("CANCEL", "<sip:us@x>", "481"),
        ("REGISTER", "<sip:us@x>", "405"),
        ("SUBSCRIBE", "<sip:us@x>", "405"),
        ("WHATEVER", "<sip:us@x>", "405"),
    ],
)
async def test_strangers_are_answered_without_being_remembered(method: str, to: str, status: str) -> None:
    async with open_trunk() as trunk, house(trunk) as home:
        invite, ear = await agents_address(trunk, home)
        for _ in range(2):
            invite.back(stranger(trunk, method, to))
        response = await trunk.hear(status)
        await trunk.until(lambda: len(trunk.times(status)) == 2)
        assert tag_of(response.headers.get("To") or "")
        via = parse_via(response.headers.get("Via") or "")
        assert (via.parameters["received"], via.parameters["rport"]) == ("127.0.0.1", str(trunk.port))
        assert ear.names == ["sent", 200, "answered"]


async def test_a_bye_with_wrong_tags_does_not_end_the_call() -> None:
    async with open_trunk() as trunk, house(trunk) as home:
        invite, ear = await agents_address(trunk, home)
        trunk.ask(invite, "BYE", 1, tag="forged")
        await trunk.hear("481")
        trunk.ask(invite, "BYE", 2, [("To", "<sip:us@x>;tag=guessed")])
        await trunk.hear("481")
        assert ear.names == ["sent", 200, "answered"]


async def test_a_flood_of_strangers_is_answered_in_part() -> None:
    async with open_trunk() as trunk, house(trunk) as home:
        await agents_address(trunk, home)
        flow = await home.transports.flow(_target(trunk))
        for number in range(1_000):
            home.agent.received(flow, stranger(trunk, "OPTIONS", call_id=f"flood-{number}"))
        await trunk.until(lambda: len(trunk.times("200")) >= 100)
        assert 100 <= len(trunk.times("200")) <= 120


async def test_a_call_that_asks_too_much_is_answered_in_part_and_its_bye_always() -> None:
    async with open_trunk() as trunk, house(trunk) as home:
        ear = Ear()
        home.dial(ear)
        invite = await answered(trunk, ear)
        flow = await home.transports.flow(_target(trunk))
        for number in range(1, MOST_OF_A_CALL + 50):
            home.agent.received(flow, render(trunk.ask(replace(invite, back=_nowhere), "INFO", number)))
            await asyncio.sleep(0)  # for the trunk to read
        trunk.ask(invite, "BYE", MOST_OF_A_CALL + 50)
        assert (await ear.end()).by is HungUpBy.CALLEE
        await trunk.until(lambda: len(trunk.times("200")) > MOST_OF_A_CALL)
        assert len(trunk.times("200")) == MOST_OF_A_CALL + 1


def _nowhere(_: bytes) -> None:
    """Where nothing arrives."""


def _target(trunk: Trunk) -> Target:
    return Target(Transport.UDP, "127.0.0.1", trunk.port, "127.0.0.1")


async def test_responses_to_nobody_change_nothing() -> None:
    async with open_trunk() as trunk, house(trunk) as home:
        ear = Ear()
        home.dial(ear)
        invite = await trunk.hear("INVITE")
        own = invite.headers.get("Via") or ""
        for via in (
            own.replace("branch=z9hG4bK", "branch=z9hG4bKx"),
            "SIP/2.0/UDP 127.0.0.1",
            f"{own}, SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKy",
            "nonsense",
        ):
            trunk.say(invite, 486, "Busy", [("Via", via)])
        trunk.say(invite, 486, "Busy", [("CSeq", "1 BYE")])
        trunk.say(invite, 404, "Not Found")
        assert await ear.end() == LegEnded(HungUpBy.NETWORK, 404, "Not Found", None, None)


async def test_more_forks_than_there_are_phones_do_not_pile_up() -> None:
    async with open_trunk() as trunk, house(trunk) as home:
        ear = Ear()
        leg = home.dial(ear)
        invite = await trunk.hear("INVITE")
        for number in range(60):
            trunk.say(invite, 180, tag=f"phone-{number}")
        trunk.say(invite, 200, "OK", SDP, ANSWER, tag="phone-0")
        await trunk.hear("ACK")
        await ear.until("answered")
        assert leg.is_answered


# --- garbage -----------------------------------------------------------------------------------------------------

_PIECES = (
    *(b"SIP/2.0 ", b"200", b" OK\r\n", b"INVITE ", b"BYE ", b"sip:us@x", b" SIP/2.0\r\n", b"Via: ", b"v:", b"\r\n"),
    *(b"SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK", b"From: <sip:a@b>;tag=1\r\n", b"To: <sip:a@b>;tag=2\r\n"),
    *(b"Call-ID: x\r\n", b"CSeq: 1 BYE\r\n", b"CSeq: 99999999999 \r\n", b"Content-Length: 5\r\n"),
    *(
        b"Content-Length: -1\r\n",
        b"\r\n\r\n",
        b"\x00",
        b'"',
        b"<",
        b">",
        b";",
        b",",
        b"\\",
        b"=",
        b"\xff\xfe",
        b"a" * 300,
    ),
)


async def test_whatever_comes_in_the_agent_stays() -> None:
    dice = random.Random(3261)
    async with open_trunk() as trunk, house(trunk) as home:
        ear = Ear()
        leg = home.dial(ear)
        invite = await answered(trunk, ear)
        flow = await home.transports.flow(_target(trunk))
        for _ in range(3_000):
            home.agent.received(flow, dice.randbytes(dice.randrange(60)))
            home.agent.received(flow, b"".join(dice.choices(_PIECES, k=dice.randrange(40))))
            mutated = bytearray(trunk.last_sent)
            for _ in range(dice.randrange(1, 6)):
                mutated[dice.randrange(len(mutated))] = dice.choice(b' \r\n\t,;=<>"\\:@0aZ\x00\xff')
            home.agent.received(flow, bytes(mutated))
        assert home.agent.unreadable > 3_000
        assert leg.is_answered
        trunk.unheard.clear()
        trunk.ask(invite, "BYE", 100_000)
        assert (await ear.end()).by is HungUpBy.CALLEE


@pytest.mark.parametrize("status", [180, 183, 200, 302, 401, 486])
async def test_an_odd_header_in_a_response_leaves_a_call_that_can_end(status: int) -> None:
    dice = random.Random(status)
    names = ("Via", "From", "To", "Contact", "Record-Route", "Require", "RSeq", "Reason", "CSeq", "WWW-Authenticate")
    async with open_trunk() as trunk, house(trunk, timers=QUICK, username="u") as home:
        for _ in range(40):
            ear = Ear()
            leg = home.dial(ear, dial_ms=300)
            await trunk.until(lambda: any(heard.name == "INVITE" for heard in trunk.unheard))
            invite = next(heard for heard in trunk.unheard if heard.name == "INVITE")
            value = "".join(dice.choices(' \t,;=<>"\\:@?[]*abc019%-_.é', k=dice.randrange(60)))
            trunk.say(invite, status, "Odd", [(dice.choice(names), value)])
            trunk.say(invite, 486)
            await ear.until("sent")
            leg.hang_up()
            await ear.end(3.0)
            trunk.unheard.clear()
            assert ear.names.count("ended") == 1
            assert ear.names[-1] == "ended"
