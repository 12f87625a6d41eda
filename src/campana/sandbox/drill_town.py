"""Owns what a drill takes place in: simulated carriers, Campana's processes and their configuration, in one folder.

Must not know what happens there. What limits the carriers set is written into the configuration, and judged by them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import secrets
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from campana import wiring
from campana.config import load
from campana.domain.delivery import Medium
from campana.sandbox.drill_client import Credentials
from campana.sandbox.drill_journals import (
    Line,
    Tail,
    Use,
    arrivals,
    at_a_time,
    calls_at_a_time,
    calls_now,
    in_any_second,
    is_arrival,
)
from campana.sandbox.drill_plan import Role
from campana.sandbox.drill_processes import Process, campana, free_port, simulator
from campana.services.principal import Role as UserRole

ACCOUNT: Final = "drill"
USER: Final = "drill"
CALL_SECONDS: Final = 3.0
"""How long a call of a drill lasts, about."""
CALLED_EVERY: Final = 10
"""Of so many contacts one is called, too: a call takes as long as many messages."""
CALLS_A_SECOND: Final = 10
SMSC_LATENCY: Final = 0.1
"""Seconds that the SMSC takes to answer, so that there is something to wait for."""
MAIL_LATENCY: Final = 0.02
"""The same of the mail server, which answers a message in three steps."""
MAIL_STEPS: Final = 3
RING: Final = 0.3

_KINDS: Final = {Medium.SMS: "smsc", Medium.EMAIL: "mail", Medium.VOICE: "sip"}
_OPTIONS: Final = {
    Medium.SMS: ("--sink", "--receipt-delay", "0.1", "--latency", str(SMSC_LATENCY)),
    Medium.EMAIL: ("--sink", "--latency", str(MAIL_LATENCY)),
    Medium.VOICE: ("--sink", "--ring", str(RING)),
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What the routes may do, all processes together."""

    rate: int
    """Messages in any second, of SMS and of email each."""
    binds: int
    window: int
    connections: int
    calls: int
    calls_a_second: int = CALLS_A_SECOND


def limits_for(contacts: int, rate: int, workers: int) -> Limits:
    """Limits that are reached: the window is hardly enough for the rate, the lines hardly for the calls."""
    binds = max(2, workers)
    seconds = contacts / rate
    return Limits(
        rate=rate,
        binds=binds,
        window=math.ceil(rate * SMSC_LATENCY / binds),
        connections=workers + math.ceil(rate * MAIL_STEPS * MAIL_LATENCY),
        calls=min(40, max(2, math.ceil(contacts / CALLED_EVERY * CALL_SECONDS / seconds))),
    )


@dataclass(frozen=True, slots=True)
class Plot:
    """Where a drill takes place and with what."""

    folder: Path
    media: Collection[Medium]
    limits: Limits
    lease_seconds: float
    database: str | None = None
    """The URL of PostgreSQL as processes see it; none is SQLite in the folder, with one server."""
    workers: int = 1
    apis: int = 1

    @property
    def store(self) -> str:
        """The database's kind."""
        return "SQLite" if self.database is None else "PostgreSQL"


@dataclass
class Carrier:
    """A simulated carrier, and what its journal says so far."""

    medium: Medium
    journal: Path
    process: Process
    port: int = 0
    lines: list[Line] = field(default_factory=list)
    arrived: int = 0
    _tail: Tail = field(init=False)

    def __post_init__(self) -> None:
        self._tail = Tail(self.journal)

    def look(self) -> None:
        """Read on in the journal."""
        for line in self._tail.more():
            self.lines.append(line)
            self.arrived += is_arrival(line)

    def uses(self, limits: Limits) -> dict[str, Use]:
        """How much of its limits it saw used, by what the limit is of."""
        began = [one.began for one in arrivals(self.medium, self.lines)]
        if self.medium is Medium.VOICE:
            return {
                "calls set up in any second": in_any_second(began, limits.calls_a_second),
                "calls at a time": calls_at_a_time(self.lines, limits.calls),
            }
        name = self.medium.name.lower() if self.medium is Medium.EMAIL else "SMS"
        uses = {f"{name} in any second": in_any_second(began, limits.rate)}
        if self.medium is Medium.SMS:
            unanswered = [line["unanswered_in_all"] for line in self.lines]
            uses["SMS unanswered at a time"] = at_a_time(unanswered, limits.binds * limits.window)
        return uses


@dataclass
class Town:
    """Carriers and processes that run."""

    carriers: dict[Medium, Carrier]
    houses: list[tuple[Role, Process]]
    """Campana's processes."""
    doors: list[int]
    """The ports at which contacts are added."""
    pages: dict[str, int]
    """The ports of metrics, by the names of the processes that may plan."""
    credentials: Credentials

    def arrived(self) -> int:
        """How many messages and calls have come to the carriers."""
        for carrier in self.carriers.values():
            carrier.look()
        return sum(carrier.arrived for carrier in self.carriers.values())

    def calls_now(self) -> int:
        """How many telephones ring or listen."""
        self.arrived()
        carrier = self.carriers.get(Medium.VOICE)
        return 0 if carrier is None else calls_now(carrier.lines)

    def of(self, role: Role) -> list[Process]:
        """The processes of a role."""
        return [process for one, process in self.houses if one is role]


