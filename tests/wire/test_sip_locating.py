"""Where a trunk leads: addresses, the hosts file, SRV records of a real DNS server, and the order of failover."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator

import dns.asyncresolver
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from campana.channels.voice.settings import VoiceRouteSettings
from campana.channels.voice.sip import locating, resolving
from campana.channels.voice.sip.flow import Target
from campana.channels.voice.sip.locating import AVOID_SECONDS, LONGEST_TTL, MOST_ANSWERS, SHORTEST_TTL, Locator
from campana.channels.voice.sip.resolving import NameResolver, UnresolvedError
from campana.channels.voice.sip.uri import Transport


class Zone(asyncio.DatagramProtocol):
    """A DNS server with the records of a test; `asked` counts the questions."""

    def __init__(self) -> None:
        self.records: dict[str, tuple[int, list[str]]] = {}
        self.asked: Counter[str] = Counter()
        self.rcode = dns.rcode.NOERROR
        self.is_silent = False
        self.questioned = asyncio.Event()

    async def start(self) -> dns.asyncresolver.Resolver:
        loop = asyncio.get_running_loop()
        self.transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
        resolver = dns.asyncresolver.Resolver(configure=False)
        resolver.nameservers = ["127.0.0.1"]
        resolver.port = self.transport.get_extra_info("sockname")[1]
        return resolver

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        pass

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        name = str(query.question[0].name)
        self.asked[name] += 1
        self.questioned.set()
        if self.is_silent:
            return
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.AA
        ttl, records = self.records.get(name, (0, []))
        if self.rcode != dns.rcode.NOERROR or not records:
            answer.set_rcode(self.rcode or dns.rcode.NXDOMAIN)
        else:
            answer.answer.append(dns.rrset.from_text(name, ttl, "IN", "SRV", *records))
        self.transport.sendto(answer.to_wire(), addr)


class Names(NameResolver):
    """SRV records of the zone; addresses of a test's own."""

    def __init__(self, resolver: dns.asyncresolver.Resolver) -> None:
        super().__init__(resolver)
        self.hosts: dict[str, list[str]] = {}

    async def addresses(self, host: str) -> list[str]:
        try:
            return self.hosts[host]
        except KeyError:
            raise UnresolvedError("unknown in the test") from None


class World:
    """A locator's surroundings."""

    def __init__(self, zone: Zone, names: Names) -> None:
        self.zone, self.names = zone, names
        self.now = 1_000.0

    def locator(self, url: str = "sip:trunk.test", **changed: object) -> Locator:
        settings = VoiceRouteSettings.model_validate({"name": "trunk", "url": url, **changed})
        return Locator(settings, self.names, lambda: self.now)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    zone = Zone()
    yield World(zone, Names(await zone.start()))
    zone.transport.close()


def places(targets: list[Target]) -> list[tuple[str, int]]:
    return [(target.address, target.port) for target in targets]


UDP, TCP, TLS = Transport.UDP, Transport.TCP, Transport.TLS

ADDRESSES = [
    ("sip:192.0.2.1", Target(UDP, "192.0.2.1", 5060, "192.0.2.1")),
    ("sip:192.0.2.1:5070;transport=tcp", Target(TCP, "192.0.2.1", 5070, "192.0.2.1")),
    ("sips:192.0.2.1", Target(TLS, "192.0.2.1", 5061, "192.0.2.1")),
    ("sip:[2001:DB8::1]", Target(UDP, "2001:db8::1", 5060, "2001:DB8::1")),
    ("sip:trunk.test:5080", Target(UDP, "192.0.2.2", 5080, "trunk.test")),
    ("sip:trunk.test", Target(UDP, "192.0.2.2", 5060, "trunk.test")),
    ("sip:pbx", Target(UDP, "192.0.2.3", 5060, "pbx")),
    ("sip:root.test.:5060", Target(UDP, "192.0.2.4", 5060, "root.test")),
]


@pytest.mark.parametrize(("url", "wanted"), ADDRESSES)
async def test_addresses_ports_and_names_without_srv(world, url, wanted):
    world.names.hosts = {"trunk.test": ["192.0.2.2"], "pbx": ["192.0.2.3"], "root.test.": ["192.0.2.4"]}
    assert await world.locator(url).targets() == [wanted]
    # Only a name with a dot and without a port is looked up by SRV.
    assert world.zone.asked == ({"_sip._udp.trunk.test.": 1} if url == "sip:trunk.test" else {})


