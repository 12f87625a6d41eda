"""The door on raw sockets: what HTTP allows that polite clients do not do, and what hostile ones try."""

from __future__ import annotations

import contextlib
import resource
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPSConnection
from pathlib import Path
from statistics import median

import pytest
import trustme
from soap_house import Door, MemoryHouse, memory_house, open_door

from campana.api.server import ServerLimits

PATH = "/OutboundNotifications.svc"
CAMPAIGN = "73862a28-a715-43c5-855e-5827b474ed98"
DEADLINE = 10.0


def message(body: str) -> bytes:
    return (
        '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/">'
        f'<s:Body xmlns="http://tempuri.org/">{body}</s:Body></s:Envelope>'
    ).encode()


def call(operation: str) -> bytes:
    arguments = f"<sessionId>T</sessionId><campaignId>{CAMPAIGN}</campaignId>"
    return message(f"<{operation}>{arguments}</{operation}>")


LISTING = call("GetCampaignListing")
CONTACTS = call("GetCampaignContacts")


def head(*lines: str, version: str = "1.1", method: str = "POST", path: str = PATH) -> bytes:
    return "".join(f"{line}\r\n" for line in (f"{method} {path} HTTP/{version}", "Host: here", *lines, "")).encode()


def request(body: bytes, *lines: str, version: str = "1.1") -> bytes:
    return head("Content-Type: text/xml", f"Content-Length: {len(body)}", *lines, version=version) + body


class Line:
    """A connection, read as HTTP by the simplest of means."""

    def __init__(self, door: Door) -> None:
        self.socket = socket.create_connection(("127.0.0.1", door.port), DEADLINE)
        self.socket.settimeout(DEADLINE)
        self.buffer = b""

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def read_until(self, mark: bytes) -> bytes:
        while mark not in self.buffer:
            more = self.socket.recv(65536)
            assert more, f"closed before {mark!r}, after {self.buffer[:200]!r}"
            self.buffer += more
        found, _, self.buffer = self.buffer.partition(mark)
        return found

    def read_rest(self) -> bytes:
        """Everything to the end of the connection."""
        parts = [self.buffer]
        while part := self.socket.recv(1 << 20):
            parts.append(part)
        return b"".join(parts)

    def is_closed(self) -> bool:
        """Wait for the end of the connection, which may be rude."""
        try:
            return self.read_rest() == b""
        except ConnectionResetError:
            return True

    def refuses(self, data: bytes, times: int) -> bool:
        """Send the same again and again; True as soon as the peer will have no more."""
        try:
            for _ in range(times):
                self.send(data)
                with contextlib.suppress(TimeoutError):
                    if not self.socket.recv(65536):
                        return True
        except (BrokenPipeError, ConnectionResetError):
            return True
        return False

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        """One whole answer with a length."""
        status, *lines = self.read_until(b"\r\n\r\n").decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        length = int(headers["content-length"])
        while len(self.buffer) < length:
            more = self.socket.recv(65536)
            assert more, "closed within a body"
            self.buffer += more
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return int(status.split()[1]), headers, body


@pytest.fixture(scope="module")
def door() -> Iterator[Door]:
    with open_house() as opened:
        yield opened


@contextmanager
def open_house(limits: ServerLimits | None = None) -> Iterator[Door]:
    with open_door(memory_house(), limits=limits) as opened:
        house: MemoryHouse = opened.house
        house.sessions.open_tokens.add("T")
        house.fill(CAMPAIGN, 3_000)
        yield opened


@pytest.fixture
def line(door: Door) -> Iterator[Line]:
    made = Line(door)
    yield made
    made.socket.close()


