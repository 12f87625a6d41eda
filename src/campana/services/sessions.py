"""Owns sessions: opening one with the right password, resuming it, and its end after too long without use.

Must not know what the user may do, nor how a token travels.
"""

from __future__ import annotations

import ipaddress
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from hashlib import sha256

import structlog

from campana.domain.errors import MethodCode, MethodError
from campana.domain.moment import MINUTE, SECOND
from campana.services.lockout import Lockout, Turns
from campana.services.principal import Principal, Role
from campana.services.tools import Tools
from campana.storage.store import Accounts, SessionRow, Sessions, UserRow

__all__ = ["Principal", "SessionOptions", "SessionService"]

TOKEN_BYTES = 32
"""256 random bits."""

WRITE_EVERY = 15 * SECOND
"""How often a session in steady use is written: after a crash it may end that much too early, never too late."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """What the configuration says of sessions; times in milliseconds."""

    idle: int = 20 * MINUTE
    failures: int = 10
    source_failures: int = 100
    lock: int = 15 * MINUTE
    openings: int = 258
    """Log-ins that may be at work or wait at a time; more are told to try again."""
    remembered: int = 100_000
    """Sessions whose exact last use is kept in memory."""


@dataclass(slots=True)
class _Use:
    """When a session was last used, and when that was last written."""

    at: int
    written: int


class SessionService:
    """Opens, resumes and closes sessions. Used from one event loop."""

    def __init__(self, accounts: Accounts, sessions: Sessions, tools: Tools, options: SessionOptions) -> None:
        self._accounts = accounts
        self._sessions = sessions
        self._clock = tools.clock
        self._metrics = tools.metrics
        self._passwords = tools.passwords
        self._options = options
        self._users = Lockout(sessions, options.failures, options.lock, tools.clock)
        self._sources = Lockout(sessions, options.source_failures, options.lock, tools.clock)
        self._turns = Turns()
        self._openings = 0
        self._uses: OrderedDict[bytes, _Use] = OrderedDict()

    async def open(self, account_id: str, username: str, password: str, source: str) -> str:
        """Open a session and return its token. `source` is the address that the request came from.

        Raises 2 InvalidCredentials, the same in words and time for an unknown account, an unknown user and a wrong
        password; 4 TooManyAttempts while the user or the source is locked; 90 ServiceUnavailable where too many
        log-ins wait already.
        """
        if self._openings >= self._options.openings:
            raise MethodError(MethodCode.SERVICE_UNAVAILABLE, "Too many log-ins at the same time; try again.")
        self._openings += 1
        try:
            user = await self._log_in(account_id, username, password, source)
            token = secrets.token_urlsafe(TOKEN_BYTES)
            await self._sessions.open(_digest(token), user.number, self._clock())
            return token
        finally:
            self._openings -= 1

    async def close(self, token: str) -> None:
        """End a session. Raises 1 InvalidSession where it is unknown, closed or expired."""
        digest = _digest(token)
        row = await self._sessions.find(digest)
        in_use = row is not None and not self._has_expired(row, self._uses.get(digest))
        self._uses.pop(digest, None)
        if row is None or not await self._sessions.close(digest) or not in_use:
            raise MethodError(MethodCode.INVALID_SESSION)

    async def resume(self, token: str, *, agent: bool = False) -> Principal:
        """Note the use of a session and tell whose it is; `agent` where the request is marked as made for one.

        Raises 1 InvalidSession where it is unknown, closed or expired. It lives for another 20 minutes from here,
        whatever the call will answer.
        """
        digest = _digest(token)
        row = await self._sessions.find(digest)
        use = self._uses.get(digest)
        if row is None or self._has_expired(row, use):
            self._uses.pop(digest, None)
            raise MethodError(MethodCode.INVALID_SESSION)
        now = self._clock()
        if use is None:
            use = self._uses[digest] = _Use(now, row.last_used_at)
        use.at = now
        self._uses.move_to_end(digest)
        if now - use.written >= WRITE_EVERY:
            await self._write(digest, use)
        if len(self._uses) > self._options.remembered:
            await self._write(*self._uses.popitem(last=False))
        return Principal(row.user, agent or row.user.role == Role.AGENT)

    async def flush(self) -> None:
        """Write the last use of every session that was used since it was last written: before a stop."""
        for digest, use in list(self._uses.items()):
            if use.at > use.written:
                await self._write(digest, use)

    async def purge(self) -> int:
        """Forget sessions and failures that are past; returns how many sessions. To be called now and then."""
        idle_since = self._clock() - self._options.idle
        while self._uses and next(iter(self._uses.values())).at <= idle_since:
            self._uses.popitem(last=False)
        # A session may be used up to WRITE_EVERY later than its row says; failures count for as long as a lock.
        return await self._sessions.purge(min(idle_since - WRITE_EVERY, self._clock() - self._options.lock))

    async def _log_in(self, account_id: str, username: str, password: str, source: str) -> UserRow:
        origin = _key("source", _network(source))
        name = _key("user", account_id.casefold(), username.casefold())
        await self._sources.check(origin)
        async with self._turns.take(name):
            await self._users.check(name)
            user = await self._accounts.find_user(account_id, username)
            if not await self._passwords.verify(user.password_hash if user else None, password) or user is None:
                await self._users.fail(name)
                await self._sources.fail(origin)
                self._metrics.login_failures.add()
                log.warning("login.failed", source=source, name_hash=name.hex()[:12])
                raise MethodError(MethodCode.INVALID_CREDENTIALS)
            await self._users.succeed(name)
        if self._passwords.outdated(user.password_hash):
            await self._accounts.rehash(user.number, user.password_hash, await self._passwords.hash(password))
        return user

    def _has_expired(self, row: SessionRow, use: _Use | None) -> bool:
        last = row.last_used_at if use is None or use.at < row.last_used_at else use.at
        return self._clock() - last >= self._options.idle

    async def _write(self, digest: bytes, use: _Use) -> None:
        """Write a session's last use once, even where many calls of it arrive at the same time."""
        before, use.written = use.written, use.at
        try:
            await self._sessions.touch(digest, use.at)
        except BaseException:
            use.written = before
            raise


def _digest(token: str) -> bytes:
    return sha256(token.encode("utf-8", "replace")).digest()


def _key(*parts: str) -> bytes:
    """32 bytes that stand for the parts and no others, without telling them."""
    digest = sha256()
    for part in parts:
        encoded = part.encode("utf-8", "replace")
        digest.update(len(encoded).to_bytes(8, "big") + encoded)
    return digest.digest()


def _network(source: str) -> str:
    """What is limited as one source: an IPv4 address, or the /64 that one IPv6 subscriber has (RFC 6177)."""
    try:
        address = ipaddress.ip_address(source)
    except ValueError:
        return source
    if isinstance(address, ipaddress.IPv6Address):
        mapped = address.ipv4_mapped
        return str(mapped) if mapped else str(ipaddress.IPv6Network((int(address), 64), strict=False))
    return str(address)
