"""Time on the wire, by the kernel's stamps: DialMsTimeout from the INVITE to the CANCEL, or to giving up."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from trunk_kit import Heard, RawTrunk, raw_trunk
from voice_kit import FixedSpeech, calling

from campana.domain.outcome import DeliveryCode

C = DeliveryCode
EXACT = 0.050
"""Seconds within which the dial timeout is kept."""
DIAL_MS = [1_000, 1_200, 1_500, 1_789, 2_000]


def ring(trunk: RawTrunk, heard: Heard) -> None:
    """Ring for ever; end what is cancelled."""
    if heard.method == "INVITE":
        trunk.say(heard, heard.response(100), heard.response(180))
    elif heard.method == "CANCEL":
        (invite,) = trunk.of("INVITE", heard["Call-ID"])
        trunk.say(heard, heard.response(200), invite.response(487))


def silent(trunk: RawTrunk, heard: Heard) -> None:
    """Take everything and say nothing."""


def ring_at_the_third_time(trunk: RawTrunk, heard: Heard) -> None:
    """Lose the first two INVITEs."""
    if heard.method != "INVITE" or len(trunk.of("INVITE", heard["Call-ID"])) == 3:
        ring_late(trunk, heard)


def ring_late(trunk: RawTrunk, heard: Heard) -> None:
    if heard.method == "INVITE":
        trunk.say(heard, heard.response(180))
    elif heard.method == "CANCEL":
        trunk.say(heard, heard.response(200), trunk.of("INVITE", heard["Call-ID"])[0].response(487))


async def test_a_call_that_rings_is_cancelled_when_its_time_is_up(tmp_path: Path) -> None:
    async with raw_trunk(ring) as trunk, calling(trunk.url, FixedSpeech(tmp_path)) as caller:
        calls = [caller.call(f"+1416555{n:04}", dial_ms=dial_ms) for n, dial_ms in enumerate(DIAL_MS * 4)]
        results = await asyncio.gather(*calls)
    for dial_ms, told in zip(DIAL_MS * 4, results, strict=True):
        (call_id,) = told.late.carrier_ids
        (invite,), (cancel,) = trunk.of("INVITE", call_id), trunk.of("CANCEL", call_id)
        assert cancel.at - invite.at == pytest.approx(dial_ms / 1_000, abs=EXACT)
        assert told.code is C.VOICE_NO_ANSWER
        assert told.report.ringing_ms == pytest.approx(dial_ms, abs=100)


async def test_the_time_counts_from_the_first_invite_that_left(tmp_path: Path) -> None:
    async with raw_trunk(ring_at_the_third_time) as trunk, calling(trunk.url, FixedSpeech(tmp_path)) as caller:
        told = await caller.call(dial_ms=2_000)
    assert trunk.of("CANCEL")[0].at - trunk.of("INVITE")[0].at == pytest.approx(2.0, abs=EXACT)
    assert told.code is C.VOICE_NO_ANSWER


async def test_a_trunk_that_says_nothing_is_given_up_in_time_and_not_cancelled(tmp_path: Path) -> None:
    async with raw_trunk(silent) as trunk, calling(trunk.url, FixedSpeech(tmp_path)) as caller:
        told = await caller.call(dial_ms=1_600)
    assert told.code is C.VOICE_UNREACHABLE
    assert told.report.ended_at - told.report.began_at == pytest.approx(1_600, abs=EXACT * 1_000)
    assert [heard.method for heard in trunk.heard] == ["INVITE", "INVITE", "INVITE"]
