"""Owns sessions: opening one with the right password, resuming it, and its end after too long without use.

Must not know what the user may do, nor how a token travels.
"""

from __future__ import annotations

import asyncio
import ipaddress
import secrets
from dataclasses import dataclass, replace
from hashlib import sha256

import structlog

from campana.domain.errors import MethodCode, MethodError
from campana.domain.moment import MINUTE
from campana.services.lockout import Lockout, Turns
from campana.services.principal import Principal, Role
from campana.services.tools import Tools
from campana.services.uses import QUIET, WRITE_EVERY, Uses
from campana.storage.store import Accounts, SessionRow, Sessions, StoreUnavailable, UserRow

__all__ = ["Principal", "SessionOptions", "SessionService"]

TOKEN_BYTES = 32
"""256 random bits."""

KEEP_SECONDS = 5.0
"""How often the sessions are looked through for those that have gone quiet."""

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
        self._uses = Uses(sessions, tools.clock, options.remembered)

    @property
    def idle_seconds(self) -> int:
        """Seconds without use after which a session ends."""
        return self._options.idle // 1_000

    async def open(self, account_id: str, username: str, password: str, source: str) -> str:
        """Open a session and return its token. `source` is the address that the request came from.

        Raises 2 InvalidCredentials, the same in words and time for an unknown account, an unknown user and a wrong
        password; 4 TooManyAttempts while the user or the source is locked, also where another process locked it
        while this log-in was judged; 90 ServiceUnavailable where too many log-ins wait already.
        """
        if self._openings >= self._options.openings:
            raise MethodError(MethodCode.SERVICE_UNAVAILABLE, "Too many log-ins at the same time; try again.")
        self._openings += 1
        try:
            token = secrets.token_urlsafe(TOKEN_BYTES)
            user = await self._log_in(account_id, username, password, source)
            while not await self._sessions.open(_digest(token), user.number, user.password_hash, self._clock()):
                # The password was changed, or only its hash, while it was verified.
                user = await self._log_in(account_id, username, password, source)
            return token
        finally:
            self._openings -= 1

    async def close(self, token: str) -> None:
        """End a session. Raises 1 InvalidSession where it is unknown, closed or expired."""
        digest = _digest(token)
        row = await self._sessions.find(digest)
        in_use = row is not None and not self._has_expired(digest, row)
        self._uses.forget(digest)
        if row is None or not await self._sessions.close(digest) or not in_use:
            raise MethodError(MethodCode.INVALID_SESSION)

    async def resume(self, token: str, *, agent: bool = False) -> Principal:
        """Note the use of a session and tell whose it is; `agent` where the request is marked as made for one.

        Raises 1 InvalidSession where it is unknown, closed or expired. It lives for another 20 minutes from here,
        whatever the call will answer.
        """
        digest = _digest(token)
        row = await self._sessions.find(digest)
        if row is None or row.user.disabled_at is not None or self._has_expired(digest, row):
            self._uses.forget(digest)
            raise MethodError(MethodCode.INVALID_SESSION)
        await self._uses.note(digest, row.last_used_at)
        return Principal(row.user, agent or row.user.role == Role.AGENT)

    async def flush(self) -> None:
        """Write the last use of every session that was used since it was last written: before a stop."""
        await self._uses.write()

    async def keep_uses(self, every: float = KEEP_SECONDS) -> None:
        """Have the last use of every session that goes quiet written within 15 seconds; to be cancelled.

        A session that goes on being used is written as that happens: so whichever process looks at a session later,
        however soon, knows whether it has expired.
        """
        while True:
            await asyncio.sleep(every)
            try:
                await self._uses.write(QUIET)
            except StoreUnavailable as error:
                log.warning("sessions.store_unavailable", reason=str(error))
            except Exception:
                log.exception("sessions.defect")

    async def purge(self) -> int:
        """Forget sessions and failures that are past; returns how many sessions. To be called now and then."""
        now = self._clock()
        idle_since = now - self._options.idle
        self._uses.forget_before(idle_since)
        # A session may be used up to WRITE_EVERY later than its row says. Failures count for as long as a lock, and the
        # last of those in a row comes within that time after the first.
        return await self._sessions.purge(idle_since - WRITE_EVERY, now - 2 * self._options.lock)

    async def _log_in(self, account_id: str, username: str, password: str, source: str) -> UserRow:
        origin = source_key("source", source)
        name = _key("user", account_id.casefold(), username.casefold())
        await self._sources.check(origin)
        async with self._turns.take(name):
            await self._users.check(name)
            user = await self._accounts.find_user(account_id, username)
            is_right = await self._passwords.verify(user.password_hash if user else None, password)
            if user is None or not is_right or user.disabled_at is not None:
                await self._users.fail(name)
                await self._sources.fail(origin)
                self._metrics.login_failures.add()
                log.warning("login.failed", source=source, name_hash=name.hex()[:12])
                raise MethodError(MethodCode.INVALID_CREDENTIALS)
            await self._users.succeed(name)
        if self._passwords.outdated(user.password_hash):
            newer = await self._passwords.hash(password)
            await self._accounts.rehash(user.number, user.password_hash, newer)
            return replace(user, password_hash=newer)
        return user

    def _has_expired(self, digest: bytes, row: SessionRow) -> bool:
        return self._clock() - self._uses.last(digest, row.last_used_at) >= self._options.idle


def _digest(token: str) -> bytes:
    return sha256(token.encode("utf-8", "replace")).digest()


def source_key(what: str, source: str) -> bytes:
    """What failures from an address are counted under; `what` tells kinds of failures apart."""
    return _key(what, _network(source))


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
