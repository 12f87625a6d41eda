"""Owns the keys of the configuration: their types, rules, defaults and what each is for.

Must not know where a value comes from. A route's own keys belong to its channel.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SerializeAsAny,
    field_validator,
    model_validator,
)

from campana.channels.settings import RouteSettings
from campana.channels.voice.speech.settings import SpeechSettings

SQLITE_PREFIX = "sqlite:///"
POSTGRESQL_PREFIXES = ("postgresql://", "postgres://")

Minutes = Annotated[int, Field(ge=1, le=10_080)]
Waiting = Annotated[int, Field(ge=0, le=10_080)]
"""Minutes before another attempt; 0 is at once, as a campaign may say of calls."""
Attempts = Annotated[int, Field(ge=1, le=255)]


class Section(BaseModel):
    """One table of the file. Unknown keys are refused, so that no accepted setting does nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class ServerSettings(Section):
    """`[server]`: the door to clients and the place of the data."""

    host: str = Field(default="127.0.0.1", min_length=1, description="Address to listen on.")
    port: int = Field(default=8080, ge=0, le=65_535, description="Port to listen on; 0 takes a free one.")
    data_dir: Path = Field(
        default=Path("campana-data"),
        description="Folder of the embedded database; created where it is missing.",
    )
    tls_certificate: Path | None = Field(
        default=None, description="PEM file with the certificate and its chain; with `tls_key` it turns HTTPS on."
    )
    tls_key: Path | None = Field(default=None, description="PEM file with the key of the certificate.")
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = Field(
        default=(), description="Addresses or networks whose X-Forwarded-* headers are believed."
    )
    max_request_bytes: int = Field(
        default=1_048_576, ge=4_096, le=4_194_304, description="Largest body of a request, in bytes."
    )
    shutdown_seconds: float = Field(
        default=10.0, ge=0.1, le=600, description="Budget of a graceful stop: what is in flight may end within it."
    )

    @model_validator(mode="after")
    def _both_or_none(self) -> ServerSettings:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key belong together: set both or none")
        return self


