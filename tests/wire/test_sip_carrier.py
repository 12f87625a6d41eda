"""The sandbox's SIP carrier, judged by a caller that writes by hand and by SIPp: before it may judge Campana."""

from __future__ import annotations

import asyncio
import hashlib
import re
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sip_caller import Caller, Dialled
from sipp_kit import needs_sipp

from campana.channels.voice.media.g711 import decode, encode
from campana.channels.voice.media.laws import SILENCE, Law
from campana.sandbox import sip_tones
from campana.sandbox.magic_voice import FATES, LISTENS, fate_of
from campana.sandbox.sip import SipSimulator
from campana.sandbox.sip_phones import MOST_FILES, EndedBy, Moment, PhoneCall, save

NUMBER = "+14165550000"
FAST: dict[str, Any] = {"ring": 0.02, "hang_up_after": 0.02, "press_after": 0.02, "greeting": 0.1}
TONE = encode((9_000 * np.sin(np.arange(160) / 3)).astype(np.int16), "PCMA")
QUIET = SILENCE["PCMA"] * 160


def magic(digits: int) -> str:
    return f"+141655501{digits:02d}"


@asynccontextmanager
async def calling(number: str = NUMBER, tcp: bool = False, laws: str = "8 0 101", **options: Any) -> AsyncIterator[Any]:
    """A carrier, a caller, and a call that is not made yet."""
    async with SipSimulator(**(FAST | options)) as carrier, await Caller(carrier.port).open(tcp) as caller:
        call = Dialled(caller, number, laws)
        try:
            yield carrier, caller, call
        finally:
            call.close()


# --- a call and its ends -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("tcp", [False, True])
async def test_a_telephone_rings_answers_listens_and_notes_what_it_lived(tcp: bool) -> None:
    async with calling(tcp=tcp) as (carrier, _, call):
        call.invite("P-Asserted-Identity: <sip:+14165551111@judge.example>")
        trying = await call.answer(100)
        assert "tag=" not in trying["To"]
        ringing = await call.answer(180)
        answered = await call.answer(200)
        assert ringing["To"] == answered["To"]
        assert re.search(r";rport=\d+;received=127\.0\.0\.1$", answered["Via"])
        call.ack()
        call.speak(QUIET, TONE, TONE)
        await carrier.until(NUMBER, Moment.TEXT)
        await call.hang_up()
        told = await carrier.expect(NUMBER)
        assert (told.caller, told.caller_name) == ("+14165550000", "The Judge")
        assert told.identity == (("P-Asserted-Identity", "<sip:+14165551111@judge.example>"),)
        assert bytes(told.heard) == QUIET + TONE + TONE
        assert (told.law, told.packets, told.heard_octets, told.heard_seconds) == ("PCMA", 3, 480, 0.06)
        assert (told.status, told.ended_by, told.byes, told.cancels) == (200, EndedBy.CALLER, 1, 0)
        assert told.invited_at <= told.rang_at < told.answered_at <= told.text_at <= told.ended_at
        assert told.moments == [Moment.INVITED, Moment.RINGING, Moment.ANSWERED, Moment.TEXT, Moment.ENDED]
        assert carrier.requests == {"INVITE": 1, "ACK": 1, "BYE": 1}
        assert list(carrier.complaints) == []
        assert (carrier.live, carrier.most_live, carrier.counts) == ({}, 1, {NUMBER: 1})


@pytest.mark.parametrize(
    ("digits", "status", "cause"),
    [(42, 486, 17), (45, 404, 1), (46, 603, 21), (50, 500, 38), (51, 503, 34), (52, 488, 0), (57, 403, 0)],
)
async def test_a_refusal_comes_again_until_it_is_acknowledged(digits: int, status: int, cause: int) -> None:
    async with calling(magic(digits), t1=0.02) as (carrier, caller, call):
        call.invite()
        refused = await call.answer(status)
        assert refused.all("Reason") == ([f"Q.850;cause={cause}"] if cause else [])
        await caller.until(rf"SIP/2\.0 {status} ", 3)
        call.ack(success=False)
        told = await carrier.expect(call.number)
        assert (told.status, told.ended_by, told.answered_at) == (status, EndedBy.PHONE, None)
        assert list(carrier.complaints) == []


