"""Owns how a PostgreSQL of several hosts is reached: one host after the other, each within its time.

Must not know anything of Campana: store and bus, who do not know each other, both come here. The driver itself gives
all hosts of a URL one time together, so that a first one that is silent (a machine that stands still, a network that
drops everything) would keep it from ever asking the second.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import asyncpg

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

# What says that another host may do better: none of them is about the user, the password or the database.
_NEXT = (OSError, asyncpg.CannotConnectNowError, asyncpg.TargetServerAttributeNotMatched)


def one_by_one(url: str) -> list[str]:
    """A URL for each host of a `postgresql://` URL, in their order. Hosts in its query stay together."""
    scheme, _, rest = url.partition("://")
    end = min((rest.index(mark) for mark in "/?#" if mark in rest), default=len(rest))
    user, at, hosts = rest[:end].rpartition("@")
    return [f"{scheme}://{user}{at}{host}{rest[end:]}" for host in hosts.split(",")]


class Hosts:
    """The hosts of a URL. The one that was taken last is asked first."""

    def __init__(self, url: str) -> None:
        self._urls = one_by_one(url)

    async def connect(self, *_: Any, **options: Any) -> Connection:
        """Connect to the first host that can be used, as the URL's `target_session_attrs` says.

        `options` are those of asyncpg.connect, whose `timeout` is each host's. Raises what that raises, of the last
        host.
        """
        *others, last = self._urls
        for url in others:
            try:
                return await self._take(url, options)
            except _NEXT:
                continue
        return await self._take(last, options)

    async def _take(self, url: str, options: dict[str, Any]) -> Connection:
        connection: Connection = await asyncpg.connect(url, **options)
        self._urls = [url, *(other for other in self._urls if other != url)]
        return connection
