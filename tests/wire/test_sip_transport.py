"""SIP over real sockets on loopback: UDP with ICMP errors, TCP and TLS with kept connections, and hostile peers."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme
import uvloop
from structlog.testing import capture_logs

from campana.channels.voice.settings import VoiceRouteSettings
from campana.channels.voice.sip.flow import Flow, Target
from campana.channels.voice.sip.transport import MOST_CALLERS, NetworkTransports, open_transports
from campana.channels.voice.sip.uri import Transport

SECONDS = 5


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


LOOPBACKS = [
    "127.0.0.1",
    pytest.param("::1", marks=pytest.mark.skipif(not _has_ipv6(), reason="needs IPv6 on loopback")),
]


class Heard:
    """A receiver that keeps what it hears."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[tuple[Flow, bytes]] = asyncio.Queue()
        self.losses: asyncio.Queue[tuple[Flow, OSError]] = asyncio.Queue()

    def received(self, flow: Flow, message: bytes) -> None:
        self.messages.put_nowait((flow, message))

    def lost(self, flow: Flow, error: OSError) -> None:
        self.losses.put_nowait((flow, error))

    async def message(self) -> tuple[Flow, bytes]:
        return await asyncio.wait_for(self.messages.get(), SECONDS)

    async def loss(self) -> tuple[Flow, OSError]:
        return await asyncio.wait_for(self.losses.get(), SECONDS)


class Opener:
    """Opens transports, and closes them when the test is over."""

    def __init__(self) -> None:
        self.heard = Heard()
        self._opened: list[NetworkTransports] = []

    async def __call__(self, **changed: object) -> NetworkTransports:
        settings = VoiceRouteSettings.model_validate({"name": "trunk", "url": "sip:trunk.test", **changed})
        opened = await open_transports(settings, self.heard)
        self._opened.append(opened)
        return opened

    async def close(self) -> None:
        for opened in self._opened:
            await opened.close()


@pytest.fixture
async def opener() -> AsyncIterator[Opener]:
    made = Opener()
    yield made
    await made.close()


def message(number: int = 1, body: bytes = b"") -> bytes:
    return b"OPTIONS sip:x SIP/2.0\r\nCSeq: %d OPTIONS\r\nContent-Length: %d\r\n\r\n" % (number, len(body)) + body


# --- UDP ---------------------------------------------------------------------------------------------------------


