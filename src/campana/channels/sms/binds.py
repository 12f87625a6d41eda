"""Owns how many binds an SMS route has: which of them stay, which end, and when there is room for another.

Must not know what is sent over them, nor who says how many there may be.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from campana.channels.sms.link import Link
from campana.channels.sms.session import Connector, Problem, Session


class Bind:
    """What counts as one: a connection for both ways, or one for each. They come and go together."""

    def __init__(self, sessions: Sequence[Session]) -> None:
        self.sessions = sessions

    @property
    def is_open(self) -> bool:
        """Whether it has a connection, opens or closes one."""
        return any(session.is_open for session in self.sessions)

    @property
    def bound(self) -> int:
        """Its connections that are bound."""
        return sum(1 for session in self.sessions if session.link is not None)

    async def run(self) -> None:
        """Keep its connections until cancelled or told to leave."""
        await asyncio.gather(*(session.run() for session in self.sessions))


class Binds:
    """The binds of one route. `allow` says how many; none begins while those that end take its place."""

    def __init__(self, connector: Connector, commands: Sequence[int], changed: Callable[[], None]) -> None:
        """`commands` are the bind requests of one bind; `changed` is called whenever a connection came or went."""
        self._connector = connector
        self._commands = commands
        self._changed = changed
        self._most = 0
        self._staying: list[Bind] = []
        self._ending: list[Bind] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def sessions(self) -> list[Session]:
        """The connections that are kept: not those that end."""
        return [session for bind in self._staying for session in bind.sessions]

    @property
    def links(self) -> list[Link]:
        """Every connection that is bound, those that end among them."""
        sessions = [session for bind in (*self._staying, *self._ending) for session in bind.sessions]
        return [session.link for session in sessions if session.link is not None]

    @property
    def open(self) -> int:
        """How many binds have a connection, open or close one."""
        return sum(1 for bind in (*self._staying, *self._ending) if bind.is_open)

    def allow(self, most: int, problem: Problem) -> None:
        """Have so many from now on. `problem` is for what is unwritten where none stays that could write it."""
        self._most = most
        while len(self._staying) > most:
            # One that is not bound is no loss; of those that are, the latest goes.
            bind = min(reversed(self._staying), key=lambda bind: bind.bound)
            self._staying.remove(bind)
            self._ending.append(bind)
            for session in bind.sessions:
                session.leave(problem)
        self._fill()

    async def stop(self) -> None:
        """Leave the connections as they are: nobody keeps them any more."""
        self._most = 0
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _fill(self) -> None:
        while len(self._staying) + len(self._ending) < self._most:
            bind = Bind([Session(self._connector, command, self._changed) for command in self._commands])
            self._staying.append(bind)
            task = asyncio.create_task(self._keep(bind), name=f"sms {self._connector.settings.name}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _keep(self, bind: Bind) -> None:
        await bind.run()
        self._ending.remove(bind)
        self._fill()
