"""Owns the far side of calls: it notes when each RTP packet came, by the kernel's clock, and sends it back.

Must not import Campana, nor cost so much that it is what is measured: the kernel is asked for, and given, hundreds of
packets at a time (recvmmsg, sendmmsg), and all counting is done when everything is over.
`python -m benchmarks.rtp_echo CORE`; says its port and, after a packet that tells it to stop, one line of JSON.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import socket
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

BATCH = 1_024
PACKET = 256
"""Octets of a packet at most."""
PAYLOAD = 8
"""A-law: what is counted."""
STOP = b"stop"
"""The packet that ends the measurement."""
MARK = b"mark"
"""Packets of which the first two say from when to when is judged."""
EDGE_SECONDS = 0.1
"""A stream is judged where it was heard this near to both marks."""
WARM_SECONDS = 0.2
"""After the first packet of the last stream, which are not counted."""
PAUSE = 0.002
_BUFFER = 32 << 20
"""Seconds of what comes: when this process is made to wait, that is not a loss of who is judged."""

TIMESTAMP = 35
"""SO_TIMESTAMPNS (asm-generic/socket.h)."""
_BUFFER_BEYOND_LIMIT = 33
"""SO_RCVBUFFORCE, for those who may."""
# struct mmsghdr of 64-bit Linux, the control message with a struct timespec, and struct iovec.
_MESSAGE = np.dtype(
    {
        "names": ["name", "namelen", "iov", "iovlen", "control", "controllen", "flags", "length"],
        "formats": ["u8", "u4", "u8", "u8", "u8", "u8", "i4", "u4"],
        "offsets": [0, 8, 16, 24, 32, 40, 48, 56],
        "itemsize": 64,
    }
)
_CONTROL = np.dtype([("length", "u8"), ("level", "i4"), ("type", "i4"), ("seconds", "i8"), ("nanoseconds", "i8")])
_VECTOR = np.dtype([("base", "u8"), ("length", "u8")])
_HEADER = np.dtype([("flags", "u1"), ("kind", "u1"), ("sequence", ">u2"), ("timestamp", ">u4"), ("ssrc", ">u4")])
_NAME = 16


class Echo:
    """One socket, with a batch of messages that are filled by the kernel and sent back as they are."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setsockopt(socket.SOL_SOCKET, TIMESTAMP, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        with contextlib.suppress(PermissionError):
            self.socket.setsockopt(socket.SOL_SOCKET, _BUFFER_BEYOND_LIMIT, _BUFFER)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        self.refused = 0
        """Packets that the kernel did not take back."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.packets = np.zeros((BATCH, PACKET), dtype=np.uint8)
        self._names = np.zeros((BATCH, _NAME), dtype=np.uint8)
        self.controls = np.zeros(BATCH, dtype=_CONTROL)
        self._vectors = np.zeros(BATCH, dtype=_VECTOR)
        self.messages = np.zeros(BATCH, dtype=_MESSAGE)
        each = np.arange(BATCH, dtype=np.uint64)
        self._vectors["base"] = _address(self.packets) + each * np.uint64(PACKET)
        self.messages["name"] = _address(self._names) + each * np.uint64(_NAME)
        self.messages["control"] = _address(self.controls) + each * np.uint64(_CONTROL.itemsize)
        self.messages["iov"] = _address(self._vectors) + each * np.uint64(_VECTOR.itemsize)
        self.messages["iovlen"] = 1

    def receive(self) -> int:
        """Fill the batch with what is there; how many messages."""
        self._vectors["length"] = PACKET
        self.messages["namelen"], self.messages["controllen"] = _NAME, _CONTROL.itemsize
        at = ctypes.c_void_p(self.messages.ctypes.data)
        count: int = self._libc.recvmmsg(self.socket.fileno(), at, BATCH, socket.MSG_DONTWAIT, None)
        return max(0, count)

    def send_back(self, count: int) -> None:
        """Send what came to where it came from. What the kernel does not take is lost, and missed there."""
        self._vectors["length"][:count] = self.messages["length"][:count]
        self.messages["controllen"] = 0
        sent = 0
        while sent < count:
            at = ctypes.c_void_p(self.messages.ctypes.data + sent * _MESSAGE.itemsize)
            taken: int = self._libc.sendmmsg(self.socket.fileno(), at, count - sent, 0)
            if taken <= 0:
                self.refused += count - sent
                break
            sent += taken


def _address(array: NDArray[Any]) -> np.uint64:
    return np.uint64(array.ctypes.data)


class Heard(NamedTuple):
    """The headers of all packets, when each came (ns), and when marks did."""

    headers: NDArray[Any]
    times: NDArray[np.int64]
    marks: list[int]


def listen(echo: Echo, wait: Callable[[float], None] = time.sleep) -> Heard:
    """Send everything back until told to stop. `wait` is called at each turn with the seconds that may be waited."""
    headers: list[NDArray[Any]] = []
    times: list[NDArray[np.int64]] = []
    marks: list[int] = []
    going = True
    while going:
        count = echo.receive()
        wait(0.0 if count else PAUSE)
        if not count:
            continue
        stamps = echo.controls[:count]["seconds"] * 1_000_000_000 + echo.controls[:count]["nanoseconds"]
        for told in np.flatnonzero(echo.messages["length"][:count] == len(STOP)):
            marks.append(int(stamps[told]))
            going = going and echo.packets[told, : len(STOP)].tobytes() != STOP
        headers.append(echo.packets[:count, : _HEADER.itemsize].copy().view(_HEADER).reshape(-1))
        times.append(stamps)
        echo.send_back(count)
    return Heard(np.concatenate(headers), np.concatenate(times), marks[:-1])


def judge(headers: NDArray[Any], times: NDArray[np.int64], between: tuple[int, int] | None = None) -> dict[str, float]:
    """Streams without loss, packets, and the gaps between two packets of a stream in milliseconds.

    Judged are the streams that are there at both ends of `between` (ns), or else all from when the last has begun.
    """
    # RTCP comes here too, and marks.
    sound = headers["kind"] & 0x7F == PAYLOAD
    headers, times = headers[sound], times[sound]
    if between is None:
        _, first = np.unique(headers["ssrc"], return_index=True)
        streams = headers["ssrc"][first]
        inside = times >= times[first].max() + int(WARM_SECONDS * 1e9)
    else:
        streams = _lasting(headers["ssrc"], times, *between)
        inside = (times >= between[0]) & (times <= between[1]) & np.isin(headers["ssrc"], streams)
    return _judge(headers[inside], times[inside], len(streams))


def _lasting(sources: NDArray[Any], times: NDArray[np.int64], since: int, until: int) -> NDArray[Any]:
    edge = int(EDGE_SECONDS * 1e9)
    begun = sources[(times >= since) & (times < since + edge)]
    there = sources[(times > until - edge) & (times <= until)]
    return np.intersect1d(begun, there)


def _judge(headers: NDArray[Any], times: NDArray[np.int64], streams: int) -> dict[str, float]:
    order = np.lexsort((times, headers["ssrc"]))
    headers, times = headers[order], times[order]
    same = np.diff(headers["ssrc"].astype(np.int64)) == 0
    gaps = np.diff(times)[same] / 1e6
    steps = np.mod(np.diff(headers["sequence"].astype(np.int64)), 1 << 16)[same]
    broken = np.unique(headers["ssrc"][1:][same][steps != 1])
    return {
        "lossless": streams - len(broken),
        "packets": len(headers),
        "p50": float(np.percentile(gaps, 50)),
        "p99": float(np.percentile(gaps, 99)),
        "most": float(gaps.max()),
    }


def main() -> None:
    """Listen on a core of its own, then say what was heard."""
    os.sched_setaffinity(0, {int(sys.argv[1])})
    echo = Echo()
    print(echo.socket.getsockname()[1], flush=True)
    heard = listen(echo)
    print(json.dumps(judge(heard.headers, heard.times)), flush=True)


if __name__ == "__main__":
    main()