class Peer:
    """A UDP socket of a test's own."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, 0))
        self.socket.settimeout(SECONDS)
        self.target = Target(Transport.UDP, address, self.socket.getsockname()[1], address)

    async def receive(self) -> tuple[bytes, tuple[str, int]]:
        data, place = await asyncio.to_thread(self.socket.recvfrom, 70_000)
        return data, place[:2]


@pytest.fixture(params=LOOPBACKS)
def peer(request: pytest.FixtureRequest):
    made = Peer(request.param)
    yield made
    made.socket.close()


def nobody(address: str) -> Target:
    """A UDP port where nobody is."""
    gone = Peer(address)
    gone.socket.close()
    return gone.target


async def test_a_datagram_goes_out_and_an_answer_comes_in_on_the_same_flow(opener, peer):
    flow = await (await opener()).flow(peer.target)
    flow.send(message())
    data, (address, port) = await peer.receive()
    shown = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    assert (data, flow.sent_by, flow.is_reliable) == (message(), shown, False)
    peer.socket.sendto(b"\r\n\r\n", (address, port))
    peer.socket.sendto(b"\r\n" + message(2), (address, port))
    assert await opener.heard.message() == (flow, message(2))


async def test_a_stranger_is_heard_on_a_flow_that_leads_back(opener, peer):
    flow = await (await opener()).flow(peer.target)
    stranger = Peer(peer.target.address)
    port = int(flow.sent_by.rpartition(":")[2])
    stranger.socket.sendto(message(), (peer.target.address, port))
    back, _ = await opener.heard.message()
    assert (back.target, back.sent_by) == (stranger.target, flow.sent_by)
    back.send(message(2))
    assert (await stranger.receive())[0] == message(2)
    stranger.socket.close()


async def test_icmp_is_told_to_the_flow_it_is_about_and_the_others_go_on(opener, peer):
    transports = await opener()
    gone = await transports.flow(nobody(peer.target.address))
    alive = await transports.flow(peer.target)
    for turn in range(3):
        gone.send(message(turn))
        flow, error = await opener.heard.loss()
        assert (flow, error.errno) == (gone, errno.ECONNREFUSED)
        alive.send(message(turn))
        data, place = await peer.receive()
        peer.socket.sendto(data, place)
        assert await opener.heard.message() == (alive, message(turn))
    assert opener.heard.losses.empty()


async def test_what_an_earlier_datagram_met_does_not_keep_the_next_from_leaving(opener, peer):
    transports = await opener()
    gone = await transports.flow(nobody(peer.target.address))
    alive = await transports.flow(peer.target)
    # The ICMP errors of loopback are there before the next line runs, and the loop has not read them.
    gone.send(message())
    alive.send(message(2))
    assert (await peer.receive())[0] == message(2)
    assert (await opener.heard.loss())[0] is gone


async def test_each_ip_version_has_its_socket_at_the_configured_port(opener):
    if not _has_ipv6():
        pytest.skip("needs IPv6 on loopback")
    free = nobody("127.0.0.1").port
    transports = await opener(local_port=free)
    four, six = Peer("127.0.0.1"), Peer("::1")
    shown = [(await transports.flow(each.target)).sent_by for each in (four, six)]
    assert shown == [f"127.0.0.1:{free}", f"[::1]:{free}"]
    four.socket.close()
    six.socket.close()


@pytest.mark.parametrize(
    ("changed", "wanted"),
    [
        ({"public_address": "198.51.100.7"}, "198.51.100.7:"),
        ({"public_address": "2001:db8::7"}, "127.0.0.1:"),
        ({"local_address": "127.0.0.2"}, "127.0.0.2:"),
    ],
)
async def test_we_are_named_as_others_reach_us(opener, changed, wanted):
    flow = await (await opener(**changed)).flow(nobody("127.0.0.1"))
    assert flow.sent_by.startswith(wanted)


@pytest.mark.parametrize("way", [Transport.UDP, Transport.TCP, Transport.TLS])
async def test_an_own_address_of_the_other_ip_version_is_an_error(opener, way):
    transports = await opener(local_address="::1")
    with pytest.raises(OSError, match="local_address"):
        await transports.flow(Target(way, "127.0.0.1", 5060, "127.0.0.1"))


async def test_a_port_in_use_is_an_error(opener, peer):
    transports = await opener(local_port=peer.target.port, local_address=peer.target.address)
    with pytest.raises(OSError, match="in use"):
        await transports.flow(peer.target)


async def test_a_large_datagram_leaves_and_is_told_of_once(opener, peer):
    flow = await (await opener()).flow(peer.target)
    with capture_logs() as logs:
        for _ in range(3):
            flow.send(message(1, b"x" * 2_000))
            assert len((await peer.receive())[0]) > 2_000
    assert [entry["event"] for entry in logs] == ["sip.large_datagram"]


async def test_a_datagram_that_cannot_be_sent_is_an_error(opener, peer):
    flow = await (await opener()).flow(peer.target)
    with pytest.raises(OSError, match="too long"):
        flow.send(b"x" * 70_000)
    flow.send(message())
    assert (await peer.receive())[0] == message()


async def test_hostile_datagrams_are_passed_on_and_end_nothing(opener, peer):
    flow = await (await opener()).flow(peer.target)
    flow.send(message())
    _, place = await peer.receive()
    for hostile in (b"\xff" * 65_000, b"\0" * 100, b"", b"SIP/2.0", message(3)):
        peer.socket.sendto(hostile, place)
    heard = [(await opener.heard.message())[1] for _ in range(3)]
    assert heard == [b"\xff" * 65_000, b"SIP/2.0", message(3)]


async def test_nothing_is_sent_after_the_end(opener, peer):
    transports = await opener()
    flow = await transports.flow(peer.target)
    await transports.close()
    with pytest.raises(OSError):
        flow.send(message())
    with pytest.raises(OSError):
        await transports.flow(peer.target)


# --- TCP and TLS -------------------------------------------------------------------------------------------------


class Server:
    """A TCP or TLS server whose connections the test holds."""

    def __init__(self) -> None:
        self.connections: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
        self.count = 0
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []

    async def start(self, address: str, tls: ssl.SSLContext | None = None) -> None:
        self._server = await asyncio.start_server(self._connected, address, 0, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]
        way = Transport.TLS if tls is not None else Transport.TCP
        self.target = Target(way, address, self.port, "trunk.test" if tls is not None else address)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.count += 1
        self._writers.append(writer)
        self.connections.put_nowait((reader, writer))

    async def connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.wait_for(self.connections.get(), SECONDS)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in self._writers:
            writer.transport.abort()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    yield made
    await made.close()


async def read(reader: asyncio.StreamReader, wanted: bytes) -> None:
    assert await asyncio.wait_for(reader.readexactly(len(wanted)), SECONDS) == wanted


@pytest.mark.parametrize("address", LOOPBACKS)
async def test_a_connection_is_made_once_and_kept(opener, server, address):
    await server.start(address)
    transports = await opener()
    first, second = await asyncio.gather(*[transports.flow(server.target) for _ in range(2)])
    assert first is second is await transports.flow(server.target)
    reader, writer = await server.connection()
    first.send(message(1, b"abc"))
    await read(reader, message(1, b"abc"))
    writer.write(message(2) + message(3)[:10])
    assert await opener.heard.message() == (first, message(2))
    writer.write(message(3)[10:])
    assert await opener.heard.message() == (first, message(3))
    assert (server.count, first.is_reliable) == (1, True)


@pytest.mark.parametrize("address", LOOPBACKS)
async def test_the_other_side_reaches_us_on_a_connection_of_its_own(opener, server, address):
    await server.start(address)
    flow = await (await opener()).flow(server.target)
    host, _, port = flow.sent_by.rpartition(":")
    reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    writer.write(message())
    back, heard = await opener.heard.message()
    assert heard == message()
    assert back is not flow
    assert back.target.port == writer.get_extra_info("sockname")[1]
    assert back.sent_by == flow.sent_by
    back.send(message(2))
    await read(reader, message(2))
    writer.close()
    assert (await opener.heard.loss())[0] is back


async def test_requests_of_a_dialog_find_the_connection_that_the_other_side_opened(opener, server):
    await server.start("127.0.0.1")
    transports = await opener()
    flow = await transports.flow(server.target)
    _, writer = await asyncio.open_connection("127.0.0.1", int(flow.sent_by.rpartition(":")[2]))
    writer.write(message())
    back, _ = await opener.heard.message()
    assert await transports.flow(back.target) is back
    writer.close()


async def test_a_broken_connection_is_told_and_made_anew(opener, server):
    await server.start("127.0.0.1")
    transports = await opener()
    flow = await transports.flow(server.target)
    _, writer = await server.connection()
    writer.close()
    assert (await opener.heard.loss())[0] is flow
    with pytest.raises(OSError, match="closed"):
        flow.send(message())
    again = await transports.flow(server.target)
    assert again is not flow
    again.send(message())
    await read((await server.connection())[0], message())


async def test_nobody_there_is_an_error(opener, server):
    await server.start("127.0.0.1")
    await server.close()
    with pytest.raises(ConnectionRefusedError):
        await (await opener()).flow(server.target)


async def test_garbage_closes_the_connection(opener, server):
    await server.start("127.0.0.1")
    flow = await (await opener()).flow(server.target)
    reader, writer = await server.connection()
    writer.write(message() + b"GET / HTTP/1.1\r\n\r\n")
    assert await opener.heard.message() == (flow, message())
    lost, error = await opener.heard.loss()
    assert lost is flow
    assert "first line" in str(error)
    assert await asyncio.wait_for(reader.read(), SECONDS) == b""


async def test_garbage_on_many_connections_fills_no_log(opener, server):
    await server.start("127.0.0.1")
    flow = await (await opener()).flow(server.target)
    port = int(flow.sent_by.rpartition(":")[2])
    with capture_logs() as logs:
        for _ in range(20):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            assert await asyncio.wait_for(reader.read(), SECONDS) == b""
            writer.close()
    assert [entry["event"] for entry in logs] == ["sip.garbage"]


def _send_often(flow: Flow, data: bytes, times: int) -> None:
    for _ in range(times):
        flow.send(data)


async def test_a_peer_that_does_not_read_breaks_its_connection(opener, server):
    await server.start("127.0.0.1")
    flow = await (await opener()).flow(server.target)
    _, writer = await server.connection()
    writer.transport.pause_reading()
    much = message(1, b"x" * 60_000)
    with pytest.raises(OSError, match="does not read"):
        _send_often(flow, much, 1_000)
    assert (await opener.heard.loss())[0] is flow


async def test_of_too_many_connections_the_longest_silent_one_is_closed(opener, server):
    await server.start("127.0.0.1")
    flow = await (await opener()).flow(server.target)
    port = int(flow.sent_by.rpartition(":")[2])
    opened = []
    for number in range(MOST_CALLERS + 1):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        opened.append((reader, writer))
        writer.write(message(number))
        assert (await opener.heard.message())[1] == message(number)
    assert await asyncio.wait_for(opened[0][0].read(), SECONDS) == b""
    opened[1][1].write(message(99))
    assert (await opener.heard.message())[1] == message(99)
    for _, writer in opened:
        writer.close()


async def test_connections_that_ended_do_not_count(opener, server):
    await server.start("127.0.0.1")
    flow = await (await opener()).flow(server.target)
    port = int(flow.sent_by.rpartition(":")[2])
    with capture_logs() as logs:
        for number in range(MOST_CALLERS + 1):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(message(number))
            await opener.heard.message()
            writer.close()
            await opener.heard.loss()
    assert logs == []


async def test_a_host_that_does_not_answer_is_given_up():
    # A listener whose queue is full lets further connections wait for ever.
    silent = socket.socket()
    silent.bind(("127.0.0.1", 0))
    silent.listen(0)
    crowd = [socket.socket() for _ in range(4)]
    for each in crowd:
        each.setblocking(False)
        each.connect_ex(silent.getsockname())
    target = Target(Transport.TCP, "127.0.0.1", silent.getsockname()[1], "127.0.0.1")
    settings = VoiceRouteSettings(name="trunk", url="sip:trunk.test")
    transports = NetworkTransports(settings, Heard(), connect_seconds=0.3)
    with pytest.raises(OSError, match="took too long"):
        await asyncio.wait_for(transports.flow(target), SECONDS)
    await transports.close()
    for each in (*crowd, silent):
        each.close()


async def test_what_was_written_is_sent_before_the_end(opener, server):
    await server.start("127.0.0.1")
    transports = await opener()
    flow = await transports.flow(server.target)
    flow.send(message())
    await transports.close()
    reader, _ = await server.connection()
    assert await asyncio.wait_for(reader.read(), SECONDS) == message()
    assert opener.heard.losses.empty()


async def test_the_end_does_not_leave_anybody_waiting_for_a_connection(opener):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        target = Target(Transport.TLS, "127.0.0.1", mute.getsockname()[1], "trunk.test")
        transports = await opener()
        waiting = asyncio.create_task(transports.flow(target))
        await asyncio.to_thread(mute.accept)
        await transports.close()
        with pytest.raises(OSError):
            await asyncio.wait_for(waiting, SECONDS)


# --- TLS ---------------------------------------------------------------------------------------------------------


class Keys:
    """An authority, servers that it vouches for, and one that it does not."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        self.ca = folder / "ca.pem"
        authority.cert_pem.write_to_path(str(self.ca))
        self.servers = {
            "good": _server(authority, "trunk.test"),
            "good, an address": _server(authority, "127.0.0.1"),
            "of another name": _server(authority, "elsewhere.test"),
            "unknown": _server(trustme.CA(), "trunk.test"),
        }


