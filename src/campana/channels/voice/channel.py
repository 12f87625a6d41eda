"""Owns the voice route: the channel contract on one side, a media process with a trunk on the other.

Must not know SIP or sound, nor decide whether an attempt is repeated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from secrets import token_hex
from typing import Final

import structlog

from campana.channels.contract import Composer, Health, Inbound, Parcel, Permit, Result, RouteReport, RouteState
from campana.channels.errors import RefusedForGood, SendError, Unreachable
from campana.channels.voice.checking import check_route
from campana.channels.voice.composing import Announcement, announcement_composer
from campana.channels.voice.ledger import ClipGone, Entry, Ledger
from campana.channels.voice.postbox import Postbox
from campana.channels.voice.process.frames import (
    Caller,
    Dial,
    Drop,
    Ended,
    Figures,
    Go,
    Ready,
    Script,
    Settled,
    State,
    ToMain,
)
from campana.channels.voice.process.keeper import Keeper
from campana.channels.voice.settings import VoiceRouteSettings
from campana.channels.voice.speech.contract import Clip, SpeechRefused, SpeechUnavailable
from campana.channels.voice.speech.speech import Speech
from campana.domain.delivery import Medium
from campana.domain.message import Content
from campana.domain.moment import Clock
from campana.domain.outcome import DeliveryCode, Receipt, ReceiptState

RECONNECT_GRACE: Final = 1.0
"""Seconds for which `send` waits for a trunk that is just coming back."""
SETTLES_WITHIN: Final = 150.0
"""Seconds that handing a call over may take: all hosts of a trunk, each with its connection and its silence."""
SPEAKINGS: Final = 3
"""How often a text is spoken for one call whose file is cleared away before it is read."""
DRAIN_SECONDS: Final = 1.0

log = structlog.get_logger(__name__)

_STARTING: Final = "The media process is being started."
_STOPPED: Final = "The route was stopped."


class VoiceRoute:
    """A way out over one SIP trunk. Used from one event loop; `start` before `send`."""

    medium = Medium.VOICE

    def __init__(self, settings: VoiceRouteSettings, clock: Clock, speech: Speech, process: str) -> None:
        """`process` is the mark of this process, 8 hex digits. The id of each of its calls begins with it, so that the
        calls of a process that has died can be told from those of others."""
        self.settings = settings
        self.name = settings.name
        self.state = RouteState(since=clock(), reason=_STARTING)
        self.figures: Figures | None = None
        """How the media process kept its pace in the last second; None before it said so."""
        self._clock = clock
        self._speech = speech
        self._process = process
        self._inbound: Inbound | None = None
        self._postbox = Postbox(settings.name)
        self._ledger = Ledger(settings.name, clock, self._postbox.put)
        self._keeper = Keeper(settings, self)
        self._posting: asyncio.Task[None] | None = None
        self._is_up = asyncio.Event()
        self._stopping = False

    @property
    def connections(self) -> int:
        """Nobody counts them: what a trunk limits is calls, and the engine counts those."""
        return 0

    def allow(self, connections: int) -> None:
        """Change nothing (see `connections`)."""

    @property
    def media_pid(self) -> int | None:
        """Process id of the media process; None while there is none."""
        return self._keeper.pid

    async def start(self, inbound: Inbound) -> None:
        """Start the media process in the background and keep one running; returns at once."""
        self._inbound = inbound
        self._posting = asyncio.create_task(self._postbox.run(inbound), name=f"receipts {self.name}")
        self._keeper.start()

    async def stop(self, budget: float) -> None:
        """Let calls end within the budget, hang up the rest, and hand in what became of all of them."""
        self._stopping = True
        self._note(Health.DOWN, _STOPPED)
        await self._keeper.stop(max(0.0, budget - DRAIN_SECONDS))
        self._ledger.lose(_STOPPED)
        if self._posting is not None:
            await self._postbox.drain(DRAIN_SECONDS)
            self._posting.cancel()
            await asyncio.gather(self._posting, return_exceptions=True)

    def composer(self, content: Content) -> Composer:
        """Prepare a campaign's calls. Raises RefusedForGood where its plan cannot be carried out."""
        return announcement_composer(content, self.settings)

    async def send(self, parcels: Sequence[Parcel], permit: Permit) -> list[Result]:
        """Have every text spoken, then dial in order; a call is accepted once the trunk has it (see the contract)."""
        speaking = [asyncio.create_task(self._spoken(parcel.payload)) for parcel in parcels]
        calling: list[asyncio.Task[Result]] = []
        for parcel, spoken in zip(parcels, speaking, strict=True):
            clip = await spoken
            calling.append(asyncio.create_task(self._call(parcel, clip, permit)))
            # Lets the call be dialled before the next one is.
            await asyncio.sleep(0)
        return list(await asyncio.gather(*calling))

    async def query(self, carrier_id: str, source: str, destination: str) -> Receipt | None:
        """Tell of a call that is up here; None where it is not, since nobody else knows."""
        if not self._ledger.is_up(carrier_id) and not self._postbox.holds(carrier_id):
            return None
        return Receipt(self.name, ReceiptState.INTERIM, DeliveryCode.OK, self._clock(), (carrier_id,))

    async def check(self) -> RouteReport:
        """Ask the trunk once, by a media process of its own, and say what was found."""
        return await check_route(self.settings, self._speech)

    # --- one call ------------------------------------------------------------------------------------------------

    async def _spoken(self, announcement: Announcement) -> Clip | SendError:
        try:
            return await self._speech.clip(announcement.text, announcement.plan.voice)
        except SpeechRefused as error:
            return RefusedForGood(DeliveryCode.UNRENDERABLE, None, str(error))
        except SpeechUnavailable as error:
            return Unreachable(DeliveryCode.VOICE_SPEECH_UNAVAILABLE, None, str(error))
        except Exception:
            # Were it raised, the engine could not know that nobody was called.
            log.exception("voice.speech_defect", route=self.name)
            return Unreachable(DeliveryCode.VOICE_SPEECH_UNAVAILABLE, None, "Speech has a defect.")

    async def _call(self, parcel: Parcel, clip: Clip | SendError, permit: Permit) -> Result:
        for _ in range(SPEAKINGS):
            if isinstance(clip, SendError):
                return clip
            try:
                return await self._hand_over(parcel, clip, permit)
            except ClipGone:
                clip = await self._spoken(parcel.payload)
        return Unreachable(DeliveryCode.VOICE_SPEECH_UNAVAILABLE, None, "Spoken texts are cleared away too soon.")

    async def _hand_over(self, parcel: Parcel, clip: Clip, permit: Permit) -> Result:
        """Dial, and wait until it is known whether the trunk has the call. Raises ClipGone."""
        if not await self._comes_up():
            return Unreachable(DeliveryCode.VOICE_UNREACHABLE, None, self.state.reason)
        announcement: Announcement = parcel.payload
        entry = self._ledger.open(self._process + token_hex(12), announcement.plan, permit)
        self._keeper.send(_dial(entry, parcel.destination, announcement, clip))
        await asyncio.wait({entry.settled}, timeout=SETTLES_WITHIN)
        if entry.settled.done():
            return entry.settled.result()
        self._keeper.send(Drop(entry.number))
        return self._ledger.give_up(entry)

    async def _comes_up(self) -> bool:
        if not self._is_up.is_set() and not self._stopping:
            try:
                async with asyncio.timeout(RECONNECT_GRACE):
                    await self._is_up.wait()
            except TimeoutError:
                return False
        return self._is_up.is_set()

    # --- what the media process says (keeper.Hearer) -------------------------------------------------------------

    def heard(self, frame: ToMain) -> None:
        """It said something."""
        if isinstance(frame, Ready):
            leaves = self._ledger.may_leave(frame.call)
            self._keeper.send(Go(frame.call) if leaves else Drop(frame.call))
        elif isinstance(frame, Settled):
            self._ledger.settle(frame)
        elif isinstance(frame, Ended):
            self._ledger.end(frame)
        elif isinstance(frame, Figures):
            self.figures = frame
            self.state.figures = _measured(frame)
        elif isinstance(frame, State):
            self._note(Health(frame.health), frame.reason)

    def started(self) -> None:
        """A new one is there, and does not know yet how the trunk is."""
        if self.state.health is Health.UP:
            self._note(Health.CONNECTING, _STARTING)

    def gone(self, reason: str) -> None:
        """It is gone, and its calls with it."""
        if self.state.health is not Health.DOWN:
            self._note(Health.DOWN, reason)
        self.state.figures = dict.fromkeys(self.state.figures, 0.0)
        self._ledger.lose(reason)

    def _note(self, health: Health, reason: str) -> None:
        if self._stopping and health is not Health.DOWN:
            return
        before = (self.state.health, self.state.reason)
        self.state.health, self.state.reason = health, reason
        if health is not before[0]:
            self.state.since = self._clock()
        if health is Health.UP:
            self._is_up.set()
        else:
            self._is_up.clear()
        if (health, reason) != before and self._inbound is not None:
            self._inbound.route_changed(self.name)


def _measured(figures: Figures) -> dict[str, float]:
    return {
        "calls": figures.calls,
        "late_p99_ms": figures.late_p99,
        "late_most_ms": figures.late_most,
        "packets_sent": figures.packets_sent,
        "packets_heard": figures.packets_heard,
    }


def _dial(entry: Entry, destination: str, announcement: Announcement, clip: Clip) -> Dial:
    plan = announcement.plan
    return Dial(
        call=entry.number,
        call_id=entry.call_id,
        destination=destination,
        caller=Caller(plan.calling_name, announcement.source),
        dial_ms=plan.dial_ms,
        script=Script(
            clips={"PCMU": str(clip.pcmu.absolute()), "PCMA": str(clip.pcma.absolute())},
            plays=plan.plays,
            keys=plan.keys,
            waits_for_key=bool(plan.keys),
        ),
    )
