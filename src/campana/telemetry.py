"""Owns how Campana is watched: structured logs with personal data masked, and the metrics that Prometheus reads.

Must not know anything of Campana: every room may use it, so that it may use none.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping, Sequence
from enum import Enum
from typing import Any, Final, Literal, TextIO

import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

METRICS_CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
"""Content-Type of what `Metrics.render` returns."""

# --- masking -----------------------------------------------------------------------------------------------------

PERSONAL_KEYS: Final = frozenset(
    {"address", "calling_name", "calling_number", "destination", "dial", "email", "from_address", "from_number"}
    | {"number", "phone", "recipient", "username", "body", "html", "subject", "text"}
    | {"authorization", "cookie", "password", "secret", "session", "session_id", "token"}
)
"""Keys of a log entry whose values are never written, whatever they are."""

_MASK: Final = "***"
_DEEPEST: Final = 6

_SQL_VALUES: Final = re.compile(r"\[parameters: .*", re.DOTALL)
"""SQLAlchemy appends the values of a statement that failed."""

_ADDRESS: Final = re.compile(
    r"""(?P<credentials>://[^/?#\s@'"]+@) | [^\s<>"(),:;\[\]@]+@[^\s<>"'(),:;=\[\]{}@/]+""", re.VERBOSE
)
"""A mail address, or before it what stands between :// and @ in a URL, whose host is to stay."""

_NUMBER: Final = re.compile(
    r"""\+\d(?:[ ().-]{0,2}\d){6,}              # ITU-T E.164
      | (?<![\w.:-])\d{8,15}(?![\w:-]|\.\d)           # without a plus only what is no part of an id or a fraction
    """,
    re.VERBOSE,
)


def scrub(text: str) -> str:
    """Take phone numbers (E.164), mail addresses, credentials in URLs and SQL values out of a text for people."""
    text = _SQL_VALUES.sub("[parameters masked]", text)
    text = _ADDRESS.sub(lambda found: "://***@" if found["credentials"] else "<address>", text)
    return _NUMBER.sub("<number>", text)


def _masked(value: object, depth: int) -> object:
    if isinstance(value, str):
        return scrub(value)
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"<{len(value)} bytes>"
    if depth >= _DEEPEST:
        return "..."
    if isinstance(value, Mapping):
        return {str(key): _masked_item(str(key), item, depth) for key, item in value.items()}
    if isinstance(value, (Sequence, set, frozenset)):
        return [_masked(item, depth + 1) for item in value]
    return scrub(str(value))


def _masked_item(key: str, value: object, depth: int) -> object:
    if key.lower() in PERSONAL_KEYS and value is not None:
        return _MASK
    return _masked(value, depth + 1)