class DatabaseSettings(Section):
    """`[database]`: where everything is kept."""

    url: str | None = Field(
        default=None,
        repr=False,
        description="`postgresql://USER:PASSWORD@HOST/NAME`, of one host or several, for any number of processes; "
        "`sqlite:///PATH` (an absolute path begins with a fourth slash) for one server; none means `campana.db` in "
        "`server.data_dir`.",
    )
    connections: int = Field(
        default=8, ge=2, le=100, description="PostgreSQL: connections of each process at most, and one more for hints."
    )
    pooler: bool = Field(
        default=False,
        description="PostgreSQL: the URL leads to a pooler of transactions, such as PgBouncer in transaction mode.",
    )
    listen_url: str | None = Field(
        default=None,
        repr=False,
        description="PostgreSQL: a URL that leads past the pooler, for hints between processes (LISTEN). "
        "Without it behind a pooler, processes look for news of each other once a second.",
    )

    @property
    def is_postgresql(self) -> bool:
        """Whether any number of processes may share the database."""
        return self.url is not None and self.url.startswith(POSTGRESQL_PREFIXES)

    @field_validator("listen_url")
    @classmethod
    def _a_direct_url(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(POSTGRESQL_PREFIXES):
            raise ValueError("should begin with postgresql://")
        return url

    @model_validator(mode="after")
    def _only_for_postgresql(self) -> DatabaseSettings:
        given = [key for key in ("connections", "pooler", "listen_url") if key in self.model_fields_set]
        if given and not self.is_postgresql:
            raise ValueError(f"{given[0]} needs an url that begins with postgresql://")
        return self

    label: str | None = Field(
        default=None,
        min_length=1,
        max_length=100,
        description="What this database is called, for example `production`: kept in it at the first start. A server "
        "whose label is another, or none, sends nothing.",
    )

    @field_validator("url")
    @classmethod
    def _known_database(cls, url: str | None) -> str | None:
        if url is None:
            return None
        if url.startswith(POSTGRESQL_PREFIXES):
            return url
        scheme = url.partition(":")[0]
        if scheme != "sqlite":
            raise ValueError(f'the scheme "{scheme}" is not supported: it should be postgresql or sqlite')
        path = url.removeprefix(SQLITE_PREFIX)
        if path == url or not path or path == ":memory:" or "?" in path:
            raise ValueError("should be sqlite:///PATH with the path of a file")
        return url


def host_and_port(address: str) -> tuple[str, int]:
    """Host and port of an Address."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _of_a_port(address: str) -> str:
    if host_and_port(address)[1] > 65_535:
        raise ValueError("the port should be at most 65535")
    return address


Address = Annotated[str, Field(pattern=r"^(\[[0-9A-Fa-f:.]+\]|[^\s:\[\]]+):[0-9]{1,5}$"), AfterValidator(_of_a_port)]
"""HOST:PORT, an IPv6 address in [ ]."""


class WorkerSettings(Section):
    """`[worker]`: processes that only send (`campana worker`)."""

    listen: Address | None = Field(
        default=None, description="`HOST:PORT` of the pages /healthz, /readyz and /metrics; none has no pages."
    )

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port of the pages; None where there are none."""
        return None if self.listen is None else host_and_port(self.listen)


class DeliverySettings(Section):
    """`[delivery]`: how deliveries are tried, in which portions, and for how long a worker owns them."""

    sms_attempts: Attempts = Field(default=3, description="Attempts per SMS where the contact gives no RetryCount.")
    email_attempts: Attempts = Field(default=3, description="Attempts per email where the contact gives no RetryCount.")
    retry_minutes: tuple[Waiting, ...] = Field(
        default=(1, 5, 15, 60),
        min_length=1,
        max_length=255,
        description="Minutes to wait after the first, second, ... attempt of an SMS or email; the last one repeats.",
    )
    chunk_size: int = Field(default=500, ge=1, le=500, description="Deliveries that a worker leases at once, at most.")
    flush_size: int = Field(
        default=100,
        ge=1,
        le=200,
        description="Outcomes recorded in one transaction; as many may be uncertain after a crash.",
    )
    lease_seconds: float = Field(
        default=30.0,
        ge=2,
        le=600,
        description="How long a dead worker's chunk stays its own before others take it over.",
    )


class SessionSettings(Section):
    """`[sessions]`: log-ins and what protects them."""

    idle_minutes: Minutes = Field(default=20, description="A session ends when it was not used for so long.")
    failures: int = Field(
        default=10, ge=1, le=1_000, description="Failed log-ins in a row that lock an account's user for a while."
    )
    source_failures: int = Field(
        default=100,
        ge=1,
        le=1_000_000,
        description="Failed log-ins from one address that lock the address for a while.",
    )
    lock_minutes: Minutes = Field(
        default=15, description="The time within which failures are counted, and for which a lock holds."
    )
    hashing_threads: int = Field(default=2, ge=1, le=64, description="Passwords that are verified at the same time.")
    hashing_queue: int = Field(
        default=256, ge=1, le=10_000, description="Log-ins that may wait for that; more are told to try again."
    )


class RestSettings(Section):
    """`[rest]`: the REST API."""

    requests_per_minute: int = Field(
        default=6_000,
        ge=0,
        le=1_000_000,
        description="Requests a minute that each session or API key may make of a process, where the key has no limit "
        "of its own; 0 is without limit.",
    )


class LimitSettings(Section):
    """`[limits]`: what an account may keep; 0 is without limit."""

    campaigns_per_account: int = Field(default=0, ge=0, description="Campaigns of an account that are not deleted.")
    contacts_per_campaign: int = Field(
        default=0, ge=0, le=4_294_967_295, description="Contacts ever added to a campaign, deleted ones included."
    )


Days = Annotated[int, Field(ge=0, le=36_500)]


class RetentionSettings(Section):
    """`[retention]`: for how many days what is over is kept; 0 is for ever."""

    deleted_days: Days = Field(
        default=90, description="A deleted campaign with its contacts and all their attempts, from its deletion on."
    )
    ended_days: Days = Field(
        default=0, description="A campaign from the end of its last window on; then it is deleted, as by its user."
    )
    incoming_days: Days = Field(default=365, description="Messages that people sent.")


class ProgressSettings(Section):
    """`[progress]`: addresses to which campaigns report (ProgressWSEndpoint)."""

    allow_private_networks: bool = Field(
        default=False, description="Also accept addresses in loopback, private and link-local networks."
    )


class BounceSettings(Section):
    """`[bounces]`: where mail servers hand in bounces (RFC 3464)."""

    listen: Address | None = Field(default=None, description="`HOST:PORT` of the listener; none turns it off.")
    protocol: Literal["lmtp", "smtp"] = Field(default="lmtp", description="`lmtp` (RFC 2033) or `smtp`.")

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port of the listener; None where it is off."""
        return None if self.listen is None else host_and_port(self.listen)


class SpeechSection(Section, SpeechSettings):
    """`[speech]`: engines, voices, and what was spoken before; the channel that speaks owns its keys."""


class LogSettings(Section):
    """`[log]`: what is written to standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="The least level written.")
    format: Literal["json", "console"] = Field(
        default="json", description="`json`: one object a line; `console`: lines for people."
    )


class Settings(Section):
    """All that can be set. Made by `campana.config.load`; `origins` says where each value came from."""

    server: ServerSettings = ServerSettings()
    database: DatabaseSettings = DatabaseSettings()
    worker: WorkerSettings = WorkerSettings()
    delivery: DeliverySettings = DeliverySettings()
    sessions: SessionSettings = SessionSettings()
    rest: RestSettings = RestSettings()
    limits: LimitSettings = LimitSettings()
    retention: RetentionSettings = RetentionSettings()
    progress: ProgressSettings = ProgressSettings()
    bounces: BounceSettings = BounceSettings()
    speech: SpeechSection = SpeechSection()
    log: LogSettings = LogSettings()
    routes: tuple[SerializeAsAny[RouteSettings], ...] = ()

    _file: Path | None = PrivateAttr(default=None)
    _origins: Mapping[str, str] = PrivateAttr(default_factory=dict)

    @property
    def file(self) -> Path | None:
        """The file that was read, if any."""
        return self._file

    @property
    def origins(self) -> Mapping[str, str]:
        """For each key that is not at its default (`server.port`): `file`, or the variable's name."""
        return self._origins

    @property
    def database_path(self) -> Path:
        """The file of the embedded database, absolute or relative to the working folder."""
        if self.database.url is None:
            return self.server.data_dir / "campana.db"
        return Path(self.database.url.removeprefix(SQLITE_PREFIX))