async def test_a_refusal_over_a_connection_comes_once() -> None:
    async with calling(magic(42), tcp=True, t1=0.005) as (carrier, caller, call):
        call.invite()
        await call.answer(486)
        # 64 times T1 later the carrier has given up waiting for the ACK.
        await carrier.complained()
        assert caller.count(r"SIP/2\.0 486 ") == 1
        assert list(carrier.complaints) == [f"486 to an INVITE of {call.call_id} was never acknowledged"]


@pytest.mark.parametrize("tcp", [False, True])
async def test_an_answer_comes_again_until_it_is_acknowledged_even_over_a_connection(tcp: bool) -> None:
    async with calling(tcp=tcp, t1=0.02) as (carrier, caller, call):
        call.invite()
        await caller.until(r"SIP/2\.0 200 ", 3)
        await call.answer(200)
        call.ack()
        await call.hang_up()
        await carrier.expect(NUMBER)
        assert list(carrier.complaints) == []


async def test_an_answer_that_is_never_acknowledged_ends_the_call() -> None:
    async with calling(t1=0.005) as (carrier, caller, call):
        call.invite()
        asked = await caller.hear("BYE ")
        call.reply(asked)
        told = await carrier.expect(NUMBER)
        assert told.ended_by is EndedBy.NOBODY
        assert list(carrier.complaints) == [f"200 to an INVITE of {call.call_id} was never acknowledged"]


async def test_what_comes_again_is_answered_again_and_counted_once() -> None:
    async with calling(magic(44)) as (carrier, caller, call):
        call.invite()
        await call.answer(180)
        call.invite()
        call.to = call.to.partition(";")[0]
        call.invite()
        await caller.until(r"SIP/2\.0 180 ", 3)
        (told,) = carrier.calls
        assert (told.invites, carrier.counts[call.number]) == (3, 1)
        call.cancel()
        await call.answer(487)
        call.ack(success=False)


async def test_cancel_ends_the_ringing_and_is_known_to_come_too_early() -> None:
    async with calling(magic(44)) as (carrier, caller, call):
        call.invite()
        await call.answer(180)
        tagged, call.to = call.to, call.to.partition(";")[0]
        call.cancel()
        assert (await caller.hear(r"SIP/2\.0 200 "))["CSeq"] == "1 CANCEL"
        assert (await call.answer(487))["To"] == tagged
        call.ack(success=False)
        told = await carrier.expect(call.number)
        assert (told.status, told.ended_by, told.cancels) == (487, EndedBy.CALLER, 1)
        assert list(carrier.complaints) == []
    async with calling(magic(56)) as (carrier, caller, call):
        call.invite()
        await carrier.until(call.number, Moment.INVITED)
        call.cancel()
        await call.answer(487)
        assert list(carrier.complaints) == ["CANCEL: must wait for a provisional response"]


async def test_a_cancel_that_crosses_the_answer_changes_nothing() -> None:
    async with calling() as (carrier, _, call):
        call.invite()
        await call.answer(180)
        call.to, tagged = call.to.partition(";")[0], call.to
        await carrier.until(NUMBER, Moment.ANSWERED)
        call.cancel()
        call.to = tagged
        await call.answer(200)
        call.ack()
        await call.hang_up()
        told = await carrier.expect(NUMBER)
        assert (told.status, told.cancels, told.byes) == (200, 1, 1)


async def test_a_caller_that_died_is_hung_up_on() -> None:
    async with calling(silence=0.05) as (carrier, caller, call):
        await call.connect()
        call.speak(TONE)
        call.reply(await caller.hear("BYE "))
        told = await carrier.expect(NUMBER)
        assert told.ended_by is EndedBy.NOBODY
        assert list(carrier.complaints) == []


