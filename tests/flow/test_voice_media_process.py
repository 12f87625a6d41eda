"""The media process by itself: what it does when the main process stops, dies, or talks nonsense."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import sys
import time
from collections.abc import Iterator
from typing import IO

import pytest
from media_process_kit import configure, dial, media_process

from campana.channels.voice.process.frames import (
    LENGTH,
    LONGEST,
    Caller,
    Check,
    Checked,
    Drop,
    Ended,
    Figures,
    Finish,
    Go,
    Ready,
    Settled,
    Settling,
    State,
    pack,
)
from campana.domain.call import HungUpBy
from campana.sandbox.sip import SipSimulator
from campana.sandbox.sip_phones import EndedBy, Moment

LISTENER, RINGS = "+14165550123", "+14165550144"
SOON = 15.0


@pytest.fixture
def clip(tmp_path) -> str:
    path = tmp_path / "clip"
    path.write_bytes(bytes(range(256)) * 625)  # 20 s
    return str(path)


async def up(media, trunk) -> None:
    media.tell(configure(trunk.port))
    while (await media.hear(State)).health != "up":
        pass


async def two_calls(media, trunk, clip: str) -> None:
    """One that rings, one that is spoken to."""
    await up(media, trunk)
    media.tell(dial(1, RINGS, clip), dial(2, LISTENER, clip))
    for _ in range(2):
        media.tell(Go((await media.hear(Ready)).call))
    await trunk.until(RINGS, Moment.RINGING)
    await trunk.until(LISTENER, Moment.TEXT)


async def ends(trunk) -> dict[str, tuple[EndedBy | None, int, int]]:
    for number in (RINGS, LISTENER):
        await trunk.expect(number)
    return {call.number: (call.ended_by, call.cancels, call.byes) for call in trunk.calls}


BOTH_HUNG_UP = {RINGS: (EndedBy.CALLER, 1, 0), LISTENER: (EndedBy.CALLER, 0, 1)}


async def test_when_the_main_process_is_gone_all_calls_are_hung_up_and_it_exits(clip) -> None:
    async with SipSimulator(ring=0.05) as trunk, media_process() as media:
        await two_calls(media, trunk, clip)
        began = time.monotonic()
        media.end.close()
        assert await ends(trunk) == BOTH_HUNG_UP
        assert time.monotonic() - began < 2.0
        assert await media.exit_code() == 0


async def test_even_the_most_talkative_log_tells_on_nobody(tmp_path, clip) -> None:
    path = tmp_path / "log"
    with path.open("wb") as log:
        async with (
            SipSimulator(ring=0.05, accounts={"user": "hunter2"}) as trunk,
            media_process("debug", log) as media,
        ):
            media.tell(configure(trunk.port, username="user", password="hunter2", ping=0.1))
            while (await media.hear(State)).health != "up":
                pass
            media.tell(dial(1, LISTENER, clip, caller=Caller("Jo Bloggs", "+441632960999")))
            media.tell(Go((await media.hear(Ready)).call))
            await trunk.until(LISTENER, Moment.TEXT)
            trunk.silent = True
            media.end.close()
            assert await media.exit_code() == 0
    said = path.read_text()
    assert "voice." in said
    for secret in (LISTENER.lstrip("+"), "441632960999", "Bloggs", "hunter2"):
        assert secret not in said


@pytest.fixture
def full_pipe() -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """Both ends of a pipe that takes nothing more."""
    reading, writing = os.pipe()
    with open(reading, "rb") as unread, open(writing, "wb", buffering=0) as full:
        full.write(bytes(fcntl.fcntl(full, fcntl.F_GETPIPE_SZ)))
        yield unread, full


async def test_nobody_waits_for_whoever_reads_the_logs(clip, full_pipe) -> None:
    unread, full = full_pipe
    async with SipSimulator(ring=0.05) as trunk, media_process("debug", full) as media:
        await two_calls(media, trunk, clip)
        unread.read(8_192)
        media.end.close()
        assert await ends(trunk) == BOTH_HUNG_UP
        assert await media.exit_code() == 0
    full.close()
    assert b"voice.main_process_is_gone" in unread.read()


GARBAGE = {
    "too long": LENGTH.pack(LONGEST + 1),
    "no MessagePack": LENGTH.pack(4) + b"\xc1\xff\x00\x01",
    "another direction": pack(Ready(1)),
    "text": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE.keys())
async def test_nonsense_on_the_pipe_ends_it_like_a_death(clip, garbage: bytes) -> None:
    async with SipSimulator(ring=0.05) as trunk, media_process() as media:
        await two_calls(media, trunk, clip)
        media.end.send(garbage)
        assert await ends(trunk) == BOTH_HUNG_UP
        assert await media.exit_code() == 0


async def test_signals_that_mean_the_whole_house_are_left_to_the_main_process(clip) -> None:
    async with SipSimulator(ring=0.05) as trunk, media_process() as media:
        await two_calls(media, trunk, clip)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            media.process.send_signal(number)
        # Two signs of life later everything is as it was.
        for _ in range(2):
            assert (await media.hear(Figures)).calls == 2
        media.tell(Finish(0))
        reports = {(await media.hear(Ended)).call: None for _ in range(2)}
        assert set(reports) == {1, 2}
        assert await media.exit_code() == 0


async def test_a_process_whose_loop_stands_still_is_ended_by_the_kernel() -> None:
    async with media_process() as media:
        await media.hear(Figures)
        # What SIGALRM does is what the kernel does once nobody sets the alarm anew.
        media.process.send_signal(signal.SIGALRM)
        assert await media.exit_code() == -signal.SIGALRM


ASK_FOR_REAL_TIME = "import os; os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))"


async def test_sound_goes_before_other_work_where_that_is_allowed() -> None:
    asking = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ASK_FOR_REAL_TIME, stderr=asyncio.subprocess.DEVNULL
    )
    allowed = await asking.wait() == 0
    async with media_process() as media:
        await media.hear(Figures)
        assert os.sched_getscheduler(media.process.pid) == (os.SCHED_RR if allowed else os.SCHED_OTHER)


async def test_finishing_withdraws_what_has_not_left_and_tells_the_ends_of_the_rest(clip) -> None:
    async with SipSimulator(ring=0.05) as trunk, media_process() as media:
        await two_calls(media, trunk, clip)
        media.tell(dial(3, "+14165550160", clip))
        await media.hear(Ready)
        media.tell(Finish(0))
        told = await media.rest()
        settled = [(frame.call, frame.how) for frame in told if isinstance(frame, Settled)]
        assert settled == [(3, Settling.WITHDRAWN)]
        by_call = {frame.call: frame.report for frame in told if isinstance(frame, Ended)}
        assert set(by_call) == {1, 2}
        assert by_call[1].answered_at is None
        assert by_call[2].answered_at is not None
        assert {report.ended_by for report in by_call.values()} == {HungUpBy.US}
        assert await media.exit_code() == 0
        assert trunk.counts["+14165550160"] == 0


async def test_a_grace_ends_with_the_main_process(clip) -> None:
    async with SipSimulator(ring=0.05) as trunk, media_process() as media:
        await two_calls(media, trunk, clip)
        media.tell(Finish(60_000))
        media.end.close()
        assert await ends(trunk) == BOTH_HUNG_UP
        assert await media.exit_code() == 0


async def test_sides_that_do_not_answer_goodbyes_hold_nothing_up(clip) -> None:
    async with SipSimulator(ring=0.05) as trunk, media_process() as media:
        await two_calls(media, trunk, clip)
        trunk.silent = True
        media.tell(Finish(0))
        reports = [(await media.hear(Ended, within=4.0)).report for _ in range(2)]
        assert [report.ended_by for report in reports] == [HungUpBy.US] * 2
        assert await media.exit_code(4.0) == 0


async def test_calls_are_not_begun_faster_than_fifty_a_second(clip) -> None:
    async with SipSimulator() as trunk, media_process() as media:
        await up(media, trunk)
        began = time.monotonic()
        media.tell(*(dial(n, LISTENER, clip) for n in range(1, 26)))
        for n in range(1, 26):
            assert (await media.hear(Ready)).call == n
            media.tell(Drop(n))
        assert time.monotonic() - began > 24 * 0.02 - 0.05


async def test_orders_about_unknown_calls_and_too_early_ones_do_no_harm(clip) -> None:
    async with SipSimulator() as trunk, media_process() as media:
        media.tell(dial(9, LISTENER, clip), Go(4), Drop(5))
        assert (await media.hear(Settled)).how is Settling.UNREACHABLE
        await up(media, trunk)
        media.tell(Go(4), Drop(5), dial(1, LISTENER, clip), dial(1, LISTENER, clip))
        assert (await media.hear(Settled)).how is Settling.THROTTLED
        await media.hear(Ready)
        media.tell(Drop(1))
        assert (await media.hear(Settled)).how is Settling.WITHDRAWN


@pytest.mark.parametrize(
    "more",
    [{"url": "nonsense"}, {"calls": "many"}, {"surplus": 1}, {"tls_ca": "/nowhere.pem", "url": "sips:127.0.0.1"}],
)
async def test_settings_that_cannot_be_used_are_told_and_end_it(more) -> None:
    async with media_process() as media:
        media.tell(configure(5060, **more), Check())
        state = await media.hear(State)
        assert state.health == "down"
        assert "settings" in state.reason
        assert not (await media.hear(Checked)).ok
        assert await media.exit_code() == 1


DRIVER = """
import asyncio, sys
sys.path.insert(0, {here!r})
from pathlib import Path
from voice_route_kit import Engine, Saying

async def main():
    engine = Engine("sip:127.0.0.1:{port}", Saying(Path({folder!r}), 20_000))
    await engine.route.start(engine)
    await engine.up()
    await engine.accepted({rings!r}, {listener!r})
    print(engine.route.media_pid, flush=True)
    await asyncio.sleep(3_600)

asyncio.run(main())
"""


async def test_when_the_main_process_is_killed_no_call_and_no_process_outlives_it(tmp_path) -> None:
    async with SipSimulator(ring=0.05) as trunk:
        code = DRIVER.format(
            here=os.path.dirname(__file__), port=trunk.port, folder=str(tmp_path), rings=RINGS, listener=LISTENER
        )
        main = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
        try:
            assert main.stdout is not None
            pid = int(await asyncio.wait_for(main.stdout.readline(), SOON))
            await trunk.until(LISTENER, Moment.TEXT)
            await trunk.until(RINGS, Moment.RINGING)
        finally:
            main.kill()
            await main.wait()
        assert await ends(trunk) == BOTH_HUNG_UP
        async with asyncio.timeout(SOON):
            while os.path.exists(f"/proc/{pid}/exe"):  # noqa: ASYNC110, ASYNC240 - nobody tells of a grandchild's end
                await asyncio.sleep(0.02)
