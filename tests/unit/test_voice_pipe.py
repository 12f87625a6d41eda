"""The pipe between the main process and a media process: frames over real sockets, whole, split, hostile."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from campana.channels.voice.process.frames import (
    LENGTH,
    LONGEST,
    Caller,
    Configure,
    Dial,
    Drop,
    Ended,
    Figures,
    Finish,
    Go,
    Ready,
    Script,
    Settled,
    Settling,
    State,
    ToMain,
    ToMedia,
    pack,
)
from campana.channels.voice.process.pipe import MOST_UNREAD, Pipe
from campana.domain.call import CallReport, HungUpBy
from campana.domain.outcome import DeliveryCode

SOON = 5.0
SCRIPT = Script({"PCMA": "/a", "PCMU": "/u"}, 2, "1", True)
DIAL = Dial(7, "id", "+441632960123", Caller("Bücher & Söhne\r\n", "+441632960001"), 30_000, SCRIPT)
REPORT = CallReport(began_at=1, ended_at=2, digits="12", ended_by=HungUpBy.CALLEE, sip_status=486, q850=17)
DOWN = [Configure({"name": "trunk", "calls": 3}), DIAL, Go(7), Drop(7), Finish(100)]
UP = [
    Ready(7),
    Settled(7, Settling.ACCEPTED),
    Settled(7, Settling.MISCONFIGURED, "403", "Forbidden"),
    Ended(7, REPORT, DeliveryCode.VOICE_BUSY),
    State("up", ""),
    Figures(3, 1.5, 2.5, 150, 149),
]


class End:
    """One end of a pipe, and what happened there."""

    def __init__(self, kind) -> None:
        self.frames: list = []
        self.lost: list[str] = []
        self.changed = asyncio.Event()
        self.pipe = Pipe(kind, self._hear, self._gone)

    def _hear(self, frame) -> None:
        if frame == Ready(13):
            raise RuntimeError("a defect of whoever hears")
        self.frames.append(frame)
        self.changed.set()

    def _gone(self, why: str) -> None:
        self.lost.append(why)
        self.changed.set()

    async def until(self, met) -> None:
        async with asyncio.timeout(SOON):
            while not met():
                self.changed.clear()
                await self.changed.wait()


@asynccontextmanager
async def end_and_socket(kind=ToMain) -> AsyncIterator[tuple[End, socket.socket]]:
    ours, theirs = socket.socketpair()
    for one in (ours, theirs):
        one.setblocking(False)
    end = End(kind)
    await asyncio.get_running_loop().create_unix_connection(lambda: end.pipe, sock=ours)
    with theirs:
        yield end, theirs
        end.pipe.close()


@pytest.mark.parametrize(("kind", "frames"), [(ToMedia, DOWN), (ToMain, UP)], ids=["to media", "to main"])
async def test_frames_arrive_as_they_left(kind, frames) -> None:
    async with end_and_socket(kind) as (end, theirs):
        there = End(kind)
        await asyncio.get_running_loop().create_unix_connection(lambda: there.pipe, sock=theirs.dup())
        for frame in frames:
            there.pipe.send(frame)
        await end.until(lambda: len(end.frames) == len(frames))
        assert end.frames == frames
        assert end.pipe.heard == len(frames)


@given(st.lists(st.integers(1, 400), max_size=12))
def test_frames_may_come_in_any_pieces(cuts: list[int]) -> None:
    heard: list = []
    pipe = Pipe(ToMain, heard.append, lambda why: None)
    octets = b"".join(map(pack, UP))
    at = 0
    for cut in [*cuts, len(octets)]:
        pipe.data_received(octets[at : at + cut])
        at += cut
    pipe.data_received(octets[at:])
    assert heard == UP


HOSTILE = {
    "a frame that is too long": LENGTH.pack(LONGEST + 1),
    "no MessagePack": LENGTH.pack(3) + b"\xc1\xc1\xc1",
    "an empty body": LENGTH.pack(0),
    "an unknown frame": LENGTH.pack(11) + b"\x81\xa4type\xa4Nope",
    "a frame of the other direction": pack(Go(1)),
    "a field of the wrong type": pack(Ready(1)).replace(b"\xa4call\x01", b"\xa4call\xc0"),
    "a frame that its hearer chokes on": pack(Ready(13)),
    "trailing octets in a frame": LENGTH.pack(len(pack(Ready(1))) - 3) + pack(Ready(1))[4:] + b"\x00",
}


@pytest.mark.parametrize("octets", HOSTILE.values(), ids=HOSTILE.keys())
async def test_what_is_no_frame_ends_the_pipe(octets: bytes) -> None:
    async with end_and_socket() as (end, theirs):
        theirs.send(pack(Ready(1)) + octets + pack(Ready(2)))
        await end.until(lambda: end.lost)
        assert end.frames == [Ready(1)]
        assert len(end.lost) == 1
        assert "frame" in end.lost[0]


@given(st.binary(max_size=200))
def test_no_octets_raise(octets: bytes) -> None:
    heard: list = []
    pipe = Pipe(ToMain, heard.append, lambda why: None)
    pipe.data_received(octets)
    assert all(isinstance(frame, msgspec.Struct) for frame in heard)


async def test_the_end_of_the_other_side_is_told_once_and_later_frames_are_dropped() -> None:
    async with end_and_socket() as (end, theirs):
        theirs.send(pack(Ready(1)))
        theirs.close()
        await end.until(lambda: end.lost)
        end.pipe.send(Go(1))
        assert end.frames == [Ready(1)]
        assert len(end.lost) == 1


async def test_a_side_that_does_not_read_is_given_up() -> None:
    async with end_and_socket() as (end, _):
        large = Configure({"name": "x" * (LONGEST // 2)})
        for _ in range(3 * MOST_UNREAD // LONGEST):
            end.pipe.send(large)
        await end.until(lambda: end.lost)
        assert end.lost == ["the other side does not read"]
