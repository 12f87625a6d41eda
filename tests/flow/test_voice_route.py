"""The voice route against the sandbox's telephones: every end of a call, and what is told of it, by real processes."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time

import pytest
import trustme
from voice_route_kit import CALLER, LISTENER, PROCESS, SOON, Engine, Saying, magic, network, routed

from campana.channels.contract import Accepted, Health
from campana.channels.errors import RefusedForGood, Throttled, Uncertain, Unreachable, Withdrawn
from campana.channels.voice.speech.contract import SpeechRefused, SpeechUnavailable
from campana.domain.call import HungUpBy, VoiceSuccess
from campana.domain.outcome import DeliveryCode, ReceiptState
from campana.sandbox.sip import SipSimulator
from campana.sandbox.sip_phones import EndedBy, Moment

C, DELIVERED, FAILED = DeliveryCode, ReceiptState.DELIVERED, ReceiptState.FAILED


# --- calls and their ends ----------------------------------------------------------------------------------------


async def test_a_text_is_heard_as_often_as_asked_and_told_of_with_all_that_was_lived(tmp_path) -> None:
    async with network(tmp_path, ms=600) as (trunk, engine):
        began = time.time_ns() // 1_000_000
        receipt = await engine.call(LISTENER, plays=2)
        call = await trunk.expect(LISTENER)
        report = receipt.call
        assert (receipt.state, receipt.code, receipt.carrier_code) == (DELIVERED, C.OK, "200")
        assert report is not None
        assert (report.plays, report.heard_ms, report.ended_by, report.sip_status) == (2, 1_200, HungUpBy.US, 200)
        assert (report.digits, report.acknowledged) == ("", False)
        assert report.ringing_ms is not None
        assert 20 <= report.ringing_ms <= 600
        assert began <= report.began_at <= report.answered_at <= report.ended_at - 1_300
        assert (call.caller, call.caller_name, call.ended_by) == (CALLER, "Campana", EndedBy.CALLER)
        assert bytes(call.heard).count(engine.saying.noise) == 2
        assert list(trunk.complaints) == []
    assert engine.saying.asked == [("As agreed.", "")]
    assert len(engine.news) == 1


FATES = [
    ("40", {}, FAILED, C.VOICE_CUT_SHORT, HungUpBy.CALLEE, "200"),
    ("42", {}, FAILED, C.VOICE_BUSY, HungUpBy.CALLEE, "486 Q.850;cause=17"),
    ("44", {"dial_ms": 1_000}, FAILED, C.VOICE_NO_ANSWER, HungUpBy.US, None),
    ("45", {}, FAILED, C.VOICE_NUMBER_UNKNOWN, HungUpBy.NETWORK, "404 Q.850;cause=1"),
    ("46", {}, FAILED, C.VOICE_DECLINED, HungUpBy.CALLEE, "603 Q.850;cause=21"),
    ("48", {"success": VoiceSuccess.ACKNOWLEDGED}, DELIVERED, C.OK, HungUpBy.US, "200"),
    ("49", {"success": VoiceSuccess.ACKNOWLEDGED, "acknowledge_keys": "5"}, DELIVERED, C.OK, HungUpBy.US, "200"),
    ("49", {"success": VoiceSuccess.ACKNOWLEDGED}, FAILED, C.VOICE_NOT_ACKNOWLEDGED, HungUpBy.US, "200"),
    ("40", {"success": VoiceSuccess.ANSWERED}, DELIVERED, C.OK, HungUpBy.CALLEE, "200"),
    ("50", {}, FAILED, C.VOICE_UNREACHABLE, HungUpBy.NETWORK, "500 Q.850;cause=38"),
    ("52", {}, FAILED, C.VOICE_NO_COMMON_MEDIA, HungUpBy.NETWORK, "488"),
    ("54", {}, DELIVERED, C.OK, HungUpBy.US, "200"),
    ("55", {}, DELIVERED, C.OK, HungUpBy.US, "200"),
    ("56", {"dial_ms": 1_500}, FAILED, C.VOICE_UNREACHABLE, HungUpBy.NETWORK, None),
]


async def test_every_end_of_a_call_is_told_as_what_it_was(tmp_path) -> None:
    async with network(tmp_path, ms=800) as (trunk, engine):
        # Side by side, each to a telephone of its own: with another area code the fate is the same.
        numbers = [f"+1{416 + n}55501{fate[0]}" for n, fate in enumerate(FATES)]
        told = await asyncio.gather(
            *(engine.call(number, **fate[1]) for number, fate in zip(numbers, FATES, strict=True))
        )
        for (digits, plan, state, code, by, carrier_code), receipt in zip(FATES, told, strict=True):
            label = f"{digits} {plan}"
            assert (receipt.state, receipt.code) == (state, code), label
            assert receipt.call is not None, label
            assert receipt.call.ended_by is by, label
            if carrier_code is not None:
                assert receipt.carrier_code == carrier_code, label
        assert len(engine.news) == len(FATES)
        assert list(trunk.complaints) == []


async def test_the_dial_timeout_ends_the_ringing_on_time(tmp_path) -> None:
    async with network(tmp_path) as (trunk, engine):
        receipt = await engine.call(magic("44"), dial_ms=1_200)
        call = await trunk.expect(magic("44"))
        assert receipt.call is not None
        assert call.ended_at is not None
        assert abs(call.ended_at - call.invited_at - 1.2) < 0.05
        assert abs(receipt.call.ringing_ms - 1_200) < 60
        assert (call.cancels, call.byes) == (1, 0)


async def test_an_acknowledging_key_ends_the_play(tmp_path) -> None:
    async with network(tmp_path, ms=5_000) as (trunk, engine):
        receipt = await engine.call(magic("48"), plays=3, acknowledge_keys="1")
        call = await trunk.expect(magic("48"))
        assert receipt.call is not None
        assert (receipt.call.digits, receipt.call.acknowledged, receipt.call.plays) == ("1", True, 0)
        assert 100 <= receipt.call.heard_ms < 1_500
        assert call.ended_at - call.answered_at < 2.0


async def test_a_trunk_of_both_ip_versions_is_heard_over_the_one_that_answers(tmp_path) -> None:
    async with SipSimulator() as gone:
        pass
    async with (
        SipSimulator("::1", ring=0.05) as trunk,
        routed(f"sip:127.0.0.1:{gone.port}", tmp_path, backups=[f"sip:[::1]:{trunk.port}"]) as engine,
    ):
        receipt = await engine.call(LISTENER)
        call = await trunk.expect(LISTENER)
        assert (receipt.state, receipt.code) == (DELIVERED, C.OK)
        assert bytes(call.heard).count(engine.saying.noise) == 1
        assert list(trunk.complaints) == []


# --- what never leaves -------------------------------------------------------------------------------------------


async def test_without_a_permit_at_the_last_moment_no_packet_leaves(tmp_path) -> None:
    async with network(tmp_path) as (trunk, engine):
        asked = []

        def permit() -> bool:
            asked.append(1)
            return False

        (result,) = await engine.send(LISTENER, permit=permit)
        assert isinstance(result, Withdrawn)
        assert len(asked) == 1
        assert (trunk.requests["INVITE"], engine.news) == (0, [])
        assert (await engine.call()).state is DELIVERED


@pytest.mark.parametrize(
    ("problem", "kind", "code"),
    [
        (SpeechRefused("Nothing can be heard of it."), RefusedForGood, C.UNRENDERABLE),
        (SpeechUnavailable("No engine is here."), Unreachable, C.VOICE_SPEECH_UNAVAILABLE),
        (PermissionError("a clip that cannot be cleared away"), Unreachable, C.VOICE_SPEECH_UNAVAILABLE),
    ],
)
async def test_nobody_is_dialled_without_the_text(tmp_path, problem, kind, code) -> None:
    async with network(tmp_path) as (trunk, engine):
        engine.saying.problems = [problem]
        results = await engine.send(LISTENER, magic("60"))
        assert isinstance(results[0], kind)
        assert results[0].code is code
        assert isinstance(results[1], Accepted)
        assert trunk.counts[LISTENER] == 0


async def test_a_text_that_was_cleared_away_is_spoken_again(tmp_path) -> None:
    async with network(tmp_path) as (_, engine):
        lost = []

        def lose_the_first(clip) -> None:
            if not lost:
                lost.append(clip)
                clip.pcma.unlink()

        engine.saying.on_clip = lose_the_first
        assert (await engine.call()).state is DELIVERED
        assert len(engine.saying.asked) == 2


async def test_a_text_that_is_cleared_away_again_and_again_waits(tmp_path) -> None:
    async with network(tmp_path) as (trunk, engine):
        engine.saying.on_clip = lambda clip: clip.pcma.unlink()
        (result,) = await engine.send(LISTENER)
        assert isinstance(result, Unreachable)
        assert result.code is C.VOICE_SPEECH_UNAVAILABLE
        assert trunk.requests["INVITE"] == 0


async def test_more_calls_than_lines_are_told_to_slow_down(tmp_path) -> None:
    async with network(tmp_path, calls=2) as (_, engine):
        results = await engine.send(*(magic("44"),) * 3, dial_ms=1_000)
        assert [type(result) for result in results] == [Accepted, Accepted, Throttled]
        await engine.until(lambda: len(engine.news) == 2)
        assert (await engine.call()).state is DELIVERED


async def test_a_trunk_that_is_not_there_reached_nobody(tmp_path) -> None:
    async with SipSimulator() as trunk:
        port = trunk.port
    async with routed(f"sip:127.0.0.1:{port};transport=tcp", tmp_path) as engine:
        (result,) = await engine.send(LISTENER)
        assert isinstance(result, Unreachable)
        assert engine.news == []


async def test_a_trunk_that_answers_no_ping_is_down_and_comes_back(tmp_path) -> None:
    async with SipSimulator(silent=True) as trunk:
        engine = Engine(f"sip:127.0.0.1:{trunk.port}", Saying(tmp_path), ping=0.2)
        await engine.route.start(engine)
        try:
            (result,) = await engine.send(LISTENER)
            assert isinstance(result, Unreachable)
            trunk.silent = False
            await asyncio.wait_for(engine.up(), 60)
            assert (await engine.call()).state is DELIVERED
        finally:
            await engine.route.stop(2.0)


# --- a media process that dies -----------------------------------------------------------------------------------


async def test_a_killed_media_process_leaves_its_calls_uncertain_once_and_the_next_call_works(tmp_path) -> None:
    async with network(tmp_path, ms=20_000) as (trunk, engine):
        ringing, speaking = await engine.accepted(magic("44"), LISTENER)
        await trunk.until(LISTENER, Moment.TEXT)
        pid = engine.route.media_pid
        os.kill(pid, signal.SIGKILL)
        for call_id in (ringing, speaking):
            receipt = await engine.receipt(call_id)
            assert (receipt.state, receipt.code, receipt.call) == (FAILED, C.UNCERTAIN, None)
        await engine.up()
        assert engine.route.media_pid not in (None, pid)
        engine.saying.ms = 300
        assert (await engine.call(magic("55"))).state is DELIVERED
        assert len(engine.news) == 3


async def test_a_media_process_that_hangs_is_killed_and_replaced(tmp_path) -> None:
    async with network(tmp_path, ms=20_000) as (_, engine):
        (call_id,) = await engine.accepted(LISTENER)
        pid = engine.route.media_pid
        os.kill(pid, signal.SIGSTOP)
        assert (await engine.receipt(call_id)).code is C.UNCERTAIN
        await engine.until(lambda: engine.route.media_pid not in (None, pid))
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_a_media_process_that_cannot_work_says_why_and_is_started_again_until_it_can(tmp_path) -> None:
    authorities = tmp_path / "ca.pem"
    engine = Engine("sips:127.0.0.1", Saying(tmp_path), tls_ca=authorities)
    await engine.route.start(engine)
    try:
        await engine.until(lambda: engine.route.state.health is Health.DOWN)
        assert "tls_ca" in engine.route.state.reason
        trustme.CA().cert_pem.write_to_path(str(authorities))
        await engine.up()
    finally:
        await engine.route.stop(2.0)


async def test_calls_that_were_told_to_go_are_uncertain_and_others_never_left(tmp_path) -> None:
    async with network(tmp_path) as (trunk, engine):
        trunk.silent = True
        asked = asyncio.Event()

        def permit() -> bool:
            asked.set()
            return True

        sending = asyncio.create_task(engine.send(LISTENER, permit=permit))
        await asyncio.wait_for(asked.wait(), SOON)
        os.kill(engine.route.media_pid, signal.SIGKILL)
        (result,) = await sending
        assert isinstance(result, Uncertain)
        assert engine.news == []


async def test_a_dead_route_is_told_within_its_grace(tmp_path) -> None:
    async with SipSimulator() as trunk:
        engine = Engine(f"sip:127.0.0.1:{trunk.port}", Saying(tmp_path))
        began = time.monotonic()
        (result,) = await engine.send(LISTENER)
        assert isinstance(result, Unreachable)
        assert time.monotonic() - began < 2.0


# --- stopping, asking, checking ----------------------------------------------------------------------------------


async def test_a_stop_hangs_up_and_hands_in_what_became_of_every_call(tmp_path) -> None:
    async with network(tmp_path, ms=20_000) as (trunk, engine):
        ringing, speaking = await engine.accepted(magic("44"), LISTENER, dial_ms=60_000)
        await trunk.until(LISTENER, Moment.TEXT)
        await trunk.until(magic("44"), Moment.RINGING)
        began = time.monotonic()
        await engine.route.stop(3.0)
        assert time.monotonic() - began < 3.0
        told = {receipt.carrier_ids[0]: receipt.code for receipt in engine.news}
        assert told == {ringing: C.VOICE_NO_ANSWER, speaking: C.VOICE_INTERRUPTED}
        assert [(call.cancels, call.byes) for call in trunk.calls] == [(1, 0), (0, 1)]
        assert engine.route.state.health is Health.DOWN
        assert isinstance((await engine.send(LISTENER))[0], Unreachable)


async def test_a_stop_lets_calls_end_by_themselves_as_long_as_its_budget_allows(tmp_path) -> None:
    async with network(tmp_path, ms=1_000) as (trunk, engine):
        (call_id,) = await engine.accepted(LISTENER)
        await trunk.until(LISTENER, Moment.TEXT)
        await engine.route.stop(8.0)
        assert [(one.carrier_ids, one.code) for one in engine.news] == [((call_id,), C.OK)]


async def test_nobody_counts_the_connections_of_a_trunk(tmp_path) -> None:
    engine = Engine("sip:127.0.0.1:5060", Saying(tmp_path))
    before = engine.route.state.health, engine.route.state.reason
    engine.route.allow(0)
    assert (engine.route.state.health, engine.route.state.reason) == before
    assert (engine.route.connections, engine.route.settings.most_connections) == (0, 0)


async def test_a_call_that_is_up_is_still_at_it_and_nobody_knows_of_others(tmp_path) -> None:
    async with network(tmp_path, ms=1_000) as (trunk, engine):
        (call_id,) = await engine.accepted(LISTENER)
        # By it, this process's calls can be told from others'.
        assert re.fullmatch(PROCESS + "[0-9a-f]{24}", call_id)
        asked = await engine.route.query(call_id, CALLER, LISTENER)
        assert asked is not None
        assert asked.state is ReceiptState.INTERIM
        await engine.receipt(call_id)
        assert (await trunk.expect(LISTENER)).call_id == call_id
        assert await engine.route.query(call_id, CALLER, LISTENER) is None
        assert await engine.route.query("other", CALLER, LISTENER) is None


async def test_a_check_asks_the_trunk_and_leaves_nothing_behind(tmp_path) -> None:
    async with SipSimulator() as trunk:
        report = await Engine(f"sip:127.0.0.1:{trunk.port}", Saying(tmp_path)).route.check()
        assert report.ok
        assert ("speech", "espeak:en-gb (en-GB)") in report.facts
        assert trunk.requests["OPTIONS"] == 1
        assert trunk.requests["REGISTER"] == 0


async def test_a_check_of_a_trunk_that_is_not_there_says_so(tmp_path) -> None:
    async with SipSimulator() as trunk:
        port = trunk.port
    report = await Engine(f"sip:127.0.0.1:{port};transport=tcp", Saying(tmp_path)).route.check()
    assert not report.ok
    assert report.problem


async def test_figures_of_the_pace_are_told_while_calls_are_up(tmp_path) -> None:
    async with network(tmp_path, ms=2_500) as (_, engine):
        await engine.call()
        figures = engine.route.figures
        assert figures is not None
        assert figures.packets_sent > 0
