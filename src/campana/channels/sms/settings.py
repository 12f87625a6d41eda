"""Owns what can be set on an SMS route, and the rules of each setting.

Must not connect to anything, nor read the environment.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, Self
from urllib.parse import unquote, urlsplit

from pydantic import Field, field_validator, model_validator

from campana.channels.settings import RouteSettings
from campana.channels.sms.addressing import Override

_PORTS: Final = {"smpp": 2775, "smpps": 3550}
_DAY: Final = 86_400


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an SMSC is and who we are to it, as the url says."""

    host: str
    port: int
    tls: bool
    system_id: str
    password: str = field(repr=False)


def parse_url(url: str) -> Endpoint:
    """Read `smpp://id:secret@host:2775` or `smpps://...`; id and password percent-encoded where they must be.

    Raises ValueError with a sentence that names the rule and not the value.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError("the port must be a number from 1 to 65535, and an IPv6 address stands in [ ]") from error
    if parts.scheme not in _PORTS:
        raise ValueError("must begin with smpp:// or smpps://")
    if not parts.hostname or not parts.username or port == 0:
        raise ValueError("must name the system id and the host, as in smpp://id:secret@host:2775")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("nothing may follow the port; settings are keys of the route")
    return Endpoint(
        host=parts.hostname,
        port=port or _PORTS[parts.scheme],
        tls=parts.scheme == "smpps",
        system_id=_credential(parts.username, "system id", 15),
        password=_credential(parts.password or "", "password", 64),
    )


def _credential(quoted: str, what: str, longest: int) -> str:
    text = unquote(quoted, errors="replace")
    if len(text) > longest or not text.isascii() or not text.isprintable():
        raise ValueError(f"the {what} must be at most {longest} printable ASCII characters")
    return text


class SmsRouteSettings(RouteSettings):
    """A `[[routes]]` entry with `channel="sms"`: one account at one SMSC, over SMPP 3.4."""

    channel: Literal["sms"] = "sms"
    tls_ca: Path | None = None
    """File of PEM certificates to trust instead of the system's, for `smpps://`."""
    tls_verify: bool = True
    """Check the SMSC's certificate and name. Without it, anyone between may read and change messages."""

    binds: int = Field(default=1, ge=1, le=16)
    """Parallel connections (pairs of connections with `bind="pair"`) of all processes together."""
    bind: Literal["transceiver", "pair"] = "transceiver"
    """One connection for both ways, or a transmitter and a receiver."""
    window: int = Field(default=50, ge=1, le=1000)
    """Messages without an answer at a time on each of the `binds`; so this is a limit for all processes too."""
    system_type: str = Field(default="", max_length=12, pattern=r"^[ -~]*$")
    """system_type of the bind, where the carrier asks for one."""

    enquire_link: float = Field(default=30.0, ge=0.05, le=3600)
    """Seconds of silence after which the connection is tested."""
    response_timeout: float = Field(default=10.0, ge=0.05, le=300)
    """Seconds in which the SMSC must answer anything that it is asked."""
    reconnect_min: float = Field(default=1.0, ge=0.01, le=60)
    """Seconds before the first new attempt to connect; doubles with every failure, with jitter."""
    reconnect_max: float = Field(default=60.0, ge=0.01, le=3600)
    """Seconds between attempts to connect at most."""

    long_text: Literal["udh8", "udh16", "payload"] = "udh8"
    """Longer texts: in parts joined by a header with an 8-bit or 16-bit reference, or whole in message_payload."""
    receipts: bool = True
    """Ask for delivery receipts. Without them, accepted is all that is known, and counts as success."""
    receipt_ids: Literal["text", "hex", "dec"] = "text"
    """How receipts spell message ids: as submit_sm_resp did, or that number in hexadecimal or in decimal."""
    receipt_timeout: float = Field(default=float(_DAY), ge=1, le=30 * _DAY)
    """Seconds after which a message without a final receipt is asked for, and then given up."""

    source_ton: int | None = Field(default=None, ge=0, le=255)
    """Type of number of the from-number, instead of the rule's."""
    source_npi: int | None = Field(default=None, ge=0, le=255)
    """Numbering plan of the from-number, instead of the rule's."""
    dest_ton: int | None = Field(default=None, ge=0, le=255)
    """Type of number of destinations, instead of the rule's."""
    dest_npi: int | None = Field(default=None, ge=0, le=255)
    """Numbering plan of destinations, instead of the rule's."""
    service_type: str = Field(default="", max_length=5, pattern=r"^[ -~]*$")
    """service_type of every message, where the carrier asks for one."""
    validity: int | None = Field(default=None, ge=60, le=30 * _DAY)
    """Seconds for which the carrier tries to reach the phone; none means the carrier's own rule."""
    gsm_data_coding: int = Field(default=0, ge=0, le=255)
    """data_coding of texts in the GSM alphabet, which are sent one character an octet."""

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        parse_url(url)
        return url

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if not self.endpoint.tls and (self.tls_ca is not None or not self.tls_verify):
            raise ValueError("tls_ca and tls_verify need an url that begins with smpps://")
        if self.reconnect_max < self.reconnect_min:
            raise ValueError("reconnect_max must not be below reconnect_min")
        return self

    @property
    def most_connections(self) -> int:
        """Binds that all processes together may have at a time; a pair counts as one."""
        return self.binds

    @property
    def endpoint(self) -> Endpoint:
        """The url, read."""
        return parse_url(self.url)

    @property
    def source_override(self) -> Override:
        """What the settings say of the from-number's address."""
        return Override(self.source_ton, self.source_npi)

    @property
    def destination_override(self) -> Override:
        """What the settings say of destinations' addresses."""
        return Override(self.dest_ton, self.dest_npi)

    def tls_context(self) -> ssl.SSLContext | None:
        """How to speak TLS, None for plain smpp://. Raises OSError or ssl.SSLError where tls_ca cannot be read."""
        if not self.endpoint.tls:
            return None
        context = ssl.create_default_context(cafile=str(self.tls_ca) if self.tls_ca else None)
        if not self.tls_verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context
