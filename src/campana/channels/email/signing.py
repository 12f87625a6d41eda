"""Owns DKIM signatures (RFC 6376): which header fields are signed, with which key.

Must not know how a message came to be or where it goes.
"""

from __future__ import annotations

from pathlib import Path

import dkim

from campana.channels.errors import RefusedForGood
from campana.domain.outcome import DeliveryCode

_SIGNED = (b"from", b"to", b"subject", b"date", b"message-id", b"mime-version", b"content-type", b"from")
"""From twice: nobody can add a second one (RFC 6376 section 8.15)."""


class Signer:
    """Signs with one key. A signature of 2048 bits costs milliseconds: the arithmetic is Python's."""

    def __init__(self, domain: str, selector: str, key: Path) -> None:
        """Raises ValueError, naming the setting, where the key cannot be read or used."""
        self.domain = domain
        self.selector = selector
        try:
            self._key = key.read_bytes().replace(b"\r\n", b"\n")
        except OSError as error:
            raise ValueError(f"dkim_key: the file cannot be read ({error.strerror})") from None
        try:
            self._sign(b"From: a@example.com\r\n\r\n\r\n")
        except (dkim.DKIMException, ValueError, ArithmeticError, IndexError, KeyError):
            # The last three are what dkimpy's ASN.1 reader ends with on a key of another kind.
            raise ValueError("dkim_key: not an RSA private key in PEM") from None

    def sign(self, message: bytes) -> bytes:
        """Return the DKIM-Signature field, with its line end, for a whole message with CR LF line ends.

        Raises RefusedForGood(UNRENDERABLE) where the message has no form that can be signed.
        """
        try:
            return self._sign(message)
        except dkim.DKIMException:
            raise RefusedForGood(DeliveryCode.UNRENDERABLE, carrier_text="the message cannot be signed") from None

    def _sign(self, message: bytes) -> bytes:
        header: bytes = dkim.sign(
            message,
            self.selector.encode(),
            self.domain.encode(),
            self._key,
            canonicalize=(b"relaxed", b"relaxed"),
            include_headers=list(_SIGNED),
        )
        return header
