"""Owns what all calls of a process share: transactions, ways to hosts, our own address, and who is in which dialog.

Must not know what a call is for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import structlog

from campana.channels.voice.settings import VoiceRouteSettings
from campana.channels.voice.sip.contract import Locator, Timers
from campana.channels.voice.sip.digest import Credentials
from campana.channels.voice.sip.flow import Flow, Target, Transports
from campana.channels.voice.sip.headers import SipUri
from campana.channels.voice.sip.transactions import Transactions
from campana.channels.voice.sip.uri import Transport

_log = structlog.get_logger(__name__)

if TYPE_CHECKING:
    from campana.channels.voice.sip.conversation import Conversation

DialogKey = tuple[str, str, str]
"""Call-ID, our tag, their tag."""


class Stack:
    """What is shared. `transports` are given once they are open."""

    def __init__(self, settings: VoiceRouteSettings, locator: Locator, timers: Timers) -> None:
        self.settings = settings
        self.locator = locator
        self.timers = timers
        self.transactions = Transactions(timers)
        self.transports: Transports | None = None
        self.conversations: dict[DialogKey, Conversation] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._farewells = 0
        self._quiet = asyncio.Event()
        self._quiet.set()

    def credentials(self) -> Credentials:
        """User and password, for one call or one registration."""
        return Credentials(self.settings.username, self.settings.password)

    async def flow(self, target: Target) -> Flow:
        """The flow to a target. Raises OSError."""
        if self.transports is None:
            raise ConnectionError("the transports are not open")
        return await self.transports.flow(target)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run it beside everything else."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("voice.sip_defect", exc_info=error)

    def lane(self, hop: SipUri, near: Flow) -> Lane:
        """The way to a hop of a dialog whose INVITE went over `near`."""
        return Lane(self, hop, near)

    # --- saying goodbye ------------------------------------------------------------------------------------------

    def begin_farewell(self) -> None:
        """A BYE or CANCEL is on its way."""
        self._farewells += 1
        self._quiet.clear()

    def end_farewell(self) -> None:
        """It was answered, or nobody will."""
        self._farewells -= 1
        if self._farewells <= 0:
            self._quiet.set()

    async def quiet(self, seconds: float) -> None:
        """Wait until no farewell is on its way, so many seconds at most."""
        try:
            async with asyncio.timeout(seconds):
                await self._quiet.wait()
        except TimeoutError:
            return

    async def close(self) -> None:
        """Forget all calls; those that are still being placed end now."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.transactions.close()
        self.conversations.clear()


class Lane:
    """The way for the requests of one dialog, in their order; found once, and again where it broke.

    A hop that is where the INVITE went needs no looking up. One that cannot be found or reached is replaced by that
    way: the other side's own name is of no use from here then.
    """

    def __init__(self, stack: Stack, hop: SipUri, near: Flow) -> None:
        self._stack = stack
        self._hop = hop
        self._near = near
        self._flow = near if leads_to(near.target, hop) else None
        self._waiting: list[Callable[[Flow], None]] = []

    def run(self, then: Callable[[Flow], None]) -> None:
        """Call `then` with the flow: now, or as soon as it is found."""
        if self._flow is not None:
            then(self._flow)
            return
        self._waiting.append(then)
        if len(self._waiting) == 1:
            self._stack.spawn(self._find())

    def renew(self) -> None:
        """The flow broke: look for another one the next time."""
        self._flow = None

    async def _find(self) -> None:
        flow = await self._reach()
        self._flow = flow
        waiting, self._waiting = self._waiting, []
        for then in waiting:
            then(flow)

    async def _reach(self) -> Flow:
        stack = self._stack
        try:
            async with asyncio.timeout(stack.timers.host):
                places = await stack.locator.resolve(self._hop.host, self._hop.port, self._hop.transport)
                for place in [*places[:3], self._near.target]:
                    try:
                        return await stack.flow(place)
                    except OSError:
                        continue
        except TimeoutError:
            return self._near
        return self._near


def leads_to(target: Target, hop: SipUri) -> bool:
    """Whether a URI means this very target, without any looking up.

    One that names no transport means the one that was used to get there: many peers leave it out of Contact.
    """
    transport = hop.transport if hop.scheme == "sips" or "transport" in hop.parameters else target.transport
    port = hop.port or (5061 if transport is Transport.TLS else 5060)
    return hop.host in (target.address, target.name) and (port, transport) == (target.port, target.transport)


def contact_of(flow: Flow) -> str:
    """How the other side reaches us within a dialog."""
    transport = flow.target.transport
    parameter = "" if transport is Transport.UDP else f";transport={transport.value.lower()}"
    return f"<sip:campana@{flow.sent_by}{parameter}>"
