"""Owns how the sandbox's carrier checks who calls: digest authentication (RFC 8760), with both hashes on offer.

Must not know requests beyond their method and header.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import OrderedDict
from typing import Final

from campana.channels.voice.sip.headers import SipSyntaxError, parse_challenge

REALM: Final = "sandbox.example"
MOST_NONCES: Final = 10_000

_HASHES: Final = {"SHA-256": hashlib.sha256, "MD5": hashlib.md5}
"""The better one first, as the header lines are to be (section 2.3)."""


class Guard:
    """Passwords by user, and the challenges that were sent."""

    def __init__(self, passwords: dict[str, str]) -> None:
        self._passwords = passwords
        self._nonces: OrderedDict[str, int] = OrderedDict()
        """The highest count that was used with each."""

    def challenges(self, stale: bool = False) -> list[str]:
        """Values of WWW-Authenticate or Proxy-Authenticate, one for each hash."""
        nonce = secrets.token_hex(16)
        self._nonces[nonce] = 0
        if len(self._nonces) > MOST_NONCES:
            self._nonces.popitem(last=False)
        end = ', stale=true, qop="auth"' if stale else ', qop="auth"'
        return [f'Digest realm="{REALM}", nonce="{nonce}", algorithm={name}{end}' for name in _HASHES]

    def check(self, method: str, authorization: str | None) -> str:
        """Judge credentials: `ok`, `stale` where the nonce is not to be used again, or `no`."""
        try:
            scheme, told = parse_challenge(authorization or "")
        except SipSyntaxError:
            return "no"
        hashed = _HASHES.get(told.get("algorithm", "MD5").upper())
        password = self._passwords.get(told.get("username", ""))
        if scheme != "digest" or hashed is None or password is None or told.get("qop") != "auth":
            return "no"

        def digest(text: str) -> str:
            return hashed(text.encode()).hexdigest()

        secret = digest(f"{told['username']}:{REALM}:{password}")
        about = digest(f"{method}:{told.get('uri', '')}")
        middle = f"{told.get('nonce')}:{told.get('nc')}:{told.get('cnonce')}:auth"
        if not hmac.compare_digest(digest(f"{secret}:{middle}:{about}"), told.get("response", "").lower()):
            return "no"
        return self._used(told.get("nonce", ""), told.get("nc", ""))

    def _used(self, nonce: str, count: str) -> str:
        """A nonce is good as long as its count goes up."""
        try:
            number = int(count, 16)
        except ValueError:
            return "no"
        if number <= self._nonces.get(nonce, number):
            return "stale"
        self._nonces[nonce] = number
        return "ok"
