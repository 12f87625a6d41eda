"""Owns API keys: making one, finding whose it is, listing and revoking.

Must not know how a key travels, nor what its user's role may do. A key is told once, at its making; only its SHA-256 is
kept, which for 256 random bits needs no salt and no slow hash.
"""

from __future__ import annotations

import secrets
import string
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from campana.domain.errors import MethodCode, MethodError
from campana.domain.ids import UUID7_RANDOM_BYTES, uuid7
from campana.domain.moment import SECOND
from campana.domain.text.characters import is_one_line
from campana.services.lockout import Lockout
from campana.services.principal import Principal, Role
from campana.services.scopes import Scope
from campana.services.sessions import SessionOptions, source_key
from campana.services.tools import Tools
from campana.storage.doors import KeyRow, Keys, NewKey
from campana.storage.store import Sessions

PREFIX = "ck_"
SHOWN = 8
"""Characters of a key by which people tell it from others."""
SECRET = 43
"""Characters of the secret: 256 bits of base 62."""
NAME_MAX = 100
MOST_OF_A_USER = 1_000
LONGEST_LIFE_DAYS = 3_660

USE_EVERY = 60 * SECOND
"""How often the last use of a key in steady use is written."""
SUSPECTS = 10_000
"""Sources of wrong keys that are remembered, to be asked about before they are judged again."""

_LETTERS = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True)
class Wanted:
    """A key that somebody wants to have."""

    name: str
    scopes: frozenset[Scope]
    expires_at: int | None = None
    per_minute: int | None = None


@dataclass(frozen=True, slots=True)
class Holder:
    """Whoever came with a key."""

    principal: Principal
    row: KeyRow
    scopes: frozenset[Scope]


class KeyService:
    """API keys of the account of whoever asks. Used from one event loop."""

    def __init__(self, keys: Keys, sessions: Sessions, tools: Tools, options: SessionOptions) -> None:
        self._keys = keys
        self._clock = tools.clock
        self._lockout = Lockout(sessions, options.source_failures, options.lock, tools.clock)
        self._suspects: OrderedDict[bytes, None] = OrderedDict()
        self._used: dict[str, int] = {}

    async def resume(self, key: str, source: str, *, agent: bool = False) -> Holder:
        """Whose a key is; its use is noted. `source` is the address that the request came from.

        Raises 1 InvalidSession where it is unknown, revoked, expired or its user disabled; 4 TooManyAttempts where the
        source has shown too many wrong ones.
        """
        origin = source_key("key source", source)
        if origin in self._suspects:
            await self._lockout.check(origin)
        row, now = await self._keys.find_hash(sha256(key.encode()).digest()), self._clock()
        if row is None:
            self._suspects[origin] = None
            if len(self._suspects) > SUSPECTS:
                self._suspects.popitem(last=False)
            await self._lockout.fail(origin)
            raise MethodError(MethodCode.INVALID_SESSION, "The API key is unknown.")
        if not _is_valid(row, now):
            raise MethodError(MethodCode.INVALID_SESSION, "The API key was revoked or has expired.")
        await self._note(row, now)
        scopes = frozenset(Scope(scope) for scope in row.scopes)
        return Holder(Principal(row.user, agent or row.user.role == Role.AGENT), row, scopes)

    async def add(self, who: Principal, granted: frozenset[Scope], wanted: Wanted, id: str = "") -> tuple[KeyRow, str]:
        """Make a key for whoever asks, with scopes that they have (`granted`); returns it, and the key as it is told.

        Where `id` is that of a key made before, whose answer was lost, that one has the new secret. Raises 3
        AccessDenied for a scope that they lack, 42 InvalidRequest, 30 LimitExceeded.
        """
        now = self._clock()
        _check(wanted, now)
        lacking = sorted(wanted.scopes - granted)
        if lacking:
            raise MethodError(MethodCode.ACCESS_DENIED, f"A key cannot grant what it lacks: {lacking[0]}.")
        user = who.user.number
        if len(await self._keys.page(who.account.number, user, "", MOST_OF_A_USER)) >= MOST_OF_A_USER:
            raise MethodError(
                MethodCode.LIMIT_EXCEEDED, f"A user may have {MOST_OF_A_USER} keys, revoked ones included."
            )
        shown, secret = _random(SHOWN), _random(SECRET)
        key = f"{PREFIX}{shown}_{secret}"
        new = NewKey(
            id=id or uuid7(now, secrets.token_bytes(UUID7_RANDOM_BYTES)),
            user=user,
            name=wanted.name,
            prefix=PREFIX + shown,
            key_hash=sha256(key.encode()).digest(),
            scopes=tuple(sorted(wanted.scopes)),
            expires_at=wanted.expires_at,
            per_minute=wanted.per_minute,
        )
        await self._keys.add(new, now)
        return await self.get(who, new.id), key

    async def list(self, who: Principal, after: str, limit: int) -> Sequence[KeyRow]:
        """Keys in the order of their making: those of all users for an admin, else one's own."""
        user = None if who.role == Role.ADMIN else who.user.number
        return await self._keys.page(who.account.number, user, after, limit)

    async def get(self, who: Principal, id: str) -> KeyRow:
        """A key. Raises 40 NotFound."""
        row = await self._keys.find(who.account.number, id)
        if row is None or not (who.role == Role.ADMIN or row.user.number == who.user.number):
            raise MethodError(MethodCode.NOT_FOUND, "There is no such API key.")
        return row

    async def revoke(self, who: Principal, id: str) -> None:
        """Let a key never be used again; once more changes nothing. Raises 40 NotFound."""
        row = await self.get(who, id)
        await self._keys.revoke(row.id, self._clock())

    async def _note(self, row: KeyRow, now: int) -> None:
        """Write a key's use, but seldom: a minute counts for people who ask whether it is still in use."""
        written = max(row.last_used_at or 0, self._used.get(row.id, 0))
        if now - written < USE_EVERY:
            return
        if len(self._used) >= SUSPECTS:
            self._used.clear()
        self._used[row.id] = now
        await self._keys.touch([(row.id, now)])


def looks_like_key(token: str) -> bool:
    """Whether a token is written as an API key, be it good or not."""
    return token.startswith(PREFIX)


def _is_valid(row: KeyRow, now: int) -> bool:
    expired = row.expires_at is not None and now >= row.expires_at
    return row.revoked_at is None and row.user.disabled_at is None and not expired


def _check(wanted: Wanted, now: int) -> None:
    name = wanted.name
    if not name.strip() or len(name) > NAME_MAX or not is_one_line(name):
        raise _refused("name", f"should be 1 to {NAME_MAX} printable characters.")
    if not wanted.scopes:
        raise _refused("scopes", "should be one at least.")
    if wanted.expires_at is not None and not now < wanted.expires_at <= now + LONGEST_LIFE_DAYS * 86_400_000:
        raise _refused("expires_at", f"should be in the future, within {LONGEST_LIFE_DAYS} days.")


def _refused(field: str, rule: str) -> MethodError:
    return MethodError(MethodCode.INVALID_REQUEST, f"{field} {rule}", field=field)


def _random(characters: int) -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(characters))