@pytest.mark.parametrize(
    ("url", "service"),
    [
        ("sip:trunk.test", "_sip._udp.trunk.test."),
        ("sip:trunk.test;transport=tcp", "_sip._tcp.trunk.test."),
        ("sips:trunk.test", "_sips._tcp.trunk.test."),
        ("sip:trunk.test;transport=tls", "_sips._tcp.trunk.test."),
    ],
)
async def test_srv_records_are_taken_by_priority_and_keep_the_name_for_certificates(world, url, service):
    world.zone.records[service] = 300, ["20 0 5062 b.test.", "10 0 5061 a.test.", "30 0 5063 gone.test."]
    world.names.hosts = {"a.test": ["192.0.2.1", "2001:db8::1"], "b.test": ["192.0.2.2"]}
    targets = await world.locator(url).targets()
    assert places(targets) == [("192.0.2.1", 5061), ("2001:db8::1", 5061), ("192.0.2.2", 5062)]
    assert {target.name for target in targets} == {"trunk.test"}


async def test_within_a_priority_the_weight_decides_how_often_a_host_is_first(world):
    world.zone.records["_sip._udp.trunk.test."] = 300, ["1 30 5060 a.test.", "1 10 5060 b.test.", "2 99 5060 c.test."]
    world.names.hosts = {f"{letter}.test": [f"192.0.2.{number}"] for number, letter in enumerate("abc", 1)}
    locator = world.locator()
    firsts: Counter[str] = Counter()
    for _ in range(2_000):
        targets = await locator.targets()
        assert len(targets) == 3
        assert targets[2].address == "192.0.2.3"
        firsts[targets[0].address] += 1
    # 1,500 are expected; six standard deviations are 117.
    assert 1_380 < firsts["192.0.2.1"] < 1_620
    assert world.zone.asked.total() == 1


async def test_a_service_declared_not_to_be_there_is_nowhere(world):
    world.zone.records["_sip._udp.trunk.test."] = 300, ["0 0 0 ."]
    world.names.hosts = {"trunk.test": ["192.0.2.2"]}
    locator = world.locator()
    assert await locator.targets() == []
    assert "no such service" in locator.problem


async def test_hosts_are_tried_in_the_order_of_the_configuration_each_once(world):
    world.names.hosts = {"a.test": ["192.0.2.1"], "b.test": ["192.0.2.2", "192.0.2.1"]}
    locator = world.locator("sip:a.test:5060", backups=["sip:b.test:5060", "sip:gone.test:5060", "sip:192.0.2.9"])
    assert [target.address for target in await locator.targets()] == [
        "192.0.2.1",
        "192.0.2.2",
        "192.0.2.1",
        "192.0.2.9",
    ]
    same = world.locator("sip:a.test:5060", backups=["sip:a.test:5060"])
    assert len(await same.targets()) == 1


async def test_a_proxy_is_the_only_way(world):
    locator = world.locator("sip:192.0.2.1", proxy="sip:192.0.2.5:5070;transport=tcp", backups=["sip:192.0.2.2"])
    assert await locator.targets() == [Target(TCP, "192.0.2.5", 5070, "192.0.2.5")]


async def test_what_failed_lately_goes_last_until_it_worked_or_a_while_has_passed(world):
    locator = world.locator("sip:192.0.2.1", backups=["sip:192.0.2.2", "sip:192.0.2.3"])
    first, second, third = await locator.targets()
    locator.failed(first)
    assert await locator.targets() == [second, third, first]
    locator.failed(second)
    assert await locator.targets() == [third, first, second]
    locator.worked(first)
    assert await locator.targets() == [first, third, second]
    world.now += AVOID_SECONDS - 0.1
    assert await locator.targets() == [first, third, second]
    world.now += 0.1
    assert await locator.targets() == [first, second, third]
    for target in (first, second, third):
        locator.failed(target)
    assert await locator.targets() == [first, second, third]


