"""Hostile peers: garbage, half-truths and floods, on the signalling and the sound. The route lives, calls end right."""

from __future__ import annotations

import asyncio
import random
import re
import struct
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from ear_kit import Ear, ear
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trunk_kit import Heard, RawTrunk, raw_trunk, sdp
from voice_kit import Caller, FixedSpeech, calling, each

from campana.domain.call import KEYS
from campana.domain.outcome import DeliveryCode

C = DeliveryCode

# --- shapes of responses that no client should swallow ---------------------------------------------------------------

HUGE = "X" * 60_000
ODD = ["", " ", "\x00", "\x00" * 40, "%s%n", "é" * 30, '"', "<", "<sip:", "<<>>", ";;;=", ",,,,", "1" * 400, "-1", "🂡"]
HEADERS = ["Via", "From", "To", "Call-ID", "CSeq", "Contact", "Content-Length", "Record-Route", "Require", "RSeq"]


def replaced(header: str, value: str) -> Callable[[bytes], bytes]:
    line = f"{header}: {value}".encode()
    return lambda data: re.sub(rb"(?m)^%b: [^\r]*" % header.encode(), lambda _: line, data, count=1)


def added(header: str, value: str, times: int = 1) -> Callable[[bytes], bytes]:
    lines = f"{header}: {value}\r\n".encode() * times
    return lambda data: data.replace(b"\r\n", b"\r\n" + lines, 1)


