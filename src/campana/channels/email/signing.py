"""Owns DKIM signatures (RFC 6376, relaxed/relaxed): which header fields are signed, and how the signature is written.

Must not know how a message came to be, where it goes, or what kind of key it has. What messages share is canonical
and hashed once, in a Seal; a message costs its own fields and the key's arithmetic.
"""

from __future__ import annotations

import textwrap
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from campana.channels.email.canonical import relaxed_body, relaxed_fields, relaxed_value
from campana.channels.email.signing_key import SigningKey
from campana.domain.moment import SECOND, Clock

_ONCE = (b"from", b"to", b"cc", b"reply-to", b"subject", b"date", b"message-id", b"mime-version", b"content-type")
"""Named once more than they stand there, so that nobody can add one: it could change what the reader sees or answers,
and the signature would still hold (RFC 6376 section 8.15)."""
_LINE = 76
_SIGNATURE_LINE = 72


@dataclass(frozen=True, slots=True)
class Signer:
    """For which domain is signed, with which key, named by its selector in DNS."""

    domain: str
    selector: str
    key: SigningKey
    clock: Clock

    def __str__(self) -> str:
        """For people: which key signs how, and what speaks against it."""
        told = f"{self.selector} at {self.domain}, {self.key.algorithm}"
        return f"{told} ({self.key.weakness})" if self.key.weakness else told


class Seal:
    """What the signatures of messages that share header fields and body have in common. Any thread may use it."""

    def __init__(self, signer: Signer, shared: bytes, own: Sequence[bytes], entity: bytes) -> None:
        """Prepare them.

        `shared` are the header fields that the messages have in common, each with its line end; `own` the names, in
        small letters, of those that each has for itself; `entity` the fields on the body, an empty line, and the body
        before dot-stuffing.
        """
        fields, _, body = entity.partition(b"\r\n\r\n")
        common = relaxed_fields(shared + fields + b"\r\n")
        names = b": ".join([*common, *own, *_ONCE]).decode("ascii")
        body_hash = b64encode(sha256(relaxed_body(body)).digest()).decode("ascii")
        rest = f"d={signer.domain}; s={signer.selector}; h={names}; bh={body_hash};"
        lines = textwrap.wrap(rest, _LINE, break_long_words=False, break_on_hyphens=False)
        first = f"v=1; a={signer.key.algorithm}; c=relaxed/relaxed; t="
        self._first = f"DKIM-Signature: {first}%d;\r\n ".encode("ascii")
        self._rest = "\r\n ".join([*lines, "b="]).encode("ascii")
        self._canonical = f"dkim-signature:{first}%d; ".encode("ascii")
        self._canonical_rest = relaxed_value(self._rest)
        self._common_hash = sha256(b"".join(common.values()))
        self._sign = signer.key.sign
        self._clock = signer.clock

    def sign(self, own: bytes) -> bytes:
        """Return the DKIM-Signature field, with its line end, of the message that has these fields for itself.

        They are whole, each with its line end, in the order of their names.
        """
        now = self._clock() // SECOND
        hashed = self._common_hash.copy()
        hashed.update(b"".join(relaxed_fields(own).values()))
        hashed.update(self._canonical % now + self._canonical_rest)
        signature = b64encode(self._sign(hashed.digest()))
        lines = [signature[at : at + _SIGNATURE_LINE] for at in range(0, len(signature), _SIGNATURE_LINE)]
        return self._first % now + self._rest + b"\r\n ".join(lines) + b"\r\n"
