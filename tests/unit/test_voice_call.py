"""The script of a call: what it tells the main process, whatever the leg of SIP and the stream of sound do."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from campana.channels.voice.process.call import TAKEN_AFTER, Call, Equipment
from campana.channels.voice.process.frames import Caller, Dial, Ended, Ready, Script, Settled, Settling
from campana.channels.voice.settings import VoiceRouteSettings
from campana.channels.voice.sip.contract import Invitation, LegEnded
from campana.channels.voice.sip.flow import Target
from campana.channels.voice.sip.problem import Problem
from campana.channels.voice.sip.sdp import LocalMedia, make_answer, make_offer, parse_offer
from campana.channels.voice.sip.uri import Transport
from campana.domain.call import HungUpBy
from campana.domain.outcome import DeliveryCode

SOON = 5.0
C, S, US = DeliveryCode, Settling, HungUpBy.US
THEIRS = LocalMedia("127.0.0.1", 40_000, ("PCMA",), 101, 1)


class FakeStream:
    """A stream of sound that plays what it is told, at once or never."""

    nobody_listens = False

    def __init__(self, address: str = "127.0.0.1") -> None:
        self.local = (address, 20_000)
        self.law = None
        self.on_digit = None
        self.connected: list[Any] = []
        self.played: list[bytes] = []
        self.on_end: Callable[[], None] | None = None
        self.closed = 0
        self.unreachable = False

    def connect(self, answer) -> None:
        if self.unreachable:
            raise OSError(errno.EINVAL, "no such address")
        self.law = answer.law
        self.connected.append(answer)

    def play(self, clip: bytes, on_end: Callable[[], None]) -> None:
        self.played.append(clip)
        self.on_end = on_end

    def stop_playing(self) -> int:
        return 800

    def close(self) -> None:
        self.closed += 1


class Scene:
    """One call with a leg, a stream and a main process that do as the test says."""

    def __init__(self, **settings: Any) -> None:
        values = {"name": "trunk", "url": "sip:127.0.0.1", "pause": 0.0, "key_wait": 0.0} | settings
        self.settings = VoiceRouteSettings(**values)
        self.told: list[Any] = []
        self.news = asyncio.Event()
        self.stream = FakeStream()
        self.files = {"/a": b"A" * 1_600, "/u": b"U" * 1_600}
        self.targets_found = [Target(Transport.UDP, "127.0.0.1", 5060, "127.0.0.1")]
        self.problem = "the name is not known"
        self.ports = True
        self.invitation: Invitation | None = None
        self.may_leave: Callable[[], Awaitable[bool]] | None = None
        self.hung_up = 0
        self.hanging_up = asyncio.Event()
        self.over: list[Call] = []
        equipment = Equipment(self.settings, cast(Any, self), cast(Any, self), cast(Any, self), self._tell)
        script = Script({"PCMA": "/a", "PCMU": "/u"}, 1, "1", False)
        dial = Dial(7, "call-id", "+441632960123", Caller("Campana", "+441632960001"), 9_000, script)
        self.call = Call(dial, equipment, self.over.append)

    def _tell(self, frame) -> None:
        self.told.append(frame)
        self.news.set()

    # What the agent, the locator and the studio are to the call.

    def place(self, invitation, events, may_leave):
        self.invitation, self.may_leave = invitation, may_leave
        return self

    def hang_up(self) -> None:
        self.hung_up += 1
        self.hanging_up.set()

    async def targets(self) -> list[Target]:
        return self.targets_found

    async def clip(self, path: str) -> bytes:
        if path not in self.files:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory")
        return self.files[path]

    def open(self, towards: str) -> FakeStream:
        if not self.ports:
            raise OSError(errno.EADDRINUSE, "every port of rtp_ports is taken")
        if towards != self.stream.local[0]:
            self.stream = FakeStream(towards)
        return self.stream

    def leads(self, stream: FakeStream, towards: str) -> bool:
        return stream.local[0] == towards

    # What the test does.

    async def dialled(self, go: bool = True) -> None:
        """Prepare the call, ask and be answered; where it may go, the INVITE leaves."""
        await self.call.place()
        assert self.may_leave is not None
        leaving = asyncio.ensure_future(self.may_leave())
        await asyncio.wait_for(self.news.wait(), SOON)
        assert self.told == [Ready(7)]
        self.told.clear()
        self.call.answer(go)
        assert await leaving is go
        if go:
            self.call.sent()

    async def answered(self) -> None:
        await self.dialled()
        self.call.responded(180)
        self.call.answered(self.sdp())

    def sdp(self, theirs: LocalMedia = THEIRS) -> bytes:
        assert self.invitation is not None
        return make_answer(parse_offer(self.invitation.offer(self.targets_found[0])), theirs)[0]

    def ended(
        self, by=HungUpBy.NETWORK, status=None, reason="", q850=None, problem=None, may_have_arrived=False
    ) -> None:
        self.call.ended(LegEnded(by, status, reason, q850, problem, may_have_arrived))

    def end(self) -> Ended:
        """The one end that was told, as the last."""
        assert [type(frame) for frame in self.told].count(Ended) == 1
        assert isinstance(self.told[-1], Ended)
        return self.told[-1]


async def test_the_invitation_says_what_the_main_process_asked_for() -> None:
    scene = Scene(number_format="digits")
    await scene.dialled()
    invitation = scene.invitation
    assert invitation is not None
    assert (invitation.call_id, invitation.destination, invitation.dial_ms) == ("call-id", "441632960123", 9_000)
    assert invitation.from_header.startswith('"Campana" <sip:441632960001@')
    offer = parse_offer(invitation.offer(scene.targets_found[0]))
    assert (offer.address, offer.port) == ("127.0.0.1", 20_000)


# --- what never left ---------------------------------------------------------------------------------------------


async def test_what_may_not_leave_is_withdrawn() -> None:
    scene = Scene()
    await scene.dialled(go=False)
    scene.ended(problem=Problem.WITHDRAWN)
    assert scene.told == [Settled(7, S.WITHDRAWN)]
    assert (scene.over, scene.stream.closed) == ([scene.call], 1)


@pytest.mark.parametrize(
    ("spoil", "how", "words"),
    [
        (lambda scene: scene.files.clear(), S.NO_CLIP, "No such file"),
        (lambda scene: scene.targets_found.clear(), S.UNREACHABLE, "name is not known"),
        (lambda scene: setattr(scene, "ports", False), S.UNREACHABLE, "rtp_ports"),
        (lambda scene: setattr(scene, "place", None), S.UNREACHABLE, "could not be prepared"),
    ],
)
async def test_what_cannot_be_prepared_is_told_and_over(spoil, how, words) -> None:
    scene = Scene()
    spoil(scene)
    await scene.call.place()
    (told,) = scene.told
    assert (told.call, told.how) == (7, how)
    assert words in told.carrier_text
    assert scene.over == [scene.call]


@pytest.mark.parametrize(
    ("ended", "told"),
    [
        ({"problem": Problem.TRANSPORT, "reason": "refused"}, Settled(7, S.UNREACHABLE, None, "refused")),
        ({"problem": Problem.AUTHENTICATION, "status": 401}, Settled(7, S.MISCONFIGURED, "401", None)),
        ({"status": 407, "reason": "Who?"}, Settled(7, S.MISCONFIGURED, "407", "Who?")),
    ],
)
async def test_what_the_trunk_never_took_is_no_attempt(ended, told) -> None:
    scene = Scene(username="someone")
    await scene.dialled()
    scene.ended(**ended)
    assert scene.told == [told]
    assert scene.over == [scene.call]


@pytest.mark.parametrize(
    ("problem", "code"),
    [(Problem.TRANSPORT, C.VOICE_UNREACHABLE), (Problem.WITHDRAWN, None), (Problem.AUTHENTICATION, None)],
)
async def test_an_invite_that_may_have_arrived_is_an_attempt_whatever_a_further_host_said(problem, code) -> None:
    scene = Scene()
    await scene.dialled()
    scene.ended(problem=problem, may_have_arrived=True)
    assert scene.told[0] == Settled(7, S.ACCEPTED)
    assert code in (None, scene.end().unanswered)


async def test_a_connection_that_was_never_made_reached_nobody() -> None:
    scene = Scene()
    scene.targets_found = [Target(Transport.TCP, "127.0.0.1", 5060, "127.0.0.1")]
    await scene.call.place()
    scene.ended(problem=Problem.TRANSPORT)
    assert scene.told == [Settled(7, S.UNREACHABLE)]


# --- from host to host -------------------------------------------------------------------------------------------


async def test_a_host_of_the_other_ip_version_is_offered_sound_of_its_own() -> None:
    scene = Scene()
    await scene.dialled()
    assert scene.invitation is not None
    first = scene.stream
    other = Target(Transport.UDP, "::1", 5060, "::1")
    assert parse_offer(scene.invitation.offer(other)).address == "::1"
    # Asked again, as after a challenge, it is the same one.
    assert scene.invitation.offer(other) == scene.invitation.offer(other)
    assert scene.stream is not first
    assert (first.closed, scene.stream.closed) == (1, 0)
    theirs = replace(THEIRS, address="::1")
    scene.call.answered(make_answer(parse_offer(scene.invitation.offer(other)), theirs)[0])
    assert (len(first.played), len(scene.stream.played)) == (0, 1)
    assert scene.stream.on_digit is not None
    scene.stream.on_digit("5", 100)
    scene.ended(by=HungUpBy.CALLEE, status=200)
    assert scene.end().report.digits == "5"
    assert (first.closed, scene.stream.closed) == (1, 1)


async def test_a_host_to_which_no_sound_leads_leaves_the_call_as_it_is() -> None:
    scene = Scene()
    await scene.dialled()
    assert scene.invitation is not None
    first = scene.stream
    scene.ports = False
    with pytest.raises(OSError):
        scene.invitation.offer(Target(Transport.UDP, "::1", 5060, "::1"))
    assert parse_offer(scene.invitation.offer(scene.targets_found[0])).address == "127.0.0.1"
    assert (scene.stream, first.closed) == (first, 0)


async def test_a_call_that_is_over_is_offered_to_no_further_host() -> None:
    """Its sockets would be nobody's."""
    scene = Scene()
    await scene.dialled()
    scene.ended(by=HungUpBy.CALLEE)
    before = scene.stream
    assert scene.invitation is not None
    with pytest.raises(OSError, match="is over"):
        scene.invitation.offer(Target(Transport.UDP, "::1", 5060, "::1"))
    assert (scene.stream, before.closed) == (before, 1)


