"""What a stream hears: keys of the one it is to hear, reports, errors, and anything else without harm."""

from __future__ import annotations

import asyncio
import errno
import random
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from campana.channels.voice.media.studio import Studio
from tests.wire.rtp_kit import DTMF, PORTS, Digits, Phone, call

HEADER = struct.pack(">BBHII", 0x80, DTMF, 1, 2, 3)
HOSTILE = [
    b"",
    b"\x80",
    HEADER[:11],
    HEADER,
    HEADER + b"\x01\x8a\x03",
    b"\x8f" + HEADER[1:] + b"\x01\x8a\x03\x20",
    b"\x9f" + HEADER[1:] + b"\xff" * 70,
    b"\xbf" + HEADER[1:] + b"\xff" * 70,
    b"\x00" + HEADER[1:] + b"\x01\x8a\x03\x20",
    HEADER + b"\xff\xff\xff\xff",
    HEADER + bytes(1_400),
    HEADER + bytes(60_000),
    b"\x80\xc8\x00\x06" + bytes(24),
    b"GET / HTTP/1.1\r\n\r\n",
    b"OPTIONS sip:a@b SIP/2.0\r\n\r\n",
]


async def test_keys_are_heard_under_either_number() -> None:
    async with call() as (_, stream, phone, digits):
        stream.connect(phone.answer())
        for place, (key, payload_type) in enumerate([(1, DTMF), (2, 96), (11, DTMF)]):
            phone.press(key, place * 1_600, stream, payload_type)
        assert [await digits.next() for _ in range(3)] == ["1", "2", "#"]


async def test_keys_under_a_number_that_was_not_agreed_on_are_sound() -> None:
    async with call() as (_, stream, phone, digits):
        stream.connect(phone.answer())
        phone.press(1, 0, stream, 97)
        phone.press(2, 0, stream, 8)
        phone.press(3, 0, stream)
        assert await digits.next() == "3"


async def test_keys_are_heard_while_the_call_is_held() -> None:
    async with call() as (_, stream, phone, digits):
        stream.connect(phone.answer())
        stream.connect(phone.answer(held=True))
        phone.press(7, 0, stream)
        assert await digits.next() == "7"


async def test_strangers_are_not_heard() -> None:
    async with call() as (studio, stream, phone, digits):
        stranger = Phone()
        # What came before it was known whom to hear is not heard either.
        stranger.press(1, 0, stream)
        stream.connect(phone.answer())
        stranger.press(2, 0, stream)
        phone.press(3, 0, stream)
        assert await digits.next() == "3"
        assert studio.figures().packets_heard == 1
        stranger.close()


async def test_symmetric_sound_goes_to_where_theirs_first_comes_from() -> None:
    async with call(symmetric=True) as (_, stream, named, digits):
        real, late = Phone(), Phone()
        stream.connect(named.answer())
        await named.hear(2)
        # What is no sound of this call moves nothing.
        late.say(b"\x00" * 40, stream)
        late.say(HEADER[:1] + b"\x22" + HEADER[2:] + bytes(160), stream)
        await named.hear(2)
        real.say(HEADER[:1] + b"\x08" + HEADER[2:] + bytes(160), stream)
        await real.hear(3)
        named.waiting()
        await real.hear(1)
        assert named.waiting() == []
        # Once an answer: who comes later neither takes the call over nor is heard.
        late.press(1, 0, stream)
        named.press(2, 0, stream)
        real.press(3, 0, stream)
        assert await digits.next() == "3"
        assert late.waiting() == []
        for phone in (real, late):
            phone.close()


async def test_a_repeated_answer_leaves_symmetric_sound_where_it_is() -> None:
    async with call(symmetric=True) as (_, stream, named, digits):
        real, other = Phone(), Phone()
        stream.connect(named.answer())
        real.press(1, 0, stream)
        assert await digits.next() == "1"
        stream.connect(named.answer())
        real.waiting()
        await real.hear(2)
        stream.connect(other.answer())
        await other.hear(2)
        for phone in (real, other):
            phone.close()


async def test_hostile_packets_neither_end_nor_delay_a_call() -> None:
    chance = random.Random(7)
    async with call() as (_, stream, phone, digits):
        stream.connect(phone.answer())
        await phone.hear(2)
        for _ in range(20):
            for packet in (*HOSTILE, chance.randbytes(chance.randrange(300)), b"\x80\x65" + chance.randbytes(14)):
                phone.say(packet, stream)
                phone.rtcp.sendto(packet, (stream.pair.address, stream.pair.port + 1))
            await phone.hear(1)
        # Everything above is read, or has not found room, before a key can be heard.
        timestamp = 0
        while digits.queue.empty() or await digits.next() != "D":
            timestamp += 8_000
            phone.press(15, timestamp, stream)
            await phone.hear(1)
        heard = await phone.hear(5)
        assert [sound.timestamp - heard[0].timestamp for sound in heard] == [0, 160, 320, 480, 640]