def _server(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)
    return context


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys(tmp_path_factory.mktemp("keys"))


@pytest.mark.parametrize(
    ("key", "name", "changed", "trusted"),
    [
        ("good", "trunk.test", {}, True),
        ("good, an address", "127.0.0.1", {}, True),
        ("good", "127.0.0.1", {}, False),
        ("of another name", "trunk.test", {}, False),
        ("unknown", "trunk.test", {}, False),
        ("good", "trunk.test", {"tls_ca": None}, False),
        ("unknown", "trunk.test", {"tls_verify": False}, True),
        ("good", "x" * 70 + ".test", {}, False),
    ],
)
async def test_certificates(opener, server, keys, key, name, changed, trusted):
    await server.start("127.0.0.1", keys.servers[key])
    transports = await opener(url="sips:trunk.test", **{"tls_ca": keys.ca, **changed})
    target = Target(Transport.TLS, "127.0.0.1", server.port, name)
    if not trusted:
        with pytest.raises(OSError):
            await transports.flow(target)
        return
    flow = await transports.flow(target)
    flow.send(message())
    reader, writer = await server.connection()
    await read(reader, message())
    writer.write(message(2))
    assert await opener.heard.message() == (flow, message(2))
    assert flow.sent_by == "127.0.0.1:{}".format(writer.get_extra_info("peername")[1])