# --- fates -------------------------------------------------------------------------------------------------------


async def test_impatient_people_hang_up_while_they_hear_the_text() -> None:
    async with calling(magic(40)) as (carrier, caller, call):
        await call.connect()
        call.speak(QUIET)
        call.speak(TONE)
        asked = await caller.hear("BYE ")
        assert asked.first == f"BYE sip:judge@{caller.place} SIP/2.0"
        call.reply(asked)
        told = await carrier.expect(call.number)
        assert (told.ended_by, told.heard_octets) == (EndedBy.PHONE, 320)
        assert list(carrier.complaints) == []


@pytest.mark.parametrize(("digits", "moment"), [(41, Moment.TEXT), (43, Moment.INVITED)])
async def test_the_second_call_is_listened_to(digits: int, moment: Moment) -> None:
    async with calling(magic(digits)) as (carrier, caller, first):
        first.invite()
        if digits == 43:
            await first.answer(486)
            first.ack(success=False)
        else:
            await first.answer(200)
            first.ack()
            first.speak(TONE)
            first.reply(await caller.hear("BYE "))
        assert (await carrier.expect(first.number)).ended_by is EndedBy.PHONE
        second = Dialled(caller, first.number)
        await second.connect()
        second.speak(TONE)
        assert (await carrier.until(second.number, Moment.TEXT, attempt=2)).call_id == second.call_id
        await second.hang_up()
        assert (await carrier.expect(second.number)).ended_by is EndedBy.CALLER
        second.close()


async def test_a_key_is_pressed_once_with_the_numbers_that_were_offered() -> None:
    async with calling(magic(48), laws="0 8 101") as (carrier, _, call):
        await call.connect()
        call.speak(encode(np.full(160, 9_000, np.int16), "PCMU"), kind=0)
        events = [await call.listen()]
        while events[-1][0] != 101:
            events = [await call.listen()]
        while len(events) < 8:
            events.append(await call.listen())
        assert {(kind, timestamp) for kind, _, timestamp, _ in events} == {(101, events[0][2])}
        assert [marker for _, marker, _, _ in events] == [True] + [False] * 7
        assert [int.from_bytes(body[2:], "big") for *_, body in events] == [160, 320, 480, 640, 800, 800, 800, 800]
        assert [body[:2] for *_, body in events] == [b"\x01\x0a"] * 5 + [b"\x01\x8a"] * 3
        kind, _, timestamp, silence = await call.listen()
        assert (kind, silence) == (0, SILENCE["PCMU"] * 160)
        assert (timestamp - events[0][2]) % 2**32 == 8 * 160
        await call.hang_up()
        assert (await carrier.expect(call.number)).pressed == "1"


async def test_a_key_goes_by_info_too() -> None:
    async with calling(magic(49)) as (carrier, caller, call):
        await call.connect()
        call.speak(TONE)
        asked = await caller.hear("INFO ")
        assert asked["Content-Type"] == "application/dtmf-relay"
        assert asked.body == "Signal=5\r\nDuration=100\r\n"
        call.reply(asked)
        carrier.on_line(call.number).press("#", by_info=True)
        asked = await caller.hear("INFO ")
        call.reply(asked, 415)
        await call.hang_up()
        assert (await carrier.expect(call.number)).pressed == "5#"
        assert list(carrier.complaints) == [f"INFO in {call.call_id} was answered with 415"]


async def test_a_voicemail_greets_beeps_and_hears_only_what_comes_after() -> None:
    async with calling(magic(47)) as (carrier, _, call):
        await call.connect()
        call.speak(TONE, TONE)
        said = b""
        expected = sip_tones.greeting(0.1, "PCMA")
        while len(said) < len(expected):
            *_, payload = await call.listen()
            said += payload if said or payload != QUIET else b""
        assert said[: len(expected)] == expected
        # The frame after the greeting has left, it listens.
        await call.listen()
        call.speak(TONE)
        await carrier.until(call.number, Moment.TEXT)
        await call.hang_up()
        told = await carrier.expect(call.number)
        assert (told.packets, bytes(told.heard)) == (3, TONE)