async def test_failures_of_more_targets_than_are_kept_do_no_harm(world):
    locator = world.locator("sip:192.0.2.1", backups=["sip:192.0.2.2"])
    for port in range(1, locating.MOST_FAILURES + 100):
        locator.failed(Target(UDP, "198.51.100.1", port, "x"))
    world.now += AVOID_SECONDS
    first, second = await locator.targets()
    locator.failed(first)
    assert await locator.targets() == [second, first]


@pytest.mark.parametrize(
    ("ttl", "holds"), [(0, SHORTEST_TTL), (5, SHORTEST_TTL), (300, 300.0), (1_000_000, LONGEST_TTL)]
)
async def test_an_answer_holds_as_long_as_it_says_within_limits(world, ttl, holds):
    world.zone.records["_sip._udp.trunk.test."] = ttl, ["1 1 5060 a.test."]
    world.names.hosts = {"a.test": ["192.0.2.1"], "b.test": ["192.0.2.2"]}
    locator = world.locator()
    assert places(await locator.targets()) == [("192.0.2.1", 5060)]
    world.zone.records["_sip._udp.trunk.test."] = ttl, ["1 1 5060 b.test."]
    world.now += holds - 1
    assert places(await locator.targets()) == [("192.0.2.1", 5060)]
    world.now += 1
    assert places(await locator.targets()) == [("192.0.2.2", 5060)]
    assert world.zone.asked.total() == 2


async def test_when_the_name_server_fails_what_was_known_stays(world):
    world.zone.records["_sip._udp.trunk.test."] = 300, ["1 1 5060 a.test."]
    world.names.hosts = {"a.test": ["192.0.2.1"], "trunk.test": ["192.0.2.66"]}
    locator = world.locator()
    assert places(await locator.targets()) == [("192.0.2.1", 5060)]
    world.zone.rcode = dns.rcode.SERVFAIL
    world.now += 301
    assert places(await locator.targets()) == [("192.0.2.1", 5060)]
    world.zone.rcode = dns.rcode.NOERROR
    world.names.hosts = {"a.test": ["192.0.2.3"]}
    assert places(await locator.targets()) == [("192.0.2.1", 5060)]
    world.now += SHORTEST_TTL
    assert places(await locator.targets()) == [("192.0.2.3", 5060)]


async def test_a_call_does_not_wait_for_a_silent_name_server_where_anything_is_known(world):
    world.zone.records["_sip._udp.trunk.test."] = 300, ["1 1 5060 a.test."]
    world.names.hosts = {"a.test": ["192.0.2.1"]}
    locator = world.locator()
    await locator.targets()
    world.zone.is_silent = True
    world.zone.questioned.clear()
    world.now += 301
    async with asyncio.timeout(locating.PATIENCE_SECONDS + 1):
        found = await asyncio.gather(*(locator.targets() for _ in range(10)))
    assert [places(targets) for targets in found] == [[("192.0.2.1", 5060)]] * 10
    assert world.zone.questioned.is_set()


async def test_without_any_name_server_the_hosts_file_is_enough(world):
    world.zone.rcode = dns.rcode.REFUSED
    world.names.hosts = {"trunk.test": ["192.0.2.1"]}
    assert places(await world.locator().targets()) == [("192.0.2.1", 5060)]


async def test_a_name_of_which_nothing_is_known_is_asked_for_again_soon(world):
    locator = world.locator()
    assert await locator.targets() == []
    assert locator.problem == "unknown in the test"
    world.names.hosts = {"trunk.test": ["192.0.2.1"]}
    world.now += locating.UNKNOWN_SECONDS
    assert places(await locator.targets()) == [("192.0.2.1", 5060)]
    assert locator.problem == ""


async def test_many_calls_at_once_ask_once(world):
    world.names.hosts = {"trunk.test": ["192.0.2.1"]}
    locator = world.locator()
    found = await asyncio.gather(*(locator.targets() for _ in range(50)))
    assert all(places(targets) == [("192.0.2.1", 5060)] for targets in found)
    assert world.zone.asked.total() == 1


async def test_an_own_address_of_one_ip_version_leaves_out_the_other(world):
    world.names.hosts = {"trunk.test": ["2001:db8::1", "192.0.2.1"], "six.test": ["2001:db8::2"]}
    locator = world.locator("sip:trunk.test:5060", local_address="127.0.0.1")
    assert places(await locator.targets()) == [("192.0.2.1", 5060)]
    nowhere = world.locator("sip:six.test:5060", local_address="127.0.0.1")
    assert await nowhere.targets() == []
    assert "local_address" in nowhere.problem