async def test_over_tls_a_name_has_its_own_connection_and_an_address_any(opener, server, keys):
    await server.start("127.0.0.1", keys.servers["good"])
    transports = await opener(url="sips:trunk.test", tls_ca=keys.ca)
    flow = await transports.flow(server.target)
    assert await transports.flow(Target(Transport.TLS, "127.0.0.1", server.port, "127.0.0.1")) is flow
    with pytest.raises(ssl.SSLCertVerificationError):
        await transports.flow(Target(Transport.TLS, "127.0.0.1", server.port, "elsewhere.test"))


async def test_certificates_to_trust_that_cannot_be_read_are_told_at_the_start(opener, tmp_path):
    with pytest.raises(ValueError, match="tls_ca"):
        await opener(url="sips:trunk.test", tls_ca=tmp_path / "none.pem")
    (tmp_path / "wrong.pem").write_text("no PEM")
    with pytest.raises(ValueError, match="tls_ca"):
        await opener(proxy="sips:proxy.test", tls_ca=tmp_path / "wrong.pem")


# --- the other event loop ----------------------------------------------------------------------------------------


async def _icmp(opener: Opener, server: Server) -> None:
    peer = Peer("127.0.0.1")
    try:
        await test_icmp_is_told_to_the_flow_it_is_about_and_the_others_go_on(opener, peer)
        await test_what_an_earlier_datagram_met_does_not_keep_the_next_from_leaving(opener, peer)
    finally:
        peer.socket.close()


