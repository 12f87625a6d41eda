"""Owns what processes know of each other, as PostgreSQL keeps it: members, duties and the shared state of routes.

Must not know any rule of sharing. Nothing here has to outlive a crash of the server, so that no commit waits for its
disk or its standby.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import asyncpg
import msgspec

from campana.domain.sharing import REST_MS, RouteState, forget
from campana.storage.cluster import Change, Member, T
from campana.storage.postgres.database import Collision, Connection, Database, execute

_UNHURRIED = "SET LOCAL synchronous_commit = off"
_HURRIED = "SET LOCAL synchronous_commit = on"
_NOW = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"

_CLOCK = f"SELECT {_NOW}"
_BEAT = f"""
WITH told AS (
  INSERT INTO members (owner, role, host, code, started_at, routes, until)
  VALUES ($1, $2, $3, $4, $5, $6, {_NOW} + $7)
  ON CONFLICT (owner) DO UPDATE SET routes = excluded.routes, until = excluded.until
  RETURNING owner, role, host, code, started_at, routes
)
SELECT owner, role, host, code, started_at, routes FROM members WHERE until > {_NOW} AND owner <> $1
UNION ALL SELECT * FROM told ORDER BY owner
"""
_OLDEST_CODE = "SELECT oldest_code FROM instance"
_DEAD = f"SELECT owner FROM members WHERE until <= {_NOW} ORDER BY owner"
_HOLD = f"""
INSERT INTO duties (name, owner, until) VALUES ($1, $2, {_NOW} + $3)
ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, until = excluded.until
WHERE duties.owner = excluded.owner OR duties.until <= {_NOW}
"""
_STATE = f"SELECT body, {_NOW} FROM route_states WHERE route = $1 FOR UPDATE"
_KEEP_STATE = "UPDATE route_states SET body = $2 WHERE route = $1"
_ADD_STATE = "INSERT INTO route_states (route, body) VALUES ($1, $2) ON CONFLICT DO NOTHING"
_ADD_MARK = "INSERT INTO duties (name, owner, until) VALUES ('known:' || $1, '', 0) ON CONFLICT DO NOTHING"
"""A route that was known has had a state: one that is not there was lost in a crash."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(RouteState).decode
_decode_routes = msgspec.json.Decoder(dict[str, str]).decode


class PostgresCluster:
    """What the processes on one database know of each other; see the contract in storage/cluster.py."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def clock(self) -> int:
        """The database's clock, in epoch milliseconds."""
        return int(await self._database.read(lambda connection: connection.fetchval(_CLOCK)))

    async def beat(self, member: Member, lasts_ms: int) -> list[Member]:
        """Say that a process lives for another while; all that live now."""
        values = (member.owner, member.role, member.host, member.code, member.started_at, _text(member.routes))
        rows = await self._database.write(
            lambda connection: connection.fetch(_BEAT, *values, lasts_ms), first=_UNHURRIED
        )
        return [_member(row) for row in rows]

    async def oldest_code(self) -> str:
        """The oldest revision whose program still works on the tables."""
        return str(await self._database.read(lambda connection: connection.fetchval(_OLDEST_CODE)))

    async def dead(self) -> list[str]:
        """Owners that have not said for too long that they live."""
        rows = await self._database.read(lambda connection: connection.fetch(_DEAD))
        return [row[0] for row in rows]

    async def bury(self, owner: str) -> None:
        """Take a process out of everything here."""
        routes = await self._database.read(lambda connection: connection.fetch("SELECT route FROM route_states"))
        for (route,) in routes:
            await self.share(route, partial(_forgetting, owner))

        async def work(connection: Connection) -> None:
            await execute(connection, "DELETE FROM duties WHERE owner = $1", owner)
            await execute(connection, "DELETE FROM members WHERE owner = $1", owner)

        await self._database.write(work, first=_UNHURRIED)

    async def hold(self, duty: str, owner: str, lasts_ms: int) -> bool:
        """Take a duty that nobody has, or keep it; False where another process has it."""
        held = await self._database.write(
            lambda connection: execute(connection, _HOLD, duty, owner, lasts_ms), first=_UNHURRIED
        )
        return held > 0

    async def share(self, route: str, change: Change[T]) -> T:
        """Change what processes keep of a route between them; the change's answer."""

        async def work(connection: Connection) -> T:
            row = await connection.fetchrow(_STATE, route)
            if row is None:
                return await _begin(connection, route, change)
            state = _decode(row[0])
            answer = change(state, row[1])
            await execute(connection, _KEEP_STATE, route, _encode(state).decode())
            return answer

        return await self._database.write(work, first=_UNHURRIED)


async def _begin(connection: Connection, route: str, change: Change[T]) -> T:
    """Make a route's state. Where it had one that was lost, the new one first lets the past pass by."""
    await connection.execute(_HURRIED)
    is_new = await execute(connection, _ADD_MARK, route)
    now = int(await connection.fetchval(_CLOCK))
    state = RouteState(rests_until=0 if is_new else now + REST_MS)
    answer = change(state, now)
    if not await execute(connection, _ADD_STATE, route, _encode(state).decode()):
        raise Collision
    return answer


def _forgetting(owner: str, state: RouteState, now: int) -> None:
    forget(state, owner, now)


def _text(routes: Mapping[str, str]) -> str:
    return _encode(dict(routes)).decode()


def _member(row: asyncpg.Record) -> Member:
    owner, role, host, code, started_at, routes = row
    return Member(owner, role, host, code, started_at, _decode_routes(routes))
