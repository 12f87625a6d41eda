"""Owns what can be set on a voice route, and the rules of each setting.

Must not connect to anything, nor read the environment.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from campana.channels.settings import RouteSettings
from campana.channels.voice.sip.uri import TrunkUri, parse_trunk

SETUP_SECONDS: Final = 180.0
"""More than a call takes from its INVITE to its answer, whatever the campaign says, and its farewell."""

TrunkUrl = Annotated[str, Field(max_length=300)]


class VoiceRouteSettings(RouteSettings):
    """A `[[routes]]` entry with `channel="voice"`: one account at one SIP trunk."""

    channel: Literal["voice"] = "voice"
    backups: tuple[TrunkUrl, ...] = Field(default=(), max_length=16)
    """Further hosts of the trunk, spelled like `url`, tried in this order when the ones before fail."""
    username: str = Field(default="", max_length=100, pattern=r"^[!-~]*$")
    """User for digest authentication (RFC 8760: SHA-256 and MD5) and for the registration; blank where the trunk
    knows us by our address."""
    password: str = Field(default="", max_length=100, repr=False)
    """Password of `username`. Never logged."""
    calls: int = Field(default=30, ge=1, le=2_000)
    """Calls at a time, at most, of all processes together."""
    rate: float | None = Field(default=10.0, gt=0, le=50)
    """Calls set up per second, at most, in any second, of all processes together."""

    register_every: int = Field(default=0, ge=0, le=86_400)
    """Seconds for which the route registers itself at the trunk, again and again (REGISTER); 0 does not register."""
    ping: float = Field(default=30.0, ge=0, le=3_600)
    """Seconds between OPTIONS that ask whether the trunk is there; 0 asks never and takes it for granted."""
    proxy: TrunkUrl = ""
    """Outbound proxy, spelled like `url`: everything goes there first, with a Route header."""
    tls_ca: Path | None = None
    """File of PEM certificates to trust instead of the system's, for `sips:` and `transport=tls`."""
    tls_verify: bool = True
    """Check the trunk's certificate and name. Without it, anyone between may listen to the signalling."""
    local_address: str = ""
    """Address to send from; blank takes the one that leads to the trunk."""
    local_port: int = Field(default=0, ge=0, le=65_535)
    """Port for SIP over UDP, and where TCP is listened on; 0 takes a free one."""
    public_address: str = ""
    """Address that others reach us by, where a NAT stands between; written into Via, Contact and SDP."""

    rtp_ports: str = Field(default="16384-32767", pattern=r"^[0-9]{4,5}-[0-9]{4,5}$")
    """Range of UDP ports for sound; every call takes two."""
    codecs: tuple[Literal["PCMA", "PCMU"], ...] = Field(default=("PCMA", "PCMU"), min_length=1, max_length=2)
    """G.711 laws to offer, the better liked first."""
    symmetric_rtp: bool = False
    """Send sound to where theirs comes from, for trunks whose SDP names an address behind a NAT."""

    number_format: Literal["e164", "digits", "national"] = "e164"
    """How numbers are dialled: `+441632960123`, `441632960123`, or as dialled in the country of `country_code`."""
    country_code: str = Field(default="", pattern=r"^[0-9]{0,3}$")
    """For `national`: the country's code, as in 44."""
    national_prefix: str = Field(default="0", pattern=r"^[0-9]{0,4}$")
    """For `national`: what precedes numbers of the country."""
    international_prefix: str = Field(default="00", pattern=r"^[0-9]{0,5}$")
    """For `national`: what precedes numbers of other countries."""
    caller_number: str = Field(default="", max_length=100)
    """Calling number where the campaign has none; blank takes `username`, or else `anonymous`."""
    caller_name: str = Field(default="", max_length=100)
    """Calling name where the campaign has none."""
    caller_format: Literal["same", "e164", "digits", "national", "as given"] = "same"
    """How the calling number is written: like dialled numbers (`same`), or in a form of its own."""
    identity: tuple[Literal["P-Asserted-Identity", "P-Preferred-Identity", "Remote-Party-ID"], ...] = (
        "P-Asserted-Identity",
    )
    """Headers beside From that carry the calling name and number (RFC 3325)."""
    from_domain: str = Field(default="", max_length=253, pattern=r"^[A-Za-z0-9.:\[\]-]*$")
    """Domain of From and of the identity headers; blank takes the trunk's host."""

    pause: float = Field(default=1.0, ge=0, le=30)
    """Seconds of silence between two plays of the text."""
    key_wait: float = Field(default=5.0, ge=0, le=60)
    """Seconds after the last play in which an acknowledging key may still be pressed, where the campaign wants one."""
    longest_call: float = Field(default=600.0, ge=10, le=3_600)
    """Seconds from answer to hang-up at most: no play begins that would not end in time, but for the first."""
    dtmf_payload: int = Field(default=101, ge=96, le=127)
    """RTP payload number that is offered for pressed keys (RFC 4733)."""

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        parse_trunk(url)
        return url

    @field_validator("backups")
    @classmethod
    def _check_backups(cls, backups: tuple[str, ...]) -> tuple[str, ...]:
        for url in backups:
            parse_trunk(url)
        return backups

    @field_validator("proxy")
    @classmethod
    def _check_proxy(cls, proxy: str) -> str:
        if proxy:
            parse_trunk(proxy)
        return proxy

    @field_validator("rtp_ports")
    @classmethod
    def _check_ports(cls, ports: str) -> str:
        first, last = (int(port) for port in ports.split("-"))
        if not 1_024 <= first < last <= 65_535:
            raise ValueError("must be FIRST-LAST, two ports from 1024 to 65535, the lower one first")
        return ports

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        first, last = self.port_range
        if (last - first + 1) // 2 < self.calls:
            raise ValueError(f"rtp_ports: {self.calls} calls need a range of {2 * self.calls} ports at least")
        if self.number_format == "national" and not self.country_code:
            raise ValueError('country_code: must be given with number_format = "national"')
        if self.caller_format == "national" and not self.country_code:
            raise ValueError('country_code: must be given with caller_format = "national"')
        if self.register_every and not self.username:
            raise ValueError("username: must be given where the route registers itself")
        return self

    @property
    def trunks(self) -> tuple[TrunkUri, ...]:
        """The hosts of the trunk in the order in which they are tried."""
        return tuple(parse_trunk(url) for url in (self.url, *self.backups))

    @property
    def port_range(self) -> tuple[int, int]:
        """First and last UDP port for sound."""
        first, last = self.rtp_ports.split("-")
        return int(first), int(last)

    @property
    def receipt_timeout(self) -> float:
        """Seconds after which a call of which nothing more was heard has ended unseen."""
        return SETUP_SECONDS + self.longest_call
