"""Owns how a connection to the relay is opened: greeting, EHLO, STARTTLS, AUTH (RFC 5321, 3207, 4954).

Must not know messages or other connections.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from base64 import b64encode
from dataclasses import dataclass

from campana.channels.email.codes import Verb, clean, judge
from campana.channels.email.jobs import Abilities
from campana.channels.email.session import Session
from campana.channels.email.settings import EmailRouteSettings
from campana.channels.errors import Misconfigured, SendError, Unreachable
from campana.domain.outcome import DeliveryCode


@dataclass(slots=True)
class Opened:
    """What was found on the way, for people."""

    greeting: str = ""
    tls: str = "no"
    user: str = ""


def tls_context(settings: EmailRouteSettings) -> ssl.SSLContext | None:
    """Return the context for the route, None where TLS is off. Raises ValueError naming the setting."""
    if settings.tls_mode == "off":
        return None
    try:
        context = ssl.create_default_context(cafile=settings.tls_ca)
    except (OSError, ssl.SSLError) as error:
        raise ValueError(f"tls_ca: the file cannot be used ({error.strerror or 'not PEM'})") from None
    if not settings.verify_certificate:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


async def open_session(session: Session, settings: EmailRouteSettings, tls: ssl.SSLContext | None) -> Opened:
    """Connect and bring the session to where it takes jobs.

    Raises Unreachable where the server cannot be reached or does not answer, Misconfigured where it does not want
    this route or TLS fails. Nothing is left open then.
    """
    try:
        await _connect(session, settings, tls if settings.implicit_tls else None)
        opened = await _introduce(session, settings, tls)
    except BaseException:
        if session.transport is not None:
            session.transport.abort()
        raise
    return opened


async def _connect(session: Session, settings: EmailRouteSettings, tls: ssl.SSLContext | None) -> None:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(settings.connect_timeout):
            name = settings.host if tls is not None else None
            await loop.create_connection(lambda: session, settings.host, settings.port, ssl=tls, server_hostname=name)
    except TimeoutError:
        raise _unreachable("connecting took too long") from None
    except ssl.SSLError as error:
        raise _tls_failed(error) from None
    except (socket.gaierror, UnicodeError):
        raise _unreachable("the mail server's name does not resolve") from None
    except OSError as error:
        raise _unreachable(f"connecting failed: {error.strerror or type(error).__name__}") from None


async def _introduce(session: Session, settings: EmailRouteSettings, tls: ssl.SSLContext | None) -> Opened:
    code, text = await session.exchange(None)
    if code != 220:
        raise judge(Verb.GREETING, code, text)
    opened = Opened(greeting=clean(text))
    abilities = await _hello(session, settings)
    if tls is not None and not settings.implicit_tls and await _start_tls(session, settings, tls, abilities):
        abilities = await _hello(session, settings)
    opened.tls = _tls_in_use(session)
    if settings.user is not None:
        await _log_in(session, settings, abilities, encrypted=opened.tls != "no")
        opened.user = settings.user
    if not session.quiet:
        raise _refused(DeliveryCode.EMAIL_MISCONFIGURED, "the mail server says more than it was asked")
    session.ready(abilities)
    return opened


async def _hello(session: Session, settings: EmailRouteSettings) -> Abilities:
    name = (settings.ehlo_name or _own_name(session)).encode("ascii")
    code, text = await session.exchange(b"EHLO " + name)
    if 200 <= code < 300:
        return read_abilities(text)
    if code >= 500:
        code, text = await session.exchange(b"HELO " + name)
        if 200 <= code < 300:
            return Abilities()
    raise judge(Verb.HELO, code, text)


def read_abilities(text: str) -> Abilities:
    """Read the lines of an EHLO answer; the first one is the server's name. Unknown keywords are kept for people."""
    offered: dict[str, list[str]] = {}
    for line in text.split("\n")[1:]:
        words = line.upper().split()
        if words:
            offered.setdefault(words[0], []).extend(words[1:])
    size = offered.get("SIZE", [])
    return Abilities(
        pipelining="PIPELINING" in offered,
        size=int(size[0]) if size and size[0].isdecimal() and len(size[0]) <= 20 else 0,
        declares_size="SIZE" in offered,
        smtputf8="SMTPUTF8" in offered,
        starttls="STARTTLS" in offered,
        auth=frozenset(offered.get("AUTH", [])),
        keywords=tuple(clean(keyword) for keyword in offered),
    )


