"""Owns how API keys and answers that are given again are written into their rows and read from them, on any database.

Must not know which database it is, nor hold statements.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from campana.storage.doors import Claim, KeptAnswer, KeyRow, NewKey
from campana.storage.rows import user_row

_encode = msgspec.json.Encoder().encode
_scopes = msgspec.json.Decoder(tuple[str, ...]).decode
_KEY_COLUMNS = 9


def key_columns(key: NewKey, at: int) -> dict[str, Any]:
    """A new key as it is written."""
    return {
        "id": key.id,
        "user": key.user,
        "name": key.name,
        "prefix": key.prefix,
        "key_hash": key.key_hash,
        "scopes": _encode(key.scopes).decode(),
        "created_at": at,
        "expires_at": key.expires_at,
        "revoked_at": None,
        "last_used_at": None,
        "per_minute": key.per_minute,
    }


def key_row(columns: Iterable[Any]) -> KeyRow:
    """Make a KeyRow of KEY_COLUMNS."""
    every = list(columns)
    id, name, prefix, scopes, created_at, expires_at, revoked_at, last_used_at, per_minute = every[:_KEY_COLUMNS]
    return KeyRow(
        id=str(id),
        user=user_row(every[_KEY_COLUMNS:]),
        name=name,
        prefix=prefix,
        scopes=_scopes(scopes),
        created_at=created_at,
        expires_at=expires_at,
        revoked_at=revoked_at,
        last_used_at=last_used_at,
        per_minute=per_minute,
    )


def claim_columns(key: bytes, claim: Claim) -> dict[str, Any]:
    """A claim as it is written."""
    return {"key": key, "fingerprint": claim.fingerprint, "at": claim.at, "headers": claim.new_id}


def claim_row(columns: Iterable[Any]) -> Claim:
    """Make a Claim of CLAIM_COLUMNS."""
    fingerprint, at, new_id, status, body = columns
    answer = None if status is None else KeptAnswer(status, bytes(body))
    return Claim(bytes(fingerprint), at, new_id or "", answer)