async def test_a_far_side_that_is_not_there_does_not_end_the_call() -> None:
    async with call() as (studio, stream, phone, digits):
        answer = phone.answer()
        port = answer.port
        phone.rtp.close()
        stream.connect(answer)
        # On the loopback the error is there at once: it meets the next packet, or the next reading.
        began = studio.number
        for number in range(8):
            studio.beat(began + number)
        assert studio.figures().packets_refused >= 2
        again = Phone()
        again.rtp.close()
        again.rtp = type(phone.rtp)(phone.rtp.family, phone.rtp.type)
        again.rtp.bind(("127.0.0.1", port))
        again.rtp.setblocking(False)
        await again.hear(3)
        again.press(4, 0, stream)
        assert await digits.next() == "4"
        again.close()


async def test_reports_leave_every_five_seconds_and_the_last_says_goodbye() -> None:
    async with call() as (studio, stream, phone, _):
        stream.connect(phone.answer())
        await phone.hear(3)
        # A thousand beats are five seconds.
        began = studio.number
        for rounds in range(3):
            for number in range(1_000):
                studio.beat(began + rounds * 1_000 + number)
            report = await phone.hear_report()
            assert report[:4] == bytes.fromhex("80c80006")
            assert int.from_bytes(report[4:8], "big") == stream.ssrc
            assert report[28:30] == b"\x81\xca"
        packets, octets = struct.unpack_from(">II", report, 20)
        assert octets == packets * 160
        assert 2 * 250 <= packets <= 3 * 250 + 50
        stream.close()
        assert (await phone.hear_report())[-8:-4] == b"\x81\xcb\x00\x01"
        with pytest.raises(BlockingIOError):
            phone.rtcp.recv(2_048)


@pytest.mark.parametrize(
    "rtcp", [("fade", 4_000), ("0.0.0.0", 4_000), ("224.0.0.1", 4_000), ("::1", 4_000), ("127.0.0.1", 70_000)]
)
async def test_reports_that_can_go_nowhere_do_not_stop_the_sound(rtcp: tuple[str, int]) -> None:
    async with call() as (studio, stream, phone, _):
        stream.connect(replace(phone.answer(), rtcp=rtcp))
        began = studio.number
        for number in range(1_000):
            studio.beat(began + number)
        await phone.hear(250)
        stream.close()


async def test_calls_answered_together_do_not_report_together() -> None:
    studio, phone = Studio(PORTS), Phone()
    streams = [studio.open("127.0.0.1") for _ in range(40)]
    for stream in streams:
        stream.connect(phone.answer())
    assert max(len(slot) for slot in studio._reports) <= 5
    assert sum(len(slot) for slot in studio._reports) == 40
    studio.close()
    phone.close()


async def test_a_call_that_was_never_answered_says_no_goodbye() -> None:
    async with call() as (_, stream, phone, _):
        stream.close()
        with pytest.raises(BlockingIOError):
            phone.rtcp.recv(2_048)


async def test_figures_are_those_since_last_asked() -> None:
    async with call() as (studio, stream, phone, _):
        assert studio.figures() == (0, 0.0, 0.0, 0, 0, 0)
        stream.connect(phone.answer())
        await phone.hear(5)
        phone.say(HEADER + bytes(160), stream)
        await phone.hear(2)
        figures = studio.figures()
        assert figures.streams == 1
        assert 7 <= figures.packets_sent <= 60
        assert (figures.packets_heard, figures.packets_refused) == (1, 0)
        assert 0 < figures.late_p99 <= figures.late_most
        assert studio.figures().packets_sent <= 1


async def test_ports_that_are_all_taken_are_an_error_of_the_next_call() -> None:
    async with call() as (_, stream, phone, _):
        first = stream.pair.port
        studio = Studio((first, first + 1))
        with pytest.raises(OSError) as caught:
            studio.open("127.0.0.1")
        assert caught.value.errno == errno.EADDRINUSE
        stream.close()
        again = studio.open("127.0.0.1")
        assert again.pair.port == first
        digits = Digits(again)
        again.connect(phone.answer())
        phone.press(9, 0, again)
        assert await digits.next() == "9"
        studio.close()


async def test_clips_are_shared(tmp_path: Path) -> None:
    path = tmp_path / "clip"
    path.write_bytes(b"sound")
    async with call() as (studio, *_):
        first, second = await asyncio.gather(studio.clip(str(path)), studio.clip(str(path)))
        assert first == b"sound"
        assert second is first