def test_srv_records_are_looked_up_under_uvloop_too():
    async def play() -> list[resolving.SrvRecord]:
        zone = Zone()
        zone.records["_sip._udp.trunk.test."] = 300, ["1 2 5060 a.test."]
        try:
            return (await NameResolver(await zone.start()).services("_sip._udp.trunk.test"))[0]
        finally:
            zone.transport.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(play()) == [resolving.SrvRecord("a.test", 5060, 1, 2)]


# --- hosts that the other side names -----------------------------------------------------------------------------

RESOLVED = [
    ("192.0.2.7", None, UDP, [("192.0.2.7", 5060)]),
    ("192.0.2.7", 5099, TLS, [("192.0.2.7", 5099)]),
    ("[2001:db8::7]", None, TCP, [("2001:db8::7", 5060)]),
    ("sbc.test", 5070, TCP, [("192.0.2.8", 5070)]),
    ("", None, UDP, []),
    ("no host", None, UDP, []),
    ("a" * 300, None, UDP, []),
    ("-x.test", 5060, UDP, []),
    ("sbc.test", 65_536, UDP, []),
    ("sbc.test", -1, UDP, []),
    ("fe80::1%eth0", None, UDP, []),
    ("sbc.test\r\n", 5070, TCP, [("192.0.2.8", 5070)]),
]


@pytest.mark.parametrize(("host", "port", "way", "wanted"), RESOLVED)
async def test_hosts_of_the_other_side(world, host, port, way, wanted):
    world.names.hosts = {"sbc.test": ["192.0.2.8"]}
    assert places(await world.locator().resolve(host, port, way)) == wanted


async def test_answers_are_kept_up_to_a_limit(world):
    world.names.hosts = {f"h{number}": ["192.0.2.8"] for number in range(MOST_ANSWERS + 50)}
    locator = world.locator()
    for host in world.names.hosts:
        assert await locator.resolve(host, None, UDP)
    assert len(locator._answers) == MOST_ANSWERS


class Nowhere:
    """A resolver that knows nothing."""

    async def services(self, name: str) -> tuple[list[resolving.SrvRecord], float]:
        return [], 0.0

    async def addresses(self, host: str) -> list[str]:
        raise UnresolvedError("nowhere")


@given(st.text(max_size=60), st.none() | st.integers())
def test_of_whatever_the_other_side_names_nothing_is_raised(host, port):
    locator = Locator(VoiceRouteSettings(name="trunk", url="sip:trunk.test"), Nowhere())
    for target in asyncio.run(locator.resolve(host, port, UDP)):
        assert 0 < target.port <= 65_535


# --- the machine's own resolvers ---------------------------------------------------------------------------------


async def test_the_hosts_file_is_asked():
    assert set(await NameResolver().addresses("localhost")) <= {"127.0.0.1", "::1"}


def test_addresses_that_no_way_leads_to_are_left_out_where_there_are_others():
    class Told(asyncio.SelectorEventLoop):
        async def getaddrinfo(self, host, port, **kinds):
            # The broadcast address cannot be connected to without leave, on any machine.
            places = {"both": ["255.255.255.255", "127.0.0.1"], "lost": ["255.255.255.255"]}[host]
            return [(socket.AF_INET, socket.SOCK_DGRAM, 17, "", (place, 0)) for place in places]

    async def play() -> list[list[str]]:
        return [await NameResolver().addresses(host) for host in ("both", "lost")]

    with asyncio.Runner(loop_factory=Told) as runner:
        assert runner.run(play()) == [["127.0.0.1"], ["255.255.255.255"]]


@pytest.mark.parametrize("host", ["x" * 70, "a..b"])
async def test_a_name_that_cannot_be_is_unresolved(host):
    with pytest.raises(UnresolvedError, match="does not resolve"):
        await NameResolver().addresses(host)


async def test_a_name_server_that_nobody_is_at_is_an_error():
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers = ["127.0.0.1"]
    resolver.port = 9
    resolver.timeout = 0.1
    resolver.lifetime = 0.2
    with pytest.raises(UnresolvedError, match="SRV"):
        await NameResolver(resolver).services("_sip._udp.trunk.test")
