"""Owns a route's connections: how many there are, when one is opened, and what happens when none can be.

Must not know the protocol (session.py, opening.py) or messages. Everything happens in one event loop.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence

from campana.channels.contract import Health, Parcel, Permit, Result
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

    `on_health` hears of every change with a sentence for people.
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
        self._sessions: set[Session] = set()
        self._idle: list[Session] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._failures = 0
        self._not_before = 0.0
        self._down: SendError | None = None
        self._stopping = False
        self._empty = asyncio.Event()
        self._ticker: asyncio.TimerHandle | None = None
        self._pause: asyncio.TimerHandle | None = None
        waits = (settings.idle_seconds, settings.command_timeout, settings.final_timeout)
        self._tick_seconds = min(1.0, *(wait / 4 for wait in waits))

    def start(self) -> None:
        """Open the first connection in the background, so that the route's health is known."""
        self._spawn()

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
        for task in self._tasks:
            task.cancel()
        if self._pause is not None:
            self._pause.cancel()
        for session in self._take_idle():
            session.quit()
        self._note_empty()
        try:
            async with asyncio.timeout(max(budget, 0)):
                await self._empty.wait()
        except TimeoutError:
            for session in list(self._sessions):
                session.abort(error)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._ticker is not None:
            self._ticker.cancel()

    # --- work ------------------------------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Bring waiting jobs and connections together; open more where that is worth it and allowed."""
        while self._idle and len(self._queue):
            self._idle.pop().begin()
        if self._stopping or not len(self._queue):
            return
        if self._down is not None and not self._sessions:
            self._queue.fail_all(self._down)
            return
        room = self._settings.connections - len(self._sessions) - self._queue.awaited
        wanted = min(room, len(self._queue) - self._queue.awaited)
        if wanted <= 0:
            return
        pause = self._not_before - asyncio.get_running_loop().time()
        if pause > 0:
            self._pump_later(pause)
            return
        for _ in range(wanted):
            self._spawn()

    def _pump_later(self, pause: float) -> None:
        if self._pause is not None:
            self._pause.cancel()
        self._pause = asyncio.get_running_loop().call_later(pause, self._pump)

    def _take_idle(self) -> list[Session]:
        idle, self._idle = self._idle, []
        return idle

    # --- opening ---------------------------------------------------------------------------------------------------

    def _spawn(self) -> None:
        self._queue.awaited += 1
        self._keep(asyncio.get_running_loop().create_task(self._open()))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _open(self) -> None:
        session = Session(self._settings, self._queue, self._on_idle, self._on_lost)
        try:
            await open_session(session, self._settings, self._tls)
        except SendError as error:
            self._queue.awaited -= 1
            self._failed(error)
            return
        except asyncio.CancelledError:
            self._queue.awaited -= 1
            raise
        except Exception as error:
            # A defect of ours must not leave the queue waiting for ever.
            self._queue.awaited -= 1
            context = {"message": "opening a connection failed unexpectedly", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)
            self._failed(Unreachable(DeliveryCode.INTERNAL, carrier_text=type(error).__name__))
            return
        self._queue.awaited -= 1
        self._sessions.add(session)
        self._empty.clear()
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
        if self._sessions:
            self._pump()
            return
        was_up = self._down is None
        self._down = error
        self._on_health(Health.DOWN, _reason(error))
        self._queue.fail_all(error)
        if was_up:
            self._keep(asyncio.get_running_loop().create_task(self._probe()))

    async def _probe(self) -> None:
        """Try until the route is up again; nothing is sent to it meanwhile."""
        while self._down is not None:
            await asyncio.sleep(self._not_before - asyncio.get_running_loop().time())
            self._queue.awaited += 1
            await self._open()

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
