"""Owns when sessions were last used, as far as this process knows, and that the store knows it soon.

Must not know whose a session is, nor how long one lives.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from campana.domain.moment import SECOND, Clock
from campana.storage.store import Sessions

WRITE_EVERY = 15 * SECOND
"""How often a session in steady use is written: what the store knows is never older by more."""
QUIET = 5 * SECOND
"""After how long without use the last one is written, should it not be yet."""
MOST_AT_ONCE = 1_000


@dataclass(slots=True)
class _Use:
    """When a session was last used, and when that was last written."""

    at: int
    written: int


class Uses:
    """The last uses of sessions, by their digests. Used from one event loop."""

    def __init__(self, sessions: Sessions, clock: Clock, remembered: int) -> None:
        self._sessions = sessions
        self._clock = clock
        self._remembered = remembered
        self._uses: OrderedDict[bytes, _Use] = OrderedDict()
        self._unwritten: set[bytes] = set()

    def last(self, digest: bytes, stored: int) -> int:
        """When the session was last used; `stored` is what the store knows of it."""
        use = self._uses.get(digest)
        return stored if use is None else max(stored, use.at)

    async def note(self, digest: bytes, stored: int) -> None:
        """The session is used now. It is written at once where the store knows of no use for a while."""
        now = self._clock()
        use = self._uses.setdefault(digest, _Use(now, stored))
        # Another process may have written a later one.
        use.at, use.written = max(use.at, now), max(use.written, stored)
        self._uses.move_to_end(digest)
        if use.at > use.written:
            self._unwritten.add(digest)
        if now - use.written >= WRITE_EVERY:
            await self._write([digest])
        if len(self._uses) > self._remembered:
            eldest, use = self._uses.popitem(last=False)
            if eldest in self._unwritten:
                self._unwritten.discard(eldest)
                await self._sessions.touch([(eldest, use.at)])

    def forget(self, digest: bytes) -> None:
        """The session has ended."""
        self._uses.pop(digest, None)
        self._unwritten.discard(digest)

    def forget_before(self, at: int) -> None:
        """Forget the sessions that were last used at an instant or before."""
        while self._uses and next(iter(self._uses.values())).at <= at:
            self.forget(next(iter(self._uses)))

    async def write(self, quiet: int = 0) -> None:
        """Write every use that is not written yet, of sessions that were not used for so many milliseconds."""
        before = self._clock() - quiet
        waiting = [digest for digest in self._unwritten if self._uses[digest].at <= before]
        for start in range(0, len(waiting), MOST_AT_ONCE):
            await self._write(waiting[start : start + MOST_AT_ONCE])

    async def _write(self, digests: list[bytes]) -> None:
        """Write last uses, each once, even where many calls of a session arrive at the same time."""
        waiting = [(digest, self._uses[digest]) for digest in digests if digest in self._unwritten]
        if not waiting:
            return
        before = [use.written for _, use in waiting]
        for digest, use in waiting:
            use.written = use.at
            self._unwritten.discard(digest)
        try:
            await self._sessions.touch([(digest, use.written) for digest, use in waiting])
        except BaseException:
            for (digest, use), written in zip(waiting, before, strict=True):
                use.written = written
                if self._uses.get(digest) is use:
                    self._unwritten.add(digest)
            raise
