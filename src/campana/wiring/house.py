"""Owns which parts a process has by its role, and how they are joined.

Must not know in which order they start and stop (running.py), nor hold rules.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from campana.api.http import HttpFront
from campana.api.rest.app import RestApp, RestOptions
from campana.api.soap.app import SoapApp, SoapOptions
from campana.bus.contract import Bus
from campana.bus.endpoints import Outlet
from campana.bus.local import LocalBus
from campana.bus.outlets import Outlets
from campana.bus.outside import Guard as OutsideGuard
from campana.bus.postgres import PostgresBus
from campana.channels.email.listener import BounceListener
from campana.channels.registry import Means
from campana.channels.voice.speech.speech import Speech
from campana.config import Settings
from campana.domain.moment import SECOND
from campana.engine.guard import Guard, GuardOptions
from campana.engine.membership import LEAST_LIFE_MS, Membership
from campana.engine.options import Tools
from campana.engine.runner import Engine, Together
from campana.services.house import Services, build_services
from campana.storage.cluster import Member
from campana.storage.migrate import newest
from campana.storage.postgres import PostgresStore
from campana.telemetry import Metrics
from campana.wiring import doors, parts
from campana.wiring.clock import DatabaseClock
from campana.wiring.roles import Pins, Role
from campana.wiring.route_view import RouteBoard
from campana.wiring.stores import Store, memory_file, myself, open_store


@dataclass(frozen=True, slots=True)
class Company:
    """What a process has that shares its database with others."""

    store: PostgresStore
    membership: Membership
    clock: DatabaseClock


@dataclass(frozen=True, slots=True)
class House:
    """The parts of a process. Those that its role does not have are None."""

    settings: Settings
    role: Role
    store: Store
    services: Services
    engine: Engine | None
    guard: Guard | None
    """Of a process with an engine: says whether that may start."""
    company: Company | None
    listener: BounceListener | None
    server: doors.Server | None
    listening: socket.socket | None

    @property
    def routes(self) -> dict[str, str]:
        """The health of the routes that it runs."""
        return {} if self.engine is None else self.engine.health()


@contextlib.asynccontextmanager
async def built(settings: Settings, role: Role, pins: Pins, speech: Speech) -> AsyncIterator[House]:
    """The parts, connected but not at work; closed at the end, the store last.

    Raises StoreUnavailable or OSError.
    """
    metrics, mark = Metrics(), parts.new_mark()
    owner = f"{socket.gethostname()}-{os.getpid()}-{mark}"
    async with contextlib.AsyncExitStack() as closing:
        listening = _listen(settings, role)
        if listening is not None:
            closing.callback(listening.close)
        store = await open_store(settings, metrics, alone=True)
        closing.push_async_callback(store.close)
        company = await _company(settings, role, store, owner, metrics)
        bus = await _bus(settings, closing)
        tools = Tools(parts.now_ms if company is None else company.clock, metrics)
        board = RouteBoard(settings, None if company is None else company.membership)
        options = parts.service_options(settings)
        services = build_services(store, bus, tools.clock, options, metrics, routes=board, reaches=board.reach)
        closing.push_async_callback(services.close)
        engine = guard = listener = None
        if role.has_engine:
            means = Means(tools.clock, speech, mark)
            outlet = Outlets(OutsideGuard(allow_private=settings.progress.allow_private_networks), tools.clock)
            closing.push_async_callback(outlet.close)
            site = _Site(settings, pins, owner, means, outlet)
            engine = board.engine = _engine(site, store, company, bus, tools)
            guard = _guard(settings, store, metrics)
            listener = parts.bounce_listener(settings, pins, engine.mailroom, tools.clock)
        front = _front(settings, role, services, _Inside(engine, guard, company), metrics)
        server = None if listening is None else doors.web_server(front, settings, with_tls=role.has_doors)
        yield House(settings, role, store, services, engine, guard, company, listener, server, listening)


def _listen(settings: Settings, role: Role) -> socket.socket | None:
    if role.has_doors:
        return doors.listen(settings.server.host, settings.server.port)
    address = settings.worker.address
    return None if address is None else doors.listen(*address)


async def _company(settings: Settings, role: Role, store: Store, owner: str, metrics: Metrics) -> Company | None:
    if not isinstance(store, PostgresStore):
        return None
    clock = DatabaseClock(store.cluster, parts.now_ms)
    await clock.set()
    me = Member(owner, role.value, socket.gethostname(), newest(), clock())
    lasts_ms = max(LEAST_LIFE_MS, int(settings.delivery.lease_seconds * SECOND))
    return Company(store, Membership(store.cluster, me, lasts_ms, metrics, clock), clock)


async def _bus(settings: Settings, closing: contextlib.AsyncExitStack) -> Bus:
    """What carries hints. Where a pooler is between and no way past it is known, every process is for itself."""
    database = settings.database
    url = database.listen_url or (None if database.pooler else database.url)
    if not database.is_postgresql or url is None:
        return LocalBus()
    bus = PostgresBus(url)
    closing.push_async_callback(bus.close)
    await bus.start()
    return bus


def _guard(settings: Settings, store: Store, metrics: Metrics) -> Guard:
    beat = parts.BEAT_SECONDS if settings.database.is_postgresql else parts.EMBEDDED_BEAT_SECONDS
    return Guard(store.instances, memory_file(settings), GuardOptions(myself(settings), beat), metrics)


@dataclass(frozen=True, slots=True)
class _Site:
    """Where and as whom an engine works."""

    settings: Settings
    pins: Pins
    owner: str
    means: Means
    outlet: Outlet


def _engine(site: _Site, store: Store, company: Company | None, bus: Bus, tools: Tools) -> Engine:
    near = [route for route in site.settings.routes if site.pins.holds(route)]
    hears = company is None or isinstance(bus, PostgresBus)
    options = parts.engine_options(site.settings, site.owner, hears=hears)
    together = None
    if company is not None:
        far = parts.far_routes(site.settings, site.pins)
        together = Together(company.store.cluster, company.membership, far)
    routes = parts.routes_of(near, site.means)
    return Engine(store, routes, bus, options, tools, together=together, outlet=site.outlet)


@dataclass(frozen=True, slots=True)
class _Inside:
    """What a process tells of itself."""

    engine: Engine | None
    guard: Guard | None
    company: Company | None


def _front(settings: Settings, role: Role, services: Services, inside: _Inside, metrics: Metrics) -> HttpFront:
    soap = rest = None
    if role.has_doors:
        server = settings.server
        soap = SoapApp(services, SoapOptions(server.max_request_bytes, server.trusted_proxies, metrics=metrics))
        pace = settings.rest.requests_per_minute
        rest = RestApp(services, RestOptions(server.max_request_bytes, server.trusted_proxies, pace, metrics))
    return HttpFront(soap, lambda: _readiness(role, inside), metrics.render, rest)


def _readiness(role: Role, inside: _Inside) -> tuple[bool, dict[str, Any]]:
    """Ready means that calls are accepted, or that a worker can work: the database answers. A route that is down or a
    database that is held delays deliveries and is told, but refuses nobody."""
    facts: dict[str, Any] = {"role": role.value}
    if inside.guard is not None:
        facts["held"] = inside.guard.held
    if inside.engine is not None:
        facts["routes"] = inside.engine.routes()
    if inside.company is None:
        return True, facts
    membership = inside.company.membership
    roles = [member.role for member in membership.members]
    facts["processes"] = {one.value: roles.count(one.value) for one in Role}
    facts["up_elsewhere"] = membership.up_elsewhere()
    return membership.is_current, facts
