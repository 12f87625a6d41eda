"""A trunk that says things more than once or across each other, at moments of its choice (RFC 3261, section 17)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from ear_kit import ear
from trunk_kit import Heard, RawTrunk, raw_trunk, sdp
from voice_kit import FixedSpeech, Told, calling

from campana.domain.call import HungUpBy
from campana.domain.outcome import DeliveryCode

C = DeliveryCode
Answer = Callable[[RawTrunk, Heard], None]


async def call(answer: Answer, folder: Path, count: int = 1, **plan) -> tuple[list[Told], RawTrunk]:
    """Some calls at once to a trunk that answers so; all that the route said until it had stopped is heard."""
    async with raw_trunk(answer) as trunk:
        async with calling(trunk.url, FixedSpeech(folder)) as caller:
            results = await asyncio.gather(*(caller.call(f"+141655501{n:02}", **plan) for n in range(count)))
        trunk.read()
    return results, trunk


def branches(requests: Sequence[Heard]) -> set[str]:
    return {request["Via"].split("branch=")[1] for request in requests}


async def test_each_repeated_refusal_is_acknowledged_within_its_transaction(tmp_path: Path) -> None:
    def answer(trunk: RawTrunk, heard: Heard) -> None:
        if heard.method == "INVITE":
            trunk.say(heard, heard.response(180), *[heard.response(486)] * 3)

    (told,), trunk = await call(answer, tmp_path)
    assert len(trunk.of("ACK")) == 3
    assert told.code is C.VOICE_BUSY
    assert branches(trunk.of("ACK")) == branches(trunk.of("INVITE"))
    assert {ack["CSeq"] for ack in trunk.of("ACK")} == {trunk.of("INVITE")[0]["CSeq"].replace("INVITE", "ACK")}


async def test_each_repeated_answer_is_acknowledged_outside_of_its_transaction(tmp_path: Path) -> None:
    def answer(trunk: RawTrunk, heard: Heard) -> None:
        if heard.method == "INVITE":
            yes = heard.response(200, trunk.contact, body=sdp(listener.port))
            trunk.say(heard, heard.response(180), heard.response(180), yes, yes, yes)
        elif heard.method == "BYE":
            trunk.say(heard, heard.response(200))

    async with ear() as listener:
        (told,), trunk = await call(answer, tmp_path)
    assert len(trunk.of("ACK")) == 3
    assert (told.code, told.report.plays) == (C.OK, 1)
    assert len({ack.text for ack in trunk.of("ACK")}) == 1
    assert branches(trunk.of("ACK")).isdisjoint(branches(trunk.of("INVITE")))
    assert len(trunk.of("BYE")) == 1


async def test_an_answer_repeated_after_the_bye_is_still_acknowledged(tmp_path: Path) -> None:
    """The ACK was lost: the callee says 200 until it hears one (section 13.3.1.4)."""

    def answer(trunk: RawTrunk, heard: Heard) -> None:
        (invite,) = trunk.of("INVITE")
        yes = invite.response(200, trunk.contact, body=sdp(listener.port))
        if heard.method == "INVITE":
            trunk.say(heard, yes)
        elif heard.method == "BYE":
            trunk.say(heard, yes, heard.response(200))

    async with ear() as listener:
        (told,), trunk = await call(answer, tmp_path)
    assert len(trunk.of("ACK")) == 2
    assert told.code is C.OK


async def test_each_repeated_bye_is_answered(tmp_path: Path) -> None:
    def answer(trunk: RawTrunk, heard: Heard) -> None:
        if heard.method == "INVITE":
            trunk.say(heard, heard.response(200, trunk.contact, body=sdp(listener.port)))
        elif heard.method == "ACK":
            (invite,) = trunk.of("INVITE")
            lines = [f"BYE sip:us@{heard.sender[0]}:{heard.sender[1]} SIP/2.0"]
            lines += [f"Via: SIP/2.0/UDP 127.0.0.1:{trunk.port};branch=z9hG4bKsame", f"From: {invite['To']};tag=raw"]
            lines += [f"To: {invite['From']}", f"Call-ID: {invite['Call-ID']}", "CSeq: 7 BYE", "Content-Length: 0"]
            trunk.say(heard, *["\r\n".join([*lines, "", ""]).encode()] * 3)

    async with ear() as listener:
        (told,), trunk = await call(answer, tmp_path)
    assert len(trunk.of("SIP/2.0")) == 3
    assert told.code is C.VOICE_CUT_SHORT
    assert {heard.text.split(" ")[1] for heard in trunk.of("SIP/2.0")} == {"200"}


async def test_an_answer_on_its_way_while_we_cancel_is_acknowledged_and_hung_up(tmp_path: Path) -> None:
    """200 to the INVITE left before the CANCEL came, which then finds nothing to cancel (section 9.2)."""

    def answer(trunk: RawTrunk, heard: Heard) -> None:
        (invite,) = trunk.of("INVITE", heard["Call-ID"])
        if heard.method == "INVITE":
            trunk.say(heard, heard.response(180))
        elif heard.method == "CANCEL":
            yes = invite.response(200, trunk.contact, body=sdp(9))
            trunk.say(heard, yes, heard.response(481), yes)
        elif heard.method == "BYE":
            trunk.say(heard, heard.response(200))

    results, trunk = await call(answer, tmp_path, count=5, dial_ms=600)
    for told in results:
        assert (told.code, told.report.ended_by, told.report.plays) == (C.VOICE_NO_ANSWER, HungUpBy.US, 0)
        (call_id,) = told.late.carrier_ids
        assert len(trunk.of("ACK", call_id)) == 2
        assert len(trunk.of("BYE", call_id)) == 1


async def test_a_trunk_that_never_ends_a_cancelled_call_does_not_keep_it(tmp_path: Path) -> None:
    """It answers the CANCEL and says no 487: the transaction is given up after 64*T1 at most (section 9.1)."""

    def answer(trunk: RawTrunk, heard: Heard) -> None:
        if heard.method == "INVITE":
            trunk.say(heard, heard.response(180))
        elif heard.method == "CANCEL":
            trunk.say(heard, heard.response(200))

    (told,), trunk = await call(answer, tmp_path, dial_ms=600)
    assert (told.code, told.report.sip_status) == (C.VOICE_NO_ANSWER, None)
    assert len(trunk.of("CANCEL")) == 1
