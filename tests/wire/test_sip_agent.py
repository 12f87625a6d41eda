"""Calls over real sockets with a trunk that follows a script: ringing, answering, hanging up, and who says what."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from campana.channels.voice.sip.contract import LegEnded, Timers
from campana.channels.voice.sip.headers import parse_via
from campana.channels.voice.sip.message import render, tag_of
from campana.channels.voice.sip.problem import Problem
from campana.domain.call import HungUpBy
from tests.wire.sip_kit import (
    ANSWER,
    OFFER,
    QUICK,
    SDP,
    Ear,
    Trunk,
    answered,
    house,
    open_stream_trunk,
    open_trunk,
)


async def test_a_call_that_is_answered_and_hung_up_by_us() -> None:
    async with open_trunk() as trunk, house(trunk) as home:
        ear = Ear()
        leg = home.dial(ear, call_id="matched-by-this")
        invite = await trunk.hear("INVITE")
        assert invite.request.uri == f"sip:+15550100@127.0.0.1:{trunk.port}"
        assert invite.request.body == OFFER
        assert {name: invite.headers.get(name) for name in ("Call-ID", "CSeq", "Max-Forwards", "User-Agent")} == {
            "Call-ID": "matched-by-this",
            "CSeq": "1 INVITE",
            "Max-Forwards": "70",
            "User-Agent": "Campana",
        }
        assert invite.headers.get("P-Asserted-Identity") == "<sip:+15550199@trunk.test>"
        via = parse_via(invite.headers.get("Via") or "")
        assert via.branch.startswith("z9hG4bK")
        assert "rport" in via.parameters
        trunk.say(invite, 100)
        trunk.say(invite, 180)
        trunk.say(invite, 200, "OK", SDP, ANSWER)
        ack = await trunk.hear("ACK")
        assert ack.request.uri == f"sip:callee@127.0.0.1:{trunk.port}"
        assert ack.headers.get("CSeq") == "1 ACK"
        assert tag_of(ack.headers.get("To") or "") == "callee"
        assert parse_via(ack.headers.get("Via") or "").branch != via.branch
        await ear.until("answered")
        assert leg.is_answered
        leg.hang_up()
        leg.hang_up()
        bye = await trunk.hear("BYE")
        assert bye.headers.get("CSeq") == "2 BYE"
        trunk.say(bye, 200)
        assert await ear.end() == LegEnded(HungUpBy.US, 200, "", None, None)
        assert ear.names == ["sent", 100, 180, 200, "answered", "ended"]
        assert ear.events[4] == ("answered", ANSWER)
        assert not leg.is_answered


async def test_they_hang_up_and_say_why() -> None:
    async with open_trunk() as trunk, house(trunk) as home:
        ear = Ear()
        home.dial(ear)
        invite = await answered(trunk, ear)
        trunk.ask(invite, "BYE", 7, [("Reason", 'SIP;cause=200;text="x", Q.850 ;cause=16 ;text="Normal, clearing"')])
        assert (await trunk.hear("200")).headers.get("CSeq") == "7 BYE"
        assert await ear.end() == LegEnded(HungUpBy.CALLEE, 200, "Normal, clearing", 16, None)
        trunk.ask(invite, "BYE", 8)
        await trunk.hear("481")


@pytest.mark.parametrize(
    ("status", "reason", "rings", "by"),
    [
        (486, "Busy Here", False, HungUpBy.CALLEE),
        (600, "Busy Everywhere", False, HungUpBy.CALLEE),
        (603, "Decline", True, HungUpBy.CALLEE),
        (607, "Unwanted", True, HungUpBy.CALLEE),
        (480, "Temporarily Unavailable", True, HungUpBy.CALLEE),
        (480, "Temporarily Unavailable", False, HungUpBy.NETWORK),
        (404, "Not Found", False, HungUpBy.NETWORK),
        (403, "Forbidden", False, HungUpBy.NETWORK),
        (488, "Not Acceptable Here", False, HungUpBy.NETWORK),
        (500, "Server Internal Error", False, HungUpBy.NETWORK),
    ],
)
async def test_refusals_are_acknowledged_with_the_branch_of_the_invite(
    status: int, reason: str, rings: bool, by: HungUpBy
) -> None:
    async with open_trunk() as trunk, house(trunk) as home:
        ear = Ear()
        home.dial(ear)
        invite = await trunk.hear("INVITE")
        if rings:
            trunk.say(invite, 183)
        refusal = trunk.say(invite, status, reason)
        ack = await trunk.hear("ACK")
        assert ack.headers.get("Via") == invite.headers.get("Via")
        assert ack.headers.get("To") == refusal.headers.get("To")
        assert ack.headers.get("CSeq") == "1 ACK"
        assert ack.request.uri == invite.request.uri
        assert await ear.end() == LegEnded(by, status, reason, None, None)
        invite.back(render(refusal))
        await trunk.until(lambda: len(trunk.times("ACK")) == 2)
        assert [event[0] for event in ear.events].count("ended") == 1


async def test_the_reason_of_a_refusal_is_read() -> None:
    async with open_trunk() as trunk, house(trunk) as home:
        ear = Ear()
        home.dial(ear)
        invite = await trunk.hear("INVITE")
        trunk.say(invite, 500, "Oops", [("Reason", 'Q.850;cause=1;text="Unallocated (unassigned) number"')])
        assert await ear.end() == LegEnded(HungUpBy.NETWORK, 500, "Unallocated (unassigned) number", 1, None)


async def test_every_repetition_of_an_answer_is_acknowledged_with_the_same_ack() -> None:
    async with open_trunk() as trunk, house(trunk) as home:
        ear = Ear()
        home.dial(ear)
        invite = await trunk.hear("INVITE")
        answer = trunk.say(invite, 200, "OK", SDP, ANSWER)
        await trunk.hear("ACK")
        for count in (1, 2, 3):
            invite.back(render(answer))
            await trunk.until(lambda count=count: sum(trunk.repeated.values()) == count)  # type: ignore[misc]
        assert len(trunk.times("ACK")) == 4
        assert ear.names == ["sent", 200, "answered"]


async def test_an_invite_is_repeated_at_doubling_pauses_until_it_is_heard_of() -> None:
    timers = Timers(t1=0.04, t2=0.08, t4=0.1)
    async with open_trunk() as trunk, house(trunk, timers=timers) as home:
        ear = Ear()
        home.dial(ear)
        invite = await trunk.hear("INVITE")
        await trunk.until(lambda: len(trunk.times("INVITE")) == 5)
        trunk.say(invite, 100)
        await ear.until("responded")
        times = trunk.times("INVITE")
        pauses = [after - before for before, after in itertools.pairwise(times)]
        assert all(
            pause == trunk.near(due, 0.03) for pause, due in zip(pauses, (0.04, 0.08, 0.16, 0.32), strict=True)
        ), pauses
        # The next repetition would come after 0.64 s.
        with pytest.raises(TimeoutError):
            await trunk.until(lambda: len(trunk.times("INVITE")) > 5, within=0.8)


async def test_an_invite_that_nobody_answers_ends_with_timer_b() -> None:
    async with open_trunk() as trunk, house(trunk, timers=QUICK) as home:
        ear = Ear()
        home.dial(ear)
        assert await ear.end() == LegEnded(HungUpBy.NETWORK, None, "no answer in time", None, Problem.TIMEOUT, True)
        assert ear.at[-1] - ear.at[0] == trunk.near(0.64, 0.05)
        assert len(trunk.times("INVITE")) == 7
        assert trunk.times("CANCEL") == []


@pytest.mark.parametrize("rings", [100, 180, 183])
async def test_the_dial_timeout_cancels_to_the_moment(rings: int) -> None:
    async with open_trunk() as trunk, house(trunk) as home:
        ear = Ear()
        home.dial(ear, dial_ms=1_000)
        invite = await trunk.hear("INVITE")
        trunk.say(invite, rings)
        cancel = await trunk.hear("CANCEL")
        assert cancel.at - invite.at == trunk.near(1.0, 0.05)
        assert cancel.headers.get("Via") == invite.headers.get("Via")
        assert cancel.headers.get("CSeq") == "1 CANCEL"
        assert cancel.request.uri == invite.request.uri
        assert cancel.headers.get("To") == invite.headers.get("To")
        trunk.say(cancel, 200)
        trunk.say(invite, 487, "Request Terminated")
        await trunk.hear("ACK")
        assert await ear.end() == LegEnded(HungUpBy.US, 487, "Request Terminated", None, Problem.NO_ANSWER)


async def test_the_dial_timeout_without_any_response_sends_no_cancel_until_one_comes() -> None:
    async with open_trunk() as trunk, house(trunk) as home:
        ear = Ear()
        home.dial(ear, dial_ms=300)
        invite = await trunk.hear("INVITE")
        ended = await ear.end()
        assert (ended.by, ended.status, ended.problem) == (HungUpBy.NETWORK, None, Problem.TIMEOUT)
        assert ear.at[-1] - ear.at[0] == trunk.near(0.3, 0.05)
        trunk.say(invite, 180)
        cancel = await trunk.hear("CANCEL")
        trunk.say(cancel, 200)
        trunk.say(invite, 487)
        await trunk.hear("ACK")
        assert ear.names == ["sent", "ended"]


async def test_who_answers_after_the_timeout_is_acknowledged_and_hung_up() -> None:
    async with open_trunk() as trunk, house(trunk) as home:
        ear = Ear()
        home.dial(ear, dial_ms=200)
        invite = await trunk.hear("INVITE")
        await ear.end()
        trunk.say(invite, 200, "OK", SDP, ANSWER)
        await trunk.hear("ACK")
        trunk.say(await trunk.hear("BYE"), 200)
        assert ear.names == ["sent", "ended"]


async def test_an_answer_that_crosses_the_cancel_is_acknowledged_and_hung_up() -> None:
    async with open_trunk() as trunk, house(trunk) as home:
        ear = Ear()
        home.dial(ear, dial_ms=200)
        invite = await trunk.hear("INVITE")
        trunk.say(invite, 180)
        cancel = await trunk.hear("CANCEL")
        trunk.say(invite, 200, "OK", SDP, ANSWER)
        trunk.say(cancel, 481)
        await trunk.hear("ACK")
        trunk.say(await trunk.hear("BYE"), 200)
        ended = await ear.end()
        assert (ended.by, ended.status, ended.problem) == (HungUpBy.US, 200, Problem.NO_ANSWER)
        assert "answered" not in ear.names


async def test_a_call_that_is_withdrawn_before_any_response_is_cancelled_when_the_first_one_comes() -> None:
    async with open_trunk() as trunk, house(trunk) as home:
        ear = Ear()
        leg = home.dial(ear)
        invite = await trunk.hear("INVITE")
        leg.hang_up()
        trunk.say(invite, 100)
        cancel = await trunk.hear("CANCEL")
        trunk.say(cancel, 200)
        trunk.say(invite, 487, "Request Terminated")
        await trunk.hear("ACK")
        assert await ear.end() == LegEnded(HungUpBy.US, 487, "Request Terminated", None, None)


async def test_a_trunk_that_ignores_the_cancel_does_not_keep_the_call() -> None:
    async with open_trunk() as trunk, house(trunk, timers=QUICK) as home:
        ear = Ear()
        leg = home.dial(ear)
        invite = await trunk.hear("INVITE")
        trunk.say(invite, 180)
        await ear.until("responded")
        leg.hang_up()
        await trunk.hear("CANCEL")
        ended = await ear.end()
        assert (ended.by, ended.status, ended.problem) == (HungUpBy.US, None, None)
        trunk.say(invite, 200, "OK", SDP, ANSWER)
        await trunk.hear("ACK")
        trunk.say(await trunk.hear("BYE"), 200)


async def test_phones_that_answer_too_late_in_a_fork_are_hung_up() -> None:
    async with open_trunk() as trunk, house(trunk) as home:
        ear = Ear()
        leg = home.dial(ear)
        invite = await trunk.hear("INVITE")
        trunk.say(invite, 180, tag="one")
        trunk.say(invite, 180, tag="two")
        trunk.say(invite, 200, "OK", SDP, ANSWER, tag="two")
        assert tag_of((await trunk.hear("ACK")).headers.get("To") or "") == "two"
        for name in ("one", "three"):
            trunk.say(invite, 200, "OK", SDP, b"other", tag=name)
            assert tag_of((await trunk.hear("ACK")).headers.get("To") or "") == name
            bye = await trunk.hear("BYE")
            assert tag_of(bye.headers.get("To") or "") == name
            trunk.say(bye, 200)
        assert leg.is_answered
        assert ear.events[-1] == ("answered", ANSWER)


async def test_both_hang_up_at_once() -> None:
    async with open_trunk() as trunk, house(trunk) as home:
        ear = Ear()
        leg = home.dial(ear)
        invite = await answered(trunk, ear)
        leg.hang_up()
        bye = await trunk.hear("BYE")
        trunk.ask(invite, "BYE")
        assert (await trunk.hear("200")).headers.get("CSeq") == "1 BYE"
        trunk.say(bye, 200)
        assert (await ear.end()).by is HungUpBy.US
        assert ear.names.count("ended") == 1


async def test_a_bye_that_nobody_answers_is_repeated_up_to_t2_and_given_up() -> None:
    async with open_trunk() as trunk, house(trunk, timers=QUICK) as home:
        ear = Ear()
        leg = home.dial(ear)
        invite = await answered(trunk, ear)
        leg.hang_up()
        await ear.end()
        # 0, 10, 30, 70, then every 40 ms until 640 ms.
        await trunk.until(lambda: len(trunk.times("BYE")) >= 17)
        pauses = [b - a for a, b in zip(trunk.times("BYE"), trunk.times("BYE")[1:], strict=False)]
        assert all(
            pause == trunk.near(due, 0.015) for pause, due in zip(pauses, (0.01, 0.02, *[0.04] * 4), strict=False)
        ), pauses
        with pytest.raises(TimeoutError):
            await trunk.until(lambda: len(trunk.times("BYE")) > 19, within=0.5)
        trunk.ask(invite, "INFO")
        await trunk.hear("BYE")
        await trunk.hear("481")


async def test_a_bye_before_our_ack_could_come_ends_the_call() -> None:
    async with open_trunk() as trunk, house(trunk) as home:
        ear = Ear()
        home.dial(ear)
        invite = await trunk.hear("INVITE")
        trunk.say(invite, 180)
        await ear.until("responded")
        trunk.ask(invite, "BYE")
        await trunk.hear("200")
        ended = await ear.end()
        trunk.say(await trunk.hear("CANCEL"), 200)
        trunk.say(invite, 200, "OK", SDP, ANSWER)
        await trunk.hear("ACK")
        trunk.say(await trunk.hear("BYE"), 481)
        assert ended.by is HungUpBy.CALLEE


async def test_sound_before_the_answer_is_told_and_counts_where_the_answer_brings_none() -> None:
    async with open_trunk() as trunk, house(trunk) as home:
        ear = Ear()
        home.dial(ear)
        invite = await trunk.hear("INVITE")
        trunk.say(invite, 183, "Session Progress", SDP, b"early")
        trunk.say(invite, 200, "OK")
        await trunk.hear("ACK")
        await ear.until("answered")
        assert ear.events[1:] == [
            ("responded", 183),
            ("early_media", b"early"),
            ("responded", 200),
            ("answered", b"early"),
        ]


async def test_over_tcp_nothing_is_repeated_and_the_dialog_keeps_its_connection() -> None:
    async with open_stream_trunk() as trunk, house(trunk, timers=QUICK) as home:
        ear = Ear()
        leg = home.dial(ear)
        invite = await trunk.hear("INVITE")
        assert ";transport=tcp" in (invite.headers.get("Contact") or "")
        assert invite.request.uri.endswith(";transport=tcp")
        with pytest.raises(TimeoutError):
            await trunk.until(lambda: len(trunk.times("INVITE")) > 1, within=0.2)
        trunk.say(invite, 180)
        trunk.say(invite, 200, "OK", SDP, ANSWER)
        await trunk.hear("ACK")
        await ear.until("answered")
        leg.hang_up()
        trunk.say(await trunk.hear("BYE"), 200)
        assert len(trunk.writers) == 1


async def test_a_connection_that_breaks_while_it_rings_ends_the_call_and_a_new_one_carries_the_cancel() -> None:
    async with open_stream_trunk() as trunk, house(trunk) as home:
        ear = Ear()
        home.dial(ear)
        invite = await trunk.hear("INVITE")
        trunk.say(invite, 180)
        await ear.until("responded")
        trunk.writers[0].transport.abort()
        cancel = await trunk.hear("CANCEL")
        assert parse_via(cancel.headers.get("Via") or "").branch == parse_via(invite.headers.get("Via") or "").branch
        assert (await ear.end()).problem is Problem.TRANSPORT


async def test_a_bye_takes_a_new_connection_where_the_old_one_broke() -> None:
    async with open_stream_trunk() as trunk, house(trunk) as home:
        ear = Ear()
        leg = home.dial(ear)
        await answered(trunk, ear)
        trunk.writers[0].transport.abort()
        leg.hang_up()
        trunk.say(await trunk.hear("BYE"), 200)
        assert (await ear.end()).by is HungUpBy.US


async def test_stopping_hangs_up_what_is_left() -> None:
    async with open_trunk() as trunk, house(trunk) as home:
        talking, ringing = Ear(), Ear()
        home.dial(talking)
        await answered(trunk, talking)
        home.dial(ringing)
        invite = await trunk.hear("INVITE")
        trunk.say(invite, 180)
        await ringing.until("responded")
        stopping = asyncio.create_task(home.agent.stop(2.0))
        messages = [await trunk.hear(name) for name in await _names(trunk, 2)]
        for message in messages:
            trunk.say(message, 200)
        trunk.say(invite, 487)
        await stopping
        assert (await talking.end()).by is HungUpBy.US
        assert (await ringing.end()).by is HungUpBy.US


async def _names(trunk: Trunk, count: int) -> list[str]:
    await trunk.until(lambda: len(trunk.unheard) >= count)
    return [heard.name for heard in trunk.unheard]
