"""Owns the ceiling of SMS: an SMPP client that packs, keeps a window and reads what each message was answered, no more.

Must not know Campana: no database, no retries, no event loop, nothing kept of a message once it is answered.
`python -m benchmarks.bare_smpp PORT COUNT WINDOW RECEIPTS`; says one line of JSON with seconds and CPU seconds.
"""

from __future__ import annotations

import json
import resource
import socket
import struct
import sys
import time

TEXT = b"Hello, your appointment is tomorrow at 10:00."
HEADER = struct.Struct(">IIII")
BIND_TRANSCEIVER, SUBMIT_SM, DELIVER_SM_RESP = 0x09, 0x04, 0x80000005
SUBMIT_SM_RESP, DELIVER_SM = 0x80000004, 0x05


def pack_submit(sequence: int, receipts: bool) -> bytes:
    """A submit_sm to a number of its own."""
    body = (
        b"\0\x01\x0114165550100\0\x01\x011416%07d\0\0\0\0\0\0" % sequence
        + (b"\x01" if receipts else b"\0")
        + b"\0\0\0%c" % len(TEXT)
        + TEXT
    )
    return HEADER.pack(16 + len(body), SUBMIT_SM, 0, sequence) + body


def send_all(link: socket.socket, count: int, window: int, receipts: bool) -> None:
    """Submit `count` messages with at most `window` unanswered; wait for every answer and every receipt."""
    sent = received = 0
    outstanding: dict[int, int] = {}
    taken = 0
    rest = b""
    expected_receipts = count if receipts else 0
    while taken < count or received < expected_receipts:
        room = min(window - len(outstanding), count - sent)
        if room:
            numbers = range(sent + 1, sent + room + 1)
            link.sendall(b"".join([pack_submit(number, receipts) for number in numbers]))
            for number in numbers:
                outstanding[number] = number
            sent += room
        data = rest + link.recv(262_144)
        position, size, replies = 0, len(data), []
        while size - position >= 16:
            length, command, status, sequence = HEADER.unpack_from(data, position)
            if position + length > size:
                break
            if command == SUBMIT_SM_RESP:
                del outstanding[sequence]
                taken += status == 0 and len(data[position + 16 : position + length].partition(b"\0")[0].decode()) > 0
            elif command == DELIVER_SM:
                received += 1
                replies.append(HEADER.pack(17, DELIVER_SM_RESP, 0, sequence) + b"\0")
            position += length
        rest = data[position:]
        if replies:
            link.sendall(b"".join(replies))


def main() -> None:
    """Bind, send, say what it took."""
    port, count, window, receipts = (int(argument) for argument in sys.argv[1:5])
    with socket.create_connection(("127.0.0.1", port)) as link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        body = b"bench\0bench\0\0\x34\0\0\0"
        link.sendall(HEADER.pack(16 + len(body), BIND_TRANSCEIVER, 0, 1) + body)
        assert HEADER.unpack(link.recv(1_024)[:16])[2] == 0
        began, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
        send_all(link, count, window, bool(receipts))
        after = resource.getrusage(resource.RUSAGE_SELF)
        cpu = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
        print(json.dumps({"seconds": time.perf_counter() - began, "cpu": cpu}))


if __name__ == "__main__":
    main()
