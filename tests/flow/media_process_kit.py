"""A media process as the main process sees it, but for a socket that a test holds itself."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import IO, Any

import msgspec

from campana.channels.voice.process.frames import LENGTH, Caller, Configure, Dial, Script, ToMain, ToMedia, pack

SOON = 15.0
_decode = msgspec.msgpack.Decoder(ToMain).decode


class MediaProcess:
    """One, and what it said so far."""

    def __init__(self, process: asyncio.subprocess.Process, end: socket.socket) -> None:
        self.process = process
        self.end = end
        self.frames: list[Any] = []

    def tell(self, *frames: ToMedia) -> None:
        self.end.send(b"".join(map(pack, frames)))

    async def hear(self, kind: type, within: float = SOON) -> Any:
        """The next frame of a kind; those before it are kept in `frames`."""
        async with asyncio.timeout(within):
            while True:
                frame = await self._read()
                self.frames.append(frame)
                if isinstance(frame, kind):
                    return frame

    async def rest(self, within: float = SOON) -> list[Any]:
        """All that it says until it closes the pipe."""
        said: list[Any] = []
        async with asyncio.timeout(within):
            while True:
                try:
                    said.append(await self._read())
                except EOFError:
                    return said

    async def exit_code(self, within: float = SOON) -> int:
        async with asyncio.timeout(within):
            return await self.process.wait()

    async def _read(self) -> Any:
        (length,) = LENGTH.unpack(await self._exactly(LENGTH.size))
        return _decode(await self._exactly(length))

    async def _exactly(self, size: int) -> bytes:
        octets = b""
        while len(octets) < size:
            more = await asyncio.get_running_loop().sock_recv(self.end, size - len(octets))
            if not more:
                raise EOFError("the media process has closed the pipe")
            octets += more
        return octets


def configure(port: int, **more: Any) -> Configure:
    """The first frame, for a trunk on this machine."""
    return Configure({"name": "trunk", "url": f"sip:127.0.0.1:{port}", "ping": 0} | more)


def dial(call: int, number: str, clip: str, **more: Any) -> Dial:
    """A call that plays a file."""
    script = Script({"PCMA": clip, "PCMU": clip}, 1, "", False)
    values = {"call": call, "call_id": f"test-{call}", "destination": number, "caller": Caller("", "+14165550000")}
    return Dial(**(values | {"dial_ms": 20_000, "script": script} | more))


@asynccontextmanager
async def media_process(level: str = "error", log: IO[bytes] | None = None) -> AsyncIterator[MediaProcess]:
    """A media process that has just started; it is killed at the end where it has not ended by itself."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours:
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "campana.channels.voice.process",
                str(theirs.fileno()),
                level,
                "json",
                stderr=log,
                pass_fds=(theirs.fileno(),),
            )
        try:
            yield MediaProcess(process, ours)
        finally:
            if process.returncode is None:
                os.kill(process.pid, signal.SIGKILL)
                await process.wait()
