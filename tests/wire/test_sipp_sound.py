"""SIPp as the trunk and an ear beside it: what is heard, octet by octet, and the keys that are pressed."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
import pytest_asyncio
from ear_kit import Ear, ear
from sipp_kit import CONTACT, ENDS, SDP, Sipp, answer, ask, gets, hear, invite, needs_sipp, say, wait
from voice_kit import FixedSpeech, Line, Told, each, open_line

from campana.domain.call import VoiceSuccess
from campana.domain.outcome import DeliveryCode

pytestmark = [needs_sipp, pytest.mark.asyncio(loop_scope="module")]
C = DeliveryCode
SILENCE = {"pcma": 0xD5, "pcmu": 0xFF}
TALK = (invite(), say(180), answer(), hear("ACK"))

During = Callable[[Ear], Awaitable[None]]
Call = Callable[..., Awaitable[tuple[Told, Ear, FixedSpeech, Sipp]]]


async def nothing(_: Ear) -> None:
    """Only listen."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def line(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Line]:
    """The line of this module's tests."""
    async with open_line(tmp_path_factory.mktemp("line")) as opened:
        yield opened


@pytest.fixture
def call(line: Line) -> Call:
    """One call; `during` is done by the phone once it hears sound."""

    async def place(
        story: Sequence[str], folder: Path, plan: dict | None = None, during: During = nothing, **more
    ) -> tuple[Told, Ear, FixedSpeech, Sipp]:
        async with line.trunk(story, folder, **more) as (trunk, listener, caller, speech):
            result, _ = await asyncio.gather(caller.call(**(plan or {})), use(listener, during))
            await trunk.finish()
        return result, listener, speech, trunk

    return place


async def use(listener: Ear, during: During) -> None:
    """Wait for sound, then do it."""
    if during is not nothing:
        await listener.until(lambda: len(listener.packets) > 3)
        await during(listener)


LAWS = [
    # offered, answered, payload number, what is heard
    (("PCMA", "PCMU"), 8, "pcma"),
    (("PCMA", "PCMU"), 0, "pcmu"),
    (("PCMU",), 0, "pcmu"),
    (("PCMA",), 8, "pcma"),
]


async def test_every_octet_of_every_play_is_heard_in_the_law_of_the_answer(call: Call, tmp_path: Path) -> None:
    async def check(folder: Path, offered: tuple[str, ...], law: int, name: str) -> None:
        keys = {"law": law}
        result, heard, speech, trunk = await call([*TALK, *ENDS], folder, {"plays": 3}, keys=keys, codecs=offered)
        assert (result.code, result.report.plays) == (C.OK, 3)
        sound, clip = heard.sound(), getattr(speech, name)
        assert sound.count(clip) == 3
        assert set(sound.replace(clip, b"")) == {SILENCE[name]}
        first = sound.index(clip)
        second = sound.index(clip, first + 1)
        assert (second - first - len(clip)) / 8 == pytest.approx(100, abs=25)
        assert heard.kinds() == {law}
        assert {len(packet.payload) for packet in heard.packets} == {160}
        line = {("PCMA", "PCMU"): "8 0 101", ("PCMU",): "0 101", ("PCMA",): "8 101"}[offered]
        assert f"RTP/AVP {line}\n" in trunk.heard("INVITE")[0].text

    await each(LAWS, check, tmp_path)


async def test_packets_are_a_stream_by_the_book(call: Call, tmp_path: Path) -> None:
    """RFC 3550 and 3551: one source, numbers and stamps without a gap, a packet every 20 ms, the marker once."""
    _, heard, _, _ = await call([*TALK, *ENDS], tmp_path, {"plays": 2})
    packets = heard.packets
    assert len({packet.source for packet in packets}) == 1
    for before, after in pairwise(packets):
        assert (after.number - before.number) & 0xFFFF == 1
        assert (after.stamp - before.stamp) & 0xFFFFFFFF == 160
    gaps = sorted(after.at - before.at for before, after in pairwise(packets))
    assert sum(gaps) / len(gaps) == pytest.approx(0.020, abs=0.001)
    assert packets[0].marker
    assert heard.reports  # at least a goodbye (RFC 3550, section 6.3.7)
    kinds = {struct.unpack_from("!BBH", report)[1] for report in heard.reports}
    assert kinds <= {200, 201, 202}


async def test_early_sound_is_not_spoken_into(call: Call, tmp_path: Path) -> None:
    story = [invite(), say(183, CONTACT, body=SDP), wait(500), answer(), hear("ACK"), *ENDS]
    result, heard, speech, _ = await call(story, tmp_path)
    assert (result.code, result.report.plays) == (C.OK, 1)
    assert heard.sound().count(speech.pcma) == 1
    assert result.report.ringing_ms == pytest.approx(500, abs=100)


