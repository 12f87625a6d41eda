"""Owns which concrete parts a running Campana is made of, and the order in which they start and stop.

Must not hold rules: it names the store, the bus and the routes, and hands each what it needs. The only room that does.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import gc
import os
import signal
import socket
import ssl
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

import structlog
import uvicorn

from campana.api.http import HttpFront
from campana.api.server import server_config
from campana.api.soap.app import SoapApp, SoapOptions
from campana.bus.local import LocalBus
from campana.channels.contract import Route
from campana.channels.email.listener import BounceListener
from campana.channels.registry import CHANNELS, Means
from campana.channels.voice.speech.speech import Speech
from campana.config import ConfigError, Settings
from campana.domain.delivery import Medium
from campana.domain.moment import MINUTE, SECOND, Clock
from campana.engine.options import EngineOptions, Tools
from campana.engine.runner import Engine
from campana.services.campaigns import CampaignOptions
from campana.services.contacts import ContactOptions
from campana.services.house import ServiceOptions, Services, build_services
from campana.services.sessions import SessionOptions
from campana.storage.migrate import upgrade as upgrade_database
from campana.storage.sqlite import SqliteStore
from campana.storage.store import StoreUnavailable
from campana.telemetry import Metrics, configure_logging

log = structlog.get_logger(__name__)

SWITCH_SECONDS = 0.0005
"""How long a thread may keep Python's lock while others wait. The writer's thread needs it for microseconds at a time;
with the standard 5 ms, a busy event loop would make each of its statements wait that long."""

HOUSEKEEPING_SECONDS = 300.0


def now_ms() -> int:
    """The clock of a running Campana: epoch milliseconds."""
    return time.time_ns() // 1_000_000


def build_routes(settings: Settings, speech: Speech, clock: Clock = now_ms) -> list[Route]:
    """Make the configured routes; they connect when they are started or checked."""
    means = Means(clock, speech)
    return [CHANNELS[route.channel].build(route, means) for route in settings.routes]


def build_speech(settings: Settings) -> Speech:
    """Make what speaks texts; its engines are started by `speaking`."""
    return Speech(settings.speech, settings.server.data_dir / "speech")


@contextlib.asynccontextmanager
async def speaking(speech: Speech, settings: Settings) -> AsyncIterator[None]:
    """Have texts spoken meanwhile, where a route needs it."""
    needed = any(CHANNELS[route.channel].medium is Medium.VOICE for route in settings.routes)
    if not needed:
        yield
        return
    await speech.start()
    try:
        yield
    finally:
        await speech.close()


def upgrade(settings: Settings) -> str:
    """Create or upgrade the database; tell in a sentence what was done. Raises StoreUnavailable."""
    path = settings.database_path
    _make_place(path)
    before, after = upgrade_database(f"sqlite:///{path}")
    if before == after:
        return f"The database {path} is at revision {after} already."
    if before is None:
        return f"Created the database {path} at revision {after}."
    return f"Upgraded the database {path} from revision {before} to {after}."


@contextlib.asynccontextmanager
async def services_for(settings: Settings) -> AsyncIterator[Services]:
    """The services on the configured store, for commands; also beside a running server."""
    store = await _open(settings, None)
    services = build_services(store, LocalBus(), now_ms, _service_options(settings), Metrics())
    try:
        yield services
    finally:
        await services.close()
        await store.close()


async def serve(settings: Settings, announce: Callable[[str], None], stop: asyncio.Event | None = None) -> None:
    """Run Campana until SIGTERM, SIGINT or `stop`, which the signals set; `announce` is told the address once requests
    are accepted.

    Raises StoreUnavailable where the database cannot be used or another server has it, OSError where an address
    cannot be listened on, ConfigError where the certificate or its key cannot be used.
    """
    configure_logging(settings.log.level, settings.log.format)
    sys.setswitchinterval(SWITCH_SECONDS)
    with _only_server(settings.database_path):
        speech = build_speech(settings)
        house = await _build(settings, speech)
        async with speaking(speech, settings):
            await _run(house, settings, announce, stop or asyncio.Event())


@dataclass(slots=True)
class _House:
    """The parts of a running server."""

    store: SqliteStore
    services: Services
    engine: Engine
    listener: BounceListener | None
    server: _Server
    listening: socket.socket


class _Server(uvicorn.Server):
    """uvicorn, but for signals: they concern the whole house."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to `_run`."""
        yield


async def _build(settings: Settings, speech: Speech) -> _House:
    metrics, bus = Metrics(), LocalBus()
    # Before anything is opened: these are the commonest mistakes.
    _check_tls(settings)
    listening = _listen(settings)
    store = await _open(settings, metrics)
    services = build_services(store, bus, now_ms, _service_options(settings), metrics)
    routes = [
        (route, route_settings)
        for route, route_settings in zip(build_routes(settings, speech), settings.routes, strict=True)
    ]
    engine = Engine(store, routes, bus, _engine_options(settings), Tools(now_ms, metrics))
    listener = _bounce_listener(settings, engine)
    soap = SoapApp(
        services, SoapOptions(settings.server.max_request_bytes, settings.server.trusted_proxies, metrics=metrics)
    )
    front = HttpFront(soap, lambda: _readiness(engine), metrics.render)
    config = server_config(
        front,
        backlog=2_048,
        timeout_graceful_shutdown=max(1, int(settings.server.shutdown_seconds / 2)),
        ssl_certfile=settings.server.tls_certificate,
        ssl_keyfile=settings.server.tls_key,
    )
    return _House(store, services, engine, listener, _Server(config), listening)


