"""Owns writing to standard error without ever waiting: sound is due while whoever reads the logs stands still.

Must not know what is written.
"""

from __future__ import annotations

import contextlib
import io
import os
import select
from typing import Any, Final, TextIO

_AT_ONCE: Final = 4_096
"""Octets that a pipe takes whole or not at all, and for which it has room whenever it says so (PIPE_BUF; pipe(7))."""


class _Hasty(io.RawIOBase):
    """A descriptor; what would have to wait is dropped.

    It stays in blocking mode, since that is shared with the process that started this one.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)

    def writable(self) -> bool:
        """Yes."""
        return True

    def fileno(self) -> int:
        """The descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Whether people read it."""
        return os.isatty(self._descriptor)

    def write(self, buffer: Any, /) -> int:
        """Take all of it, whatever becomes of it."""
        octets = memoryview(buffer)
        with contextlib.suppress(OSError):
            for at in range(0, len(octets), _AT_ONCE):
                if not self._poll.poll(0):
                    break
                os.write(self._descriptor, octets[at : at + _AT_ONCE])
        return len(octets)


def hasty_stderr(descriptor: int = 2) -> TextIO:
    """Standard error, or another descriptor, as a text stream that drops what cannot be written at once."""
    # No buffer between: a line is written when it is told, and the next one does not wait behind it.
    return io.TextIOWrapper(io.BufferedWriter(_Hasty(descriptor)), "utf-8", "backslashreplace", write_through=True)