async def test_early_media_is_a_ringing_tone_until_the_answer() -> None:
    async with calling(magic(54), ring=0.1) as (carrier, _, call):
        call.invite()
        await call.answer(183)
        _, marker, _, payload = await call.listen()
        assert marker
        assert payload == sip_tones.ringing("PCMA")[:160]
        answered = await call.answer(200)
        call.ack()
        assert f"m=audio {call.ear[1]} " in answered.body
        while (await call.listen())[3] != QUIET:
            pass
        await call.hang_up()
        assert (await carrier.expect(call.number)).answered_at


async def test_people_answer_late_or_without_ringing() -> None:
    assert fate_of(magic(53)).ring == 4
    async with calling(magic(55)) as (_, caller, call):
        await call.connect()
        assert caller.count(r"SIP/2\.0 18") == 0
        await call.hang_up()


async def test_a_call_that_nothing_is_said_to_is_forgotten() -> None:
    async with calling(magic(56), t1=0.001) as (carrier, caller, call):
        call.invite()
        told = await carrier.expect(call.number)
        assert (told.status, told.ended_by, caller.heard) == (0, EndedBy.NOBODY, [])


async def test_a_test_can_hang_up_at_any_time() -> None:
    async with calling(magic(44)) as (carrier, _, call):
        call.invite()
        await carrier.until(call.number, Moment.RINGING)
        carrier.on_line(call.number).hang_up()
        await call.answer(603)
        call.ack(success=False)
        with pytest.raises(LookupError):
            carrier.on_line(call.number)
        with pytest.raises(TimeoutError):
            await carrier.expect(NUMBER, 0.01)
        with pytest.raises(TimeoutError):
            await carrier.until(NUMBER, Moment.ENDED, within=0.01)


# --- sound -------------------------------------------------------------------------------------------------------


async def test_sound_is_put_in_order_by_its_timestamps_and_gaps_are_silence() -> None:
    async with calling() as (carrier, _, call):
        await call.connect()
        pieces = [bytes([number]) * 160 for number in range(1, 8)]
        packets = [call.packet(piece) for piece in pieces]
        for order in (0, 2, 1, 2, 3, 5, 6):
            call.rtp.sendto(packets[order], call.ear)
        await call.hang_up()
        told = await carrier.expect(NUMBER)
        pieces[4] = QUIET
        assert bytes(told.heard) == b"".join(pieces)
        assert told.packets == 7
        assert list(carrier.complaints) == []


async def test_strange_packets_are_complained_of_and_not_heard() -> None:
    async with calling() as (carrier, _, call):
        await call.connect()
        call.speak(b"\x07" * 33, kind=3)
        call.rtp.sendto(b"not RTP at all", call.ear)
        call.speak(b"\x01\x0a\x00\xa0", kind=101)
        await call.hang_up()
        told = await carrier.expect(NUMBER)
        assert (told.packets, bytes(told.heard)) == (0, b"")
        assert list(carrier.complaints) == [
            f"the sound of {call.call_id}: payload type 3 was not agreed on",
            f"the sound of {call.call_id}: a packet that is not RTP came, or one before the answer",
        ]


@pytest.mark.parametrize(("codecs", "laws", "law"), [(("PCMU",), "8 0 101", "PCMU"), (("PCMA", "PCMU"), "0 8", "PCMU")])
async def test_laws_are_agreed_on(codecs: tuple[Law, ...], laws: str, law: Law) -> None:
    async with calling(laws=laws, codecs=codecs) as (carrier, _, call):
        await call.connect()
        await call.hang_up()
        assert (await carrier.expect(NUMBER)).law == law


