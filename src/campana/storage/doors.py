"""Owns the part of the store contract that doors for programs need: API keys, and answers that are given again.

Must not know which database it is. Instants are epoch milliseconds. Every method may raise StoreUnavailable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from campana.storage.store import UserRow


@dataclass(frozen=True, slots=True)
class NewKey:
    """An API key to be kept."""

    id: str
    """A canonical UUID."""
    user: int
    name: str
    prefix: str
    """What of the key is shown."""
    key_hash: bytes
    """The SHA-256 of the whole key."""
    scopes: tuple[str, ...]
    expires_at: int | None = None
    per_minute: int | None = None


@dataclass(frozen=True, slots=True)
class KeyRow:
    """An API key that is kept, with its user."""

    id: str
    user: UserRow
    name: str
    prefix: str
    scopes: tuple[str, ...]
    created_at: int
    expires_at: int | None
    revoked_at: int | None
    last_used_at: int | None
    per_minute: int | None


class Keys(Protocol):
    """API keys."""

    async def add(self, key: NewKey, at: int) -> None:
        """Keep a key. Of one whose id is kept already, only prefix and hash are replaced: the first answer was lost."""

    async def find_hash(self, key_hash: bytes) -> KeyRow | None:
        """By the SHA-256 of the whole key; also one that was revoked or has expired."""

    async def find(self, account: int, id: str) -> KeyRow | None:
        """A key of an account's user."""

    async def page(self, account: int, user: int | None, after: str, limit: int) -> list[KeyRow]:
        """Keys of an account, or of one of its users, with ids above `after` (blank: from the first), in the order of
        their ids, which is that of their creation."""

    async def revoke(self, id: str, at: int) -> bool:
        """Never to be used again. False where there is no such key, or it was revoked before."""

    async def touch(self, uses: Sequence[tuple[str, int]]) -> None:
        """Note when keys were used, each named once; never moves last_used_at back."""


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """An answer that is given again: sealed, the store cannot read it."""

    status: int
    sealed: bytes


@dataclass(frozen=True, slots=True)
class Claim:
    """What is kept under an Idempotency-Key."""

    fingerprint: bytes
    """Of the request, 32 bytes."""
    at: int
    """When it was claimed, or claimed again."""
    new_id: str
    """The id of what the request makes: chosen with the first claim, so that a second try finds it."""
    answer: KeptAnswer | None = None
    """None while it is being carried out, or was cut off."""
    is_ours: bool = False
    """Whether it was just taken over from a try that was cut off."""


class Answers(Protocol):
    """Answers to requests with an Idempotency-Key, by 32 bytes that stand for account, address and key."""

    async def claim(self, key: bytes, claim: Claim, lapsed: int) -> Claim | None:
        """Claim a key for a request. None: it is ours, and nobody had it.

        Else what is kept: with an answer; or one that another try holds; or, where a try of the same fingerprint
        claimed it at `lapsed` or before, that claim with `at` of the new one: `is_ours`, to be carried out again.
        """

    async def keep(self, key: bytes, answer: KeptAnswer) -> None:
        """Keep the answer to a request whose key was claimed."""

    async def release(self, key: bytes) -> None:
        """Forget a claim without an answer."""

    async def purge(self, before: int) -> int:
        """Forget what was claimed before an instant; returns how many."""
