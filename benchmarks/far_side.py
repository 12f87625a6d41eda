"""Owns the far side of calls that SIP sets up: it answers each at once, echoes its sound, and notes when what came.

Must not import Campana, nor do more than a telephone network that never fails: no retransmissions, no refusals.
`python -m benchmarks.far_side CORE`, any core where it is blank; says its SIP and RTP ports, and after a packet to the
RTP port that tells it to stop, one line of JSON: what was heard between the first two marks, and when INVITE and ACK
of each call came by the kernel's clock (nanoseconds).
"""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import sys
from typing import Any, Final

from benchmarks.rtp_echo import PAYLOAD, TIMESTAMP, Echo, judge, listen

LONGEST: Final = 65_536
_BUFFER: Final = 4 << 20
_CONTROL: Final = socket.CMSG_SPACE(16)
_TIMESPEC: Final = struct.Struct("qq")
_COPIED: Final = (b"via", b"from", b"call-id", b"cseq", b"record-route")
_ANSWERED: Final = (b"INVITE", b"BYE", b"OPTIONS", b"CANCEL")
_SDP: Final = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio %d RTP/AVP %d 101\r\na=rtcp:%d\r\na=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\n"
)


class Telephones:
    """A socket for SIP behind which everybody answers at once."""

    def __init__(self, rtp_port: int) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setsockopt(socket.SOL_SOCKET, TIMESTAMP, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        self.port: int = self.socket.getsockname()[1]
        self.seen: dict[bytes, dict[str, int]] = {b"INVITE": {}, b"ACK": {}, b"BYE": {}}
        """When the first request of each method came, by Call-ID."""
        self.again = 0
        """Requests that had come before."""
        self._sdp = (_SDP % (rtp_port, PAYLOAD, rtp_port)).encode()
        self._contact = b"Contact: <sip:far@127.0.0.1:%d>" % self.port

    def wait(self, seconds: float) -> None:
        """Wait so long at most for a request, and answer all that are there."""
        if not select.select([self.socket], [], [], seconds)[0]:
            return
        while True:
            try:
                data, control, _, source = self.socket.recvmsg(LONGEST, _CONTROL, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            seconds_, nanoseconds = _TIMESPEC.unpack(control[0][2][: _TIMESPEC.size])
            for response in self._answer(data, seconds_ * 1_000_000_000 + nanoseconds):
                self.socket.sendto(response, source)

    def _answer(self, data: bytes, at: int) -> list[bytes]:
        first, *lines = data.partition(b"\r\n\r\n")[0].split(b"\r\n")
        method = first.partition(b" ")[0]
        fields = {line.partition(b":")[0].strip().lower(): line for line in lines}
        self._note(method, fields[b"call-id"].partition(b":")[2].strip().decode(), at)
        if method not in _ANSWERED:
            return []
        copied = [line for line in lines if line.partition(b":")[0].strip().lower() in _COPIED]
        to = fields[b"to"] if b";tag=" in fields[b"to"] else fields[b"to"] + b";tag=far"
        if method != b"INVITE":
            return [_response(b"200 OK", [*copied, to], b"")]
        sound = [b"Content-Type: application/sdp"]
        return [
            _response(b"180 Ringing", [*copied, to, self._contact], b""),
            _response(b"200 OK", [*copied, to, self._contact, *sound], self._sdp),
        ]

    def _note(self, method: bytes, call: str, at: int) -> None:
        if method in self.seen:
            self.again += call in self.seen[method]
            self.seen[method].setdefault(call, at)


def _response(status: bytes, headers: list[bytes], body: bytes) -> bytes:
    length = b"Content-Length: %d" % len(body)
    return b"\r\n".join([b"SIP/2.0 " + status, *headers, length, b"", body])


def main() -> None:
    """Answer and listen until told to stop, then say what came."""
    if sys.argv[1]:
        os.sched_setaffinity(0, {int(sys.argv[1])})
    echo = Echo()
    telephones = Telephones(echo.socket.getsockname()[1])
    print(telephones.port, echo.socket.getsockname()[1], flush=True)
    heard = listen(echo, telephones.wait)
    found: dict[str, Any] = {name.decode().lower(): seen for name, seen in telephones.seen.items()}
    if len(heard.marks) > 1 and telephones.seen[b"INVITE"]:
        found |= judge(heard.headers, heard.times, (heard.marks[0], heard.marks[1]))
    print(json.dumps(found | {"again": telephones.again, "refused": echo.refused}), flush=True)


if __name__ == "__main__":
    main()