odd_text = st.one_of(
    st.sampled_from(ODD), st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=40)
)
odd_status = st.sampled_from(["099", "700", "99999999999999999999", "-1", "abc", "", "20O", "1e3", "486.5"])
mutations = st.one_of(
    st.builds(replaced, st.sampled_from(HEADERS[:5]), odd_text),
    st.builds(added, st.sampled_from([*HEADERS, "Reason", "Route", "X", ""]), odd_text, st.sampled_from([1, 3, 300])),
    st.builds(lambda status: lambda data: data.replace(b" 180 ", f" {status} ".encode(), 1), odd_status),
    st.builds(lambda at: lambda data: data[: len(data) * at // 100], st.integers(0, 99)),
    st.builds(lambda at, bits: lambda data: _flipped(data, at, bits), st.integers(0, 10_000), st.integers(1, 255)),
    st.builds(lambda junk: lambda data: junk + data, st.binary(max_size=40)),
    st.builds(lambda junk: lambda data: data + junk, st.binary(max_size=2_000)),
    st.just(lambda data: data.replace(b"\r\n", b"\n")),
    st.just(lambda data: data.replace(b"\r\n", b"\r\n\r\n", 1)),
    st.just(lambda data: data.replace(b"SIP/2.0 ", b"SIP/9.9 ", 1)),
    st.just(added("X", HUGE)),
)
garbage = st.one_of(st.binary(max_size=1_500), st.just(b""), st.just(b"\r\n\r\n"), st.just(b"\r\n" * 700))
shots = st.lists(
    st.tuples(st.sampled_from([100, 180, 183]), st.lists(mutations, min_size=1, max_size=3)), min_size=1, max_size=6
)


def _flipped(data: bytes, at: int, bits: int) -> bytes:
    at = 12 + at % (len(data) - 12) if len(data) > 12 else 0  # not in the status: that would be another response
    if at >= len(data):
        return data
    return data[:at] + bytes([data[at] ^ bits]) + data[at + 1 :]


class Range:
    """A route that is shot at by one raw trunk, kept for many examples."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.salvo: list[bytes] = []
        self.shapes: list[tuple[int, list[Callable[[bytes], bytes]]]] = []
        self.runner.run(self.open())

    async def open(self) -> None:
        self.trunk: RawTrunk = await self.stack.enter_async_context(raw_trunk(self.answer))
        self.caller: Caller = await self.stack.enter_async_context(calling(self.trunk.url, FixedSpeech(self.folder)))

    def answer(self, trunk: RawTrunk, heard: Heard) -> None:
        if heard.method == "INVITE":
            trunk.say(heard, *self.salvo)
            for status, shapes in self.shapes:
                data = heard.response(status, trunk.contact, body=sdp(9) if status == 183 else "")
                for shape in shapes:
                    data = shape(data)
                trunk.say(heard, data[:65_000])
            trunk.say(heard, heard.response(486))

    def call(self) -> DeliveryCode:
        return self.runner.run(self.caller.call()).code

    def close(self) -> None:
        self.runner.run(self.stack.aclose())
        self.runner.close()


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Range]:
    room = Range(tmp_path)
    yield room
    room.close()


MANY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@MANY
@given(shapes=shots)
def test_bent_provisional_responses_change_no_result(
    target: Range, shapes: list[tuple[int, list[Callable[[bytes], bytes]]]]
) -> None:
    """None of them is a final response to this INVITE, so that the busy after them is what counts."""
    target.salvo, target.shapes = [], shapes
    assert target.call() is C.VOICE_BUSY


@MANY
@given(salvo=st.lists(garbage, min_size=1, max_size=8))
def test_garbage_before_a_response_changes_no_result(target: Range, salvo: list[bytes]) -> None:
    target.salvo, target.shapes = salvo, []
    assert target.call() is C.VOICE_BUSY


# --- lies: well-formed, and of somebody else's call ------------------------------------------------------------------


def lies(trunk: RawTrunk, heard: Heard) -> list[bytes]:
    """Final responses and requests that fit this call but for one thing."""
    yes = heard.response(200, trunk.contact, body=sdp(9))
    return [
        replaced("Via", re.sub(r"branch=[^;]+", "branch=z9hG4bKother", heard["Via"]))(yes),
        replaced("Via", "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKother")(yes),
        replaced("CSeq", "1 BYE")(yes),
        replaced("CSeq", "4294967295 OPTIONS")(yes),
        request(trunk, heard, "BYE", to_tag="nobody"),
        request(trunk, heard, "CANCEL"),
        request(trunk, heard, "INVITE", call_id="strange"),
        request(trunk, heard, "OPTIONS", call_id="curious"),
        request(trunk, heard, "REFER", to_tag="nobody", more="Refer-To: <sip:+19005550000@example.com>\r\n"),
        request(trunk, heard, "BYE", call_id=""),
    ]


def request(
    trunk: RawTrunk, heard: Heard, method: str, call_id: str | None = None, to_tag: str = "", more: str = ""
) -> bytes:
    """A request that the trunk never had a reason to send."""
    tag = f";tag={to_tag}" if to_tag else ""
    lines = [f"{method} sip:us@{heard.sender[0]}:{heard.sender[1]} SIP/2.0"]
    lines += [f"Via: SIP/2.0/UDP 127.0.0.1:{trunk.port};branch=z9hG4bK{random.randrange(1 << 40)}", "Max-Forwards: 70"]
    lines += [f"From: <sip:them@127.0.0.1>;tag=liar{tag}", f"To: <sip:us@127.0.0.1>{tag}"]
    lines += [f"Call-ID: {heard['Call-ID'] if call_id is None else call_id}", f"CSeq: 1 {method}", trunk.contact]
    return ("\r\n".join(lines) + f"\r\n{more}Content-Length: 0\r\n\r\n").encode()


async def test_lies_about_a_call_change_nothing(tmp_path: Path) -> None:
    def answer(trunk: RawTrunk, heard: Heard) -> None:
        if heard.method == "INVITE":
            trunk.say(heard, heard.response(180), *lies(trunk, heard), heard.response(486))

    async with raw_trunk(answer) as trunk, calling(trunk.url, FixedSpeech(tmp_path)) as caller:
        results = await asyncio.gather(*(caller.call(f"+141655501{n:02}") for n in range(10)))
    assert {told.code for told in results} == {C.VOICE_BUSY}
    refused = {heard.text.split(" ", 2)[1] for heard in trunk.of("SIP/2.0") if heard["CSeq"] == "1 INVITE"}
    assert refused <= {"403", "405", "480", "486", "488", "501", "603"}, "a call to us is never taken"


async def test_a_bye_of_a_stranger_ends_no_call(tmp_path: Path) -> None:
    """It knows the Call-ID, but neither tag."""

    def answer(trunk: RawTrunk, heard: Heard) -> None:
        if heard.method == "INVITE":
            trunk.say(heard, heard.response(200, trunk.contact, body=sdp(listener.port)))
        elif heard.method == "ACK":
            trunk.say(heard, request(trunk, heard, "BYE", to_tag="guess"), request(trunk, heard, "BYE"))
        elif heard.method == "BYE":
            trunk.say(heard, heard.response(200))

    speech = FixedSpeech(tmp_path)
    async with ear() as listener, raw_trunk(answer) as trunk, calling(trunk.url, speech) as caller:
        told = await caller.call()
    assert (told.code, told.report.plays) == (C.OK, 1)
    assert {heard.text.split(" ", 2)[1] for heard in trunk.of("SIP/2.0")} == {"481"}


# --- sound -----------------------------------------------------------------------------------------------------------


def noise(dice: random.Random) -> bytes:
    """A datagram for an RTP port: nothing, a little, random, or RTP with one thing wrong."""
    first, kind = dice.choice([0x80, 0x9F, 0xB0, 0x40, 0xFF]), dice.choice([8, 0, 101, 229, 72, 255])
    stamp = dice.choice([0, 1 << 31, (1 << 32) - 1, dice.randrange(1 << 32)])
    head = struct.pack("!BBHII", first, kind, dice.randrange(1 << 16), stamp, dice.randrange(1 << 32))
    body = dice.randbytes(dice.choice([0, 1, 2, 3, 4, 5, 160, 1_400]))
    return dice.choice([b"", dice.randbytes(dice.randrange(20)), head[: dice.randrange(12)], head + body, head * 30])


async def bombard(phone: Ear, count: int) -> None:
    """Send noise to both ports of a call, from its own phone and from a stranger."""
    dice = random.Random(count)
    await phone.until(lambda: phone.peer is not None)
    host, port = phone.peer
    async with ear() as stranger:
        for number in range(count):
            for listener in (phone, stranger):
                listener.sender.sendto(noise(dice), (host, port + number % 2))
            if number % 50 == 0:
                heard = len(phone.packets)
                await phone.until(lambda heard=heard: len(phone.packets) > heard)


@pytest.mark.parametrize("symmetric", [False, True])
async def test_noise_on_the_ports_of_a_call_disturbs_neither_its_sound_nor_its_end(
    symmetric: bool, tmp_path: Path
) -> None:
    def answer(trunk: RawTrunk, heard: Heard) -> None:
        if heard.method == "INVITE":
            trunk.say(heard, heard.response(200, trunk.contact, body=sdp(listener.port)))
        elif heard.method == "BYE":
            trunk.say(heard, heard.response(200))

    speech = FixedSpeech(tmp_path, 1_000)
    async with (
        ear() as listener,
        raw_trunk(answer) as trunk,
        calling(trunk.url, speech, symmetric_rtp=symmetric) as caller,
    ):
        told, _ = await asyncio.gather(caller.call(), bombard(listener, 1_000))
        again, _ = await asyncio.gather(caller.call(), bombard(listener, 50))
    assert (told.code, again.code) == (C.OK, C.OK)
    assert told.report.plays == 1
    assert set(told.report.digits) <= KEYS
    if not symmetric:
        assert listener.sound().count(speech.pcma) == 2


HOSTILE_SDP = [
    sdp(0),
    sdp(70_000),
    sdp(9).replace("127.0.0.1", "999.1.1.1"),
    sdp(9).replace("127.0.0.1", "255.255.255.255"),
    sdp(9).replace("127.0.0.1", "224.0.0.1"),
    sdp(9).replace("IN IP4 127.0.0.1\r\nt=", "IN IP4 host.invalid\r\nt="),
    "m=audio\r\n" * 2_000,
    "v=0\r\n" + "a=" + "x" * 50_000 + "\r\n",
    "\x00\x01\x02",
    random.Random(4).randbytes(600).hex(),
]


async def test_hostile_sdp_ends_its_own_call_alone(tmp_path: Path) -> None:
    def answer(trunk: RawTrunk, heard: Heard) -> None:
        if heard.method == "INVITE":
            body = HOSTILE_SDP[int(re.search(r"(\d\d)@", heard.text)[1])]
            trunk.say(heard, heard.response(200, trunk.contact, body=body))
        elif heard.method == "BYE":
            trunk.say(heard, heard.response(200))

    async with raw_trunk(answer) as trunk, calling(trunk.url, FixedSpeech(tmp_path)) as caller:
        numbers = [f"+141655501{n:02}" for n in range(len(HOSTILE_SDP))]
        results = await asyncio.gather(*(caller.call(number) for number in numbers))
        assert len(trunk.of("ACK")) >= len(HOSTILE_SDP)
    codes = {told.code for told in results}
    assert codes <= {C.VOICE_NO_COMMON_MEDIA, C.VOICE_INTERRUPTED, C.OK}
    assert results[0].code is C.VOICE_NO_COMMON_MEDIA


# --- streams ---------------------------------------------------------------------------------------------------------

STREAMS = [
    b"\x00" * 5_000,
    b"GET / HTTP/1.1\r\n\r\n" * 10,
    b"SIP/2.0 200 OK\r\nContent-Length: 99999999999999\r\n\r\n",
    b"SIP/2.0 200 OK\r\nContent-Length: -5\r\n\r\n",
    b"SIP/2.0 200 OK\r\n" + b"X: y\r\n" * 50_000,
    b"A" * 300_000,
]


async def test_a_stream_of_garbage_costs_its_connection_and_nothing_else(tmp_path: Path) -> None:
    async def check(folder: Path, stream: bytes) -> None:
        turns = iter([stream])

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            text = (await reader.readuntil(b"\r\n\r\n")).decode()
            heard = Heard(0, text, ("127.0.0.1", 0))
            writer.write(next(turns, heard.response(486)))
            await reader.read()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        url = f"sip:127.0.0.1:{server.sockets[0].getsockname()[1]};transport=tcp"
        async with server, calling(url, FixedSpeech(folder)) as caller:
            first = await caller.call(dial_ms=1_500)
            second = await caller.call(dial_ms=1_500)
        assert first.code is C.VOICE_UNREACHABLE
        assert second.code is C.VOICE_BUSY

    await each([(stream,) for stream in STREAMS], check, tmp_path)