@pytest.mark.parametrize("offer", ["", "v=0\n", None])
async def test_without_a_common_law_a_call_is_refused(offer: str | None) -> None:
    async with calling(laws="8", codecs=("PCMU",)) as (carrier, _, call):
        call.invite(body=offer)
        await call.answer(488)
        call.ack(success=False)
        assert (await carrier.expect(NUMBER)).status == 488
        assert len(carrier.complaints) == 1


async def test_sound_follows_an_invite_within_the_call() -> None:
    async with calling() as (carrier, caller, call):
        await call.connect()
        await call.listen()
        other = Dialled(caller, NUMBER)
        call.cseq, call.branch = 2, "z9hG4bK-again"
        call.invite(body=other.offer)
        again = await call.answer(200)
        assert again["CSeq"] == "2 INVITE"
        assert re.search(r"^o=- \d+ 1 IN", again.body, re.MULTILINE)
        call.ack()
        await other.listen()
        call.cseq, call.branch = 3, "z9hG4bK-hold"
        call.invite(body=other.offer + "a=sendonly\n")
        assert "a=recvonly" in (await call.answer(200)).body
        call.ack()
        call.cseq = 2
        call.caller.send(call.request("OPTIONS", branch="z9hG4bK-old"))
        await call.answer(500)
        call.cseq = 3
        await call.hang_up()
        assert list(carrier.complaints) == ["OPTIONS: CSeq must be higher than before in a call"]
        other.close()


@pytest.mark.parametrize("law", ["PCMA", "PCMU"])
async def test_what_was_heard_is_kept_as_wav(tmp_path: Path, law: Law) -> None:
    laws, kind = ("8 101", 8) if law == "PCMA" else ("0 101", 0)
    octets = encode((9_000 * np.sin(np.arange(160) / 3)).astype(np.int16), law)
    async with calling(laws=laws, folder=tmp_path / "heard") as (carrier, caller, call):
        for attempt in (1, 2):
            one = call if attempt == 1 else Dialled(caller, NUMBER, laws)
            await one.connect()
            one.speak(*[octets] * (10 * attempt), kind=kind)
            await one.hang_up()
            told = await carrier.expect(NUMBER)
            assert told.wav == tmp_path / "heard" / f"{NUMBER}-{attempt}.wav"
            with wave.open(str(told.wav)) as file:
                assert file.getparams()[:4] == (1, 2, 8_000, 1_600 * attempt)
                assert file.readframes(160) == decode(octets, law).tobytes()
            one.close()


def test_a_folder_of_wavs_is_bounded_and_its_names_are_harmless(tmp_path: Path) -> None:
    for number in range(MOST_FILES):
        (tmp_path / f"+1416{number}-1.wav").write_bytes(b"")
    (tmp_path / "notes.txt").write_bytes(b"")
    call = PhoneCall("../../etc/passwd", 3, "id", "", "", (), 0.0, heard=bytearray(TONE))
    assert save(call, "PCMA", tmp_path) == tmp_path / "______etc_passwd-3.wav"
    assert len(list(tmp_path.iterdir())) == MOST_FILES + 1
    assert (tmp_path / "notes.txt").exists()


# --- around calls ------------------------------------------------------------------------------------------------


def digest(header: str, method: str, uri: str, password: str, count: int = 1) -> str:
    """Credentials for a challenge, by RFC 8760 and nothing of Campana's."""
    told = dict(re.findall(r'(\w+)="?([^",]+)"?', header))
    hashed = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}[told["algorithm"]]

    def of(text: str) -> str:
        return hashed(text.encode()).hexdigest()

    middle = f"{told['nonce']}:{count:08x}:c:auth"
    secret, about = of(f"ann:{told['realm']}:{password}"), of(f"{method}:{uri}")
    response = of(f"{secret}:{middle}:{about}")
    return (
        f'Digest username="ann", realm="{told["realm"]}", nonce="{told["nonce"]}", uri="{uri}", qop=auth, '
        f'nc={count:08x}, cnonce="c", algorithm={told["algorithm"]}, response="{response}"'
    )


