"""Owns that a request with an Idempotency-Key is carried out once, and its answer given again for a day.

Must not know what requests mean. What is kept cannot be read without the Idempotency-Key, which is not kept: neither
the answer, in which a secret may stand, nor whether a guessed request was the one.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from campana.domain.errors import MethodCode, MethodError
from campana.domain.ids import UUID7_RANDOM_BYTES, uuid7
from campana.domain.moment import DAY, SECOND
from campana.services.tools import Tools
from campana.storage.doors import Answers, Claim, KeptAnswer

KEPT = DAY
HELD = 30 * SECOND
"""A try that has claimed a key and has not answered for so long was cut off: longer than any transaction may take."""

_NONCE_BYTES = 12


class StillRunning(MethodError):
    """44 IdempotencyConflict: the same request is being carried out. Within `seconds` it is over, or known to be."""

    def __init__(self, seconds: int) -> None:
        super().__init__(MethodCode.IDEMPOTENCY_CONFLICT, "The request with this Idempotency-Key is being carried out.")
        self.seconds = seconds


class Given(msgspec.Struct, frozen=True):
    """An answer as it was given."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Errand:
    """A request that is to be carried out once."""

    owner: bytes
    """Stands for whoever asks: keys of others are others."""
    address: str
    """Method and path."""
    key: str
    """The Idempotency-Key."""
    content: bytes
    """All else that makes it this request: its query, media type and body."""

    @property
    def name(self) -> bytes:
        """32 bytes that stand for owner, address and key."""
        return _digest(b"name", self.owner, self.address.encode(), self.key.encode())

    @property
    def fingerprint(self) -> bytes:
        """32 bytes that stand for the content; nobody can tell without the key, lest a password in it be guessed."""
        return hmac.digest(_digest(b"fingerprint", self.key.encode()), self.content, "sha256")

    @property
    def seal(self) -> AESGCM:
        """What closes and opens the answer."""
        return AESGCM(_digest(b"answer", self.owner, self.address.encode(), self.key.encode()))


@dataclass(frozen=True, slots=True)
class Turn:
    """What comes of claiming: an answer to be given again, or the turn to carry the request out."""

    given: Given | None
    new_id: str = ""
    """The id that what is made has."""
    again: bool = False
    """Whether an earlier try was cut off, and may have made it."""


class AnswerService:
    """Answers by Idempotency-Key. Used from one event loop."""

    def __init__(self, answers: Answers, tools: Tools) -> None:
        self._answers = answers
        self._clock = tools.clock

    async def claim(self, errand: Errand) -> Turn:
        """Ask for the turn to carry a request out. The claim is durable before anything is done.

        Raises 44 IdempotencyConflict where the key belongs to another request, and StillRunning where another try has
        it.
        """
        now = self._clock()
        ours = Claim(errand.fingerprint, now, uuid7(now, secrets.token_bytes(UUID7_RANDOM_BYTES)))
        kept = await self._answers.claim(errand.name, ours, now - HELD)
        if kept is None:
            return Turn(None, ours.new_id)
        if not hmac.compare_digest(kept.fingerprint, errand.fingerprint):
            raise MethodError(MethodCode.IDEMPOTENCY_CONFLICT, "The Idempotency-Key belongs to another request.")
        if kept.answer is not None:
            return Turn(_opened(errand, kept.answer))
        if not kept.is_ours:
            raise StillRunning(max(1, -(-(kept.at + HELD - now) // SECOND)))
        return Turn(None, kept.new_id, again=True)

    async def keep(self, errand: Errand, given: Given) -> None:
        """Keep the answer to a request that was carried out: before it leaves."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = nonce + errand.seal.encrypt(nonce, msgspec.msgpack.encode(given), errand.name)
        await self._answers.keep(errand.name, KeptAnswer(given.status, sealed))

    async def release(self, errand: Errand) -> None:
        """The request was refused and has changed nothing: the key may be used again."""
        await self._answers.release(errand.name)

    async def purge(self) -> int:
        """Forget answers that are older than a day; returns how many. To be called now and then."""
        return await self._answers.purge(self._clock() - KEPT)


def _opened(errand: Errand, kept: KeptAnswer) -> Given:
    nonce, sealed = kept.sealed[:_NONCE_BYTES], kept.sealed[_NONCE_BYTES:]
    try:
        return msgspec.msgpack.decode(errand.seal.decrypt(nonce, sealed, errand.name), type=Given)
    except InvalidTag:
        raise ValueError("an answer that was kept cannot be opened") from None


def _digest(*parts: bytes) -> bytes:
    """32 bytes that stand for the parts and no others."""
    digest = sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.digest()
