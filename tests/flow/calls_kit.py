"""A route of calls at the channel's contract, without a telephone: each call ends when and as the test says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from campana.channels.contract import (
    Accepted,
    Composer,
    Health,
    Inbound,
    Parcel,
    Permit,
    Result,
    RouteReport,
    RouteState,
)
from campana.channels.errors import SendError, Withdrawn
from campana.channels.settings import RouteSettings
from campana.channels.voice.settings import VoiceRouteSettings
from campana.domain.call import CallReport, HungUpBy
from campana.domain.campaign import Campaign, VoiceSettings
from campana.domain.delivery import Medium
from campana.domain.message import Content
from campana.domain.moment import Clock
from campana.domain.outcome import DeliveryCode, Receipt, ReceiptState

NEVER_ENDS = 3_600.0


def voice_campaign(**changes: Any) -> Campaign:
    """A campaign that calls, three times at most and at once again; `retry_minutes` and the like are its voice's."""
    voice: dict[str, Any] = {
        "dial_timeout_ms": 30_000,
        "calling_number": "+14165550100",
        "text": "Hello",
        "max_plays": 1,
        "max_attempts": 3,
        "retry_minutes": 0,
    }
    voice |= {name: changes.pop(name) for name in list(changes) if name in VoiceSettings.__slots__}
    return Campaign(**({"guid": "", "name": "Autumn", "voice": VoiceSettings(enabled=True, **voice)} | changes))


@dataclass(slots=True)
class Placed:
    """A call that was placed."""

    id: str
    destination: str
    attempt: int
    at: int
    content: Content


@dataclass
class Trunk:
    """`setup` seconds until `send` answers, `lasts` seconds until a call is over; `ends` says how. A call that lasts
    for NEVER_ENDS is ended by the test."""

    clock: Clock
    setup: float = 0.0
    lasts: float = 0.0
    ends: Callable[[Placed], DeliveryCode] = lambda call: DeliveryCode.OK
    refuses: SendError | None = None
    """What comes of every call instead of being placed."""
    name: str = "trunk"
    medium: Medium = Medium.VOICE
    state: RouteState = field(default_factory=lambda: RouteState(Health.UP))
    placed: list[Placed] = field(default_factory=list)
    asked: int = 0
    up: dict[str, Placed] = field(default_factory=dict)
    most_up: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    inbound: Inbound | None = None
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def settings(self, **changes: Any) -> tuple[Trunk, RouteSettings]:
        """The route with its settings, as the engine wants them."""
        return self, VoiceRouteSettings(**({"name": self.name, "url": "sip:127.0.0.1:5060", "rate": 50} | changes))

    @property
    def connections(self) -> int:
        return 0

    def allow(self, connections: int) -> None:
        pass

    async def start(self, inbound: Inbound) -> None:
        self.inbound = inbound

    async def stop(self, budget: float) -> None:
        for task in self.tasks:
            task.cancel()

    def composer(self, content: Content) -> Composer:
        return lambda delivery, attempt, dial, text: Parcel(delivery, attempt, dial, content)

    async def send(self, parcels: Sequence[Parcel], permit: Permit) -> list[Result]:
        return list(await asyncio.gather(*(self._place(parcel, permit) for parcel in parcels)))

    async def query(self, carrier_id: str, source: str, destination: str) -> Receipt | None:
        if carrier_id not in self.up:
            return None
        return Receipt(self.name, ReceiptState.INTERIM, DeliveryCode.OK, self.clock(), (carrier_id,))

    async def check(self) -> RouteReport:
        raise NotImplementedError

    async def until(self, happened: Callable[[], bool], within: float = 20.0) -> None:
        """Wait until something is so of the calls."""
        async with asyncio.timeout(within):
            while not happened():
                self.changed.clear()
                await self.changed.wait()

    async def end(self, call_id: str, code: DeliveryCode) -> None:
        """End a call that is up."""
        call = self.up.pop(call_id)
        self.changed.set()
        state = ReceiptState.DELIVERED if code is DeliveryCode.OK else ReceiptState.FAILED
        report = CallReport(began_at=call.at, ended_at=self.clock(), ended_by=HungUpBy.CALLEE, sip_status=200)
        told = None if code is DeliveryCode.UNCERTAIN else report
        receipt = Receipt(self.name, state, code, self.clock(), (call_id,), call=told)
        assert self.inbound is not None
        await self.inbound.receipts([receipt])

    def lose(self) -> None:
        """All calls are gone, and nobody says so."""
        self.up.clear()
        for task in self.tasks:
            task.cancel()

    async def _place(self, parcel: Parcel, permit: Permit) -> Result:
        self.asked += 1
        self.changed.set()
        if self.refuses is not None:
            return self.refuses
        if not permit():
            return Withdrawn()
        call_id = f"call-{len(self.placed)}@{self.name}-{id(self)}"
        call = Placed(call_id, parcel.destination, parcel.attempt, self.clock(), parcel.payload)
        self.placed.append(call)
        self.up[call_id] = call
        self.most_up = max(self.most_up, len(self.up))
        self.changed.set()
        if self.lasts < NEVER_ENDS:
            task = asyncio.create_task(self._last(call))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
        await asyncio.sleep(self.setup)
        return Accepted((call_id,))

    async def _last(self, call: Placed) -> None:
        await asyncio.sleep(self.lasts)
        await self.end(call.id, self.ends(call))
