"""Owns processes that are killed, frozen and started again, and that are gone at the end, whatever happens.

Must not know why, nor what they do: a process has started when it has printed a line.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import sys
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Final

from campana.config import environment_without_settings

STARTS_WITHIN: Final = 60.0

_PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None)


class DidNotStart(Exception):
    """A process ended, or said nothing, where it should have started: a sentence for a person."""


class State(Enum):
    """What a process is in."""

    UP = "up"
    FROZEN = "frozen"
    DOWN = "down"


@dataclass(eq=False)
class Process:
    """A program that is run again and again, with the same arguments."""

    name: str
    command: tuple[str, ...]
    log: Path
    """Where its standard error goes."""
    state: State = State.DOWN
    starts: int = 0
    _running: asyncio.subprocess.Process | None = field(default=None, repr=False)

    @property
    def pid(self) -> int:
        """Its process id; 0 where it was never started."""
        return 0 if self._running is None else self._running.pid

    @property
    def ended(self) -> bool:
        """Whether it has ended, by itself or not."""
        return self._running is None or self._running.returncode is not None

    async def start(self) -> str:
        """Start it and wait for its first line. Raises DidNotStart."""
        with self.log.open("ab") as errors:
            self._running = await asyncio.create_subprocess_exec(
                *self.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                env=environment_without_settings(),
                # A Ctrl-C in the terminal is for us alone to hear.
                start_new_session=True,
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,
            )
        line = b""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STARTS_WITHIN):
                line = await self._stdout.readline()
        if not line:
            await self.end()
            raise DidNotStart(f"{self.name} did not start: {last_words(self.log)}")
        self.state = State.UP
        self.starts += 1
        return line.decode("utf-8", "replace").strip()

    async def kill(self) -> None:
        """SIGKILL to the process itself, as the kernel does where memory is short; its children have to find out."""
        self.state = State.DOWN
        if self._running is not None and self._running.returncode is None:
            self._running.kill()
            await self._running.wait()

    def freeze(self) -> None:
        """SIGSTOP."""
        self.state = State.FROZEN
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self.state = State.UP
        self.signal(signal.SIGCONT)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, where it runs."""
        with contextlib.suppress(ProcessLookupError):
            if self._running is not None:
                self._running.send_signal(number)

    async def wait(self) -> int:
        """Wait until it has ended; its exit code."""
        return 0 if self._running is None else await self._running.wait()

    async def end(self) -> None:
        """Have it gone at once, with its children."""
        self.state = State.DOWN
        if self._running is not None and self._running.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._running.pid, signal.SIGKILL)
            await self._running.wait()

    @property
    def _stdout(self) -> asyncio.StreamReader:
        assert self._running is not None
        assert self._running.stdout is not None
        return self._running.stdout


def campana(*arguments: str) -> tuple[str, ...]:
    """The command line of this very program."""
    return (sys.executable, "-m", "campana", *arguments)


def simulator(kind: str, journal: Path, *options: str) -> tuple[str, ...]:
    """The command line of a simulated carrier on a free port, which is the line that it prints."""
    return (sys.executable, "-m", "campana.sandbox", kind, "--port", "0", "--journal", str(journal), *options)


def free_port() -> int:
    """A port that nobody has at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def last_words(log: Path) -> str:
    """The last line of a log that is not blank."""
    lines = log.read_text("utf-8", "replace").split("\n") if log.exists() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")


def _die_with_parent() -> None:
    """In the child: be killed by the kernel when we are gone, even where we could not say good-bye."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
