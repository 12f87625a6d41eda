"""Owns a route's connections: how many there are, when one is opened, and what happens when none can be.

Must not know the protocol (session.py, opening.py), messages, or who says how many connections there may be.
Everything happens in one event loop.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from typing import Any

from campana.channels.contract import NONE_LEFT, Health, Parcel, Permit, Result
from campana.channels.email.jobs import JobQueue
from campana.channels.email.opening import open_session
from campana.channels.email.session import Session
from campana.channels.email.settings import EmailRouteSettings
from campana.channels.errors import SendError, Unreachable
from campana.domain.outcome import DeliveryCode

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 30.0
_FRUITLESS = 2


class Pool:
    """Keeps connections between calls, opens them as work demands, and drains the queue through them.

    It has none until it is allowed some. `on_health` hears of every change with a sentence for people.
    """

    def __init__(
        self,
        settings: EmailRouteSettings,
        tls: ssl.SSLContext | None,
        on_health: Callable[[Health, str], None],
    ) -> None:
        self._settings = settings
        self._tls = tls
        self._on_health = on_health
        self._queue = JobQueue()
        self._most = 0
        self._sessions: set[Session] = set()
        self._idle: list[Session] = []
        self._openings: set[asyncio.Task[None]] = set()
        self._failures = 0
        self._not_before = 0.0
        self._unsure = True
        """Whether the relay can be reached is not known: one connection is opened, if only to know."""
        self._down: SendError | None = None
        self._stopping = False
        self._empty = asyncio.Event()
        self._ticker: asyncio.TimerHandle | None = None
        self._pause: asyncio.TimerHandle | None = None
        waits = (settings.idle_seconds, settings.command_timeout, settings.final_timeout)
        self._tick_seconds = min(1.0, *(wait / 4 for wait in waits))

    @property
    def connections(self) -> int:
        """Connections that stand, are opened or say goodbye."""
        return len(self._sessions) + self._queue.awaited

    def allow(self, most: int) -> None:
        """Have at most so many connections. The first is opened in the background, so that the health is known."""
        if self._stopping:
            return
        before, self._most = self._most, most
        if most and before:
            self._shed()
            self._pump()
            return
        self._forget()
        self._shed()
        self._pump()
        self._on_health(Health.CONNECTING, "" if most else NONE_LEFT)

    async def send(self, parcels: Sequence[Parcel], permit: Permit) -> list[Result]:
        """Drain the parcels through the connections and return what became of each, in their order."""
        if not parcels:
            return []
        batch = self._queue.add(parcels, permit)
        self._pump()
        await batch.done
        return [result for result in batch.results if result is not None]

    async def stop(self, budget: float) -> None:
        """Let what is written be answered, for `budget` seconds; say goodbye; then close whatever is left."""
        self._stopping = True
        error = _unreachable("the route is stopping")
        self._queue.close(error)
        for task in self._openings:
            task.cancel()
        if self._pause is not None:
            self._pause.cancel()
        for session in self._idle:
            session.quit()
        self._idle.clear()
        self._note_empty()
        try:
            async with asyncio.timeout(max(budget, 0)):
                await self._empty.wait()
        except TimeoutError:
            for session in list(self._sessions):
                session.abort(error)
        await asyncio.gather(*self._openings, return_exceptions=True)
        if self._ticker is not None:
            self._ticker.cancel()

    # --- work ------------------------------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Bring waiting jobs and connections together; open more where that is worth it and allowed."""
        while self._idle and len(self._queue):
            self._idle.pop().begin()
        if self._stopping:
            return
        obstacle = self._obstacle()
        if obstacle is not None:
            self._queue.fail_all(obstacle)
        wanted = len(self._queue) - self._queue.awaited
        if self._unsure and not self.connections:
            wanted = max(wanted, 1)
        wanted = min(wanted, self._most - self.connections)
        if wanted <= 0:
            return
        pause = self._not_before - asyncio.get_running_loop().time()
        if pause > 0:
            self._pump_later(pause)
            return
        for _ in range(wanted):
            self._spawn()

    def _obstacle(self) -> SendError | None:
        """Why nobody will come for what waits."""
        if not self._most:
            return _unreachable(NONE_LEFT)
        return None if self._sessions else self._down

    def _pump_later(self, pause: float) -> None:
        if self._pause is not None:
            self._pause.cancel()
        self._pause = asyncio.get_running_loop().call_later(pause, self._pump)

    # --- fewer -----------------------------------------------------------------------------------------------------

    def _forget(self) -> None:
        """Forget how the relay was: by the time that there are connections again, it may be otherwise."""
        self._unsure = True
        self._down = None
        self._failures = 0
        self._not_before = 0.0

    def _shed(self) -> None:
        """End what is too much: first what is being opened, then what is idle, then what is busy."""
        openings = [task for task in self._openings if not task.cancelling()]
        staying = [session for session in self._sessions if not session.leaving]
        excess = max(0, len(openings) + len(staying) - self._most)
        for task in openings[:excess]:
            task.cancel()
        excess = max(0, excess - len(openings))
        staying.sort(key=lambda session: session not in self._idle)
        for session in staying[:excess]:
            session.retire()
        self._idle = [session for session in self._idle if not session.leaving]

    # --- opening ---------------------------------------------------------------------------------------------------

    def _spawn(self) -> None:
        self._queue.awaited += 1
        task = asyncio.get_running_loop().create_task(self._open())
        self._openings.add(task)
        task.add_done_callback(self._ended)

    def _opened(self, task: asyncio.Task[Any] | None) -> None:
        """A connection is awaited no more."""
        if task in self._openings:
            self._openings.remove(task)
            self._queue.awaited -= 1

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            self._opened(task)
            self._pump()

    async def _open(self) -> None:
        session = Session(self._settings, self._queue, self._on_idle, self._on_lost)
        failure: SendError | None = None
        try:
            await open_session(session, self._settings, self._tls)
        except SendError as error:
            failure = error
        except Exception as error:
            # A defect of ours must not leave the queue waiting for ever.
            context = {"message": "opening a connection failed unexpectedly", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)
            failure = Unreachable(DeliveryCode.INTERNAL, carrier_text=type(error).__name__)
        self._opened(asyncio.current_task())
        if failure is not None:
            self._failed(failure)
            return
        self._sessions.add(session)
        self._empty.clear()
        self._unsure = False
        self._down = None
        self._on_health(Health.UP, "")
        self._start_ticking()
        session.begin()

    def _failed(self, error: SendError) -> None:
        """An opening failed, or a connection was of no use: wait longer each time; alone, the route is down."""
        self._failures += 1
        pause = min(_FIRST_PAUSE * 2 ** min(self._failures - 1, 20), _LONGEST_PAUSE)
        self._not_before = asyncio.get_running_loop().time() + pause
        if self._stopping or self._queue.awaited:
            return
        if self._sessions or not self._most:
            self._pump()
            return
        self._unsure = True
        self._down = error
        self._on_health(Health.DOWN, _reason(error))
        self._pump()

    # --- news from sessions ----------------------------------------------------------------------------------------

    def _on_idle(self, session: Session) -> None:
        if session.fruitful:
            self._failures = 0
        if self._stopping:
            session.quit()
        else:
            self._idle.append(session)

    def _on_lost(self, session: Session, error: SendError | None) -> None:
        self._sessions.discard(session)
        if session in self._idle:
            self._idle.remove(session)
        self._note_empty()
        if session.fruitful:
            self._failures = 0
        elif error is not None:
            # Once may be a kept connection that the server had dropped; again, and the server is of no use.
            if self._failures + 1 >= _FRUITLESS:
                self._failed(error)
                return
            self._failures += 1
        self._pump()

    def _note_empty(self) -> None:
        if not self._sessions:
            self._empty.set()

    # --- time ------------------------------------------------------------------------------------------------------

    def _start_ticking(self) -> None:
        if self._ticker is None:
            self._ticker = asyncio.get_running_loop().call_later(self._tick_seconds, self._tick)

    def _tick(self) -> None:
        """One timer watches all connections: far cheaper than one a message."""
        self._ticker = None
        now = asyncio.get_running_loop().time()
        for session in list(self._sessions):
            session.expire(now)
        if self._sessions:
            self._start_ticking()


def _reason(error: SendError) -> str:
    words = " ".join(part for part in (error.carrier_code, error.carrier_text) if part)
    return f"{error.code.name}: {words}" if words else error.code.name


def _unreachable(words: str) -> Unreachable:
    return Unreachable(DeliveryCode.EMAIL_UNREACHABLE, carrier_text=words)
