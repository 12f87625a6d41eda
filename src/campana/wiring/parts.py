"""Owns how services, engine and routes are made of the settings.

Must not open or start anything.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from secrets import token_hex

from campana.channels.contract import Inbound, Route
from campana.channels.email.listener import BounceListener
from campana.channels.registry import CHANNELS, Means
from campana.channels.settings import RouteSettings
from campana.channels.voice.speech.speech import Speech
from campana.config import Settings
from campana.domain.delivery import Medium
from campana.domain.moment import DAY, MINUTE, SECOND, Clock
from campana.engine.options import EngineOptions, RetentionOptions
from campana.engine.ways import FarRoute
from campana.services.campaigns import CampaignOptions
from campana.services.contacts import ContactOptions
from campana.services.house import ServiceOptions
from campana.services.sessions import SessionOptions
from campana.wiring.roles import Pins

BEAT_SECONDS = 1.0
"""How often a process on a shared database raises its epoch."""
EMBEDDED_BEAT_SECONDS = 5.0
"""The same on an embedded one: each time the disk is synced, also of an idle server."""

DEAF_RESCAN_MS = 1_000
"""How often everything is looked through where no hint comes from other processes."""


def now_ms() -> int:
    """The machine's clock: epoch milliseconds."""
    return time.time_ns() // 1_000_000


def new_mark() -> str:
    """What tells this process from every other one: 8 hexadecimal digits."""
    return token_hex(4)


def build_routes(settings: Settings, speech: Speech, clock: Clock = now_ms) -> list[Route]:
    """Make the configured routes; they connect when they are started or checked."""
    return [route for route, _ in routes_of(settings.routes, Means(clock, speech, new_mark()))]


def routes_of(settings: Sequence[RouteSettings], means: Means) -> list[tuple[Route, RouteSettings]]:
    """Make routes, each with its settings."""
    return [(CHANNELS[one.channel].build(one, means), one) for one in settings]


def far_routes(settings: Settings, pins: Pins) -> list[FarRoute]:
    """The configured routes that this process does not run."""
    return [FarRoute(one, CHANNELS[one.channel].medium) for one in settings.routes if not pins.holds(one)]


def build_speech(settings: Settings) -> Speech:
    """Make what speaks texts; its engines are started by `speaking`."""
    return Speech(settings.speech, settings.server.data_dir / "speech")


@contextlib.asynccontextmanager
async def speaking(speech: Speech, routes: Sequence[RouteSettings]) -> AsyncIterator[None]:
    """Have texts spoken meanwhile, where one of the routes needs it."""
    if not any(CHANNELS[route.channel].medium is Medium.VOICE for route in routes):
        yield
        return
    await speech.start()
    try:
        yield
    finally:
        await speech.close()


def service_options(settings: Settings) -> ServiceOptions:
    """What the settings say of the services."""
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


def engine_options(settings: Settings, owner: str, *, hears: bool) -> EngineOptions:
    """What the settings say of the engine; `hears` is whether hints of other processes come, where there are any."""
    delivery, retention = settings.delivery, settings.retention
    rescan = {} if hears else {"rescan_ms": DEAF_RESCAN_MS}
    return EngineOptions(
        owner=owner,
        retry_delays=tuple(int(minutes * MINUTE) for minutes in delivery.retry_minutes),
        lease_ms=int(delivery.lease_seconds * SECOND),
        chunk_size=delivery.chunk_size,
        flush_size=delivery.flush_size,
        retention=RetentionOptions(
            deleted_ms=retention.deleted_days * DAY,
            ended_ms=retention.ended_days * DAY,
            incoming_ms=retention.incoming_days * DAY,
        ),
        **rescan,
    )


def bounce_listener(settings: Settings, pins: Pins, inbound: Inbound, clock: Clock) -> BounceListener | None:
    """What takes bounces; None where nothing does, or this process is kept to routes that have none."""
    address = settings.bounces.address
    left = [route for route in settings.routes if not pins.holds(route)]
    kept = [route for route in settings.routes if pins.holds(route)]
    if address is None or (left and not any(CHANNELS[route.channel].medium is Medium.EMAIL for route in kept)):
        return None
    # A bounce may be of a message that another process sent by another route.
    return BounceListener(address, settings.bounces.protocol, settings.routes, inbound, clock)
