"""What happens on an answered line: plays and pauses, keys by two ways, and when it is hung up."""

from __future__ import annotations

import asyncio

import pytest

from campana.channels.voice.process.frames import Script
from campana.channels.voice.process.recital import MOST_DIGITS, SAME_PRESS, TAIL, Heard, Recital
from campana.channels.voice.settings import VoiceRouteSettings

SOON = 5.0
SECOND = bytes(8_000)


class Line:
    """A stream that plays as fast as the test says, and the recital on it."""

    nobody_listens = False

    def __init__(self, plays: int = 1, keys: str = "", clip: bytes = SECOND, **settings) -> None:
        values = {"name": "trunk", "url": "sip:127.0.0.1", "pause": 0.0, "key_wait": 0.4} | settings
        self.plays = 0
        self.position = 0
        self.on_end = None
        self.playing = asyncio.Event()
        self.done = asyncio.Event()
        script = Script({}, plays, keys, bool(keys))
        self.recital = Recital(self, clip, script, VoiceRouteSettings(**values), self.done.set)
        self.recital.begin()

    def play(self, clip: bytes, on_end) -> None:
        self.plays += 1
        self.position = 0
        self.on_end = on_end
        self.playing.set()

    def stop_playing(self) -> int:
        self.on_end = None
        return self.position

    async def play_on(self, octets: int | None = None) -> None:
        """Let the play that is begun go on, to its end where no octets are given."""
        await asyncio.wait_for(self.playing.wait(), SOON)
        if octets is not None:
            self.position = octets
            return
        self.playing.clear()
        self.on_end()

    async def seconds_until_done(self) -> float:
        began = asyncio.get_running_loop().time()
        await asyncio.wait_for(self.done.wait(), SOON)
        return asyncio.get_running_loop().time() - began


async def test_what_is_played_to_nobody_is_not_heard() -> None:
    line = Line(2)
    line.nobody_listens = True
    await line.play_on()
    line.nobody_listens = False
    await line.play_on()
    await line.seconds_until_done()
    assert line.recital.end() == Heard(1_000, 1)


@pytest.mark.parametrize("plays", [1, 2, 3])
async def test_the_text_is_played_as_often_as_the_script_says(plays: int) -> None:
    line = Line(plays)
    for _ in range(plays):
        assert not line.done.is_set()
        await line.play_on()
    assert TAIL - 0.05 < await line.seconds_until_done() < TAIL + 0.3
    assert line.plays == plays
    assert line.recital.end() == Heard(ms=plays * 1_000, plays=plays)


async def test_a_pause_lies_between_two_plays() -> None:
    line = Line(2, pause=0.3)
    await line.play_on()
    began = asyncio.get_running_loop().time()
    await asyncio.wait_for(line.playing.wait(), SOON)
    assert 0.25 < asyncio.get_running_loop().time() - began < 0.6


@pytest.mark.parametrize(("clip", "plays"), [(SECOND * 4, 2), (SECOND * 12, 1)])
async def test_no_play_begins_that_would_not_end_in_time_but_the_first(clip: bytes, plays: int) -> None:
    # The plays of the fake take no time: two of 4 s are within 10 s as its clock sees them, one of 12 s never is.
    line = Line(2, clip=clip, longest_call=10.0)
    for _ in range(plays):
        await line.play_on()
    await line.seconds_until_done()
    assert line.plays == plays


async def test_who_hangs_up_early_has_heard_what_left_until_then() -> None:
    line = Line(2)
    await line.play_on()
    await line.play_on(2_400)
    line.recital.key("7", "rtp")
    assert line.recital.end() == Heard(ms=1_300, plays=1, digits="7")
    line.recital.key("8", "rtp")
    assert line.recital.end() == Heard(ms=1_300, plays=1, digits="7")
    await asyncio.sleep(0)
    assert not line.done.is_set()


@pytest.mark.parametrize("key", ["1", "#"])
async def test_an_acknowledging_key_ends_the_play_at_once(key: str) -> None:
    line = Line(3, keys="1#")
    await line.play_on(1_600)
    line.recital.key(key, "rtp")
    assert line.on_end is None
    assert await line.seconds_until_done() < TAIL + 0.2
    assert line.recital.end() == Heard(ms=200, plays=0, digits=key, acknowledged=True)


async def test_another_key_ends_nothing() -> None:
    line = Line(keys="1")
    line.recital.key("2", "rtp")
    await line.play_on()
    await line.seconds_until_done()
    assert line.recital.end() == Heard(ms=1_000, plays=1, digits="2")


async def test_after_the_last_play_a_key_is_waited_for() -> None:
    line = Line(keys="1", key_wait=0.5)
    await line.play_on()
    assert 0.4 < await line.seconds_until_done() < 0.9
    assert not line.recital.end().acknowledged


async def test_a_key_in_that_wait_acknowledges() -> None:
    line = Line(keys="1", key_wait=30.0)
    await line.play_on()
    line.recital.key("1", "info")
    assert await line.seconds_until_done() < TAIL + 0.3
    assert line.recital.end() == Heard(ms=1_000, plays=1, digits="1", acknowledged=True)


async def test_a_key_in_the_pause_acknowledges_and_nothing_more_is_played() -> None:
    line = Line(2, keys="1", pause=10.0)
    await line.play_on()
    line.recital.key("1", "rtp")
    await line.seconds_until_done()
    assert (line.plays, line.recital.end().acknowledged) == (1, True)


@pytest.mark.parametrize(
    ("told", "digits"),
    [
        ([("5", "rtp"), ("5", "info")], "5"),
        ([("5", "info"), ("5", "rtp")], "5"),
        ([("5", "rtp"), ("5", "rtp")], "55"),
        ([("5", "rtp"), ("6", "info")], "56"),
        ([("5", "rtp"), ("5", "info"), ("5", "rtp"), ("5", "info")], "55"),
        ([("5", "rtp"), ("6", "rtp"), ("5", "info"), ("6", "info")], "56"),
        ([("5", "rtp"), ("5", "info"), ("5", "info")], "55"),
        ([("x", "rtp"), ("", "info"), ("12", "rtp")], ""),
    ],
)
async def test_a_press_that_is_told_both_ways_counts_once(told, digits: str) -> None:
    line = Line()
    for key, way in told:
        line.recital.key(key, way)
    assert line.recital.end().digits == digits


async def test_the_same_key_told_later_by_another_way_is_another_press() -> None:
    line = Line()
    line.recital.key("5", "rtp")
    await asyncio.sleep(SAME_PRESS + 0.05)
    line.recital.key("5", "info")
    assert line.recital.end().digits == "55"


async def test_digits_are_bounded() -> None:
    line = Line(keys="1")
    for _ in range(3 * MOST_DIGITS):
        line.recital.key("2", "rtp")
    line.recital.key("1", "rtp")
    heard = line.recital.end()
    assert heard.digits == "2" * MOST_DIGITS
    assert heard.acknowledged