async def _run(house: _House, settings: Settings, announce: Callable[[str], None], stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    # The engine last: nothing is sent where the rest cannot run.
    if house.listener is not None:
        await house.listener.start()
    await house.engine.start()
    serving = asyncio.create_task(house.server.serve([house.listening]))
    housekeeping = asyncio.create_task(_keep_house(house.services))
    await _until(lambda: house.server.started or serving.done())
    if not serving.done():
        # What is there now stays: the collector need not look at it again and again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 20, 50)
        announce(f"Campana is listening on {_address(house.listening, settings)}")
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
    log.info("campana.stopping")
    housekeeping.cancel()
    await _stop(house, serving, settings.server.shutdown_seconds)


async def _stop(house: _House, serving: asyncio.Task[None], budget: float) -> None:
    """Doors and listener first, so that nothing new comes in; then engine, services, store."""
    house.server.should_exit = True
    await asyncio.wait({serving}, timeout=budget / 2)
    if house.listener is not None:
        await house.listener.stop()
    await house.engine.stop(budget / 2)
    await house.services.close()
    await house.store.close()
    log.info("campana.stopped")
    if serving.done():
        serving.result()


async def _until(happened: Callable[[], bool]) -> None:
    while not happened():  # noqa: ASYNC110 - uvicorn says that it has started by an attribute alone
        await asyncio.sleep(0.01)


async def _keep_house(services: Services) -> None:
    while True:
        await asyncio.sleep(HOUSEKEEPING_SECONDS)
        try:
            await services.sessions.purge()
        except StoreUnavailable as error:
            log.warning("housekeeping.store_unavailable", reason=str(error))
        except Exception:
            log.exception("housekeeping.defect")


def _readiness(engine: Engine) -> tuple[bool, dict[str, Any]]:
    """Ready means that calls are accepted; a route that is down delays deliveries and is told, but refuses nobody."""
    return True, {"routes": engine.routes()}


async def _open(settings: Settings, metrics: Metrics | None) -> SqliteStore:
    path = settings.database_path
    _make_place(path)
    on_commit = None if metrics is None else lambda seconds: metrics.store_commit_seconds.observe(seconds=seconds)
    return await SqliteStore.open(path, on_commit)


def _make_folder(database: Path) -> None:
    try:
        database.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StoreUnavailable(f"the folder {database.parent} cannot be made: {error.strerror}") from error


def _make_place(database: Path) -> None:
    """Make the folder and the file where they are missing, for our eyes only: numbers and texts stand in there.

    SQLite takes the file as it is, and gives its own files beside it the same permissions. Raises StoreUnavailable.
    """
    _make_folder(database)
    with contextlib.suppress(OSError):
        # What is wrong with the file, SQLite says better.
        os.close(os.open(database, os.O_RDWR | os.O_CREAT, 0o600))


@contextlib.contextmanager
def _only_server(database: Path) -> Iterator[None]:
    """Hold the lock that lets one server alone work on an embedded database. Raises StoreUnavailable."""
    _make_folder(database)
    with open(f"{database}.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StoreUnavailable(f"another Campana serves {database} already") from error
        yield


def _listen(settings: Settings) -> socket.socket:
    host, port = settings.server.host, settings.server.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(2_048)
    except OSError as error:
        listening.close()
        raise OSError(error.errno, f"cannot listen on {host} port {port}: {error.strerror}") from error
    return listening


def _check_tls(settings: Settings) -> None:
    """Raises ConfigError with the key at fault where HTTPS could not be served."""
    certificate, key = settings.server.tls_certificate, settings.server.tls_key
    if certificate is None or key is None:
        return
    for name, file in (("tls_certificate", certificate), ("tls_key", key)):
        try:
            file.open("rb").close()
        except OSError as error:
            raise ConfigError([f"server.{name}: {file} cannot be read: {error.strerror}"]) from error
    try:
        # An empty pass phrase, since a server cannot ask a person for one.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except ssl.SSLError as error:
        rule = "should be PEM files of a certificate and its own key, without a pass phrase"
        raise ConfigError([f"server.tls_certificate and server.tls_key: {rule}"]) from error


def _address(listening: socket.socket, settings: Settings) -> str:
    host, port = listening.getsockname()[:2]
    scheme = "https" if settings.server.tls_certificate else "http"
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}:{port}/OutboundNotifications.svc"


def _service_options(settings: Settings) -> ServiceOptions:
    sessions, delivery = settings.sessions, settings.delivery
    return ServiceOptions(
        sessions=SessionOptions(
            idle=sessions.idle_minutes * MINUTE,
            failures=sessions.failures,
            source_failures=sessions.source_failures,
            lock=sessions.lock_minutes * MINUTE,
            openings=sessions.hashing_threads + sessions.hashing_queue,
        ),
        campaigns=CampaignOptions(
            most_per_account=settings.limits.campaigns_per_account,
            allow_private_endpoints=settings.progress.allow_private_networks,
        ),
        contacts=ContactOptions(
            most_per_campaign=settings.limits.contacts_per_campaign,
            default_attempts={Medium.SMS: delivery.sms_attempts, Medium.EMAIL: delivery.email_attempts},
        ),
        hashing_threads=sessions.hashing_threads,
    )


def _engine_options(settings: Settings) -> EngineOptions:
    delivery = settings.delivery
    return EngineOptions(
        owner=f"{socket.gethostname()}-{os.getpid()}-{token_hex(4)}",
        retry_delays=tuple(int(minutes * MINUTE) for minutes in delivery.retry_minutes),
        lease_ms=int(delivery.lease_seconds * SECOND),
        chunk_size=delivery.chunk_size,
        flush_size=delivery.flush_size,
    )


def _bounce_listener(settings: Settings, engine: Engine) -> BounceListener | None:
    address = settings.bounces.address
    if address is None:
        return None
    return BounceListener(address, settings.bounces.protocol, settings.routes, engine.mailroom, now_ms)
