"""Owns one call from its preparation to its report: the script that joins a leg of SIP and a stream of sound.

Must not know how either works, other calls, or what the report means to a delivery.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from campana.channels.voice.codes import outcome_of
from campana.channels.voice.media.stream import Stream
from campana.channels.voice.media.studio import Studio
from campana.channels.voice.numbers import dialled, origination
from campana.channels.voice.process.frames import Dial, Ended, Ready, Settled, Settling, ToMain
from campana.channels.voice.process.recital import Heard, Recital
from campana.channels.voice.settings import VoiceRouteSettings
from campana.channels.voice.sip.agent import Agent
from campana.channels.voice.sip.contract import Invitation, Leg, LegEnded
from campana.channels.voice.sip.flow import Target
from campana.channels.voice.sip.locating import Locator
from campana.channels.voice.sip.problem import Problem
from campana.channels.voice.sip.sdp import (
    Law,
    LocalMedia,
    MediaAnswer,
    SdpError,
    answer_offer,
    make_offer,
    parse_answer,
)
from campana.domain.call import CallReport, HungUpBy
from campana.domain.outcome import DeliveryCode

TAKEN_AFTER: Final = 1.0
"""Seconds after which the trunk is taken to have an INVITE that it has not answered."""
GRACE: Final = 5.0
"""Seconds beyond all that a call can take, after which it is hung up whatever goes on."""
LONGEST_WORDS: Final = 200

_log = structlog.get_logger(__name__)

_UNTAKEN: Final[dict[Problem, Settling]] = {
    Problem.WITHDRAWN: Settling.WITHDRAWN,
    Problem.TRANSPORT: Settling.UNREACHABLE,
    Problem.AUTHENTICATION: Settling.MISCONFIGURED,
}
"""What ends a call before the trunk has taken it."""


@dataclass(frozen=True, slots=True)
class Equipment:
    """What all calls of a media process share."""

    settings: VoiceRouteSettings
    agent: Agent
    locator: Locator
    studio: Studio
    tell: Callable[[ToMain], None]


class Call:
    """One call. `over` is called once, when nothing more will happen."""

    def __init__(self, dial: Dial, equipment: Equipment, over: Callable[[Call], None]) -> None:
        self.number = dial.call
        self._dial = dial
        self._equipment = equipment
        self._over = over
        self._loop = asyncio.get_running_loop()
        self._is_settled = self._is_over = self._is_given_up = False
        self._go: asyncio.Future[bool] | None = None
        self._leg: Leg | None = None
        self._stream: Stream | None = None
        self._local: LocalMedia | None = None
        self._version = 0
        self._early = b""
        self._clips: dict[Law, bytes] = {}
        self._recital: Recital | None = None
        self._timers: list[asyncio.TimerHandle] = []
        self._began_at = 0
        """Epoch milliseconds; what follows it is counted by a clock that nobody sets."""
        self._began = self._rang = self._answered = 0.0
        self._no_common_media = False

    # --- before it leaves ----------------------------------------------------------------------------------------

    async def place(self) -> None:
        """Prepare everything, ask whether it may leave, and dial. What becomes of it is told, never raised."""
        try:
            await self._prepare()
        except Exception:
            _log.exception("voice.call_not_placed")
            self._settle(Settling.UNREACHABLE, None, "The call could not be prepared.")
            self._close()

    async def _prepare(self) -> None:
        equipment, dial = self._equipment, self._dial
        settings = equipment.settings
        try:
            self._clips = {law: await equipment.studio.clip(dial.script.clips[law]) for law in settings.codecs}
        except OSError as error:
            return self._fail(Settling.NO_CLIP, str(error.strerror))
        targets = await equipment.locator.targets()
        if not targets:
            return self._fail(Settling.UNREACHABLE, equipment.locator.problem)
        try:
            self._offer(targets[0])
        except OSError as error:
            return self._fail(Settling.UNREACHABLE, error.strerror or str(error))
        if self._is_given_up:
            return self._fail(Settling.WITHDRAWN, None)
        self._leg = equipment.agent.place(self._invitation(), self, self._may_leave)
        return None

    def _offer(self, towards: Target) -> bytes:
        """SDP for a host of the trunk: a further one may be reached by another address, or IP version, of ours.

        Raises OSError where nothing leads there, no port is free, or the call is over.
        """
        if self._is_over:
            raise OSError(errno.ECANCELED, "the call is over")
        studio, settings = self._equipment.studio, self._equipment.settings
        if self._stream is None or self._local is None or not studio.leads(self._stream, towards.address):
            before, self._stream = self._stream, studio.open(towards.address)
            if before is not None:
                before.close()
            self._stream.on_digit = lambda key, ms: self._key(key, "rtp")
            self._local = LocalMedia(*self._stream.local, settings.codecs, settings.dtmf_payload, secrets.randbits(62))
        return make_offer(self._local)

    def _invitation(self) -> Invitation:
        dial, settings = self._dial, self._equipment.settings
        caller = origination(dial.caller.name, dial.caller.number, settings, settings.trunks[0].host)
        return Invitation(
            call_id=dial.call_id,
            destination=dialled(dial.destination, settings),
            from_header=caller.from_header,
            identity=caller.identity,
            offer=self._offer,
            dial_ms=dial.dial_ms,
        )

    async def _may_leave(self) -> bool:
        if self._is_given_up:
            return False
        self._go = self._loop.create_future()
        self._equipment.tell(Ready(self.number))
        return await self._go

    def answer(self, go: bool) -> None:
        """The main process answered Ready."""
        if self._go is not None and not self._go.done():
            self._go.set_result(go)

    def give_up(self) -> None:
        """End the call, wherever it is."""
        self._is_given_up = True
        if self._recital is not None:
            self._recital.end()
        self.answer(False)
        if self._leg is not None:
            self._leg.hang_up()

    def abandon(self) -> None:
        """Tell what is known of a call whose end cannot be waited for."""
        self.ended(LegEnded(HungUpBy.US, None, "", None, None))

    # --- sip.contract.LegEvents ---------------------------------------------------------------------------------------

    def sent(self) -> None:
        """The INVITE left for the first time."""
        self._began_at = time.time_ns() // 1_000_000
        self._began = self._loop.time()
        self._timers.append(self._loop.call_later(TAKEN_AFTER, self._settle, Settling.ACCEPTED))

    def responded(self, status: int) -> None:
        """A response came. Where we have credentials, 100 may only precede the challenge."""
        if status >= 300:
            return
        if status > 100 or not self._equipment.settings.username:
            self._settle(Settling.ACCEPTED)
        if 180 <= status < 200 and not self._rang:
            self._rang = self._loop.time()

    def early_media(self, answer: bytes) -> None:
        """Sound before the answer is the network's: it is not listened to, and nothing is played to it."""
        self._early = answer

    def answered(self, answer: bytes) -> None:
        """Somebody answered: begin to speak at once."""
        self._settle(Settling.ACCEPTED)
        if self._is_over or self._stream is None or self._local is None or self._recital is not None:
            return
        # Some leave out of the 200 what they have said in a 183 already.
        try:
            media = parse_answer(answer or self._early, self._local)
            self._stream.connect(media)
        except (SdpError, OSError) as error:
            _log.info("voice.no_common_media", reason=str(error))
            self._no_common_media = True
            self._hang_up()
            return
        self._answered = self._loop.time()
        self._recite(self._stream, media)

    def digit(self, key: str, ms: int) -> None:
        """A key was pressed, told by INFO."""
        self._key(key, "info")

    def reoffered(self, offer: bytes) -> bytes | None:
        """The other side wants the sound elsewhere, or on hold; None refuses, and leaves all as it was."""
        stream, local = self._stream, self._local
        if stream is None or local is None or self._is_over or stream.law is None:
            return None
        version = self._version + 1
        if not offer:
            self._version = version
            return make_offer(local, version)
        try:
            body, media = answer_offer(offer, local, version, keep=stream.law)
            if media.law != stream.law:
                # What is being played is of the other law.
                return None
            stream.connect(media)
        except (SdpError, OSError):
            return None
        self._version = version
        return body

    def reanswered(self, answer: bytes) -> None:
        """The answer to an offer that they asked us for: one that cannot be carried out leaves all as it was."""
        stream, local = self._stream, self._local
        if stream is None or local is None or self._is_over:
            return
        with contextlib.suppress(SdpError, OSError):
            media = parse_answer(answer, local)
            if media.law == stream.law:
                stream.connect(media)

    def ended(self, ended: LegEnded) -> None:
        """It is over. Told of as its end, or, where the trunk never had it, as why it never left."""
        if self._is_over:
            return
        words = ended.reason[:LONGEST_WORDS]
        how = self._how_it_never_left(ended)
        if how is not None:
            code = None if ended.status is None else str(ended.status)
            self._settle(how, code, words or None)
        else:
            self._settle(Settling.ACCEPTED)
            report = self._report(ended, words)
            self._equipment.tell(Ended(self.number, report, self._why_unanswered(ended)))
        self._close()

    # --- on the line ---------------------------------------------------------------------------------------------

    def _recite(self, stream: Stream, media: MediaAnswer) -> None:
        clip, settings = self._clips[media.law], self._equipment.settings
        most = max(settings.longest_call, len(clip) / 8_000) + settings.key_wait + GRACE
        self._timers.append(self._loop.call_later(most, self._hang_up))
        self._recital = Recital(stream, clip, self._dial.script, settings, self._hang_up)
        self._recital.begin()

    def _key(self, key: str, way: str) -> None:
        if self._recital is not None:
            self._recital.key(key, way)

    def _hang_up(self) -> None:
        if self._recital is not None:
            self._recital.end()
        if self._leg is not None:
            self._leg.hang_up()

    # --- what is told --------------------------------------------------------------------------------------------

    def _how_it_never_left(self, ended: LegEnded) -> Settling | None:
        """Why nobody can have been reached; None where the trunk had it, or may have had it."""
        if self._is_settled or ended.may_have_arrived:
            return None
        if ended.problem in _UNTAKEN:
            return _UNTAKEN[ended.problem]
        if ended.status in (401, 407):
            return Settling.MISCONFIGURED
        return None if self._began else Settling.WITHDRAWN

    def _report(self, ended: LegEnded, words: str) -> CallReport:
        now = self._loop.time()
        heard = Heard() if self._recital is None else self._recital.end()
        began_at = self._began_at or time.time_ns() // 1_000_000
        began = self._began or now
        return CallReport(
            began_at=began_at,
            ended_at=began_at + round((now - began) * 1_000),
            ringing_ms=round(((self._answered or now) - self._rang) * 1_000) if self._rang else None,
            answered_at=began_at + round((self._answered - began) * 1_000) if self._answered else None,
            heard_ms=heard.ms,
            plays=heard.plays,
            digits=heard.digits,
            acknowledged=heard.acknowledged,
            ended_by=ended.by,
            sip_status=ended.status,
            q850=ended.q850,
            reason=words,
        )

    def _why_unanswered(self, ended: LegEnded) -> DeliveryCode:
        problem = Problem.NO_COMMON_MEDIA if self._no_common_media else ended.problem
        return outcome_of(ended.status, ended.q850, problem, rang=bool(self._rang))

    def _settle(self, how: Settling, code: str | None = None, words: str | None = None) -> None:
        if not self._is_settled:
            self._is_settled = True
            self._equipment.tell(Settled(self.number, how, code, words))

    def _fail(self, how: Settling, words: str | None) -> None:
        self._settle(how, None, words)
        self._close()

    def _close(self) -> None:
        self._is_over = True
        self.answer(False)
        for timer in self._timers:
            timer.cancel()
        if self._recital is not None:
            self._recital.end()
        if self._stream is not None:
            self._stream.close()
        # Nothing may hold in a circle what is over: the collector looks at old objects once in thousands of calls.
        self._timers.clear()
        self._leg = self._recital = self._stream = None
        self._over(self)
