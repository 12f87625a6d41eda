"""Owns one end of the socket between the main process and a media process: whole frames in, whole frames out.

Must not know what any frame means.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, Final, Generic, TypeVar, cast

import msgspec
import structlog

from campana.channels.voice.process.frames import LENGTH, LONGEST, ToMain, ToMedia, pack

MOST_UNREAD: Final = 32 * LONGEST
"""Octets that may wait because the other side does not read: it has stopped working long before."""

Frame = TypeVar("Frame")

_log = structlog.get_logger(__name__)


class Pipe(asyncio.Protocol, Generic[Frame]):
    """One end. `hear` is called with each frame, `lost` once, with why, when there will be no more.

    What cannot be a frame, and a frame that `hear` chokes on, ends the pipe: whoever is at the other end is not who
    they should be, or one of us has a defect, and both sides know what to do when the pipe ends.
    """

    def __init__(self, kind: Any, hear: Callable[[Frame], None], lost: Callable[[str], None]) -> None:
        self.heard = 0
        """Frames that came so far."""
        self._decode = msgspec.msgpack.Decoder(kind).decode
        self._hear = hear
        self._lost = lost
        self._waiting = bytearray()
        self._transport: asyncio.Transport | None = None
        self._why = "the other side closed the pipe"

    def send(self, frame: ToMedia | ToMain) -> None:
        """Send a frame; one that can reach nobody any more is dropped, since `lost` tells of that."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        transport.write(pack(frame))
        if transport.get_write_buffer_size() > MOST_UNREAD:
            self._break("the other side does not read")

    def close(self) -> None:
        """Send what is written, and close: the other side sees the end."""
        if self._transport is not None:
            self._transport.close()

    # --- asyncio.Protocol ----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's does not derive from it

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        self._waiting += data
        try:
            for body in self._whole():
                self.heard += 1
                self._hear(self._decode(body))
        except (msgspec.DecodeError, ValueError) as error:
            self._break(f"what came is no frame: {error}")
        except Exception:
            _log.exception("voice.frame_not_understood")
            self._break("a frame was not understood")

    def connection_lost(self, error: Exception | None) -> None:
        """Called by the event loop."""
        self._transport = None
        self._lost(str(error) if error is not None else self._why)

    def _whole(self) -> Iterator[bytes]:
        """The bodies of the frames that are there whole. Raises ValueError where one would be too long."""
        at, size = 0, len(self._waiting)
        while size - at >= LENGTH.size:
            (length,) = LENGTH.unpack_from(self._waiting, at)
            if length > LONGEST:
                raise ValueError(f"a frame of {length} octets")
            end = at + LENGTH.size + length
            if end > size:
                break
            yield bytes(self._waiting[at + LENGTH.size : end])
            at = end
        del self._waiting[:at]

    def _break(self, why: str) -> None:
        self._why = why
        if self._transport is not None:
            self._transport.abort()
