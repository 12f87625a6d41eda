"""Trunks that never come to an end: redirections, challenges and answers without number. Calls end, and are counted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count
from pathlib import Path

from ear_kit import ear
from sipp_kit import ENDS, REFUSED, TAG, answer, hear, invite, needs_sipp, reply, say, seen, sipp
from trunk_kit import Heard, RawTrunk, raw_trunk, sdp
from voice_kit import FixedSpeech, Told, calling

from campana.domain.call import HungUpBy
from campana.domain.outcome import DeliveryCode

C = DeliveryCode
Answer = Callable[[RawTrunk, Heard], None]


async def call(answer: Answer, folder: Path, **more) -> tuple[Told, RawTrunk]:
    async with raw_trunk(answer) as trunk:
        async with calling(trunk.url, FixedSpeech(folder), **more) as caller:
            told = await caller.call(dial_ms=3_000)
        trunk.read()
    return told, trunk


async def test_redirections_in_a_circle_end(tmp_path: Path) -> None:
    def answer(trunk: RawTrunk, heard: Heard) -> None:
        if heard.method == "INVITE":
            trunk.say(heard, heard.response(302, trunk.contact))

    told, trunk = await call(answer, tmp_path)
    assert told.code is C.VOICE_REFUSED
    assert 1 <= len(trunk.of("INVITE")) <= 3


async def test_redirections_to_ever_new_places_end(tmp_path: Path) -> None:
    places = count()

    def answer(trunk: RawTrunk, heard: Heard) -> None:
        if heard.method == "INVITE":
            contacts = [f"Contact: <sip:n{next(places)}@127.0.0.1:{trunk.port}>" for _ in range(50)]
            trunk.say(heard, heard.response(302, *contacts))

    told, trunk = await call(answer, tmp_path)
    assert told.code is C.VOICE_REFUSED
    assert 2 <= len(trunk.of("INVITE")) <= 20


async def test_a_trunk_whose_nonces_are_always_stale_is_given_up(tmp_path: Path) -> None:
    def answer(trunk: RawTrunk, heard: Heard) -> None:
        if heard.method == "INVITE":
            nonce = f'nonce="{len(trunk.heard)}", stale=true'
            trunk.say(heard, heard.response(401, f'WWW-Authenticate: Digest realm="r", qop="auth", {nonce}'))

    told, trunk = await call(answer, tmp_path, username="bob", password="s3cret")
    assert told.code is C.VOICE_MISCONFIGURED
    assert 2 <= len(trunk.of("INVITE")) <= 8
    assert len(trunk.of("ACK")) == len(trunk.of("INVITE"))


async def test_answers_of_very_many_phones_are_hung_up_but_one(tmp_path: Path) -> None:
    def answer(trunk: RawTrunk, heard: Heard) -> None:
        if heard.method == "INVITE":
            trunk.say(heard, *(heard.response(180, tag=f"t{n}") for n in range(40)))
            body = sdp(listener.port)
            trunk.say(heard, *(heard.response(200, trunk.contact, body=body, tag=f"t{n}") for n in range(60)))
        elif heard.method == "BYE":
            trunk.say(heard, heard.response(200))

    async with ear() as listener:
        told, trunk = await call(answer, tmp_path)
    assert (told.code, told.report.plays) == (C.OK, 1)
    hung_up = {heard["To"] for heard in trunk.of("BYE")}
    assert hung_up == {heard["To"] for heard in trunk.of("ACK")}
    assert len(hung_up) > 1


async def test_reliable_ringing_without_end_is_acknowledged_or_left_and_ends_in_time(tmp_path: Path) -> None:
    def answer(trunk: RawTrunk, heard: Heard) -> None:
        if heard.method == "INVITE":
            ringing = (heard.response(180, "Require: 100rel", f"RSeq: {n}", trunk.contact) for n in range(1, 200))
            trunk.say(heard, *ringing)
        elif heard.method == "PRACK":
            trunk.say(heard, heard.response(200))
        elif heard.method == "CANCEL":
            trunk.say(heard, heard.response(200), trunk.of("INVITE")[0].response(487))

    told, trunk = await call(answer, tmp_path)
    assert (told.code, told.report.sip_status) == (C.VOICE_NO_ANSWER, 487)
    numbers = [int(heard["RAck"].split()[0]) for heard in trunk.of("PRACK")]
    assert list(dict.fromkeys(numbers)) == list(range(1, max(numbers) + 1))  # one that was lost is repeated


# --- we come to an end -----------------------------------------------------------------------------------------------


async def stopped(folder: Path, story: list[str], status: int) -> Told:
    """A call of a route that is stopped once SIPp has said `status`."""
    async with (
        ear() as listener,
        sipp(story, folder, ear=listener.port) as trunk,
        calling(trunk.url, FixedSpeech(folder, 9_000)) as caller,
    ):
        asked = asyncio.ensure_future(caller.call())
        await seen(lambda: any(f" {status} " in message.first for message in trunk.messages()))
        if status == 200:
            await listener.until(lambda: len(listener.packets) > 5)
        await caller.route.stop(4.0)
        return await asked


@needs_sipp
async def test_a_route_that_is_stopped_cancels_what_rings(tmp_path: Path) -> None:
    story = [invite(), say(180), hear("CANCEL"), reply(tag=TAG), say(487), *REFUSED]
    told = await stopped(tmp_path, story, 180)
    assert (told.delivered, told.report.ended_by, told.report.answered_at) == (False, HungUpBy.US, None)


@needs_sipp
async def test_a_route_that_is_stopped_hangs_up_what_speaks(tmp_path: Path) -> None:
    told = await stopped(tmp_path, [invite(), answer(), hear("ACK"), *ENDS], 200)
    assert told.code is C.VOICE_INTERRUPTED
    assert told.report.ended_by is HungUpBy.US
    assert 0 < told.report.heard_ms < 9_000
