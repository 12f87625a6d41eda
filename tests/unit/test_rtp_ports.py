"""Ports for sound: pairs, in turn, from the range and nowhere else, each once until it is given back."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator

import pytest

from campana.channels.voice.addresses import source_address
from campana.channels.voice.media.ports import EXPEDITED, Pair, PortRange

LOCAL = "127.0.0.1"


def free_range(pairs: int) -> tuple[int, int]:
    """A range of so many pairs that nobody has just now, below where the kernel gives ports out itself."""
    begin = 12_000 + os.getpid() % 500 * 2 * pairs
    for first in range(begin, 32_000, 2 * pairs):
        try:
            bound = [_bound(port) for port in range(first, first + 2 * pairs)]
        except OSError:
            continue
        for one in bound:
            one.close()
        return first, first + 2 * pairs - 1
    raise AssertionError("no free range")


def _bound(port: int, address: str = LOCAL) -> socket.socket:
    one = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    one.bind((address, port))
    return one


class Opened:
    """Pairs of a range, closed at the end."""

    def __init__(self, ports: PortRange) -> None:
        self.ports = ports
        self.pairs: list[Pair] = []

    def open(self, address: str = LOCAL) -> Pair:
        self.pairs.append(self.ports.open(address))
        return self.pairs[-1]


@pytest.fixture
def span() -> tuple[int, int]:
    return free_range(4)


@pytest.fixture
def opened(span: tuple[int, int]) -> Iterator[Opened]:
    opened = Opened(PortRange(*span))
    yield opened
    for pair in opened.pairs:
        opened.ports.close(pair)


def test_pairs_are_an_even_port_and_the_next(opened: Opened, span: tuple[int, int]) -> None:
    for _ in range(4):
        pair = opened.open()
        assert pair.rtp.getsockname() == (LOCAL, pair.port)
        assert pair.rtcp.getsockname() == (LOCAL, pair.port + 1)
        assert pair.port % 2 == 0
        assert span[0] <= pair.port < span[1]
    assert len({pair.port for pair in opened.pairs}) == 4


def test_a_used_up_range_says_so(opened: Opened) -> None:
    for _ in range(4):
        opened.open()
    with pytest.raises(OSError, match="rtp_ports") as caught:
        opened.open()
    assert caught.value.errno == errno.EADDRINUSE


def test_a_port_rests_as_long_as_there_are_others(opened: Opened) -> None:
    first = opened.open()
    opened.ports.close(first)
    others = [opened.open().port for _ in range(3)]
    assert first.port not in others
    assert opened.open().port == first.port


@pytest.mark.parametrize("offset", [0, 1])
def test_a_pair_of_which_another_program_has_a_port_is_passed_over(
    opened: Opened, span: tuple[int, int], offset: int
) -> None:
    with _bound(span[0] + 2 + offset):
        found = sorted(opened.open().port for _ in range(3))
        assert found == [span[0], span[0] + 4, span[0] + 6]
        with pytest.raises(OSError, match="taken"):
            opened.open()
    assert opened.open().port == span[0] + 2


@pytest.mark.parametrize(
    ("first", "last", "ports"), [(0, 3, [0, 2]), (0, 2, [0]), (1, 4, [2]), (1, 5, [2, 4]), (1, 2, []), (2, 2, [])]
)
def test_ranges_may_begin_and_end_anywhere(span: tuple[int, int], first: int, last: int, ports: list[int]) -> None:
    opened = Opened(PortRange(span[0] + first, span[0] + last))
    for _ in ports:
        opened.open()
    with pytest.raises(OSError, match="taken"):
        opened.open()
    assert sorted(pair.port - span[0] for pair in opened.pairs) == ports
    for pair in opened.pairs:
        opened.ports.close(pair)


def test_ranges_begin_at_random() -> None:
    begun = set()
    for _ in range(10):
        opened = Opened(PortRange(16_384, 32_767))
        begun.add(opened.open().port)
        opened.ports.close(opened.pairs[0])
    assert len(begun) > 5


def test_an_address_that_is_not_ours_is_refused_at_once(span: tuple[int, int]) -> None:
    with pytest.raises(OSError) as caught:
        PortRange(*span).open("192.0.2.1")
    assert caught.value.errno == errno.EADDRNOTAVAIL


def test_sound_is_marked_as_such_and_never_blocks(opened: Opened) -> None:
    for one in opened.open()[:2]:
        assert one.getsockopt(socket.IPPROTO_IP, socket.IP_TOS) == EXPEDITED == 0xB8
        assert not one.getblocking()
        # The kernel doubles what is asked for.
        assert one.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) <= 65_536


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
def test_ipv6_is_the_same(opened: Opened) -> None:
    pair = opened.open("::1")
    assert pair.rtp.getsockname()[:2] == ("::1", pair.port)
    assert pair.rtp.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS) == EXPEDITED


@pytest.mark.parametrize("destination", ["127.0.0.1", "127.1.2.3", "::1"])
def test_the_address_that_leads_to_the_loopback_is_of_the_loopback(destination: str) -> None:
    found = source_address(destination)
    assert found == ("::1" if ":" in destination else "127.0.0.1")
