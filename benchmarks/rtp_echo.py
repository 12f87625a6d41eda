"""Owns the far side of calls: it notes when each RTP packet came, by the kernel's clock, and sends it back.

Must not import Campana, nor cost so much that it is what is measured: the kernel is asked for, and given, hundreds of
packets at a time (recvmmsg, sendmmsg), and all counting is done when everything is over.
`python -m benchmarks.rtp_echo CORE`; says its port and, after a packet that tells it to stop, one line of JSON.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import sys
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

BATCH = 1_024
PACKET = 256
"""Octets of a packet at most."""
PAYLOAD = 8
"""A-law: what is counted."""
STOP = b"stop"
"""The packet that ends the measurement."""
WARM_SECONDS = 0.2
"""After the first packet of the last stream, which are not counted."""
PAUSE = 0.002
_BUFFER = 4 << 20

_TIMESTAMP = 35
"""SO_TIMESTAMPNS (asm-generic/socket.h)."""
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
        self.socket.setsockopt(socket.SOL_SOCKET, _TIMESTAMP, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
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
                break
            sent += taken


def _address(array: NDArray[Any]) -> np.uint64:
    return np.uint64(array.ctypes.data)


def listen(echo: Echo) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Send everything back until told to stop; the headers of all packets, and when each came (ns)."""
    headers: list[NDArray[Any]] = []
    times: list[NDArray[np.int64]] = []
    going = True
    while going:
        count = echo.receive()
        if not count:
            time.sleep(PAUSE)
            continue
        if (echo.messages["length"][:count] == len(STOP)).any():
            going = False
            count = int(np.argmax(echo.messages["length"][:count] == len(STOP)))
        stamps = echo.controls[:count]
        headers.append(echo.packets[:count, : _HEADER.itemsize].copy().view(_HEADER).reshape(-1))
        times.append(stamps["seconds"] * 1_000_000_000 + stamps["nanoseconds"])
        echo.send_back(count)
    return np.concatenate(headers), np.concatenate(times)


def judge(headers: NDArray[Any], times: NDArray[np.int64]) -> dict[str, float]:
    """Streams, those without loss, packets, and the gaps between two packets of a stream in milliseconds."""
    # RTCP comes here too.
    sound = headers["kind"] & 0x7F == PAYLOAD
    headers, times = headers[sound], times[sound]
    _, first = np.unique(headers["ssrc"], return_index=True)
    warm = times[first].max() + int(WARM_SECONDS * 1e9)
    headers, times = headers[times >= warm], times[times >= warm]
    order = np.lexsort((times, headers["ssrc"]))
    headers, times = headers[order], times[order]
    same = np.diff(headers["ssrc"].astype(np.int64)) == 0
    gaps = np.diff(times)[same] / 1e6
    steps = (np.diff(headers["sequence"].astype(np.int64)) & 0xFFFF)[same]
    broken = np.unique(headers["ssrc"][1:][same][steps != 1])
    return {
        "lossless": len(first) - len(broken),
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
    headers, times = listen(echo)
    print(json.dumps(judge(headers, times)), flush=True)


if __name__ == "__main__":
    main()