@contextlib.asynccontextmanager
async def town(plot: Plot) -> AsyncIterator[Town]:
    """Make an account, start everything, and at the end have every process gone.

    Raises DidNotStart, StoreUnavailable, AccountError.
    """
    carriers = {medium: _carrier(medium, plot.folder) for medium in Medium if medium in plot.media}
    houses: list[tuple[Role, Process]] = []
    try:
        ports = await asyncio.gather(*(carrier.process.start() for carrier in carriers.values()))
        for carrier, port in zip(carriers.values(), ports, strict=True):
            carrier.port = int(port)
        made = Town(carriers, houses, [], {}, Credentials(ACCOUNT, USER, secrets.token_urlsafe(12)))
        _lay_out(plot, made)
        await _admit(plot, made.credentials)
        # Doors first, so that nobody finds them closed.
        for _, process in houses:
            await process.start()
        yield made
    finally:
        processes = [process for _, process in houses] + [carrier.process for carrier in carriers.values()]
        await asyncio.gather(*(process.end() for process in processes))


def _carrier(medium: Medium, folder: Path) -> Carrier:
    kind = _KINDS[medium]
    journal = folder / f"{kind}.journal"
    command = simulator(kind, journal, *_OPTIONS[medium])
    return Carrier(medium, journal, Process(f"simulator {kind}", command, folder / f"{kind}.log"))


def _lay_out(plot: Plot, made: Town) -> None:
    """Write a configuration for each process."""
    if plot.database is None:
        _add(plot, made, Role.SERVER, "serve")
        return
    for number in range(1, plot.apis + 1):
        _add(plot, made, Role.API, f"api {number}")
    for number in range(1, plot.workers + 1):
        _add(plot, made, Role.WORKER, f"worker {number}")


def _add(plot: Plot, made: Town, role: Role, name: str) -> None:
    port, config = free_port(), plot.folder / f"{name.replace(' ', '-')}.toml"
    config.touch(mode=0o600)
    config.write_text(configuration(plot, made.carriers, role, port), encoding="utf-8")
    command = campana("--config", str(config), role.value)
    made.houses.append((role, Process(name, command, config.with_suffix(".log"))))
    if role is Role.WORKER:
        made.pages[name] = port
    else:
        made.doors.append(port)


def configuration(plot: Plot, carriers: dict[Medium, Carrier], role: Role, port: int) -> str:
    """The configuration of a process, in TOML."""
    limits = plot.limits
    tables = [f'[log]\nlevel = "info"\n[delivery]\nretry_minutes = [0]\nlease_seconds = {plot.lease_seconds:g}\n']
    if role is Role.WORKER:
        tables.append(f'[worker]\nlisten = "127.0.0.1:{port}"\n')
    tables.append(f"[server]\nport = {port if role is not Role.WORKER else 0}\ndata_dir = {_text('data')}\n")
    if plot.database is not None:
        tables.append(f"[database]\nurl = {_text(plot.database)}\n")
    places = {medium: f"127.0.0.1:{carrier.port}" for medium, carrier in carriers.items()}
    if Medium.SMS in places:
        tables.append(
            f'[[routes]]\nname = "sms"\nchannel = "sms"\nurl = "smpp://drill:drill@{places[Medium.SMS]}"\n'
            f"rate = {limits.rate}\nbinds = {limits.binds}\nwindow = {limits.window}\n"
            "reconnect_min = 0.05\nreconnect_max = 0.2\n"
        )
    if Medium.EMAIL in places:
        tables.append(
            f'[[routes]]\nname = "mail"\nchannel = "email"\nurl = "smtp://{places[Medium.EMAIL]}"\n'
            f"rate = {limits.rate}\nconnections = {limits.connections}\n"
            'tls = "off"\nehlo_name = "campana.example.com"\n'
        )
    if Medium.VOICE in places:
        tables.append(
            f'[[routes]]\nname = "trunk"\nchannel = "voice"\nurl = "sip:{places[Medium.VOICE]};transport=udp"\n'
            f"rate = {limits.calls_a_second}\ncalls = {limits.calls}\nlongest_call = 10\n"
        )
    return "\n".join(tables)


def _text(value: str) -> str:
    """A string in TOML, which has the escapes of JSON."""
    return json.dumps(value, ensure_ascii=False)


async def _admit(plot: Plot, credentials: Credentials) -> None:
    """Make the database, the account and its user."""
    settings = load(next(plot.folder.glob("*.toml")), {})
    await asyncio.to_thread(wiring.upgrade, settings)
    async with wiring.services_for(settings) as services:
        await services.accounts.add_account(credentials.account, "UTC", "US")
        await services.accounts.add_user(credentials.account, credentials.user, UserRole.API, credentials.password)
