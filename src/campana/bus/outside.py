"""Owns the guard against being sent into private networks by a client's URL (server-side request forgery).

Must not know what is said there. A name is resolved here, every address that it has is judged, and who connects is
given an address and not the name: so nobody can answer differently the second time (DNS rebinding).
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv6Address, ip_address

from campana.domain.endpoint import check_endpoint, is_private

CONNECT_SECONDS = 5.0
"""For looking a name up, and again for connecting to its addresses."""
LOOKUPS = 8
"""Names that are looked up at the same time: in threads of their own, so that no dead name server delays others."""
MOST_ADDRESSES = 8
"""Of a name, that are tried."""

Resolve = Callable[[str], Awaitable[list[str]]]
"""The addresses of a host, the better ones first. Raises OSError or UnicodeError where there are none."""

Judge = Callable[[IPv4Address | IPv6Address], bool]


class OutsideError(Exception):
    """No connection came about; the text says why, for people, and names neither host nor address."""


class Guard:
    """Lets connections go to public addresses alone, unless the operator allows all."""

    def __init__(
        self, *, allow_private: bool = False, resolve: Resolve | None = None, judge: Judge = is_private
    ) -> None:
        """`resolve` is the machine's own resolver unless given; `judge` says which addresses are not public."""
        self._allow_private = allow_private
        self._judge = judge
        self._threads: ThreadPoolExecutor | None = None
        self._resolve = resolve or self._ask_machine

    def check(self, url: str) -> None:
        """Refuse a URL that an endpoint must not be. Raises OutsideError."""
        try:
            check_endpoint(url, allow_private=self._allow_private)
        except ValueError as error:
            raise OutsideError(str(error)) from None

    async def addresses(self, host: str) -> list[str]:
        """The addresses that may be connected to. Raises OutsideError where there is none, or one is not public."""
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                found = await self._resolve(host)
        except TimeoutError:
            raise OutsideError("Looking its name up took too long.") from None
        except (OSError, UnicodeError):
            raise OutsideError("Its name does not resolve.") from None
        if not found:
            raise OutsideError("Its name has no address.")
        if not self._allow_private and any(self._judge(ip_address(one.partition("%")[0])) for one in found):
            raise OutsideError("Its name leads to this machine or into a private network.")
        return found[:MOST_ADDRESSES]

    async def connect(self, host: str, port: int) -> socket.socket:
        """A TCP connection to one of the addresses of a host. Raises OutsideError."""
        addresses = await self.addresses(host)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                for address in addresses:
                    connected = await _connect(address, port)
                    if connected is not None:
                        return connected
        except TimeoutError:
            raise OutsideError("No connection came about in time.") from None
        raise OutsideError("No connection could be made.")

    def close(self) -> None:
        """End the threads; what still looks up is left to itself."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def _ask_machine(self, host: str) -> list[str]:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(LOOKUPS, thread_name_prefix="campana-names")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, _look_up, host)


def _look_up(host: str) -> list[str]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(info[4][0]) for info in found if info[0] in (socket.AF_INET, socket.AF_INET6)))


async def _connect(address: str, port: int) -> socket.socket | None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    connecting = socket.socket(family, socket.SOCK_STREAM)
    try:
        connecting.setblocking(False)
        connecting.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(connecting, (address, port))
    except OSError:
        connecting.close()
        return None
    except BaseException:
        connecting.close()
        raise
    return connecting