def _own_name(session: Session) -> str:
    """The machine's full name, else the address literal of RFC 5321 section 4.1.3."""
    name = socket.gethostname()
    if "." in name and name.isascii():
        return name
    assert session.transport is not None
    address = session.transport.get_extra_info("sockname")[0]
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"


async def _start_tls(session: Session, settings: EmailRouteSettings, tls: ssl.SSLContext, abilities: Abilities) -> bool:
    """Upgrade the connection; False where that is not to be had and need not be."""
    required = settings.tls_mode == "required"
    if not abilities.starttls:
        if required:
            raise _refused(DeliveryCode.EMAIL_TLS_FAILED, "the mail server does not offer STARTTLS")
        return False
    code, text = await session.exchange(b"STARTTLS")
    if code != 220:
        if required:
            raise judge(Verb.STARTTLS, code, text)
        return False
    if not session.quiet:
        # Whatever came in the clear behind the answer may be an attacker's, to be taken for the server's.
        raise _refused(DeliveryCode.EMAIL_TLS_FAILED, "the mail server spoke between STARTTLS and TLS")
    await _shake_hands(session, settings, tls)
    return True


async def _shake_hands(session: Session, settings: EmailRouteSettings, tls: ssl.SSLContext) -> None:
    assert session.transport is not None
    loop = asyncio.get_running_loop()
    try:
        transport = await loop.start_tls(
            session.transport,
            session,
            tls,
            server_hostname=settings.host,
            ssl_handshake_timeout=settings.connect_timeout,
        )
    except (OSError, TimeoutError) as error:
        raise _tls_failed(error) from None
    if transport is None:
        raise _tls_failed(ConnectionResetError())
    session.transport = transport


async def _log_in(session: Session, settings: EmailRouteSettings, abilities: Abilities, *, encrypted: bool) -> None:
    if not encrypted and not settings.auth_without_tls:
        raise _refused(
            DeliveryCode.EMAIL_AUTHENTICATION_FAILED, "the password is not sent over a connection without TLS"
        )
    user, password = (settings.user or "").encode(), settings.password.encode()
    if "PLAIN" in abilities.auth:
        code, text = await session.exchange(b"AUTH PLAIN " + b64encode(b"\0" + user + b"\0" + password))
    elif "LOGIN" in abilities.auth:
        code, text = await session.exchange(b"AUTH LOGIN")
        for secret in (user, password):
            if code == 334:
                code, text = await session.exchange(b64encode(secret))
    else:
        raise _refused(DeliveryCode.EMAIL_AUTHENTICATION_FAILED, "the mail server offers neither PLAIN nor LOGIN")
    if code != 235:
        raise judge(Verb.AUTH, code, text)


def _tls_in_use(session: Session) -> str:
    assert session.transport is not None
    cipher = session.transport.get_extra_info("cipher")
    return f"{cipher[1]} {cipher[0]}" if cipher else "no"


def _tls_failed(error: Exception) -> SendError:
    if isinstance(error, ssl.SSLCertVerificationError):
        words = f"the mail server's certificate is not trusted: {error.verify_message}"
    elif isinstance(error, ssl.SSLError):
        words = f"TLS failed: {error.reason or 'handshake failure'}"
    else:
        words = "TLS failed: the connection was lost during the handshake"
    return _refused(DeliveryCode.EMAIL_TLS_FAILED, words)


def _refused(code: DeliveryCode, words: str) -> Misconfigured:
    return Misconfigured(code, carrier_text=words)


def _unreachable(words: str) -> Unreachable:
    return Unreachable(DeliveryCode.EMAIL_UNREACHABLE, carrier_text=words)