# --- keys ----------------------------------------------------------------------------------------------------------

Keys = list[tuple[str, dict]]
PRESSED: list[tuple[Keys, str]] = [
    ([(key, {}) for key in "0123456789*#ABCD"], "0123456789*#ABCD"),
    ([("5", {}), ("5", {})], "55"),
    ([("7", {"ends_only": True})], "7"),
    ([("3", {"ms": 300})], "3"),
]


async def test_keys_of_rfc_4733_are_heard_once_each(call: Call, tmp_path: Path) -> None:
    async def check(folder: Path, pressed: Keys, expected: str) -> None:
        async def press(phone: Ear) -> None:
            for key, how in pressed:
                phone.press(key, **how)
                heard = len(phone.packets)
                await phone.until(lambda heard=heard: len(phone.packets) > heard)

        result, _, _, _ = await call([*TALK, *ENDS], folder, {"plays": 2}, during=press, own=True)
        assert (result.report.digits, result.report.plays, result.code) == (expected, 2, C.OK)

    await each(PRESSED, check, tmp_path)


ANSWERED = [(101, 101), (97, 97), (97, 101)]


async def test_keys_are_heard_by_the_number_answered_and_by_the_number_offered(call: Call, tmp_path: Path) -> None:
    async def check(folder: Path, answered: int, used: int) -> None:
        async def press(phone: Ear) -> None:
            phone.press("9", kind=used)

        result, _, _, _ = await call([*TALK, *ENDS], folder, during=press, keys={"events": answered}, own=True)
        assert result.report.digits == "9"

    await each(ANSWERED, check, tmp_path)


async def test_keys_by_info_are_heard_in_both_spellings(call: Call, tmp_path: Path) -> None:
    bodies = ["Signal=1\nDuration=160", "Signal=10\nDuration=160", "Signal= 11\nDuration= 250", "5", "#"]
    presses = [part for n, body in enumerate(bodies, 1) for part in (ask("INFO", n, body=body), gets(200))]
    result, _, _, _ = await call([*TALK, *presses, *ENDS], tmp_path)
    assert result.report.digits == "1*#5#"
    assert result.code is C.OK


ASKED = {"success": VoiceSuccess.ACKNOWLEDGED}


async def test_an_acknowledging_key_ends_the_play_and_the_call(call: Call, tmp_path: Path) -> None:
    async def press(phone: Ear) -> None:
        phone.press("4")
        phone.press("1")

    result, heard, speech, _ = await call([*TALK, *ENDS], tmp_path, ASKED | {"plays": 3}, during=press)
    assert (result.code, result.delivered) == (C.OK, True)
    assert (result.report.digits, result.report.acknowledged, result.report.plays) == ("41", True, 0)
    assert result.report.heard_ms < 400
    assert speech.pcma not in heard.sound()


async def test_a_key_after_the_last_play_still_acknowledges(call: Call, tmp_path: Path) -> None:
    async def press(phone: Ear) -> None:
        await phone.until(lambda: phone.sound()[-480:] == bytes([SILENCE["pcma"]]) * 480 and len(phone.packets) > 25)
        phone.press("1")

    result, _, _, _ = await call([*TALK, *ENDS], tmp_path, ASKED, during=press, key_wait=3)
    assert (result.code, result.report.plays, result.report.acknowledged) == (C.OK, 1, True)


async def test_text_heard_and_no_key_pressed_is_not_acknowledged(call: Call, tmp_path: Path) -> None:
    result, _, _, _ = await call([*TALK, *ENDS], tmp_path, ASKED)
    assert (result.code, result.delivered, result.report.plays) == (C.VOICE_NOT_ACKNOWLEDGED, False, 1)


async def test_a_call_that_is_answered_is_enough_where_the_campaign_says_so(call: Call, tmp_path: Path) -> None:
    story = [*TALK, wait(100), ask("BYE", 1), gets(200)]
    result, _, _, _ = await call(story, tmp_path, {"success": VoiceSuccess.ANSWERED})
    assert (result.code, result.report.plays) == (C.OK, 0)


async def test_sound_of_strangers_is_no_key(call: Call, tmp_path: Path) -> None:
    """Without symmetric RTP the socket hears the address of the SDP alone."""

    async def press(phone: Ear) -> None:
        async with ear() as stranger:
            stranger.peer = phone.peer
            stranger.press("1")
        phone.press("2")

    result, _, _, _ = await call([*TALK, *ENDS], tmp_path, during=press)
    assert result.report.digits == "2"
