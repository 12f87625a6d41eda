"""What a call sounds like to the far side: silence, clips, holding, moving, and an even pace throughout."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from itertools import pairwise

import pytest

from campana.channels.voice.media.rtp import FRAME
from campana.channels.voice.media.studio import Studio
from tests.wire.rtp_kit import PATIENCE, PORTS, Phone, Sound, call

SILENT = {"PCMU": b"\xff" * FRAME, "PCMA": b"\xd5" * FRAME}
CLIP = bytes(range(1, 129)) * 5
"""Four frames of octets that are neither law's silence."""


def assert_even(sounds: list[Sound]) -> None:
    """One source, one packet after the other, 20 ms each; more only where a marker says so, after a delay."""
    for before, after in pairwise(sounds):
        assert after.ssrc == before.ssrc
        assert after.sequence == (before.sequence + 1) % 65_536
        step = (after.timestamp - before.timestamp) % (1 << 32)
        assert step == FRAME or (after.marker and 0 < step < 1 << 31)


def is_sound(sound: Sound) -> bool:
    return sound.payload not in SILENT.values()


def hold_up(seconds: float) -> None:
    """Keep the loop from everything, as a process that does too much would."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass


@pytest.mark.parametrize(("law", "payload_type"), [("PCMU", 0), ("PCMA", 8)])
async def test_an_answered_call_is_silent_at_an_even_pace(law: str, payload_type: int) -> None:
    async with call() as (_, stream, phone, _):
        stream.connect(phone.answer(law))
        began = time.monotonic()
        sounds = await phone.hear(15)
        taken = time.monotonic() - began
        assert_even(sounds)
        assert {sound.payload for sound in sounds} == {SILENT[law]}
        assert {sound.payload_type for sound in sounds} == {payload_type}
        assert [sound.marker for sound in sounds] == [True] + [False] * 14
        assert stream.law == law
        assert 0.2 <= taken < 2


async def test_a_clip_is_played_whole_between_silences() -> None:
    async with call() as (_, stream, phone, _):
        stream.connect(phone.answer())
        ended = asyncio.Event()
        heard = await phone.hear(3)
        stream.play(CLIP, ended.set)
        heard += await phone.hear_until(is_sound)
        heard += await phone.hear_until(lambda sound: not is_sound(sound))
        assert_even(heard)
        played = [sound for sound in heard if is_sound(sound)]
        assert b"".join(sound.payload for sound in played) == CLIP
        assert [sound.marker for sound in played] == [True, False, False, False]
        await asyncio.wait_for(ended.wait(), PATIENCE)
        assert stream.played_ms == 80
        assert stream.stop_playing() == len(CLIP)


@pytest.mark.parametrize(
    ("octets", "packets", "ms"), [(0, 1, 0), (1, 1, 0), (159, 1, 19), (160, 1, 20), (161, 2, 20), (400, 3, 50)]
)
async def test_the_last_frame_is_filled_up_with_silence(octets: int, packets: int, ms: int) -> None:
    async with call() as (_, stream, phone, _):
        stream.connect(phone.answer())
        ended = asyncio.Event()
        stream.play(b"\x01" * octets, ended.set)
        await asyncio.wait_for(ended.wait(), PATIENCE)
        heard = await phone.hear(packets)
        whole = b"".join(sound.payload for sound in heard)
        assert whole == b"\x01" * octets + b"\xd5" * (packets * FRAME - octets)
        assert stream.played_ms == ms


async def test_the_end_of_a_play_is_told_when_its_last_packet_has_left() -> None:
    async with call() as (_, stream, phone, _):
        stream.connect(phone.answer())
        ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        stream.play(CLIP, lambda: ended.set_result(sum(packet[12:] in CLIP for packet in phone.waiting())))
        assert await asyncio.wait_for(ended, PATIENCE) == 4


async def test_plays_can_follow_each_other_without_a_gap() -> None:
    async with call() as (_, stream, phone, _):
        stream.connect(phone.answer())
        stream.play(CLIP, lambda: stream.play(CLIP, lambda: None))
        heard = await phone.hear_until(lambda sound: not is_sound(sound))
        assert b"".join(sound.payload for sound in heard[:-1]) == CLIP * 2
        assert [place for place, sound in enumerate(heard) if sound.marker] == [0, 4]


async def test_a_play_that_is_stopped_says_how_far_it_was_and_nothing_else() -> None:
    async with call() as (_, stream, phone, _):
        stream.connect(phone.answer())
        ends: list[str] = []
        stream.play(CLIP * 100, lambda: ends.append("stopped"))
        await phone.hear(3)
        left = stream.stop_playing()
        assert left % FRAME == 0
        assert 3 * FRAME <= left <= 6 * FRAME
        assert stream.played_ms == left // 8
        assert stream.stop_playing() == left
        await phone.hear_until(lambda sound: not is_sound(sound))
        again = asyncio.Event()
        stream.play(CLIP, again.set)
        await asyncio.wait_for(again.wait(), PATIENCE)
        assert ends == []


async def test_a_play_in_place_of_another_is_the_only_one_that_ends() -> None:
    async with call() as (_, stream, phone, _):
        stream.connect(phone.answer())
        ends: list[int] = []
        done = asyncio.Event()
        stream.play(CLIP, lambda: ends.append(1))
        await phone.hear(1)
        stream.play(b"\x02" * FRAME, done.set)
        await asyncio.wait_for(done.wait(), PATIENCE)
        await phone.hear_until(lambda sound: not is_sound(sound))
        assert ends == []


async def test_a_play_stopped_just_as_it_ended_does_not_end_again() -> None:
    async with call() as (_, stream, phone, _):
        stream.connect(phone.answer())
        ends: list[str] = []
        stream.play(CLIP, lambda: ends.append("ended"))
        while stream.clip is not None:
            await phone.hear(1)
        # Either the end was told by now, or it is never told.
        told = list(ends)
        stream.stop_playing()
        await phone.hear(2)
        assert ends == told


async def test_a_held_call_is_quiet_and_goes_on_where_it_was() -> None:
    async with call() as (_, stream, phone, _):
        stream.connect(phone.answer())
        stream.play(CLIP, lambda: None)
        (first,) = await phone.hear(1)
        stream.connect(phone.answer(held=True))
        rest = [packet[12:] for packet in phone.waiting()]
        before = stream.played_ms
        await asyncio.sleep(0.1)
        assert phone.waiting() == []
        assert stream.played_ms == before
        stream.connect(phone.answer())
        later = await phone.hear_until(lambda sound: not is_sound(sound))
        assert b"".join([first.payload, *rest, *(sound.payload for sound in later[:-1])]) == CLIP
        assert later[0].marker
        assert later[0].sequence == (first.sequence + len(rest) + 1) % 65_536
        # The timestamps tell how long it was quiet.
        assert (later[0].timestamp - first.timestamp) % (1 << 32) >= 800
        assert_even(later)


async def test_a_call_answered_on_hold_begins_when_it_is_taken_off() -> None:
    async with call() as (_, stream, phone, digits):
        stream.connect(phone.answer(address="0.0.0.0"))
        stream.hold(False)
        phone.press(1, 0, stream)
        await asyncio.sleep(0.05)
        assert phone.waiting() == []
        stream.connect(phone.answer())
        await phone.hear(2)
        phone.press(2, 0, stream)
        assert await digits.next() == "2"


async def test_a_call_moves_to_where_a_new_answer_says() -> None:
    async with call() as (_, stream, phone, digits):
        other = Phone()
        stream.connect(phone.answer("PCMU"))
        (before,) = await phone.hear(1)
        stream.connect(other.answer("PCMA"))
        phone.waiting()
        (after,) = await other.hear(1)
        assert (before.payload_type, after.payload_type, after.marker) == (0, 8, True)
        assert after.ssrc == before.ssrc
        assert phone.waiting() == []
        phone.press(1, 0, stream)
        other.press(2, 0, stream)
        assert await digits.next() == "2"
        other.close()


@pytest.mark.parametrize(
    ("address", "port"),
    [(address, 4_000) for address in ("example.com", "", "224.0.0.1", "ff02::1", "1.2.3.4.5", "::1", "127.0.0.1%lo")]
    + [("127.0.0.1", port) for port in (0, -1, 65_536, 1 << 40)],
)
async def test_an_answer_that_leads_nowhere_is_refused(address: str, port: int) -> None:
    async with call() as (_, stream, phone, _):
        with pytest.raises(OSError):
            stream.connect(replace(phone.answer(), address=address, port=port))
        # It can still be connected to another.
        stream.connect(phone.answer())
        await phone.hear(1)


@pytest.mark.parametrize("spoke", [False, True])
async def test_nobody_listens_where_packets_are_refused_and_none_ever_came(spoke: bool) -> None:
    async with call() as (studio, stream, phone, _):
        stream.connect(phone.answer())
        await phone.hear(2)
        assert not stream.nobody_listens
        if spoke:
            phone.rtp.sendto(bytes([0x80, 0]) + bytes(30), stream.local)
            await phone.hear(3)
        phone.rtp.close()
        ended = asyncio.Event()
        stream.play(CLIP * 3, ended.set)
        await asyncio.wait_for(ended.wait(), PATIENCE)
        assert studio.figures().packets_refused > 0
        assert stream.nobody_listens is not spoke


async def test_ipv6_is_the_same() -> None:
    async with call("::1") as (_, stream, phone, digits):
        assert stream.local == ("::1", stream.pair.port)
        stream.connect(phone.answer())
        assert_even(await phone.hear(3))
        phone.press(11, 0, stream)
        assert await digits.next() == "#"


async def test_the_public_address_stands_in_the_offer() -> None:
    studio = Studio(PORTS, local_address="127.0.0.1", public_address="203.0.113.7")
    stream = studio.open("127.0.0.1")
    assert stream.local == ("203.0.113.7", stream.pair.port)
    assert stream.pair.rtp.getsockname()[0] == "127.0.0.1"
    # Neither of them is of any use to the other IP version.
    assert studio.open("::1").local[0] == "::1"
    assert studio.open("::1").pair.rtp.getsockname()[0] == "::1"
    studio.close()


async def test_a_stream_leads_to_where_one_of_its_address_would() -> None:
    studio = Studio(PORTS)
    old, new = studio.open("127.0.0.1"), studio.open("::1")
    assert [studio.leads(old, host) for host in ("127.0.0.1", "127.0.0.9", "::1")] == [True, True, False]
    assert [studio.leads(new, host) for host in ("127.0.0.1", "::1")] == [False, True]
    with pytest.raises(OSError):
        studio.leads(old, "255.255.255.255")
    studio.close()


async def test_a_loop_that_was_held_up_sends_no_flood() -> None:
    async with call() as (studio, stream, phone, _):
        stream.connect(phone.answer())
        stream.play(CLIP * 100, lambda: None)
        before = await phone.hear(3)
        hold_up(0.4)
        after = await phone.hear(12)
        sounds = before + after
        steps = [(b.timestamp - a.timestamp) % (1 << 32) // FRAME for a, b in pairwise(sounds)]
        jumps = [place for place, step in enumerate(steps) if step > 1]
        assert max(steps) >= 15
        assert all(sounds[jump + 1].marker for jump in jumps)
        # Nothing of the text is lost by it, and no packet is missing.
        whole = b"".join(sound.payload for sound in sounds)
        assert whole == (CLIP * 100)[: len(whole)]
        assert [(b.sequence - a.sequence) % 65_536 for a, b in pairwise(sounds)] == [1] * 14
        # Nothing like all of them at once: what is made up for is 100 ms at most, and then the pace is kept.
        assert after[-1].at - after[0].at >= 0.12
        assert studio.figures().late_most >= 300


async def test_a_closed_call_is_silent_calls_nobody_and_gives_its_port_back() -> None:
    async with call() as (studio, stream, phone, digits):
        stream.connect(phone.answer())
        ends: list[str] = []
        stream.play(CLIP, lambda: ends.append("ended"))
        await phone.hear(1)
        port = stream.pair.port
        stream.close()
        stream.close()
        phone.waiting()
        stream.connect(phone.answer())
        stream.hold(False)
        await asyncio.sleep(0.1)
        assert phone.waiting() == []
        assert ends == []
        assert digits.queue.empty()
        one = Phone()
        one.rtp.close()
        assert studio.figures().streams == 0
        assert port not in studio._ports._taken
        one.close()


async def test_streams_of_a_studio_keep_their_own_pace_and_sound() -> None:
    studio, phones = Studio(PORTS), [Phone() for _ in range(9)]
    for number, phone in enumerate(phones):
        stream = studio.open("127.0.0.1")
        stream.connect(phone.answer())
        stream.play(bytes([number + 1]) * FRAME * 50, lambda: None)
    heard = [await phone.hear(10) for phone in phones]
    for number, sounds in enumerate(heard):
        assert_even(sounds)
        assert {sound.payload[0] for sound in sounds} == {number + 1}
    assert len({sounds[0].ssrc for sounds in heard}) == 9
    # Spread over the phases: no more than a third of them at one beat.
    assert sorted(len(phase) for phase in studio._phases) == [2, 2, 2, 3]
    figures = studio.figures()
    assert figures.streams == 9
    assert figures.packets_sent >= 90
    studio.close()
    for phone in phones:
        phone.close()