# --- when it is the trunk's --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("username", "statuses", "accepted"),
    [
        ("", [100], True),
        ("someone", [100], False),
        ("someone", [100, 183], True),
        ("", [180], True),
        ("", [486], False),
    ],
)
async def test_a_response_says_that_the_trunk_has_it(username, statuses, accepted) -> None:
    scene = Scene(username=username)
    await scene.dialled()
    for status in statuses:
        scene.call.responded(status)
    assert scene.told == ([Settled(7, S.ACCEPTED)] if accepted else [])


async def test_a_trunk_that_says_nothing_is_taken_to_have_it() -> None:
    scene = Scene(username="someone")
    await scene.dialled()
    scene.news.clear()
    began = asyncio.get_running_loop().time()
    await asyncio.wait_for(scene.news.wait(), SOON)
    assert scene.told == [Settled(7, S.ACCEPTED)]
    assert abs(asyncio.get_running_loop().time() - began - TAKEN_AFTER) < 0.2
    scene.ended(by=US, problem=Problem.TIMEOUT)
    assert scene.end().unanswered is C.VOICE_UNREACHABLE


# --- ends of what nobody answered --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rings", "ended", "code"),
    [
        (True, {"status": 486, "q850": 17, "reason": "Busy Here"}, C.VOICE_BUSY),
        (True, {"by": US, "status": 487, "problem": Problem.NO_ANSWER}, C.VOICE_NO_ANSWER),
        (False, {"by": US, "problem": Problem.TIMEOUT}, C.VOICE_UNREACHABLE),
        (False, {"status": 404}, C.VOICE_NUMBER_UNKNOWN),
        (True, {"problem": Problem.TRANSPORT}, C.VOICE_UNREACHABLE),
        (False, {"status": 503}, C.VOICE_CONGESTED),
    ],
)
async def test_an_end_without_an_answer_says_why(rings, ended, code) -> None:
    scene = Scene()
    await scene.dialled()
    scene.call.responded(180 if rings else 100)
    scene.ended(**ended)
    end = scene.end()
    assert scene.told[0] == Settled(7, S.ACCEPTED)
    assert end.unanswered is code
    report = end.report
    assert (report.answered_at, report.heard_ms, report.plays) == (None, 0, 0)
    assert (report.sip_status, report.q850) == (ended.get("status"), ended.get("q850"))
    assert (report.ringing_ms is not None) is rings
    assert report.began_at <= report.ended_at