@pytest.fixture(autouse=True)
def healthy_afterwards(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test does, the door goes on."""
    yield
    if "door" in request.fixturenames:
        ours: Door = request.getfixturevalue("door")
        ours.house.contacts.extra_lines = 0
        ours.house.contacts.fail_after = None
        ours.house.contacts.closed.clear()
        check = Line(ours)
        check.send(head(method="GET", path="/healthz"))
        assert check.answer()[2] == b"ok\n"
        check.socket.close()


def unchunked(data: bytes) -> tuple[bytes, bool]:
    """The content of a chunked body, and whether it ended as it must."""
    content = []
    while data:
        size, _, data = data.partition(b"\r\n")
        length = int(size, 16)
        if length == 0:
            return b"".join(content), data == b"\r\n"
        content.append(data[:length])
        data = data[length + 2 :]
    return b"".join(content), False


# --- what HTTP allows --------------------------------------------------------------------------------------------


def test_keep_alive_without_nagle(door: Door, line: Line) -> None:
    """The answer's head and body are two segments: with Nagle's algorithm a call would take 40 ms."""
    line.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    seconds = []
    for _ in range(30):
        started = time.perf_counter()
        line.send(head("Content-Type: text/xml", f"Content-Length: {len(LISTING)}"))
        line.send(LISTING)
        status, headers, body = line.answer()
        seconds.append(time.perf_counter() - started)
        assert (status, CAMPAIGN.encode() in body) == (200, True)
        assert "connection" not in headers
    assert median(seconds) < 0.02


def test_connections_have_no_delay(door: Door, line: Line) -> None:
    line.send(request(LISTING))
    line.answer()

    async def options() -> list[int]:
        assert door.server is not None
        sockets = [one.transport.get_extra_info("socket") for one in door.server.server_state.connections]
        return [s.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for s in sockets]

    found = door.run(options())
    assert found
    assert all(found)


def test_pipelined_requests_are_answered_in_order(line: Line) -> None:
    line.send(request(LISTING) + request(message("<Nothing/>")) + request(LISTING))
    assert [line.answer()[0] for _ in range(3)] == [200, 500, 200]


def test_http_10(line: Line) -> None:
    line.send(request(LISTING, version="1.0"))
    status, headers, body = line.answer()
    assert (status, headers["connection"]) == (200, "close")
    assert body.endswith(b"</s:Envelope>")
    assert line.is_closed()


def test_http_10_without_host(line: Line) -> None:
    line.send(b"GET /OutboundNotifications.svc?wsdl HTTP/1.0\r\n\r\n")
    status, _, body = line.answer()
    port = line.socket.getpeername()[1]
    assert (status, f'location="http://127.0.0.1:{port}{PATH}"'.encode() in body) == (200, True)


def test_http_10_gets_a_long_list_with_its_length(line: Line) -> None:
    line.send(request(CONTACTS, version="1.0"))
    status, headers, body = line.answer()
    assert (status, body.count(b"<a:Id>")) == (200, 3_000)
    assert "transfer-encoding" not in headers


def test_expect_100_continue(line: Line) -> None:
    line.send(head(f"Content-Length: {len(LISTING)}", "Expect: 100-continue"))
    assert line.read_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue"
    line.send(LISTING)
    assert line.answer()[0] == 200


def test_expect_100_continue_for_what_is_too_large(line: Line) -> None:
    line.send(head(f"Content-Length: {2**20 + 1}", "Expect: 100-continue"))
    status, headers, body = line.answer()
    assert (status, headers["connection"]) == (413, "close")
    assert b"over the limit" in body
    assert line.is_closed()


@pytest.mark.parametrize("size", [1, 7, 500, 10_000])
def test_chunked_request(line: Line, size: int) -> None:
    chunks = [LISTING[start : start + size] for start in range(0, len(LISTING), size)]
    line.send(head("Transfer-Encoding: chunked"))
    for chunk in chunks:
        line.send(b"%x\r\n%s\r\n" % (len(chunk), chunk))
    line.send(b"0\r\n\r\n")
    assert line.answer()[0] == 200


def test_a_long_list_leaves_in_chunks(line: Line) -> None:
    line.send(request(CONTACTS, "Connection: close"))
    headers, _, rest = line.read_rest().partition(b"\r\n\r\n")
    content, whole = unchunked(rest)
    assert b"transfer-encoding: chunked" in headers
    assert (whole, content.count(b"<a:Id>")) == (True, 3_000)
    assert content.endswith(b"</s:Envelope>")


def test_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with open_door(memory_house(), ssl_certfile=tmp_path / "server.pem") as opened:
        connection = HTTPSConnection("localhost", opened.port, timeout=DEADLINE, context=context)
        connection.request("GET", f"{PATH}?wsdl")
        assert f'location="https://localhost:{opened.port}{PATH}"'.encode() in connection.getresponse().read()
        connection.close()


# --- what must not look whole ------------------------------------------------------------------------------------


def test_a_list_that_fails_half_way_does_not_end(door: Door, line: Line) -> None:
    door.house.contacts.fail_after = 4
    line.send(request(CONTACTS))
    headers, _, rest = line.read_rest().partition(b"\r\n\r\n")
    content, whole = unchunked(rest)
    assert headers.startswith(b"HTTP/1.1 200")
    assert not whole
    assert b"</s:Envelope>" not in content


# --- what hostile clients try ------------------------------------------------------------------------------------


def test_a_message_that_is_too_large_is_told_so(line: Line) -> None:
    line.send(request(LISTING + b" " * 2**20))
    status, _, body = line.answer()
    assert (status, b"over the limit of 1048576 bytes" in body) == (413, True)
    line.send(request(LISTING))
    assert line.answer()[0] == 200


def test_a_length_beyond_all_measure(line: Line) -> None:
    line.send(head(f"Content-Length: {2**50}"))
    assert line.answer()[0] == 413
    assert line.is_closed()


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
        b"\x00" * 100,
        b"HELLO\r\n\r\n",
        head("Content-Length: -5"),
        head("Content-Length: 5", "Content-Length: 6"),
        head("Content-Length: 99999999999999999999999"),
        head("Transfer-Encoding: chunked") + b"zz\r\n",
        head("Bad Header: x"),
    ],
)
def test_what_is_not_http(line: Line, data: bytes) -> None:
    line.send(data)
    assert line.read_rest().startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("endless", [b"X-A: b\r\n" * 1_000, b"a" * 10_000], ids=["headers", "one header"])
def test_a_head_without_end(line: Line, endless: bytes) -> None:
    line.send(head()[:-2] + b"X-B: ")
    line.socket.settimeout(0.02)
    assert line.refuses(endless, 1_000)


def test_a_client_that_leaves_ends_its_list(door: Door, line: Line) -> None:
    door.house.contacts.extra_lines = 10**9
    line.send(request(CONTACTS))
    line.read_until(b"<a:Id>")
    line.socket.close()
    assert door.house.contacts.closed.wait(DEADLINE)


SHORT = ServerLimits(request_seconds=0.3, stall_seconds=0.3, idle_seconds=1)


@pytest.fixture(scope="module")
def hasty() -> Iterator[Door]:
    with open_house(SHORT) as opened:
        yield opened


@pytest.mark.parametrize(
    "start",
    [b"", b"\r\n", b"POST /Out", head()[:-2], head(f"Content-Length: {len(LISTING)}"), request(LISTING)[:-1]],
    ids=["nothing", "a blank line", "half a line", "half a head", "no body", "half a body"],
)
@pytest.mark.parametrize("used", [False, True])
def test_a_request_that_does_not_end_is_dropped(hasty: Door, start: bytes, used: bool) -> None:
    line = Line(hasty)
    if used:
        line.send(request(LISTING))
        line.answer()
    line.send(start)
    assert line.is_closed()


def test_a_request_that_comes_by_drops_is_dropped(hasty: Door) -> None:
    line = Line(hasty)
    line.send(head()[:-2] + b"X-B: ")
    line.socket.settimeout(0.02)
    assert line.refuses(b"x", 500)


def test_a_client_that_does_not_read_is_dropped(hasty: Door) -> None:
    contacts = hasty.house.contacts
    contacts.extra_lines = 10**9
    contacts.closed.clear()
    line = Line(hasty)
    line.send(request(CONTACTS))
    line.read_until(b"<a:Id>")
    assert contacts.closed.wait(DEADLINE)


def test_an_answer_may_take_longer_than_a_request(hasty: Door) -> None:
    """The deadline is the request's: a client that goes on reading gets all of a long answer."""
    hasty.house.contacts.extra_lines = 20_000
    line = Line(hasty)
    line.send(request(CONTACTS, "Connection: close"))
    size, last = 0, b""
    slow_until = time.monotonic() + 2 * SHORT.request_seconds
    while part := line.socket.recv(1 << 16):
        size, last = size + len(part), part
        if time.monotonic() < slow_until:
            time.sleep(0.01)  # the pace of this reader, waiting for nothing
    assert time.monotonic() > slow_until
    assert last.endswith(b"0\r\n\r\n")
    assert size > 19_000_000


# --- memory ------------------------------------------------------------------------------------------------------


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_memory_is_flat_whatever_the_length_of_a_list(door: Door, line: Line) -> None:
    door.house.contacts.extra_lines = 100_000
    line.send(request(CONTACTS, "Connection: close"))
    line.read_until(b"<a:Id>")
    before, most, size = resident_bytes(), 0, 0
    while part := line.socket.recv(1 << 18):
        size += len(part)
        most = max(most, resident_bytes())
    assert size > 85_000_000
    assert most - before < 16 * 1024 * 1024