@pytest.mark.parametrize(("which", "status", "asking"), [(0, 401, "WWW-Authenticate"), (1, 407, "Proxy-Authenticate")])
async def test_callers_are_asked_for_their_password(which: int, status: int, asking: str) -> None:
    answering = "Authorization" if status == 401 else "Proxy-Authorization"
    async with calling(accounts={"ann": "secret"}, challenge=status) as (carrier, _, call):
        call.invite()
        challenges = (await call.answer(status)).all(asking)
        assert [re.findall(r"algorithm=([\w-]+)", one)[0] for one in challenges] == ["SHA-256", "MD5"]
        call.ack(success=False)
        for password, count, expected in (("wrong", 1, status), ("secret", 1, 200), ("secret", 1, status)):
            call.to = call.to.partition(";")[0]
            call.cseq += 1
            call.branch += "-again"
            call.uri = f"sip:{NUMBER}@carrier.example"
            credentials = digest(challenges[which], "INVITE", call.uri, password, count)
            call.invite(f"{answering}: {credentials}")
            told = await call.answer(expected)
            call.ack(success=expected == 200)
            if expected == 200:
                call.cseq += 1
                await call.hang_up()
        assert "stale=true" in told.all(asking)[0]
        assert (carrier.challenged, carrier.counts) == (3, {NUMBER: 1})
        assert list(carrier.complaints) == []


async def test_registrations_come_and_go() -> None:
    async with calling(accounts={"ann": "secret"}) as (carrier, _, call):
        call.caller.send(call.request("REGISTER"))
        challenge = (await call.answer(401)).all("WWW-Authenticate")[0]
        call.to = call.to.partition(";")[0]
        for number, expires in enumerate((600, 0), start=2):
            credentials = f"Authorization: {digest(challenge, 'REGISTER', call.uri, 'secret', number)}"
            headers = (credentials, "Contact: <sip:ann@127.0.0.1:5060>", f"Expires: {expires}")
            call.caller.send(call.request("REGISTER", headers, branch=f"z9hG4bK-r{number}", cseq=number))
            told = await call.caller.hear(r"SIP/2\.0 200 ")
            person = f"sip:{NUMBER}@carrier.example"
            assert carrier.registered == ({person: "sip:ann@127.0.0.1:5060"} if expires else {})
            assert told.all("Contact") == (["<sip:ann@127.0.0.1:5060>;expires=600"] if expires else [])


async def test_options_and_what_is_unknown() -> None:
    async with calling() as (carrier, caller, call):
        for number, (method, status) in enumerate((("OPTIONS", 200), ("BYE", 481), ("CANCEL", 481), ("FLY", 405)), 1):
            caller.send(call.request(method, branch=f"z9hG4bK-o{number}", cseq=number))
            told = await caller.hear(rf"SIP/2\.0 {status} ")
            assert told["CSeq"] == f"{number} {method}"
        assert told["Allow"].startswith("INVITE, ACK")
        carrier.options_status = 503
        caller.send(call.request("OPTIONS", branch="z9hG4bK-o9"))
        await caller.hear(r"SIP/2\.0 503 ")
        call.to += ";tag=nobody"
        caller.send(call.request("BYE", branch="z9hG4bK-o10"))
        await caller.hear(r"SIP/2\.0 481 ")


class Noted:
    """A way that notes what is sent back."""

    is_reliable = False
    source = ("127.0.0.1", 5_060)

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def send(self, message: bytes, place: tuple[str, int]) -> None:
        self.sent.append(message)


