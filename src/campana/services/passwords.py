"""Owns how passwords are hashed and verified: argon2id, in threads of its own so that the event loop stays free.

Must not know whose password it is, nor count failures.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from argon2 import PasswordHasher, Type
from argon2.exceptions import Argon2Error, InvalidHashError

LONGEST_PASSWORD = 1_024
"""Characters; a longer one is never right."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one hash costs. The defaults are those that OWASP's Password Storage Cheat Sheet recommends first."""

    passes: int = 2
    memory_kib: int = 19_456
    lanes: int = 1


STANDARD = Cost()


class Passwords:
    """Hashes and verifies with at most `threads` at work at a time; `close` ends them."""

    def __init__(self, threads: int = 2, cost: Cost = STANDARD) -> None:
        self._hasher = PasswordHasher(
            time_cost=cost.passes, memory_cost=cost.memory_kib, parallelism=cost.lanes, type=Type.ID
        )
        self._dummy = _nobodys_hash(self._hasher)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="campana-password")

    async def hash(self, password: str) -> str:
        """The encoded argon2id hash of a password, with a salt of its own."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._hasher.hash, _bytes(password))

    async def verify(self, encoded: str | None, password: str) -> bool:
        """Tell whether it is the password. `encoded` None takes as long as a wrong password and is never right."""
        tried = _bytes(password[:LONGEST_PASSWORD])
        loop = asyncio.get_running_loop()
        right = await loop.run_in_executor(self._threads, self._verify, encoded or self._dummy, tried)
        return right and encoded is not None and len(password) <= LONGEST_PASSWORD

    def outdated(self, encoded: str) -> bool:
        """Tell whether a hash was made at another cost than new ones are."""
        return self._hasher.check_needs_rehash(encoded)

    def close(self) -> None:
        """End the threads; what has not begun is dropped."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _verify(self, encoded: str, password: bytes) -> bool:
        try:
            return self._hasher.verify(encoded, password)
        except (Argon2Error, InvalidHashError):
            return False


def _bytes(password: str) -> bytes:
    """One spelling for what looks the same on all keyboards (NIST SP 800-63B, section 3.1.1.2), in UTF-8."""
    return unicodedata.normalize("NFKC", password).encode("utf-8", "replace")


def _nobodys_hash(hasher: PasswordHasher) -> str:
    """A hash in the form and at the cost of real ones, to which no password is known."""
    salt, digest = (
        base64.b64encode(secrets.token_bytes(length)).rstrip(b"=").decode()
        for length in (hasher.salt_len, hasher.hash_len)
    )
    cost = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    return f"$argon2id$v=19${cost}${salt}${digest}"