async def test_a_refusal_before_anything_else_is_accepted_and_ended() -> None:
    scene = Scene()
    await scene.dialled()
    scene.call.responded(486)
    scene.ended(status=486)
    assert [type(frame) for frame in scene.told] == [Settled, Ended]
    assert scene.told[0].how is S.ACCEPTED


async def test_an_end_is_told_once_and_words_are_bounded() -> None:
    scene = Scene()
    await scene.dialled()
    for _ in range(2):
        scene.ended(status=486, reason="x" * 1_000)
    assert len(scene.end().report.reason) == 200
    assert scene.over == [scene.call]


# --- on the line -------------------------------------------------------------------------------------------------


async def test_an_answered_call_is_spoken_to_in_its_law_and_hung_up() -> None:
    scene = Scene()
    await scene.answered()
    assert scene.stream.played == [scene.files["/a"]]
    scene.stream.on_end()
    await asyncio.wait_for(scene.hanging_up.wait(), SOON)
    scene.ended(by=US, status=200)
    report = scene.end().report
    assert (report.plays, report.heard_ms, report.ended_by, report.sip_status) == (1, 200, US, 200)
    assert report.answered_at is not None
    assert report.ringing_ms is not None
    assert scene.stream.closed == 1


async def test_who_hangs_up_early_has_heard_a_part() -> None:
    scene = Scene()
    await scene.answered()
    scene.stream.on_digit("7", 100)
    scene.call.digit("8", 0)
    scene.ended(by=HungUpBy.CALLEE, status=200)
    report = scene.end().report
    assert (report.plays, report.heard_ms, report.digits, report.ended_by) == (0, 100, "78", HungUpBy.CALLEE)
    assert scene.hung_up == 0