async def test_a_carrier_that_is_silent_says_nothing() -> None:
    async with calling() as (carrier, _, call):
        way = Noted()
        for silent in (True, False):
            carrier.silent = silent
            carrier.received(way, call.request("OPTIONS").encode())
            assert len(way.sent) == (not silent)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("z9hG4bK", "old", "INVITE: Via's branch must begin with z9hG4bK"),
        ("Max-Forwards: 70\r\n", "", "INVITE: Max-Forwards must be a number from 1 to 255"),
        ("Content-Type: application/sdp\r\n", "", "INVITE: a body must have its Content-Type"),
        ("Contact:", "X-Contact:", "INVITE: an INVITE must have one Contact that is a SIP URI"),
        ("CSeq: 1 INVITE", "CSeq: one INVITE", "a message was not SIP: CSeq must be"),
        ("INVITE sip:", "INVITE\x01 sip:", "a message was not SIP: the start line must be"),
    ],
)
async def test_faults_of_callers_are_noted(old: str, new: str, complaint: str) -> None:
    async with calling(magic(42)) as (carrier, caller, call):
        spoiled = call.request("INVITE", (), call.offer).replace(old, new, 1)
        caller.send(spoiled)
        # Whatever that was, the carrier lives.
        caller.send(call.request("OPTIONS", branch="z9hG4bK-lives"))
        await caller.hear(r"SIP/2\.0 200 ")
        assert [fault for fault in carrier.complaints if fault.startswith(complaint)]


async def test_garbage_ends_nothing() -> None:
    async with calling(tcp=True) as (carrier, caller, _), await Caller(carrier.port).open() as other:
        for garbage in (
            "\x00" * 100,
            "SIP/2.0 999 Yes\r\n\r\n",
            "INVITE sip:x SIP/2.0\r\n\r\n",
            "\r\n\r\n",
            "x" * 60_000,
        ):
            other.send(garbage)
        caller.send("GET / HTTP/1.1\r\n\r\n")
        third = Dialled(other, NUMBER)
        await third.connect()
        await third.hang_up()
        third.close()
        assert any("connection was broken" in fault for fault in carrier.complaints)


async def test_a_journal_outlives_the_carrier(tmp_path: Path) -> None:
    async with calling(magic(42), journal=tmp_path / "journal") as (carrier, _, call):
        call.invite()
        await call.answer(486)
        call.ack(success=False)
        await carrier.expect(call.number)
    lines = (tmp_path / "journal").read_text(encoding="ascii").splitlines()
    assert [re.findall(r'"moment":"(\w+)"', line)[0] for line in lines] == ["invited", "ringing", "ended"]
    assert '"number":"+14165550142","attempt":1' in lines[0]


def test_numbers_are_magic_however_they_are_dialled() -> None:
    for spelled in ("+12125550142", "12125550142", "2125550142", "0012125550142", "01112125550142"):
        assert fate_of(spelled).digits == "42"
    for plain in ("+12125550100", "+12125550199", "+442125550142", "+12125560142", "", "+1212555014"):
        assert fate_of(plain) is LISTENS
    assert len({fate.digits for fate in FATES}) == len(FATES)


# --- SIPp ----------------------------------------------------------------------------------------------------------


@needs_sipp
@pytest.mark.parametrize("transport", ["u1", "t1"])
async def test_sipp_finds_nothing_to_complain_of(tmp_path: Path, transport: str) -> None:
    async with SipSimulator(ring=0.05) as carrier:
        process = await asyncio.create_subprocess_exec(
            *("sipp", "-sn", "uac", "-s", NUMBER, f"127.0.0.1:{carrier.port}", "-i", "127.0.0.1", "-t", transport),
            *("-m", "100", "-r", "50", "-d", "200", "-nostdin", "-timeout", "20s", "-timeout_error"),
            cwd=tmp_path,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert await process.wait() == 0
        assert carrier.requests == {"INVITE": 100, "ACK": 100, "BYE": 100}
        assert {(call.status, call.ended_by) for call in carrier.calls} == {(200, EndedBy.CALLER)}
        assert list(carrier.complaints) == []
        assert carrier.live == {}
