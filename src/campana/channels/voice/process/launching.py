"""Owns how the main process starts a media process, and how it makes sure that the process has ended.

Must not know what the two say to each other.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Callable
from typing import Final

from campana.channels.voice.process.frames import ToMain
from campana.channels.voice.process.pipe import Pipe
from campana.telemetry import logging_in_use

MODULE: Final = "campana.channels.voice.process"


class MediaLink:
    """A running media process as the main process sees it: a pipe to it, and its end."""

    def __init__(self, process: asyncio.subprocess.Process, pipe: Pipe[ToMain], lost: asyncio.Future[str]) -> None:
        self.process = process
        self.pipe = pipe
        self.lost = lost
        """Done, with why, once nothing more will be heard."""

    async def end(self, patience: float) -> str:
        """Close the pipe, so that the process hangs up and exits; kill it after `patience` seconds.

        Returns how it ended, in words.
        """
        self.pipe.close()
        try:
            async with asyncio.timeout(patience):
                await self.process.wait()
        except TimeoutError:
            self.kill()
            await self.process.wait()
        return _how(self.process.returncode)

    def kill(self) -> None:
        """End the process at once; its calls are left to their other sides."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()


async def launch(hear: Callable[[ToMain], None]) -> MediaLink:
    """Start a media process; `hear` is called with what it says. Raises OSError where none can be started."""
    loop = asyncio.get_running_loop()
    lost: asyncio.Future[str] = loop.create_future()

    def note(why: str) -> None:
        if not lost.done():
            lost.set_result(why)

    pipe: Pipe[ToMain] = Pipe(ToMain, hear, note)
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    try:
        with theirs:
            descriptor = theirs.fileno()
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                # Not from whatever folder this was started in.
                "-P",
                "-m",
                MODULE,
                str(descriptor),
                *logging_in_use(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                pass_fds=(descriptor,),
                # A terminal's Ctrl-C goes to all of its foreground: this one is told by us when and how to end.
                start_new_session=True,
            )
        await loop.create_unix_connection(lambda: pipe, sock=ours)
    except BaseException:
        ours.close()
        raise
    return MediaLink(process, pipe, lost)


def _how(code: int | None) -> str:
    if code is not None and code < 0:
        return f"it was ended by {signal.Signals(-code).name}"
    return f"it ended with exit code {code}"