@pytest.mark.parametrize("answer", [b"", b"nonsense", b"v=0\r\nm=audio 4000 RTP/AVP 9\r\n"])
async def test_without_a_common_codec_the_answered_call_is_given_up(answer: bytes) -> None:
    scene = Scene()
    await scene.dialled()
    scene.call.answered(answer)
    assert (scene.hung_up, scene.stream.played) == (1, [])
    scene.ended(by=US, status=200)
    end = scene.end()
    assert (end.unanswered, end.report.answered_at) == (C.VOICE_NO_COMMON_MEDIA, None)


async def test_sound_that_can_go_nowhere_gives_the_call_up() -> None:
    scene = Scene()
    scene.stream.unreachable = True
    await scene.answered()
    scene.ended(by=US, status=200)
    assert scene.end().unanswered is C.VOICE_NO_COMMON_MEDIA


async def test_an_answer_without_sound_takes_what_was_said_early() -> None:
    scene = Scene()
    await scene.dialled()
    scene.call.early_media(scene.sdp())
    assert scene.stream.connected == []
    scene.call.answered(b"")
    assert len(scene.stream.connected) == len(scene.stream.played) == 1


async def test_keys_before_the_answer_are_nobodys() -> None:
    scene = Scene()
    await scene.dialled()
    scene.stream.on_digit("1", 100)
    scene.call.answered(scene.sdp())
    scene.ended(by=HungUpBy.CALLEE, status=200)
    assert scene.end().report.digits == ""


# --- offers in a call --------------------------------------------------------------------------------------------


async def test_sound_may_move_and_be_held_and_our_answers_count_their_versions() -> None:
    scene = Scene()
    await scene.answered()
    moved = LocalMedia("127.0.0.2", 41_000, ("PCMU", "PCMA"), 96, 2)
    for version in (1, 2):
        body = scene.call.reoffered(make_offer(moved, version))
        assert body is not None
        assert f" {version} IN IP4".encode() in body
    assert (scene.stream.connected[-1].address, scene.stream.connected[-1].law) == ("127.0.0.2", "PCMA")
    asked = scene.call.reoffered(b"")
    assert asked is not None
    assert b" 3 IN IP4" in asked
    scene.call.reanswered(make_answer(parse_offer(asked), THEIRS)[0])
    assert scene.stream.connected[-1].port == 40_000


@pytest.mark.parametrize(
    "offer",
    [b"nonsense", make_offer(LocalMedia("127.0.0.2", 41_000, ("PCMU",), 101, 2))],
    ids=["no SDP", "only the other law"],
)
async def test_an_offer_that_cannot_be_followed_is_refused_and_changes_nothing(offer: bytes) -> None:
    scene = Scene()
    await scene.answered()
    before = list(scene.stream.connected)
    assert scene.call.reoffered(offer) is None
    scene.call.reanswered(offer)
    assert scene.stream.connected == before


async def test_an_offer_before_the_answer_or_after_the_end_is_refused() -> None:
    scene = Scene()
    await scene.dialled()
    assert scene.call.reoffered(make_offer(THEIRS)) is None
    scene.ended(status=486)
    assert scene.call.reoffered(make_offer(THEIRS)) is None
    scene.call.reanswered(b"")
    scene.call.answered(b"")
    assert scene.stream.connected == []


# --- given up ----------------------------------------------------------------------------------------------------


async def test_a_call_that_waits_for_its_permit_is_given_up_without_leaving() -> None:
    scene = Scene()
    await scene.call.place()
    leaving = asyncio.ensure_future(scene.may_leave())
    await asyncio.wait_for(scene.news.wait(), SOON)
    scene.call.give_up()
    assert await leaving is False
    assert await scene.may_leave() is False


@pytest.mark.parametrize("answered", [False, True])
async def test_a_call_whose_end_never_comes_is_told_as_it_is(answered: bool) -> None:
    scene = Scene()
    await scene.dialled()
    scene.call.responded(180)
    if answered:
        scene.call.answered(scene.sdp())
    scene.call.give_up()
    scene.call.abandon()
    end = scene.end()
    assert (end.report.ended_by, end.unanswered) == (US, C.VOICE_NO_ANSWER)
    assert (end.report.answered_at is not None) is answered
    assert scene.over == [scene.call]