async def _kept(opener: Opener, server: Server) -> None:
    await test_a_connection_is_made_once_and_kept(opener, server, "127.0.0.1")


async def _called(opener: Opener, server: Server) -> None:
    await test_the_other_side_reaches_us_on_a_connection_of_its_own(opener, server, "127.0.0.1")


UVLOOP = [
    _icmp,
    _kept,
    _called,
    test_a_broken_connection_is_told_and_made_anew,
    test_nobody_there_is_an_error,
    test_garbage_closes_the_connection,
    test_a_peer_that_does_not_read_breaks_its_connection,
    test_of_too_many_connections_the_longest_silent_one_is_closed,
    test_what_was_written_is_sent_before_the_end,
]


@pytest.mark.parametrize("scenario", UVLOOP, ids=lambda scenario: scenario.__name__)
def test_all_is_the_same_under_uvloop(scenario):
    async def play() -> None:
        opener, server = Opener(), Server()
        try:
            await scenario(opener, server)
        finally:
            await opener.close()
            await server.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(play())


@pytest.mark.parametrize(
    ("key", "trusted"), [("good", True), ("good, an address", False), ("of another name", False), ("unknown", False)]
)
def test_certificates_are_the_same_under_uvloop(keys, key, trusted):
    async def play() -> None:
        opener, server = Opener(), Server()
        try:
            await test_certificates(opener, server, keys, key, "trunk.test", {}, trusted)
        finally:
            await opener.close()
            await server.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(play())
