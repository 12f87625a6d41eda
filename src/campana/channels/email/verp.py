"""Owns the envelope senders that tell bounces apart: one address per delivery and attempt, sealed (VERP).

Must not know how bounces arrive or what they say.
"""

from __future__ import annotations

import hmac
import re
from base64 import b32decode, b32encode
from collections.abc import Callable
from dataclasses import dataclass, field

_SEAL_BYTES = 10
_LOCAL = re.compile(r"b-([a-z2-7]{1,13})-([0-9]{1,6})-([a-z2-7]{16})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class BounceDomain:
    """A domain whose addresses lead bounces of a route home, and the secret that seals them."""

    route: str
    domain: str
    secret: str = field(repr=False)


def envelope_senders(domain: str, secret: str) -> Callable[[int, int], bytes]:
    """Return the function from (delivery id, attempt) to `b-<id>-<attempt>-<seal>@domain`.

    The id is base32, which survives servers that change the case of a local part; the seal is the first 80 bits
    of an HMAC-SHA256 over both.
    """
    key = secret.encode()
    tail = b"@" + domain.encode("ascii")

    def sender(delivery_id: int, attempt: int) -> bytes:
        return _local(key, delivery_id, attempt) + tail

    return sender


def read_envelope_sender(address: str, domains: list[BounceDomain]) -> tuple[BounceDomain, int, int] | None:
    """Return (domain, delivery id, attempt) of an envelope sender that one of `domains` sealed, else None."""
    local, _, host = address.rpartition("@")
    match = _LOCAL.fullmatch(local)
    delivery_id = None if match is None else _number(match[1])
    if match is None or delivery_id is None:
        return None
    attempt = int(match[2])
    given = local.lower().encode()
    for domain in domains:
        # Made anew and compared whole: the same id has only one spelling.
        wanted = _local(domain.secret.encode(), delivery_id, attempt)
        if domain.domain.lower() == host.lower() and hmac.compare_digest(given, wanted):
            return domain, delivery_id, attempt
    return None


def _local(key: bytes, delivery_id: int, attempt: int) -> bytes:
    ident = b32encode(delivery_id.to_bytes((delivery_id.bit_length() + 7) // 8 or 1, "big")).rstrip(b"=")
    seal = b32encode(hmac.digest(key, b"%d.%d" % (delivery_id, attempt), "sha256")[:_SEAL_BYTES])
    return (b"b-%b-%d-%b" % (ident, attempt, seal)).lower()


def _number(ident: str) -> int | None:
    padded = ident.upper() + "=" * (-len(ident) % 8)
    try:
        return int.from_bytes(b32decode(padded), "big")
    except ValueError:
        return None