def mask(_logger: object, _method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: mask the values of PERSONAL_KEYS and scrub every other text, exceptions included."""
    for key, value in entry.items():
        if not key.startswith("_"):
            entry[key] = _masked_item(key, value, 0)
    return entry


# --- logs --------------------------------------------------------------------------------------------------------

_TAKEN_OVER: Final = ("uvicorn", "uvicorn.error", "uvicorn.access", "alembic", "sqlalchemy", "asyncio", "mail.log")


Form = Literal["json", "console"]


class _Handler(logging.StreamHandler[TextIO]):
    """Writes logs, and knows in which form."""

    def __init__(self, stream: TextIO, form: Form) -> None:
        super().__init__(stream)
        self.form: Form = form


def logging_in_use() -> tuple[str, Form]:
    """Level and form of the logs of this process, for processes that it starts and that write beside it."""
    root = logging.getLogger()
    forms = [handler.form for handler in root.handlers if isinstance(handler, _Handler)]
    return logging.getLevelName(root.level).lower(), forms[0] if forms else "json"


def configure_logging(level: str, form: Form, stream: TextIO | None = None) -> None:
    """Send all logs, ours and those of the standard library's `logging`, to `stream` (standard error), masked.

    `level` is a name of the standard library's levels in any case; `form` is one JSON object a line, or lines for
    people. May be called again.
    """
    stream = stream or sys.stderr
    processors = _processors()
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *processors,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = _Handler(stream, form)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=processors,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _renderer(form, stream)],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    # What it says at each start is of no use to anybody.
    logging.getLogger("alembic.runtime.migration").setLevel("WARNING")
    for name in _TAKEN_OVER:
        logger = logging.getLogger(name)
        logger.handlers = []
        logger.propagate = True


def _processors() -> list[structlog.typing.Processor]:
    """What every entry passes; the exception is text before `mask` sees it, the time is added after."""
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        mask,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def _renderer(form: Form, stream: TextIO) -> structlog.typing.Processor:
    if form == "json":
        return structlog.processors.JSONRenderer()
    return structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback)


# --- metrics -----------------------------------------------------------------------------------------------------

Label = str | int
"""A label's value: a text or a number as it is, or a member of an Enum, which is written as its name in lower case."""


def _text(label: Label) -> str:
    return label.name.lower() if isinstance(label, Enum) else str(label)


class Count:
    """A counter. Children are kept by label values: prometheus_client's own look-up costs more than the counting."""

    def __init__(self, registry: CollectorRegistry, name: str, meaning: str, *labels: str) -> None:
        self._family = Counter(name, meaning, labels, registry=registry)
        self._children: dict[tuple[Label, ...], Counter] = {} if labels else {(): self._family}

    def add(self, *labels: Label, by: int = 1) -> None:
        """Count `by` more under these label values."""
        child = self._children.get(labels)
        if child is None:
            child = self._children[labels] = self._family.labels(*map(_text, labels))
        child.inc(by)


class Level:
    """A gauge: what is now."""

    def __init__(self, registry: CollectorRegistry, name: str, meaning: str, *labels: str) -> None:
        self._family = Gauge(name, meaning, labels, registry=registry)
        self._children: dict[tuple[Label, ...], Gauge] = {} if labels else {(): self._family}

    def set(self, *labels: Label, to: float) -> None:
        """Note the value that holds now under these label values."""
        child = self._children.get(labels)
        if child is None:
            child = self._children[labels] = self._family.labels(*map(_text, labels))
        child.set(to)


class Timing:
    """A histogram of durations in seconds."""

    def __init__(self, registry: CollectorRegistry, name: str, meaning: str, *labels: str) -> None:
        self._family = Histogram(name, meaning, labels, registry=registry, buckets=_SECONDS)
        self._children: dict[tuple[Label, ...], Histogram] = {} if labels else {(): self._family}

    def observe(self, *labels: Label, seconds: float) -> None:
        """Note one duration under these label values."""
        child = self._children.get(labels)
        if child is None:
            child = self._children[labels] = self._family.labels(*map(_text, labels))
        child.observe(seconds)


_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """All that Campana counts and measures, in a registry of its own.

    Labels are from closed lists or from the configuration, never from what a client sent: `medium` (sms, voice,
    email), `route` (its name), `code` (the number of a row of the error tables), `operation` (of the WSDL).
    """

    def __init__(self) -> None:
        # They would double the number of series and say nothing of use.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library left this one function untyped
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._add_progress(registry)
        self.contacts_accepted = Count(
            registry, "campana_contacts_accepted", "Destinations of contacts that were added.", "medium"
        )
        self.deliveries_claimed = Count(
            registry, "campana_deliveries_claimed", "Deliveries leased by a worker.", "medium"
        )
        self.attempts_sent = Count(registry, "campana_attempts_sent", "Attempts handed to a route.", "medium", "route")
        self.outcomes = Count(
            registry,
            "campana_outcomes",
            "Results recorded, by LastDeliveryErrorCode: 0 handed over or delivered, and one more by late news.",
            "medium",
            "code",
        )
        self.receipts = Count(registry, "campana_receipts", "Late news from carriers.", "route", "state")
        self.rest_requests = Count(
            registry, "campana_rest_requests", "Calls of the REST door, by their HTTP status.", "operation", "status"
        )
        self.soap_requests = Count(
            registry, "campana_soap_requests", "Calls of the SOAP service, by their error code.", "operation", "code"
        )
        self.login_failures = Count(registry, "campana_login_failures", "Log-ins with wrong credentials.")
        self.queue_oldest_seconds = Level(
            registry, "campana_queue_oldest_seconds", "Age of the oldest work that is due and unclaimed.", "medium"
        )
        self.route_up = Level(registry, "campana_route_up", "1 where the route can take messages.", "route")
        self.route_figure = Level(
            registry, "campana_route_figure", "What a route measures of itself in the last second.", "route", "figure"
        )
        self.route_share = Level(
            registry,
            "campana_route_share",
            "Lines or connections of a route that this process may use, of those that all processes share.",
            "route",
            "kind",
        )
        self.members = Level(
            registry, "campana_members", "Live processes on the database, as this one sees them.", "role"
        )
        self.planner = Level(registry, "campana_planner", "1 where this process plans for all.")
        self.held = Level(
            registry, "campana_held", "1 where nothing is sent because the database may be a restored or copied one."
        )
        self.chunks_open = Level(registry, "campana_chunks_open", "Chunks leased by this process.")
        self.rest_seconds = Timing(
            registry, "campana_rest_seconds", "From a REST request's arrival to its answer's beginning.", "operation"
        )
        self.soap_seconds = Timing(
            registry, "campana_soap_seconds", "From a SOAP request's arrival to its answer's end.", "operation"
        )
        self.send_seconds = Timing(
            registry, "campana_send_seconds", "From handing parcels to a route to their results.", "route"
        )
        self.store_unavailable = Count(
            registry,
            "campana_store_unavailable",
            "Times that the database could not be used.",
        )
        self.store_commit_seconds = Timing(
            registry, "campana_store_commit_seconds", "One durable commit of the database."
        )

    def _add_progress(self, registry: CollectorRegistry) -> None:
        self.progress_events = Count(
            registry, "campana_progress_events", "Events of campaigns that were numbered, so that they can be read."
        )
        self.publish_attempts = Count(
            registry,
            "campana_publish_attempts",
            "Batches of events told to endpoints: taken, failed, or gone where the endpoint wants no more.",
            "result",
        )
        self.endpoints = Level(
            registry,
            "campana_endpoints",
            "Endpoints that failed lately, and those that were given up, where this process publishes for all.",
            "state",
        )
        self.publish_backlog = Level(
            registry,
            "campana_publish_backlog",
            "Events that endpoints have not taken yet, given-up ones' left out, where this process publishes for all.",
        )
        self.audit_repairs = Count(
            registry, "campana_audit_repairs", "Counts of campaigns that were wrong and were set right."
        )

    def render(self) -> bytes:
        """All metrics in Prometheus' text format 0.0.4 (METRICS_CONTENT_TYPE)."""
        return generate_latest(self.registry)
