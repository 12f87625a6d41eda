"""Owns answers to challenges: digest authentication by MD5 and SHA-256 (RFC 3261, section 22; RFC 7616; RFC 8760).

Must not know when a request is sent again, and tells nobody user or password.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import Final

from campana.channels.voice.sip.headers import SipSyntaxError, parse_challenge, quote
from campana.channels.voice.sip.message import Request, Response

ANSWERED_BY: Final = {"WWW-Authenticate": "Authorization", "Proxy-Authenticate": "Proxy-Authorization"}
MOST_REALMS: Final = 8
MOST_RENEWALS: Final = 3
"""How often a request is sent again because its nonce was stale."""

LONGEST_PARAMETER: Final = 1_024
"""Characters of a realm, a nonce or an opaque: with longer ones, the answer would be no header any more."""

_STRENGTH: Final = {"MD5": 1, "SHA-256": 2}


@dataclass(slots=True)
class _Challenge:
    """What a realm asks for. Everything here comes from the other side."""

    header: str
    realm: str
    nonce: str
    algorithm: str
    has_qop: bool
    opaque: str | None
    stale: bool
    count: int = 0
    """Requests that used the nonce."""


class Tries(dict[tuple[str, str], int]):
    """How often one request was sent again for each header and realm."""


class Credentials:
    """User and password, with the challenges that one dialog (or one registration) has met."""

    def __init__(self, username: str, password: str) -> None:
        self._username = username
        self._password = password
        self._challenges: dict[tuple[str, str], _Challenge] = {}

    def learn(self, response: Response, tries: Tries) -> bool:
        """Take in a 401's or 407's challenges; whether it makes sense to send the request once more.

        It does not where there is no user, where nothing asked for can be answered, or where an answer to the same
        realm was refused already, unless its nonce was only stale.
        """
        if not self._username:
            return False
        news = _strongest(response)
        for key, challenge in news.items():
            if tries.get(key, 0) > (MOST_RENEWALS if challenge.stale else 0) or len(tries) >= MOST_REALMS:
                return False
            tries[key] = tries.get(key, 0) + 1
            self._challenges[key] = challenge
        return bool(news)

    def sign(self, request: Request) -> None:
        """Put an answer to every challenge met so far into the request, in the place of older ones."""
        for header in ANSWERED_BY.values():
            request.headers.remove(header)
        for challenge in self._challenges.values():
            request.headers.add(challenge.header, self._answer(challenge, request))

    def _answer(self, challenge: _Challenge, request: Request) -> str:
        challenge.count += 1
        count, cnonce = f"{challenge.count:08x}", secrets.token_hex(8)
        secret = _hash(challenge.algorithm, f"{self._username}:{challenge.realm}:{self._password}")
        action = _hash(challenge.algorithm, f"{request.method}:{request.uri}")
        middle = f"{challenge.nonce}:{count}:{cnonce}:auth" if challenge.has_qop else challenge.nonce
        parts = [
            f"username={quote(self._username)}",
            f"realm={quote(challenge.realm)}",
            f"nonce={quote(challenge.nonce)}",
            f"uri={quote(request.uri)}",
            f'response="{_hash(challenge.algorithm, f"{secret}:{middle}:{action}")}"',
            f"algorithm={challenge.algorithm}",
        ]
        if challenge.has_qop:
            parts += [f'cnonce="{cnonce}"', "qop=auth", f"nc={count}"]
        if challenge.opaque is not None:
            parts.append(f"opaque={quote(challenge.opaque)}")
        return "Digest " + ", ".join(parts)


def _strongest(response: Response) -> dict[tuple[str, str], _Challenge]:
    """Of each header and realm, the strongest challenge that we can answer."""
    found: dict[tuple[str, str], _Challenge] = {}
    for asking, answering in ANSWERED_BY.items():
        for value in response.headers.all(asking):
            challenge = _read(value, answering)
            if challenge is None:
                continue
            key = (answering, challenge.realm)
            known = found.get(key)
            if known is None or _STRENGTH[challenge.algorithm] > _STRENGTH[known.algorithm]:
                found[key] = challenge
    return found


def _read(value: str, answering: str) -> _Challenge | None:
    """A challenge, or None where we cannot answer it."""
    try:
        scheme, parameters = parse_challenge(value)
    except SipSyntaxError:
        return None
    algorithm = parameters.get("algorithm", "MD5").upper()
    qop = {word.strip().lower() for word in parameters.get("qop", "").split(",")} - {""}
    if scheme != "digest" or algorithm not in _STRENGTH or "nonce" not in parameters or (qop and "auth" not in qop):
        return None
    if any(len(parameters.get(name, "")) > LONGEST_PARAMETER for name in ("realm", "nonce", "opaque")):
        return None
    return _Challenge(
        header=answering,
        realm=parameters.get("realm", ""),
        nonce=parameters["nonce"],
        algorithm=algorithm,
        has_qop=bool(qop),
        opaque=parameters.get("opaque"),
        stale=parameters.get("stale", "").lower() == "true",
    )


def _hash(algorithm: str, text: str) -> str:
    octets = text.encode("utf-8")
    if algorithm == "SHA-256":
        return hashlib.sha256(octets).hexdigest()
    return hashlib.md5(octets, usedforsecurity=False).hexdigest()
