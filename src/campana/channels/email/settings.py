"""Owns the settings of an email route: what each key means, its default, and which keys need each other.

Must not read the environment or files: config.py hands the values in, and channel.py opens the files named here.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, Self
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import Field, field_validator, model_validator

from campana.channels.settings import RouteSettings

_DEFAULT_PORTS = {"smtp": 25, "smtps": 465}
_DOMAIN = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*")
_ADDRESS_LITERAL = re.compile(r"\[[0-9A-Za-z:.]+\]")

TlsMode = Literal["required", "if-offered", "off"]


class EmailRouteSettings(RouteSettings):
    """One `[[routes]]` entry with `channel = "email"`: a mail relay that takes our messages over SMTP.

    `url` is `smtp://[user:password@]host[:25]`, or `smtps://[user:password@]host[:465]` for TLS from the first
    byte (RFC 8314); user and password are percent-encoded.
    """

    channel: Literal["email"] = "email"

    connections: int = Field(default=10, ge=1, le=100)
    """Connections to the relay at most, of all processes together; opened when there is work for them."""
    tls: TlsMode | None = None
    """STARTTLS (RFC 3207). `required`: no message leaves without it, and the certificate is checked.
    `if-offered`: used where the relay offers it, the certificate is not checked unless `tls_verify` says so; this
    keeps out listeners, not impostors; a handshake that fails is an error all the same. `off`: never. Default:
    `required` where the URL has a password, else `if-offered`."""
    tls_verify: bool | None = None
    """Check the relay's certificate and name. Default: where TLS is required or `tls_ca` is given."""
    tls_ca: Path | None = None
    """PEM file of the authorities to trust in place of the system's."""
    auth_without_tls: bool = False
    """Send the password over a connection that is not encrypted."""
    ehlo_name: str | None = None
    """The name that we give ourselves. Default: the machine's name, or its address where that is no full name."""
    pipelining: bool = True
    """Send commands in groups where the relay offers it (RFC 2920)."""
    idle_seconds: float = Field(default=30, ge=0.05, le=3600)
    """How long a connection without work is kept."""
    messages_per_connection: int = Field(default=1000, ge=1)
    """After how many messages a connection is replaced by a fresh one."""
    connect_timeout: float = Field(default=30, ge=0.05, le=600)
    """Seconds for connecting, TLS included, and again for each step of the greeting."""
    command_timeout: float = Field(default=60, ge=0.05, le=600)
    """Seconds that an answer to MAIL, RCPT and DATA may take."""
    final_timeout: float = Field(default=600, ge=0.05, le=3600)
    """Seconds that the answer to a whole message may take (RFC 5321 section 4.5.3.2.6: ten minutes). A shorter wait
    makes messages uncertain that were taken."""

    dkim_domain: str | None = None
    """Sign each message for this domain (RFC 6376, relaxed/relaxed)."""
    dkim_selector: str | None = None
    """The key's name: its public half stands in DNS at `<selector>._domainkey.<domain>`."""
    dkim_key: Path | None = None
    """PEM file of the private key, without a password: RSA of 1024 bits at least, 2048 are advised (rsa-sha256); or
    Ed25519 (ed25519-sha256, RFC 8463): signing is far quicker, but not every receiver checks it."""

    bounce_domain: str | None = None
    """Give each message an envelope sender of its own at this domain, so that a bounce can be told apart. The
    domain's mail must be led to the bounce listener."""
    verp_secret: str | None = Field(default=None, repr=False, min_length=16)
    """Seals the envelope senders at `bounce_domain`, so that nobody can invent bounces."""

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        split = _split(url)
        if split.scheme not in _DEFAULT_PORTS:
            raise ValueError("url must begin with smtp:// or smtps://")
        if not split.hostname:
            raise ValueError("url must name a host")
        if split.path not in {"", "/"} or split.query or split.fragment:
            raise ValueError("url must end after host and port")
        if split.password is not None and not split.username:
            raise ValueError("url has a password but no user")
        return url

    @field_validator("ehlo_name")
    @classmethod
    def _check_ehlo_name(cls, name: str | None) -> str | None:
        if name is not None and not (_is_domain(name) or _ADDRESS_LITERAL.fullmatch(name)):
            raise ValueError("ehlo_name must be a domain name or an address in brackets")
        return name

    @field_validator("dkim_domain", "bounce_domain", "dkim_selector")
    @classmethod
    def _check_domain(cls, domain: str | None) -> str | None:
        if domain is not None and not _is_domain(domain):
            raise ValueError("must be a domain name in ASCII")
        return domain.lower() if domain is not None else None

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.implicit_tls and self.tls == "off":
            raise ValueError('tls = "off" contradicts smtps://')
        dkim = (self.dkim_domain, self.dkim_selector, self.dkim_key)
        if any(value is not None for value in dkim) and None in dkim:
            raise ValueError("dkim_domain, dkim_selector and dkim_key are needed together")
        if (self.bounce_domain is None) != (self.verp_secret is None):
            raise ValueError("bounce_domain and verp_secret are needed together")
        if self.tls_mode == "off" and (self.tls_ca is not None or self.tls_verify is not None):
            raise ValueError('tls_ca and tls_verify mean nothing with tls = "off"')
        if self.tls_ca is not None and not self.verify_certificate:
            raise ValueError("tls_ca means nothing with tls_verify = false")
        if self.auth_without_tls and self.user is None:
            raise ValueError("auth_without_tls means nothing without a user in the url")
        if self.user is not None and self.tls_mode == "off" and not self.auth_without_tls:
            raise ValueError('a password with tls = "off" needs auth_without_tls = true')
        return self

    @property
    def most_connections(self) -> int:
        """Connections to the relay that all processes together may have at a time."""
        return self.connections

    @property
    def host(self) -> str:
        """The relay's name or address, without brackets."""
        return _split(self.url).hostname or ""

    @property
    def port(self) -> int:
        """The relay's port."""
        split = _split(self.url)
        return split.port or _DEFAULT_PORTS[split.scheme]

    @property
    def user(self) -> str | None:
        """Who to log in as; None where the relay is used without."""
        user = _split(self.url).username
        return None if user is None else unquote(user)

    @property
    def password(self) -> str:
        """The password to `user`."""
        return unquote(_split(self.url).password or "")

    @property
    def implicit_tls(self) -> bool:
        """TLS from the first byte."""
        return _split(self.url).scheme == "smtps"

    @property
    def tls_mode(self) -> TlsMode:
        """`tls` with its default worked out."""
        if self.implicit_tls:
            return "required"
        if self.tls is not None:
            return self.tls
        return "required" if self.user is not None and not self.auth_without_tls else "if-offered"

    @property
    def verify_certificate(self) -> bool:
        """`tls_verify` with its default worked out."""
        if self.tls_verify is not None:
            return self.tls_verify
        return self.tls_mode == "required" or self.tls_ca is not None


def _split(url: str) -> SplitResult:
    """Split the URL; the errors of the standard library would quote it, and it may hold a password."""
    try:
        split = urlsplit(url)
        port = split.port
    except ValueError:
        raise ValueError("url is not well-formed: smtp://user:password@host:port, user and password escaped") from None
    if port == 0:
        raise ValueError("url must have a port from 1 to 65535")
    return split


def _is_domain(name: str) -> bool:
    return len(name) <= 253 and _DOMAIN.fullmatch(name) is not None
